//! The other side: faults that look like a stale datapath and are none. For these the agent must not be restarted.
//!
//! Each look-alike is one entry of [`LOOK_ALIKES`]: how it is found, and what is said when it is not. The order is the
//! order in which they are asked.

use crate::base::evidence::Evidence;
use crate::checks::Status;
use crate::cilium::status::Masquerading;
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::Code;
use crate::rules::Opinion;
use crate::rules::case::{Case, Further};
use crate::rules::verdict::{Affected, Because, Confidence};
use crate::rules::witnesses::{
    DnsLife, HostWitness, Life, ProbeFlow, dead_groups, dns_life, group_life, host, life_with_idle, probe_flow,
    world_life,
};
use crate::ways::picture::{Counts, Group};

/// An agent younger than this, in seconds, may still be at work on its endpoints.
const YOUNG_AGENT_S: i64 = 300;

/// A fault that looks like a stale datapath.
#[derive(Clone, Copy)]
pub struct LookAlike {
    /// Its code.
    pub code: Code,
    /// Whether it is what is seen.
    pub find: fn(&Case) -> Option<Opinion>,
    /// What to say when it is not: why it is out, or that it was not looked at.
    pub ruled_out: fn(&Case) -> String,
}

/// All of them, in the order in which they are asked.
pub const LOOK_ALIKES: &[LookAlike] = &[
    LookAlike { code: Code::AgentNotRunning, find: agent_not_running, ruled_out: agent_runs },
    LookAlike { code: Code::AgentStarting, find: agent_starting, ruled_out: agent_is_old },
    LookAlike { code: Code::DatapathProgramsDuplicated, find: duplicated, ruled_out: not_duplicated },
    LookAlike { code: Code::DatapathNotInitialized, find: not_initialized, ruled_out: initialized },
    LookAlike { code: Code::HostNetworkDown, find: host_down, ruled_out: host_up },
    LookAlike { code: Code::ConntrackFull, find: conntrack_full, ruled_out: conntrack_not_full },
    LookAlike { code: Code::LocalRedirectBroken, find: redirect_broken, ruled_out: redirect_fine },
    LookAlike { code: Code::NodeLocalDnsDown, find: node_local_dns_down, ruled_out: node_local_dns_up },
    LookAlike { code: Code::UdpMasqueradeBroken, find: udp_masquerade, ruled_out: udp_fine },
    LookAlike { code: Code::LinkLocalMasquerade, find: link_local_masquerade, ruled_out: no_link_local_masquerade },
    LookAlike { code: Code::ClusterDnsDown, find: cluster_dns_down, ruled_out: cluster_dns_up },
    LookAlike { code: Code::PolicyDenied, find: policy_denied, ruled_out: policy_allows },
];

/// Whether anything at all looks broken. Look-alikes that rest on standing signs are not told of a node without any.
#[must_use]
pub fn in_trouble(case: &Case) -> bool {
    let dead = |group| group_life(case, group) == Life::Dead;
    case.egress.by_name == Some(false)
        || case.egress.by_address == Some(false)
        || case.egress.dns == Some(false)
        || matches!(dns_life(case), DnsLife::Dead | DnsLife::DeadForOne | DnsLife::Mixed)
        || dead(Group::HostToPod)
        || dead(Group::PodToHost)
        || case.backends.finding.status == Status::Fail
        || !crate::rules::stale::cut_off_pods(case).is_empty()
}

fn not_looked(what: Evidence, why: &str) -> String {
    format!("not looked at: {} ({why})", what.name())
}

/// What further evidence says against a look-alike, or that it was not looked at.
fn beyond<T>(further: &Further<T>, what: Evidence, says: impl FnOnce(&T) -> String) -> String {
    match further {
        Further::Seen(value) => says(value),
        Further::NotLooked(why) => not_looked(what, why),
    }
}

fn agent_not_running(case: &Case) -> Option<Opinion> {
    let crate::kubernetes::agents::Agent::NotRunning { why } = &case.around.agent else {
        return None;
    };
    let mut opinion =
        Opinion::new(Code::AgentNotRunning, Confidence::High, format!("No Cilium agent runs here: {why}."));
    opinion.because.push(Because::evidence("pods", why.clone()));
    Some(opinion)
}

fn agent_runs(case: &Case) -> String {
    case.agent().map_or_else(String::new, |agent| format!("{} runs", agent.pod.name))
}

fn agent_starting(case: &Case) -> Option<Opinion> {
    let agent = case.agent()?;
    let age = case.agent_age_s();
    let why = if agent.terminating {
        format!("{} is being ended, and no other agent runs beside it yet", agent.pod.name)
    } else if age.is_some_and(|age| (-YOUNG_AGENT_S..YOUNG_AGENT_S).contains(&age)) {
        format!("{} started {} seconds before the evidence was taken", agent.pod.name, age.unwrap_or(0).max(0))
    } else {
        return None;
    };
    if !in_trouble(case) && !agent.terminating {
        return None;
    }
    let summary = "The agent has only just started; what fails now may work in a minute. Measure again.";
    let mut opinion = Opinion::new(Code::AgentStarting, Confidence::High, summary);
    opinion.because.push(Because::evidence("pods", why));
    Some(opinion)
}

fn agent_is_old(case: &Case) -> String {
    match case.agent_age_s() {
        Some(age @ 0..) => format!("the agent has been running for {}", span(age)),
        Some(_) => "not looked at: the agent's start is later than the evidence".to_owned(),
        None => "not looked at: nothing says when the agent started".to_owned(),
    }
}

/// A time span in the largest unit that says enough.
#[must_use]
pub fn span(seconds: i64) -> String {
    let plural = |n: i64, unit: &str| format!("{n} {unit}{}", if n == 1 { "" } else { "s" });
    match seconds {
        ..120 => plural(seconds, "second"),
        120..7200 => plural(seconds / 60, "minute"),
        7200..172_800 => plural(seconds / 3600, "hour"),
        _ => plural(seconds / 86_400, "day"),
    }
}

fn duplicated(case: &Case) -> Option<Opinion> {
    let twice = case.beyond.programs.seen()?.duplicates();
    let first = twice.first()?;
    let summary = format!(
        "Cilium's programs hang twice on {} hook{} ({first} …): a restart does not clean them.",
        twice.len(),
        if twice.len() == 1 { "" } else { "s" }
    );
    let mut opinion = Opinion::new(Code::DatapathProgramsDuplicated, Confidence::High, summary);
    opinion
        .because
        .push(Because::evidence("attached-programs", format!("two programs of one name: {}", twice.join("; "))));
    Some(opinion)
}

fn not_duplicated(case: &Case) -> String {
    beyond(&case.beyond.programs, Evidence::AttachedPrograms, |programs| {
        format!("each of {} hooks holds a program once", programs.attached.len())
    })
}

fn not_initialized(case: &Case) -> Option<Opinion> {
    let mut because = Vec::new();
    if let Some(log) = case.beyond.log.seen()
        && log.datapath_failures > 0
    {
        let says = format!(
            "\"Failed to initialize datapath\" {} times in the last {} lines",
            log.datapath_failures, log.lines
        );
        because.push(Because::evidence("agent-log", says));
    }
    if let Some(status) = case.beyond.status.seen()
        && let Some(degraded) = status.degraded
        && degraded > 0
        && in_trouble(case)
    {
        let names = status.degraded_modules.join(", ");
        let says =
            format!("{degraded} modules are degraded{}", if names.is_empty() { names } else { format!(": {names}") });
        because.push(Because::evidence("agent-status", says));
    }
    if because.is_empty() {
        return None;
    }
    let summary = "The agent cannot set the datapath up and keeps trying: a restart repeats it.";
    let mut opinion = Opinion::new(Code::DatapathNotInitialized, Confidence::High, summary);
    opinion.because = because;
    Some(opinion)
}

fn initialized(case: &Case) -> String {
    let log =
        beyond(&case.beyond.log, Evidence::AgentLog, |log| format!("none of the last {} log lines says so", log.lines));
    let status = beyond(&case.beyond.status, Evidence::AgentStatus, |status| match status.degraded {
        Some(n) => format!("{n} modules are degraded"),
        None => "this release's status names no modules".to_owned(),
    });
    format!("{log}; {status}")
}

fn host_down(case: &Case) -> Option<Opinion> {
    if host(case) != HostWitness::Down || case.egress.by_address == Some(true) || case.egress.by_name == Some(true) {
        return None;
    }
    // A filtered ping alone proves nothing: something else must fail on the way to the outside.
    if case.egress.by_address.is_none() && case.egress.by_name.is_none() && world_life(case) != Life::Dead {
        return None;
    }
    // The host's own connections to the world say more than a ping.
    if case.picture().is_some_and(|p| p.group(Group::HostToWorld).answered >= 3) {
        return None;
    }
    let summary = "The node itself does not reach the outside, so its pods cannot either.";
    let mut opinion = Opinion::new(Code::HostNetworkDown, Confidence::High, summary);
    opinion.because.push(Because::check(CheckId::HostPing, case.host.summary.clone()));
    opinion.because.push(Because::check(CheckId::PodEgress, case.egress.finding.summary.clone()));
    Some(opinion)
}

/// Who says that the host's network is fine, or that nobody does.
#[must_use]
pub fn host_up(case: &Case) -> String {
    match host(case) {
        HostWitness::Fine => case.host.summary.clone(),
        HostWitness::FineByDump => {
            "the host could not be asked, but its own connections and those across nodes are answered".to_owned()
        }
        HostWitness::Down => format!("{}, yet connections to the outside are answered", case.host.summary),
        HostWitness::Nobody => "not looked at: nobody could ask the host".to_owned(),
    }
}

fn conntrack_full(case: &Case) -> Option<Opinion> {
    /// As good as full, in percent: the table is an LRU map, and a dump of a busy one misses a few.
    const FULL_PERCENT: u64 = 95;
    let failed = case.beyond.drops.seen()?.of("map insertion failed");
    let picture = case.picture()?;
    let (tcp, any) = case.beyond.status.seen()?.conntrack_sizes;
    let maps = &picture.maps;
    let fullest =
        [(maps.tcp4, tcp, "TCP"), (maps.tcp6, tcp, "TCP"), (maps.any4, any, "non-TCP"), (maps.any6, any, "non-TCP")]
            .into_iter()
            .filter_map(|(entries, size, name)| Some((entries, size?, name)))
            .find(|(entries, size, _)| *size > 0 && entries * 100 >= size * FULL_PERCENT)?;
    if failed == 0 {
        return None;
    }
    let (entries, size, name) = fullest;
    let summary = format!("The {name} connection tracking table is full: {entries} of {size} entries.");
    let mut opinion = Opinion::new(Code::ConntrackFull, Confidence::High, summary);
    opinion.because.push(Because::evidence("ct-list", format!("{entries} entries in a table of {size}")));
    opinion.because.push(Because::evidence("drop-metrics", format!("{failed} packets dropped: map insertion failed")));
    Some(opinion)
}

fn conntrack_not_full(case: &Case) -> String {
    beyond(&case.beyond.drops, Evidence::DropMetrics, |drops| match drops.of("map insertion failed") {
        0 => "no packet was dropped for a full table".to_owned(),
        n => format!("{n} packets were dropped for a failed insertion, but the tables are not full"),
    })
}

fn redirect_broken(case: &Case) -> Option<Opinion> {
    let dead = matches!(dns_life(case), DnsLife::Dead | DnsLife::DeadForOne | DnsLife::FewDead);
    let by_pod = case.around.node_local_dns.pod.as_ref().is_some_and(|pod| !pod.host_network && pod.ready);
    // While a redirect works, entries show the pod's address and not the one that was asked.
    let bypassed = case.picture().is_some_and(|picture| {
        let counts = picture.group(Group::NodeLocalDns);
        picture.runbook.dns > 0 && picture.runbook.dns * 2 >= u64::from(counts.live() + counts.expired)
    });
    let (summary, says) = if case.backends.redirect_without_backend {
        let says = case.backends.finding.summary.clone();
        ("A local redirect leads nowhere: it has no active backend on this node.", says)
    } else if by_pod && dead && bypassed {
        let says = "NodeLocal DNS runs as a pod of its own, but queries go to the raw address and get no answer";
        ("NodeLocal DNS stands behind a local redirect policy that has no effect.", says.to_owned())
    } else {
        return None;
    };
    let mut opinion = Opinion::new(Code::LocalRedirectBroken, Confidence::High, summary);
    opinion.because.push(Because::check(CheckId::DnsBackends, says));
    Some(opinion)
}

fn redirect_fine(case: &Case) -> String {
    match (&case.backends.list, case.backends.redirected) {
        (None, _) => not_looked(Evidence::ServiceList, "it could not be read"),
        (Some(_), true) => "the local redirect has an active backend".to_owned(),
        (Some(_), false) => "no local redirect is in the service table".to_owned(),
    }
}

/// Whether pods' DNS fails, by the dump or by the probes.
fn dns_fails(case: &Case) -> bool {
    matches!(dns_life(case), DnsLife::Dead | DnsLife::DeadForOne | DnsLife::FewDead)
        || (case.egress.dns == Some(false) || case.egress.by_name == Some(false))
            && !matches!(dns_life(case), DnsLife::Alive)
}

/// Whether pods reach the world by address: the probe says so, or the dump where nobody could probe.
fn reaches_world(case: &Case) -> bool {
    match case.egress.by_address {
        Some(reaches) => reaches,
        None => case.egress.by_name == Some(true) || world_life(case) == Life::Alive,
    }
}

fn node_local_dns_down(case: &Case) -> Option<Opinion> {
    let dns = &case.around.node_local_dns;
    let asked = case.picture().is_some_and(|p| p.runbook.dns > 0);
    let says = match &dns.pod {
        Some(pod) if !pod.ready => format!("{} is not ready ({} restarts)", pod.pod, pod.restarts),
        None if case.around.pods.is_some() && (dns.deployed || asked) => {
            "no NodeLocal DNS pod is on this node".to_owned()
        }
        _ => return None,
    };
    if !dns_fails(case) || !reaches_world(case) {
        return None;
    }
    let summary = "NodeLocal DNS itself is down here; pods still reach the outside by address.";
    let mut opinion = Opinion::new(Code::NodeLocalDnsDown, Confidence::High, summary);
    opinion.because.push(Because::evidence("pods", says));
    if let Some(quote) = case.quote(Group::NodeLocalDns) {
        opinion.because.push(Because::check(CheckId::DnsConntrack, quote));
    }
    opinion.because.push(Because::check(CheckId::PodEgress, case.egress.finding.summary.clone()));
    Some(opinion)
}

fn node_local_dns_up(case: &Case) -> String {
    match &case.around.node_local_dns.pod {
        Some(pod) if pod.ready => format!("{} is ready", pod.pod),
        Some(pod) => format!("{} is not ready, but more than DNS is dead", pod.pod),
        None if case.around.pods.is_none() => "not looked at: the pods could not be listed".to_owned(),
        None => "no NodeLocal DNS pod is on this node".to_owned(),
    }
}

fn udp_masquerade(case: &Case) -> Option<Opinion> {
    let tcp_alive = life_with_idle(case, Group::WorldTcp) == Life::Alive
        || case.egress.by_address == Some(true) && group_life(case, Group::WorldTcp) != Life::Dead;
    if group_life(case, Group::WorldUdp) != Life::Dead || !tcp_alive {
        return None;
    }
    let picture = case.picture()?;
    let (udp, tcp) = (picture.group(Group::WorldUdp), picture.group(Group::WorldTcp));
    let rows = case.beyond.nat.seen();
    // Translations are made, so masquerading works: it is the far ends, or a firewall on the way.
    if rows.is_some_and(|rows| rows.udp > 0) {
        return None;
    }
    // Without the NAT list a handful of UDP flows to one far end is not enough.
    let no_udp_rows = rows.is_some_and(|rows| rows.udp == 0 && rows.tcp > 0);
    if !no_udp_rows && (udp.dead() < crate::checks::dns_conntrack::HANDFUL || udp.dead_peers < 2) {
        return None;
    }
    let architecture = case.around.architecture();
    let typical = architecture == "arm64";
    let confidence = if no_udp_rows || typical { Confidence::High } else { Confidence::Medium };
    let summary = "UDP from pods to the outside gets no answer while TCP does: masquerading of UDP is broken.";
    let mut opinion = Opinion::new(Code::UdpMasqueradeBroken, confidence, summary);
    let says = format!(
        "to the world by UDP {} of {} live flows get no answer, by TCP {}",
        udp.dead(),
        udp.decided(),
        match tcp.live() {
            0 => "the probe is answered".to_owned(),
            live => format!("{} of {live} are answered", tcp.answered + tcp.idle),
        }
    );
    opinion.because.push(Because::check(CheckId::ExternalConntrack, says));
    if let Some(rows) = rows {
        let says = format!("{} outgoing UDP translations, {} TCP", rows.udp, rows.tcp);
        opinion.because.push(Because::evidence("nat-list", says));
    }
    if typical {
        let says = format!("the node is {architecture} with kernel {}: known for it", case.around.kernel());
        opinion.because.push(Because::evidence("nodes", says));
    }
    Some(opinion)
}

fn udp_fine(case: &Case) -> String {
    match (group_life(case, Group::WorldUdp), group_life(case, Group::WorldTcp)) {
        (Life::Unseen, _) => "too few UDP flows to the world to tell".to_owned(),
        (Life::Dead, Life::Dead) => "TCP to the world is as dead as UDP".to_owned(),
        (Life::Dead, _) => "TCP to the world does not speak against it".to_owned(),
        _ => "UDP flows to the world are answered".to_owned(),
    }
}

fn link_local_masquerade(case: &Case) -> Option<Opinion> {
    let ready = case.around.node_local_dns.pod.as_ref().is_some_and(|pod| pod.ready);
    let others = [Group::HostToPod, Group::PodToHost].iter().any(|group| group_life(case, *group) == Life::Dead);
    let bpf = case.beyond.status.seen().is_some_and(|status| status.masquerading == Some(Masquerading::Bpf));
    if dns_life(case) != DnsLife::Dead
        || !ready
        || others
        || !bpf
        || !reaches_world(case)
        || world_life(case) == Life::Dead
    {
        return None;
    }
    let summary = "Queries to the link-local DNS address are masqueraded on their way (cilium/cilium#36761).";
    let mut opinion = Opinion::new(Code::LinkLocalMasquerade, Confidence::Medium, summary);
    if let Some(quote) = case.quote(Group::NodeLocalDns) {
        opinion.because.push(Because::check(CheckId::DnsConntrack, quote));
    }
    opinion.because.push(Because::evidence("agent-status", "masquerading is done by BPF"));
    opinion.because.push(Because::check(CheckId::PodEgress, case.egress.finding.summary.clone()));
    Some(opinion)
}

fn no_link_local_masquerade(case: &Case) -> String {
    if case.egress.by_address == Some(false) {
        return "pods do not reach the world by address either".to_owned();
    }
    if world_life(case) == Life::Dead {
        return "flows of pods to the world get no answer either".to_owned();
    }
    if dns_life(case) == DnsLife::Alive || case.picture().is_some_and(|p| p.group(Group::NodeLocalDns).answered > 0) {
        return "other queries to the link-local address are answered".to_owned();
    }
    beyond(&case.beyond.status, Evidence::AgentStatus, |status| match status.masquerading {
        Some(Masquerading::Bpf) => {
            "masquerading is done by BPF, but more than the link-local address is dead".to_owned()
        }
        Some(_) => "masquerading is not done by BPF".to_owned(),
        None => "the status does not say who masquerades".to_owned(),
    })
}

fn cluster_dns_down(case: &Case) -> Option<Opinion> {
    let fewer = case.backends.expected.is_some_and(|expected| expected <= 1) && !case.backends.redirected;
    let none = case.backends.expected == Some(0);
    let upstream_dead = group_life(case, Group::DnsUpstream) == Life::Dead;
    let upstream_of_pods_dead = cluster_dns_upstream_dead(case);
    let lookups_fail = case.egress.dns == Some(false) || case.egress.by_name == Some(false);
    let unanswered = dns_fails(case) || lookups_fail;
    let node_local_answers = dns_life(case) == DnsLife::Alive;
    let because = if none && (reaches_world(case) || lookups_fail && dead_groups(case).is_empty()) {
        "cluster DNS has no ready endpoint in the whole cluster".to_owned()
    } else if fewer && unanswered && reaches_world(case) && dead_groups(case).is_empty() {
        "cluster DNS has only one ready endpoint in the whole cluster, and queries are not answered".to_owned()
    } else if (upstream_dead || upstream_of_pods_dead) && node_local_answers && lookups_fail {
        case.quote(Group::DnsUpstream).filter(|_| upstream_dead).unwrap_or_else(|| {
            "node-local DNS answers, but what cluster DNS asks of its own upstream is not answered".to_owned()
        })
    } else {
        return None;
    };
    let summary = "Cluster DNS itself is down: the queries of pods arrive, the answers are missing further up.";
    let mut opinion = Opinion::new(Code::ClusterDnsDown, Confidence::High, summary);
    opinion.because.push(Because::check(CheckId::DnsBackends, because));
    if lookups_fail {
        opinion.because.push(Because::check(CheckId::PodEgress, case.egress.finding.summary.clone()));
    }
    Some(opinion)
}

/// Whether cluster DNS pods of this node get no answers from their upstream in the world.
fn cluster_dns_upstream_dead(case: &Case) -> bool {
    case.picture().is_some_and(|picture| {
        let dns_pods = picture
            .endpoints
            .iter()
            .filter(|e| e.address.is_some_and(|address| case.around.roles.is_cluster_dns(address)));
        let sum = dns_pods.fold(Counts::default(), |sum, e| sum.and(e.group(Group::WorldUdp)));
        crate::rules::witnesses::life(&sum, 3) == Life::Dead
    })
}

fn cluster_dns_up(case: &Case) -> String {
    match case.backends.expected {
        Some(0) => "no endpoint of cluster DNS is ready, but more than DNS fails".to_owned(),
        Some(1) => "one endpoint of cluster DNS is ready, and more than DNS fails".to_owned(),
        Some(n) => format!("{n} endpoints of cluster DNS are ready"),
        None => "not looked at: the endpoints of cluster DNS are not known".to_owned(),
    }
}

fn policy_denied(case: &Case) -> Option<Opinion> {
    let fails = case.egress.by_address == Some(false)
        || case.egress.by_name == Some(false)
        || case.egress.dns == Some(false)
        || case.egress.mixed;
    let (ever, denied) = (case.beyond.drops.seen()?.of("policy denied"), case.rising("policy denied")?);
    let picture = case.picture()?;
    // A denied first packet makes no entry: dead entries speak for a broken way, not for a policy.
    let dead = [Group::NodeLocalDns, Group::WorldTcp, Group::WorldUdp, Group::OtherDns, Group::Probe];
    let dead: u32 = dead.iter().map(|group| picture.group(*group).dead()).sum();
    if !fails || ever == 0 || dead >= 3 {
        return None;
    }
    let summary = "Network policy denies the traffic that fails: packets are dropped before they make an entry.";
    // Drops of the past only: still the likeliest, for a broken way would have left entries.
    let confidence = if denied == 0 { Confidence::Low } else { Confidence::Medium };
    let mut opinion = Opinion::new(Code::PolicyDenied, confidence, summary);
    let says = match (denied, case.beyond.drops_again.seen()) {
        (_, None) => format!("{ever} packets dropped: Policy denied"),
        (0, Some(_)) => format!("{ever} packets dropped: Policy denied, but none between two readings"),
        (_, Some(_)) => format!("{ever} packets dropped: Policy denied, and {denied} more between two readings"),
    };
    opinion.because.push(Because::evidence("drop-metrics", says));
    opinion.because.push(Because::evidence("ct-list", "no live flow of a pod waits for an answer"));
    opinion.because.push(Because::check(CheckId::PodEgress, case.egress.finding.summary.clone()));
    opinion.affected = case
        .egress
        .failing
        .iter()
        .map(|pod| Affected {
            namespace: pod.namespace.clone(),
            pod: pod.name.clone(),
            says: "its probe fails without leaving an entry".to_owned(),
        })
        .collect();
    Some(opinion)
}

fn policy_allows(case: &Case) -> String {
    if probe_flow(case) == ProbeFlow::Unanswered {
        return "the probe's own connection left the pod; a denied packet would have made no entry".to_owned();
    }
    let waiting = case.picture().map_or(0, |p| p.group(Group::NodeLocalDns).dead() + p.group(Group::WorldTcp).dead());
    if waiting >= 3 {
        return format!("{waiting} live flows wait for an answer; a denied packet would have made no entry");
    }
    beyond(&case.beyond.drops, Evidence::DropMetrics, |drops| {
        match (drops.of("policy denied"), case.rising("policy denied")) {
            (0, _) => "no packet was dropped by policy".to_owned(),
            (_, Some(0)) => "no packet was dropped by policy between two readings, though a probe was sent".to_owned(),
            (n, _) => format!("{n} packets were dropped by policy, but nothing that was probed fails for it"),
        }
    })
}
