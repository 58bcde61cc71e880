//! Situations told one by one: the table of verdicts, the look-alikes of the facts' section 6, the runbook's signs on
//! healthy nodes, and evidence that is damaged or missing.

use crate::scenario::incidents::{ALL_DEAD, NAMES_DEAD};
use crate::scenario::model::{
    AgentState, AgentStatus, DnsPod, Family, Fault, Flows, LocalDns, Log, Node, Peer, Ping, Probe, Probes, Programs,
    Scenario, ServiceTable, Tool, Who,
};
use crate::scenario::release::{Clock, Release};

/// A scenario with one node.
fn one(name: &str, about: &str, node: Node, exit: &[i32]) -> Scenario {
    Scenario::new(name, about, vec![node], exit)
}

/// A scenario with one node that is healthy.
fn well(name: &str, about: &str, node: Node) -> Scenario {
    one(name, about, node, &[0])
}

fn healthy() -> Node {
    Node::healthy("usti", 1)
}

fn stale() -> Node {
    Node::stale("usti", 1)
}

/// A table whose first backend is here and whose second is on the other node.
fn two_backends() -> ServiceTable {
    ServiceTable::of(&[(1, 200), (2, 200)])
}

/// All of them.
pub(crate) fn all() -> Vec<Scenario> {
    let mut out = signs_on_healthy_nodes();
    out.extend(healthy_lookalikes());
    out.extend(redirects());
    out.extend(stale_variants());
    out.extend(selective_variants());
    out.extend(service_tables());
    out.extend(other_faults());
    out.extend(dns_faults());
    out.extend(many_nodes());
    out.extend(agents());
    out.extend(damaged_evidence());
    out.extend(probe_words());
    out.extend(one_pods_own_affair());
    out.extend(nearly_stale());
    out
}

/// The runbook's five signs, each on a node where all is well.
fn signs_on_healthy_nodes() -> Vec<Scenario> {
    let filtered = healthy().pinged(Ping::Lost).check("pod-egress", &["pass"]);
    let toolless =
        healthy().probed(&[Probes::all(Probe::NoShell), Probes::all(Probe::Ok).of(1)]).check("pod-egress", &["pass"]);
    let all_toolless = healthy().probed(&[Probes::all(Probe::NoTool)]).judged_one_of(&["healthy", "evidence-missing"]);
    let zero = healthy()
        .instead(Flows::to(Peer::LocalDns).answered(900).in_flight(9).expired(1_200, 1_500))
        .check("dns-conntrack", &["pass"])
        .figure("dns-conntrack", "packets_zero", 3_609)
        .figure("dns-conntrack", "expired", 2_700);
    let idle = healthy()
        .without(Peer::WorldTcp)
        .without(Peer::WorldUdp)
        .check("external-conntrack", &["pass", "warn", "not-applicable"])
        .figure("external-conntrack", "listed", 0);
    let unlisted = healthy()
        .without(Peer::WorldTcp)
        .plus(Flows::to(Peer::UnlistedTcp).answered(20))
        .check("external-conntrack", &["pass"])
        .figure("external-conntrack", "listed", 0);
    let continued = healthy()
        .with(|n| n.services = two_backends())
        .check("dns-backends", &["pass"])
        .figure("dns-backends", "realized", 2)
        .figure("dns-backends", "expected", 2);
    vec![
        well("sign 1: ping filtered", "the site drops pings; everything else works", filtered),
        well("sign 2: first probe pod without tools", "distroless, the next pod can", toolless),
        one("sign 2: no probe pod has tools", "the dump is clear, no pod can probe", all_toolless, &[0, 4]),
        well("sign 3: thousands of Packets=0", "1.19 does not count packets", zero),
        well("sign 4: idle node, nobody talks to the world", "no entries to the listed addresses, or any", idle),
        well("sign 4: nobody talks to the listed addresses", "but to others", unlisted),
        well("sign 5: second backend on a continuation line", "grep sees one backend", continued),
    ]
}

/// What looks like the fault and is none.
fn healthy_lookalikes() -> Vec<Scenario> {
    let over = healthy().instead(Flows::to(Peer::LocalDns).answered(120).in_flight(3).expired(50, 3_000)).figure(
        "dns-conntrack",
        "unanswered",
        0,
    );
    let in_flight = healthy().instead(Flows::to(Peer::LocalDns).answered(90).in_flight(40));
    let handful = healthy().instead(Flows::to(Peer::LocalDns).answered(200).unanswered(3));
    let gone = healthy()
        .plus(Flows::to(Peer::GoneDns).who(Who::First(2)).unanswered(5).stopped(3))
        .plus(Flows::to(Peer::ClusterDns).answered(30));
    let none = healthy()
        .with(|n| n.local_dns = LocalDns::None)
        .without(Peer::LocalDns)
        .without(Peer::Related)
        .plus(Flows::to(Peer::ClusterDns).answered(80))
        .judged_one_of(&["healthy", "too-little-traffic"])
        .check("dns-conntrack", &["pass"]);
    let host_lines = healthy().plus(Flows::to(Peer::HostDns).unanswered(60)).figure("dns-conntrack", "unanswered", 0);
    let companions =
        healthy().instead(Flows::to(Peer::Related).unanswered(300)).figure("dns-conntrack", "unanswered", 0);
    let balanced = healthy().instead(Flows::to(Peer::Service).unanswered(400));
    let balanced_old = healthy().instead(Flows::to(Peer::Service).unanswered(400)).release(Release::V1_13);
    let site_ping = healthy().plus(Flows::to(Peer::Icmp).unanswered(40));
    let upstream_address = healthy().with(|n| n.local_dns = LocalDns::Upstream).check("dns-conntrack", &["pass"]);
    let unnamed = healthy().with(|n| n.local_dns = LocalDns::Unnamed).check("dns-conntrack", &["pass"]);
    let young = healthy().with(|n| n.uptime = 900).with(|n| n.agent.state = AgentState::Running(850));
    let counted = healthy().with(|n| n.accounting = true).figure("dns-conntrack", "packets_zero", 0);
    let near = healthy().plus(Flows::to(Peer::NearMiss).unanswered(40)).figure("dns-conntrack", "entries", 384).figure(
        "dns-conntrack",
        "unanswered",
        0,
    );
    let long_up = healthy().with(|n| n.uptime = 17_500_000);
    let one_dead_world = healthy().instead(Flows::to(Peer::WorldTcp).answered(24).unanswered(3).refused(2));
    let partial_ping = healthy().pinged(Ping::Partial);
    let agent_ping = healthy().pinged(Ping::OkFromAgent).check("host-ping", &["pass"]);
    let everything = healthy().with(|n| {
        n.lb = Some(two_backends());
        n.status = Some(AgentStatus::default());
        n.drops = Some(vec![("Stale or unroutable IP", "EGRESS", 31)]);
        n.nat = Some((80, 30));
        n.programs = Some(Programs::Complete);
        n.log = Some(Log::Quiet);
    });
    let old_programs = healthy().release(Release::V1_14).clock(Clock::Jiffies(250)).with(|n| {
        n.lb = Some(two_backends());
        n.status = Some(AgentStatus::default());
        n.programs = Some(Programs::Complete);
    });
    vec![
        well("yesterday's outage still lies in the map", "thousands of expired unanswered lines", over),
        well("a burst in flight", "forty lines of the last second", in_flight),
        well("three lookups got no answer", "among two hundred that did", handful),
        well("sockets connected to cluster DNS pods that are gone", "not this node's fault", gone),
        one("no NodeLocal DNS in the cluster", "no lines to the address at all", none, &[0, 4]),
        well("the host's own lookups are not pods'", "clients outside Cilium's reach", host_lines),
        well("companion entries are no flows", "hundreds of `related` lines without report", companions),
        well("service lines never have answers", "SVC lines", balanced),
        well("service lines of 1.13 never have answers", "`OUT … service` lines, sides swapped", balanced_old),
        well("pings of pods do not count", "ICMP lines without answer", site_ping),
        well("NodeLocal DNS at another address", "its own arguments name 169.254.20.10", upstream_address),
        well("NodeLocal DNS names no address", "the default holds", unnamed),
        well("booted a quarter of an hour ago", "tiny timestamps", young),
        well("accounting on", "every line counts packets", counted),
        well("lines to 169.254.25.10:5353 and 169.254.25.105:53", "a text search finds them", near),
        well("up for 202 days, in seconds", "the numbers look like jiffies", long_up),
        well("some far ends do not answer", "a few of the world's servers are down", one_dead_world),
        well("one of two pings lost", "the uplink loses a packet now and then", partial_ping),
        well("ping from the agent's container", "no SSH; busybox prints it", agent_ping),
        well("all further evidence is there and fine", "and nothing in it speaks against health", everything),
        well("1.14 with its kernel tables", "older formats of everything", old_programs),
    ]
}

/// NodeLocal DNS behind a local redirect.
fn redirects() -> Vec<Scenario> {
    let behind = || {
        healthy()
            .with(|n| {
                n.local_dns = LocalDns::Redirected { ready: true };
                n.services = ServiceTable::of(&[(1, 53)]).redirect();
            })
            .without(Peer::LocalDns)
            .plus(Flows::to(Peer::RedirectedDns).answered(160).in_flight(2).expired(40, 10))
    };
    let good = behind().check("dns-backends", &["pass"]).check("dns-conntrack", &["pass", "not-applicable"]);
    let good_old = behind().release(Release::V1_16).check("dns-backends", &["pass"]);
    let address = behind()
        .with(|n| {
            n.services = two_backends();
            n.services.local_address = Some(vec![(1, 53, "active")]);
        })
        .check("dns-backends", &["pass"]);
    // The table looks right, and packets go to the raw address, where nobody listens (#43800).
    let no_effect = behind()
        .with(|n| {
            n.services = two_backends();
            n.services.local_address = Some(vec![(1, 53, "active")]);
            n.release = Release::V1_18;
        })
        .without(Peer::RedirectedDns)
        .plus(Flows::to(Peer::LocalDns).unanswered(120).in_flight(3))
        .probed(&[NAMES_DEAD])
        .judged("local-redirect-broken");
    let address_empty = behind()
        .with(|n| {
            n.local_dns = LocalDns::Redirected { ready: false };
            n.services = two_backends();
            n.services.local_address = Some(vec![]);
        })
        .without(Peer::RedirectedDns)
        .probed(&[NAMES_DEAD])
        .judged_one_of(&["local-redirect-broken", "node-local-dns-down"]);
    vec![
        well("NodeLocal DNS by local redirect", "one LocalRedirect backend is right", good),
        well("NodeLocal DNS by local redirect on 1.16", "rows without protocol", good_old),
        well("NodeLocal DNS by redirect of its address", "kube-dns stays ClusterIP with two backends", address),
        one("a redirect without effect", "its row looks right, and lines go to the raw address", no_effect, &[3]),
        one("a redirect of the address without backend", "the local pod is not ready", address_empty, &[3]),
    ]
}

/// Nodes that are stale, with all that may stand around it.
fn stale_variants() -> Vec<Scenario> {
    let stale = || stale();
    let stopped = stale()
        .instead(Flows::to(Peer::LocalDns).stopped(90).unanswered(30).in_flight(4).expired(200, 10))
        .figure("dns-conntrack", "stopped", 90)
        .check("dns-conntrack", &["fail"]);
    let all_stopped = stale().instead(Flows::to(Peer::LocalDns).stopped(120).in_flight(2));
    let among_dead = stale().instead(Flows::to(Peer::LocalDns).unanswered(260).in_flight(6).expired(3_000, 2_000));
    let counted = stale().with(|n| n.accounting = true);
    let silent_probes =
        stale().probed(&[Probes::all(Probe::ExecTimeout)]).judged_one_of(&["stale-datapath", "evidence-missing"]);
    // A probe that passed would have contradicted; so by principle 1 its absence may also make the node inconclusive.
    let no_probe = stale().probed(&[Probes::all(Probe::NoTool)]).judged_one_of(&["stale-datapath", "evidence-missing"]);
    let agent_ping = stale().pinged(Ping::OkFromAgent);
    // Nobody could ask the host, but its own flows and cross-node ones are answered: weaker, never high.
    let by_dump =
        stale().pinged(Ping::NobodyAnswered).judged_one_of(&["stale-datapath", "evidence-missing"]).at_most("medium");
    let login =
        stale().pinged(Ping::LoginRefused).judged_one_of(&["stale-datapath", "evidence-missing"]).at_most("medium");
    // Ping is filtered, but the host's own flows are answered: the host does reach what it needs.
    let two_witnesses =
        stale().without(Peer::Kubelet).without(Peer::Host).instead(Flows::to(Peer::WorldTcp).unanswered(16));
    let no_kube_proxy_replacement = stale()
        .with(|n| n.status = Some(AgentStatus { kube_proxy_replacement: false, ..AgentStatus::default() }))
        .at_most("medium");
    let checked = stale().with(|n| {
        n.lb = Some(two_backends());
        n.status = Some(AgentStatus::default());
        n.drops = Some(vec![]);
        n.nat = Some((20, 6));
        n.programs = Some(Programs::Complete);
        n.log = Some(Log::Quiet);
    });
    let bare_host_device = stale()
        .with(|n| {
            n.programs = Some(Programs::HostDeviceBare);
            n.status = Some(AgentStatus::default());
        })
        .judged("datapath-programs-missing");
    let bare_old =
        stale().release(Release::V1_14).with(|n| n.programs = Some(Programs::Gone)).judged("datapath-programs-missing");
    let upstream_address = stale().with(|n| n.local_dns = LocalDns::Upstream);
    let other_namespace = stale().with(|n| n.agent.namespace = "cilium").restarted();
    let long_up = stale().with(|n| n.uptime = 17_500_000);
    let v6 = stale().family(Family::V6).release(Release::V1_20).clock(Clock::Jiffies(300));
    vec![
        one("sockets that were answered once and no longer are", "long-lived UDP sockets", stopped, &[1]),
        one("every socket stopped being answered", "none is at zero", all_stopped, &[1]),
        one("stale among thousands of expired lines", "of both sorts", among_dead, &[1]),
        one("stale with accounting", "Packets is never 0", counted, &[1]),
        one("stale, and exec into pods hangs", "the probes did not end", silent_probes, &[1, 4]),
        one("stale, and no pod can probe", "the dump has three witnesses", no_probe, &[1, 4]),
        one("stale, host asked from the agent's container", "no SSH", agent_ping, &[1]),
        one("stale, host known from the dump only", "nobody could ask it", by_dump, &[1, 4]),
        one("stale, SSH login refused", "the dump speaks for the host", login, &[1, 4]),
        one("stale with DNS, probe and world", "neither host nor kubelet groups", two_witnesses, &[1]),
        one(
            "stale without kube-proxy replacement",
            "the usual mechanism does not apply",
            no_kube_proxy_replacement,
            &[1],
        ),
        one("stale, all further evidence looked at", "and fine", checked, &[1]),
        one("programs gone from cilium_host", "a direct sign", bare_host_device, &[1]),
        one("programs gone on 1.14", "the older form of the list", bare_old, &[1]),
        one("stale with NodeLocal DNS at 169.254.20.10", "the address is found", upstream_address, &[1]),
        one("stale, agents in a namespace of their own", "the command names it", other_namespace, &[1]),
        one("stale after 202 days, in seconds", "the numbers look like jiffies", long_up, &[1]),
        one("stale on 1.20 with IPv6 and jiffies", "all at once", v6, &[1]),
    ]
}

/// Nodes on which some pods are cut off.
fn selective_variants() -> Vec<Scenario> {
    let base = || Node::selective("usti", 1);
    // The kubelet's probes of the first pod never complete; it answers others, and DNS is fine.
    let half_open = healthy()
        .instead(Flows::to(Peer::Kubelet).who(Who::After(1)).answered(26))
        .plus(Flows::to(Peer::Kubelet).who(Who::First(1)).unanswered(12))
        .with(|n| {
            n.pods[0].ready = false;
            n.expect.affected = vec![n.pods[0].name.clone()];
            n.probes = vec![Probes::all(Probe::Ok).of(1)];
        });
    let affected = half_open.expect.affected.clone();
    let half_open = half_open.judged("stale-selective").with(|n| n.expect.affected = affected).restarted();
    let stopped = base().with(|n| {
        n.flows.retain(|f| !(f.peer == Peer::LocalDns && f.who == Who::First(1)));
        n.flows.push(Flows::to(Peer::LocalDns).who(Who::First(1)).stopped(12));
        // A policy that came later would stop them, too: only the counters tell that none did.
        n.drops = Some(vec![("Stale or unroutable IP", "EGRESS", 31)]);
    });
    let three = base().with(|n| {
        n.flows.retain(|f| f.peer != Peer::LocalDns);
        n.flows.push(Flows::to(Peer::LocalDns).who(Who::First(3)).unanswered(45));
        n.flows.push(Flows::to(Peer::LocalDns).who(Who::After(3)).answered(180).in_flight(2));
        n.probes = vec![Probes::all(Probe::Ok).of(5)];
        n.expect.affected = n.pods[..3].iter().map(|p| p.name.clone()).collect();
        n.expect.unaffected = vec![n.pods[4].name.clone()];
    });
    // One lookup of one pod without answer is a lost packet.
    let one_lost = healthy()
        .instead(Flows::to(Peer::LocalDns).who(Who::After(1)).answered(200))
        .plus(Flows::to(Peer::LocalDns).who(Who::First(1)).unanswered(1));
    // Half answered, half not: that pod is not cut off.
    let mixed = healthy()
        .instead(Flows::to(Peer::LocalDns).who(Who::After(1)).answered(200))
        .plus(Flows::to(Peer::LocalDns).who(Who::First(1)).unanswered(5).answered(20));
    let dual = base().family(Family::Dual).release(Release::V1_19);
    vec![
        one("kubelet's probes of one pod never complete", "SYN in, SYN+ACK out, again and again", half_open, &[1]),
        one("one pod's sockets stopped being answered", "answered once", stopped, &[1]),
        one("three pods of twelve cut off", "named, and no others", three, &[1]),
        well("one pod lost one lookup", "a lost packet is not a fault", one_lost),
        well("one pod with some lost lookups", "and more that were answered", mixed),
        one("one pod cut off on a dual-stack node", "named by its IPv4 address", dual, &[1]),
    ]
}

/// What service tables and endpoint slices say together.
fn service_tables() -> Vec<Scenario> {
    let table = |backends: &[(u8, u8)]| {
        let services = ServiceTable::of(backends);
        healthy().with(|n| n.services = services)
    };
    let one_ready = table(&[(1, 200)]).check("dns-backends", &["warn", "pass"]).judged("healthy");
    let one_ready_dead = table(&[(1, 200)])
        .instead(Flows::to(Peer::LocalDns).unanswered(100).in_flight(2))
        .probed(&[NAMES_DEAD])
        .judged("cluster-dns-down");
    let one_ready_failing = table(&[(1, 200)])
        .probed(&[Probes::new(Probe::ServFail, Probe::Ok, Probe::ServFail)])
        .judged("cluster-dns-down");
    let wrong_ones = table(&[(3, 17), (2, 200)]).judged("stale-service-map").restarted();
    let none = table(&[]).judged("stale-service-map");
    let old_format = table(&[(1, 200)]).release(Release::V1_16).judged("stale-service-map");
    let no_states = table(&[(1, 200)]).release(Release::V1_10).judged("stale-service-map");
    let no_states_fine = table(&[(1, 200), (2, 200)]).release(Release::V1_10).check("dns-backends", &["pass"]);
    let just_now = table(&[(1, 200)]).never(&["stale", "other-fault"]);
    let terminating =
        healthy().with(|n| n.services.backends.push((2, 99, "terminating"))).check("dns-backends", &["pass"]);
    let quarantined =
        healthy().with(|n| n.services.backends[1].2 = "quarantined").judged_one_of(&["stale-service-map", "healthy"]);
    let kernel_differs =
        healthy().with(|n| n.lb = Some(ServiceTable::of(&[(1, 200)]))).judged("stale-service-map").restarted();
    let kernel_old = healthy()
        .release(Release::V1_15)
        .with(|n| n.lb = Some(ServiceTable::of(&[(1, 200), (3, 77)])))
        .judged("stale-service-map");
    let glued = healthy().with(|n| n.services.glued_noise = true).check("dns-backends", &["pass"]);
    let v6 = healthy().family(Family::V6).check("dns-backends", &["pass"]).figure("dns-backends", "realized", 2);
    let one_pod = vec![DnsPod::ready(1, 200)];
    let ready_just_now = vec![DnsPod::ready(1, 200), DnsPod { since: 4, ..DnsPod::ready(2, 200) }];
    vec![
        well("one ready endpoint and one backend, DNS answered", "a warning, not a fault", one_ready)
            .dns(one_pod.clone()),
        one("one ready endpoint and one backend, DNS dead", "not stale", one_ready_dead, &[3]).dns(one_pod.clone()),
        one("one ready endpoint and one backend, lookups fail", "not stale", one_ready_failing, &[3]).dns(one_pod),
        one("backends that are no endpoints", "one of them is a pod that is gone", wrong_ones, &[1]),
        one("no backend, two ready endpoints", "the row is empty", none, &[1]),
        one("one backend too few on 1.16", "TCP and UDP share a row", old_format, &[1]),
        one("one backend too few on 1.10", "no states", no_states, &[1]),
        well("two backends on 1.10", "no states, no protocols", no_states_fine),
        one("an endpoint became ready four seconds ago", "an update takes a moment", just_now, &[0, 4])
            .dns(ready_just_now),
        well("a third backend is terminating", "a rollout", terminating),
        one("a backend is quarantined", "by a health check", quarantined, &[0, 1]),
        one("agent and kernel differ", "the kernel's table has one backend less", kernel_differs, &[1]),
        one("agent and kernel differ on 1.15", "another backend, grouped rows", kernel_old, &[1]),
        well("messages glued into the table", "written without newline", glued),
        well("a service table of IPv6", "brackets", v6),
    ]
}

/// Faults that are not this node's datapath going stale.
fn other_faults() -> Vec<Scenario> {
    let unplugged = stale()
        .pinged(Ping::NoRoute)
        .instead(Flows::to(Peer::RemotePods).unanswered(30))
        .without(Peer::FromRemotePods)
        .without(Peer::Health)
        .instead(Flows::to(Peer::HostOwn).unanswered(4).stopped(3))
        .judged("host-network-down");
    // NodeLocal DNS still says SERVFAIL to its own pods.
    let uplink = healthy()
        .pinged(Ping::LostFromAgent)
        .instead(Flows::to(Peer::WorldTcp).unanswered(24))
        .instead(Flows::to(Peer::WorldUdp).unanswered(10))
        .instead(Flows::to(Peer::RemotePods).unanswered(30))
        .without(Peer::FromRemotePods)
        .probed(&[Probes::new(Probe::ServFail, Probe::TimedOut, Probe::Ok)])
        .judged("host-network-down");
    let after_restart = stale()
        .pinged(Ping::Lost)
        .with(|n| n.agent.state = AgentState::Running(120))
        .instead(Flows::to(Peer::HostOwn).unanswered(5))
        .judged_one_of(&["host-network-down", "agent-starting"]);
    let udp_jiffies = healthy()
        .with(|n| {
            n.arch = "arm64";
            n.kernel = "6.12.58-current-meson64";
            n.nat = Some((40, 0));
        })
        .clock(Clock::Jiffies(300))
        .instead(Flows::to(Peer::WorldUdp).unanswered(30))
        .judged("udp-masquerade-broken");
    let mtu = healthy()
        .instead(Flows::to(Peer::WorldTcp).stopped(24))
        .probed(&[Probes::new(Probe::TimedOut, Probe::TimedOut, Probe::Ok)])
        .never(&["stale", "healthy"]);
    let encryption = healthy()
        .with(|n| n.status = Some(AgentStatus { encryption: "Wireguard", health: (1, 3), ..AgentStatus::default() }))
        .instead(Flows::to(Peer::RemotePods).unanswered(40))
        .without(Peer::FromRemotePods)
        .without(Peer::Health)
        .never(&["stale"]);
    let looping_but_fine = healthy()
        .with(|n| {
            n.log = Some(Log::DatapathLoop);
            n.status = Some(AgentStatus { degraded: 1, ..AgentStatus::default() });
        })
        .judged("datapath-not-initialized");
    let degraded =
        stale().with(|n| n.status = Some(AgentStatus { degraded: 2, ..AgentStatus::default() })).never(&["healthy"]);
    let duplicated_119 =
        stale().with(|n| n.programs = Some(Programs::Duplicated)).judged("datapath-programs-duplicated");
    let refused = healthy()
        .instead(Flows::to(Peer::WorldTcp).unanswered(20))
        .instead(Flows::to(Peer::WorldUdp).unanswered(8))
        .probed(&[Probes::new(Probe::Unreachable, Probe::Unreachable, Probe::Ok).with(Tool::Curl)])
        .judged("egress-broken");
    vec![
        one("no route on the host", "the cable is out", unplugged, &[3]),
        one("uplink down, node-local DNS answers SERVFAIL", "an answer is an answer", uplink, &[3]),
        one("host egress dead since the agent restarted", "cilium/cilium#45077: not again", after_restart, &[3]),
        one("UDP masquerade broken, jiffies", "no UDP row in the NAT table", udp_jiffies, &[3]),
        one("TCP stalls after the handshake", "an MTU problem, never a pattern of DNS alone", mtu, &[3, 4]),
        one("cross-node traffic dead under encryption", "local DNS is fine", encryption, &[0, 3, 4]),
        one("the datapath loop on a node that still works", "a restart repeats it", looping_but_fine, &[3]),
        one("degraded modules on a stale node", "not healthy, whatever it is", degraded, &[1, 3, 4]),
        one("duplicate programs on 1.19", "a restart does not clean them", duplicated_119, &[3]),
        one("the world has no route", "curl words it", refused, &[3]),
    ]
}

/// Faults of DNS itself.
fn dns_faults() -> Vec<Scenario> {
    let names_dead = || {
        healthy().instead(Flows::to(Peer::LocalDns).unanswered(150).in_flight(3).expired(30, 30)).probed(&[NAMES_DEAD])
    };
    let missing = names_dead().with(|n| n.local_dns = LocalDns::Missing).judged("node-local-dns-down");
    let refused = healthy()
        .with(|n| n.local_dns = LocalDns::HostNetwork { ready: false })
        .instead(Flows::to(Peer::LocalDns).answered(0))
        .plus(Flows::to(Peer::LocalDnsTcp).refused(14))
        .instead(Flows::to(Peer::LocalDns).unanswered(40))
        .probed(&[Probes::new(Probe::NoAnswer, Probe::Ok, Probe::Refused)])
        .judged("node-local-dns-down");
    let servfail = healthy()
        .with(|n| n.services = ServiceTable::of(&[]))
        .probed(&[Probes::new(Probe::ServFail, Probe::Ok, Probe::ServFail).with(Tool::Curl)])
        .check("dns-conntrack", &["pass"])
        .judged("cluster-dns-down");
    // Cluster DNS runs here, and its own flows to the site's resolver are dead; the node is not.
    let upstream = healthy()
        .plus(Flows::to(Peer::SiteResolver).who(Who::DnsPod).unanswered(30))
        .probed(&[Probes::new(Probe::ServFail, Probe::Ok, Probe::Ok)])
        .never(&["stale", "healthy"]);
    let proxied = names_dead()
        .with(|n| n.flows.iter_mut().filter(|f| f.peer == Peer::LocalDns).for_each(|f| *f = f.proxied()))
        .never(&["stale", "healthy"]);
    let policy = healthy()
        .with(|n| n.drops = Some(vec![("Policy denied", "EGRESS", 9_120)]))
        .with(|n| n.drops_rise = Some(9))
        .instead(Flows::to(Peer::LocalDns).who(Who::After(6)).answered(60))
        .probed(&[NAMES_DEAD])
        .judged("policy-denied");
    vec![
        one("NodeLocal DNS has no pod here", "the DaemonSet skips the node", missing, &[3])
            .cluster(|c| c.bystanders = vec![("elsewhere", 7)]),
        one("NodeLocal DNS refuses", "TCP to port 53 is reset", refused, &[3]),
        one("cluster DNS down, SERVFAIL from the cache", "rows without backend, endpoints not ready", servfail, &[3])
            .dns(vec![DnsPod::not_ready(1, 200), DnsPod::not_ready(2, 200)]),
        one("the resolver of the site is down", "node-local answers, its upstream flows are dead", upstream, &[3, 4]),
        one("lookups through the agent's proxy die", "ProxyRedirect lines", proxied, &[3, 4]),
        one("policy denies DNS only", "no lines for it, drops counted", policy, &[3]),
    ]
}

/// More than one node.
fn many_nodes() -> Vec<Scenario> {
    let outage = |name: &str, number: u8| Node::stale(name, number).judged("cluster-wide-outage");
    let masquerade = |name: &str, number: u8| {
        Node::healthy(name, number)
            .with(|n| n.status = Some(AgentStatus::default()))
            .instead(Flows::to(Peer::LocalDns).unanswered(150).in_flight(3))
            .probed(&[NAMES_DEAD])
            .judged("link-local-masquerade")
    };
    let down = |name: &str, number: u8| {
        Node::stale(name, number)
            .pinged(Ping::Lost)
            .instead(Flows::to(Peer::RemotePods).unanswered(30))
            .instead(Flows::to(Peer::HostOwn).unanswered(6))
            .without(Peer::FromRemotePods)
            .without(Peer::Health)
            .judged_one_of(&["host-network-down", "cluster-wide-outage"])
    };
    let blind = |name: &str, number: u8| {
        Node::healthy(name, number).fault("ct-list", Fault::Timeout).judged_one_of(&["evidence-missing", "healthy"])
    };
    vec![
        Scenario::new("two nodes dead the same way", "two are enough", vec![outage("aa", 1), outage("bb", 2)], &[3]),
        Scenario::new(
            "three nodes masquerade link-local traffic",
            "cilium/cilium#36761",
            vec![masquerade("aa", 1), masquerade("bb", 2), masquerade("cc", 3)],
            &[3],
        ),
        Scenario::new("the site lost its uplink", "every host is cut off", vec![down("aa", 1), down("bb", 2)], &[3]),
        Scenario::new(
            "one of each",
            "stale, cut off, blind and healthy nodes are sorted and counted",
            vec![
                Node::healthy("aa", 1),
                Node::stale("bb", 2),
                down("cc", 3).judged("host-network-down"),
                Node::selective("dd", 4),
                Node::healthy("ee", 5),
            ],
            &[1],
        ),
        Scenario::new(
            "one stale node among four",
            "the others are fine",
            vec![Node::healthy("aa", 1), Node::healthy("bb", 2), Node::stale("cc", 3), Node::healthy("dd", 4)],
            &[1],
        ),
        Scenario::new(
            "a stale node beside one that nobody could see",
            "the other's dump timed out",
            vec![Node::stale("aa", 1).judged_one_of(&["stale-datapath", "evidence-missing"]), blind("bb", 2)],
            &[1, 4],
        ),
        one("only the node with evidence is judged", "the cluster has others", healthy(), &[0])
            .cluster(|c| c.bystanders = vec![("other-a", 6), ("other-b", 7)]),
        one("only the chosen node is judged", "--node", healthy(), &[0]).args(&["--node", "usti"]),
    ]
}

/// States of the agent.
fn agents() -> Vec<Scenario> {
    let beside_old = stale()
        .with(|n| {
            n.agent.state = AgentState::RunningBesideOld(1_900);
            "cilium-new4k".clone_into(&mut n.agent.pod);
        })
        .restarted();
    let beside_old_healthy = healthy().with(|n| n.agent.state = AgentState::RunningBesideOld(1_900));
    let crashing = Node::bare("usti", 1)
        .with(|n| n.agent.state = AgentState::CrashLooping)
        .fault("ct-list", Fault::Failed("error: container not found (\"cilium-agent\")\n"))
        .fault("service-list", Fault::Failed("error: container not found (\"cilium-agent\")\n"))
        .probed(&[ALL_DEAD])
        .judged("agent-not-running");
    let rebooted = stale()
        .with(|n| {
            n.uptime = 95;
            n.agent.state = AgentState::Unready(40);
            n.status = Some(AgentStatus { failing_controllers: 6, ..AgentStatus::default() });
        })
        .judged("agent-starting");
    let minute = stale().with(|n| n.agent.state = AgentState::Running(60)).judged("agent-starting");
    vec![
        one("the old agent pod is still terminating", "the remedy names the running one", beside_old, &[1]),
        well("healthy while the old agent pod terminates", "judged by the running one", beside_old_healthy),
        one("the agent crashes again and again", "no running agent", crashing, &[3]),
        one("the node booted a minute ago", "tiny timestamps, endpoints regenerating", rebooted, &[3]),
        one("the agent started a minute ago", "measure again", minute, &[3]),
    ]
}

/// Evidence that is missing, cut or noisy.
fn damaged_evidence() -> Vec<Scenario> {
    let forbidden = healthy()
        .fault("ct-list", Fault::Forbidden)
        .fault("service-list", Fault::Forbidden)
        .probed(&[Probes::all(Probe::Forbidden)])
        .judged("evidence-missing")
        .says("pods/exec")
        .check("dns-conntrack", &["unknown"])
        .check("external-conntrack", &["unknown"])
        .check("pod-egress", &["unknown"])
        .check("dns-backends", &["unknown"]);
    let forbidden_stale = stale().fault("ct-list", Fault::Forbidden).judged("evidence-missing");
    let no_dump = healthy()
        .fault("ct-list", Fault::Missing)
        .never(&["stale", "other-fault", "healthy"])
        .check("dns-conntrack", &["unknown"]);
    let dump_timeout = healthy().fault("ct-list", Fault::Timeout).judged("evidence-missing");
    let cut_healthy = healthy().fault("ct-list", Fault::Truncated).judged("evidence-truncated");
    let no_services = healthy()
        .fault("service-list", Fault::Missing)
        .never(&["stale", "other-fault"])
        .check("dns-backends", &["unknown"]);
    let api_down = healthy()
        .fault("service-list", Fault::Failed("Error: Cannot get services list: Get \"http://localhost/v1/service\": dial unix /var/run/cilium/cilium.sock: connect: connection refused\n"))
        .never(&["stale", "healthy"])
        .check("dns-backends", &["unknown"]);
    let no_ping = healthy().pinged(Ping::NotGathered).never(&["stale", "other-fault"]).check("host-ping", &["unknown"]);
    let no_ping_tool = healthy().pinged(Ping::NoTool).never(&["stale", "other-fault"]).check("host-ping", &["unknown"]);
    let ping_denied =
        healthy().pinged(Ping::NotPermitted).never(&["stale", "other-fault"]).check("host-ping", &["unknown"]);
    let ping_late = healthy().pinged(Ping::TimedOut).never(&["stale"]).check("host-ping", &["unknown"]);
    let no_probes =
        healthy().probed(&[]).never(&["stale", "other-fault"]).check("pod-egress", &["unknown", "not-applicable"]);
    let nothing = Node::bare("usti", 1)
        .pinged(Ping::NotGathered)
        .probed(&[])
        .fault("ct-list", Fault::Missing)
        .fault("service-list", Fault::Missing)
        .judged("evidence-missing");
    let noisy = healthy().fault("ct-list", Fault::Noise).figure("dns-conntrack", "answered", 240);
    let noisy_stale = stale().fault("ct-list", Fault::Noise).figure("dns-conntrack", "unanswered", 260);
    let packed =
        stale().fault("ct-list", Fault::Gzip).fault("service-list", Fault::Gzip).fault("host-ping", Fault::Gzip);
    let no_slices = healthy().never(&["stale", "other-fault"]).check("dns-backends", &["unknown", "warn"]);
    let no_pods = stale().never(&["healthy"]);
    let ct_failed = healthy()
        .fault(
            "ct-list",
            Fault::Failed(
                "Error: Unable to open /sys/fs/bpf/tc/globals/cilium_ct4_global: no such file or directory\n",
            ),
        )
        .never(&["stale", "healthy"])
        .check("dns-conntrack", &["unknown"]);
    vec![
        one("exec is forbidden", "403 on pods/exec", forbidden, &[4]),
        one("the dump is forbidden on a stale node", "the probes alone prove nothing", forbidden_stale, &[4]),
        one("no dump", "the rest is fine", no_dump, &[4]),
        one("the dump timed out", "the rest is fine", dump_timeout, &[4]),
        one("a healthy node's dump broke off", "what is there looks fine", cut_healthy, &[4]),
        one("no service table", "the rest is fine", no_services, &[0, 4]),
        one("the agent's API is down", "the service table fails, the maps can be read", api_down, &[3, 4]),
        one("no ping was gathered", "the rest is fine", no_ping, &[0, 4]),
        one("no ping on the host", "the rest is fine", no_ping_tool, &[0, 4]),
        one("ping was not permitted", "the rest is fine", ping_denied, &[0, 4]),
        one("ping timed out", "the rest is fine", ping_late, &[0, 3, 4]),
        one("no probes were gathered", "the rest is fine", no_probes, &[0, 4]),
        one("nothing was gathered", "but the lists", nothing, &[4]),
        well("noise between the lines of a healthy node", "kubectl, shells, comments", noisy),
        one("noise between the lines of a stale node", "kubectl, shells, comments", noisy_stale, &[1]),
        one("compressed evidence", "gz is accepted everywhere", packed, &[1]),
        one("endpoint slices were not gathered", "backends can't be compared", no_slices, &[0, 4])
            .cluster(|c| c.without = vec!["endpointslices.json"]),
        one("pods were not gathered", "no agent known, no sources named", no_pods, &[1, 3, 4])
            .cluster(|c| c.without = vec!["pods.json"]),
        one("the dump command failed", "the map can't be opened", ct_failed, &[3, 4]),
    ]
}

/// What tools say: an answer of any kind is a pass, silence is not.
fn probe_words() -> Vec<Scenario> {
    let ok = |name: &str, about: &str, probes: Probes| {
        well(name, about, healthy().probed(&[probes]).check("pod-egress", &["pass"]))
    };
    let dead = |name: &str, about: &str, probes: Probes| {
        let node = stale().probed(&[probes]).check("pod-egress", &["fail"]);
        one(name, about, node, &[1])
    };
    vec![
        ok("busybox was answered 403", "the path works", Probes::new(Probe::HttpError, Probe::HttpError, Probe::Ok)),
        ok(
            "GNU wget was answered 403",
            "exit 8",
            Probes::new(Probe::HttpError, Probe::Ok, Probe::Ok).with(Tool::GnuWget),
        ),
        ok(
            "GNU wget dislikes a certificate",
            "exit 5",
            Probes::new(Probe::BadCertificate, Probe::Ok, Probe::Ok).with(Tool::GnuWget),
        ),
        ok(
            "curl dislikes a certificate",
            "exit 60",
            Probes::new(Probe::BadCertificate, Probe::Ok, Probe::Ok).with(Tool::Curl),
        ),
        ok(
            "curl was answered 403",
            "exit 22",
            Probes::new(Probe::HttpError, Probe::HttpError, Probe::Ok).with(Tool::Curl),
        ),
        ok(
            "busybox notes that it checks no certificate",
            "exit 0",
            Probes::new(Probe::BadCertificate, Probe::Ok, Probe::Ok),
        ),
        dead(
            "curl gets nothing",
            "timeouts",
            Probes::new(Probe::NoAnswer, Probe::TimedOut, Probe::NoAnswer).with(Tool::Curl),
        ),
        dead(
            "GNU wget gets nothing",
            "exit 4 and not a word",
            Probes::new(Probe::NoAnswer, Probe::TimedOut, Probe::NoAnswer).with(Tool::GnuWget),
        ),
        dead(
            "busybox finds no route",
            "host unreachable",
            Probes::new(Probe::NoAnswer, Probe::Unreachable, Probe::NoAnswer),
        ),
    ]
}

/// What a single pod does, and no datapath.
fn one_pods_own_affair() -> Vec<Scenario> {
    let scanner = || Flows::to(Peer::WorldTcp).who(Who::First(1)).unanswered(80);
    let scanning = healthy().instead(scanner()).without(Peer::WorldUdp).check("external-conntrack", &["warn"]);
    // Nobody probes, and node-local DNS is dead: the scanner's flows are no second group.
    let beside_dead_dns = healthy()
        .instead(Flows::to(Peer::LocalDns).unanswered(150).in_flight(3))
        .instead(scanner())
        .without(Peer::WorldUdp)
        .probed(&[Probes::all(Probe::NoTool)])
        .never(&["stale", "healthy"]);
    // A policy denies the probe's pod everything, so it leaves no entry; beside it a lookup or two were lost.
    let isolated =
        healthy().instead(Flows::to(Peer::LocalDns).unanswered(2)).probed(&[ALL_DEAD]).never(&["stale", "healthy"]);
    // The same where DNS is dead for all, while the world answers the other pods.
    let isolated_beside_dead_dns = healthy()
        .instead(Flows::to(Peer::LocalDns).unanswered(150).in_flight(3))
        .probed(&[ALL_DEAD])
        .never(&["stale", "healthy"]);
    // All that is dead to the world is of the pods that are cut off; a fourth pod probes, and is fine.
    let cut_off = Node::selective("usti", 1).without(Peer::WorldUdp).with(|n| {
        n.flows.retain(|f| f.peer != Peer::LocalDns && f.peer != Peer::WorldTcp);
        n.flows.push(Flows::to(Peer::LocalDns).who(Who::First(3)).unanswered(45));
        n.flows.push(Flows::to(Peer::LocalDns).who(Who::After(3)).answered(180));
        n.flows.push(Flows::to(Peer::WorldTcp).who(Who::First(3)).unanswered(40));
        n.probes = vec![Probes::all(Probe::Ok).of(5)];
        n.expect.affected = n.pods[..3].iter().map(|p| p.name.clone()).collect();
        n.expect.unaffected = vec![n.pods[5].name.clone()];
    });
    vec![
        well("one pod scans the world", "nobody answers it, and that is its own affair", scanning),
        one("one pod scans the world, node-local DNS is dead", "no second group", beside_dead_dns, &[3, 4]),
        one("a policy isolates the probe's pod", "two lookups were lost beside it", isolated, &[3, 4]),
        one(
            "a policy isolates the probe's pod, node-local DNS is dead",
            "the world answers",
            isolated_beside_dead_dns,
            &[3, 4],
        ),
        one("three pods cut off, and nobody else talks to the world", "named, and no others", cut_off, &[1]),
    ]
}

/// One detail away from being stale, and not stale.
fn nearly_stale() -> Vec<Scenario> {
    // An endpoint became ready between the reading of the one table and of the other.
    let rollout = healthy()
        .with(|n| {
            n.services = ServiceTable::of(&[(1, 200), (2, 200)]);
            n.lb = Some(ServiceTable::of(&[(1, 200)]));
        })
        .never(&["stale", "other-fault"]);
    let ready_just_now = vec![DnsPod::ready(1, 200), DnsPod { since: 3, ..DnsPod::ready(2, 200) }];
    // An endpoint is gone from the slices and from the kernel, and not yet from the agent's list.
    let scaled_down = healthy()
        .with(|n| {
            n.services = ServiceTable::of(&[(1, 200), (2, 200), (2, 99)]);
            n.lb = Some(two_backends());
        })
        .never(&["stale", "other-fault"]);
    let chained = healthy().with(|n| n.programs = Some(Programs::Chained));
    let relabelled = healthy().with(|n| n.local_dns = LocalDns::Relabelled);
    let relabelled_stale = stale().with(|n| n.local_dns = LocalDns::Relabelled);
    let undated = stale().with(|n| n.agent.state = AgentState::RunningUndated).at_most("medium");
    // QUIC is blocked on the way; translations of UDP are made all the same.
    let blocked_udp = healthy()
        .with(|n| n.nat = Some((40, 25)))
        .instead(Flows::to(Peer::WorldUdp).unanswered(30))
        .never(&["stale", "other-fault"]);
    // There are more of the blocked flows than of all others.
    let udp_alone = healthy()
        .with(|n| n.nat = Some((40, 25)))
        .instead(Flows::to(Peer::WorldTcp).answered(4))
        .instead(Flows::to(Peer::WorldUdp).unanswered(90))
        .check("external-conntrack", &["warn"])
        .judged("healthy");
    let no_dns_at_all = healthy()
        .with(|n| n.services = ServiceTable::of(&[]))
        .without(Peer::WorldTcp)
        .without(Peer::WorldUdp)
        .probed(&[Probes::new(Probe::ServFail, Probe::NoTool, Probe::ServFail)])
        .judged("cluster-dns-down");
    let silent = healthy()
        .without(Peer::LocalDns)
        .without(Peer::WorldTcp)
        .without(Peer::WorldUdp)
        .probed(&[ALL_DEAD])
        .never(&["stale", "healthy", "other-fault"]);
    let cut_off = |name: &str, number: u8| Node::stale(name, number).judged("cluster-wide-outage");
    let broken = Node::healthy("bb", 2)
        .instead(Flows::to(Peer::WorldTcp).unanswered(24))
        .instead(Flows::to(Peer::WorldUdp).unanswered(10))
        .probed(&[Probes::new(Probe::TimedOut, Probe::TimedOut, Probe::Ok)])
        .judged("cluster-wide-outage")
        .at_most("medium");
    vec![
        one("a rollout of cluster DNS between two readings", "agent and kernel may differ", rollout, &[0, 4])
            .dns(ready_just_now),
        one("cluster DNS is scaled down between two readings", "nothing has a time", scaled_down, &[0, 4]),
        well("pods' devices are named by another plugin", "chained: eni and not lxc", chained),
        well("NodeLocal DNS with labels of somebody's own", "known by its image", relabelled),
        one("the same, stale", "its pod is ready", relabelled_stale, &[1]),
        one("stale, and nothing says since when the agent runs", "never high", undated, &[1]),
        one("UDP to the world is blocked, and translated", "no fault of masquerading", blocked_udp, &[0, 4]),
        well("most flows to the world are of blocked UDP", "and TCP answers", udp_alone),
        one("cluster DNS has no endpoint, and nobody talks to the world", "lookups fail", no_dns_at_all, &[3])
            .dns(vec![DnsPod::not_ready(1, 200), DnsPod::not_ready(2, 200)]),
        one("egress fails, and nobody says that DNS is answered", "it may be more than egress", silent, &[4]),
        Scenario::new(
            "two nodes cut off in different ways",
            "one stale by itself, the other without egress",
            vec![cut_off("aa", 1).at_most("medium"), broken],
            &[3],
        ),
    ]
}
