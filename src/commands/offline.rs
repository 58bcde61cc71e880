//! What needs no cluster: `explain`, `completions`, `man`.

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use crate::cli::Cli;

/// `staledp explain [CODE]`: text for standard output, with a newline at its end.
///
/// # Errors
///
/// Where the topic is not known: a message that names the nearest ones. It is a usage error.
pub fn explain(topic: Option<&str>) -> Result<String, String> {
    crate::report::explain::explain(topic)
}

/// `staledp completions SHELL`: the script.
#[must_use]
pub fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "staledp", &mut script);
    script
}

/// `staledp man`: one manual page in roff, with a section for every command.
///
/// # Errors
///
/// None that input can cause: it is written to memory.
pub fn man() -> std::io::Result<Vec<u8>> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut page = Vec::new();
    let man = Man::new(command.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    // The options of the program are those of each command, too, and stand there.
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        page.extend(subcommand(sub)?);
    }
    page.extend_from_slice(ENDING.as_bytes());
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// A command's part of the page: its sections become subsections below a heading with its name.
fn subcommand(command: &Command) -> std::io::Result<Vec<u8>> {
    // Exit codes have a section of their own.
    let command = command.clone().after_help("").after_long_help("");
    let heading = format!(".SH \"STALEDP {}\"\n", command.get_name().to_uppercase());
    let man = Man::new(command);
    let mut part = Vec::new();
    man.render_synopsis_section(&mut part)?;
    man.render_description_section(&mut part)?;
    man.render_options_section(&mut part)?;
    let part = String::from_utf8_lossy(&part).replace("\n.SH ", "\n.SS ");
    let part = part.strip_prefix(".SH ").map_or(part.clone(), |rest| format!(".SS {rest}"));
    Ok((heading + &part).into_bytes())
}

/// The sections that no option tells.
const ENDING: &str = r#".SH "EXIT STATUS"
The same for every output format.
.TP
\fB0\fR
every node judged is healthy
.TP
\fB1\fR
at least one node is stale
.TP
\fB2\fR
the command line or the configuration is wrong; nothing was contacted
.TP
\fB3\fR
no node is stale, but at least one has another fault
.TP
\fB4\fR
no node is stale or otherwise faulty, but at least one could not be judged
.TP
\fB5\fR
could not run at all: no kubeconfig, no such context, API unreachable, bundle unreadable
.TP
\fB6\fR
\fBfix\fR: restarted, but the verification failed or did not finish
.TP
\fB7\fR
\fBfix\fR: refused by a safety rule, or not confirmed; nothing was changed
.TP
\fB130\fR
interrupted
.SH FILES
.TP
\fI~/.kube/config\fR
or the files that \fBKUBECONFIG\fR names: the clusters, as for
.BR kubectl (1).
.TP
\fI~/.ssh/config\fR
how nodes are reached, as for
.BR ssh (1).
Nothing ever prompts: keys have to be in the agent or without a passphrase.
.TP
\fIbundle.json\fR, \fIkube/\fR, \fInodes/\fR, \fIsymptoms/\fR
a bundle, which \fB\-\-from\fR reads: the output of every command of a diagnosis, one plain file each, and what symptoms
were read from
.SH ENVIRONMENT
.TP
\fBKUBECONFIG\fR
the kubeconfig files, where \fB\-\-kubeconfig\fR is not given
.TP
\fBNO_COLOR\fR
if not empty: no colours, unless \fB\-\-color always\fR
.SH "SEE ALSO"
.BR kubectl (1),
.BR ssh (1),
\fBstaledp explain\fR for every verdict code, check and upstream issue
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_tells_every_command_and_option() {
        let page = String::from_utf8(man().unwrap()).unwrap();
        for name in ["DIAGNOSE", "CAPTURE", "SYMPTOMS", "MERGE", "FIX", "RBAC", "EXPLAIN", "COMPLETIONS", "MAN"] {
            assert_eq!(page.matches(&format!("\n.SH \"STALEDP {name}\"\n")).count(), 1, "{name}");
        }
        let plain = page.replace("\\-", "-");
        let command = Cli::command();
        for option in command.get_subcommands().flat_map(Command::get_arguments).filter_map(clap::Arg::get_long) {
            assert!(plain.contains(&format!("--{option}")), "--{option}");
        }
        for section in ["EXIT STATUS", "FILES", "ENVIRONMENT", "VERSION"] {
            assert!(page.contains(section), "{section}");
        }
        assert!(page.starts_with(".ie") || page.contains(".TH staledp"), "{}", &page[..200]);
    }

    #[test]
    fn every_shell_gets_a_script() {
        for shell in <clap_complete::Shell as clap::ValueEnum>::value_variants() {
            let script = String::from_utf8(completions(*shell)).unwrap();
            assert!(script.contains("staledp") && script.contains("diagnose"), "{shell}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
