//! From arguments to an exit code.

pub mod capture;
pub mod diff;
pub mod merge;
pub mod offline;

mod symptoms;

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, timeout};

use crate::cli::{CaptureArgs, Cli, Command, DiagnoseArgs, FixArgs, Format, RbacArgs, RbacFor, SaveArgs};
use crate::commands::capture::Capture;
use crate::diagnose::diagnose;
use crate::exit;
use crate::exit::Error;
use crate::gather::Source;
use crate::gather::live;
use crate::gather::save::{Run, Saving};
use crate::gather::saved;
use crate::gather::saved::Saved;
use crate::kubernetes::objects::Inventory;
use crate::progress::Progress;
use crate::report::{Report, SourceInfo, SourceKind, json, read, table, text};
use crate::rights;
use crate::settings::{ClusterSettings, FixSettings, Nodes, Origin, Screen, Settings};

/// Runs one command.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let screen = Screen::resolve(&cli.output);
    say_more(&screen);
    let done = match cli.command {
        Command::Diagnose(args) => run_diagnose(*args, &screen),
        Command::Capture(args) => run_capture(*args, &screen),
        Command::Merge { reports } => run_merge(&reports, &screen),
        Command::Fix(args) => run_fix(*args, &screen),
        Command::Rbac(args) => print(rbac(&args).as_bytes()),
        Command::Diff { before, after } => run_diff(&before, &after, &screen),
        Command::Symptoms(args) => symptoms::run(*args, &screen),
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
    to_its_end(screen, async |progress| {
        let report = look(&settings, &Judge { screen, progress }).await?;
        // A run whose own time was over is partial, too, and has judged what it could.
        let interrupted = report.partial && progress.was_stopped();
        let code = if interrupted { ExitCode::from(exit::INTERRUPTED) } else { exit::of_report(&report) };
        match progress.take_trouble() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(Error::CannotRun(format!("cannot write to standard output: {error}")));
            }
            Some(_) => return Ok(exit::of_report(&report)),
            None => {}
        }
        // The nodes' lines were printed as they came.
        let text = if screen.format == Format::Jsonl { json::jsonl_end(&report) } else { render(&report, screen) };
        let text = text.map_err(Error::CannotRun)?;
        progress.clear();
        // Whoever reads may be slow, and must not keep a second Ctrl-C from ending this.
        let printed = tokio::task::spawn_blocking(move || print(text.as_bytes())).await;
        printed.map_err(|error| Error::CannotRun(format!("cannot print: {error}")))??;
        Ok(code)
    })
}

fn run_capture(args: CaptureArgs, screen: &Screen) -> Result<ExitCode, Error> {
    let CaptureArgs { to, redact, cluster, target, symptoms } = args;
    let save = SaveArgs { save: Some(to), redact };
    let settings = Settings::resolve(DiagnoseArgs { cluster, target, symptoms, save });
    let interrupted = to_its_end(screen, async |progress| look(&settings, &Gather { screen, progress }).await)?;
    Ok(if interrupted { ExitCode::from(exit::INTERRUPTED) } else { ExitCode::SUCCESS })
}

/// Runs something that waits, with progress, until its end or until it is told to end.
fn to_its_end<T>(screen: &Screen, work: impl AsyncFnOnce(&Progress) -> Result<T, Error>) -> Result<T, Error> {
    // One thread: nodes wait for the network, not for the processor.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::CannotRun(format!("cannot start: {error}")))?;
    let progress = Progress::new(screen);
    let done = runtime.block_on(until_told_to_end(work(&progress), &progress));
    progress.clear();
    // A command that a deadline cut off must not hold the end up.
    runtime.shutdown_background();
    done
}

/// Waits for the end. The first Ctrl-C or SIGTERM makes it a partial one where there is something to tell; the second
/// ends at once.
async fn until_told_to_end<T>(work: impl Future<Output = Result<T, Error>>, progress: &Progress) -> Result<T, Error> {
    let listen = |kind| signal(kind).map_err(|error| Error::CannotRun(format!("cannot listen to signals: {error}")));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let mut work = std::pin::pin!(work);
    let mut told = false;
    loop {
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            done = &mut work => return done,
        }
        if told || !progress.has_begun() {
            return Err(Error::Interrupted);
        }
        told = true;
        progress.say("interrupted: what is known so far follows; once more ends at once");
        progress.stop();
    }
}

fn run_diff(before: &Path, after: &Path, screen: &Screen) -> Result<ExitCode, Error> {
    if screen.format == Format::Jsonl {
        return Err(Error::Usage("diff prints table, json or yaml".to_owned()));
    }
    let diff = diff::compare(&report_of(before, screen)?, &report_of(after, screen)?);
    let text = match screen.format {
        Format::Table | Format::Wide => diff::text(&diff, text::prose(text::columns(screen.width))),
        Format::Yaml => json::yaml(&diff).map_err(Error::CannotRun)?,
        Format::Json | Format::Jsonl => json::json(&diff).map_err(Error::CannotRun)?,
    };
    print(text.as_bytes())
}

/// A report as it stands in a file, or the judgement of a bundle or archive with the usual settings.
fn report_of(path: &Path, screen: &Screen) -> Result<Report, Error> {
    if !path.is_dir() && !saved::is_archive(path).unwrap_or(false) {
        return read::read(path).map_err(Error::CannotRun);
    }
    let words = [OsStr::new("staledp"), OsStr::new("diagnose"), OsStr::new("--from"), path.as_os_str()];
    match Cli::try_parse_from(words).map(|cli| cli.command) {
        Ok(Command::Diagnose(args)) => {
            let settings = Settings::resolve(*args);
            to_its_end(screen, async |progress| {
                let report = look(&settings, &Judge { screen, progress }).await?;
                // Half of a report differs from a whole one in what was not looked at.
                if progress.was_stopped() { Err(Error::Interrupted) } else { Ok(report) }
            })
        }
        _ => Err(Error::Usage(format!("{} is no path that can be read", path.display()))),
    }
}

fn run_merge(paths: &[PathBuf], screen: &Screen) -> Result<ExitCode, Error> {
    let mut reports = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        let report = if name == "-" { read::from("standard input", io::stdin().lock()) } else { read::read(path) };
        reports.push((name, report.map_err(Error::CannotRun)?));
    }
    let report = merge::merge(reports).map_err(|why| Error::Usage(format!("cannot join the reports: {why}")))?;
    print(render(&report, screen).map_err(Error::CannotRun)?.as_bytes())?;
    Ok(exit::of_report(&report))
}

fn run_fix(args: FixArgs, screen: &Screen) -> Result<ExitCode, Error> {
    let settings = FixSettings::resolve(args);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::CannotRun(format!("cannot start: {error}")))?;
    let done = runtime.block_on(crate::fix::run(&settings, screen));
    runtime.shutdown_background();
    let report = done?;
    let text = match screen.format {
        Format::Table | Format::Wide => report.table(screen.width),
        Format::Json => json::json(&report).map_err(Error::CannotRun)?,
        Format::Jsonl => json::line(&report).map_err(Error::CannotRun)?,
        Format::Yaml => json::yaml(&report).map_err(Error::CannotRun)?,
    };
    print(text.as_bytes())?;
    Ok(ExitCode::from(report.code()))
}

fn rbac(args: &RbacArgs) -> String {
    match args.command {
        RbacFor::Diagnose => rights::yaml("diagnose", &[rights::DIAGNOSE], &args.cilium_namespace),
        RbacFor::Symptoms => rights::yaml("symptoms", &[rights::SYMPTOMS], &args.cilium_namespace),
        RbacFor::Fix => rights::yaml("fix", &[rights::DIAGNOSE, rights::FIX], &args.cilium_namespace),
    }
}

fn render(report: &Report, screen: &Screen) -> Result<String, String> {
    match screen.format {
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
    }
}

/// What is done with nodes once they are chosen.
trait Work {
    type Done;
    /// Whether there has to be one.
    const NEEDS_NODES: bool = true;
    /// Where it is shown how much of an archive was read; none where only its lists are.
    fn progress(&self) -> Option<&Progress> {
        None
    }
    async fn on<S: Source>(
        &self,
        source: &S,
        inventory: &Inventory,
        nodes: &[String],
        settings: &Settings,
        about: SourceInfo,
    ) -> Result<Self::Done, Error>;
}

/// `diagnose`.
struct Judge<'a> {
    screen: &'a Screen,
    progress: &'a Progress,
}

impl Work for Judge<'_> {
    type Done = Report;

    fn progress(&self) -> Option<&Progress> {
        Some(self.progress)
    }

    async fn on<S: Source>(
        &self,
        source: &S,
        inventory: &Inventory,
        nodes: &[String],
        settings: &Settings,
        about: SourceInfo,
    ) -> Result<Report, Error> {
        let Some(save) = &settings.save else {
            return Ok(diagnose(source, inventory, nodes, settings, about, self.progress).await);
        };
        let saving = begin(source, settings, save, inventory, self.screen)?;
        let report = diagnose(&saving, inventory, nodes, settings, about, self.progress).await;
        self.progress.clear();
        if report.partial {
            saving.mark_partial();
        }
        end(saving, self.screen);
        Ok(report)
    }
}

/// `capture`.
struct Gather<'a> {
    screen: &'a Screen,
    progress: &'a Progress,
}

impl Work for Gather<'_> {
    /// Whether it was interrupted.
    type Done = bool;

    fn progress(&self) -> Option<&Progress> {
        Some(self.progress)
    }

    async fn on<S: Source>(
        &self,
        source: &S,
        inventory: &Inventory,
        nodes: &[String],
        settings: &Settings,
        _about: SourceInfo,
    ) -> Result<bool, Error> {
        let Some(save) = &settings.save else { return Ok(false) };
        let saving = begin(source, settings, save, inventory, self.screen)?;
        let Capture { partial, answers, missing } =
            capture::capture(&saving, inventory, nodes, settings, self.progress).await;
        self.progress.clear();
        if partial {
            saving.mark_partial();
        }
        let remark = saving.remark();
        let path = saving.finish().map_err(Error::CannotRun)?;
        for line in &missing {
            say(self.screen, &format!("not had: {line}"));
        }
        let nodes = nodes.len();
        let more = format!("nodes: {nodes}, answers: {answers}, not had: {}", missing.len());
        say(self.screen, &format!("saved: {} ({more}){remark}", path.display()));
        Ok(partial && self.progress.was_stopped())
    }
}

/// Begins a bundle with the cluster's lists.
fn begin<'a, S: Source>(
    source: &'a S,
    settings: &Settings,
    path: &std::path::Path,
    inventory: &Inventory,
    screen: &Screen,
) -> Result<Saving<'a, S>, Error> {
    if let Origin::Path(from) = &settings.origin
        && let (Ok(from), Ok(to)) = (from.canonicalize(), path.canonicalize())
        && from == to
    {
        return Err(Error::Usage(format!("{} cannot be read and written at once; name another", path.display())));
    }
    let argv = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let redact = settings.redact.then(|| settings.questions.addresses());
    let run = Run { argv, timeout: settings.timeout, redact };
    let saving = Saving::create(source, path, &run).map_err(Error::CannotRun)?;
    if let Some(older) = saving.older() {
        say(screen, &format!("the bundle that was there is now {}", older.display()));
    }
    saving.keep(inventory);
    Ok(saving)
}

/// Ends a bundle that was kept beside the main thing: that it could not be kept is said, and no more.
fn end<S: Source>(saving: Saving<'_, S>, screen: &Screen) {
    let remark = saving.remark();
    match saving.finish() {
        Ok(path) => say(screen, &format!("saved: {}{remark}", path.display())),
        Err(trouble) => warn(&trouble),
    }
}

/// Says something on standard error that is no error.
fn say(screen: &Screen, line: &str) {
    if !screen.quiet {
        let _ = writeln!(io::stderr(), "{}", text::safe(line));
    }
}

/// Says on standard error what went wrong beside the main thing.
fn warn(line: &str) {
    let _ = writeln!(io::stderr(), "warning: {}", text::safe(line));
}

async fn look<W: Work>(settings: &Settings, work: &W) -> Result<W::Done, Error> {
    match &settings.origin {
        Origin::Path(path) => {
            let path_shown = Some(path.display().to_string());
            let meter = work.progress().filter(|_| path.is_file()).map(Progress::meter).unwrap_or_default();
            match saved::open(path, &Arc::new(meter)).await.map_err(Error::CannotRun)? {
                Saved::Archive(archive) => {
                    let inventory = archive.inventory().await;
                    let there: Vec<String> = archive.nodes(&inventory).into_iter().collect();
                    let nodes = choose_of::<W>(settings, &inventory, &there)?;
                    archive.expect(&nodes);
                    let about = SourceInfo { kind: archive.kind(), context: None, path: path_shown };
                    work.on(&archive, &inventory, &nodes, settings, about).await
                }
                Saved::Bundle(bundle) => {
                    let inventory = bundle.inventory().await;
                    let there: Vec<String> = bundle.nodes(&inventory).into_iter().collect();
                    let mut nodes = choose_of::<W>(settings, &inventory, &there)?;
                    bundle.in_order(&mut nodes);
                    let context = bundle.context().map(str::to_owned);
                    let about = SourceInfo { kind: SourceKind::Bundle, context, path: path_shown };
                    work.on(&bundle, &inventory, &nodes, settings, about).await
                }
            }
        }
        Origin::Cluster(cluster) => look_live(cluster, settings, work).await,
    }
}

async fn look_live<W: Work>(cluster: &ClusterSettings, settings: &Settings, work: &W) -> Result<W::Done, Error> {
    let begun = Instant::now();
    let live = within(settings, begun, live::connect(cluster, &settings.questions, settings.timeout)).await??;
    let looked = look_at(&live, settings, begun, work).await;
    // Also when something went wrong: connections to nodes are not left behind.
    live.close().await;
    looked
}

/// What comes before the nodes counts against the run's time as well.
async fn within<T>(settings: &Settings, begun: Instant, what: impl Future<Output = T>) -> Result<T, Error> {
    let Some(whole) = settings.deadline else { return Ok(what.await) };
    timeout(whole.saturating_sub(begun.elapsed()), what).await.map_err(|_| {
        Error::CannotRun(
            "cannot look at any node: the run's time was over before the lists came; see --deadline".to_owned(),
        )
    })
}

async fn look_at<W: Work>(live: &live::Live, settings: &Settings, begun: Instant, work: &W) -> Result<W::Done, Error> {
    let inventory = within(settings, begun, live.inventory()).await?;
    let nodes = match (inventory.nodes.some(), &settings.nodes) {
        (Ok(nodes), _) => {
            let there: Vec<String> = nodes.iter().map(|node| node.metadata.name.clone()).collect();
            choose(settings, &inventory, &there, false)?
        }
        // Who may not list nodes may still look at one by its name.
        (Err(_), Nodes::Named(named)) => narrow(named.clone(), settings)?,
        (Err(failure), _) => return Err(Error::CannotRun(format!("cannot list the nodes: {failure}"))),
    };
    let about = SourceInfo { kind: SourceKind::Cluster, context: live.context().map(str::to_owned), path: None };
    let deadline = settings.deadline.map(|whole| whole.saturating_sub(begun.elapsed()));
    let settings = Settings { deadline, ..settings.clone() };
    work.on(live, &inventory, &nodes, &settings, about).await
}

/// The nodes that were meant of those that were saved.
fn choose_of<W: Work>(settings: &Settings, inventory: &Inventory, there: &[String]) -> Result<Vec<String>, Error> {
    if W::NEEDS_NODES { choose(settings, inventory, there, true) } else { Ok(there.to_vec()) }
}

/// The nodes that were meant, sorted by name.
fn choose(settings: &Settings, inventory: &Inventory, there: &[String], saved: bool) -> Result<Vec<String>, Error> {
    let names = || if there.is_empty() { "none".to_owned() } else { there.join(", ") };
    let chosen: Vec<String> = match &settings.nodes {
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
            let selector = crate::base::selector::Selector::parse(labels).map_err(Error::Usage)?;
            let nodes = inventory.nodes.some().map_err(|failure| Error::CannotRun(failure.message.clone()))?;
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
    if let Some(unknown) = settings.exclude.iter().find(|name| !there.contains(name)) {
        return Err(Error::Usage(format!("there is no node '{unknown}' to leave out. Nodes: {}", names())));
    }
    narrow(chosen, settings)
}

/// Without those to be left out, and only this run's slice.
fn narrow(mut chosen: Vec<String>, settings: &Settings) -> Result<Vec<String>, Error> {
    chosen.sort();
    chosen.dedup();
    chosen.retain(|name| !settings.exclude.contains(name));
    if chosen.is_empty() {
        return Err(Error::Usage("--exclude-node leaves no node to judge".to_owned()));
    }
    // A slice of few nodes may hold none, and says so with an empty report.
    chosen.retain(|name| settings.shard.is_none_or(|shard| shard.holds(name)));
    Ok(chosen)
}
