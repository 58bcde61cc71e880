//! Who talks to whom: lookups, short and kept connections, kubelet's probes, what the host does itself.

use std::collections::BTreeMap;

use crate::cluster::{Actor, Balancing, Cluster, Moment, Resolver, Role, SECOND, Spread, WayOut};
use crate::fault::Proto;
use crate::rng::Rng;
use crate::table::{ACK, FIN, PSH, SYN, Socket};
use crate::wire::{Flow, Net};

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// The cluster.
    Cluster,
    /// The world.
    World,
}

/// What came of a question or a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It worked, after so many milliseconds.
    Fine(Moment),
    /// The far end said that it cannot: SERVFAIL or NXDOMAIN, a reset.
    Refused,
    /// Nothing came.
    Silence,
}

/// The cluster DNS pods as nodes' service tables hold them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backends {
    /// Nodes whose table kept what was right before this moment: node, addresses that are gone.
    pub(crate) stale: BTreeMap<usize, Vec<Socket>>,
    /// Cluster DNS pods that are not ready, since when.
    pub(crate) unready: BTreeMap<(usize, usize), Moment>,
}

/// All traffic of a cluster.
pub(crate) struct Traffic<'a, 'n> {
    pub(crate) net: &'n mut Net<'a>,
    pub(crate) backends: Backends,
    /// Pods that are not ready, since when, and for how long their probes failed.
    pub(crate) failing: BTreeMap<(usize, usize), Moment>,
    /// Nodes that each host's health probe reached last, itself counted.
    pub(crate) reached: Vec<usize>,
    /// Nodes of which some pods keep sockets to cluster DNS pods that are gone: addresses.
    pub(crate) old_sockets: BTreeMap<usize, Vec<Socket>>,
    /// The moments around which packets matter.
    windows: Vec<(Moment, Moment)>,
}

/// The time before the dump that is simulated packet by packet.
pub(crate) const RECENT: Moment = -125 * SECOND;

impl<'a, 'n> Traffic<'a, 'n> {
    /// Nothing has been sent.
    pub(crate) fn new(net: &'n mut Net<'a>) -> Self {
        let moments = net.faults.iter().flat_map(|f| [f.since, f.until]).filter(|m| (-90 * 86_400_000..0).contains(m));
        let mut windows: Vec<_> = moments.map(|m| (m - 70 * SECOND, m + 70 * SECOND)).collect();
        windows.push((RECENT, 0));
        windows.sort_unstable();
        let reached = vec![1; net.cluster.nodes.len()];
        Self {
            net,
            backends: Backends::default(),
            failing: BTreeMap::new(),
            reached,
            old_sockets: BTreeMap::new(),
            windows,
        }
    }

    /// The cluster that it is all of.
    pub(crate) fn cluster(&self) -> &'a Cluster {
        self.net.cluster
    }

    /// The next of regular moments: what nobody will see is jumped over.
    pub(crate) fn after(&self, at: Moment, step: Moment) -> Moment {
        let next = at + step;
        if self.windows.iter().any(|(from, to)| (*from..=*to).contains(&next)) {
            return next;
        }
        let Some((from, _)) = self.windows.iter().find(|(from, _)| *from > next) else { return next };
        next + (from - next) / step * step
    }

    /// Everything that happens until the dump.
    pub(crate) fn run(&mut self) {
        if self.cluster().setup.probed {
            self.kubelets();
        }
        for node in 0..self.cluster().nodes.len() {
            for pod in 0..self.cluster().nodes[node].pods.len() {
                self.pod(node, pod);
            }
            self.host(node);
            self.chores(node);
        }
    }

    /// A stream of its own for what a pod does.
    pub(crate) fn rng(&self, node: usize, pod: usize, what: u64) -> Rng {
        let small = |n: usize| u64::try_from(n).expect("few");
        Rng::stream(&[self.cluster().setup.seed, 4, small(node), small(pod), what])
    }

    /// Kubelet asks each pod every ten seconds; three failures and it is not ready.
    fn kubelets(&mut self) {
        for node in 0..self.cluster().nodes.len() {
            for pod in 0..self.cluster().nodes[node].pods.len() {
                let one = &self.cluster().nodes[node].pods[pod];
                if one.role == Role::Health {
                    continue;
                }
                let mut rng = self.rng(node, pod, 1);
                let target = (one.ip, one.port);
                let router = self.cluster().setup.router(node);
                let mut at = -7_200 * SECOND + rng.between(0, 9_999);
                let mut failures: Vec<Moment> = Vec::new();
                while at < 0 {
                    let (from, to) = (Actor::Host(node), Actor::Pod(node, pod));
                    let flow = flow(&mut rng, Proto::Tcp, from, router, to, target);
                    match self.call(&flow, at, SECOND) {
                        Outcome::Silence => failures.push(at),
                        _ => failures.clear(),
                    }
                    at = self.after(at, 10 * SECOND);
                }
                if let (Some(first), true) = (failures.first(), failures.len() >= 3) {
                    self.failing.insert((node, pod), *first);
                    if one.role == Role::ClusterDns {
                        self.backends.unready.insert((node, pod), first + 21 * SECOND);
                    }
                }
            }
        }
    }

    /// The cluster DNS pods that a node's table holds at a moment: where they listen.
    pub(crate) fn known(&self, node: usize, at: Moment) -> Vec<Socket> {
        let setup = &self.cluster().setup;
        if let Some(stale) = self.backends.stale.get(&node) {
            return stale.clone();
        }
        let all = self.cluster().with_role(Role::ClusterDns);
        let missed = |on: usize| on != node && self.net.cut(on).is_some_and(|since| at > since + 50 * SECOND);
        let ready = all.iter().filter(|pod| self.backends.unready.get(pod).is_none_or(|since| at < *since));
        let ready = ready.filter(|(on, _)| !missed(*on));
        let ready: Vec<_> = ready.copied().collect();
        let near: Vec<_> = ready.iter().copied().filter(|(on, _)| self.near(*on, node)).collect();
        let chosen = if setup.spread == Spread::Zones && near.is_empty() { ready } else { near };
        chosen.into_iter().map(|at| (self.cluster().pod(at).ip, setup.dns_port)).collect()
    }

    fn near(&self, on: usize, node: usize) -> bool {
        match self.cluster().setup.spread {
            Spread::Cluster => true,
            Spread::Zones => self.cluster().nodes[on].zone == self.cluster().nodes[node].zone,
            Spread::Local => on == node,
        }
    }

    /// A flow to the service of cluster DNS, as this end sends it.
    fn to_cluster_dns(&self, rng: &mut Rng, node: usize, from: Actor, at: Moment) -> Option<Flow> {
        let setup = &self.cluster().setup;
        let known = self.known(node, at);
        if known.is_empty() {
            return None;
        }
        let target = rng.pick(&known);
        let to = match self.net.owner(node, target.0) {
            Actor::World => Actor::Gone(node),
            found => found,
        };
        let mut flow = flow(rng, Proto::Udp, from, self.address(from), to, target);
        if setup.balancing == Balancing::Packet && matches!(from, Actor::Pod(..)) {
            flow.service = Some(((setup.service(10), 53), 7, 21));
        }
        Some(flow)
    }

    fn address(&self, end: Actor) -> std::net::IpAddr {
        match end {
            Actor::Pod(node, pod) => self.cluster().pod((node, pod)).ip,
            Actor::Host(node) | Actor::Gone(node) => self.cluster().setup.node_address(node),
            Actor::World => self.cluster().setup.target(),
        }
    }

    /// The flow of a pod's lookup.
    pub(crate) fn to_resolver(&self, rng: &mut Rng, node: usize, pod: usize, at: Moment) -> Option<Flow> {
        let setup = &self.cluster().setup;
        let from = Actor::Pod(node, pod);
        match setup.resolver {
            Resolver::ClusterDns => self.to_cluster_dns(rng, node, from, at),
            Resolver::LinkLocal | Resolver::OfNode => {
                let to = Actor::Host(node);
                Some(flow(rng, Proto::Udp, from, self.address(from), to, (setup.link_local(), 53)))
            }
            Resolver::Redirected => {
                let pods = &self.cluster().nodes[node].pods;
                let nth = pods.iter().position(|pod| pod.role == Role::LocalDns)?;
                let mut flow =
                    flow(rng, Proto::Udp, from, self.address(from), Actor::Pod(node, nth), (pods[nth].ip, 53));
                if setup.balancing == Balancing::Packet {
                    flow.service = Some(((setup.service(10), 53), 9, 33));
                }
                Some(flow)
            }
        }
    }

    /// A question on this socket: two tries of five seconds.
    pub(crate) fn ask(&mut self, flow: &Flow, name: Name, rng: &mut Rng, at: Moment) -> Outcome {
        for turn in [0, 5 * SECOND] {
            let at = at + turn;
            if at > 0 {
                break;
            }
            if !self.net.send(flow, false, 0, at) {
                continue;
            }
            if self.net.refused(flow, at) {
                self.net.refuse(flow, at);
                return Outcome::Silence;
            }
            if !self.net.serves(flow, at) {
                continue;
            }
            let (delay, found) = self.resolve(flow.to, name, rng, at);
            let back = at + delay;
            let came = back <= 0 && self.net.send(flow, true, 0, back);
            if came && delay < 5 * SECOND {
                return if found { Outcome::Fine(turn + delay) } else { Outcome::Refused };
            }
        }
        Outcome::Silence
    }

    /// What a resolver needs to answer: how long, and whether it found the name.
    fn resolve(&mut self, resolver: Actor, name: Name, rng: &mut Rng, at: Moment) -> (Moment, bool) {
        let local = match resolver {
            Actor::Host(_) => true,
            Actor::Pod(node, pod) => self.cluster().pod((node, pod)).role == Role::LocalDns,
            _ => false,
        };
        let node = crate::wire::node_of(resolver).unwrap_or(0);
        let way_out = self.cluster().setup.way_out;
        let known = matches!(way_out, WayOut::AirGap | WayOut::Proxy) && name == Name::World;
        if !local && name == Name::Cluster || local && rng.chance(50) {
            return (rng.between(1, 4), !known);
        }
        // A forward waits two seconds for an answer, three times.
        for turn in 0..3 {
            let at = at + turn * 2 * SECOND;
            let forward = if name == Name::Cluster && local {
                self.to_cluster_dns(rng, node, resolver, at)
            } else {
                let to = (self.cluster().setup.upstream(), 53);
                Some(flow(rng, Proto::Udp, resolver, self.address(resolver), Actor::World, to))
            };
            let Some(forward) = forward else { return (2, false) };
            let went = at <= 0 && self.net.send(&forward, false, 0, at) && self.net.serves(&forward, at);
            if went && self.net.send(&forward, true, 0, at + 8) {
                return (turn * 2 * SECOND + rng.between(6, 40), !known);
            }
        }
        (6 * SECOND + rng.between(10, 90), false)
    }

    /// A short connection: what came of it, with so much patience for each step.
    pub(crate) fn call(&mut self, flow: &Flow, at: Moment, patience: Moment) -> Outcome {
        let Some(open) = self.handshake(flow, at, patience) else { return Outcome::Silence };
        let mut now = open;
        if now > 0 {
            return Outcome::Fine(now - at);
        }
        let asked = self.net.send(flow, false, ACK | PSH, now);
        let hung = !self.net.serves(flow, now);
        let told = asked && !hung && self.net.send(flow, true, ACK | PSH, now + 4);
        if hung {
            // The far end's system acknowledges, and its program says nothing.
            if asked {
                self.net.send(flow, true, ACK, now + 4);
            }
            self.net.send(flow, false, FIN | ACK, (now + patience).min(0));
            return Outcome::Silence;
        }
        if !told {
            for back in [200, 600, 1_400, 3_000] {
                if back < patience && now + back <= 0 {
                    let asked = self.net.send(flow, false, ACK | PSH, now + back);
                    if asked && self.net.send(flow, true, ACK | PSH, now + back + 4) {
                        now += back;
                        return self.close(flow, at, now);
                    }
                }
            }
            self.net.send(flow, false, FIN | ACK, (now + patience).min(0));
            return Outcome::Silence;
        }
        self.close(flow, at, now)
    }

    fn close(&mut self, flow: &Flow, began: Moment, now: Moment) -> Outcome {
        if now + 9 <= 0 {
            self.net.send(flow, false, FIN | ACK, now + 8);
            self.net.send(flow, true, FIN | ACK, now + 9);
        }
        Outcome::Fine(now + 9 - began)
    }

    /// When the connection stood, with SYNs again after 1, 3 and 7 seconds.
    pub(crate) fn handshake(&mut self, flow: &Flow, at: Moment, patience: Moment) -> Option<Moment> {
        for again in [0, 1, 3, 7] {
            let at = at + again * SECOND;
            if again * SECOND >= patience || at > 0 {
                break;
            }
            let went = self.net.send(flow, false, SYN, at);
            if went && self.net.send(flow, true, SYN | ACK, at + 1) {
                let _ = self.net.send(flow, false, ACK, at + 2);
                return Some(at + 3);
            }
        }
        None
    }

    /// A connection that is held and used at this pace, and opened again when it fails.
    pub(crate) fn hold(&mut self, make: &mut dyn FnMut() -> Flow, began: Moment, pace: Moment) {
        let mut at = began;
        while at < 0 {
            let flow = make();
            let Some(open) = self.handshake(&flow, at, 10 * SECOND) else {
                at = self.after(at, 25 * SECOND);
                continue;
            };
            let mut now = open;
            while now < 0 {
                let asked = self.net.send(&flow, false, ACK | PSH, now);
                let told = asked && self.net.send(&flow, true, ACK | PSH, now + 3);
                if !told && !self.again(&flow, now) {
                    now += 30 * SECOND;
                    break;
                }
                if told {
                    self.net.send(&flow, false, ACK, now + 4);
                }
                now = self.after(now, pace);
            }
            at = now + SECOND;
        }
    }

    /// Sends again with growing pauses for half a minute, then closes.
    fn again(&mut self, flow: &Flow, at: Moment) -> bool {
        for back in [200, 600, 1_400, 3_000, 6_200, 12_600, 25_400] {
            let now = at + back;
            if now > 0 {
                return true;
            }
            if self.net.send(flow, false, ACK | PSH, now) && self.net.send(flow, true, ACK | PSH, now + 3) {
                return true;
            }
        }
        if at + 30 * SECOND <= 0 {
            self.net.send(flow, false, FIN | ACK, at + 30 * SECOND);
        }
        false
    }

    /// Two echo requests of the host.
    pub(crate) fn ping(&mut self, node: usize, at: Moment) -> u32 {
        let mut rng = self.rng(node, 99, 12);
        let setup = &self.cluster().setup;
        let own = setup.node_address(node);
        let identifier = rng.port();
        let mut echo = flow(&mut rng, Proto::Icmp, Actor::Host(node), own, Actor::World, (setup.target(), 0));
        echo.source.1 = identifier;
        let one = |net: &mut Net, at| u32::from(net.send(&echo, false, 0, at) && net.send(&echo, true, 0, at + 11));
        one(self.net, at) + one(self.net, at + SECOND)
    }
}

/// A flow with a port and a number of its own.
pub(crate) fn flow(
    rng: &mut Rng,
    proto: Proto,
    from: Actor,
    source: std::net::IpAddr,
    to: Actor,
    target: Socket,
) -> Flow {
    Flow { proto, from, source: (source, rng.port()), to, target, service: None, number: rng.between(0, 9_999) }
}
