//! Step 8, with --watch: watches whether the repair lasts. Only new faults count: single flows that get no
//! answer, failed probes, and the agent itself. A look costs three calls: the node's pods, its dump, the events.
//!
//! What looks wrong, or could not be looked at, is looked at again at once, with the pods of that moment: a pod that ends
//! leaves a question behind that stays unanswered.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::FixContext;
use super::lock::Lock;
use super::objects::AgentPod;
use crate::base::failure::Failure;
use crate::base::pod_ref::PodRef;
use crate::diagnose::DiagnoseSettings;
use crate::diagnose::glance;
use crate::gather::Source as _;
use crate::kubernetes::inventory::Inventory;
use crate::kubernetes::objects::Pod;
use crate::report::text::count;
use crate::symptoms::probes::Tally;
use crate::ways::group::Group;
use crate::ways::picture::{Flow, Picture};

/// About so many looks, whatever the time.
const LOOKS: u32 = 12;
/// But no closer than this.
const CLOSEST: Duration = Duration::from_secs(5);
/// And no farther: an entry without answer lives for a minute.
const FARTHEST: Duration = Duration::from_secs(30);
/// Before what looks wrong is looked at again.
const AGAIN: Duration = Duration::from_secs(2);
/// Who could not look for so long may have missed something.
const BLIND: Duration = Duration::from_secs(60);
/// How many flows or probes are named.
const MOST_NAMED: usize = 5;

/// What came of watching.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Watched {
    /// For how long, in seconds.
    pub seconds: u64,
    /// How many looks there were.
    pub looks: u32,
    /// New flows without answer, by name.
    pub flows: Vec<String>,
    /// New failed probes, by name.
    pub probes: Vec<String>,
    /// What is wrong with the agent.
    pub agent: Option<String>,
    /// Why it could not be watched.
    pub blind: Option<String>,
}

impl Watched {
    /// What was seen, in a few words.
    pub(super) fn says(&self) -> String {
        let looks = count(self.looks as usize, "observation", "observations");
        let what = if self.wrong().is_empty() { "nothing new" } else { "something broke" };
        format!("{what} in {looks} over {} s", self.seconds)
    }

    /// Everything that speaks against success, in sentences; empty: nothing.
    pub(super) fn wrong(&self) -> Vec<String> {
        let mut wrong: Vec<String> = self.agent.iter().cloned().collect();
        let mut add = |found: &[String], one: &str, many: &str| {
            if !found.is_empty() {
                let named = found.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join("; ");
                let more = found.len().saturating_sub(MOST_NAMED);
                let more = if more > 0 { format!("; and {more} more") } else { String::new() };
                wrong.push(format!("{}: {named}{more}", count(found.len(), one, many)));
            }
        };
        add(&self.flows, "new unanswered flow", "new unanswered flows");
        add(&self.probes, "new failed probe", "new failed probes");
        wrong.extend(self.blind.iter().map(|why| format!("could not watch: {why}")));
        wrong
    }
}

/// Watches until the time is over or something is wrong.
pub(super) async fn watch(cx: &FixContext<'_>, node: &str, new: &AgentPod, lock: &Lock<'_>, span: Duration) -> Watched {
    let begin = Instant::now();
    let ends = begin + span;
    let pause = (span / LOOKS).clamp(CLOSEST, FARTHEST);
    let mut inventory = cx.live.inventory().await;
    let mut watched = Watched::default();
    let mut first: Option<Baseline> = None;
    let mut compared = false;
    let mut seen_at = begin;
    loop {
        // Losing the lock now endangers nothing: there is no second deletion.
        let _ = lock.renew(false).await;
        watched.looks += 1;
        let mut sight = take_sight(cx, node, &mut inventory).await;
        if sight.is_err() {
            sleep(AGAIN).await;
            sight = take_sight(cx, node, &mut inventory).await;
        }
        watched.blind = sight.as_ref().err().map(|failure| failure.message.clone());
        if let Ok(sight) = sight {
            seen_at = Instant::now();
            match &first {
                None => first = Some(Baseline::new(&sight)),
                Some(first) => {
                    compared = true;
                    let news = first.news(new, &sight);
                    if !news.is_empty() {
                        sleep(AGAIN).await;
                        match take_sight(cx, node, &mut inventory).await {
                            Ok(again) => {
                                let news = news.and(&first.news(new, &again));
                                watched.flows = news.flows.iter().map(|flow| name(flow, &again.pods)).collect();
                                watched.probes = news.probes.into_iter().map(|(_, says)| says).collect();
                                watched.agent = news.agent;
                            }
                            Err(why) => watched.blind = Some(why.message),
                        }
                    }
                }
            }
        }
        watched.seconds = begin.elapsed().as_secs();
        let is_blind = watched.blind.is_some() && seen_at.elapsed() >= BLIND;
        let is_over = Instant::now() >= ends || is_blind;
        if is_over && !compared {
            watched.blind.get_or_insert_with(|| "only one observation succeeded: nothing to compare".to_owned());
        }
        if is_over || !(watched.flows.is_empty() && watched.probes.is_empty() && watched.agent.is_none()) {
            return watched;
        }
        sleep(pause.min(ends.saturating_duration_since(Instant::now()))).await;
    }
}

/// One observation.
struct Sight {
    picture: Box<Picture>,
    probes: Tally,
    /// The pods of the node that are not being ended.
    pods: Vec<Pod>,
}

async fn take_sight(cx: &FixContext<'_>, node: &str, inventory: &mut Inventory) -> Result<Sight, Failure> {
    let settings = DiagnoseSettings { since_agent_start: true, ..cx.settings.look.clone() };
    let pods = cx.live.pods_on(node, inventory).await?;
    let picture = glance(cx.live, inventory, node, &settings).await?;
    let mut probes = Tally::default();
    cx.live.events("Unhealthy", inventory, &mut |event| probes.take(event)).await?;
    Ok(Sight { picture, probes, pods })
}

/// What was there when the watch began: old news.
struct Baseline {
    flows: HashSet<Flow>,
    /// Endpoints none of whose flows of a group were answered.
    silent: HashSet<(Group, IpAddr)>,
    probes: Tally,
    /// The pods that were ready.
    ready: HashSet<PodRef>,
}

/// The new faults.
#[derive(Debug, Default, PartialEq, Eq)]
struct News {
    flows: Vec<Flow>,
    /// Whose probe, and how it is reported.
    probes: Vec<(PodRef, String)>,
    agent: Option<String>,
}

impl News {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The faults that a second observation confirms.
    fn and(self, again: &Self) -> Self {
        Self {
            flows: self.flows.into_iter().filter(|flow| again.flows.contains(flow)).collect(),
            probes: again.probes.clone(),
            agent: self.agent.and(again.agent.clone()),
        }
    }
}

impl Baseline {
    fn new(sight: &Sight) -> Self {
        let silent = sight.picture.endpoints.iter().flat_map(|endpoint| {
            let of = move |group: &Group| endpoint.group(*group).answered == 0 && endpoint.group(*group).dead() > 0;
            Group::ALL.iter().copied().filter(of).filter_map(|group| Some((group, endpoint.address?)))
        });
        let ready = sight.pods.iter().filter(|pod| pod.ready() == Some(true)).map(Pod::reference);
        Self {
            flows: unanswered(&sight.picture).iter().copied().collect(),
            silent: silent.collect(),
            probes: sight.probes.clone(),
            ready: ready.collect(),
        }
    }

    fn news(&self, new: &AgentPod, sight: &Sight) -> News {
        let flows = unanswered(&sight.picture).iter().filter(|flow| self.is_new(flow, &sight.picture));
        News { flows: flows.copied().collect(), probes: self.failed(sight), agent: agent(new, &sight.pods) }
    }

    /// Whether a flow without answer is news, and the datapath's. DNS inside the cluster always answers, and so does a
    /// pod whose kubelet probes it: one flow is enough. Elsewhere the far end may be at fault, so there it takes an
    /// endpoint that gets no answer from anybody on that way, and did before.
    fn is_new(&self, flow: &Flow, picture: &Picture) -> bool {
        if self.flows.contains(flow) {
            return false;
        }
        match flow.group {
            Group::NodeLocalDns | Group::ClusterDns | Group::HostToPod => true,
            Group::GoneDns | Group::PodToGone | Group::Probe => false,
            group => {
                let of = picture.endpoints.iter().find(|endpoint| endpoint.address == Some(flow.local));
                of.is_some_and(|endpoint| endpoint.group(group).answered == 0)
                    && !self.silent.contains(&(group, flow.local))
            }
        }
    }

    /// The node's probes that failed since: those without an answer, and all others of pods that were ready. A
    /// pod that keeps refusing, or refuses while it starts, has reasons of its own.
    fn failed(&self, sight: &Sight) -> Vec<(PodRef, String)> {
        let mut found = Vec::new();
        for failing in sight.probes.failing() {
            let on_node = sight.pods.iter().any(|pod| pod.reference() == *failing.pod && !pod.spec.host_network);
            let before = self.probes.failing().find(|before| before.is_same(&failing));
            let since = failing.count.saturating_sub(before.as_ref().map_or(0, |before| before.count));
            let own_affair = before.is_some_and(|before| before.answered) || !self.ready.contains(failing.pod);
            if on_node && since > 0 && !(failing.answered && own_affair) {
                let times = if since == 1 { String::new() } else { format!(" {since} times") };
                let says = format!("{} probe of {} failed{times}: {}", failing.probe, failing.pod, failing.says);
                found.push((failing.pod.clone(), says));
            }
        }
        found
    }
}

fn unanswered(picture: &Picture) -> &[Flow] {
    picture.unanswered.as_ref().map_or(&[], |unanswered| &unanswered.flows)
}

/// What is wrong with the new agent.
fn agent(new: &AgentPod, pods: &[Pod]) -> Option<String> {
    let name = &new.metadata.name;
    let Some(now) = pods.iter().find(|pod| pod.metadata.uid == new.metadata.uid) else {
        return Some(format!("the agent {name} is gone"));
    };
    let restarts = |name: &str| now.container(name).map_or(0, |status| status.restart_count);
    let again = new.status.container_statuses.iter().find(|status| restarts(&status.name) > status.restart_count);
    if let Some(status) = again {
        return Some(format!("container {} of {name} restarted", status.name));
    }
    (now.ready() != Some(true)).then(|| format!("the agent {name} is no longer ready"))
}

/// `apps/web-1: 10.42.1.10:30001 -> 169.254.25.10:53 (pods to node-local DNS)`.
fn name(flow: &Flow, pods: &[Pod]) -> String {
    let pod = pods.iter().find(|pod| !pod.spec.host_network && pod.ips().any(|ip| ip == flow.local));
    let pod = pod.map(|pod| format!("{}: ", pod.reference())).unwrap_or_default();
    format!("{pod}{} -> {} ({})", flow.from, flow.to, flow.group.label())
}
