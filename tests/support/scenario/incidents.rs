//! The cases that are kept as fixtures: the two incidents, test number one, and one for every verdict code.

use super::build::fewer;
use super::model::{
    AgentState, AgentStatus, AppPod, DnsPod, Fault, Flows, LocalDns, Log, Node, Peer, Ping, Probe, Probes, Programs,
    Scenario, ServiceTable, Who,
};
use super::release::Release;
use super::told;

/// A fixture: its scenario, and the words of its README.
pub(crate) struct Fixture {
    /// The scenario; its name is the folder's.
    pub(crate) scenario: Scenario,
    /// What happened.
    pub(crate) happened: &'static str,
    /// What the bundle shows.
    pub(crate) shows: &'static str,
    /// What must come out.
    pub(crate) must: &'static str,
}

fn fixture(scenario: Scenario, happened: &'static str, shows: &'static str, must: &'static str) -> Fixture {
    Fixture { scenario, happened, shows, must }
}

/// The answers of a pod that can reach addresses, but gets no names.
pub(crate) const NAMES_DEAD: Probes = Probes {
    pod: 0,
    tool: super::model::Tool::Busybox,
    by_name: Probe::NoAnswer,
    by_address: Probe::Ok,
    dns: Probe::NoAnswer,
};

/// The answers of a pod that reaches nothing.
pub(crate) const ALL_DEAD: Probes = Probes {
    pod: 0,
    tool: super::model::Tool::Busybox,
    by_name: Probe::NoAnswer,
    by_address: Probe::TimedOut,
    dns: Probe::NoAnswer,
};

/// All fixtures.
pub(crate) fn fixtures() -> Vec<Fixture> {
    let mut all = vec![
        fixture(
            prusik(),
            "On 2026-06-06 the kubelet of prusik reported vault-0 unready, and pods of the node could not resolve names. The \
             node itself was fine over SSH. Deleting the node's Cilium pod repaired it.",
            "DNS flows of all pods to 169.254.25.10:53 live and never answered (LastRxReport=0), pods' connections to the \
             world and to the host stuck at the SYN, the kubelet's probes stuck at SYN and SYN+ACK; cross-node flows, the \
             host's own flows and both neighbours answered.",
            "prusik is stale-datapath, with the one command that restarts cilium-swmbt; vienna and brno are healthy.",
        ),
        fixture(
            odroid(),
            "On 2026-06-03 the log shipper of k8s-odroid-hc4-3 stopped delivering: its lookups got no answers, while every \
             other pod of the node worked.",
            "All live DNS flows of loki/vector-agent-p7vxd are unanswered or stopped being answered; those of the other \
             pods, pods' connections to the world, and the probes are fine.",
            "stale-selective, naming vector-agent-p7vxd and nobody else.",
        ),
        fixture(
            healthy_default(),
            "Nothing. This is what every node looks like on Cilium 1.19 with default settings.",
            "Thousands of DNS lines to 169.254.25.10:53 that all say Packets=0 Bytes=0, because packets are not counted by \
             default since 1.16. LastRxReport says that they were answered. A few are in flight; many more are over, among \
             them unanswered ones of yesterday.",
            "healthy. Counting Packets=0 would restart Cilium on a node where all is well.",
        ),
    ];
    all.extend(by_code().into_iter().map(|scenario| {
        let (happened, shows, must) = story(&scenario.name);
        // The full table must stay full.
        let small = scenario.name != "conntrack-full";
        let scenario = scenario.each(|node| {
            if small {
                fewer(&mut node.flows);
                node.pods.truncate(8);
            }
        });
        fixture(scenario, happened, shows, must)
    }));
    all
}

/// For every code: what happened, what the bundle shows, what must come out.
const STORIES: [(&str, &str, &str, &str); 24] = [
    (
        "healthy",
        "Nothing.",
        "Flows of every group answered, probes and ping fine, two backends for two endpoints.",
        "healthy, without a remedy.",
    ),
    (
        "stale-datapath",
        "The datapath of graz went stale; linz, beside it, is fine.",
        "On graz DNS to the node-local address, pod to host, host to pod and pod to world are all dead; cross-node flows and the host's own are answered.",
        "stale-datapath with the restart of the one Cilium pod on graz.",
    ),
    (
        "stale-selective",
        "One pod of graz is cut off from node-local DNS and the host.",
        "Its live flows are all unanswered; those of the other pods are answered, and a probe from another pod passes.",
        "stale-selective, naming the pod.",
    ),
    (
        "stale-service-map",
        "A cluster DNS pod was added days ago; the agent of graz never took it into its service table.",
        "EndpointSlices have two ready endpoints, the ClusterIP rows of kube-dns have one backend. Traffic is fine.",
        "stale-service-map with the restart.",
    ),
    (
        "datapath-programs-missing",
        "Something removed the programs from the devices of graz.",
        "bpftool lists no tc program at all, and every group through the host is dead.",
        "datapath-programs-missing: a direct sign.",
    ),
    (
        "host-network-down",
        "The uplink of graz is gone.",
        "The node's own ping is lost, and pods reach neither the world nor other nodes.",
        "host-network-down; a restart of Cilium would not help.",
    ),
    (
        "cluster-wide-outage",
        "The network behind all three nodes failed in one way.",
        "The same dead groups on graz, linz and wels.",
        "cluster-wide-outage on each; no restart.",
    ),
    (
        "node-local-dns-down",
        "The NodeLocal DNS pod of graz crash-loops.",
        "Node-local lines are unanswered, TCP to port 53 is reset, the pod is not ready; pods reach the world by address.",
        "node-local-dns-down; DNS is to be repaired, not Cilium.",
    ),
    (
        "cluster-dns-down",
        "No cluster DNS pod is ready.",
        "EndpointSlices have no ready endpoint, the service rows have no backend, and node-local DNS answers SERVFAIL, which is an answer.",
        "cluster-dns-down.",
    ),
    (
        "link-local-masquerade",
        "BPF masquerading catches traffic to the link-local DNS address (cilium/cilium#36761).",
        "Node-local lines are unanswered on both nodes, though NodeLocal DNS is ready; the world is answered by address.",
        "link-local-masquerade on both.",
    ),
    (
        "local-redirect-broken",
        "The node-local DNS pod behind the local redirect is not ready.",
        "The LocalRedirect rows of kube-dns have no backend; lookups fail, addresses are reached.",
        "local-redirect-broken.",
    ),
    (
        "policy-denied",
        "A network policy denies what some pods send.",
        "The dump has no lines from those pods, because a denied first packet makes none; Policy denied is counted; the probe fails.",
        "policy-denied.",
    ),
    (
        "udp-masquerade-broken",
        "The kernel of an arm64 board breaks masquerading of UDP.",
        "UDP to the world is unanswered, TCP answered, and the NAT table has no UDP row.",
        "udp-masquerade-broken; the kernel is to be changed.",
    ),
    (
        "conntrack-full",
        "The connection tracking table of graz is full.",
        "As many lines as the table has places, and insertion failures among the drops.",
        "conntrack-full.",
    ),
    (
        "datapath-programs-duplicated",
        "A restart left the old programs attached beside the new (cilium/cilium#44194).",
        "Two programs of one name on the hooks of cilium_host and cilium_vxlan.",
        "datapath-programs-duplicated; another restart does not clean them.",
    ),
    (
        "datapath-not-initialized",
        "After a restart the agent can't initialize the datapath (cilium/cilium#46065).",
        "The log repeats it every ten seconds, and a module is degraded.",
        "datapath-not-initialized; a restart repeats it.",
    ),
    (
        "agent-not-running",
        "The Cilium pod of graz is not there.",
        "No agent, so no dump and no service table; pods reach nothing.",
        "agent-not-running.",
    ),
    (
        "agent-starting",
        "The agent of graz started 25 seconds ago.",
        "Flows are dead, as they are while endpoints regenerate.",
        "agent-starting: measure again.",
    ),
    (
        "egress-broken",
        "Pods of graz do not reach the world.",
        "Pod to world is unanswered by name and address; DNS, pod to host and the host itself are fine.",
        "egress-broken; nothing known explains it.",
    ),
    (
        "evidence-missing",
        "Pods are dead, and nobody could ask the host.",
        "SSH is refused, the agent's container does not answer, and the dump has no flows of the host or across nodes.",
        "evidence-missing, never stale.",
    ),
    (
        "evidence-truncated",
        "The dump broke off.",
        "Two fifths of it, the last line cut, without exit status.",
        "evidence-truncated, whatever the rest looks like.",
    ),
    (
        "evidence-contradictory",
        "Two pieces of evidence exclude each other.",
        "Probes pass while the dump shows every group dead.",
        "evidence-contradictory.",
    ),
    (
        "maps-not-visible",
        "The agent looks at another BPF file system (cilium/cilium#23485).",
        "The whole dump is empty, though the node runs pods.",
        "maps-not-visible.",
    ),
    (
        "too-little-traffic",
        "The node idles.",
        "Three live DNS flows, answered, and no pod that can probe.",
        "too-little-traffic: nothing failed, and nothing was proved.",
    ),
];

/// The story of the fixture of a code.
fn story(code: &str) -> (&'static str, &'static str, &'static str) {
    let found = STORIES.iter().find(|story| story.0 == code).expect("every code has its story");
    (found.1, found.2, found.3)
}

/// The incident of 2026-06-06: a node's datapath went stale.
pub(crate) fn prusik() -> Scenario {
    let node = Node::stale("prusik", 1)
        .with(|n| {
            "cilium-swmbt".clone_into(&mut n.agent.pod);
            n.agent.state = AgentState::Running(3_024_000);
            n.pods[0] = AppPod { namespace: "vault", name: "vault-0".to_owned(), host: 91, ready: false };
            for (at, name) in [(3, "hermes-0"), (4, "bazarr-0"), (5, "jellyfin-0")] {
                n.pods[at].namespace = "media";
                name.clone_into(&mut n.pods[at].name);
            }
            n.uptime = 3_110_417;
            n.status = Some(AgentStatus::default());
            fewer(&mut n.flows);
        })
        .instead(Flows::to(Peer::Kubelet).who(Who::First(1)).unanswered(14))
        .plus(Flows::to(Peer::Kubelet).who(Who::After(1)).unanswered(8))
        .probed(&[ALL_DEAD.of(1), ALL_DEAD.of(2)])
        .restarted();
    let neighbour = |name: &str, number: u8| {
        Node::healthy(name, number).with(|n| {
            n.uptime = 3_110_200 + 61 * u64::from(number);
            n.pods.truncate(7);
            n.status = Some(AgentStatus::default());
            fewer(&mut n.flows);
        })
    };
    Scenario::new(
        "2026-06-06-prusik",
        "incident of 2026-06-06: DNS of many pods dead, pod egress dead, kubelet probes half-open, host fine",
        vec![node, neighbour("vienna", 2), neighbour("brno", 3)],
        &[1],
    )
    .dns(vec![DnsPod::ready(2, 200), DnsPod::ready(3, 200)])
    .cluster(told::prusik)
    .each(|n| n.services = ServiceTable::of(&[(2, 200), (3, 200)]))
}

/// The incident of 2026-06-03: one pod's flows dead.
pub(crate) fn odroid() -> Scenario {
    let mut node = Node::bare("k8s-odroid-hc4-3", 3);
    node.arch = "arm64";
    node.kernel = "6.6.63-current-meson64";
    "cilium-ng876".clone_into(&mut node.agent.pod);
    node.agent.state = AgentState::Running(1_641_600);
    node.uptime = 1_728_331;
    node.pods.truncate(8);
    node.pods[0] = AppPod { namespace: "loki", name: "vector-agent-p7vxd".to_owned(), host: 90, ready: true };
    node.probes = vec![Probes::all(Probe::Ok).of(1)];
    node.status = Some(AgentStatus::default());
    node.flows = vec![
        Flows::to(Peer::LocalDns).who(Who::First(1)).unanswered(26).stopped(4).in_flight(1).expired(0, 40),
        Flows::to(Peer::LocalDns).who(Who::After(1)).answered(110).in_flight(2).expired(30, 20),
        Flows::to(Peer::Host).who(Who::After(1)).answered(8),
        Flows::to(Peer::Kubelet).answered(14),
        Flows::to(Peer::WorldTcp).who(Who::After(1)).answered(14),
        Flows::to(Peer::WorldUdp).who(Who::After(1)).answered(4),
        Flows::to(Peer::RemotePods).answered(16),
        Flows::to(Peer::FromRemotePods).answered(6),
        Flows::to(Peer::HostOwn).answered(5),
        Flows::to(Peer::Related).unanswered(3),
    ];
    node.expect.affected = vec!["vector-agent-p7vxd".to_owned()];
    node.expect.unaffected = node.pods[1..].iter().map(|p| p.name.clone()).collect();
    let node = node.judged("stale-selective").restarted();
    Scenario::new(
        "2026-06-03-k8s-odroid-hc4-3",
        "incident of 2026-06-03: one pod's flows dead, another pod's fine",
        vec![node],
        &[1],
    )
    .cluster(told::odroid)
}

/// Test number one: what the runbook takes for the fault is what health looks like.
pub(crate) fn healthy_default() -> Scenario {
    let node = Node::healthy("linz", 1)
        .instead(Flows::to(Peer::LocalDns).answered(400).in_flight(6).expired(700, 900))
        .check("dns-conntrack", &["pass"])
        .check("pod-egress", &["pass"])
        .figure("dns-conntrack", "packets_zero", 2_006)
        .figure("dns-conntrack", "entries", 2_006)
        .figure("dns-conntrack", "answered", 400)
        .figure("dns-conntrack", "unanswered", 0)
        .figure("dns-conntrack", "expired", 1_600);
    Scenario::new(
        "healthy-1.19-default",
        "default 1.19 node: every line Packets=0, answered by LastRxReport",
        vec![node],
        &[0],
    )
}

/// One scenario for every code that a bundle can show; each is named after its code.
pub(crate) fn by_code() -> Vec<Scenario> {
    let mut all = stale_codes();
    all.extend(fault_codes());
    all.extend(program_codes());
    all.extend(inconclusive_codes());
    all
}

fn one(code: &str, about: &str, node: Node, exit: i32) -> Scenario {
    Scenario::new(code, about, vec![node], &[exit])
}

fn stale_codes() -> Vec<Scenario> {
    let missing = Node::stale("graz", 1)
        .with(|n| {
            n.programs = Some(Programs::Gone);
            n.status = Some(AgentStatus::default());
        })
        .judged("datapath-programs-missing");
    let map = Node::healthy("graz", 1)
        .with(|n| n.services = ServiceTable::of(&[(1, 200)]))
        .judged("stale-service-map")
        .restarted()
        .check("dns-backends", &["fail"])
        .figure("dns-backends", "realized", 1)
        .figure("dns-backends", "expected", 2);
    vec![
        one("healthy", "nothing is wrong", Node::healthy("graz", 1), 0),
        Scenario::new(
            "stale-datapath",
            "DNS and every other group through the host dead, the neighbour fine",
            vec![Node::stale("graz", 1), Node::healthy("linz", 2)],
            &[1],
        ),
        one("stale-selective", "one pod cut off, the others answered", Node::selective("graz", 1), 1),
        one("stale-service-map", "kube-dns has two ready endpoints and one backend, for days", map, 1),
        one("datapath-programs-missing", "no Cilium program on any hook", missing, 1),
    ]
}

fn fault_codes() -> Vec<Scenario> {
    let host = Node::stale("graz", 1)
        .pinged(Ping::Lost)
        .instead(Flows::to(Peer::RemotePods).unanswered(30))
        .instead(Flows::to(Peer::Kubelet).answered(20))
        .without(Peer::FromRemotePods)
        .without(Peer::Health)
        .judged("host-network-down")
        .check("host-ping", &["fail"]);
    let all_dead = |name: &str, number: u8| Node::stale(name, number).judged("cluster-wide-outage");
    let names_dead = |name: &str, number: u8| {
        Node::healthy(name, number)
            .instead(Flows::to(Peer::LocalDns).unanswered(160).in_flight(3).expired(40, 60))
            .probed(&[NAMES_DEAD])
    };
    let local = names_dead("graz", 1)
        .with(|n| n.local_dns = LocalDns::HostNetwork { ready: false })
        .plus(Flows::to(Peer::LocalDnsTcp).refused(3))
        .judged("node-local-dns-down");
    let cluster = Node::healthy("graz", 1)
        .with(|n| n.services = ServiceTable::of(&[]))
        .probed(&[Probes::new(Probe::ServFail, Probe::Ok, Probe::ServFail)])
        .judged("cluster-dns-down");
    let masquerade = |name: &str, number: u8| {
        names_dead(name, number).with(|n| n.status = Some(AgentStatus::default())).judged("link-local-masquerade")
    };
    let redirect = Node::healthy("graz", 1)
        .with(|n| {
            n.local_dns = LocalDns::Redirected { ready: false };
            n.services = ServiceTable::of(&[]).redirect();
        })
        .without(Peer::LocalDns)
        .plus(Flows::to(Peer::RedirectedDns).expired(60, 20))
        .probed(&[NAMES_DEAD])
        .judged("local-redirect-broken");
    let denied = Node::healthy("graz", 1)
        .with(|n| n.drops = Some(vec![("Policy denied", "EGRESS", 48_213), ("Stale or unroutable IP", "EGRESS", 12)]))
        .with(|n| n.drops_rise = Some(37))
        .instead(Flows::to(Peer::LocalDns).who(Who::After(4)).answered(40))
        .instead(Flows::to(Peer::WorldTcp).who(Who::After(4)).answered(12))
        .instead(Flows::to(Peer::WorldUdp).who(Who::After(4)).answered(4))
        .probed(&[ALL_DEAD])
        .judged("policy-denied");
    let udp = Node::healthy("graz", 1)
        .with(|n| {
            n.arch = "arm64";
            n.kernel = "6.12.58-current-meson64";
            n.status = Some(AgentStatus::default());
            n.nat = Some((60, 0));
        })
        .instead(Flows::to(Peer::WorldUdp).unanswered(40))
        .judged("udp-masquerade-broken");
    // 884 + 60 + 60 + 10 + 4 + 6 lines that are not TCP: exactly the size of the table.
    let full = Node::healthy("graz", 1)
        .with(|n| {
            n.status = Some(AgentStatus { conntrack: (2_048, 1_024), ..AgentStatus::default() });
            n.drops = Some(vec![("CT: Map insertion failed", "EGRESS", 51_877)]);
            n.drops_rise = Some(214);
        })
        .instead(Flows::to(Peer::LocalDns).answered(60).unanswered(60).expired(800, 84))
        .instead(Flows::to(Peer::WorldTcp).answered(12).unanswered(12))
        .probed(&[ALL_DEAD])
        .judged("conntrack-full");
    let egress = Node::healthy("graz", 1)
        .instead(Flows::to(Peer::WorldTcp).unanswered(24))
        .instead(Flows::to(Peer::WorldUdp).unanswered(10))
        .probed(&[Probes::new(Probe::TimedOut, Probe::TimedOut, Probe::Ok)])
        .judged("egress-broken");
    vec![
        one("host-network-down", "the node itself is cut off", host, 3),
        Scenario::new(
            "cluster-wide-outage",
            "three nodes, all dead the same way",
            vec![all_dead("graz", 1), all_dead("linz", 2), all_dead("wels", 3)],
            &[3],
        ),
        one("node-local-dns-down", "node-local DNS crash-loops, everything else works", local, 3),
        Scenario::new("cluster-dns-down", "no cluster DNS pod is ready", vec![cluster], &[3])
            .dns(vec![DnsPod::not_ready(1, 200), DnsPod::not_ready(2, 200)]),
        Scenario::new(
            "link-local-masquerade",
            "node-local DNS dead on every node, the world fine, BPF masquerading on",
            vec![masquerade("graz", 1), masquerade("linz", 2)],
            &[3],
        ),
        one("local-redirect-broken", "a LocalRedirect row without backend", redirect, 3),
        one("policy-denied", "policy denies what some pods send: no lines for it, drops counted", denied, 3),
        one("udp-masquerade-broken", "UDP to the world dead, TCP fine, arm64 with kernel 6.12", udp, 3),
        one("conntrack-full", "the table is at its size and refuses entries", full, 3),
        one("egress-broken", "pods do not reach the world, DNS and host fine, nothing explains it", egress, 3),
    ]
}

fn program_codes() -> Vec<Scenario> {
    let duplicated = Node::stale("graz", 1)
        .with(|n| {
            n.release = Release::V1_18;
            n.programs = Some(Programs::Duplicated);
        })
        .judged("datapath-programs-duplicated");
    let looping = Node::stale("graz", 1)
        .with(|n| {
            n.log = Some(Log::DatapathLoop);
            n.status = Some(AgentStatus { degraded: 1, ..AgentStatus::default() });
        })
        .judged("datapath-not-initialized");
    let absent = Node::bare("graz", 1)
        .with(|n| n.agent.state = AgentState::Absent)
        .fault("ct-list", Fault::Missing)
        .fault("service-list", Fault::Missing)
        .probed(&[ALL_DEAD])
        .judged("agent-not-running");
    let starting = Node::stale("graz", 1).with(|n| n.agent.state = AgentState::Unready(25)).judged("agent-starting");
    vec![
        one("datapath-programs-duplicated", "two programs of one name on the hooks of cilium_host", duplicated, 3),
        one("datapath-not-initialized", "the agent can't initialize the datapath and retries", looping, 3),
        one("agent-not-running", "no Cilium pod on the node", absent, 3),
        one("agent-starting", "the agent started 25 seconds ago", starting, 3),
    ]
}

fn inconclusive_codes() -> Vec<Scenario> {
    let missing = Node::stale("graz", 1)
        .pinged(Ping::NobodyAnswered)
        .without(Peer::RemotePods)
        .without(Peer::FromRemotePods)
        .without(Peer::HostOwn)
        .without(Peer::Health)
        .judged("evidence-missing")
        .check("host-ping", &["unknown"]);
    let truncated = Node::stale("graz", 1).fault("ct-list", Fault::Truncated).judged("evidence-truncated");
    let contradictory = Node::stale("graz", 1).probed(&[Probes::all(Probe::Ok)]).judged("evidence-contradictory");
    let invisible = Node::healthy("graz", 1).fault("ct-list", Fault::Empty).judged("maps-not-visible");
    let idle = Node::bare("graz", 1)
        .plus(Flows::to(Peer::LocalDns).answered(3))
        .plus(Flows::to(Peer::HostOwn).answered(3))
        .probed(&[Probes::all(Probe::NoShell)])
        .judged("too-little-traffic");
    vec![
        one("evidence-missing", "pods dead, and nothing speaks for the host", missing, 4),
        one("evidence-truncated", "the dump broke off in the middle of a line", truncated, 4),
        one("evidence-contradictory", "probes pass while the dump shows all flows dead", contradictory, 4),
        one("maps-not-visible", "the whole dump is empty on a node that runs pods", invisible, 4),
        one("too-little-traffic", "three DNS flows and no probe that ran", idle, 4),
    ]
}
