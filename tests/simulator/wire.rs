//! Packets on their way: each hop may drop one, and each endpoint's conntrack sees it or not.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::cluster::{Actor, Cluster, MINUTE, Moment, Role, SECOND, WayOut};
use crate::fault::{Fault, Place, Proto};
use crate::rng::Rng;
use crate::table::{FROM_TUNNEL, Facts, Key, PROXY_REDIRECT, Socket, Table, Way};

/// Everything that packets change.
pub(crate) struct Net<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) faults: &'a [Fault],
    /// One table a node.
    pub(crate) tables: Vec<Table>,
    /// Masqueraded flows of pods, by node: from, to, when.
    pub(crate) nat: Vec<BTreeMap<(Proto, Socket, Socket), Moment>>,
    /// Drops: node, reason, direction; before the first reading of the counters, and between the two.
    pub(crate) drops: BTreeMap<(usize, &'static str, &'static str), (u64, u64)>,
    /// Whether DNS goes through the agent's proxy, on these nodes.
    pub(crate) proxied: Vec<usize>,
    /// What was lost in the last minute, by node: of which pod, by which place, which flow.
    pub(crate) lost: BTreeMap<usize, BTreeSet<(Option<usize>, u8, i64)>>,
    rng: Rng,
}

/// A flow between two ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    pub(crate) proto: Proto,
    pub(crate) from: Actor,
    pub(crate) source: Socket,
    pub(crate) to: Actor,
    pub(crate) target: Socket,
    /// The service that the client named, where it is translated per packet: address, reverse-NAT id, backend.
    pub(crate) service: Option<(Socket, u16, u16)>,
    /// A number for choices by flow.
    pub(crate) number: i64,
}

/// How far before the dump the counters were read first.
pub(crate) const FIRST_READING: Moment = -7 * SECOND;

impl<'a> Net<'a> {
    /// Nothing has been sent.
    pub(crate) fn new(cluster: &'a Cluster, faults: &'a [Fault]) -> Self {
        let table = |node: &crate::cluster::Node| Table::new(&cluster.setup, node.clock, node.uptime);
        Self {
            cluster,
            faults,
            tables: cluster.nodes.iter().map(table).collect(),
            nat: vec![BTreeMap::new(); cluster.nodes.len()],
            drops: BTreeMap::new(),
            proxied: Vec::new(),
            lost: BTreeMap::new(),
            rng: Rng::stream(&[cluster.setup.seed, 3]),
        }
    }

    fn exempt(&self, end: Actor) -> bool {
        matches!(end, Actor::Pod(node, pod) if self.cluster.pod((node, pod)).exempt)
    }

    /// Whether a fault at this place takes this packet.
    fn hit(&mut self, place: Place, node: usize, pod: Option<usize>, flow: &Flow, at: Moment) -> bool {
        if self.faults.is_empty() || self.exempt(flow.from) || self.exempt(flow.to) {
            return false;
        }
        for fault in self.faults {
            if fault.place != place || at < fault.since || at >= fault.until {
                continue;
            }
            let named = |pods: &Vec<usize>| pod.is_some_and(|pod| pods.contains(&pod));
            let meant = fault.node.is_none_or(|n| n == node)
                && fault.pods.as_ref().is_none_or(named)
                && fault.proto.is_none_or(|p| p == flow.proto)
                && fault.port.is_none_or(|p| p == flow.target.1)
                && fault.to.is_none_or(|ip| ip == flow.target.0)
                && (!fault.v6_only || flow.target.0.is_ipv6())
                && fault.begun_in.is_none_or(|namespace| self.namespace(flow.from) == namespace);
            if !meant {
                continue;
            }
            let lot = if fault.by_flow {
                flow.number.rem_euclid(100)
            } else if fault.share >= 100 {
                0
            } else {
                self.rng.between(0, 99)
            };
            if lot >= fault.share {
                continue;
            }
            if at > -MINUTE {
                self.lost.entry(node).or_default().insert((pod, place as u8, flow.number));
            }
            if let Some((reason, direction)) = fault.counts {
                let seen = self.drops.entry((node, reason, direction)).or_default();
                if at < FIRST_READING { seen.0 += 1 } else { seen.1 += 1 }
            }
            return true;
        }
        false
    }

    fn namespace(&self, end: Actor) -> &'static str {
        if let Actor::Pod(node, pod) = end { self.cluster.pod((node, pod)).namespace } else { "" }
    }

    /// Since when a node has been cut off from its API server, where it is.
    pub(crate) fn cut(&self, node: usize) -> Option<Moment> {
        let is = |f: &&Fault| {
            f.place == Place::Line && f.node == Some(node) && f.proto.is_none_or(|p| p == Proto::Tcp) && f.share > 50
        };
        self.faults.iter().find(is).filter(|f| f.until > 0).map(|f| f.since)
    }

    /// Sends a packet of a flow; true where it arrives.
    pub(crate) fn send(&mut self, flow: &Flow, answer: bool, flags: u8, at: Moment) -> bool {
        let (from, to) = if answer { (flow.to, flow.from) } else { (flow.from, flow.to) };
        if !self.runs(from, at) || !self.runs(to, at) {
            return false;
        }
        self.leave(flow, from, answer, flags, at)
            && self.between(flow, from, to, answer, at)
            && self.enter(flow, to, from, answer, flags, at)
    }

    /// Whether the node of this end was up then.
    fn runs(&self, end: Actor, at: Moment) -> bool {
        let Some((node, up)) = self.cluster.setup.rebooted else { return true };
        node_of(end) != Some(node) || at > 40 * SECOND - up
    }

    /// The line of the end that began, or of the end that answers, with what does not change in it.
    fn line(&self, flow: &Flow, way: Way) -> (Key, Facts) {
        let key = Key { proto: flow.proto, way, from: flow.source, to: flow.target, related: false };
        let identity = match flow.from {
            Actor::Pod(node, pod) => self.cluster.pod((node, pod)).identity,
            Actor::Host(node) => match flow.to {
                Actor::Pod(there, _) if there == node => 1,
                Actor::Pod(..) => 6,
                _ => 0,
            },
            Actor::World | Actor::Gone(_) => 2,
        };
        let mut facts = Facts { identity, ..Facts::default() };
        if let (Way::Out, Some((_, reverse_nat, _))) = (way, flow.service) {
            facts.reverse_nat = reverse_nat;
        }
        if way == Way::In && across(flow.from, flow.to) {
            facts.flags |= FROM_TUNNEL;
        }
        if let (Way::Out, Actor::Pod(node, _)) = (way, flow.from)
            && flow.target.1 == 53
            && self.proxied.contains(&node)
        {
            facts.flags |= PROXY_REDIRECT;
        }
        (key, facts)
    }

    /// Records a packet in a line and, where the line is new, in its companion for ICMP errors.
    fn record(&mut self, node: usize, flow: &Flow, way: Way, tx: bool, flags: u8, at: Moment) {
        let (key, facts) = self.line(flow, way);
        let table = &mut self.tables[node];
        if !table.has(&key) && flow.proto != Proto::Icmp {
            let related = Key { from: (key.from.0, 0), to: (key.to.0, 0), related: true, proto: Proto::Tcp, ..key };
            table.see(related, Facts { reverse_nat: 0, ..facts }, tx, flags, at);
        }
        table.see(key, facts, tx, flags, at);
    }

    fn leave(&mut self, flow: &Flow, from: Actor, answer: bool, flags: u8, at: Moment) -> bool {
        match from {
            Actor::Pod(node, pod) => {
                if self.hit(Place::NoProgram, node, Some(pod), flow, at) {
                    // The packet passes by: no line, no translation, no masquerade.
                    return flow.service.is_none();
                }
                if self.hit(Place::PodOut, node, Some(pod), flow, at) {
                    return false;
                }
                if answer {
                    self.record(node, flow, Way::In, true, flags, at);
                } else {
                    if let Some((service, reverse_nat, backend)) = flow.service {
                        let key = Key {
                            proto: flow.proto,
                            way: Way::Service,
                            from: flow.source,
                            to: service,
                            related: false,
                        };
                        let facts = Facts { reverse_nat, backend, ..Facts::default() };
                        self.tables[node].see(key, facts, true, flags, at);
                    }
                    let known = self.tables[node].has(&self.line(flow, Way::Out).0);
                    let denied = self.hit(Place::EgressPolicy, node, Some(pod), flow, at);
                    if !known && (denied || self.hit(Place::NewLine, node, Some(pod), flow, at)) {
                        return false;
                    }
                    self.record(node, flow, Way::Out, true, flags, at);
                    if denied {
                        return false;
                    }
                }
                !self.hit(Place::PodOutLate, node, Some(pod), flow, at)
            }
            Actor::Host(node) => {
                if tracked(flow) {
                    if self.hit(Place::NewLine, node, None, flow, at) {
                        return false;
                    }
                    if !answer {
                        self.record(node, flow, Way::Out, true, flags, at);
                    }
                }
                true
            }
            Actor::World => true,
            Actor::Gone(_) => false,
        }
    }

    fn between(&mut self, flow: &Flow, from: Actor, to: Actor, answer: bool, at: Moment) -> bool {
        match (from, to) {
            (Actor::Pod(a, pod), Actor::Host(b)) if a == b => !self.hit(Place::PodToHost, a, Some(pod), flow, at),
            (Actor::Host(a), Actor::Pod(b, pod)) if a == b => {
                !(self.hit(Place::HostToPod, a, Some(pod), flow, at)
                    || (answer && self.hit(Place::HostAnswers, a, Some(pod), flow, at)))
            }
            (Actor::Pod(a, _), Actor::Pod(b, _)) if a == b => true,
            (Actor::Pod(a, pod), Actor::World) => {
                !(self.hit(Place::PodWorldOut, a, Some(pod), flow, at)
                    || self.hit(Place::Line, a, None, flow, at)
                    || self.masquerade(flow, a, answer, at))
            }
            (Actor::World, Actor::Pod(a, pod)) => {
                !(self.hit(Place::Line, a, None, flow, at) || self.hit(Place::PodWorldIn, a, Some(pod), flow, at))
            }
            (Actor::Host(a), Actor::World) | (Actor::World, Actor::Host(a)) => {
                !(self.hit(Place::HostWorld, a, None, flow, at) || self.hit(Place::Line, a, None, flow, at))
            }
            (a, b) => match (node_of(a), node_of(b)) {
                (Some(a_node), Some(b_node)) if a_node != b_node => {
                    // What goes to another node's own address is not wrapped.
                    let pods = matches!(flow.to, Actor::Pod(..));
                    !(self.hit(Place::Line, a_node, None, flow, at)
                        || self.hit(Place::Line, b_node, None, flow, at)
                        || (pods && self.hit(Place::TunnelOut, a_node, None, flow, at))
                        || (pods && self.hit(Place::TunnelIn, b_node, None, flow, at)))
                }
                _ => true,
            },
        }
    }

    /// Whether the packet leaves with the pod's own address, and is lost for it.
    fn masquerade(&mut self, flow: &Flow, node: usize, answer: bool, at: Moment) -> bool {
        let pod = if let Actor::Pod(_, pod) = flow.from { Some(pod) } else { None };
        if self.hit(Place::NoProgram, node, pod, flow, at) {
            return flow.proto == Proto::Tcp;
        }
        if !answer {
            self.nat[node].entry((flow.proto, flow.source, flow.target)).or_insert(at);
        }
        false
    }

    fn enter(&mut self, flow: &Flow, to: Actor, from: Actor, answer: bool, flags: u8, at: Moment) -> bool {
        match to {
            Actor::Pod(node, pod) => {
                if self.hit(Place::PodIn, node, Some(pod), flow, at) {
                    return false;
                }
                if answer {
                    if self.tables[node].has(&self.line(flow, Way::Out).0) {
                        self.record(node, flow, Way::Out, false, flags, at);
                    } else if !matches!(from, Actor::Host(_)) {
                        // An answer to a packet that made no line begins one of its own.
                        let turned =
                            Flow { source: flow.target, target: flow.source, from, to, service: None, ..*flow };
                        self.record(node, &turned, Way::In, false, flags, at);
                    }
                } else {
                    let known = self.tables[node].has(&self.line(flow, Way::In).0);
                    let denied = self.hit(Place::IngressPolicy, node, Some(pod), flow, at);
                    if denied && !known {
                        return false;
                    }
                    self.record(node, flow, Way::In, false, flags, at);
                    if denied {
                        return false;
                    }
                }
                !self.hit(Place::PodInLate, node, Some(pod), flow, at)
            }
            Actor::Host(node) => {
                if answer && tracked(flow) {
                    self.record(node, flow, Way::Out, false, flags, at);
                }
                answer || !self.hit(Place::HostIn, node, None, flow, at)
            }
            Actor::World => self.out_there(flow, at),
            Actor::Gone(_) => false,
        }
    }

    /// Whether the site lets it out and somebody is there.
    fn out_there(&mut self, flow: &Flow, at: Moment) -> bool {
        let setup = &self.cluster.setup;
        let resolver = flow.target.0 == setup.upstream();
        let out = match setup.way_out {
            WayOut::Open => true,
            WayOut::NoIcmp => flow.proto != Proto::Icmp,
            WayOut::OnlyHttps => resolver || (flow.proto == Proto::Tcp && flow.target.1 == 443),
            WayOut::AirGap => resolver,
            WayOut::Proxy => resolver || flow.proto == Proto::Icmp || flow.target.0 == setup.proxy(),
        };
        let node = node_of(flow.from).unwrap_or(0);
        out && !self.hit(Place::FarEnd, node, None, flow, at)
    }

    /// Whether the one at the far end does what it is asked, and is not merely reached.
    pub(crate) fn serves(&mut self, flow: &Flow, at: Moment) -> bool {
        match flow.to {
            Actor::Host(node) if flow.target.1 == 53 => !self.hit(Place::LocalResolver, node, None, flow, at),
            Actor::Pod(node, pod) => match self.cluster.pod((node, pod)).role {
                Role::LocalDns => !self.hit(Place::LocalResolver, node, Some(pod), flow, at),
                Role::ClusterDns => !self.hit(Place::ClusterResolver, node, Some(pod), flow, at),
                _ => !self.hit(Place::Program, node, Some(pod), flow, at),
            },
            _ => true,
        }
    }

    /// Whether nobody listens on the local resolver's port, so that its host refuses.
    pub(crate) fn refused(&mut self, flow: &Flow, at: Moment) -> bool {
        match flow.to {
            Actor::Host(node) if flow.target.1 == 53 => self.hit(Place::LocalResolverGone, node, None, flow, at),
            _ => false,
        }
    }

    /// The host tells a UDP client that nobody listens: only the companion line sees it.
    pub(crate) fn refuse(&mut self, flow: &Flow, at: Moment) {
        if let Actor::Pod(node, _) = flow.from {
            let (key, facts) = self.line(flow, Way::Out);
            let related = Key { from: (key.from.0, 0), to: (key.to.0, 0), related: true, proto: Proto::Tcp, ..key };
            self.tables[node].see(related, facts, false, 0, at);
        }
    }

    /// The end that has this address, seen from a node.
    pub(crate) fn owner(&self, node: usize, ip: IpAddr) -> Actor {
        self.cluster.owner(node, ip)
    }
}

/// The node that an end is on.
pub(crate) fn node_of(end: Actor) -> Option<usize> {
    match end {
        Actor::Pod(node, _) | Actor::Host(node) | Actor::Gone(node) => Some(node),
        Actor::World => None,
    }
}

/// Whether both are on nodes, and not on the same.
fn across(a: Actor, b: Actor) -> bool {
    matches!((node_of(a), node_of(b)), (Some(a), Some(b)) if a != b)
}

/// Whether the host's own line is kept: what leaves the node, for masquerading.
fn tracked(flow: &Flow) -> bool {
    matches!(flow.from, Actor::Host(_)) && (flow.to == Actor::World || across(flow.from, flow.to))
}
