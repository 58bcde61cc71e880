//! `staledp symptoms`: what the cluster already reports, by node.

use super::printing::{Terminal, style};
use super::saving;
use super::source::{Opened, Work, look};
use crate::base::cluster_settings::{ClusterSettings, Overrides};
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::program;
use crate::base::screen::Format;
use crate::cli::symptoms::SymptomsArgs;
use crate::diagnose::supplement;
use crate::gather::Source;
use crate::gather::live;
use crate::kubernetes::inventory::Inventory;
use crate::report::symptoms::{NotAsked, SymptomsReport, render, report};
use crate::report::{SourceInfo, json, text};
use crate::rules::remedy::quoted;
use crate::settings::{EvidenceFrom, Settings};

/// Looks for symptoms in the whole cluster and prints them.
pub(super) async fn run(args: SymptomsArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let SymptomsArgs { cluster, from, symptoms, save } = args;
    let settings = Settings::of_symptoms(cluster, from, symptoms, save);
    let read = Read { terminal };
    let found = terminal.signals.or_interrupted(async {
        match &settings.evidence {
            EvidenceFrom::Path(_) => look(&settings, &read).await,
            EvidenceFrom::Cluster(cluster) => read.live(cluster, &settings).await,
        }
    });
    let found = found.await?;
    let text = match terminal.screen.format {
        Format::Name => text::names(found.nodes.iter().map(|node| &*node.node)),
        Format::Table | Format::Wide | Format::Html | Format::Junit | Format::Prometheus => {
            render(&found, &style(&terminal.screen))
        }
        Format::Json => json::symptoms(&found, json::Form::Json)?,
        Format::Jsonl => json::symptoms(&found, json::Form::Jsonl)?,
        Format::Yaml => json::symptoms(&found, json::Form::Yaml)?,
    };
    terminal.print(text).await?;
    Ok(Exit::Healthy)
}

/// Reads symptoms, and keeps what they were read from where that is wanted.
struct Read<'a> {
    terminal: &'a Terminal,
}

impl Read<'_> {
    async fn live(&self, cluster: &ClusterSettings, settings: &Settings) -> Result<SymptomsReport, Error> {
        let live = live::connect(cluster, &settings.diagnose.questions, settings.diagnose.timeout).await?;
        let inventory = live.inventory_for_symptoms().await;
        if let (Err(pods), Err(nodes)) = (inventory.pods.some(), inventory.nodes.some()) {
            return Err(Error::cannot_reach(format!("cannot list the pods: {pods}; nor the nodes: {nodes}")));
        }
        let about = SourceInfo::live(live.context().map(str::to_owned));
        self.on(Opened { source: &live, inventory: &inventory, nodes: &[], settings, about }).await
    }
}

impl Work for Read<'_> {
    type Done = SymptomsReport;
    const NEEDS_NODES: bool = false;

    async fn on<S: Source>(&self, opened: Opened<'_, S>) -> Result<SymptomsReport, Error> {
        let Opened { source, inventory, settings, about, .. } = opened;
        let Some(save) = &settings.save else { return Ok(read(source, inventory, settings, about).await) };
        let saving = saving::begin(source, settings, save, inventory, self.terminal)?;
        let report = read(&saving, inventory, settings, about).await;
        saving::end(saving, self.terminal);
        Ok(report)
    }
}

async fn read<S: Source>(source: &S, inventory: &Inventory, settings: &Settings, about: SourceInfo) -> SymptomsReport {
    let wish = &settings.diagnose.symptoms;
    let found = supplement::read_symptoms(source, inventory, wish, None, settings.diagnose.timeout).await;
    let likeliest = found.ranked().first().copied().filter(|node| found.weight(node) > 0).map(quoted);
    let next = likeliest.map(|node| {
        let mut words = vec![format!("{} diagnose", program::name())];
        words.extend(how(&settings.evidence, about.context.as_deref()));
        words.push(format!("--node {node}"));
        words.join(" ")
    });
    let is_open = |asked: bool| !asked && !source.is_saved();
    let not_asked = [(NotAsked::LOGS, wish.logs), (NotAsked::BUFFERS, wish.prometheus.is_some())];
    let not_asked = not_asked.into_iter().filter(|(_, asked)| is_open(*asked)).map(|(what, _)| what).collect();
    let now = crate::base::clock::now();
    let about = about.dated(inventory.origin.captured_at, now);
    report(found, about, next, not_asked, now.to_string())
}

/// The options that lead to the same evidence again.
fn how(origin: &EvidenceFrom, context: Option<&str>) -> Vec<String> {
    let option = |name: &str, value: &str| format!("--{name}={}", quoted(value));
    match origin {
        EvidenceFrom::Path(path) => vec![format!("--from {}", quoted(&path.display().to_string()))],
        EvidenceFrom::Cluster(cluster) => {
            let mut how: Vec<String> = context.iter().map(|context| option("context", context)).collect();
            how.extend(cluster.kubeconfig.iter().map(|file| option("kubeconfig", &file.display().to_string())));
            let Overrides { cluster: named, user, server, token: _, as_uid } = &cluster.overrides;
            let typed = [("cluster", named), ("user", user), ("server", server), ("as-uid", as_uid)];
            how.extend(typed.iter().filter_map(|(name, value)| Some(option(name, value.as_ref()?))));
            how.extend(cluster.as_user.iter().map(|user| option("as", user)));
            how.extend(cluster.as_groups.iter().map(|group| option("as-group", group)));
            how
        }
    }
}
