//! The world behind one trait.
//!
//! A [`Source`] answers questions about a cluster: a live cluster, or a bundle that was saved from one. Everything
//! that comes back is raw: bytes, how they ended, what was asked, when, and how long it took. What the bytes mean is
//! decided further down the walk, in [`crate::cilium`] and [`crate::checks`].

pub mod archive;
pub mod bundle;
pub mod live;
pub mod probes;
pub mod reading;
pub mod save;
pub mod saved;
pub mod spool;
pub mod supplement;

use crate::base::answer::{Answer, End, Raw, SMALL_OUTPUT};
use crate::base::evidence::Evidence;
use crate::base::failure::{Failure, FailureKind};
use crate::base::pod_ref::PodRef;
use crate::kubernetes::cluster_map::ClusterMap;
use crate::kubernetes::inventory::{Inventory, Listed};
use crate::kubernetes::objects::{EndpointSlice, Event, Service};
use supplement::SymptomSource;

/// One question to a [`Source`].
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The node it is about.
    pub node: &'a str,
    /// The evidence.
    pub evidence: Evidence,
    /// The Cilium agent's pod on the node, where there is one that runs.
    pub agent: Option<&'a PodRef>,
    /// Who probes: only for the three pod probes.
    pub probe: Option<Probe<'a>>,
}

/// The pod that runs a probe.
#[derive(Clone, Copy, Debug)]
pub struct Probe<'a> {
    /// 1 for the first pod of the node that was tried, 2 for the second, …
    pub slot: usize,
    /// The pod.
    pub pod: &'a PodRef,
    /// Whether no other pod is left to ask: then one without a shell is worth being tried tool by tool.
    pub last: bool,
}

/// Where standard output goes, chunk by chunk, as it comes.
pub type Sink<'a> = &'a mut dyn FnMut(&[u8]);

/// Where a thread that reads may send a share of standard output by itself: pieces that each end with a line, but for the
/// last.
pub type SecondSink = Box<dyn FnMut(&[u8]) + Send>;

/// The world: a live cluster or something that was saved from one.
pub trait Source {
    /// The cluster's lists. Each list that could not be read carries the reason.
    async fn inventory(&self) -> Inventory;

    /// The pods that may be asked to probe from this node, best first, at most three.
    fn probe_pods(&self, node: &str, cluster: &ClusterMap<'_>) -> Vec<PodRef>;

    /// Whether it was saved, so that a further question costs the cluster nothing.
    fn is_saved(&self) -> bool {
        false
    }

    /// How many nodes may be looked at at once, at most.
    fn at_once(&self) -> usize {
        usize::MAX
    }

    /// The agent whose dump was kept beside this node as its neighbour's, if the bundle names it.
    fn kept_neighbour(&self, _node: &str) -> Option<PodRef> {
        None
    }

    /// How often it said so far that it is too busy and should be asked later.
    fn refusals(&self) -> u64 {
        0
    }

    /// Cluster DNS as the API has it now, once more: its services and their endpoint slices. None where there is no
    /// "now".
    async fn cluster_dns_now(&self) -> Option<(Listed<Service>, Listed<EndpointSlice>)> {
        None
    }

    /// The nodes and the agents' pods as the API has them now, without any other list. None where there is no "now".
    async fn agents_now(&self) -> Option<Inventory> {
        None
    }

    /// Asks one question; standard output goes to `out` as it comes. Always ends: every implementation has a
    /// deadline of its own.
    async fn ask(&self, question: &Question<'_>, out: Sink<'_>) -> Answer;

    /// The same of a large table, whose lines may come in any order. Where its bytes lie at hand, a share of the lines goes to
    /// `second`, on the thread that reads them.
    async fn ask_table(&self, question: &Question<'_>, out: Sink<'_>, second: SecondSink) -> Answer {
        drop(second);
        self.ask(question, out).await
    }

    /// Shows the events of one reason to `each`, one after the other, so that they need not be held in memory.
    ///
    /// # Errors
    ///
    /// Why they cannot be read; `each` may have seen some.
    async fn events(&self, reason: &str, inventory: &Inventory, each: &mut dyn FnMut(&Event)) -> Result<(), Failure> {
        let events = inventory.events.some().map_err(Clone::clone)?;
        events.iter().filter(|event| event.reason == reason).for_each(each);
        Ok(())
    }

    /// Asks for supplementary evidence. Recognizable credentials are redacted in the answer.
    ///
    /// # Errors
    ///
    /// Why it cannot be read; [`FailureKind::NotFound`] if it does not exist.
    async fn further(&self, _what: &SymptomSource<'_>) -> Result<Vec<u8>, Failure> {
        Err(Failure::new(FailureKind::NotFound, "not in the saved evidence"))
    }

    /// Asks one question whose answer is small enough to be held.
    async fn ask_small(&self, question: &Question<'_>) -> Raw {
        let mut stdout = Vec::new();
        let mut over = false;
        let mut keep = |chunk: &[u8]| {
            let room = SMALL_OUTPUT.saturating_sub(stdout.len());
            over |= chunk.len() > room;
            stdout.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
        };
        let mut answer = self.ask(question, &mut keep).await;
        if over {
            let message = format!("the output exceeds {} MiB and was cut off", SMALL_OUTPUT >> 20);
            answer.end = End::Failed(Failure::new(FailureKind::Truncated, message));
        }
        Raw { answer, stdout }
    }
}
