//! Which nodes `gate` judges: those that were named or selected, or those that changed.

use std::collections::{BTreeMap, BTreeSet};

use super::nodes::{choose, narrow};
use crate::base::error::Error;
use crate::base::time::{Timestamp, moment};
use crate::kubernetes::agents::is_agent;
use crate::kubernetes::cluster_map::ClusterMap;
use crate::kubernetes::inventory::Inventory;
use crate::kubernetes::objects::{Pod, REVISION_LABEL};
use crate::kubernetes::settled::{EarlierAgent, agent_changed, what_changed};
use crate::report::{NodeReport, Report};
use crate::settings::{GateSettings, NodeChoice, Settings};

/// Which nodes are judged, and what is left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Chosen {
    /// Why each is judged, by its name.
    pub(super) nodes: BTreeMap<String, String>,
    /// Nodes that did not change.
    pub(super) unchanged: Vec<String>,
    /// Nodes of the baseline that are not there any more, and were not named.
    pub(super) gone: Vec<String>,
    /// Nodes of the baseline that were named and are not there any more.
    pub(super) missing: Vec<String>,
}

/// How nodes are chosen.
pub(super) struct Choice<'a> {
    look: &'a Settings,
    baseline: BTreeMap<&'a str, &'a NodeReport>,
    /// From when on a change counts; none where all nodes that were named or selected are judged.
    since: Option<Timestamp>,
    /// Whether changes are those since the baseline, so that its agents count.
    since_baseline: bool,
}

impl<'a> Choice<'a> {
    /// By what was typed and the baseline; `context` is that of the nodes now.
    pub(super) fn new(
        settings: &'a GateSettings,
        report: &'a Report,
        context: Option<&str>,
        inventory: &Inventory,
    ) -> Result<Self, Error> {
        // Of a fleet only the nodes of this cluster are meant: names are used again elsewhere.
        let is_ours = |node: &&NodeReport| node.context.is_none() || node.context.as_deref() == context;
        let baseline = report.nodes.iter().filter(is_ours).map(|node| (node.node.as_str(), node)).collect();
        let now = inventory.origin.captured_at.unwrap_or_else(crate::base::clock::now);
        let since_baseline = settings.since.is_none() && settings.look.nodes == NodeChoice::Unsaid;
        let since = match settings.since {
            Some(since) => Some(since.before(now).ok_or_else(|| Error::usage("--since lies before all time"))?),
            None if since_baseline => {
                let at = report.source.captured_at.as_deref().unwrap_or(&report.generated_at);
                let unknown =
                    || Error::cannot_read("the baseline does not say when it was made").with_hint("use --since");
                Some(moment(at).ok_or_else(unknown)?)
            }
            None => None,
        };
        Ok(Self { look: &settings.look, baseline, since, since_baseline })
    }

    /// Whether nodes are judged because they changed.
    pub(super) const fn is_by_change(&self) -> bool {
        self.since.is_some()
    }

    /// From when on a change counts.
    pub(super) const fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// A node in the baseline.
    pub(super) fn before(&self, node: &str) -> Option<&'a NodeReport> {
        self.baseline.get(node).copied()
    }

    /// The nodes to judge by these lists; `there` are all nodes.
    ///
    /// # Errors
    ///
    /// A usage error for a name that is neither there nor in the baseline.
    pub(super) fn nodes(&self, lists: &Inventory, there: &[String]) -> Result<Chosen, Error> {
        let mut chosen = Chosen::default();
        let is_there: BTreeSet<&str> = there.iter().map(String::as_str).collect();
        let is_gone = |name: &&str| !is_there.contains(*name);
        let selected = match &self.look.nodes {
            NodeChoice::Named(named) => {
                let (gone, here): (Vec<String>, Vec<String>) =
                    named.iter().cloned().partition(|name| is_gone(&name.as_str()) && self.before(name).is_some());
                chosen.missing = gone;
                let look = Settings { nodes: NodeChoice::Named(here.clone()), ..self.look.clone() };
                if here.is_empty() { Vec::new() } else { choose(&look, lists, there, false)? }
            }
            NodeChoice::Unsaid | NodeChoice::All => narrow(there.to_vec(), self.look)?,
            NodeChoice::Labelled(_) => choose(self.look, lists, there, false)?,
        };
        let missing: BTreeSet<&str> = chosen.missing.iter().map(String::as_str).collect();
        let gone = self.baseline.keys().copied().filter(is_gone).filter(|name| !missing.contains(name));
        chosen.gone = gone.map(str::to_owned).collect();
        let map = ClusterMap::new(lists, self.look.diagnose.questions.named());
        for node in selected {
            match self.why(&node, &map) {
                Some(because) => drop(chosen.nodes.insert(node, because)),
                None => chosen.unchanged.push(node),
            }
        }
        Ok(chosen)
    }

    /// The same by newer lists; lists that could not be read change nothing.
    pub(super) fn again(&self, lists: &Inventory, last: Chosen) -> Chosen {
        let (Ok(nodes), Ok(_)) = (lists.nodes.some(), lists.pods.some()) else { return last };
        let there: Vec<String> = nodes.iter().map(|node| node.metadata.name.to_string()).collect();
        self.nodes(lists, &there).unwrap_or(last)
    }

    /// Why a node is judged; none where it did not change, or Cilium is not meant for it.
    fn why(&self, node: &str, map: &ClusterMap<'_>) -> Option<String> {
        let Some(since) = self.since else {
            return Some(match &self.look.nodes {
                NodeChoice::Named(_) => "named".to_owned(),
                NodeChoice::Labelled(labels) => format!("it has the labels {labels}"),
                NodeChoice::All | NodeChoice::Unsaid => "all nodes are judged".to_owned(),
            });
        };
        if map.why_not_meant(node).is_some() {
            return None;
        }
        let before = self.before(node).filter(|_| self.since_baseline);
        if self.since_baseline && before.is_none() {
            return Some("it is not in the baseline".to_owned());
        }
        what_changed(node, map, since, before.map(earlier))
    }
}

/// Whether the agent of a node is another than in its entry of the baseline; none where one of them is not known.
pub(super) fn has_other_agent(before: &NodeReport, node: &str, map: &ClusterMap<'_>) -> Option<bool> {
    agent_changed(node, map, earlier(before))
}

/// How many agents that are not judged belong to another revision of their DaemonSet than those that are.
pub(super) fn old_revision(lists: &Inventory, chosen: &Chosen) -> usize {
    let agents = || lists.pods.known().iter().filter(|pod| is_agent(pod) && pod.metadata.deletion_timestamp.is_none());
    let revision = |pod: &Pod| pod.metadata.labels.get(REVISION_LABEL).map(str::to_owned);
    let judged = agents().filter(|pod| chosen.nodes.contains_key(pod.spec.node_name.as_str()));
    let new: BTreeSet<String> = judged.filter_map(revision).collect();
    let unchanged: BTreeSet<&str> = chosen.unchanged.iter().map(String::as_str).collect();
    let old = agents().filter(|pod| unchanged.contains(pod.spec.node_name.as_str())).filter_map(revision);
    if new.is_empty() { 0 } else { old.filter(|revision| !new.contains(revision)).count() }
}

fn earlier(before: &NodeReport) -> EarlierAgent<'_> {
    EarlierAgent { pod: before.cilium.pod.as_deref(), started_at: before.cilium.started_at.as_deref() }
}
