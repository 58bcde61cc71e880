//! From arguments to an exit code.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::cli::{Cli, Command, DiagnoseArgs, Format};
use crate::diagnose::diagnose;
use crate::exit::{self, Error};
use crate::gather::Source;
use crate::gather::bundle::Bundle;
use crate::gather::cluster::Inventory;
use crate::gather::live;
use crate::offline;
use crate::progress::Progress;
use crate::report::{Report, SourceInfo, SourceKind, json, table, text};
use crate::settings::{ClusterSettings, Nodes, Origin, Screen, Settings};

/// Runs one command.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let screen = Screen::resolve(&cli.output);
    say_more(&screen);
    let done = match cli.command {
        Command::Diagnose(args) => run_diagnose(*args, &screen),
        Command::Explain { code } => {
            offline::explain(code.as_deref()).map_err(Error::Usage).and_then(|text| print(text.as_bytes()))
        }
        Command::Completions { shell } => print(&offline::completions(shell)),
        Command::Man => offline::man().map_err(|e| Error::CannotRun(e.to_string())).and_then(|page| print(&page)),
    };
    done.unwrap_or_else(|error| {
        // Whatever an API or a file said may be in it.
        for line in format!("error: {error}").lines() {
            let _ = writeln!(io::stderr(), "{}", text::safe(line));
        }
        ExitCode::from(error.code())
    })
}

/// `-v`: what this program does; `-vv`: what the libraries below it do, too. On standard error.
fn say_more(screen: &Screen) {
    let filter = match screen.verbose {
        0 => return,
        1 => "staledp=debug",
        _ => "debug",
    };
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).with_env_filter(filter).init();
}

/// Prints on standard output. A pipe that nobody reads any more is no error.
fn print(bytes: &[u8]) -> Result<ExitCode, Error> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::CannotRun(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn run_diagnose(args: DiagnoseArgs, screen: &Screen) -> Result<ExitCode, Error> {
    let settings = Settings::resolve(args);
    // One thread: nodes wait for the network, not for the processor.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::CannotRun(format!("cannot start: {error}")))?;
    let progress = Progress::new(screen);
    let report = runtime.block_on(async {
        tokio::select! {
            report = look(&settings, &progress) => report,
            _ = tokio::signal::ctrl_c() => Err(Error::Interrupted),
        }
    });
    progress.clear();
    // A command that a deadline cut off must not hold the end up.
    runtime.shutdown_background();
    let report = report?;
    print(render(&report, screen)?.as_bytes())?;
    Ok(exit::of_summary(&report.summary))
}

fn render(report: &Report, screen: &Screen) -> Result<String, Error> {
    let rendered = match screen.format {
        Format::Table | Format::Wide => {
            let wide = screen.format == Format::Wide;
            Ok(table::render(report, &table::Style { color: screen.color, width: screen.width, wide }))
        }
        Format::Json => json::json(report),
        Format::Yaml => json::yaml(report),
        Format::Jsonl => report
            .nodes
            .iter()
            .map(json::jsonl_node)
            .chain([json::jsonl_end(report)])
            .collect::<Result<String, String>>(),
    };
    rendered.map_err(Error::CannotRun)
}

async fn look(settings: &Settings, progress: &Progress) -> Result<Report, Error> {
    match &settings.origin {
        Origin::Path(path) => {
            let bundle = Bundle::open(path).map_err(Error::CannotRun)?;
            let inventory = bundle.inventory().await;
            let there: Vec<String> = bundle.nodes(&inventory).into_iter().collect();
            let nodes = choose(&settings.nodes, &inventory, &there, true)?;
            let about = SourceInfo {
                kind: SourceKind::Bundle,
                context: bundle.context().map(str::to_owned),
                path: Some(path.display().to_string()),
            };
            Ok(diagnose(&bundle, &inventory, &nodes, settings, about, progress).await)
        }
        Origin::Cluster(cluster) => look_live(cluster, settings, progress).await,
    }
}

async fn look_live(cluster: &ClusterSettings, settings: &Settings, progress: &Progress) -> Result<Report, Error> {
    let live = live::connect(cluster, &settings.questions, settings.timeout).await?;
    let looked = look_at(&live, settings, progress).await;
    // Also when something went wrong: connections to nodes are not left behind.
    live.close().await;
    looked
}

async fn look_at(live: &live::Live, settings: &Settings, progress: &Progress) -> Result<Report, Error> {
    let inventory = live.inventory().await;
    let nodes = match (&inventory.nodes, &settings.nodes) {
        (Ok(nodes), wanted) => {
            let there: Vec<String> = nodes.iter().map(|node| node.metadata.name.clone()).collect();
            choose(wanted, &inventory, &there, false)?
        }
        // Who may not list nodes may still look at one by its name.
        (Err(_), Nodes::Named(named)) => named.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect(),
        (Err(failure), _) => return Err(Error::CannotRun(format!("cannot list the nodes: {failure}"))),
    };
    let about = SourceInfo { kind: SourceKind::Cluster, context: live.context().map(str::to_owned), path: None };
    Ok(diagnose(live, &inventory, &nodes, settings, about, progress).await)
}

/// The nodes that were meant, sorted by name.
fn choose(wanted: &Nodes, inventory: &Inventory, there: &[String], saved: bool) -> Result<Vec<String>, Error> {
    let names = || if there.is_empty() { "none".to_owned() } else { there.join(", ") };
    let mut chosen: Vec<String> = match wanted {
        Nodes::All => there.to_vec(),
        Nodes::Unsaid if saved => there.to_vec(),
        Nodes::Unsaid => {
            return Err(Error::Usage(format!("say which nodes: --node NAME or --all-nodes. Nodes: {}", names())));
        }
        Nodes::Named(asked) => {
            if let Some(unknown) = asked.iter().find(|name| !there.contains(name)) {
                return Err(Error::Usage(format!("there is no node '{unknown}'. Nodes: {}", names())));
            }
            asked.clone()
        }
        Nodes::Labelled(labels) => {
            let selector = crate::gather::selector::Selector::parse(labels).map_err(Error::Usage)?;
            let nodes = inventory.nodes.as_ref().map_err(|failure| Error::CannotRun(failure.message.clone()))?;
            let matching = nodes.iter().filter(|node| selector.matches(&node.metadata.labels));
            let matching: Vec<String> = matching.map(|node| node.metadata.name.clone()).collect();
            if matching.is_empty() {
                return Err(Error::Usage(format!("no node has the labels '{labels}'. Nodes: {}", names())));
            }
            matching
        }
    };
    if chosen.is_empty() {
        return Err(Error::CannotRun("there is no node to judge".to_owned()));
    }
    chosen.sort();
    chosen.dedup();
    Ok(chosen)
}
