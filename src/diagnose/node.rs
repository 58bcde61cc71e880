//! One node: gather, check, and ask for more where that could change the verdict.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::DiagnoseSettings;
use super::Observer;
use super::beyond::Counters;
use super::dump::DumpPass;
use crate::base::answer::{Answer, End, Raw};
use crate::base::evidence::Evidence;
use crate::base::failure::{Failure, FailureKind};
use crate::base::pod_ref::PodRef;
use crate::base::questions::Questions;
use crate::base::time::{Timestamp, seconds_between};
use crate::checks::dns_conntrack;
use crate::checks::dns_conntrack::Dump;
use crate::checks::pod_egress;
use crate::checks::pod_egress::ProbeRaw;
use crate::checks::{Finding, dns_backends, external_conntrack, host_ping};
use crate::gather::probes::choose;
use crate::gather::{Probe, Question, Source};
use crate::knowledge::code::Kind;
use crate::kubernetes::agents::Agent;
use crate::kubernetes::cluster_map::ClusterMap;
use crate::kubernetes::node_view::NodeView;
use crate::kubernetes::objects::Node;
use crate::kubernetes::pod_trouble::PodTrouble;
use crate::kubernetes::roles::Role;
use crate::report::{Check, CheckData};
use crate::rules;
use crate::rules::beyond::Beyond;
use crate::rules::case::Case;
use crate::rules::stale::service_map::service_map;
use crate::ways::dns::Dns;
use crate::ways::lens::Lens;
use crate::ways::picture::Picture;

/// How long an update of the service table may take to reach the agent and the kernel.
const UPDATE: Duration = Duration::from_secs(10);

/// Looks at one node.
pub(super) struct Looker<'a, S, O> {
    pub(super) source: &'a S,
    pub(super) cluster: &'a ClusterMap<'a>,
    pub(super) settings: &'a DiagnoseSettings,
    pub(super) observer: &'a O,
    pub(super) node: &'a str,
    /// When the whole run has to be over.
    pub(super) ends: Option<Instant>,
    /// What is known so far of nodes that are being looked at, for a run that is ended early.
    pub(super) so_far: &'a RefCell<HashMap<String, SoFar>>,
}

/// How long the first probe of a pod is waited for before the others begin beside it.
const HELD_UP: Duration = Duration::from_millis(500);

/// What is known so far of a node that is being looked at.
#[derive(Default)]
pub(super) struct SoFar {
    /// What is being done.
    pub(super) step: &'static str,
    /// The checks that are finished, as they stand now.
    pub(super) checks: Vec<Check>,
}

impl<S: Source, O: Observer> Looker<'_, S, O> {
    fn step(&self, step: &'static str) {
        self.so_far.borrow_mut().entry(self.node.to_owned()).or_default().step = step;
        self.observer.step(self.node, step);
    }

    /// A check is finished, for now.
    fn found<D: Clone + Into<CheckData>>(&self, finding: &Finding<D>) {
        self.so_far.borrow_mut().entry(self.node.to_owned()).or_default().checks.push(Check::from(finding));
    }

    /// Runs the five checks in order.
    pub(super) async fn look(&self) -> (Case, Vec<Check>) {
        let questions = &self.settings.questions;
        let mut around = NodeView::new(self.node, self.cluster);
        let deadline = Deadline::new(self.settings.timeout, self.ends);
        let agent = match &around.agent {
            Agent::Running(agent) => Some(agent.pod.clone()),
            Agent::Unknown(_) | Agent::NotRunning { .. } => None,
        };

        // The host, the pods that probe and the agent's container do not wait for each other. The drop counters are read
        // here and last: their second reading is then seconds apart without being waited for. What was saved is read in the
        // order in which it lies there.
        self.step("ping from the host, probes from a pod");
        let pinged = self.small(Evidence::HostPing, agent.as_ref(), None, &deadline);
        let (raw, counters, mut probes) = if self.source.is_saved() {
            (pinged.await, None, self.probes(agent.as_ref(), &deadline).await)
        } else {
            let counters = self.first_counters(agent.as_ref(), &deadline);
            let (raw, counters, probes) = tokio::join!(pinged, counters, self.probes(agent.as_ref(), &deadline));
            (raw, Some(counters), probes)
        };
        let own = around.found.iter().flat_map(Node::ips).collect();
        let host = host_ping::judge(&raw, questions.ping_target, own);
        self.found(&host);
        let due = counters.as_ref().map_or_else(Instant::now, Counters::again_due);
        let nobody = probes.is_empty().then(|| nobody_to_probe(self.node, self.cluster));
        let egress = pod_egress::judge(&probes, nobody);
        self.found(&egress.finding);
        let tell = probes.iter().all(|probe| !around.other_dns.contains(&probe.pod));
        if let Some(server) = egress.dns_server.filter(|_| tell) {
            learn_dns_address(&mut around, server, self.cluster, questions);
        }

        self.step("reading the conntrack table");
        let lens = self.lens(&around, &probes);
        let asked = Question { node: self.node, evidence: Evidence::CtList, agent: agent.as_ref(), probe: None };
        let (answer, dump) = self.dump(&lens, &asked, &deadline).await;

        // The second large table lies behind the first in an archive, which then need not be read again for it.
        let nat = if self.source.is_saved() { Some(self.nat(agent.as_ref(), &deadline).await) } else { None };

        let asked_dns = dump.picture().filter(|picture| picture.entries > 0).map_or_else(
            || Dns::by_set_up(&around, egress.dns_server),
            |picture| Dns::find(picture, &around, egress.dns_server),
        );
        let dns = dns_conntrack::judge(&dump, &asked_dns, &around, answer.duration_ms);
        let external = external_conntrack::judge(&dump, questions, &around, answer.duration_ms);
        self.found(&dns);
        self.found(&external);

        self.step("reading the service table");
        let raw = self.small(Evidence::ServiceList, agent.as_ref(), None, &deadline).await;
        let service_list = raw.answer.clone();
        let backends = dns_backends::judge(&raw, &around);
        self.found(&backends.finding);

        let dumped = matches!(answer.end, End::Exited(_));
        let taken_at = answer.started_at.filter(|_| dumped).or(self.cluster.inventory().origin.captured_at);
        let mut case = Case {
            context: self.cluster.inventory().origin.context.clone(),
            dns: asked_dns,
            trouble: PodTrouble::of_node(self.node, self.cluster, taken_at),
            taken_at,
            around,
            host,
            egress,
            dump,
            backends,
            beyond: Beyond::none("not read yet"),
        };
        self.step("further evidence");
        // On the heap: a future of the whole evidence is large.
        Box::pin(self.read_beyond(&mut case, counters, nat, &service_list, &deadline)).await;
        // What costs further calls is asked for where it could change what is said.
        if !self.source.is_saved() {
            Box::pin(self.read_counters_again(&mut case, due, &deadline)).await;
            if rules::judge(&case).verdict.kind != Kind::Healthy {
                case.beyond.nat = self.nat(agent.as_ref(), &deadline).await;
                self.step("a second look");
                Box::pin(self.look_again(&mut case, &mut probes, agent.as_ref(), &deadline)).await;
            }
        }
        let checks = vec![
            Check::from(&case.host),
            Check::from(&case.egress.finding),
            Check::from(&dns),
            Check::from(&external),
            Check::from(&case.backends.finding),
        ];
        (case, checks)
    }

    /// Asks again what may have been a moment's: a probe that failed, a service table that differs. What is seen last
    /// counts. The counters of dropped packets are read after that probe, so that its own drops are among them.
    async fn look_again(&self, case: &mut Case, probes: &mut [ProbeRaw], agent: Option<&PodRef>, deadline: &Deadline) {
        let differed = Instant::now();
        let failed = |probe: &ProbeRaw| matches!(probe.by_address.answer.end, End::Exited(code) if code != 0);
        let doubtful = probes.iter().position(failed).filter(|_| case.egress.by_address == Some(false));
        // It has answered, with a shell or without: it is asked as it was.
        let pod = doubtful.and_then(|index| Some((index, probes.get(index)?.pod.clone())));
        let again = async {
            let (index, pod) = pod.as_ref()?;
            let asked = Some(Probe { slot: index + 1, pod, last: true });
            Some((*index, self.small(Evidence::PodEgressAddress, agent, asked, deadline).await))
        };
        let (again, ()) = tokio::join!(again, self.look_at_tables_again(case, differed, agent, deadline));
        if let Some((index, raw)) = again
            && let Some(probe) = probes.get_mut(index)
        {
            probe.by_address = raw;
            case.egress = pod_egress::judge(probes, None);
        }
        self.take_counters_again(case, deadline).await;
    }

    /// Reads again the tables that differed: the service table once the agent has had the time to catch up, and what
    /// names a broken thing.
    async fn look_at_tables_again(
        &self,
        case: &mut Case,
        differed: Instant,
        agent: Option<&PodRef>,
        deadline: &Deadline,
    ) {
        // A silent agent catches up with nothing.
        let may_catch_up = case.beyond.agent_silence.is_none();
        if service_map(case).is_some() && may_catch_up && deadline.left() > 2 * UPDATE {
            tokio::time::sleep_until(differed + UPDATE).await;
            if let Some((services, endpoint_slices)) = self.source.cluster_dns_now().await {
                case.around.cluster_dns = self.cluster.find_cluster_dns(&services, &endpoint_slices).map(Arc::new);
            }
            let raw = self.small(Evidence::ServiceList, agent, None, deadline).await;
            case.backends = dns_backends::judge(&raw, &case.around);
            case.beyond.lb = self.lb(agent, deadline).await;
        }
        self.read_host_mounts(case, deadline).await;
        self.read_direct_signs_again(case, deadline).await;
    }

    /// Asks for something small, within what is left of the node's time.
    pub(super) async fn small(
        &self,
        evidence: Evidence,
        agent: Option<&PodRef>,
        probe: Option<Probe<'_>>,
        deadline: &Deadline,
    ) -> Raw {
        let question = Question { node: self.node, evidence, agent, probe };
        let raw = match tokio::time::timeout(deadline.left(), self.source.ask_small(&question)).await {
            Ok(raw) => raw,
            Err(_) => Raw { answer: deadline.passed(evidence), stdout: Vec::new() },
        };
        tracing::debug!(node = self.node, %evidence, end = ?raw.answer.end, bytes = raw.stdout.len(), "asked");
        raw
    }

    /// Up to three pods are tried until one has a tool to probe with.
    async fn probes(&self, agent: Option<&PodRef>, deadline: &Deadline) -> Vec<ProbeRaw> {
        let pods = self.source.probe_pods(self.node, self.cluster);
        let mut probes = Vec::new();
        for (index, pod) in pods.iter().enumerate() {
            let probe = Some(Probe { slot: index + 1, pod, last: index + 1 == pods.len() });
            let mut by_name = pin!(self.small(Evidence::PodEgress, agent, probe, deadline));
            let by_address = self.small(Evidence::PodEgressAddress, agent, probe, deadline);
            let dns = self.small(Evidence::PodDns, agent, probe, deadline);
            let (by_name, by_address, dns) = if self.source.is_saved() {
                (by_name.await, by_address.await, dns.await)
            } else {
                // The first finds out what the pod has to ask with. One that hangs holds up no other.
                if let Ok(by_name) = tokio::time::timeout(HELD_UP, &mut by_name).await {
                    let (by_address, dns) = tokio::join!(by_address, dns);
                    (by_name, by_address, dns)
                } else {
                    tokio::join!(by_name, by_address, dns)
                }
            };
            let pod = by_name.answer.pod.clone().unwrap_or_else(|| pod.clone());
            let own = self.cluster.families(self.node, &pod);
            let raw = ProbeRaw { pod, own, by_name, by_address, dns };
            let told = pod_egress::judge(std::slice::from_ref(&raw), None);
            probes.push(raw);
            // What was saved is read whole.
            if !self.source.is_saved() && (told.by_name.is_some() || told.by_address.is_some()) {
                break;
            }
        }
        probes
    }

    fn lens(&self, around: &NodeView, probes: &[ProbeRaw]) -> Lens {
        let asked = |ip: &&IpAddr| around.names.get(ip).is_some_and(|pod| probes.iter().any(|p| p.pod == *pod));
        Lens {
            roles: Arc::clone(&around.roles),
            external: self.settings.questions.external.clone(),
            probe_sources: around.names.keys().filter(asked).copied().collect(),
            probe_target: self.settings.questions.ping_target,
            most_age_s: self.settings.since_agent_start.then(|| agent_age_s(around, self.moment())).flatten(),
        }
    }

    /// The moment that the evidence is of: what was saved is of when it was taken.
    fn moment(&self) -> Timestamp {
        let captured = self.cluster.inventory().origin.captured_at;
        captured.filter(|_| self.source.is_saved()).unwrap_or_else(crate::base::clock::now)
    }

    /// The dump is fetched once and read as it comes.
    async fn dump(&self, lens: &Lens, question: &Question<'_>, deadline: &Deadline) -> (Answer, Dump) {
        let mut pass = DumpPass::new(lens);
        let second = pass.second();
        let mut feed = |chunk: &[u8]| pass.feed(chunk);
        let asked = tokio::time::timeout(deadline.left(), self.source.ask_table(question, &mut feed, second)).await;
        let answer = asked.unwrap_or_else(|_| deadline.passed(question.evidence));
        tracing::debug!(node = self.node, evidence = %question.evidence, end = ?answer.end, "asked");
        let picture = pass.finish(answer.end == End::Exited(0));
        let dump = Dump::sort(&answer.end, &answer.stderr, picture);
        (answer, dump)
    }

    /// One look at a neighbour: its dump tells whether its pods are answered. `evidence` says whether it is kept beside
    /// this node, or is the neighbour's own.
    pub(super) async fn glance(&self, neighbour: &str, evidence: Evidence) -> Result<Box<Picture>, Failure> {
        let around = NodeView::new(neighbour, self.cluster);
        let Agent::Running(agent) = &around.agent else {
            return Err(Failure::new(FailureKind::NotFound, "no agent runs on it"));
        };
        let deadline = Deadline::new(self.settings.timeout, self.ends);
        self.step("a look at a neighbour");
        let node = if evidence == Evidence::CtList { neighbour } else { self.node };
        let question = Question { node, evidence, agent: Some(&agent.pod), probe: None };
        let (_, dump) = self.dump(&self.lens(&around, &[]), &question, &deadline).await;
        match dump {
            Dump::Whole(picture) => Ok(picture),
            Dump::Cut(failure) | Dump::Missing(failure) | Dump::Unreadable(failure) => Err(failure),
        }
    }
}

/// For how long the agent has been running at this moment, in seconds, as far as this machine's clock and the node's agree.
fn agent_age_s(around: &NodeView, moment: Timestamp) -> Option<f64> {
    let Agent::Running(agent) = &around.agent else { return None };
    let age = seconds_between(agent.started_at?, moment);
    u32::try_from(age.max(0)).ok().map(f64::from)
}

/// The time that one node may take.
pub(super) struct Deadline {
    at: Instant,
    whole: Duration,
    /// Whether it is the run that has to be over then.
    run: bool,
}

impl Deadline {
    /// The node's own time, or what is left of the run's.
    fn new(whole: Duration, ends: Option<Instant>) -> Self {
        let own = Instant::now() + whole;
        let at = ends.map_or(own, |ends| ends.min(own));
        Self { at, whole, run: at < own }
    }

    pub(super) fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    pub(super) fn passed(&self, evidence: Evidence) -> Answer {
        let mut answer = Answer::not_gathered("");
        answer.end = End::Failed(if self.run {
            let message = format!("the run's time was over before {evidence} ended; see --deadline");
            Failure::new(FailureKind::Timeout, message)
        } else {
            Failure::time_over(evidence, self.whole)
        });
        answer
    }
}

fn nobody_to_probe(node: &str, cluster: &ClusterMap<'_>) -> Failure {
    let pods = &cluster.inventory().pods;
    match pods.gap() {
        Some(failure) if choose(node, cluster, &[]).is_empty() => failure.clone(),
        None if choose(node, cluster, &[]).is_empty() => Failure::new(
            FailureKind::NotFound,
            "no pod of this node can probe: none is running, ready, on the pod network and using cluster DNS",
        ),
        Some(_) | None => Failure::new(FailureKind::Other, "no pod of this node was asked to probe"),
    }
}

/// The server that a pod's lookup went to is its node-local DNS address, where it is nobody else's; or it is the service
/// that is cluster DNS.
fn learn_dns_address(around: &mut NodeView, server: IpAddr, cluster: &ClusterMap<'_>, questions: &Questions) {
    if let Some(asked) = cluster.cluster_dns_at(server) {
        around.cluster_dns = Ok(Arc::new(asked));
    }
    let dns = &mut around.node_local_dns;
    if questions.node_local_dns.is_some() {
        return;
    }
    if dns.addresses.contains(&server) {
        dns.addresses.retain(|address| *address != server);
        dns.addresses.insert(0, server);
    } else if dns.deployed && matches!(around.roles.of(server), Role::World | Role::Nowhere) {
        dns.addresses.insert(0, server);
        Arc::make_mut(&mut around.roles).learn_node_local_dns(server);
    }
}
