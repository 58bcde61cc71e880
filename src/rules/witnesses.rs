//! The witnesses: the evidence for the host, the dead ways, and the probes.

use std::fmt::Write as _;

use crate::base::time::seconds_between;
use crate::checks::Status;
use crate::checks::pod_egress::decided;
use crate::knowledge::check_id::CheckId;
use crate::rules::case::Case;
use crate::rules::verdict::{Because, Figures, Says, figures};
use crate::ways::compare::cut_off;
use crate::ways::counts::Counts;
use crate::ways::dns::{DnsLife, DnsPath};
use crate::ways::group::Group;
use crate::ways::life::{FEW, Life, life};
use crate::ways::picture::Endpoint;
use crate::ways::way::{Way, WayState};

/// Who speaks for the host's own network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostWitness {
    /// It answers for itself: SSH, or the agent's container.
    Fine,
    /// Only the dump: answered flows of the host's own. Weaker.
    FineByDump,
    /// Its ping is not answered, and its own connections are not either.
    Down,
    /// Its ping is answered, but its own connections are not.
    Contradicted,
    /// Its ping is not answered, and nothing else decides: the target may be one that does not answer pings.
    OnlyPingFails,
    /// No evidence.
    Unseen,
}

impl HostWitness {
    /// Whether the host's network is known to work.
    #[must_use]
    pub const fn is_fine(self) -> bool {
        matches!(self, Self::Fine | Self::FineByDump)
    }
}

/// Who speaks for the host's own network.
#[must_use]
pub fn host(case: &Case) -> HostWitness {
    let (world, cluster) = (case.way(Way::HostToWorld), case.way(Way::HostToCluster));
    let dead = [world, cluster]
        .iter()
        .any(|way| way.life == Life::Dead && way.counts.dead_peers >= 2 && !outlived(case, &way.counts));
    match case.host.status {
        Status::Pass | Status::Warn if dead => HostWitness::Contradicted,
        Status::Pass | Status::Warn => HostWitness::Fine,
        Status::Fail if world.counts.answered >= FEW && world.life == Life::Alive => HostWitness::FineByDump,
        Status::Fail if dead => HostWitness::Down,
        Status::Fail => HostWitness::OnlyPingFails,
        Status::Unknown | Status::NotApplicable => {
            let speaks = |ways: &[Way]| {
                let lives: Vec<Life> = ways.iter().map(|way| with_idle(case, *way)).collect();
                lives.contains(&Life::Alive) && !lives.contains(&Life::Dead)
            };
            // What pods send across nodes says more than what comes in: an uplink that is gone may still receive.
            if speaks(&[Way::AcrossOut, Way::AcrossIn]) && speaks(&[Way::HostToWorld, Way::HostToCluster]) {
                HostWitness::FineByDump
            } else {
                HostWitness::Unseen
            }
        }
    }
}

/// Whether an answer came later than the questions of most of these flows that have none.
fn outlived(case: &Case, counts: &Counts) -> bool {
    case.picture().is_some_and(|picture| picture.is_outlived(counts))
}

/// How a way does where long-lived connections count although no packet passed lately: a weaker word for "alive".
fn with_idle(case: &Case, way: Way) -> Life {
    let mut counts = case.way(way).counts;
    counts.answered += counts.idle;
    life(&counts, FEW)
}

/// How many nodes the agent's own health probes reach, of how many, where they reach another than their own.
#[must_use]
pub fn agent_reaches(case: &Case) -> Option<(u32, u32)> {
    case.beyond.status.seen()?.cluster_health.filter(|(reached, _)| *reached > 1)
}

/// What says that the host's network works, with its figures.
#[must_use]
pub fn host_says(case: &Case) -> Option<Says> {
    match host(case) {
        HostWitness::Fine => Some(Says { text: case.host.summary.clone(), figures: host_figures(case) }),
        HostWitness::FineByDump => case.way_says(Way::HostToWorld).or_else(|| case.way_says(Way::HostToCluster)),
        _ => None,
    }
}

/// The figures of the host's check, as far as there are any.
#[must_use]
pub fn host_figures(case: &Case) -> Figures {
    let data = &case.host.data;
    let mut figures = figures([("target", data.target.clone().into())]);
    figures.extend(data.sent.map(|sent| ("sent".to_owned(), sent.into())));
    figures.extend(data.received.map(|received| ("received".to_owned(), received.into())));
    figures.extend(data.rtt_avg_ms.map(|ms| ("rtt_avg_ms".to_owned(), ms.into())));
    figures
}

/// What the pods' check says, with how many pods it rests on.
#[must_use]
pub fn egress_says(case: &Case) -> Because {
    let finding = &case.egress.finding;
    let word = |reaches: Option<bool>| match reaches {
        Some(true) => "ok",
        Some(false) => "failed",
        None => "unknown",
    };
    let figures = figures([
        ("asked", finding.data.probes.len().into()),
        ("decided", decided(&finding.data.probes).count().into()),
        ("failed", case.egress.failing.len().into()),
        ("by_name", word(case.egress.by_name).into()),
        ("by_address", word(case.egress.by_address).into()),
        ("dns", word(case.egress.dns).into()),
    ]);
    Because::check(CheckId::PodEgress, finding.summary.clone()).with(figures)
}

/// Whether pods reach the world: by name or by address, one that works proves the path; the dump speaks where no pod
/// could probe.
#[must_use]
pub fn reaches_world(case: &Case) -> bool {
    case.egress.by_name == Some(true)
        || case.egress.by_address == Some(true)
        || case.egress.by_name.is_none() && case.egress.by_address.is_none() && case.way(Way::World).life == Life::Alive
}

/// Whether pods' probes of the world failed in every form that could be asked.
#[must_use]
pub fn probes_fail(case: &Case) -> bool {
    let asked = [case.egress.by_name, case.egress.by_address];
    asked.contains(&Some(false)) && !asked.contains(&Some(true))
}

/// What became of the probes' own connections to the outside address, by the dump that was read right after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeFlow {
    /// None is in the dump, or the dump is missing: says nothing, because the entry may have been evicted.
    NotSeen,
    /// They left the pod, and at least one got no answer (yet).
    Unanswered,
    /// They left the pod, and all were answered: the path carries packets, whatever the tool made of them.
    Answered,
}

/// What became of the probes' own connections.
#[must_use]
pub fn probe_flow(case: &Case) -> ProbeFlow {
    let Some(picture) = case.picture() else {
        return ProbeFlow::NotSeen;
    };
    let counts = picture.group(Group::Probe);
    match (counts.dead() + counts.in_flight, counts.answered) {
        (0, 0) => ProbeFlow::NotSeen,
        (0, _) if answered_since_asked(case, picture.age_s(counts.last_answer)) => ProbeFlow::Answered,
        (0, _) => ProbeFlow::NotSeen,
        _ => ProbeFlow::Unanswered,
    }
}

/// Whether an answer came back after the probe was sent: older ones are of the pod's other connections.
fn answered_since_asked(case: &Case, answer_age_s: f64) -> bool {
    let between = case.egress.by_address_at.zip(case.taken_at).map(|(asked, taken)| seconds_between(asked, taken));
    // Moments are written to the second.
    #[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
    between.is_some_and(|between| between >= 0 && answer_age_s <= between as f64 + 1.0)
}

/// The result of the probes, with what the dump shows of their connections.
#[must_use]
pub fn probes_say(case: &Case) -> Because {
    let mut because = egress_says(case);
    because.says += match probe_flow(case) {
        ProbeFlow::NotSeen => "",
        ProbeFlow::Unanswered => "; the dump shows the probe's connection: it left the pod, and no answer came back",
        ProbeFlow::Answered => "; the dump shows the probe's connection: it left the pod and was answered",
    };
    because
}

/// Whether the world is dead for this node's pods, by the dump or by probes that left and got no answer.
#[must_use]
pub fn world_is_dead(case: &Case) -> Option<Because> {
    if reaches_world(case) {
        return None;
    }
    let state = case.way(Way::World);
    if state.life == Life::Dead && is_of_many(case, &Group::WORLD) {
        let mut says = case.way_says(Way::World)?;
        let _ = write!(says.text, ", from {} different far ends", state.counts.dead_peers);
        return Some(Because::said(CheckId::ExternalConntrack.name(), says));
    }
    // A target that does not answer the host either is not a witness; a probe whose packets were answered failed for
    // something else than the path.
    let target_speaks = !matches!(host(case), HostWitness::OnlyPingFails | HostWitness::Unseen);
    (probes_fail(case)
        && case.egress.by_address == Some(false)
        && target_speaks
        && probe_flow(case) != ProbeFlow::Answered)
        .then(|| probes_say(case))
}

/// Whether the dead flows of these groups are of more than one pod, beside those that are cut off by themselves: one
/// client that gets no answers is that client's problem.
#[must_use]
pub fn is_of_many(case: &Case, groups: &[Group]) -> bool {
    let Some(picture) = case.picture() else { return false };
    let cut_off = cut_off(picture, case.dns.path.groups());
    let is_cut_off = |endpoint: &Endpoint| cut_off.iter().any(|pod| Some(pod.address) == endpoint.address);
    picture.waiting(groups).filter(|endpoint| !is_cut_off(endpoint)).nth(1).is_some()
}

/// What several dead ways may have in common, so that they count as one witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fate {
    /// Packets of pods that end on this node.
    Host,
    /// Packets of this node to its pods.
    HostIn,
    /// Packets to the world.
    World,
    /// Packets between nodes: the tunnel, encryption, the far nodes.
    Across,
    /// Packets between pods of this node.
    Here,
}

/// A way that is dead for many pods.
#[derive(Clone, Debug)]
pub struct DeadWay {
    /// What it shares with others.
    pub fate: Fate,
    /// Whether it is DNS.
    pub dns: bool,
    /// Whether all that is dead goes to one port of pods: one service that hangs looks the same, on however many nodes.
    pub one_port: bool,
    /// What shows it.
    pub because: Because,
}

/// The ways that are dead for this node's pods, DNS first, those with a living contrary witness left out.
#[must_use]
pub fn dead_ways(case: &Case) -> Vec<DeadWay> {
    let mut dead = Vec::new();
    let mut add = |fate, dns, name: &str, says: Option<Says>| {
        dead.extend(says.map(|says| DeadWay { fate, dns, one_port: false, because: Because::said(name, says) }));
    };
    if dns_is_dead(case) {
        add(dns_fate(case), true, CheckId::DnsConntrack.name(), dns_or_probe_says(case));
    }
    let for_many = |way: Way, far_ends: u32| {
        let state = case.way(way);
        state.life == Life::Dead && state.counts.dead_peers >= far_ends && is_of_many(case, way.groups())
    };
    // Where kubelet's probes complete, the path between pods and host lives both ways: then it is the port, or a policy.
    let host_path_lives = case.way(Way::HostToPod).life == Life::Alive;
    let lives_on = |way: Way| outlived(case, &case.way(way).counts);
    if for_many(Way::PodToHost, 1) && !host_path_lives && !lives_on(Way::PodToHost) {
        add(Fate::Host, false, "ct-list", case.way_says(Way::PodToHost));
    }
    if for_many(Way::HostToPod, 1) {
        add(Fate::HostIn, false, "ct-list", case.way_says(Way::HostToPod));
    } else if let Some(says) = probes_time_out(case) {
        add(Fate::HostIn, false, "events", Some(says));
    }
    // Where one of several far nodes alone is silent, it may be that one.
    let far_nodes = if case.around.others == 1 { 1 } else { 2 };
    // Nodes that are off answer nobody, and do not count.
    let far_nodes = far_nodes + u32::try_from(case.around.others_off).unwrap_or(u32::MAX / 2);
    let mut between_pods = Vec::new();
    for (way, far_ends) in [(Way::AcrossOut, far_nodes), (Way::AcrossIn, far_nodes), (Way::Here, 2)] {
        if for_many(way, far_ends) && !lives_on(way) {
            let fate = if way == Way::Here { Fate::Here } else { Fate::Across };
            let one_port = case.way(way).counts.dead_ports == 1;
            let dead_way = |says| DeadWay { fate, dns: false, one_port, because: Because::said("ct-list", says) };
            between_pods.extend(case.way_says(way).map(dead_way));
        }
    }
    if !across_decides(case) && across_is_dead_to_the_unlisted(case) {
        add(Fate::Across, false, "ct-list", case.quote(Group::PodToGone));
    }
    dead.extend(between_pods);
    if let Some(because) = world_is_dead(case) {
        dead.push(DeadWay { fate: Fate::World, dns: false, one_port: false, because });
    }
    dead
}

/// The dead ways that are witnesses against the datapath. While the world or DNS answers pods, what is dead to one port only
/// is that service.
#[must_use]
pub fn witnesses(case: &Case) -> Vec<DeadWay> {
    let answered = reaches_world(case) || case.dns.life == DnsLife::Alive;
    dead_ways(case).into_iter().filter(|way| !(way.one_port && answered)).collect()
}

/// Whether flows between nodes themselves tell how that way does.
fn across_decides(case: &Case) -> bool {
    [Way::AcrossOut, Way::AcrossIn].iter().any(|way| case.way(*way).life != Life::Unseen)
}

/// Whether flows to addresses of other nodes' pods that are not listed all die while node-local DNS reaches no cluster DNS
/// pod of other nodes either: such an address alone may be a pod that is gone, both together are the way between nodes.
fn across_is_dead_to_the_unlisted(case: &Case) -> bool {
    let Some(picture) = case.picture() else { return false };
    let gone = WayState::of_groups(picture, &[Group::PodToGone], FEW);
    let upstream = life(picture.group(Group::DnsUpstream), FEW);
    gone.is_dead_for_many() && gone.counts.answered == 0 && upstream == Life::Dead
}

/// Kubelet's second voice: most pods of the node are not ready, and their probes get no answer in time.
#[must_use]
pub fn probes_time_out(case: &Case) -> Option<Says> {
    let trouble = &case.trouble;
    let (unready, silent) = (trouble.unready.len(), trouble.timeouts.len());
    let answered = case.way(Way::HostToPod).counts.answered;
    if unready < 2 || silent < 2 || unready * 2 < trouble.running || answered > 0 {
        return None;
    }
    let count: i64 = trouble.timeouts.iter().map(|pod| pod.count).sum();
    Some(Says::new(
        format!(
            "kubelet's probes of {silent} pods got no answer in time ({count} in recent events), {unready} of {} running \
             pods are not ready, and no probe that was answered is in the dump",
            trouble.running
        ),
        [
            ("way", Way::HostToPod.name().into()),
            ("pods", silent.into()),
            ("unready", unready.into()),
            ("running", trouble.running.into()),
            ("failures", count.into()),
        ],
    ))
}

/// Whether the DNS that pods ask is dead for many: by the dump, or, where flows are few, by flows and probes together.
#[must_use]
pub fn dns_is_dead(case: &Case) -> bool {
    let probe_agrees = case.egress.dns == Some(false) || case.egress.by_name == Some(false);
    match case.dns.life {
        DnsLife::Dead => is_of_many(case, case.dns.path.groups()),
        DnsLife::DeadForOne | DnsLife::FewDead => probe_agrees && case.egress.dns != Some(true),
        _ => false,
    }
}

fn dns_or_probe_says(case: &Case) -> Option<Says> {
    case.dns_says().or_else(|| {
        let because = egress_says(case);
        Some(Says { text: because.says, figures: because.figures })
    })
}

/// Where the packets of DNS end.
fn dns_fate(case: &Case) -> Fate {
    if case.dns.path.ends_here() {
        return Fate::Host;
    }
    let Some(picture) = case.picture() else { return Fate::Across };
    let local = |resolver: &crate::ways::picture::Resolver| {
        case.around.roles.of(resolver.address) == crate::kubernetes::roles::Role::LocalPod
    };
    let asked = picture.resolvers.iter().filter(|r| case.dns.path.groups().contains(&r.group) && r.dead > 0);
    if case.dns.path != DnsPath::Unknown && asked.clone().count() > 0 && asked.clone().all(local) {
        Fate::Here
    } else {
        Fate::Across
    }
}
