//! The usual cases to start from, and the ways to change them.

use super::model::{
    Agent, AgentState, AppPod, Cluster, DnsPod, Expect, Family, Fault, Flows, LocalDns, Node, Peer, Ping, Probe,
    Probes, Scenario, ServiceTable, Who,
};
use super::release::{Clock, Release};
use super::rng::Rng;

/// 2026-06-06, 12:00 UTC.
pub(crate) const NOON: u64 = 1_780_747_200;

impl Default for Cluster {
    fn default() -> Self {
        Self {
            context: "grigri",
            captured_at: NOON,
            dns: vec![DnsPod::ready(1, 200), DnsPod::ready(2, 200)],
            bystanders: Vec::new(),
            without: Vec::new(),
            unhealthy: Vec::new(),
            restarted: Vec::new(),
            further: Vec::new(),
        }
    }
}

impl Scenario {
    /// A scenario with an ordinary cluster around its nodes.
    pub(crate) fn new(name: impl Into<String>, about: &str, nodes: Vec<Node>, exit: &[i32]) -> Self {
        Self {
            name: name.into(),
            about: about.to_owned(),
            nodes,
            cluster: Cluster::default(),
            args: Vec::new(),
            exit: exit.to_vec(),
        }
    }

    /// With this cluster.
    pub(crate) fn cluster(mut self, change: impl FnOnce(&mut Cluster)) -> Self {
        change(&mut self.cluster);
        self
    }

    /// With these cluster DNS pods.
    pub(crate) fn dns(self, pods: Vec<DnsPod>) -> Self {
        self.cluster(|c| c.dns = pods)
    }

    /// With further arguments.
    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.args = args.iter().map(|a| (*a).to_owned()).collect();
        self
    }

    /// With every node changed.
    pub(crate) fn each(mut self, change: impl Fn(&mut Node)) -> Self {
        self.nodes.iter_mut().for_each(change);
        self
    }
}

/// The traffic of a node where all is well.
pub(crate) fn healthy_traffic() -> Vec<Flows> {
    vec![
        Flows::to(Peer::LocalDns).answered(240).in_flight(4).expired(60, 80),
        Flows::to(Peer::Host).answered(12),
        Flows::to(Peer::Kubelet).answered(30),
        Flows::to(Peer::WorldTcp).answered(24).expired(6, 2),
        Flows::to(Peer::WorldUdp).answered(10),
        Flows::to(Peer::RemotePods).answered(30),
        Flows::to(Peer::FromRemotePods).answered(10),
        Flows::to(Peer::HostOwn).answered(6),
        Flows::to(Peer::Health).answered(2),
        Flows::to(Peer::Related).unanswered(4),
        Flows::to(Peer::Service).unanswered(6),
    ]
}

/// The traffic of a node whose datapath went stale: everything that goes through the host is dead, cross-node is not.
pub(crate) fn stale_traffic() -> Vec<Flows> {
    vec![
        Flows::to(Peer::LocalDns).unanswered(260).in_flight(6).expired(40, 160),
        Flows::to(Peer::Host).unanswered(12),
        Flows::to(Peer::Kubelet).unanswered(24),
        Flows::to(Peer::WorldTcp).unanswered(20).expired(6, 10),
        Flows::to(Peer::WorldUdp).unanswered(8),
        Flows::to(Peer::RemotePods).answered(30),
        Flows::to(Peer::FromRemotePods).answered(10),
        Flows::to(Peer::HostOwn).answered(6),
        Flows::to(Peer::Health).answered(2),
        Flows::to(Peer::Related).unanswered(4),
        Flows::to(Peer::Service).unanswered(6),
    ]
}

/// The traffic of a node on which the first pod alone is cut off from node-local DNS and the world.
pub(crate) fn selective_traffic() -> Vec<Flows> {
    let mut flows = healthy_traffic();
    flows.retain(|f| !matches!(f.peer, Peer::LocalDns | Peer::WorldTcp | Peer::Host));
    flows.extend([
        Flows::to(Peer::LocalDns).who(Who::After(1)).answered(220).in_flight(3).expired(40, 30),
        Flows::to(Peer::LocalDns).who(Who::First(1)).unanswered(18).in_flight(1).expired(0, 20),
        Flows::to(Peer::WorldTcp).who(Who::After(1)).answered(22),
        Flows::to(Peer::Host).who(Who::After(1)).answered(11),
        Flows::to(Peer::Host).who(Who::First(1)).unanswered(4),
    ]);
    flows
}

/// Fewer of everything, for evidence that people read: a quarter, but never so few that it proves nothing.
pub(crate) fn fewer(flows: &mut [Flows]) {
    let less = |n: &mut u64| {
        if *n > 16 {
            *n = (*n / 4).max(12);
        }
    };
    for group in flows {
        less(&mut group.answered);
        less(&mut group.unanswered);
        less(&mut group.expired_answered);
        less(&mut group.expired_unanswered);
    }
}

impl Node {
    /// A node with nothing on it but pods; its expectation is still to be said.
    pub(crate) fn bare(name: &str, number: u8) -> Self {
        const WORKLOADS: [(&str, &str); 12] = [
            ("shop", "cart"),
            ("shop", "frontend"),
            ("shop", "orders"),
            ("billing", "ledger"),
            ("billing", "invoices"),
            ("media", "thumbnailer"),
            ("media", "gallery"),
            ("search", "indexer"),
            ("search", "query"),
            ("monitoring", "exporter"),
            ("forge", "runner"),
            ("mail", "relay"),
        ];
        let mut rng = Rng::new(&format!("pods of {name}"));
        let pods = (10..)
            .zip(WORKLOADS)
            .map(|(host, (namespace, name))| AppPod {
                namespace,
                name: format!("{name}-{}-{}", rng.suffix(9), rng.suffix(5)),
                host,
                ready: true,
            })
            .collect();
        Self {
            name: name.to_owned(),
            number,
            arch: "amd64",
            kernel: "6.12.30-amd64",
            release: Release::V1_19,
            version: None,
            clock: Clock::Ktime,
            uptime: 733_019 + 1_117 * u64::from(number),
            accounting: false,
            time_diff: false,
            family: Family::V4,
            pods,
            agent: Agent {
                namespace: "kube-system",
                pod: format!("cilium-{}", rng.suffix(5)),
                state: AgentState::Running(864_000),
            },
            local_dns: LocalDns::HostNetwork { ready: true },
            flows: Vec::new(),
            ping: Ping::Ok,
            probes: vec![Probes::all(Probe::Ok)],
            services: ServiceTable::of(&[(1, 200), (2, 200)]),
            lb: None,
            status: None,
            drops: None,
            drops_rise: None,
            nat: None,
            programs: None,
            log: None,
            faults: Vec::new(),
            expect: Expect::default(),
        }
    }

    /// A node where all is well.
    pub(crate) fn healthy(name: &str, number: u8) -> Self {
        let mut node = Self::bare(name, number);
        node.flows = healthy_traffic();
        node.judged("healthy")
    }

    /// A node whose datapath went stale.
    pub(crate) fn stale(name: &str, number: u8) -> Self {
        let mut node = Self::bare(name, number);
        node.flows = stale_traffic();
        node.probes = vec![Probes::new(Probe::NoAnswer, Probe::TimedOut, Probe::NoAnswer)];
        node.judged("stale-datapath").restarted()
    }

    /// A node on which one pod is cut off.
    pub(crate) fn selective(name: &str, number: u8) -> Self {
        let mut node = Self::bare(name, number);
        node.flows = selective_traffic();
        node.probes = vec![Probes::all(Probe::Ok).of(1)];
        node.expect.affected = vec![node.pods[0].name.clone()];
        node.expect.unaffected = vec![node.pods[1].name.clone(), node.pods[5].name.clone()];
        node.judged("stale-selective").restarted()
    }

    /// This code is right, and no other.
    pub(crate) fn judged(self, code: &'static str) -> Self {
        self.judged_one_of(&[code])
    }

    /// One of these codes is right.
    pub(crate) fn judged_one_of(mut self, codes: &[&'static str]) -> Self {
        self.expect.codes = codes.to_vec();
        if !codes.iter().all(|c| super::run::kind_of(c) == "stale") {
            self.expect.command = None;
        }
        if !codes.contains(&"stale-selective") {
            self.expect.affected.clear();
            self.expect.unaffected.clear();
        }
        self
    }

    /// Any code is right, but none of these kinds.
    pub(crate) fn never(mut self, kinds: &[&'static str]) -> Self {
        self.expect = Expect { forbid: kinds.to_vec(), ..Expect::default() };
        self
    }

    /// The remedy is the restart of this node's agent.
    pub(crate) fn restarted(mut self) -> Self {
        let agent = &self.agent;
        let command = format!("kubectl --context=grigri delete pod {} -n {}", agent.pod, agent.namespace);
        self.expect.command = Some(command);
        self
    }

    /// This check must have one of these statuses.
    pub(crate) fn check(mut self, id: &'static str, statuses: &[&'static str]) -> Self {
        self.expect.checks.push((id, statuses.to_vec()));
        self
    }

    /// This figure of a check must have this value.
    pub(crate) fn figure(mut self, id: &'static str, path: &'static str, value: u64) -> Self {
        self.expect.figures.push((id, path, value));
        self
    }

    /// The entry must hold this word.
    pub(crate) fn says(mut self, word: &'static str) -> Self {
        self.expect.says.push(word);
        self
    }

    /// At most this much confidence.
    pub(crate) fn at_most(mut self, confidence: &'static str) -> Self {
        self.expect.at_most = Some(confidence);
        self
    }

    /// With anything changed.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// With this group of flows instead of those to the same peer.
    pub(crate) fn instead(mut self, flows: Flows) -> Self {
        self.flows.retain(|f| f.peer != flows.peer);
        self.flows.push(flows);
        self
    }

    /// With further flows.
    pub(crate) fn plus(mut self, flows: Flows) -> Self {
        self.flows.push(flows);
        self
    }

    /// Without flows to this peer.
    pub(crate) fn without(mut self, peer: Peer) -> Self {
        self.flows.retain(|f| f.peer != peer);
        self
    }

    /// With this having happened to a piece of evidence.
    pub(crate) fn fault(mut self, evidence: &'static str, fault: Fault) -> Self {
        self.faults.push((evidence, fault));
        self
    }

    /// With these probes.
    pub(crate) fn probed(mut self, probes: &[Probes]) -> Self {
        self.probes = probes.to_vec();
        self
    }

    /// With this ping.
    pub(crate) fn pinged(mut self, ping: Ping) -> Self {
        self.ping = ping;
        self
    }

    /// Of this release.
    pub(crate) fn release(mut self, release: Release) -> Self {
        self.release = release;
        self
    }

    /// With this clock.
    pub(crate) fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// With addresses of this family.
    pub(crate) fn family(mut self, family: Family) -> Self {
        self.family = family;
        self
    }
}
