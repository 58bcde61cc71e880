//! `stale-selective`: some pods, or one direction, are cut off while others of the same way are answered over the same time.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::base::evidence::Evidence;
use crate::base::time::age;
use crate::cilium::drops::Rises;
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::Code;
use crate::kubernetes::pod_trouble::Waiting;
use crate::rules::case::Case;
use crate::rules::opinion::Opinion;
use crate::rules::stale::datapath::{Held, host_rules_unread};
use crate::rules::verdict::{Affected, Because, Confidence, Figures, Says, figures};
use crate::rules::witnesses::{Fate, HostWitness, dead_ways, egress_says, host, reaches_world};
use crate::ways::compare::{CutOff, cut_off};
use crate::ways::counts::Counts;
use crate::ways::dns::DnsLife;
use crate::ways::group::Group;
use crate::ways::life::Life;
use crate::ways::picture::Picture;
use crate::ways::way::Way;

/// Packets that a network policy denied, as the counters name them.
const POLICY_DENIED: &str = "policy denied";
/// So many flows without an answer are not chance.
pub(super) const SEVERAL: u32 = 3;

/// A pod that is cut off.
pub struct CutOffPod {
    /// `namespace/name`, or the address where no pod is known by it.
    pub name: String,
    namespace: String,
    pod: String,
    says: String,
    figures: Figures,
    last_answer: u32,
    /// Whether other flows of the pod are answered.
    answered_elsewhere: bool,
    /// Kubelet's probes of it whose answers never arrive.
    half_open: u32,
    /// Its live DNS flows that never got an answer.
    never_answered: u32,
}

impl From<CutOffPod> for Affected {
    fn from(pod: CutOffPod) -> Self {
        Self { namespace: pod.namespace, pod: pod.pod, says: pod.says }
    }
}

/// `stale-selective`.
#[must_use]
pub fn selective(case: &Case) -> Held {
    match one_direction(case) {
        Held::No => some_pods(case),
        held => held,
    }
}

/// The signs are there, but something that must speak is silent.
fn silent(summary: String, evidence: Evidence, why: Says) -> Opinion {
    Opinion::new(Code::EvidenceMissing, Confidence::Medium, summary).because(Because::said(evidence.name(), why))
}

/// This node reaches none of its pods, which all others reach.
fn one_direction(case: &Case) -> Held {
    let dead = dead_ways(case);
    let [only] = dead.as_slice() else { return Held::No };
    let answers = [Way::World, Way::AcrossIn, Way::Here].iter().any(|way| case.way(*way).life == Life::Alive);
    if only.fate != Fate::HostIn || !(answers || reaches_world(case)) || !host(case).is_fine() || policy_rises(case) {
        return Held::No;
    }
    let summary = "This node does not reach its own pods (kubelet's probes die), while the same pods answer others";
    let rules = host_rules_unread(case, &dead).map(|(evidence, why)| (evidence, Says::new(why, [])));
    // A probe that was let in and answered is not denied.
    let was_let_in = case.way(Way::HostToPod).counts.half_open >= SEVERAL;
    let policy = || policy_unread(case).filter(|_| !was_let_in).map(|why| (case.beyond.drops_from, why));
    if let Some((evidence, why)) = rules.or_else(policy) {
        let summary = format!("{summary}, cause unknown: {}.", why.text);
        return Held::Silent(Box::new(silent(summary, evidence, why).because(only.because.clone())));
    }
    let summary = format!("{summary}.");
    let mut opinion = Opinion::new(Code::StaleSelective, Confidence::Medium, summary).because(only.because.clone());
    opinion
        .confidence_because
        .push("one direction is dead; a second dead way, or a direct sign, would say more".to_owned());
    for way in [Way::World, Way::AcrossIn] {
        opinion = opinion.and("ct-list", case.way_says(way).filter(|_| case.way(way).life == Life::Alive));
    }
    opinion = opinion.because(egress_says(case));
    opinion.affected = case
        .trouble
        .unready
        .iter()
        .map(|waiting| Affected {
            namespace: waiting.pod.namespace.clone(),
            pod: waiting.pod.name.clone(),
            says: format!("not ready for {}", age(waiting.for_s)),
        })
        .collect();
    Held::Stale(Box::new(opinion))
}

fn some_pods(case: &Case) -> Held {
    let Some(picture) = case.picture() else { return Held::No };
    let mut cut_off = cut_off_pods(case);
    cut_off.retain(|pod| !may_be_denied_there(case, pod));
    if cut_off.is_empty() || !others_vouch(case) || policy_rises(case) {
        return Held::No;
    }
    if let Some(why) = policy_unread(case) {
        let maybe_denied: Vec<&CutOffPod> = cut_off.iter().filter(|pod| policy_would_explain(case, pod)).collect();
        if maybe_denied.len() == cut_off.len() {
            return Held::Silent(Box::new(maybe_denied_opinion(case, &maybe_denied, why)));
        }
        let denied: BTreeSet<String> = maybe_denied.into_iter().map(|pod| pod.name.clone()).collect();
        cut_off.retain(|pod| !denied.contains(&pod.name));
    }
    let names: Vec<&str> = cut_off.iter().map(|pod| pod.name.as_str()).collect();
    let (are, whose) = if names.len() == 1 { ("is", "its") } else { ("are", "their") };
    let summary =
        format!("Only {} {are} cut off: {whose} flows get no answer, while those of other pods do.", list(&names));
    let mut opinion = Opinion::new(Code::StaleSelective, Confidence::Medium, summary);
    opinion
        .confidence_because
        .push("only their flows tell which pods are affected; a direct sign would make it high".to_owned());
    for pod in &cut_off {
        let says = Says { text: format!("{}: {}", pod.name, pod.says), figures: pod.figures.clone() };
        opinion.because.push(Because::said(CheckId::DnsConntrack.name(), says));
    }
    opinion = opinion.and(CheckId::DnsConntrack.name(), others_say(case));
    if cut_off.iter().any(|pod| since_agent_start(case, picture, pod)) {
        let says = "no answer since the agent's own last start: a further restart may not help (cilium/cilium#37077)";
        opinion.because.push(Because::evidence("pods", says));
    }
    opinion.affected = cut_off.into_iter().map(Into::into).collect();
    Held::Stale(Box::new(opinion))
}

/// Pods are cut off, and a policy that denies them would look the same.
fn maybe_denied_opinion(case: &Case, pods: &[&CutOffPod], why: Says) -> Opinion {
    let names: Vec<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
    let (are, whose) = if names.len() == 1 { ("is", "its") } else { ("are", "their") };
    let summary = format!(
        "Only {} {are} cut off ({whose} flows get no answer, those of other pods do), cause unknown: {}.",
        list(&names),
        why.text
    );
    let mut opinion = silent(summary, case.beyond.drops_from, why);
    for pod in pods {
        let says = Says { text: format!("{}: {}", pod.name, pod.says), figures: pod.figures.clone() };
        opinion.because.push(Because::said(CheckId::DnsConntrack.name(), says));
    }
    opinion
}

/// Whether a policy of the resolver's own may deny the queries of this pod: they end at a DNS pod, here or on another node
/// where the drops are counted, and what else the pod sends is answered.
fn may_be_denied_there(case: &Case, pod: &CutOffPod) -> bool {
    resolver_is_a_pod(case) && pod.answered_elsewhere && pod.half_open == 0
}

/// Whether the resolver that pods ask is a pod with a network of its own, so that policies hold for it.
fn resolver_is_a_pod(case: &Case) -> bool {
    match &case.around.node_local_dns.pod {
        Some(pod) if case.dns.path.ends_here() => !pod.host_network,
        _ => !case.dns.path.ends_here(),
    }
}

/// Whether policy drops rise now.
fn policy_rises(case: &Case) -> bool {
    !case.rising(POLICY_DENIED).is_empty()
}

/// Why it is not known whether policy drops rise; none where two readings tell, or one that counts none.
fn policy_unread(case: &Case) -> Option<Says> {
    if matches!(case.rises(), Some(Rises::Between(_))) {
        return None;
    }
    let readings: Vec<_> =
        [&case.beyond.drops, &case.beyond.drops_again].into_iter().filter_map(|r| r.seen()).collect();
    let counted = readings.iter().map(|drops| drops.of(POLICY_DENIED)).max();
    match counted {
        Some(0) => None,
        Some(counted) => Some(Says::new(
            format!("policy dropped {counted} packets, and whether it still drops any was not read a second time"),
            [("policy_denied", counted.into())],
        )),
        None => {
            let says =
                format!("a policy would look the same, and dropped packets were not read ({})", case.beyond.drops_from);
            Some(Says::new(says, []))
        }
    }
}

/// Whether a policy would explain the dead flows of a pod. The sender's policy, which came later, stops flows that were
/// answered: a packet that it denies makes no entry, so a flow that never got an answer had left the pod. The resolver's
/// policy leaves such flows; a resolver on the host has one only by Cilium's host firewall, which is off by default. Answers
/// to kubelet's probes are never denied.
fn policy_would_explain(case: &Case, pod: &CutOffPod) -> bool {
    let host_firewall = case.beyond.status.seen().and_then(|status| status.host_firewall);
    let resolver_has_none = !resolver_is_a_pod(case) && host_firewall != Some(true);
    pod.half_open == 0 && !(pod.never_answered >= SEVERAL && resolver_has_none)
}

/// How many pods have been cut off since the agent's own last start; none if that is unknown.
#[must_use]
pub fn cut_off_since_agent_start(case: &Case) -> Option<usize> {
    let picture = case.picture()?;
    case.agent_age_s().filter(|age| *age > 0)?;
    Some(cut_off_pods(case).iter().filter(|pod| since_agent_start(case, picture, pod)).count())
}

/// Whether a pod's last answer is older than the agent, or the pod has not been ready since about its start.
fn since_agent_start(case: &Case, picture: &Picture, pod: &CutOffPod) -> bool {
    /// Kubelet notices so much later, in seconds.
    const NOTICED_S: i64 = 300;
    let Some(agent) = case.agent_age_s().filter(|age| *age > 0) else { return false };
    let is_this = |unready: &&Waiting| unready.pod.namespace == pod.namespace && unready.pod.name == pod.pod;
    let unready = case.trouble.unready.iter().find(is_this);
    #[expect(clippy::cast_precision_loss, reason = "seconds of an agent's life")]
    let silent = pod.last_answer != 0 && picture.age_s(pod.last_answer) > agent as f64;
    silent || unready.is_some_and(|unready| (0..NOTICED_S).contains(&(agent - unready.for_s)))
}

/// Whether everything else that could cut some pods off is known to be fine: the host, the resolver, cluster DNS.
fn others_vouch(case: &Case) -> bool {
    let host_fine = match host(case) {
        HostWitness::Fine | HostWitness::FineByDump => true,
        HostWitness::Unseen | HostWitness::OnlyPingFails => reaches_world(case),
        HostWitness::Down | HostWitness::Contradicted => false,
    };
    let dns = &case.around.node_local_dns;
    let node_local_dns_fine = dns.pod.as_ref().is_some_and(|pod| pod.ready && pod.restarts < 3) || !dns.deployed;
    // With one endpoint or none, unanswered queries may be cluster DNS's own; then only a lookup can confirm it.
    let looked_up = case.egress.dns == Some(true) || case.egress.by_name == Some(true);
    let cluster_dns_fine = case.backends.expected.is_some_and(|expected| expected >= 2 || looked_up);
    host_fine && node_local_dns_fine && cluster_dns_fine && !one_resolver_is_silent(case)
}

/// Whether one of several resolvers answers no pod while others answer: then that resolver is at fault.
fn one_resolver_is_silent(case: &Case) -> bool {
    let Some(picture) = case.picture() else { return false };
    let asked = || picture.resolvers.iter().filter(|r| case.dns.path.groups().contains(&r.group));
    asked().any(|r| r.answered == 0 && r.dead >= 3) && asked().any(|r| r.answered > 0)
}

/// The pods that are cut off while others are answered: from DNS, or from kubelet's probes.
#[must_use]
pub fn cut_off_pods(case: &Case) -> Vec<CutOffPod> {
    let Some(picture) = case.picture() else {
        return Vec::new();
    };
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for pod in cut_off(picture, case.dns.path.groups()) {
        if seen.insert(pod.address) {
            let other = elsewhere(case, picture, pod.address);
            let says = dns_says(case, picture, &pod);
            let mut named = name(case, pod.address, says.text + &other.text);
            named.figures = says.figures;
            named.figures.extend(other.figures);
            named.last_answer = pod.counts.last_answer;
            named.answered_elsewhere = answered_elsewhere(picture, pod.address);
            named.never_answered = pod.counts.unanswered;
            found.push(named);
        }
    }
    // A probe whose answer leaves and never arrives is the datapath's; one that is not answered at all is the pod's.
    for endpoint in &picture.endpoints {
        let probes = endpoint.group(Group::HostToPod);
        let Some(ip) = endpoint.address else { continue };
        let others = endpoint.sum(&[Group::LocalToPod, Group::RemoteToPod, Group::WorldToPod]);
        let answers_others = others.answered > 0 || endpoint.sum(case.dns.path.groups()).answered > 0;
        let others_probed = picture.group(Group::HostToPod).answered > 0;
        if probes.half_open >= 3
            && probes.answered == 0
            && (answers_others || others_probed)
            && case.dns.life != DnsLife::Dead
            && seen.insert(ip)
        {
            let says = format!(
                "{} of kubelet's probes come in and are answered, but the answer never arrives",
                probes.half_open
            );
            let other = elsewhere(case, picture, ip);
            let mut named = name(case, ip, says + &other.text);
            named.figures = figures([("way", Way::HostToPod.name().into()), ("dead", probes.half_open.into())]);
            named.figures.extend(other.figures);
            named.last_answer = probes.last_answer;
            named.half_open = probes.half_open;
            found.push(named);
        }
    }
    found
}

/// Whether flows of a pod to the world or to other pods are answered.
fn answered_elsewhere(picture: &Picture, ip: IpAddr) -> bool {
    let other = [Group::WorldTcp, Group::WorldUdp, Group::PodToLocalPod, Group::PodToRemotePod, Group::PodToHost];
    let endpoint = picture.endpoints.iter().find(|endpoint| endpoint.address == Some(ip));
    endpoint.is_some_and(|endpoint| endpoint.sum(&other).answered > 0)
}

/// "12 of 12 live DNS flows get no answer (others over the same time: 0 of 300); last answer 7 minutes before the dump".
fn dns_says(case: &Case, picture: &Picture, pod: &CutOff) -> Says {
    let mut figures = figures([
        ("way", "dns".into()),
        ("dead", pod.own.dead.into()),
        ("decided", pod.own.decided.into()),
        ("others_dead", pod.others.dead.into()),
        ("others_decided", pod.others.decided.into()),
    ]);
    let since = match pod.counts.last_answer {
        0 => "no answer is recorded".to_owned(),
        moment => {
            #[expect(clippy::cast_possible_truncation, reason = "seconds of at most 2^32 units")]
            let seconds = picture.age_s(moment) as i64;
            figures.insert("last_answer_s".to_owned(), seconds.into());
            format!("last answer {} before the dump", age(seconds))
        }
    };
    let text = format!(
        "{} of {} live flows to {} get no answer (other pods over the same time: {} of {}); {since}",
        pod.own.dead,
        pod.own.decided,
        case.dns.path.label(),
        pod.others.dead,
        pod.others.decided
    );
    Says { text, figures }
}

/// How the others do on the same way.
fn others_say(case: &Case) -> Option<Says> {
    let answered = case.dns.state.counts.answered;
    (answered > 0).then(|| {
        let flows = if answered == 1 { "1 live flow of another pod is" } else { &format!("{answered} live flows are") };
        let says = format!("{flows} answered on the same way ({})", case.dns.path.label());
        Says::new(says, [("way", "dns".into()), ("answered", answered.into())])
    })
}

/// "; of its other flows 12 of 12 to the world are answered": what else a pod that is cut off can do.
fn elsewhere(case: &Case, picture: &Picture, ip: IpAddr) -> Says {
    let Some(endpoint) = picture.endpoints.iter().find(|endpoint| endpoint.address == Some(ip)) else {
        return Says::default();
    };
    let other_dns: Vec<Group> = Group::DNS.iter().filter(|g| !case.dns.path.groups().contains(g)).copied().collect();
    let ways: [(&str, &str, &[Group]); 4] = [
        ("to the world", "world", &Group::WORLD),
        ("to other pods", "to_pods", &[Group::PodToLocalPod, Group::PodToRemotePod]),
        ("to other DNS", "other_dns", &other_dns),
        ("from other pods", "from_pods", &[Group::LocalToPod, Group::RemoteToPod]),
    ];
    let (mut told, mut figures) = (Vec::new(), Figures::new());
    for (way, name, groups) in ways {
        let sum: Counts = endpoint.sum(groups);
        if sum.decided() > 0 {
            told.push(format!("{} of {} {way}", sum.answered, sum.decided()));
            figures.insert(format!("{name}_answered"), sum.answered.into());
            figures.insert(format!("{name}_decided"), sum.decided().into());
        }
    }
    if told.is_empty() {
        return Says::default();
    }
    Says { text: format!("; of its other flows {} are answered", told.join(", ")), figures }
}

/// A pod by its address.
pub(super) fn name(case: &Case, ip: IpAddr, says: String) -> CutOffPod {
    let (name, namespace, pod) = match case.around.names.get(&ip) {
        Some(pod) => (pod.to_string(), pod.namespace.clone(), pod.name.clone()),
        None => (ip.to_string(), String::new(), ip.to_string()),
    };
    CutOffPod {
        name,
        namespace,
        pod,
        says,
        figures: Figures::new(),
        last_answer: 0,
        answered_elsewhere: false,
        half_open: 0,
        never_answered: 0,
    }
}

fn list(names: &[&str]) -> String {
    match names {
        [one] => (*one).to_owned(),
        [first, second] => format!("{first} and {second}"),
        [first, rest @ ..] => format!("{first} and {} other pods", rest.len()),
        [] => "no pod".to_owned(),
    }
}
