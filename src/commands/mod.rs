//! From arguments to an exit code: one file per command, and what they share: signals, printing, the choice of nodes.

mod candidates;
mod capture;
mod completions;
mod config;
mod diagnose;
mod diff;
mod explain;
mod fix;
mod gate;
mod gate_choice;
mod kept_report;
mod man;
mod manifests;
mod merge;
mod nodes;
mod printing;
mod rbac;
mod report;
mod risk;
mod saving;
mod schema;
mod signals;
mod source;
mod symptoms;
mod version;
mod watch;

use std::io;
use std::process::ExitCode;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::screen::Screen;
use crate::cli::{Cli, Command, ConfigCommand};
use crate::progress::Output;
use crate::settings;
pub use candidates::complete;
use printing::{Terminal, show_error};
use signals::{Manner, Signals};

/// Runs one command.
#[must_use]
pub fn run(typed: Result<Cli, Error>) -> ExitCode {
    let cli = match typed {
        Ok(cli) => cli,
        Err(error) => {
            show_error(&error);
            return error.exit().into();
        }
    };
    // The cluster is the command's by now.
    let Cli { command, output, cluster: _ } = cli;
    let screen = settings::screen(&output);
    log(&screen);
    let exit = run_to_its_end(command, screen).unwrap_or_else(|error| {
        show_error(&error);
        error.exit()
    });
    exit.into()
}

/// `-v`: what this program does; `-vv`: what its libraries do, too. On standard error.
fn log(screen: &Screen) {
    let filter = match screen.verbose {
        0 => return,
        1 => "staledp=debug",
        _ => "debug",
    };
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).with_env_filter(filter).init();
}

fn run_to_its_end(command: Command, screen: Screen) -> Result<Exit, Error> {
    let cannot = |error| Error::bug("cannot start").because(error);
    command.check_format(screen.format)?;
    command.check_contexts()?;
    let in_good_order = matches!(command, Command::Fix(_) | Command::Watch(_));
    let manner = if in_good_order { Manner::InGoodOrder } else { Manner::AnyTime };
    let signals = Signals::listen(manner)?;
    let terminal = Terminal { screen, signals, output: Output::start().map_err(cannot)? };
    // One thread: nodes wait for the network, not for the processor.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let done = runtime.block_on(dispatch(command, &terminal));
    // A read that a deadline or a signal cut off must not hold up the end.
    runtime.shutdown_background();
    done
}

async fn dispatch(command: Command, terminal: &Terminal) -> Result<Exit, Error> {
    match command {
        Command::Diagnose(args) => Box::pin(diagnose::run(*args, terminal)).await,
        Command::Capture(args) => Box::pin(capture::run(*args, terminal)).await,
        Command::Fix(args) => Box::pin(fix::run(*args, terminal)).await,
        Command::Watch(args) => Box::pin(watch::run(*args, terminal)).await,
        Command::Gate(args) => Box::pin(gate::run(*args, terminal)).await,
        Command::Symptoms(args) => Box::pin(symptoms::run(*args, terminal)).await,
        Command::Diff { before, after, exit_code } => Box::pin(diff::run(before, after, exit_code, terminal)).await,
        Command::Merge { reports } => merge::run(reports, terminal).await,
        Command::Explain { code } => explain::run(code.as_deref(), terminal).await,
        Command::Report(args) => Box::pin(report::run(*args, terminal)).await,
        Command::Risk(args) => Box::pin(risk::run(*args, terminal)).await,
        Command::Rbac(args) => rbac::run(args, terminal).await,
        Command::Manifests(args) => manifests::run(args, terminal).await,
        Command::Completions { shell } => completions::run(shell, terminal).await,
        Command::Man(args) => man::run(args, terminal).await,
        Command::Config(ConfigCommand::View(_)) => config::view(terminal).await,
        Command::Schema { what } => schema::run(what, terminal).await,
        Command::Version => version::run(terminal).await,
    }
}
