//! `staledp man`: one manual page in roff, with a section for every command.

use std::fmt::Write as _;
use std::io;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use super::printing::Terminal;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli::Cli;

/// Prints the page.
pub(super) async fn run(terminal: &Terminal) -> Result<Exit, Error> {
    terminal.print(page().map_err(|error| Error::bug("cannot write the manual page").because(error))?).await?;
    Ok(Exit::Healthy)
}

fn page() -> io::Result<Vec<u8>> {
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
    page.extend_from_slice(exit_status().as_bytes());
    page.extend_from_slice(ENDING.as_bytes());
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// A command's part of the page: its sections become subsections below a heading with its name.
fn subcommand(command: &Command) -> io::Result<Vec<u8>> {
    // Exit codes have a section of their own, which holds for every command.
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let examples = after.split("Exit codes:").next().unwrap_or_default().trim().to_owned();
    let command = command.clone().after_help("").after_long_help("");
    let heading = format!(".SH \"STALEDP {}\"\n", command.get_name().to_uppercase());
    let man = Man::new(command);
    let mut part = Vec::new();
    man.render_synopsis_section(&mut part)?;
    man.render_description_section(&mut part)?;
    man.render_options_section(&mut part)?;
    let part = String::from_utf8_lossy(&part).replace("\n.SH ", "\n.SS ");
    let part = part.strip_prefix(".SH ").map_or(part.clone(), |rest| format!(".SS {rest}"));
    Ok((heading + &part + &verbatim(&examples)).into_bytes())
}

/// What stands below a command's options in its help, line by line.
fn verbatim(text: &str) -> String {
    let mut roff = String::new();
    if !text.is_empty() {
        roff.push_str(".PP\n.nf\n");
        for line in text.lines() {
            // A dot at a line's beginning is a request; `\\&` is nothing, and takes that place.
            let _ = writeln!(roff, "\\&{}", line.replace('\\', "\\e").replace('-', "\\-"));
        }
        roff.push_str(".fi\n");
    }
    roff
}

/// The exit codes, with the names of commands in bold.
fn exit_status() -> String {
    let mut section = ".SH \"EXIT STATUS\"\nThe same for every output format.\n".to_owned();
    for exit in Exit::ALL {
        let mut meaning = String::new();
        for (at, part) in exit.meaning().split('`').enumerate() {
            if at % 2 == 1 {
                let _ = write!(meaning, "\\fB{part}\\fR");
            } else {
                meaning.push_str(part);
            }
        }
        let _ = writeln!(section, ".TP\n\\fB{}\\fR\n{meaning}", exit.code());
    }
    section
}

/// The sections that do not come from the command line.
const ENDING: &str = r#".SH FILES
.TP
\fI~/.kube/config\fR
or the files that \fBKUBECONFIG\fR names: the clusters, as for
.BR kubectl (1).
.TP
\fI~/.ssh/config\fR
how nodes are reached, as for
.BR ssh (1).
SSH never prompts: keys must be in the agent or have no passphrase.
.TP
\fIbundle.json\fR, \fIkube/\fR, \fInodes/\fR, \fIsymptoms/\fR
a bundle, which \fB\-\-from\fR reads: the output of each command of a diagnosis in a plain file of its own, and what
symptoms were read from
.TP
\fI~/.config/staledp/staledp.toml\fR
values of options by their long names, for all contexts and in sections \fB[contexts.NAME]\fR; \fBstaledp config view\fR
shows what holds
.SH ENVIRONMENT
.TP
\fBSTALEDP_OPTION_NAME\fR
the value of \fB\-\-option\-name\fR where that is not typed, for every option but those that consent to a restart
.TP
\fBKUBECONFIG\fR
the kubeconfig files, unless \fB\-\-kubeconfig\fR is given
.TP
\fBNO_COLOR\fR
if not empty, no colours are used unless \fB\-\-color always\fR is given
.SH "SEE ALSO"
.BR kubectl (1),
.BR ssh (1),
\fBstaledp explain\fR for every verdict code, check and upstream issue
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_page_covers_every_command_option_and_exit_code() {
        let page = String::from_utf8(page().unwrap()).unwrap();
        let command = Cli::command();
        let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_uppercase()).collect();
        assert!(names.len() > 9, "{names:?}");
        for name in names {
            assert_eq!(page.matches(&format!("\n.SH \"STALEDP {name}\"\n")).count(), 1, "{name}");
        }
        let plain = page.replace("\\-", "-");
        for option in command.get_subcommands().flat_map(Command::get_arguments).filter_map(clap::Arg::get_long) {
            assert!(plain.contains(&format!("--{option}")), "--{option}");
        }
        for exit in Exit::ALL {
            assert!(page.contains(&format!("\n\\fB{}\\fR\n", exit.code())), "{exit:?}");
        }
        for section in ["EXIT STATUS", "FILES", "ENVIRONMENT", "VERSION"] {
            assert!(page.contains(section), "{section}");
        }
        assert!(page.starts_with(".ie") || page.contains(".TH staledp"), "{}", &page[..200]);
    }
}
