//! One node's supplementary evidence: read on every look, and once more where it names something broken.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Observer;
use super::node::{Deadline, Looker};
use crate::base::answer::{Answer, End, Raw};
use crate::base::evidence::Evidence;
use crate::base::failure::{Failure, FailureKind};
use crate::base::net::Prefix;
use crate::base::pod_ref::PodRef;
use crate::base::time::{Timestamp, seconds_between};
use crate::cilium::drops::Drops;
use crate::cilium::ipcache::Ipcache;
use crate::cilium::lines::Lines;
use crate::cilium::{
    agent_config, agent_log, bpf_endpoints, calls_maps, cgroup_tree, config_drift, drops, endpoint_list, firewall,
    kernel_btf, lb, links, mounts, nat, programs, status,
};
use crate::gather::{Question, Source};
use crate::kubernetes::node_view::NodeView;
use crate::rules;
use crate::rules::beyond::{AgentSilence, Beyond, Silence, Supplement};
use crate::rules::case::Case;
use crate::rules::lookalikes::MISSED_TAIL_CALL;

/// Drop counters that are read nearer to each other than this say little: a slow rise does not show.
const APART: Duration = Duration::from_secs(5);
/// Clusters with so many pods at most have their whole ipcache compared; of larger ones only what matters to the node.
const SMALL_CLUSTER: usize = 2_000;

/// The first reading of the drop counters.
pub(super) struct Counters {
    /// Which evidence it is.
    from: Evidence,
    first: Supplement<Drops>,
    at: Option<Timestamp>,
    /// When it was taken, by this machine's own clock.
    read: Instant,
}

impl Counters {
    /// When a second reading is far enough from the first.
    pub(super) fn again_due(&self) -> Instant {
        self.read + APART
    }
}

/// Whether any of the agent's own commands was answered, and how the first that was not ended.
#[derive(Default)]
struct Hearing {
    answered: bool,
    silence: Option<AgentSilence>,
}

impl Hearing {
    fn hear(&mut self, evidence: Evidence, answer: &Answer) {
        let says = |silence, says: &str| Some(AgentSilence { silence, evidence, says: says.trim().to_owned() });
        let heard = match &answer.end {
            End::Exited(0) => {
                self.answered = true;
                None
            }
            End::Exited(_) => {
                let no_socket = |line: &&str| {
                    line.contains("dial unix") && (line.contains("no such file") || line.contains("connection refused"))
                };
                answer.stderr.lines().find(no_socket).and_then(|line| says(Silence::NoSocket, line))
            }
            End::Failed(failure) if failure.kind == FailureKind::Timeout => says(Silence::Frozen, &failure.message),
            End::Failed(_) | End::NotGathered(_) => None,
        };
        if self.silence.is_none() {
            self.silence = heard;
        }
    }

    /// The agent is silent where none of its own commands was answered while those that read the kernel's maps were.
    fn silence(self, kernel_answers: bool) -> Option<AgentSilence> {
        self.silence.filter(|_| kernel_answers && !self.answered)
    }
}

impl<S: Source, O: Observer> Looker<'_, S, O> {
    /// The first reading of the drop counters, in the newer form where it is there.
    pub(super) async fn first_counters(&self, agent: Option<&PodRef>, deadline: &Deadline) -> Counters {
        let read = Instant::now();
        let raw = self.small(Evidence::BpfMetrics, agent, None, deadline).await;
        let first = supplement(&raw, read_counters);
        // An older release may not know the form; one whose table must not be opened has a metric in place of it.
        let refuses = matches!(raw.answer.end, End::Exited(_)) && raw.answer.stderr.contains("flag");
        // What was left alone for a reason names its command; of what nobody asked for nothing is known.
        let left_alone = matches!(raw.answer.end, End::NotGathered(_));
        let asked_first = !left_alone || !raw.answer.argv.is_empty();
        let other_form = self.source.is_saved() || refuses || left_alone;
        if first.seen().is_none() && other_form {
            let read = Instant::now();
            let raw = self.small(Evidence::DropMetrics, agent, None, deadline).await;
            // What was saved holds one form: where it holds neither, what was asked first says why.
            if matches!(raw.answer.end, End::NotGathered(_)) && matches!(first, Supplement::NotLooked(_)) && asked_first
            {
                return Counters { from: Evidence::BpfMetrics, first, at: None, read };
            }
            let first = supplement(&raw, read_counters);
            return Counters { from: Evidence::DropMetrics, first, at: raw.answer.started_at, read };
        }
        Counters { from: Evidence::BpfMetrics, first, at: raw.answer.started_at, read }
    }

    /// Everything that one look reads beyond the checks.
    pub(super) async fn read_beyond(
        &self,
        case: &mut Case,
        counters: Option<Counters>,
        nat: Option<Supplement<nat::NatRows>>,
        service_list: &Answer,
        deadline: &Deadline,
    ) {
        let agent = case.agent().map(|agent| agent.pod.clone());
        let agent = agent.as_ref();
        let mut hearing = Hearing::default();
        let mut beyond = Beyond::none("it was not asked for");
        let counters = match counters {
            Some(counters) => counters,
            None => self.first_counters(agent, deadline).await,
        };
        // What the kernel says needs no agent that answers.
        beyond.kernel_endpoints = self.kernel_endpoints(agent, deadline).await;
        let keep = self.wanted_addresses(&case.around);
        beyond.kernel_ipcache = self.ipcache(Evidence::IpcacheList, agent, deadline, &keep, &mut hearing).await;
        beyond.lb = self.lb(agent, deadline).await;
        beyond.programs = self.programs(agent, deadline).await;
        beyond.links =
            self.further(Evidence::LinkList, agent, deadline, |t| Some(links::parse(t)).filter(|l| l.recognized)).await;
        beyond.cgroup = self.cgroup(agent, deadline).await;
        beyond.mounts =
            self.further(Evidence::Mounts, agent, deadline, |t| Some(mounts::parse(t)).filter(|m| m.all > 0)).await;
        let rules = |text: &str| Some(firewall::parse(text)).filter(|firewall| firewall.recognized);
        beyond.firewall = self.further(Evidence::HostFirewall, agent, deadline, rules).await;
        beyond.firewall_v6 = self.further(Evidence::HostFirewallV6, agent, deadline, rules).await;
        let raw = self.small(Evidence::KernelBtf, agent, None, deadline).await;
        beyond.kernel_btf = read_kernel_btf(&raw);
        beyond.config = self.read_config(agent, deadline).await;
        if self.source.is_saved() {
            beyond.host_mounts = self
                .further(Evidence::HostMounts, agent, deadline, |t| Some(mounts::parse(t)).filter(|m| m.all > 0))
                .await;
            beyond.calls = self.calls(agent, deadline).await;
        }
        beyond.endpoints = self.endpoints(agent, deadline, &mut hearing).await;
        let raw = self.small(Evidence::AgentStatus, agent, None, deadline).await;
        hearing.hear(Evidence::AgentStatus, &raw.answer);
        beyond.status = supplement(&raw, |text| status::parse(text).ok());
        beyond.agent_endpoints = self.agent_endpoints(agent, deadline, &mut hearing).await;
        beyond.agent_ipcache = self.ipcache(Evidence::MapGetIpcache, agent, deadline, &keep, &mut hearing).await;
        beyond.config_drift = self.further(Evidence::ConfigDrift, agent, deadline, config_drift::parse).await;
        beyond.log = self
            .further(Evidence::AgentLog, agent, deadline, |t| Some(agent_log::parse(t)).filter(|l| l.lines > 0))
            .await;
        if let Some(nat) = nat {
            beyond.nat = nat;
        }
        let kernel_answers = beyond.lb.seen().is_some() || beyond.kernel_endpoints.seen().is_some();
        // Last: where others let their time go by it was not even asked.
        hearing.hear(Evidence::ServiceList, service_list);
        beyond.agent_silence = hearing.silence(kernel_answers);
        beyond.drops_from = counters.from;
        beyond.drops_at = counters.at;
        beyond.drops = counters.first;
        case.beyond = beyond;
        if self.source.is_saved() {
            self.take_counters_again(case, deadline).await;
        }
    }

    /// The second reading of the drop counters. Where it comes too soon and something is in doubt, it is waited for until
    /// `due`.
    pub(super) async fn read_counters_again(&self, case: &mut Case, due: Instant, deadline: &Deadline) {
        if case.beyond.drops.seen().is_none() {
            case.beyond.drops_again = Supplement::not_looked("the first reading failed");
            return;
        }
        self.take_counters_again(case, deadline).await;
        let in_doubt = !case.rising(MISSED_TAIL_CALL).is_empty() || rules::lookalikes::in_trouble(case);
        if in_doubt && due > Instant::now() && deadline.left() > 2 * APART {
            tokio::time::sleep_until(due).await;
            self.take_counters_again(case, deadline).await;
        }
        if !case.rising(MISSED_TAIL_CALL).is_empty() && case.beyond.calls.seen().is_none() {
            let agent = case.agent().map(|agent| agent.pod.clone());
            case.beyond.calls = self.calls(agent.as_ref(), deadline).await;
        }
    }

    /// One more reading of the drop counters, which takes the place of the second.
    pub(super) async fn take_counters_again(&self, case: &mut Case, deadline: &Deadline) {
        let agent = case.agent().map(|agent| agent.pod.clone());
        let again = match case.beyond.drops_from {
            Evidence::BpfMetrics => Evidence::BpfMetricsAgain,
            _ => Evidence::DropMetricsAgain,
        };
        let raw = self.small(again, agent.as_ref(), None, deadline).await;
        case.beyond.drops_apart_s = apart_s(case.beyond.drops_at, raw.answer.started_at);
        case.beyond.drops_again = supplement(&raw, read_counters);
    }

    /// The node's own mounts, where something looks like a second BPF file system that the agent's container does not see.
    pub(super) async fn read_host_mounts(&self, case: &mut Case, deadline: &Deadline) {
        let twice = case.beyond.programs.seen().is_some_and(|programs| !programs.duplicates().is_empty());
        let nothing = case.picture().is_none();
        if (twice || nothing) && case.beyond.mounts_are_stacked() != Some(true) {
            let agent = case.agent().map(|agent| agent.pod.clone());
            let parse = |text: &str| Some(mounts::parse(text)).filter(|mounts| mounts.all > 0);
            case.beyond.host_mounts = self.further(Evidence::HostMounts, agent.as_ref(), deadline, parse).await;
        }
    }

    /// What names a broken thing is read a second time: the two tables of a pair are read one after the other, and
    /// something may have come or gone in between.
    pub(super) async fn read_direct_signs_again(&self, case: &mut Case, deadline: &Deadline) {
        let Some(broken) = rules::judge(case).verdict.cause else { return };
        let agent = case.agent().map(|agent| agent.pod.clone());
        let agent = agent.as_ref();
        let mut hearing = Hearing::default();
        match broken.evidence.as_str() {
            "attached-programs" => {
                case.beyond.endpoints = self.endpoints(agent, deadline, &mut hearing).await;
                case.beyond.programs = self.programs(agent, deadline).await;
            }
            "bpf-endpoint-list" => {
                case.beyond.kernel_endpoints = self.kernel_endpoints(agent, deadline).await;
                case.beyond.agent_endpoints = self.agent_endpoints(agent, deadline, &mut hearing).await;
            }
            "ipcache-list" => {
                let keep = self.wanted_addresses(&case.around);
                case.beyond.kernel_ipcache =
                    self.ipcache(Evidence::IpcacheList, agent, deadline, &keep, &mut hearing).await;
                case.beyond.agent_ipcache =
                    self.ipcache(Evidence::MapGetIpcache, agent, deadline, &keep, &mut hearing).await;
            }
            "cgroup-tree" => case.beyond.cgroup = self.cgroup(agent, deadline).await,
            _ => {}
        }
    }

    /// The addresses of which the ipcache's rows are compared.
    fn wanted_addresses(&self, around: &NodeView) -> WantedAddresses {
        let inventory = self.cluster.inventory();
        let mut addresses: HashSet<IpAddr> = around.names.keys().copied().collect();
        addresses.extend(around.node_local_dns.addresses.iter().copied());
        if let Ok(dns) = &around.cluster_dns {
            addresses.extend(dns.backends.iter().map(|backend| backend.ip));
        }
        let all = inventory.pods.whole().is_some_and(|pods| pods.len() <= SMALL_CLUSTER);
        WantedAddresses { all, addresses, nodes: Arc::clone(self.cluster.node_addresses()) }
    }

    pub(super) async fn lb(&self, agent: Option<&PodRef>, deadline: &Deadline) -> Supplement<lb::LbList> {
        self.further(Evidence::LbList, agent, deadline, |t| Some(lb::parse(t)).filter(|l| l.header)).await
    }

    async fn programs(&self, agent: Option<&PodRef>, deadline: &Deadline) -> Supplement<programs::Programs> {
        let parse = |text: &str| Some(programs::parse(text)).filter(|p| p.recognized);
        self.further(Evidence::AttachedPrograms, agent, deadline, parse).await
    }

    /// `grep` ends with exit code 2 where one of the files is missing, which they are as a rule.
    async fn read_config(&self, agent: Option<&PodRef>, deadline: &Deadline) -> Supplement<agent_config::AgentConfig> {
        let mut raw = self.small(Evidence::AgentConfig, agent, None, deadline).await;
        if raw.answer.end == End::Exited(2) || raw.answer.end == End::Exited(1) {
            raw.answer.end = End::Exited(0);
        }
        supplement(&raw, agent_config::parse)
    }

    async fn cgroup(&self, agent: Option<&PodRef>, deadline: &Deadline) -> Supplement<cgroup_tree::CgroupTree> {
        let parse = |text: &str| Some(cgroup_tree::parse(text)).filter(|tree| tree.recognized);
        self.further(Evidence::CgroupTree, agent, deadline, parse).await
    }

    async fn calls(&self, agent: Option<&PodRef>, deadline: &Deadline) -> Supplement<calls_maps::CallsMaps> {
        let parse = |text: &str| Some(calls_maps::parse(text)).filter(|calls| calls.unread == 0);
        self.further(Evidence::CallsMaps, agent, deadline, parse).await
    }

    async fn endpoints(
        &self,
        agent: Option<&PodRef>,
        deadline: &Deadline,
        hearing: &mut Hearing,
    ) -> Supplement<endpoint_list::EndpointList> {
        let raw = self.small(Evidence::EndpointList, agent, None, deadline).await;
        hearing.hear(Evidence::EndpointList, &raw.answer);
        supplement(&raw, endpoint_list::parse)
    }

    async fn kernel_endpoints(
        &self,
        agent: Option<&PodRef>,
        deadline: &Deadline,
    ) -> Supplement<bpf_endpoints::BpfEndpoints> {
        self.further(Evidence::BpfEndpointList, agent, deadline, read_endpoint_table).await
    }

    async fn agent_endpoints(
        &self,
        agent: Option<&PodRef>,
        deadline: &Deadline,
        hearing: &mut Hearing,
    ) -> Supplement<bpf_endpoints::BpfEndpoints> {
        let raw = self.small(Evidence::MapGetLxc, agent, None, deadline).await;
        hearing.hear(Evidence::MapGetLxc, &raw.answer);
        supplement(&raw, read_endpoint_table)
    }

    /// One of the two tables of addresses, which in a large cluster has a row for each pod of each node: read as it comes.
    async fn ipcache(
        &self,
        evidence: Evidence,
        agent: Option<&PodRef>,
        deadline: &Deadline,
        keep: &WantedAddresses,
        hearing: &mut Hearing,
    ) -> Supplement<Ipcache> {
        let question = Question { node: self.node, evidence, agent, probe: None };
        let (mut lines, mut table) = (Lines::new(), Ipcache::default());
        let mut feed = |chunk: &[u8]| lines.feed(chunk, |line| table.line(line, |prefix| keep.has(prefix)));
        let asked = tokio::time::timeout(deadline.left(), self.source.ask(&question, &mut feed)).await;
        let answer = asked.unwrap_or_else(|_| deadline.passed(evidence));
        if let Some(last) = lines.finish() {
            table.line(&last, |prefix| keep.has(prefix));
        }
        if evidence == Evidence::MapGetIpcache {
            hearing.hear(evidence, &answer);
        }
        match not_clean(&answer) {
            Some(why) => Supplement::NotLooked(why),
            None if !table.recognized => Supplement::not_looked("its output has an unknown form"),
            None => Supplement::Seen(table),
        }
    }

    async fn further<T>(
        &self,
        evidence: Evidence,
        agent: Option<&PodRef>,
        deadline: &Deadline,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Supplement<T> {
        supplement(&self.small(evidence, agent, None, deadline).await, parse)
    }

    /// The NAT table may be as long as the conntrack table, so it is counted as it comes.
    pub(super) async fn nat(&self, agent: Option<&PodRef>, deadline: &Deadline) -> Supplement<nat::NatRows> {
        let question = Question { node: self.node, evidence: Evidence::NatList, agent, probe: None };
        let (mut lines, mut rows) = (Lines::new(), nat::NatRows::default());
        let mut feed = |chunk: &[u8]| lines.feed(chunk, |line| rows.line(line));
        let asked = tokio::time::timeout(deadline.left(), self.source.ask(&question, &mut feed)).await;
        let answer = asked.unwrap_or_else(|_| deadline.passed(Evidence::NatList));
        match not_clean(&answer) {
            Some(why) => Supplement::NotLooked(why),
            None => Supplement::Seen(rows),
        }
    }
}

/// The addresses of which rows are kept.
struct WantedAddresses {
    all: bool,
    addresses: HashSet<IpAddr>,
    /// Those of all nodes.
    nodes: Arc<HashSet<IpAddr>>,
}

impl WantedAddresses {
    fn has(&self, prefix: Prefix) -> bool {
        let whole = if prefix.address().is_ipv4() { 32 } else { 128 };
        let address = prefix.address();
        self.all || prefix.length() == whole && (self.addresses.contains(&address) || self.nodes.contains(&address))
    }
}

fn read_kernel_btf(raw: &Raw) -> Supplement<bool> {
    let End::Exited(code) = raw.answer.end else { return supplement(raw, |_| None) };
    let found = kernel_btf::read(code, &String::from_utf8_lossy(&raw.stdout), &raw.answer.stderr);
    found.map_or_else(|| Supplement::not_looked("its output has an unknown form"), Supplement::Seen)
}

fn read_endpoint_table(text: &str) -> Option<bpf_endpoints::BpfEndpoints> {
    Some(bpf_endpoints::parse(text)).filter(|table| table.recognized)
}

/// An empty table says so on standard error, and prints nothing.
fn read_counters(text: &str) -> Option<Drops> {
    if text.trim().is_empty() {
        return Some(Drops { recognized: true, ..Drops::default() });
    }
    Some(drops::parse(text)).filter(|drops| drops.recognized)
}

/// Seconds between two readings, where both say when they were taken.
fn apart_s(first: Option<Timestamp>, again: Option<Timestamp>) -> Option<f64> {
    let seconds = seconds_between(first?, again?);
    u32::try_from(seconds).ok().map(f64::from)
}

/// Reads an answer as supplementary evidence.
fn supplement<T>(raw: &Raw, parse: impl FnOnce(&str) -> Option<T>) -> Supplement<T> {
    match not_clean(&raw.answer) {
        Some(why) => Supplement::NotLooked(why),
        None => parse(&String::from_utf8_lossy(&raw.stdout))
            .map_or_else(|| Supplement::not_looked("its output has an unknown form"), Supplement::Seen),
    }
}

/// Why an answer is not to be read as supplementary evidence.
fn not_clean(answer: &Answer) -> Option<Failure> {
    match &answer.end {
        End::Exited(0) => None,
        End::Exited(code) => Some(Failure::new(FailureKind::Other, format!("it ended with exit code {code}"))),
        End::Failed(failure) => Some(failure.clone()),
        End::NotGathered(why) => Some(Failure::new(FailureKind::NotFound, why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(end: End, stderr: &str) -> Answer {
        let mut answer = Answer::not_gathered("");
        answer.end = end;
        answer.stderr = stderr.to_owned();
        answer
    }

    #[test]
    fn an_agent_is_silent_only_where_the_kernel_answers_and_no_command_of_its_own_did() {
        let timeout = || ended(End::Failed(Failure::new(FailureKind::Timeout, "`x` did not end within 4s")), "");
        let gone = ended(End::Exited(1), "Error: x: dial unix /var/run/cilium/cilium.sock: connect: no such file\n");
        let heard = |answers: &[&Answer], kernel| {
            let mut hearing = Hearing::default();
            for answer in answers {
                hearing.hear(Evidence::AgentStatus, answer);
            }
            hearing.silence(kernel).map(|silence| silence.silence)
        };
        assert_eq!(heard(&[&timeout()], true), Some(Silence::Frozen));
        assert_eq!(heard(&[&timeout()], false), None, "the kubelet may be what is slow");
        assert_eq!(heard(&[&gone, &timeout()], true), Some(Silence::NoSocket));
        assert_eq!(heard(&[&timeout(), &ended(End::Exited(0), "")], true), None);
        assert_eq!(heard(&[&ended(End::Exited(1), "Error: unknown flag\n")], true), None);
    }

    #[test]
    fn a_table_of_counters_that_is_empty_is_a_reading() {
        assert!(read_counters("\n").is_some_and(|drops| drops.counters.is_empty()));
        assert!(read_counters("Error: no\n").is_none());
    }
}
