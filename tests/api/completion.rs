//! Completion in real shells: bash and kubectl, and zsh and fish where they are installed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::api::{ApiServer, Kubeconfig};
use crate::support::scenes::Scene;
use crate::support::world::{Fault, FaultKind};

/// A folder with the program under both of its names, for the PATH of a shell.
struct Installed {
    folder: tempfile::TempDir,
    kubeconfig: Kubeconfig,
}

impl Installed {
    fn new(api: &ApiServer) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["staledp", "kubectl-staledp"] {
            symlink(env!("CARGO_BIN_EXE_staledp"), folder.path().join(name)).expect("a link");
        }
        Self { folder, kubeconfig: api.kubeconfig_with(&["grigri", "gri-other"]) }
    }

    fn path(&self) -> String {
        format!("{}:/usr/bin:/bin", self.folder.path().display())
    }

    /// What a shell prints that runs this script.
    #[track_caller]
    fn shell(&self, shell: &str, script: &str) -> String {
        let out = Command::new("timeout")
            .args(["60", shell, "-c"])
            .arg(script)
            .env_clear()
            .env("PATH", self.path())
            .env("HOME", self.folder.path())
            .env("TERM", "dumb")
            .env("KUBECONFIG", self.kubeconfig.path())
            .stdin(Stdio::null())
            .output()
            .expect("the shell runs");
        assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// What bash offers for the last of these words, as its own completion gets it.
    #[track_caller]
    fn bash(&self, words: &str) -> Vec<String> {
        let script = format!(
            "source <(staledp completions bash)\n\
             COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_TYPE=9\n\
             run=$(complete -p staledp | sed 's/.*-F \\([^ ]*\\) .*/\\1/')\n\
             \"$run\" staledp \"${{COMP_WORDS[COMP_CWORD]}}\" '' 2>/dev/null\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        // Where nothing was typed yet, options are offered as well.
        offered(&self.shell("bash", &script)).into_iter().filter(|word| !word.starts_with('-')).collect()
    }
}

fn offered(text: &str) -> Vec<String> {
    let mut words: Vec<String> =
        text.lines().map(|line| line.trim_end().to_owned()).filter(|w| !w.is_empty()).collect();
    words.sort();
    words
}

fn cluster() -> ApiServer {
    let mut world = Scene::stale().world();
    let namespaces = ["kube-public", "kube-system", "shop"].map(|name| json!({"metadata": {"name": name}}));
    let list = json!({"kind": "NamespaceList", "apiVersion": "v1", "metadata": {}, "items": namespaces});
    world.foreign.insert("/api/v1/namespaces".to_owned(), list);
    ApiServer::start(world)
}

#[test]
fn bash_completes_nodes_contexts_codes_and_namespaces() {
    let api = cluster();
    let installed = Installed::new(&api);
    assert_eq!(installed.bash("staledp diagnose pru"), ["prusik"]);
    assert_eq!(installed.bash("staledp diagnose node/pru"), ["node/prusik"]);
    assert_eq!(installed.bash("staledp diagnose --node v"), ["vienna"]);
    assert_eq!(installed.bash("staledp fix ''"), ["brno", "prusik", "vienna"]);
    assert_eq!(installed.bash("staledp diagnose --context gri"), ["gri-other", "grigri"]);
    assert_eq!(installed.bash("staledp --context gri-"), ["gri-other"]);
    assert_eq!(installed.bash("staledp explain dns-c"), ["dns-conntrack"]);
    assert_eq!(installed.bash("staledp fix prusik --force stale-m"), ["stale-map"]);
    assert_eq!(installed.bash("staledp comple"), ["completions"]);
    assert_eq!(installed.bash("staledp diagnose --cilium-namespace kube-"), ["kube-public", "kube-system"]);
    assert_eq!(installed.bash("staledp man diag"), ["diagnose"]);
    // Options that the shell has already are honoured.
    let elsewhere = installed.bash("staledp diagnose --kubeconfig /nowhere --node ''");
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    // A word that means no file offers none.
    fs::write(installed.folder.path().join("prunes"), "").expect("a file");
    assert_eq!(installed.bash("staledp diagnose pru"), ["prusik"]);
    assert!(api.writes().is_empty());
}

#[test]
fn nodes_of_a_bundle_are_completed_without_a_cluster() {
    let api = cluster();
    let installed = Installed::new(&api);
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/2026-06-06-prusik/bundle");
    assert_eq!(installed.bash(&format!("staledp diagnose --from {} b", bundle.display())), ["brno"]);
    assert!(api.requests().is_empty());
}

#[test]
fn cluster_that_does_not_answer_offers_nothing_within_the_patience_of_a_prompt() {
    let mut world = Scene::healthy().world();
    world.fault(Fault::new("/api/v1/nodes", FaultKind::Silence));
    let api = ApiServer::start(world);
    let installed = Installed::new(&api);
    let begin = Instant::now();
    assert_eq!(installed.bash("staledp diagnose ''"), Vec::<String>::new());
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn kubectl_completes_its_plugin() {
    if Command::new("kubectl").arg("version").arg("--client").output().is_err() {
        println!("skipped: kubectl is not installed");
        return;
    }
    let api = cluster();
    let installed = Installed::new(&api);
    let script = installed.folder.path().join("kubectl_complete-staledp");
    fs::write(&script, installed.shell("bash", "kubectl-staledp completions kubectl")).expect("a file");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("it can be run");
    // What kubectl's own completion of every shell calls.
    let asked = |words: &str| installed.shell("bash", &format!("kubectl __complete staledp {words} 2>/dev/null"));
    assert_eq!(asked("diagnose pru"), "prusik\n:4\n");
    assert_eq!(asked("explain stale-m"), "stale-map\n:4\n");
    assert!(asked("''").contains("diagnose\n"), "{}", asked("''"));
}

/// Types into a zsh on a terminal of its own, as a person does: a word, the Tab key, and in front of the line a command that
/// prints what became of it.
const TYPED: &str = r#"zmodload zsh/zpty
zpty person zsh -f -i
zpty -w person 'PS1=; bindkey -e; autoload -U compinit; compinit -u -D; source <(staledp completions zsh); print rea""dy'
zpty -r person said '*ready*'
zpty -w person $'staledp diagnose pru\t\C-aprint -r -- became: \C-e; print do""ne'
zpty -r person said '*done*'
print -r -- "$said"
zpty -d person"#;

#[test]
fn zsh_and_fish_complete_a_node() {
    let api = cluster();
    let installed = Installed::new(&api);
    let in_fish = "staledp completions fish | source; complete -C 'staledp diagnose pru'";
    for (shell, script, offered) in [("fish", in_fish, "prusik"), ("zsh", TYPED, "became: staledp diagnose prusik")] {
        if Command::new(shell).arg("-c").arg("true").output().is_err() {
            println!("skipped: {shell} is not installed");
            continue;
        }
        let out = installed.shell(shell, script);
        assert!(out.contains(offered), "{shell}: {out}");
    }
}
