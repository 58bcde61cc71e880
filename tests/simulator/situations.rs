//! Clusters by seed: what is broken in them, and what that makes right to say.

use crate::cluster::{Family, MINUTE, Moment, Resolver, Role, SECOND, Setup, Spread, WayOut};
use crate::fault::{Fault, Place, Proto};
use crate::plan::{Device, Edit, Plan, Quirk, Truth};
use crate::release::Release;
use crate::rng::Rng;

/// One situation: its weight, its name, and how a plan is made of it for a node and a moment.
struct Situation {
    weight: i64,
    name: &'static str,
    make: fn(Plan, Sick) -> Plan,
}

/// Which node is sick, and since when.
#[derive(Clone, Copy)]
pub(crate) struct Sick {
    pub(crate) node: usize,
    pub(crate) since: Moment,
}

impl Sick {
    /// An application pod of the sick node that sends enough to be seen.
    fn busy_pod(&self, plan: &Plan) -> usize {
        let cluster = crate::cluster::Cluster::new(plan.setup.clone());
        let pods = &cluster.nodes[self.node].pods;
        pods.iter().position(|pod| pod.role == Role::Kept).expect("every node has one")
    }

    /// Half of the node's application pods.
    fn half(&self, plan: &Plan) -> Vec<usize> {
        let cluster = crate::cluster::Cluster::new(plan.setup.clone());
        cluster.nodes[self.node].applications().filter(|pod| pod % 2 == 1).collect()
    }
}

const STALE: &[&str] = &["stale-datapath"];
const STALE_SOMEHOW: &[&str] = &["stale-datapath", "stale-selective", "egress-broken"];
const CUT_OFF: &[&str] = &["stale-selective", "stale-datapath", "egress-broken"];
const ISOLATED: &[&str] = &["node-isolated", "stale-datapath", "stale-selective", "egress-broken"];
const LOCAL_DNS: &[&str] = &["node-local-dns-down", "egress-broken"];
const DNS_OF_ALL: &[&str] = &["cluster-dns-down", "cluster-wide-outage", "egress-broken", "node-local-dns-down"];

const SITUATIONS: &[Situation] = &[
    // Nothing is wrong.
    Situation { weight: 24, name: "calm", make: |plan, _| plan },
    Situation { weight: 4, name: "calm-zones", make: |plan, _| {
        plan.with(|s| (s.spread, s.nodes, s.dns_pods) = (Spread::Zones, 4, 2))
    } },
    Situation { weight: 4, name: "calm-internal-local", make: |plan, _| {
        plan.with(|s| (s.spread, s.dns_pods) = (Spread::Local, s.nodes))
    } },
    Situation { weight: 4, name: "calm-no-icmp", make: |plan, _| {
        plan.with(|s| s.way_out = WayOut::NoIcmp).rest(Truth::perhaps(&["healthy"]))
    } },
    Situation { weight: 3, name: "calm-only-https", make: |plan, _| {
        plan.with(|s| s.way_out = WayOut::OnlyHttps).rest(Truth::perhaps(&["healthy"]))
    } },
    Situation { weight: 3, name: "calm-air-gap", make: |plan, _| {
        let codes = &["healthy", "host-network-down", "cluster-wide-outage", "cluster-dns-down"];
        plan.with(|s| s.way_out = WayOut::AirGap).rest(Truth::perhaps(codes))
    } },
    Situation { weight: 4, name: "calm-healed", make: |plan, sick| {
        let healed = Fault::at(Place::PodOutLate, sick.node, -40 * MINUTE).until(-9 * MINUTE);
        plan.fault(healed).truth(sick.node, Truth::healthy())
    } },
    Situation { weight: 3, name: "calm-healed-by-restart", make: |plan, sick| {
        let healed = Fault::at(Place::HostToPod, sick.node, -40 * MINUTE).until(-3 * MINUTE);
        plan.fault(healed)
            .quirk(Quirk::AgentAge(sick.node, 3 * MINUTE))
            .truth(sick.node, Truth::is(&["healthy", "agent-starting"]))
    } },
    Situation { weight: 3, name: "calm-young-agent", make: |plan, sick| {
        plan.quirk(Quirk::AgentAge(sick.node, 70 * SECOND)).truth(sick.node, Truth::is(&["healthy", "agent-starting"]))
    } },
    Situation { weight: 3, name: "calm-far-end-dead", make: |plan, sick| {
        let dead = plan.setup.world(plan.setup.v6(), 8);
        plan.fault(Fault::everywhere(Place::FarEnd, sick.since).to(dead))
    } },
    Situation { weight: 2, name: "calm-old-drops", make: |plan, sick| {
        plan.quirk(Quirk::OldDrops(sick.node, "Policy denied", "EGRESS", 8_400))
    } },
    Situation { weight: 3, name: "calm-terminating-backend", make: |plan, _| {
        plan.with(|s| {
            (s.release, s.resolver) =
                (Release::V1_20, if s.resolver == Resolver::Redirected { Resolver::ClusterDns } else { s.resolver });
        })
        .quirk(Quirk::Terminating)
    } },
    Situation { weight: 3, name: "calm-quiet", make: |plan, _| {
        plan.with(|s| (s.pods, s.busy) = (2, 40)).rest(Truth::perhaps(&["healthy"]))
    } },
    Situation { weight: 2, name: "calm-encrypted", make: |plan, _| plan.quirk(Quirk::Encrypted) },
    Situation { weight: 2, name: "calm-some-loss", make: |plan, sick| {
        plan.fault(Fault::at(Place::Line, sick.node, sick.since).share(2))
    } },
    Situation { weight: 3, name: "calm-host-port-filtered", make: |plan, sick| {
        let codes = &["healthy", "host-firewall-drops", "egress-broken"];
        plan.fault(Fault::at(Place::HostIn, sick.node, -90 * 24 * 60 * MINUTE).port(9_100))
            .truth(sick.node, Truth::perhaps(codes))
    } },
    Situation { weight: 4, name: "calm-old-sockets", make: |plan, sick| {
        // Cluster DNS was rolled; some clients go on asking the pods that are gone, on sockets that they keep.
        plan.with(direct_dns).quirk(Quirk::OldSockets(sick.node)).truth(sick.node, Truth::perhaps(&["healthy"]))
    } },
    Situation { weight: 3, name: "calm-program-hung", make: |plan, sick| {
        let pods = sick.half(&plan);
        let hung = Fault::at(Place::Program, sick.node, sick.since).of(pods[..2].to_vec());
        plan.fault(hung).truth(sick.node, Truth::perhaps(&["healthy"]))
    } },
    Situation { weight: 2, name: "calm-no-way-for-the-second-family", make: |plan, sick| {
        let plan = plan.with(|s| s.family = Family::Dual).rest(Truth::perhaps(&["healthy", "cluster-wide-outage"]));
        let far = (0..14).map(|nth| plan.setup.world(true, nth)).collect::<Vec<_>>();
        far.into_iter().fold(plan, |plan, to| plan.fault(Fault::everywhere(Place::FarEnd, sick.since).to(to)))
    } },
    // The datapath is stale.
    Situation { weight: 6, name: "stale-everything-sent", make: |plan, sick| {
        plan.fault(Fault::at(Place::PodOutLate, sick.node, sick.since)).truth(sick.node, Truth::is(STALE))
    } },
    Situation { weight: 3, name: "stale-before-conntrack", make: |plan, sick| {
        plan.fault(Fault::at(Place::PodOut, sick.node, sick.since)).truth(sick.node, Truth::faulty(STALE_SOMEHOW))
    } },
    Situation { weight: 6, name: "stale-host-to-pod", make: |plan, sick| {
        let local = plan.setup.resolver == Resolver::LinkLocal || plan.setup.resolver == Resolver::OfNode;
        let truth = if local { Truth::is(STALE) } else { Truth::faulty(STALE_SOMEHOW) };
        plan.fault(Fault::at(Place::HostToPod, sick.node, sick.since)).truth(sick.node, truth)
    } },
    Situation { weight: 4, name: "stale-pods-and-host", make: |plan, sick| {
        let truth = if plan.setup.resolver == Resolver::LinkLocal { Truth::is(STALE) } else { Truth::faulty(STALE_SOMEHOW) };
        plan.fault(Fault::at(Place::PodToHost, sick.node, sick.since))
            .fault(Fault::at(Place::HostToPod, sick.node, sick.since))
            .truth(sick.node, truth)
    } },
    Situation { weight: 4, name: "stale-into-pods", make: |plan, sick| {
        plan.fault(Fault::at(Place::PodIn, sick.node, sick.since)).truth(sick.node, Truth::is(STALE))
    } },
    Situation { weight: 4, name: "stale-one-pod", make: |plan, sick| {
        let pod = sick.busy_pod(&plan);
        plan.fault(Fault::at(Place::PodOutLate, sick.node, sick.since).of(vec![pod]))
            .truth(sick.node, Truth::faulty(CUT_OFF))
    } },
    Situation { weight: 3, name: "stale-half-of-pods", make: |plan, sick| {
        let pods = sick.half(&plan);
        plan.fault(Fault::at(Place::PodOutLate, sick.node, sick.since).of(pods))
            .truth(sick.node, Truth::faulty(CUT_OFF))
    } },
    Situation { weight: 2, name: "stale-half-of-packets", make: |plan, sick| {
        plan.fault(Fault::at(Place::HostToPod, sick.node, sick.since).share(50))
            .truth(sick.node, Truth::perhaps(STALE_SOMEHOW))
    } },
    Situation { weight: 2, name: "stale-half-of-flows", make: |plan, sick| {
        plan.fault(Fault::at(Place::PodOutLate, sick.node, sick.since).flows(50))
            .truth(sick.node, Truth::faulty(STALE_SOMEHOW))
    } },
    Situation { weight: 4, name: "stale-after-conntrack", make: |plan, sick| {
        let codes = &["stale-datapath", "stale-selective", "egress-broken", "cluster-dns-down"];
        plan.fault(Fault::at(Place::PodInLate, sick.node, sick.since)).truth(sick.node, Truth::faulty(codes))
    } },
    Situation { weight: 3, name: "stale-world-answers", make: |plan, sick| {
        plan.fault(Fault::at(Place::PodWorldIn, sick.node, sick.since)).truth(sick.node, Truth::faulty(STALE_SOMEHOW))
    } },
    Situation { weight: 4, name: "stale-icmp-blocked", make: |plan, sick| {
        plan.with(|s| s.way_out = WayOut::NoIcmp)
            .fault(Fault::at(Place::PodOutLate, sick.node, sick.since))
            .truth(sick.node, Truth::faulty(STALE))
            .rest(Truth::perhaps(&["healthy"]))
    } },
    Situation { weight: 4, name: "stale-service-table", make: |plan, sick| {
        plan.with(direct_dns).quirk(Quirk::OldTable(sick.node)).truth(sick.node, Truth::is(&["stale-service-map"]))
    } },
    Situation { weight: 3, name: "stale-kernel-table", make: |plan, sick| {
        plan.with(direct_dns).quirk(Quirk::OldKernelTable(sick.node)).truth(sick.node, Truth::is(&["stale-service-map"]))
    } },
    Situation { weight: 3, name: "stale-host-device-bare", make: |plan, sick| {
        plan.fault(Fault::at(Place::HostToPod, sick.node, sick.since))
            .quirk(Quirk::Bare(sick.node, Device::Host))
            .truth(sick.node, Truth::is(&["datapath-programs-missing"]))
    } },
    Situation { weight: 3, name: "stale-one-device-bare", make: |plan, sick| {
        let pod = sick.busy_pod(&plan);
        plan.fault(Fault::at(Place::NoProgram, sick.node, sick.since).of(vec![pod]))
            .quirk(Quirk::Bare(sick.node, Device::Pod(pod)))
            // The list of attached programs does not tell which devices there are.
            .truth(sick.node, Truth::perhaps(&["datapath-programs-missing", "stale-selective", "egress-broken"]))
    } },
    Situation { weight: 2, name: "stale-tunnel-device-bare", make: |plan, sick| {
        plan.fault(Fault::at(Place::TunnelOut, sick.node, sick.since))
            .fault(Fault::at(Place::TunnelIn, sick.node, sick.since))
            .quirk(Quirk::Bare(sick.node, Device::Tunnel))
            .with(|s| s.release = s.release.max(Release::V1_16))
            .truth(sick.node, Truth::is(&["datapath-programs-missing"]))
    } },
    Situation { weight: 3, name: "stale-tail-calls", make: |plan, sick| {
        let lost = Fault::at(Place::PodOut, sick.node, sick.since).counts("Missed tail call", "EGRESS");
        let codes = &["datapath-programs-missing", "stale-datapath", "datapath-drops"];
        plan.fault(lost).truth(sick.node, Truth::is(codes))
    } },
    // Something else is wrong.
    Situation { weight: 4, name: "host-line-cut", make: |plan, mut sick| {
        // The API server is on the first node.
        sick.node = sick.node.max(1);
        plan.fault(Fault::at(Place::Line, sick.node, sick.since)).truth(sick.node, Truth::is(&["host-network-down"]))
    } },
    Situation { weight: 3, name: "host-line-only-icmp", make: |plan, mut sick| {
        sick.node = sick.node.max(1);
        let codes = &["host-network-down", "egress-broken"];
        plan.fault(Fault::at(Place::Line, sick.node, sick.since).proto(Proto::Tcp))
            .fault(Fault::at(Place::Line, sick.node, sick.since).proto(Proto::Udp))
            .truth(sick.node, Truth::faulty(codes))
    } },
    Situation { weight: 3, name: "upstream-dead", make: |plan, sick| {
        let upstream = plan.setup.upstream();
        let local = matches!(plan.setup.resolver, Resolver::LinkLocal | Resolver::Redirected | Resolver::OfNode);
        // Half of what a local resolver is asked it knows already.
        let truth = if local { Truth::perhaps(DNS_OF_ALL) } else { Truth::faulty(DNS_OF_ALL) };
        plan.fault(Fault::everywhere(Place::FarEnd, sick.since).to(upstream)).rest(truth)
    } },
    Situation { weight: 4, name: "local-dns-hung", make: |plan, sick| {
        plan.with(local_dns)
            .fault(Fault::at(Place::LocalResolver, sick.node, sick.since))
            .truth(sick.node, Truth::faulty(LOCAL_DNS))
    } },
    Situation { weight: 3, name: "local-dns-hung-and-port-filtered", make: |plan, sick| {
        plan.with(local_dns)
            .fault(Fault::at(Place::LocalResolver, sick.node, sick.since))
            .fault(Fault::at(Place::HostIn, sick.node, -90 * 24 * 60 * MINUTE).port(9_100))
            .fault(Fault::at(Place::HostIn, sick.node, -90 * 24 * 60 * MINUTE).port(10_250))
            .truth(sick.node, Truth::faulty(LOCAL_DNS))
    } },
    Situation { weight: 3, name: "host-firewall", make: |plan, sick| {
        // What pods begin is dropped at the host; what the host begins is answered.
        plan.with(|s| s.resolver = Resolver::LinkLocal)
            .fault(Fault::at(Place::HostIn, sick.node, sick.since))
            .truth(sick.node, Truth::faulty(&["host-firewall-drops", "node-local-dns-down", "egress-broken"]))
    } },
    Situation { weight: 3, name: "local-dns-gone", make: |plan, sick| {
        plan.with(|s| s.resolver = Resolver::LinkLocal)
            .fault(Fault::at(Place::LocalResolverGone, sick.node, sick.since))
            .quirk(Quirk::LocalDnsUnready(sick.node))
            .quirk(Quirk::Restarts(sick.node, 9, -200 * SECOND))
            .truth(sick.node, Truth::is(&["node-local-dns-down"]))
    } },
    Situation { weight: 3, name: "local-dns-flapping", make: |plan, sick| {
        plan.with(|s| s.resolver = Resolver::LinkLocal)
            .fault(Fault::at(Place::LocalResolverGone, sick.node, -400 * SECOND).until(-41 * SECOND))
            .quirk(Quirk::Restarts(sick.node, 14, -40 * SECOND))
            .truth(sick.node, Truth::perhaps(&["node-local-dns-down"]))
    } },
    Situation { weight: 3, name: "cluster-dns-hung", make: |plan, sick| {
        plan.fault(Fault::everywhere(Place::ClusterResolver, sick.since))
            .quirk(Quirk::ClusterDnsUnready(sick.since + 30 * SECOND))
            .rest(Truth::faulty(&["cluster-dns-down", "cluster-wide-outage"]))
    } },
    Situation { weight: 3, name: "policy-new-egress-dns", make: |plan, sick| {
        let pod = sick.busy_pod(&plan);
        let denied = Fault::at(Place::EgressPolicy, sick.node, sick.since).of(vec![pod]).proto(Proto::Udp);
        plan.fault(denied.counts("Policy denied", "EGRESS")).truth(sick.node, Truth::perhaps(&["policy-denied"]))
    } },
    Situation { weight: 3, name: "policy-new-egress-all", make: |plan, sick| {
        let pods = sick.half(&plan);
        let denied = Fault::at(Place::EgressPolicy, sick.node, sick.since).of(pods);
        plan.fault(denied.counts("Policy denied", "EGRESS")).truth(sick.node, Truth::perhaps(&["policy-denied"]))
    } },
    Situation { weight: 4, name: "policy-ingress-dns", make: |plan, sick| {
        // One namespace may not ask the local resolver, which is a pod: the asker's line is made, nothing answers it.
        let plan = plan.with(|s| s.resolver = Resolver::Redirected);
        let cluster = crate::cluster::Cluster::new(plan.setup.clone());
        let own = cluster.nodes[sick.node].pods.iter().position(|pod| pod.role == Role::LocalDns).unwrap_or(0);
        let denied = Fault::at(Place::IngressPolicy, sick.node, sick.since).of(vec![own]).begun_in("media");
        plan.fault(denied.counts("Policy denied", "INGRESS")).truth(sick.node, Truth::perhaps(&["policy-denied"]))
    } },
    Situation { weight: 3, name: "policy-ingress-cluster-dns", make: |plan, sick| {
        let plan = plan.with(direct_dns);
        let cluster = crate::cluster::Cluster::new(plan.setup.clone());
        let mut plan = plan.rest(Truth::perhaps(&["healthy", "policy-denied", "cluster-dns-down"]));
        for (node, pod) in cluster.with_role(Role::ClusterDns) {
            let denied = Fault::at(Place::IngressPolicy, node, sick.since).of(vec![pod]).begun_in("media");
            plan = plan.fault(denied.counts("Policy denied", "INGRESS"));
        }
        plan
    } },
    Situation { weight: 3, name: "udp-masquerade", make: |plan, sick| {
        plan.fault(Fault::at(Place::PodWorldIn, sick.node, sick.since).proto(Proto::Udp))
            .quirk(Quirk::NoUdpNat(sick.node))
            .truth(sick.node, Truth::perhaps(&["udp-masquerade-broken", "egress-broken", "cluster-dns-down"]))
    } },
    Situation { weight: 3, name: "conntrack-full", make: |plan, sick| {
        let lost = Fault::at(Place::NewLine, sick.node, sick.since).share(70);
        plan.fault(lost.counts("CT: Map insertion failed", "EGRESS"))
            .quirk(Quirk::TableFull(sick.node))
            .truth(sick.node, Truth::faulty(&["conntrack-full"]))
    } },
    Situation { weight: 2, name: "insertion-fails-table-not-full", make: |plan, sick| {
        let lost = Fault::at(Place::NewLine, sick.node, sick.since).share(60);
        plan.fault(lost.counts("CT: Map insertion failed", "EGRESS"))
            .truth(sick.node, Truth::faulty(&["datapath-drops", "conntrack-full", "egress-broken"]))
    } },
    Situation { weight: 3, name: "drops-nat", make: |plan, sick| {
        let lost = Fault::at(Place::PodWorldOut, sick.node, sick.since).counts("No mapping for NAT masquerade", "EGRESS");
        plan.fault(lost).truth(sick.node, Truth::faulty(&["datapath-drops", "egress-broken"]))
    } },
    Situation { weight: 3, name: "agent-absent", make: |plan, sick| {
        plan.quirk(Quirk::AgentAbsent(sick.node)).truth(sick.node, Truth::is(&["agent-not-running"]))
    } },
    Situation { weight: 3, name: "young-agent-and-dead", make: |plan, sick| {
        plan.fault(Fault::at(Place::PodOutLate, sick.node, -75 * SECOND))
            .quirk(Quirk::AgentAge(sick.node, 70 * SECOND))
            .truth(sick.node, Truth::faulty(&["agent-starting", "stale-datapath"]))
    } },
    Situation { weight: 3, name: "outage-of-the-world", make: |plan, sick| {
        plan.fault(Fault::everywhere(Place::FarEnd, sick.since))
            .rest(Truth::faulty(&["cluster-wide-outage", "host-network-down", "cluster-dns-down"]))
    } },
    Situation { weight: 2, name: "all-nodes-dead", make: |plan, sick| {
        plan.fault(Fault::everywhere(Place::PodOutLate, sick.since))
            .rest(Truth::faulty(&["cluster-wide-outage", "stale-datapath", "cluster-dns-down"]))
    } },
    Situation { weight: 3, name: "node-isolated", make: |plan, sick| {
        plan.fault(Fault::at(Place::TunnelOut, sick.node, sick.since))
            .fault(Fault::at(Place::TunnelIn, sick.node, sick.since))
            .truth(sick.node, Truth::faulty(ISOLATED))
            .rest(Truth::perhaps(&["healthy"]))
    } },
    Situation { weight: 3, name: "node-isolated-encrypted", make: |plan, sick| {
        plan.fault(Fault::at(Place::TunnelIn, sick.node, sick.since))
            .quirk(Quirk::Encrypted)
            .truth(sick.node, Truth::faulty(ISOLATED))
            .rest(Truth::perhaps(&["healthy"]))
    } },
    Situation { weight: 2, name: "programs-doubled", make: |plan, sick| {
        plan.quirk(Quirk::Doubled(sick.node)).truth(sick.node, Truth::is(&["datapath-programs-duplicated"]))
    } },
    Situation { weight: 3, name: "dns-proxy-dead", make: |plan, sick| {
        let plan = plan.with(|s| s.dns_port = 53);
        let cluster = crate::cluster::Cluster::new(plan.setup.clone());
        let asking = cluster.nodes[sick.node].applications().collect();
        plan.fault(Fault::at(Place::PodOutLate, sick.node, sick.since).port(53).of(asking))
            .quirk(Quirk::Proxied(sick.node))
            .truth(sick.node, Truth::faulty(&["dns-proxy-broken"]))
    } },
    Situation { weight: 2, name: "redirect-empty", make: |plan, sick| {
        plan.with(|s| s.resolver = Resolver::Redirected)
            .fault(Fault::at(Place::PodOut, sick.node, sick.since).proto(Proto::Udp).port(53))
            .quirk(Quirk::RedirectEmpty(sick.node))
            .truth(sick.node, Truth::is(&["local-redirect-broken", "node-local-dns-down"]))
    } },
    Situation { weight: 2, name: "datapath-loop", make: |plan, sick| {
        plan.quirk(Quirk::DatapathLoop(sick.node)).truth(sick.node, Truth::is(&["datapath-not-initialized"]))
    } },
    Situation { weight: 3, name: "new-pods-stuck", make: |plan, sick| {
        plan.quirk(Quirk::Stuck(sick.node)).truth(sick.node, Truth::is(&["new-pods-stuck"]))
    } },
    Situation { weight: 2, name: "agent-frozen", make: |plan, sick| {
        plan.quirk(Quirk::AgentFrozen(sick.node)).truth(sick.node, Truth::perhaps(&["evidence-missing"]))
    } },
];

fn direct_dns(setup: &mut Setup) {
    setup.resolver = Resolver::ClusterDns;
}

fn local_dns(setup: &mut Setup) {
    if !matches!(setup.resolver, Resolver::LinkLocal | Resolver::Redirected) {
        setup.resolver = Resolver::LinkLocal;
    }
}

/// Evidence that may get lost on the way.
pub(crate) const EVIDENCE: [&str; 9] = [
    "host-ping",
    "pod-egress",
    "pod-egress-address",
    "pod-dns",
    "ct-list",
    "service-list",
    "lb-list",
    "agent-status",
    "drop-metrics",
];

/// The names of all situations.
pub(crate) fn names() -> Vec<&'static str> {
    SITUATIONS.iter().map(|s| s.name).collect()
}

/// This situation in a cluster.
pub(crate) fn named(name: &str, setup: Setup, sick: Sick) -> Plan {
    let situation = SITUATIONS.iter().find(|s| s.name == name).expect("a situation of this name");
    (situation.make)(Plan::calm(name, setup), sick)
}

/// This situation in the cluster of a seed.
pub(crate) fn of_seed(name: &str, seed: u64) -> Plan {
    let situation = SITUATIONS.iter().find(|s| s.name == name).expect("a situation of this name");
    made(situation, seed)
}

fn made(situation: &Situation, seed: u64) -> Plan {
    let setup = Setup::any(seed);
    let mut rng = Rng::stream(&[seed, 5]);
    let node = usize::try_from(rng.between(0, i64::try_from(setup.nodes).expect("few") - 1)).expect("a node");
    let since = -rng.pick(&[150 * SECOND, 4 * MINUTE, 25 * MINUTE, 120 * MINUTE]);
    (situation.make)(Plan::calm(situation.name, setup), Sick { node, since })
}

/// The plan of a seed.
pub(crate) fn by_seed(seed: u64) -> Plan {
    let mut rng = Rng::stream(&[seed, 6]);
    let all: i64 = SITUATIONS.iter().map(|s| s.weight).sum();
    let mut lot = rng.between(0, all - 1);
    let situation = SITUATIONS.iter().find(|s| {
        lot -= s.weight;
        lot < 0
    });
    let mut plan = made(situation.expect("the lot is below the sum"), seed);
    if rng.chance(15) {
        let node = usize::try_from(rng.between(0, i64::try_from(plan.setup.nodes).expect("few") - 1)).expect("a node");
        let evidence = rng.pick(&EVIDENCE);
        let edit = match rng.between(0, 3) {
            0 => Edit::Lost(node, evidence),
            1 => Edit::Cut(node, evidence),
            2 => Edit::TimedOut(node, evidence),
            _ => Edit::Forbidden(node, evidence),
        };
        let mut truth = plan.right(node).clone();
        truth.unknown = true;
        plan = plan.edit(edit).truth(node, truth);
    }
    plan
}
