//! The cluster that is simulated: how it is set up, its nodes, pods and addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::chores::Chore;
use crate::release::{Clock, Release};
use crate::rng::Rng;

/// Milliseconds before (negative) or after the moment of the conntrack dump.
pub(crate) type Moment = i64;

/// One second.
pub(crate) const SECOND: Moment = 1_000;
/// One minute.
pub(crate) const MINUTE: Moment = 60 * SECOND;

/// What pods ask for names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolver {
    /// NodeLocal DNS in the host's network, at a link-local address that pods name.
    LinkLocal,
    /// NodeLocal DNS as a pod, behind a LocalRedirect of the cluster DNS address.
    Redirected,
    /// The cluster DNS service itself.
    ClusterDns,
    /// A resolver of the node's system at a link-local address, which is no pod.
    OfNode,
}

/// Where a service address becomes a backend's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Balancing {
    /// At the socket: the table shows backends only.
    Socket,
    /// Per packet: `SVC` lines, and `OUT` lines with a reverse-NAT id.
    Packet,
}

/// The addresses of pods and nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// Both; names are asked over IPv4.
    Dual,
}

/// What the site lets out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WayOut {
    /// Everything.
    Open,
    /// Everything but ICMP.
    NoIcmp,
    /// TCP to port 443 and the site's resolver.
    OnlyHttps,
    /// The site's resolver only, which knows no name of the world.
    AirGap,
    /// Echo requests, the site's resolver and its proxy.
    Proxy,
}

/// What decides which cluster DNS pods a node's service table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spread {
    /// All of them.
    Cluster,
    /// Those that topology hints give to the node's zone.
    Zones,
    /// Those of the node itself.
    Local,
}

/// How a cluster is set up.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// What all that is random comes from.
    pub(crate) seed: u64,
    /// The release of Cilium.
    pub(crate) release: Release,
    /// What pods ask for names.
    pub(crate) resolver: Resolver,
    /// Where services are translated.
    pub(crate) balancing: Balancing,
    /// The addresses.
    pub(crate) family: Family,
    /// What the site lets out.
    pub(crate) way_out: WayOut,
    /// Which cluster DNS pods a node knows.
    pub(crate) spread: Spread,
    /// How many nodes there are.
    pub(crate) nodes: usize,
    /// Application pods of each node.
    pub(crate) pods: usize,
    /// Further pods of each node that no fault reaches.
    pub(crate) extra: usize,
    /// How many cluster DNS pods there are.
    pub(crate) dns_pods: usize,
    /// The port that cluster DNS pods listen on.
    pub(crate) dns_port: u16,
    /// The label of the cluster DNS service and pods.
    pub(crate) dns_label: (&'static str, &'static str),
    /// The namespace of cluster DNS.
    pub(crate) dns_namespace: &'static str,
    /// Whether packets are counted.
    pub(crate) accounting: bool,
    /// The TCP flags that are recorded.
    pub(crate) flag_mask: u8,
    /// How long ago expired lines were last collected.
    pub(crate) collected: Moment,
    /// How long the agents have run.
    pub(crate) agent_age: Moment,
    /// Whether kubelets probe pods.
    pub(crate) probed: bool,
    /// How many pods of each node run the active probes.
    pub(crate) probe_pods: usize,
    /// The second part of pod addresses.
    pub(crate) net: u8,
    /// Which list of names the nodes are called after.
    pub(crate) names: usize,
    /// Seconds since 1970 of the dump.
    pub(crate) now: i64,
    /// Seconds that every node has been up beyond its own random time.
    pub(crate) up: i64,
    /// A share of the usual traffic, in percent.
    pub(crate) busy: i64,
    /// Whether nodes themselves have nothing to do with the world.
    pub(crate) quiet_hosts: bool,
    /// A node that was booted only so long ago.
    pub(crate) rebooted: Option<(usize, Moment)>,
    /// A node without application pods: it is being drained.
    pub(crate) drained: Option<usize>,
    /// What pods do beside their work.
    pub(crate) chores: Vec<Chore>,
}

/// A cluster as it stands.
pub(crate) struct Cluster {
    /// How it was set up.
    pub(crate) setup: Setup,
    /// Its nodes; the first is the control plane's where there are several.
    pub(crate) nodes: Vec<Node>,
    /// Whose an address is.
    owners: BTreeMap<IpAddr, Actor>,
}

/// A node.
pub(crate) struct Node {
    /// Its name.
    pub(crate) name: String,
    /// Its zone.
    pub(crate) zone: &'static str,
    /// The clock of its maps.
    pub(crate) clock: Clock,
    /// Milliseconds since boot at the moment of the dump.
    pub(crate) uptime: Moment,
    /// The CPU's architecture and the kernel.
    pub(crate) machine: (&'static str, &'static str),
    /// Its pods in pod network.
    pub(crate) pods: Vec<Pod>,
    /// The name of its agent.
    pub(crate) agent: String,
    /// The name of its NodeLocal DNS, where it has one.
    pub(crate) local_dns: String,
}

/// What a pod does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Calls others now and then, a new socket for each lookup.
    Web,
    /// Asks for names on one socket that it keeps, and holds connections.
    Kept,
    /// Calls the world.
    World,
    /// Reads the host's metrics and the kubelet's.
    Scraper,
    /// Holds connections and says next to nothing.
    Idle,
    /// Answers others.
    Database,
    /// Cluster DNS.
    ClusterDns,
    /// NodeLocal DNS behind a redirect.
    LocalDns,
    /// The agent's health endpoint: no pod of the API's, but an address on each node.
    Health,
}

/// A pod in pod network.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    /// Its namespace.
    pub(crate) namespace: &'static str,
    /// Its name.
    pub(crate) name: String,
    /// What it does.
    pub(crate) role: Role,
    /// Its first address.
    pub(crate) ip: IpAddr,
    /// Its second address, on dual-stack nodes.
    pub(crate) second: Option<IpAddr>,
    /// Its security identity.
    pub(crate) identity: u32,
    /// The port that it listens on and is probed at.
    pub(crate) port: u16,
    /// Whether no fault reaches it.
    pub(crate) exempt: bool,
}

/// Who sends or receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    /// A pod: node, place in the node's list.
    Pod(usize, usize),
    /// A node's own programs.
    Host(usize),
    /// Outside the cluster.
    World,
    /// An address that nobody has (any longer): the pod's node.
    Gone(usize),
}

const NAMES: [[&str; 6]; 3] = [
    ["ambra", "brisa", "corvo", "duna", "eiger", "fjord"],
    ["ip-10-1-0-11.site", "ip-10-1-0-12.site", "ip-10-1-0-13.site", "ip-10-1-0-14.site", "ip-10-1-0-15.site", "w6"],
    ["node01", "node02", "node03", "node04", "node05", "node06"],
];

const ROLES: [(Role, &str, &str, u16); 8] = [
    (Role::Web, "shop", "front", 8_080),
    (Role::Kept, "media", "gull", 8_200),
    (Role::World, "apps", "crawler", 3_000),
    (Role::Database, "shop", "ledger", 5_432),
    (Role::Scraper, "metrics", "gauge", 9_090),
    (Role::Web, "apps", "billing", 8_080),
    (Role::Kept, "logs", "shipper", 8_686),
    (Role::Idle, "apps", "sleeper", 8_081),
];

impl Setup {
    /// A plain cluster: three nodes, NodeLocal DNS at its link-local address, everything fine.
    pub(crate) fn plain(seed: u64) -> Self {
        Self {
            seed,
            release: Release::V1_19,
            resolver: Resolver::LinkLocal,
            balancing: Balancing::Socket,
            family: Family::V4,
            way_out: WayOut::Open,
            spread: Spread::Cluster,
            nodes: 3,
            pods: 10,
            extra: 0,
            dns_pods: 2,
            dns_port: 53,
            dns_label: ("k8s-app", "kube-dns"),
            dns_namespace: "kube-system",
            accounting: false,
            flag_mask: 0xff,
            collected: 40 * SECOND,
            agent_age: 30 * 3_600 * SECOND,
            probed: true,
            probe_pods: 1,
            net: 42,
            names: 0,
            now: 1_790_000_000,
            up: 0,
            busy: 100,
            quiet_hosts: false,
            rebooted: None,
            drained: None,
            chores: Vec::new(),
        }
    }

    /// Any cluster: what nobody would call a fault varies.
    pub(crate) fn any(seed: u64) -> Self {
        let mut rng = Rng::stream(&[seed, 1]);
        let plain = Self::plain(seed);
        let releases = [
            Release::V1_14,
            Release::V1_15,
            Release::V1_16,
            Release::V1_17,
            Release::V1_18,
            Release::V1_19,
            Release::V1_20,
            Release::Main,
        ];
        let resolvers = [Resolver::LinkLocal, Resolver::ClusterDns, Resolver::ClusterDns, Resolver::Redirected];
        let families = [Family::V4, Family::V4, Family::V4, Family::V4, Family::V6, Family::Dual];
        let labels = [("k8s-app", "kube-dns"), ("k8s-app", "kube-dns"), ("k8s-app", "coredns")];
        Self {
            release: rng.pick(&releases),
            resolver: if rng.chance(6) { Resolver::OfNode } else { rng.pick(&resolvers) },
            balancing: if rng.chance(75) { Balancing::Socket } else { Balancing::Packet },
            family: rng.pick(&families),
            nodes: usize::try_from(rng.between(2, 4)).expect("few"),
            pods: usize::try_from(rng.between(7, 14)).expect("few"),
            dns_pods: usize::try_from(rng.between(2, 3)).expect("few"),
            dns_port: if rng.chance(12) { 8_053 } else { 53 },
            dns_label: rng.pick(&labels),
            accounting: rng.chance(12),
            flag_mask: rng.pick(&[0xff, 0x07]),
            collected: rng.pick(&[12, 25, 40, 80, 110]) * SECOND,
            agent_age: rng.pick(&[15 * 60, 2 * 3_600, 40 * 3_600, 600 * 3_600]) * SECOND,
            probe_pods: usize::try_from(rng.between(1, 2)).expect("few"),
            net: rng.pick(&[42, 244, 233, 0]),
            names: usize::try_from(rng.between(0, 2)).expect("few"),
            busy: rng.pick(&[70, 100, 100, 150]),
            ..plain
        }
    }

    /// Whether the first addresses are IPv6.
    pub(crate) fn v6(&self) -> bool {
        self.family == Family::V6
    }

    /// An address of the pod network.
    pub(crate) fn pod_address(&self, v6: bool, node: usize, host: usize) -> IpAddr {
        let (node, host) = (u16::try_from(node).expect("few"), u16::try_from(host).expect("few"));
        if v6 {
            return Ipv6Addr::new(0xfd00, 0x10, u16::from(self.net), node, 0, 0, 0, host).into();
        }
        let low = |n: u16| u8::try_from(n).expect("a part of an address");
        Ipv4Addr::new(10, self.net, low(node), low(host)).into()
    }

    /// A node's address.
    pub(crate) fn node_address(&self, node: usize) -> IpAddr {
        let host = 10 + u8::try_from(node).expect("few");
        if self.v6() {
            Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, u16::from(host)).into()
        } else {
            Ipv4Addr::new(192, 168, 77, host).into()
        }
    }

    /// The router address of a node: what the host's packets to its pods come from.
    pub(crate) fn router(&self, node: usize) -> IpAddr {
        self.pod_address(self.v6(), node, 3)
    }

    /// A service's address.
    pub(crate) fn service(&self, number: u8) -> IpAddr {
        if self.v6() {
            Ipv6Addr::new(0xfd00, 0x43, 0, 0, 0, 0, 0, u16::from(number)).into()
        } else {
            Ipv4Addr::new(10, 43, 0, number).into()
        }
    }

    /// The link-local address of NodeLocal DNS, or of the node's own resolver.
    pub(crate) fn link_local(&self) -> IpAddr {
        match (self.v6(), self.resolver) {
            (true, _) => Ipv6Addr::new(0xfd00, 0x25, 0, 0, 0, 0, 0, 10).into(),
            (false, Resolver::OfNode) => Ipv4Addr::new(169, 254, 116, 108).into(),
            (false, _) => Ipv4Addr::new(169, 254, 25, 10).into(),
        }
    }

    /// The site's resolver, which knows the world's names.
    pub(crate) fn upstream(&self) -> IpAddr {
        if self.v6() {
            Ipv6Addr::new(0x2001, 0xdb8, 0x53, 0, 0, 0, 0, 1).into()
        } else {
            Ipv4Addr::new(192, 168, 77, 1).into()
        }
    }

    /// The site's proxy, outside the cluster.
    pub(crate) fn proxy(&self) -> IpAddr {
        if self.v6() {
            Ipv6Addr::new(0xfd00, 0x99, 0, 0, 0, 0, 0, 8).into()
        } else {
            Ipv4Addr::new(172, 31, 250, 8).into()
        }
    }

    /// An address of the world.
    pub(crate) fn world(v6: bool, nth: i64) -> IpAddr {
        let host = u8::try_from(nth.rem_euclid(14)).expect("small");
        if v6 {
            return Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, u16::from(host) + 1).into();
        }
        match host {
            0 => Ipv4Addr::new(1, 1, 1, 1).into(),
            1 => Ipv4Addr::new(8, 8, 8, 8).into(),
            2 => Ipv4Addr::new(185, 12, 64, 2).into(),
            3..7 => Ipv4Addr::new(198, 51, 100, host).into(),
            _ => Ipv4Addr::new(203, 0, 113, host * 3).into(),
        }
    }

    /// What the host's ping and the probe by address are aimed at.
    pub(crate) fn target(&self) -> IpAddr {
        if self.v6() {
            Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111).into()
        } else {
            Ipv4Addr::new(1, 1, 1, 1).into()
        }
    }

    /// The zone of a node.
    fn zone(node: usize) -> &'static str {
        if node.is_multiple_of(2) { "eu-1a" } else { "eu-1b" }
    }
}

impl Cluster {
    /// Sets up nodes and pods.
    pub(crate) fn new(setup: Setup) -> Self {
        let nodes: Vec<Node> = (0..setup.nodes).map(|at| Node::new(&setup, at)).collect();
        let mut owners = BTreeMap::new();
        for (at, node) in nodes.iter().enumerate() {
            owners.insert(setup.node_address(at), Actor::Host(at));
            owners.insert(setup.router(at), Actor::Host(at));
            for (nth, pod) in node.pods.iter().enumerate() {
                for ip in std::iter::once(pod.ip).chain(pod.second) {
                    owners.insert(ip, Actor::Pod(at, nth));
                }
            }
        }
        Self { setup, nodes, owners }
    }

    /// Whose this address is, seen from a node.
    pub(crate) fn owner(&self, from: usize, ip: IpAddr) -> Actor {
        if ip == self.setup.link_local() {
            return Actor::Host(from);
        }
        self.owners.get(&ip).copied().unwrap_or(Actor::World)
    }

    /// A pod.
    pub(crate) fn pod(&self, at: (usize, usize)) -> &Pod {
        &self.nodes[at.0].pods[at.1]
    }

    /// All pods of this role.
    pub(crate) fn with_role(&self, role: Role) -> Vec<(usize, usize)> {
        let of = |(at, node): (usize, &Node)| {
            let places = node.pods.iter().enumerate().filter(|(_, pod)| pod.role == role).map(|(nth, _)| (at, nth));
            places.collect::<Vec<_>>()
        };
        self.nodes.iter().enumerate().flat_map(of).collect()
    }
}

impl Node {
    fn new(setup: &Setup, at: usize) -> Self {
        let mut rng = Rng::stream(&[setup.seed, 2, u64::try_from(at).expect("few")]);
        let clocks = [Clock::Ktime, Clock::Ktime, Clock::Jiffies(250), Clock::Jiffies(1000), Clock::Jiffies(300)];
        let clock = rng.pick(&clocks);
        let up = rng.between(40 * 3_600, 90 * 86_400).max(setup.agent_age / SECOND + 3_600);
        let arm = rng.chance(30);
        let mut pods = Vec::new();
        let mut push = |rng: &mut Rng, role, namespace, stem: &str, port, exempt| {
            let host = 12 + pods.len();
            let second = (setup.family == Family::Dual).then(|| setup.pod_address(true, at, host));
            let identity = 20_000 + u32::try_from(stem.len() * 977 + usize::from(port)).expect("small");
            let name = format!("{stem}-{}", rng.suffix());
            let ip = setup.pod_address(setup.v6(), at, host);
            pods.push(Pod { namespace, name, role, ip, second, identity, port, exempt });
        };
        if (0..setup.dns_pods).any(|nth| dns_node(setup, nth) == at) {
            let times = (0..setup.dns_pods).filter(|nth| dns_node(setup, *nth) == at).count();
            for _ in 0..times {
                push(&mut rng, Role::ClusterDns, setup.dns_namespace, "coredns-7d4f6", 8_181, false);
            }
        }
        if setup.resolver == Resolver::Redirected {
            push(&mut rng, Role::LocalDns, "kube-system", "node-local-dns", 8_080, false);
        }
        let applications = if setup.drained == Some(at) { 0 } else { setup.pods + setup.extra };
        for nth in 0..applications {
            let (role, namespace, stem, port) = ROLES[nth % ROLES.len()];
            push(&mut rng, role, namespace, &format!("{stem}-{nth}"), port, nth >= setup.pods);
        }
        push(&mut rng, Role::Health, "", "health", 4_240, false);
        Self {
            name: NAMES[setup.names][at].to_owned(),
            zone: Setup::zone(at),
            clock,
            uptime: match setup.rebooted {
                Some((node, up)) if node == at => up,
                _ => (up + setup.up) * SECOND + 437,
            },
            machine: if arm { ("arm64", "6.6.63") } else { ("amd64", "6.8.0-51-generic") },
            pods,
            agent: format!("cilium-{}", rng.suffix()),
            local_dns: format!("nodelocaldns-{}", rng.suffix()),
        }
    }

    /// Its application pods: those that may be named or probed.
    pub(crate) fn applications(&self) -> impl Iterator<Item = usize> {
        let is = |pod: &Pod| !matches!(pod.role, Role::ClusterDns | Role::LocalDns | Role::Health);
        self.pods.iter().enumerate().filter(move |(_, pod)| is(pod)).map(|(nth, _)| nth)
    }
}

/// The node of the nth cluster DNS pod: the last nodes first, so that a fault on node 1 mostly meets none of its own.
fn dns_node(setup: &Setup, nth: usize) -> usize {
    match setup.spread {
        Spread::Local => nth % setup.nodes,
        _ => setup.nodes - 1 - nth % setup.nodes,
    }
}
