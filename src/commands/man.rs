//! `staledp man`: the manual in roff, as one page with a section for every command, or as a page of one command.

use std::fmt::Write as _;
use std::io;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use super::printing::Terminal;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::program;
use crate::base::similar;
use crate::cli::{Cli, ManArgs};

/// Prints a page, or the names of the commands that have one.
pub(super) async fn run(args: ManArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let program = whole();
    let written = |page: io::Result<Vec<u8>>| page.map_err(|e| Error::bug("cannot write the manual page").because(e));
    let text = match args.page {
        _ if args.list => (names(&program).collect::<Vec<_>>().join("\n") + "\n").into_bytes(),
        None => written(page(&program))?,
        Some(name) => {
            let command = commands(&program).find(|command| command.get_name() == name).ok_or_else(|| {
                let meant = similar::question(&name, names(&program));
                let hint = format!("{meant}`{} man --list` names all", program::name());
                Error::usage(format!("no command is called {name}")).with_hint(hint)
            })?;
            written(page_of_command(command))?
        }
    };
    terminal.print(text).await?;
    Ok(Exit::Healthy)
}

/// The whole command line, with all that clap adds to it.
fn whole() -> Command {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    program
}

/// The commands that have a page.
fn commands(program: &Command) -> impl Iterator<Item = &Command> {
    program.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

fn names(program: &Command) -> impl Iterator<Item = &str> {
    commands(program).map(Command::get_name)
}

/// The page of the program.
fn page(program: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = Man::new(program.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    page.extend_from_slice(section("EXAMPLES", &verbatim(&HelpEnd::of(program).examples)).as_bytes());
    // The options of the program are those of each command, too, and stand there.
    for sub in commands(program) {
        page.extend(subcommand(sub)?);
    }
    page.extend_from_slice(exit_status().as_bytes());
    page.extend_from_slice(ENDING.as_bytes());
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// The page of one command.
fn page_of_command(command: &Command) -> io::Result<Vec<u8>> {
    let HelpEnd { steps, examples, exit_codes } = HelpEnd::of(command);
    let man = Man::new(command.clone().after_help("").after_long_help(""));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    page.extend_from_slice(verbatim(&steps).as_bytes());
    man.render_options_section(&mut page)?;
    // What `config view` takes is all that `config` does.
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        page.extend(subcommand(sub)?);
    }
    page.extend_from_slice(section("EXAMPLES", &verbatim(&examples)).as_bytes());
    page.extend_from_slice(section("EXIT STATUS", &verbatim(&exit_codes)).as_bytes());
    page.extend_from_slice(b".SH \"SEE ALSO\"\n.BR staledp (1)\n");
    Ok(page)
}

/// What a command's help ends with.
#[derive(Default)]
struct HelpEnd {
    /// The steps of `fix`; nothing for others.
    steps: String,
    /// A line each.
    examples: String,
    /// A line or more each.
    exit_codes: String,
}

impl HelpEnd {
    fn of(command: &Command) -> Self {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let (before, exit_codes) = after.split_once("Exit codes:").unwrap_or((&after, ""));
        let (steps, examples) = before.split_once("Examples:").unwrap_or(("", before));
        let block = |text: &str| text.trim_matches('\n').trim_end().to_owned();
        Self { steps: block(steps), examples: block(examples), exit_codes: block(exit_codes) }
    }
}

fn section(title: &str, body: &str) -> String {
    format!(".SH \"{title}\"\n{body}")
}

/// A command's part of a page: its sections become subsections below a heading with its name.
fn subcommand(command: &Command) -> io::Result<Vec<u8>> {
    // Exit codes have a section of their own, which holds for every command.
    let HelpEnd { steps, examples, .. } = HelpEnd::of(command);
    let command = command.clone().after_help("").after_long_help("");
    let heading = format!(".SH \"STALEDP {}\"\n", command.get_name().to_uppercase());
    let man = Man::new(command);
    let mut part = Vec::new();
    man.render_synopsis_section(&mut part)?;
    man.render_description_section(&mut part)?;
    man.render_options_section(&mut part)?;
    let part = String::from_utf8_lossy(&part).replace("\n.SH ", "\n.SS ");
    let part = part.strip_prefix(".SH ").map_or(part.clone(), |rest| format!(".SS {rest}"));
    let examples = format!("Examples:\n{examples}");
    Ok((heading + &part + &verbatim(&steps) + &verbatim(&examples)).into_bytes())
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

    fn text(page: io::Result<Vec<u8>>) -> String {
        String::from_utf8(page.unwrap()).unwrap()
    }

    fn has_section(page: &str, title: &str) -> bool {
        page.contains(&format!("\n.SH {title}\n")) || page.contains(&format!("\n.SH \"{title}\"\n"))
    }

    #[test]
    fn manual_page_covers_every_command_option_and_exit_code() {
        let program = whole();
        let page = text(page(&program));
        assert!(names(&program).count() > 9);
        for name in names(&program) {
            let heading = format!("\n.SH \"STALEDP {}\"\n", name.to_uppercase());
            assert_eq!(page.matches(&heading).count(), 1, "{name}");
        }
        let plain = page.replace("\\-", "-");
        for option in program.get_subcommands().flat_map(Command::get_arguments).filter_map(clap::Arg::get_long) {
            assert!(plain.contains(&format!("--{option}")), "--{option}");
        }
        for exit in Exit::ALL {
            assert!(page.contains(&format!("\n\\fB{}\\fR\n", exit.code())), "{exit:?}");
        }
        for title in ["NAME", "SYNOPSIS", "EXAMPLES", "EXIT STATUS", "FILES", "ENVIRONMENT", "VERSION"] {
            assert!(has_section(&page, title), "{title}");
        }
        assert!(page.starts_with(".ie") || page.contains(".TH staledp"), "{}", &page[..200]);
    }

    #[test]
    fn each_command_has_a_page_with_name_synopsis_examples_and_exit_status() {
        let program = whole();
        for command in commands(&program) {
            let name = command.get_name();
            let page = text(page_of_command(command));
            for title in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS", "SEE ALSO"] {
                assert!(has_section(&page, title), "{name} has no {title}:\n{page}");
            }
            let plain = page.replace("\\-", "-");
            assert!(plain.contains(&format!(".TH staledp-{name} 1")), "{name}: {}", &plain[..200]);
            let examples = plain.split(".SH \"EXAMPLES\"").nth(1).unwrap().split(".SH ").next().unwrap();
            assert!(examples.contains(&format!("staledp {name}")), "{name}: {examples}");
            let status = plain.split(".SH \"EXIT STATUS\"").nth(1).unwrap().split(".SH ").next().unwrap();
            assert!(status.contains("\n\\&  0    ") && status.contains("\n\\&  130  "), "{name}: {status}");
            for option in command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(clap::Arg::get_long) {
                assert!(plain.contains(&format!("--{option}")), "{name}: --{option}");
            }
        }
    }
}
