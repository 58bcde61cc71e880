//! What the help of each command ends with: two or three examples, and its exit codes.

use crate::base::exit::Exit;
use crate::base::program;

/// The end of a command's help; empty for a command that is not in the table.
pub(super) fn after_help(command: &str) -> String {
    let Some((_, examples, codes, healthy)) = COMMANDS.iter().find(|(name, ..)| *name == command) else {
        return String::new();
    };
    let examples = examples.replace("staledp ", &format!("{} ", program::name()));
    format!("Examples:\n{examples}\n\n{}", Exit::help(codes, healthy))
}

/// Name, examples, exit codes, and what 0 means.
type Row = (&'static str, &'static str, &'static [Exit], &'static str);

const COMMANDS: [Row; 17] = [
    (
        "staledp",
        "  staledp symptoms                      which node looks worst, from what the cluster already reports
  staledp diagnose prusik               one node of the current context
  staledp diagnose --all-nodes -o json  all nodes, for a program
  staledp fix --node prusik             restart its Cilium pod, safely, and prove that it worked
  staledp explain stale-datapath        what a verdict, a check or an upstream issue means, offline",
        &Exit::ALL,
        Exit::Healthy.meaning(),
    ),
    (
        "diagnose",
        "  staledp diagnose prusik
  staledp diagnose --all-nodes -o name | xargs -rn1 staledp fix --dry-run
  staledp diagnose --all-nodes -o json > report.json
  staledp diagnose --from cilium-sysdump.zip",
        &Exit::OF_JUDGING,
        "every node judged is healthy",
    ),
    (
        "capture",
        "  staledp capture --node prusik prusik.tar.gz
  staledp capture --all-nodes --redact evidence/",
        &Exit::OF_READING,
        "the bundle is saved",
    ),
    (
        "fix",
        "  staledp fix prusik --dry-run
  staledp fix --node prusik
  staledp fix --node prusik --yes --watch 10m",
        &Exit::OF_FIX,
        "restarted and verified (--dry-run: the restart would be tried)",
    ),
    (
        "watch",
        "  staledp watch --namespace staledp
  staledp watch --every 5m --concurrency 16
  staledp watch --uninstall",
        &Exit::OF_READING,
        "--uninstall: no node has the condition any more",
    ),
    (
        "symptoms",
        "  staledp symptoms
  staledp symptoms --logs --prometheus monitoring/prometheus
  staledp symptoms --from evidence/",
        &Exit::OF_READING,
        "the symptoms are printed, whatever they are",
    ),
    (
        "diff",
        "  staledp diff before/ after/
  staledp diff yesterday.json today.json --exit-code -o json",
        &Exit::OF_DIFF,
        "both could be compared, whatever changed",
    ),
    (
        "report",
        "  staledp report prusik > issue.md
  staledp report --from evidence/ --after evidence-after/ > issue.md
  staledp report prusik --from cilium-sysdump.zip --to issue.tar.gz",
        &Exit::OF_READING,
        "the archive is saved and the issue is printed",
    ),
    (
        "merge",
        "  staledp merge shard-*.json
  staledp diagnose --shard 1/2 -l zone=b -o json | staledp merge - shard-0.json",
        &Exit::OF_JUDGING,
        "every node judged is healthy",
    ),
    (
        "explain",
        "  staledp explain -o json
  staledp explain stale-datapath
  staledp explain drop-metrics
  staledp explain cilium/cilium#46065",
        &Exit::OF_READING,
        "printed",
    ),
    (
        "rbac",
        "  staledp rbac diagnose | kubectl apply -f -
  staledp rbac fix --cilium-namespace cilium",
        &Exit::OF_READING,
        "printed",
    ),
    (
        "manifests",
        "  staledp manifests watch --image IMAGE --api-server 192.168.10.5:6443 | kubectl apply -f -
  staledp manifests job --shards 8 --image IMAGE
  staledp manifests alerts > alerts.yaml",
        &Exit::OF_READING,
        "printed",
    ),
    (
        "completions",
        "  source <(staledp completions bash)
  staledp completions fish > ~/.config/fish/completions/staledp.fish
  staledp completions kubectl > ~/bin/kubectl_complete-staledp",
        &Exit::OF_READING,
        "printed",
    ),
    (
        "man",
        "  staledp man > /usr/local/share/man/man1/staledp.1
  staledp man diagnose | man -l -",
        &Exit::OF_READING,
        "printed",
    ),
    (
        "config",
        "  staledp config view
  staledp config view --context grigri -o json",
        &Exit::OF_READING,
        "printed",
    ),
    (
        "schema",
        "  staledp schema > staledp.report.v1.schema.json
  staledp schema | jq .properties.nodes
  staledp schema gate",
        &Exit::OF_READING,
        "printed",
    ),
    (
        "version",
        "  staledp version
  staledp version -o json",
        &Exit::OF_READING,
        "printed",
    ),
];
