//! Which tools a pod has for probes: found out in the exec of the first probe.
//!
//! Without this, a pod that has nothing would be tried once for each tool there is, with and without a bound.

/// All tools of all ladders, and what bounds them.
const TOOLS: [&str; 7] = ["timeout", "wget", "curl", "bash", "nslookup", "getent", "ping"];

/// Names the tools that are there on standard error, and then becomes its arguments, which begin with `timeout
/// SECONDS`: without these two where there is no `timeout`. A fixed text: no shell reads the arguments.
const SCRIPT: &str = "for tool in timeout wget curl bash nslookup getent ping; do \
    command -v \"$tool\" >/dev/null 2>&1 && echo \"staledp: has $tool\" >&2; done; echo 'staledp: has no more' >&2; \
    command -v timeout >/dev/null 2>&1 || shift 2; command -v \"$1\" >/dev/null 2>&1 || exit 127; exec \"$@\"";
/// What stands before a tool's name.
const HAS: &str = "staledp: has ";
/// What stands after the last one.
const END: &str = "staledp: has no more\n";

/// The known tools of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tools {
    /// These are there, and no other of those that are looked for.
    Listed(Vec<&'static str>),
    /// There is no shell to list them.
    NoShell,
    /// There is a shell, and it could not list them.
    Unlisted,
}

impl Tools {
    /// Whether a tool is known to be missing; of programs that are not looked for nothing is known.
    pub(super) fn lack(&self, tool: &str) -> bool {
        matches!(self, Self::Listed(tools) if TOOLS.contains(&tool) && !tools.contains(&tool))
    }
}

/// The command that lists the tools and then runs this one, which is bounded by `timeout SECONDS`.
pub(super) fn wrap(bounded: &[String]) -> Vec<String> {
    ["sh", "-c", SCRIPT, "sh"].into_iter().map(str::to_owned).chain(bounded.iter().cloned()).collect()
}

/// The tools, and what the command itself said on standard error; none where the list is not there whole.
pub(super) fn parse(stderr: &str) -> Option<(Tools, String)> {
    let (list, rest) = stderr.split_once(END)?;
    let named = list.lines().map(|line| line.strip_prefix(HAS)).collect::<Option<Vec<_>>>()?;
    Some((Tools::Listed(TOOLS.into_iter().filter(|tool| named.contains(tool)).collect()), rest.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Command, Output};

    use super::*;

    /// Runs the script for real, with these programs and no others; each says its name and its arguments.
    fn with(shell: &[&str], programs: &[&str], bounded: &[&str]) -> Output {
        let folder = tempfile::tempdir().unwrap();
        for program in programs {
            let file = folder.path().join(program);
            let text =
                if *program == "timeout" { "shift; exec \"$@\"" } else { "echo \"$0 $*\"; echo said >&2; exit 3" };
            std::fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let bounded: Vec<String> = bounded.iter().map(|&word| word.to_owned()).collect();
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).args(&wrap(&bounded)[1..]).env("PATH", folder.path());
        command.output().expect("a shell")
    }

    #[test]
    fn a_real_shell_lists_what_is_there_and_becomes_the_command() {
        let shells: [&[&str]; 2] = [&["/bin/sh"], &["/bin/bash"]];
        for shell in shells.into_iter().filter(|shell| std::path::Path::new(shell[0]).exists()) {
            let hostile = "$(exit 9); `exit 9` \"' | exit 9";
            let asked = ["timeout", "8", "wget", hostile];
            for (there, code) in [
                (&["timeout", "wget", "getent"][..], 3),
                (&["wget", "getent"], 3),
                (&["timeout", "getent"], 127),
                (&["getent"], 127),
                (&[], 127),
            ] {
                let output = with(shell, there, &asked);
                let stderr = String::from_utf8(output.stderr).unwrap();
                let (tools, rest) = parse(&stderr).unwrap_or_else(|| panic!("{shell:?} {there:?}: {stderr}"));
                assert_eq!(tools, Tools::Listed(there.to_vec()), "{shell:?}");
                assert_eq!(output.status.code(), Some(code), "{shell:?} {there:?}: {stderr}");
                let stdout = String::from_utf8(output.stdout).unwrap();
                if code == 3 {
                    assert!(stdout.ends_with(&format!("/wget {hostile}\n")), "{stdout}");
                    assert_eq!(rest, "said\n");
                } else {
                    assert_eq!(stdout, "", "nothing ran");
                }
            }
        }
    }

    #[test]
    fn the_script_and_the_list_of_tools_agree() {
        assert!(SCRIPT.starts_with(&format!("for tool in {}; do", TOOLS.join(" "))));
    }

    #[test]
    fn half_a_list_and_other_words_are_none() {
        assert_eq!(parse("staledp: has no more\nx\n"), Some((Tools::Listed(Vec::new()), "x\n".to_owned())));
        for other in ["", "staledp: has wget\n", "sh: staledp: has no more", "warning\nstaledp: has no more\n"] {
            assert_eq!(parse(other), None, "{other:?}");
        }
        let (tools, _) = parse("staledp: has wget\nstaledp: has a bomb\nstaledp: has no more\n").unwrap();
        assert_eq!(tools, Tools::Listed(vec!["wget"]));
        assert!(tools.lack("curl") && !tools.lack("wget") && !Tools::Unlisted.lack("curl"));
        assert!(!tools.lack("cilium-dbg"), "it is not looked for");
    }
}
