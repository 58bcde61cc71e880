//! What must hold whatever the case: less evidence never accuses and never acquits, and what has no meaning changes
//! nothing.

use std::collections::BTreeMap;

use crate::scenario::incidents;
use crate::scenario::model::{AgentState, Family, Fault, Flows, Node, Peer, Ping, Probe, Probes, Scenario, Tool, Who};
use crate::scenario::release::{Clock, Release};
use crate::scenario::rng::Rng;
use crate::suite::{judge_all, prove};

/// The evidence of the five checks.
const EVIDENCE: [&str; 6] = ["host-ping", "pod-egress", "pod-egress-address", "pod-dns", "ct-list", "service-list"];

/// The ways to take it away.
const WAYS: [Fault; 4] = [Fault::Missing, Fault::Truncated, Fault::Timeout, Fault::Forbidden];

/// Every subset of one to three pieces of evidence.
fn subsets() -> Vec<Vec<&'static str>> {
    (1_u32..1 << EVIDENCE.len())
        .filter(|mask| mask.count_ones() <= 3)
        .map(|mask| (0..).zip(EVIDENCE).filter(|(bit, _)| mask >> bit & 1 == 1).map(|(_, name)| name).collect())
        .collect()
}

/// One case of every code, with little traffic, so that hundreds of runs stay quick.
fn bases() -> Vec<Scenario> {
    incidents::fixtures().into_iter().map(|f| f.scenario).filter(|s| s.name != "healthy-1.19-default").collect()
}

/// Runs variants of the bases and compares each node's kind with what it was.
fn compare(variants: &[(String, Scenario)], wrong: impl Fn(&str, &str) -> bool) {
    let bases = bases();
    let mut before = BTreeMap::new();
    for (scenario, judged) in bases.iter().zip(judge_all(&bases)) {
        for node in &scenario.nodes {
            before.insert((scenario.name.clone(), node.name.clone()), judged.verdict(&node.name));
        }
    }
    let scenarios: Vec<Scenario> = variants.iter().map(|(_, s)| s.clone()).collect();
    let mut failures = Vec::new();
    for ((what, scenario), judged) in variants.iter().zip(judge_all(&scenarios)) {
        if judged.report.is_null() {
            failures.push(format!("{what}: no report: {}", judged.stderr.trim()));
            continue;
        }
        for node in &scenario.nodes {
            let (kind, code) = judged.verdict(&node.name);
            let Some((kind_before, code_before)) = before.get(&(scenario.name.clone(), node.name.clone())) else {
                continue;
            };
            if wrong(kind_before, &kind) {
                failures.push(format!(
                    "{what}, {}: {code_before} became {code}\n      {}",
                    node.name,
                    judged.because(&node.name)
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {} runs:\n{}", failures.len(), scenarios.len(), failures.join("\n"));
}

/// What less evidence must never do: make a node stale that was not, or a faulty one healthy.
fn accuses_or_acquits(before: &str, after: &str) -> bool {
    (before != "stale" && after == "stale") || (matches!(before, "stale" | "other-fault") && after == "healthy")
}

#[test]
fn less_evidence_never_accuses_and_never_acquits() {
    let mut variants = Vec::new();
    for base in bases() {
        let mut rng = Rng::new(&format!("less of {}", base.name));
        for subset in subsets() {
            let faults: Vec<(&'static str, Fault)> = subset.iter().map(|name| (*name, *rng.pick(&WAYS))).collect();
            let what = format!("{} without {faults:?}", base.name);
            let variant = base.clone().each(|node| node.faults.extend(faults.iter().copied()));
            variants.push((what, variant));
        }
    }
    compare(&variants, accuses_or_acquits);
}

#[test]
fn each_way_of_losing_one_piece_of_evidence_is_alike() {
    let mut variants = Vec::new();
    for base in bases() {
        for name in EVIDENCE {
            for way in WAYS {
                let what = format!("{} with {name} {way:?}", base.name);
                variants.push((what, base.clone().each(|node| node.faults.push((name, way)))));
            }
        }
    }
    compare(&variants, accuses_or_acquits);
}

#[test]
fn losing_one_nodes_evidence_never_accuses_another() {
    let mut variants = Vec::new();
    for base in bases().into_iter().filter(|b| b.nodes.len() > 1) {
        for at in 0..base.nodes.len() {
            for lost in [&["ct-list"][..], &["host-ping"], &["ct-list", "pod-egress"], &EVIDENCE] {
                let mut variant = base.clone();
                variant.nodes[at].faults.extend(lost.iter().map(|name| (*name, Fault::Timeout)));
                variants.push((format!("{} with {lost:?} of {} lost", base.name, base.nodes[at].name), variant));
            }
        }
    }
    compare(&variants, accuses_or_acquits);
}

#[test]
fn an_outage_of_two_nodes_is_no_stale_node_when_one_of_them_can_not_be_seen() {
    let outage = |lost: &[&'static str]| {
        let nodes = vec![
            Node::stale("aa", 1).judged("cluster-wide-outage"),
            Node::stale("bb", 2).judged("cluster-wide-outage"),
        ];
        let mut scenario =
            Scenario::new(format!("two dead nodes, {lost:?} of one lost"), "less evidence", nodes, &[3, 4]);
        for node in &mut scenario.nodes {
            node.expect = crate::scenario::model::Expect { forbid: vec!["stale", "healthy"], ..Default::default() };
        }
        scenario.nodes[1].faults.extend(lost.iter().map(|name| (*name, Fault::Timeout)));
        scenario
    };
    prove(&[
        outage(&[]),
        outage(&["host-ping"]),
        outage(&["ct-list"]),
        outage(&["pod-egress", "pod-egress-address", "pod-dns"]),
        outage(&["ct-list", "service-list"]),
    ]);
}

#[test]
fn a_lost_list_of_the_cluster_never_accuses_and_never_acquits() {
    let mut variants = Vec::new();
    for base in bases() {
        for list in ["endpointslices.json", "services.json", "events.json", "pods.json"] {
            let what = format!("{} without {list}", base.name);
            variants.push((what, base.clone().cluster(|c| c.without = vec![list])));
        }
    }
    compare(&variants, accuses_or_acquits);
}

/// The bases as they are, with every expectation but the code dropped: pods' names and figures may change.
fn codes_only() -> Vec<Scenario> {
    bases()
        .into_iter()
        .map(|s| {
            s.each(|node| {
                let codes = std::mem::take(&mut node.expect.codes);
                node.expect = crate::scenario::model::Expect { codes, ..Default::default() };
            })
        })
        .collect()
}

/// Changes every base and asks for the same codes as without the change.
fn unchanged_by(what: &str, change: impl Fn(&mut Node)) {
    let variants: Vec<Scenario> = codes_only()
        .into_iter()
        .map(|s| {
            let name = format!("{}, {what}", s.name);
            Scenario { name, ..s.each(&change) }
        })
        .collect();
    prove(&variants);
}

#[test]
fn the_order_of_lines_means_nothing() {
    unchanged_by("lines in another order", |node| {
        if node.faults.is_empty() {
            node.faults.push(("ct-list", Fault::Shuffled));
        }
    });
}

#[test]
fn expired_lines_mean_nothing() {
    unchanged_by("with thousands of expired lines", |node| {
        // Neither into a full table, nor into an empty one.
        if node.status.is_none_or(|s| s.conntrack.1 > 4_096) && !node.flows.is_empty() && node.uptime > 86_400 {
            node.flows.push(Flows::to(Peer::LocalDns).expired(700, 900));
            node.flows.push(Flows::to(Peer::WorldTcp).expired(100, 100));
            node.flows.push(Flows::to(Peer::Kubelet).expired(50, 150));
        }
    });
}

#[test]
fn unrelated_traffic_means_nothing() {
    unchanged_by("with unrelated traffic", |node| {
        if node.status.is_none_or(|s| s.conntrack.1 > 4_096) && !node.flows.is_empty() {
            node.flows.push(Flows::to(Peer::Related).unanswered(80));
            node.flows.push(Flows::to(Peer::Service).unanswered(120));
            node.flows.push(Flows::to(Peer::Icmp).answered(9).unanswered(9));
            node.flows.push(Flows::to(Peer::HostDns).answered(20));
        }
    });
}

#[test]
fn sockets_to_gone_pods_mean_nothing() {
    unchanged_by("with sockets to gone DNS pods", |node| {
        if node.status.is_none_or(|s| s.conntrack.1 > 4_096) && node.flows.len() > 3 {
            // Not from the first pods: in one of the cases policy denies what they send, and that makes no lines.
            node.flows.push(Flows::to(Peer::GoneDns).who(Who::After(4)).unanswered(4));
        }
    });
}

#[test]
fn the_clocks_unit_means_nothing() {
    for clock in Clock::ALL {
        unchanged_by(&format!("{clock:?}"), |node| node.clock = clock);
    }
}

#[test]
fn the_era_means_nothing() {
    for release in
        [Release::V1_12, Release::V1_14, Release::V1_15, Release::V1_16, Release::V1_18, Release::V1_20, Release::Main]
    {
        let variants: Vec<Scenario> = codes_only()
            .into_iter()
            // Their evidence has another form, or is not there, in other eras.
            .filter(|s| !matches!(s.name.as_str(), "datapath-not-initialized" | "local-redirect-broken"))
            // Older releases than 1.16.5 do not masquerade these queries.
            .filter(|s| s.name != "link-local-masquerade" || release >= Release::V1_16)
            .map(|s| {
                let name = format!("{}, {release:?}", s.name);
                let change = |node: &mut Node| node.release = release;
                Scenario { name, ..s.each(change) }
            })
            .collect();
        prove(&variants);
    }
}

#[test]
fn the_address_family_means_nothing() {
    // The link-local address and its masquerading are of IPv4; NAT tables are written for IPv4 only.
    let variants: Vec<Scenario> = codes_only()
        .into_iter()
        .filter(|s| !matches!(s.name.as_str(), "link-local-masquerade" | "udp-masquerade-broken" | "conntrack-full"))
        .map(|s| {
            let name = format!("{}, IPv6", s.name);
            Scenario { name, ..s.each(|node| node.family = Family::V6) }
        })
        .collect();
    prove(&variants);
}

const PINGS: [Ping; 10] = [
    Ping::Ok,
    Ping::OkFromAgent,
    Ping::Lost,
    Ping::LostFromAgent,
    Ping::Partial,
    Ping::NoRoute,
    Ping::NotPermitted,
    Ping::NobodyAnswered,
    Ping::LoginRefused,
    Ping::NotGathered,
];

const PROBES: [Probe; 12] = [
    Probe::Ok,
    Probe::HttpError,
    Probe::BadCertificate,
    Probe::NoAnswer,
    Probe::ServFail,
    Probe::TimedOut,
    Probe::Refused,
    Probe::Unreachable,
    Probe::ExecTimeout,
    Probe::NoTool,
    Probe::Forbidden,
    Probe::NotGathered,
];

const PEERS: [Peer; 9] = [
    Peer::LocalDns,
    Peer::ClusterDns,
    Peer::Host,
    Peer::Kubelet,
    Peer::WorldTcp,
    Peer::WorldUdp,
    Peer::RemotePods,
    Peer::FromRemotePods,
    Peer::HostOwn,
];

/// A node on which anything may be the case but its traffic, which is still to be said.
fn any_node(rng: &mut Rng, name: &str) -> Node {
    let any = |rng: &mut Rng| *rng.pick(&PROBES);
    let mut node = Node::bare(name, 1)
        .release(*rng.pick(&Release::ALL))
        .clock(*rng.pick(&Clock::ALL))
        .family(*rng.pick(&[Family::V4, Family::V4, Family::V6, Family::Dual]))
        .pinged(*rng.pick(&PINGS))
        .probed(&[Probes::new(any(rng), any(rng), any(rng)).with(*rng.pick(&[
            Tool::Busybox,
            Tool::Curl,
            Tool::GnuWget,
        ]))]);
    node.time_diff = rng.one_in(4);
    node.accounting = rng.one_in(4);
    let states = [
        AgentState::Running(90_000),
        AgentState::Running(700),
        AgentState::RunningBesideOld(900),
        AgentState::Unready(20),
    ];
    node.agent.state = *rng.pick(&states);
    for name in EVIDENCE {
        if rng.one_in(8) {
            node.faults.push((name, *rng.pick(&WAYS)));
        }
    }
    node
}

/// Judges random nodes and says which of them come out as they never may.
fn never(what: &str, runs: u64, make: impl Fn(&mut Rng, &str) -> Node, kinds: &[&'static str]) {
    let scenarios: Vec<Scenario> = (0..runs)
        .map(|nth| {
            let name = format!("{what} {nth}");
            let node = make(&mut Rng::new(&name), "anywhere").never(kinds);
            Scenario::new(name, what, vec![node], &[0, 1, 3, 4])
        })
        .collect();
    prove(&scenarios);
}

#[test]
fn a_report_keeps_its_form_whatever_the_node() {
    let anything = |rng: &mut Rng, name: &str| {
        let mut node = any_node(rng, name);
        for peer in PEERS {
            let mut some = || if rng.one_in(3) { 0 } else { rng.between(0, 40) };
            node.flows
                .push(Flows::to(peer).answered(some()).unanswered(some()).stopped(some()).expired(some(), some()));
        }
        node
    };
    never("anything at all", 150, anything, &[]);
}

#[test]
fn answered_flows_never_make_a_stale_node() {
    let answered = |rng: &mut Rng, name: &str| {
        let mut node = any_node(rng, name);
        for peer in PEERS {
            let (alive, over) = (rng.between(0, 40), rng.between(0, 90));
            node.flows.push(Flows::to(peer).answered(alive).in_flight(rng.between(0, 3)).expired(over, over));
        }
        node
    };
    never("all flows answered", 150, answered, &["stale"]);
}

#[test]
fn dead_flows_never_make_a_healthy_node() {
    let dead = |rng: &mut Rng, name: &str| {
        let mut node = any_node(rng, name);
        for peer in PEERS {
            let dead = rng.between(20, 60);
            node.flows.push(Flows::to(peer).unanswered(dead).stopped(dead / 4).expired(dead, dead));
        }
        node
    };
    never("all flows dead", 150, dead, &["healthy"]);
}

#[test]
fn a_host_that_nothing_speaks_for_never_makes_a_stale_datapath() {
    let silent = |rng: &mut Rng, name: &str| {
        let mut node =
            any_node(rng, name).pinged(*rng.pick(&[Ping::NobodyAnswered, Ping::LoginRefused, Ping::NotGathered]));
        for peer in [Peer::LocalDns, Peer::Host, Peer::Kubelet, Peer::WorldTcp, Peer::WorldUdp] {
            node.flows.push(Flows::to(peer).unanswered(rng.between(12, 60)));
        }
        node
    };
    never("a silent host", 100, silent, &["stale", "healthy"]);
}
