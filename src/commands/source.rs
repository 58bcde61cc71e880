//! Opens the source of a command, a cluster or saved evidence, and hands it to the command with the chosen nodes.

use std::path::Path;
use std::sync::Arc;

use tokio::time::{Instant, timeout};

use super::nodes;
use crate::base::cluster_settings::ClusterSettings;
use crate::base::error::Error;
use crate::base::source_kind::SourceKind;
use crate::gather::Source;
use crate::gather::live;
use crate::gather::live::Live;
use crate::gather::saved;
use crate::gather::saved::Saved;
use crate::gather::spool::Spooled;
use crate::kubernetes::inventory::Inventory;
use crate::progress::Progress;
use crate::report::SourceInfo;
use crate::settings::{EvidenceFrom, NodeChoice, Settings, note_on_ssh};

/// What a command does with nodes once they are chosen.
pub(super) trait Work {
    /// What comes of it.
    type Done;
    /// Whether there has to be a node.
    const NEEDS_NODES: bool = true;
    /// Where it is shown how much of an archive was read; none where only its lists are.
    fn progress(&self) -> Option<&Progress> {
        None
    }
    /// Does it.
    async fn on<S: Source>(&self, opened: Opened<'_, S>) -> Result<Self::Done, Error>;
}

/// What was opened to be looked at, and how.
pub(super) struct Opened<'a, S> {
    /// Where evidence comes from.
    pub(super) source: &'a S,
    /// The cluster's lists.
    pub(super) inventory: &'a Inventory,
    /// The nodes that were chosen.
    pub(super) nodes: &'a [String],
    /// How they are looked at.
    pub(super) settings: &'a Settings,
    /// What a report says of the source.
    pub(super) about: SourceInfo,
}

/// Opens what is looked at, chooses the nodes, and does the work.
pub(super) async fn look<W: Work>(settings: &Settings, work: &W) -> Result<W::Done, Error> {
    match &settings.evidence {
        EvidenceFrom::Path(path) => Box::pin(look_saved(path, settings, work)).await,
        EvidenceFrom::Cluster(cluster) => Box::pin(look_live(cluster, settings, work)).await,
    }
}

async fn look_saved<W: Work>(path: &Path, settings: &Settings, work: &W) -> Result<W::Done, Error> {
    let path_shown = Some(path.display().to_string());
    let spooled = spooled(path).await?;
    let bytes = spooled.as_ref().map_or(path, Spooled::path);
    let meter = work.progress().filter(|_| bytes.is_file()).map(Progress::meter).unwrap_or_default();
    let choose = |inventory: &Inventory, there: Vec<String>| {
        if W::NEEDS_NODES { nodes::choose(settings, inventory, &there, true) } else { Ok(there) }
    };
    match saved::open_copy(bytes, path, &Arc::new(meter)).await? {
        Saved::Archive(archive) => {
            let inventory = archive.inventory().await;
            let nodes = choose(&inventory, archive.nodes(&inventory).into_iter().collect())?;
            archive.expect(&nodes);
            let about = SourceInfo::saved(archive.kind(), None, path_shown);
            work.on(Opened { source: &archive, inventory: &inventory, nodes: &nodes, settings, about }).await
        }
        Saved::Bundle(bundle) => {
            let inventory = bundle.inventory().await;
            let there: Vec<String> = bundle.nodes(&inventory).into_iter().collect();
            if let Some(error) = bundle.breaks_off(path).filter(|_| W::NEEDS_NODES && there.is_empty()) {
                return Err(error);
            }
            let mut nodes = choose(&inventory, there)?;
            bundle.in_order(&mut nodes);
            let context = bundle.context().map(str::to_owned);
            let about = SourceInfo::saved(SourceKind::Bundle, context, path_shown);
            work.on(Opened { source: &bundle, inventory: &inventory, nodes: &nodes, settings, about }).await
        }
    }
}

/// A copy of what can be read only once.
pub(super) async fn spooled(path: &Path) -> Result<Option<Spooled>, Error> {
    let (taken, shown) = (path.to_owned(), path.display());
    let done = tokio::task::spawn_blocking(move || Spooled::take(&taken)).await;
    let done = done.map_err(|error| Error::bug("cannot read").because(error))?;
    done.map_err(|error| Error::cannot_read(format!("cannot read {shown}")).because(error))
}

async fn look_live<W: Work>(cluster: &ClusterSettings, settings: &Settings, work: &W) -> Result<W::Done, Error> {
    let begun = Instant::now();
    if let (Some(note), Some(progress)) = (note_on_ssh(cluster), work.progress()) {
        progress.say(note);
    }
    let live = within(settings, begun, live::connect(cluster, &settings.diagnose.questions, settings.diagnose.timeout))
        .await??;
    let looked = look_at(&live, settings, begun, work).await;
    // Also after an error: connections to nodes are not left behind.
    live.close().await;
    looked
}

async fn look_at<W: Work>(live: &Live, settings: &Settings, begun: Instant, work: &W) -> Result<W::Done, Error> {
    let inventory = within(settings, begun, live.inventory()).await?;
    let nodes = match (inventory.nodes.some(), &settings.nodes) {
        (Ok(nodes), _) => {
            let there: Vec<String> = nodes.iter().map(|node| node.metadata.name.to_string()).collect();
            nodes::choose(settings, &inventory, &there, false)?
        }
        // Without the right to list nodes one can still be looked at by its name.
        (Err(_), NodeChoice::Named(named)) => nodes::narrow(named.clone(), settings)?,
        (Err(failure), _) => return Err(Error::from(failure.clone()).context("cannot list the nodes")),
    };
    let about = SourceInfo::live(live.context().map(str::to_owned));
    let mut settings = settings.clone();
    settings.diagnose.deadline = settings.diagnose.deadline.map(|whole| whole.saturating_sub(begun.elapsed()));
    work.on(Opened { source: live, inventory: &inventory, nodes: &nodes, settings: &settings, about }).await
}

/// What comes before the nodes counts against the run's deadline as well.
async fn within<T>(settings: &Settings, begun: Instant, what: impl Future<Output = T>) -> Result<T, Error> {
    let Some(whole) = settings.diagnose.deadline else { return Ok(what.await) };
    timeout(whole.saturating_sub(begun.elapsed()), what).await.map_err(|_| {
        Error::cannot_reach("cannot look at any node: the deadline passed before the cluster's lists came")
            .with_hint("raise --deadline")
    })
}
