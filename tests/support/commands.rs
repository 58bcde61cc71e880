//! The README's table of commands, and whether it holds what the program ran in containers.

use std::collections::BTreeSet;

use super::api::Logged;
use super::packing;

/// Tools of probes: their target is an option of the program, so only the tool is compared.
const PROBES: [&str; 6] = ["ping", "wget", "curl", "bash", "nslookup", "getent"];

/// The plain commands behind one exec: without the shell, the bound and the compression around them, and by the name that
/// newer agents have.
pub(crate) fn plain(argv: &[String]) -> Vec<String> {
    if let Some((_, commands)) = packing::pack(argv) {
        let mut all: Vec<String> = commands.iter().flat_map(|command| plain(&command.argv)).collect();
        // The script itself asks this before the counters of some agents.
        if commands.iter().any(|command| command.kind == "counters") {
            all.push("cat /tmp/cilium/config-map/preallocate-bpf-maps".to_owned());
        }
        return all;
    }
    let argv = packing::packed(argv).unwrap_or(argv);
    let argv = packing::after_list(argv).map_or(argv, |(_, behind)| behind);
    let argv = match argv {
        [timeout, k, _, _, rest @ ..] if timeout == "timeout" && k == "-k" => rest,
        [timeout, _, rest @ ..] if timeout == "timeout" => rest,
        _ => argv,
    };
    let words = match argv {
        [sh, c, script, ..] if sh == "sh" && c == "-c" && script.contains("cilium_calls_") => {
            assert!(script.contains("bpftool map dump pinned"), "{script}");
            return vec!["bpftool map dump pinned".to_owned()];
        }
        // Which settings are asked for is the program's own list.
        [grep, s, empty, files @ ..] if grep == "grep" && s == "-s" && empty.is_empty() => {
            assert!(files.iter().all(|file| file.starts_with("/tmp/cilium/config-map/")), "{files:?}");
            return vec!["grep -s \"\" /tmp/cilium/config-map/…".to_owned()];
        }
        [program, ..] if PROBES.contains(&program.as_str()) => vec![program.clone()],
        [program, rest @ ..] if program == "cilium" => [&["cilium-dbg".to_owned()], rest].concat(),
        _ => argv.to_vec(),
    };
    vec![words.join(" ")]
}

/// The commands of the README's table, its first column.
pub(crate) fn table() -> BTreeSet<String> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(file).expect("the readme");
    let (_, section) = readme.split_once("## What it does in your cluster").expect("the section");
    let (section, _) = section.split_once("\n### ").expect("its end");
    let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let spans = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned));
    let tool = |span: String| match span.split(' ').next() {
        Some(tool) if PROBES.contains(&tool) => tool.to_owned(),
        _ => span,
    };
    spans.map(tool).collect()
}

/// Holds what the program ran against the table.
#[track_caller]
pub(crate) fn hold_against_table(requests: &[Logged]) {
    let is_ours = |request: &&Logged| request.headers.get("user-agent").is_some_and(|who| who.starts_with("staledp/"));
    let calls = requests.iter().filter(is_ours).filter_map(|request| request.exec.as_ref());
    let ran: BTreeSet<String> = calls.flat_map(|call| plain(&call.argv)).collect();
    if ran.is_empty() {
        return;
    }
    let table = table();
    for command in ran {
        assert!(table.contains(&command), "the README's table of commands lacks `{command}`");
        assert!(!command.contains("map events") && !command.contains("monitor"), "`{command}` does harm");
    }
}
