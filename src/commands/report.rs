//! `staledp report NODE`: one redacted archive of a node's evidence, and an issue for upstream in Markdown.
//!
//! The issue is written from the redacted bundle, read back: what stands in it is in the archive, and nothing else can be.

use std::path::Path;
use std::sync::Arc;

use super::printing::Terminal;
use super::source::{Opened, Work, look};
use crate::base::answer::{End, Raw};
use crate::base::error::Error;
use crate::base::evidence::Evidence;
use crate::base::exit::Exit;
use crate::base::pod_ref::PodRef;
use crate::base::source_kind::SourceKind;
use crate::cilium::{agent_config, agent_log, status};
use crate::cli::symptoms::SymptomArgs;
use crate::cli::{ReportArgs, SaveArgs, TargetArgs};
use crate::diagnose::tables::restart_changes;
use crate::diagnose::{DiagnoseSettings, Silent, diagnose};
use crate::gather::bundle::Bundle;
use crate::gather::reading::Meter;
use crate::gather::save::{Partial, Run, Saving, pack};
use crate::gather::saved::{self, Saved};
use crate::gather::{Question, Source};
use crate::kubernetes::inventory::Inventory;
use crate::kubernetes::objects::Event;
use crate::progress::Progress;
use crate::report::SourceInfo;
use crate::report::upstream::{NodeLook, UpstreamIssue, markdown};
use crate::settings::Settings;

/// The folder of the second bundle, within the first.
const AFTER: &str = "after";
/// The issue's name in the archive.
const ISSUE: &str = "report.md";

/// Saves the archive and prints the issue.
pub(super) async fn run(args: ReportArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let ReportArgs { node, from, after, to, cluster, look: how } = args;
    let target = TargetArgs {
        node: node.into_iter().collect(),
        all_nodes: false,
        selector: None,
        exclude_node: Vec::new(),
        fail_if_none: false,
        shard: None,
        from,
        deadline: None,
        look: how,
    };
    let settings = Settings::resolve(cluster, target, SymptomArgs::default(), SaveArgs::default());
    let progress = terminal.progress_until_the_end();
    let name = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = Partial(to.with_file_name(format!(".partial-{}-{}", std::process::id(), name.replace('.', "-"))));
    let write = Write { progress: &progress, folder: &folder.0, after: after.as_deref() };
    let written = terminal.signals.or_interrupted(look(&settings, &write)).await;
    progress.clear();
    let issue = written?;
    let text = markdown(&issue);
    let file = folder.0.join(ISSUE);
    std::fs::write(&file, &text)
        .map_err(|error| Error::cannot_read(format!("cannot write {}", file.display())).because(error))?;
    if let Some(older) = pack(&folder.0, &to)? {
        terminal.say(&format!("existing archive moved to {}", older.display()));
    }
    terminal.say(&format!("saved: {}; redacted; check its logs, and the issue, before you share them", to.display()));
    terminal.print(text).await?;
    Ok(Exit::Healthy)
}

/// Keeps a node's evidence redacted, and reads back what an issue needs.
struct Write<'a> {
    progress: &'a Progress,
    /// Where the redacted bundles lie until they are packed.
    folder: &'a Path,
    /// The evidence of after the restart.
    after: Option<&'a Path>,
}

impl Work for Write<'_> {
    type Done = UpstreamIssue;

    fn progress(&self) -> Option<&Progress> {
        Some(self.progress)
    }

    async fn on<S: Source>(&self, opened: Opened<'_, S>) -> Result<UpstreamIssue, Error> {
        let Opened { source, inventory, nodes, settings, about } = opened;
        let [node] = nodes else {
            let hint = format!("nodes: {}", nodes.join(", "));
            return Err(Error::usage("a report is about one node: name it").with_hint(hint));
        };
        let settings = &settings.diagnose;
        let argv = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        let run = Run { argv, timeout: settings.timeout, redact: Some(settings.questions.addresses()) };
        let saving = Saving::create(source, self.folder, &run)?;
        saving.keep(inventory);
        diagnose(&saving, inventory, nodes, settings, about, self.progress).await;
        // As the redacted bundles call them.
        let shown = saving.shown(node);
        let mut read_back = settings.clone();
        let questions = &mut read_back.questions;
        questions.cilium_namespace = questions.cilium_namespace.as_deref().map(|name| saving.shown(name));
        questions.dns_service = questions
            .dns_service
            .as_ref()
            .map(|service| PodRef { namespace: saving.shown(&service.namespace), name: saving.shown(&service.name) });
        questions.probe_pods = Vec::new();
        let after_folder = self.folder.join(AFTER);
        match self.after {
            None => drop(saving.finish()?),
            Some(path) => match saved::open(path, &Arc::new(Meter::default())).await? {
                Saved::Bundle(bundle) => self.keep_after(saving, &bundle, &run, nodes, settings).await?,
                Saved::Archive(archive) => self.keep_after(saving, &archive, &run, nodes, settings).await?,
            },
        }
        let before = node_look(self.folder, &shown, &read_back).await?;
        let after = match self.after {
            Some(_) => {
                let since_start = DiagnoseSettings { since_agent_start: true, ..read_back };
                Some(node_look(&after_folder, &shown, &since_start).await?)
            }
            None => None,
        };
        let changed = match &after {
            Some(_) => Some(restart_changes(self.folder, &after_folder, &shown).await?),
            None => None,
        };
        Ok(UpstreamIssue { before, after, changed })
    }
}

impl Write<'_> {
    /// Keeps the evidence of after the restart, under the same names.
    async fn keep_after<S: Source, T: Source>(
        &self,
        before: Saving<'_, S>,
        source: &T,
        run: &Run,
        nodes: &[String],
        settings: &DiagnoseSettings,
    ) -> Result<(), Error> {
        let saving = before.then(source, &self.folder.join(AFTER), run)?;
        let inventory = source.inventory().await;
        saving.keep(&inventory);
        let about = SourceInfo::saved(SourceKind::Bundle, None, None);
        diagnose(&saving, &inventory, nodes, settings, about, &Silent).await;
        saving.finish().map(drop)
    }
}

/// One look at a node, as the redacted bundle in a folder has it.
async fn node_look(folder: &Path, node: &str, settings: &DiagnoseSettings) -> Result<NodeLook, Error> {
    let bundle = Bundle::open(folder)?;
    let inventory = bundle.inventory().await;
    let captured_at = inventory.origin.captured_at;
    let about = SourceInfo::saved(SourceKind::Bundle, None, None);
    let named = DiagnoseSettings { named: true, ..settings.clone() };
    let mut report = diagnose(&bundle, &inventory, &[node.to_owned()], &named, about, &Silent).await;
    let judged = report.nodes.pop().ok_or_else(|| Error::bug("the redacted bundle lacks the node"))?;
    let listed = inventory.nodes.whole();
    let found = inventory.nodes.known().iter().find(|listed| listed.metadata.name == node);
    Ok(NodeLook {
        captured_at: captured_at.map(|at| at.to_string()),
        info: found.map(|found| found.status.node_info.clone()),
        nodes: listed.map(<[_]>::len),
        status: read(&bundle, node, Evidence::AgentStatus, |text| status::parse(text).ok()).await,
        config: read(&bundle, node, Evidence::AgentConfig, agent_config::parse).await,
        log: read(&bundle, node, Evidence::AgentLog, |text| Some(agent_log::parse(text))).await,
        events: events(&inventory, node),
        node: judged,
    })
}

async fn read<T>(bundle: &Bundle, node: &str, evidence: Evidence, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    let Raw { answer, stdout } = bundle.ask_small(&Question { node, evidence, agent: None, probe: None }).await;
    // The settings come with exit code 2, as some have no file.
    let has_ended = matches!(answer.end, End::Exited(_));
    has_ended.then(|| parse(&String::from_utf8_lossy(&stdout))).flatten()
}

/// The events about a node and its pods.
fn events(inventory: &Inventory, node: &str) -> Vec<Event> {
    let pods = inventory.pods.known().iter().filter(|pod| pod.spec.node_name == node);
    let pods: std::collections::HashSet<(&str, &str)> =
        pods.map(|pod| (pod.metadata.namespace.as_str(), pod.metadata.name.as_str())).collect();
    let is_here = |event: &&Event| {
        let object = &event.involved_object;
        event.source.host == node
            || (object.kind == "Node" && object.name == node)
            || (object.kind == "Pod" && pods.contains(&(object.namespace.as_str(), object.name.as_str())))
    };
    inventory.events.known().iter().filter(is_here).cloned().collect()
}
