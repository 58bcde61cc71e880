//! The one side: the datapath of this node is stale, and a restart of its agent repairs it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::checks::dns_conntrack::cut_off;
use crate::checks::external_conntrack::a_way_lives;
use crate::cilium::services::Target;
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::Code;
use crate::rules::Opinion;
use crate::rules::case::Case;
use crate::rules::lookalikes::{host_up, in_trouble};
use crate::rules::verdict::{Affected, Because, Confidence};
use crate::rules::witnesses::{
    DnsLife, HostWitness, Life, ProbeFlow, dead_groups, dns_life, group_life, host, probe_flow, world_life,
};
use crate::ways::counts::Counts;
use crate::ways::group::Group;
use crate::ways::picture::Picture;

/// What keeps a stale verdict back.
pub enum Held {
    /// Nothing: this is it.
    Stale(Opinion),
    /// The signs are there, but something that must speak is silent; this says what.
    Silent(String),
    /// The signs are not there.
    No,
}

/// `stale-datapath`: DNS dead for many, a second group dead, and the host fine.
#[must_use]
pub fn datapath(case: &Case) -> Held {
    let dns = dns_life(case);
    let probes = &case.egress;
    let probe_agrees = probes.dns == Some(false) || probes.by_name == Some(false);
    let dns_dead = match dns {
        DnsLife::Dead => true,
        // The probe is a second source, and decides where flows are few.
        DnsLife::DeadForOne | DnsLife::FewDead => probe_agrees,
        _ => false,
    };
    if !dns_dead {
        return Held::No;
    }
    let groups = dead_groups(case);
    if groups.is_empty() {
        return Held::Silent(
            "DNS to the node-local address is dead, but no second group of flows is seen dead beside it".to_owned(),
        );
    }
    // A policy that denies the probe's pod everything looks the same, and denied packets make no entry. So where other
    // pods are answered by the world, or, where flows are few, on any other way, the probe's own connection must be
    // seen, too.
    let probe_alone = groups.len() == 1 && probes.by_address == Some(false);
    let lives = |group: &Group| group_life(case, *group) == Life::Alive;
    let other_way_lives = world_life(case) == Life::Alive
        || case.picture().is_some_and(a_way_lives)
        || dns != DnsLife::Dead && [Group::PodToHost, Group::HostToPod].iter().any(lives);
    if probe_alone && other_way_lives && probe_flow(case) != ProbeFlow::Unanswered {
        let says = "beside DNS only the probe of one pod speaks, and other flows of this node's pods are answered";
        return Held::Silent(says.to_owned());
    }
    // A probe that got through would contradict the dump; one that got lost might have.
    if !probe_agrees && probes.by_address != Some(false) && (probes.lost || probes.by_name.or(probes.dns) == Some(true))
    {
        return Held::Silent(format!("a pod's own word is missing: {}", probes.finding.summary));
    }
    match &case.around.node_local_dns.pod {
        Some(pod) if pod.ready => {}
        Some(pod) => {
            return Held::Silent(format!("{} is not ready, which explains the DNS part by itself", pod.pod));
        }
        None => return Held::Silent("no NodeLocal DNS pod is on this node, which explains the DNS part".to_owned()),
    }
    let witness = host(case);
    match witness {
        HostWitness::Fine | HostWitness::FineByDump => {}
        HostWitness::Down => return Held::Silent(format!("the host's own network is in doubt: {}", case.host.summary)),
        HostWitness::Nobody => {
            return Held::Silent("nobody could say whether the host's own network is fine".to_owned());
        }
    }
    let mut confidence = if groups.len() >= 2 { Confidence::High } else { Confidence::Medium };
    if witness == HostWitness::FineByDump || dns == DnsLife::FewDead {
        confidence = Confidence::Medium;
    }
    let summary = "The host is fine, but its pods get no answers: not from node-local DNS, and not elsewhere either.";
    let mut opinion = Opinion::new(Code::StaleDatapath, confidence, summary);
    if let Some(quote) = case.quote(Group::NodeLocalDns) {
        opinion.because.push(Because::check(CheckId::DnsConntrack, quote));
    }
    opinion.because.extend(groups);
    opinion.because.push(Because::check(CheckId::HostPing, host_up(case)));
    opinion.affected = worst_sources(case);
    Held::Stale(opinion)
}

/// `stale-selective`: some pods are cut off, others are answered.
#[must_use]
pub fn selective(case: &Case) -> Option<Opinion> {
    let cut_off = cut_off_pods(case);
    if cut_off.is_empty() || !others_vouch(case) {
        return None;
    }
    let picture = case.picture()?;
    let answered = picture.group(Group::NodeLocalDns).answered;
    let names: Vec<&str> = cut_off.iter().map(|pod| pod.name.as_str()).collect();
    let whose = if names.len() == 1 { "its" } else { "their" };
    let summary = format!("Only {} cut off: {whose} flows get no answer, while those of other pods do.", list(&names));
    let mut opinion = Opinion::new(Code::StaleSelective, Confidence::Medium, summary);
    for pod in &cut_off {
        opinion.because.push(Because::check(CheckId::DnsConntrack, format!("{}: {}", pod.name, pod.says)));
    }
    if answered > 0 {
        let says = format!("{answered} live flows of other pods to node-local DNS are answered");
        opinion.because.push(Because::check(CheckId::DnsConntrack, says));
    }
    if cut_off.len() == 1 {
        let says = "one pod alone may also be broken by itself: restart that pod first, it is the gentler remedy; if its \
                    successor on this node is cut off too, it is the node";
        opinion.because.push(Because::check(CheckId::DnsConntrack, says));
    }
    opinion.affected = cut_off.into_iter().map(CutOff::into_affected).collect();
    Some(opinion)
}

/// Whether everything else that could cut some pods off is known to be fine: the host, node-local DNS, cluster DNS.
fn others_vouch(case: &Case) -> bool {
    let reaches = case.egress.by_name == Some(true) || case.egress.by_address == Some(true);
    let host_fine = match host(case) {
        HostWitness::Fine => true,
        HostWitness::FineByDump | HostWitness::Nobody => reaches,
        HostWitness::Down => false,
    };
    let dns = &case.around.node_local_dns;
    let node_local_dns_fine = dns.pod.as_ref().is_some_and(|pod| pod.ready) || !dns.deployed;
    // With one endpoint or none, unanswered queries may be cluster DNS's own; then a lookup must speak for it.
    let looked_up = case.egress.dns == Some(true) || case.egress.by_name == Some(true);
    let cluster_dns_fine = case.backends.expected.is_some_and(|expected| expected >= 2 || looked_up);
    host_fine && node_local_dns_fine && cluster_dns_fine
}

/// A pod that is cut off.
pub struct CutOff {
    /// `namespace/name`, or the address where no pod is known by it.
    pub name: String,
    namespace: String,
    pod: String,
    says: String,
}

impl CutOff {
    fn into_affected(self) -> Affected {
        Affected { namespace: self.namespace, pod: self.pod, says: self.says }
    }
}

/// The pods that are cut off while others are answered: from node-local DNS, or from kubelet's probes.
#[must_use]
pub fn cut_off_pods(case: &Case) -> Vec<CutOff> {
    let Some(picture) = case.picture() else {
        return Vec::new();
    };
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (ip, counts) in cut_off(picture, Group::NodeLocalDns) {
        if seen.insert(ip) {
            found.push(name(case, ip, dns_says(picture, &counts) + &elsewhere(picture, ip)));
        }
    }
    // A probe whose answer leaves and never arrives is the datapath's; one that is not answered at all is the pod's.
    for endpoint in &picture.endpoints {
        let probes = endpoint.group(Group::HostToPod);
        let Some(ip) = endpoint.address else { continue };
        let others = [Group::LocalToPod, Group::RemoteToPod, Group::WorldToPod, Group::NodeLocalDns, Group::ClusterDns];
        let answers_others = others.iter().any(|group| endpoint.group(*group).answered > 0);
        let others_probed = picture.group(Group::HostToPod).answered > 0;
        if probes.half_open >= 3
            && probes.answered == 0
            && (answers_others || others_probed)
            && dns_life(case) != DnsLife::Dead
            && seen.insert(ip)
        {
            let says = format!(
                "{} of kubelet's probes come in and are answered, but the answer never arrives",
                probes.half_open
            );
            found.push(name(case, ip, says + &elsewhere(picture, ip)));
        }
    }
    found
}

/// "60 flows to node-local DNS without answer, none answered; last answer 7 minutes before the dump".
fn dns_says(picture: &Picture, counts: &Counts) -> String {
    let since = match counts.last_answer {
        0 => "never one that was answered".to_owned(),
        moment => {
            #[expect(clippy::cast_possible_truncation, reason = "seconds of at most 2^32 units")]
            let age = picture.age_s(moment) as i64;
            format!("the last answer came {} before the dump", super::lookalikes::span(age))
        }
    };
    format!("{} live flows to node-local DNS without answer, none with; {since}", counts.dead())
}

/// "; of its other flows 12 of 12 to the world are answered": what else a pod that is cut off can do.
fn elsewhere(picture: &Picture, ip: IpAddr) -> String {
    let Some(endpoint) = picture.endpoints.iter().find(|endpoint| endpoint.address == Some(ip)) else {
        return String::new();
    };
    let ways: [(&str, &[Group]); 4] = [
        ("to the world", &[Group::WorldTcp, Group::WorldUdp]),
        ("to other pods", &[Group::PodToLocalPod, Group::PodToRemotePod]),
        ("to other DNS", &[Group::ClusterDns]),
        ("from other pods", &[Group::LocalToPod, Group::RemoteToPod]),
    ];
    let told = ways.iter().filter_map(|(way, groups)| {
        let sum = groups.iter().fold(Counts::default(), |sum, group| sum.and(endpoint.group(*group)));
        (sum.decided() > 0).then(|| format!("{} of {} {way}", sum.answered, sum.decided()))
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() { String::new() } else { format!("; of its other flows {} are answered", told.join(", ")) }
}

fn name(case: &Case, ip: IpAddr, says: String) -> CutOff {
    match case.around.names.get(&ip) {
        Some(pod) => CutOff { name: pod.to_string(), namespace: pod.namespace.clone(), pod: pod.name.clone(), says },
        None => CutOff { name: ip.to_string(), namespace: String::new(), pod: ip.to_string(), says },
    }
}

fn list(names: &[&str]) -> String {
    match names {
        [one] => format!("{one} is"),
        [first, second] => format!("{first} and {second} are"),
        [first, rest @ ..] => format!("{first} and {} other pods are", rest.len()),
        [] => "no pod is".to_owned(),
    }
}

/// The pods that are hit worst, for the report.
fn worst_sources(case: &Case) -> Vec<Affected> {
    /// More names help nobody.
    const MOST: usize = 20;
    let Some(picture) = case.picture() else {
        return Vec::new();
    };
    let mut worst: Vec<(u32, IpAddr)> = picture
        .endpoints
        .iter()
        .filter_map(|e| Some((e.group(Group::NodeLocalDns).dead(), e.address?)))
        .filter(|(dead, _)| *dead > 0)
        .collect();
    worst.sort_by_key(|(dead, ip)| (std::cmp::Reverse(*dead), *ip));
    worst.truncate(MOST);
    let says = |dead: u32| format!("{dead} DNS flow{} without answer", if dead == 1 { "" } else { "s" });
    let named = worst.into_iter().map(|(dead, ip)| name(case, ip, says(dead)));
    named.map(CutOff::into_affected).collect()
}

/// `stale-service-map`: the table lacks endpoints that have been ready for minutes, or the kernel has another table.
#[must_use]
pub fn service_map(case: &Case) -> Option<Opinion> {
    let backends = &case.backends;
    let mut because = Vec::new();
    if !backends.missing.is_empty() || !backends.stray.is_empty() {
        because.push(Because::check(CheckId::DnsBackends, backends.finding.summary.clone()));
    }
    if let Some(says) = kernel_differs(case) {
        because.push(Because::evidence("lb-list", says));
    }
    if because.is_empty() {
        return None;
    }
    let summary = "The service table of this node is stale: it does not hold the cluster DNS endpoints that are ready.";
    let confidence = if because.len() > 1 { Confidence::High } else { Confidence::Medium };
    let mut opinion = Opinion::new(Code::StaleServiceMap, confidence, summary);
    opinion.because = because;
    Some(opinion)
}

/// Where the agent's table and the kernel's differ for cluster DNS.
fn kernel_differs(case: &Case) -> Option<String> {
    // The two lists are read one after the other; while endpoints come and go they need not agree.
    if case.backends.under_way {
        return None;
    }
    let kernel = case.beyond.lb.seen().filter(|lb| lb.header && !lb.frontends.is_empty())?;
    let agent = case.backends.list.as_ref()?;
    let dns = case.around.cluster_dns.as_ref().ok()?;
    let address = |targets: BTreeSet<&Target>| targets.into_iter().map(|t| t.ip).collect::<BTreeSet<IpAddr>>();
    for row in &agent.rows {
        if row.frontend.port != 53 || row.internal || !dns.addresses.contains(&row.frontend.ip) {
            continue;
        }
        let wanted = address(row.active().collect());
        let resting = row.backends.len() > wanted.len();
        let has = kernel.frontends.iter().filter(|(frontend, _)| {
            frontend.ip == row.frontend.ip
                && frontend.port == row.frontend.port
                && row.frontend.protocol.as_deref().is_none_or(|p| frontend.fits(p))
        });
        let has = address(has.flat_map(|(_, frontend)| &frontend.backends).collect());
        // Resting backends may stand in the kernel's table or not.
        if wanted != has && !(resting && wanted.is_subset(&has)) {
            let show = |ips: &BTreeSet<IpAddr>| match ips.len() {
                0 => "none".to_owned(),
                _ => ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            };
            return Some(format!(
                "for {} the agent wants {}, the kernel has {}",
                std::net::SocketAddr::new(row.frontend.ip, row.frontend.port),
                show(&wanted),
                show(&has)
            ));
        }
    }
    None
}

/// `datapath-programs-missing`: a device that needs a program has none.
#[must_use]
pub fn programs_missing(case: &Case) -> Option<Opinion> {
    let programs = case.beyond.programs.seen().filter(|programs| programs.recognized)?;
    if host(case) == HostWitness::Down {
        return None;
    }
    // A device without any program is a sign by itself; one that lacks a direction may be set up so, and counts only
    // where something fails.
    let mut missing = Vec::new();
    let on_host = programs.directions("cilium_host");
    match on_host.len() {
        0 => missing.push("cilium_host".to_owned()),
        1 if in_trouble(case) => {
            let bare = ["ingress", "egress"].into_iter().filter(|direction| !on_host.contains(direction));
            missing.extend(bare.map(|direction| format!("cilium_host {direction}")));
        }
        _ => {}
    }
    let status = case.beyond.status.seen();
    if let Some(status) = status
        && status.kube_proxy_replacement == Some(true)
    {
        let bare = status.devices.iter().filter(|device| programs.directions(device).is_empty());
        missing.extend(bare.cloned());
    }
    if status.is_none_or(|s| s.device_mode.as_deref() != Some("netkit")) {
        missing.extend(bare_pod_devices(case, programs));
    }
    if missing.is_empty() {
        return None;
    }
    let summary = format!("Cilium's programs are gone from {}: packets pass them by.", missing.join(", "));
    let mut opinion = Opinion::new(Code::DatapathProgramsMissing, Confidence::High, summary);
    let says = format!("no program of Cilium's on: {}", missing.join(", "));
    opinion.because.push(Because::evidence("attached-programs", says));
    let says = "something removed them: find it, or it will do it again (cilium/cilium#28433)";
    opinion.because.push(Because::evidence("attached-programs", says));
    Some(opinion)
}

/// Pod devices without the program that all others have.
fn bare_pod_devices(case: &Case, programs: &crate::cilium::programs::Programs) -> Vec<String> {
    let devices = programs.pod_devices();
    let mut missing = Vec::new();
    if devices.is_empty() {
        // Chained to another plugin, pods have devices of its names (eni…, azv…, gke…).
        let chained = programs.attached.iter().any(|a| a.program.contains("from_container"));
        if !chained && in_trouble(case) && case.around.pods.is_some_and(|pods| pods > 0) {
            missing.push("every lxc device".to_owned());
        }
        return missing;
    }
    if !in_trouble(case) {
        return missing;
    }
    for direction in ["ingress", "egress"] {
        let with = devices.iter().filter(|device| programs.directions(device).contains(direction)).count();
        // Some set-ups attach in one direction only, on all devices alike.
        if with > 0 && with < devices.len() {
            let bare = devices.iter().filter(|device| !programs.directions(device).contains(direction));
            missing.extend(bare.map(|device| format!("{device} {direction}")));
        }
    }
    missing
}
