//! What pods and hosts do all day: lookups, calls, kept connections, reports that nobody answers.

use crate::cluster::{Actor, Moment, Role, SECOND, Setup};
use crate::fault::Proto;
use crate::rng::Rng;
use crate::table::{ACK, PSH};
use crate::traffic::{Name, Outcome, RECENT, Traffic, flow};
use crate::wire::Flow;

impl Traffic<'_, '_> {
    /// What a pod does by its role.
    pub(crate) fn pod(&mut self, node: usize, pod: usize) {
        let one = &self.cluster().nodes[node].pods[pod];
        if one.exempt {
            // Such pods talk among themselves: what is dead for others would be dead for them.
            self.calls(node, pod, Role::Web, 8_080, 6 * SECOND);
            self.calls(node, pod, Role::Database, 5_432, 8 * SECOND);
            return;
        }
        match one.role {
            Role::Web => {
                self.lookups(node, pod, 9 * SECOND, false);
                self.calls(node, pod, Role::Database, 5_432, 14 * SECOND);
                self.calls(node, pod, Role::Web, 8_080, 22 * SECOND);
            }
            Role::Kept => {
                self.lookups(node, pod, 2_400, true);
                self.held(node, pod, Role::Database, 5_432);
                self.abroad(node, pod, 40 * SECOND);
            }
            Role::World => {
                self.lookups(node, pod, 12 * SECOND, false);
                self.abroad(node, pod, 9 * SECOND);
                self.quic(node, pod);
            }
            Role::Scraper => {
                self.lookups(node, pod, 30 * SECOND, false);
                self.scrapes(node, pod);
            }
            Role::Idle => {
                self.idle(node, pod);
                self.reports(node, pod);
            }
            Role::Database => self.lookups(node, pod, 45 * SECOND, false),
            Role::ClusterDns | Role::LocalDns | Role::Health => {}
        }
    }

    fn pace(&self, rng: &mut Rng, usual: Moment) -> Moment {
        usual * 100 / self.cluster().setup.busy * rng.between(80, 125) / 100
    }

    pub(crate) fn lookups(&mut self, node: usize, pod: usize, usual: Moment, kept: bool) {
        let mut rng = self.rng(node, pod, 2);
        let sockets = if kept { 9 } else { 1 };
        let gone = self.old_sockets.get(&node).filter(|_| kept).cloned();
        for socket in 0..sockets {
            let pace = self.pace(&mut rng, usual * sockets);
            let mut at = if kept { -5_000 * SECOND } else { RECENT } + rng.between(0, pace);
            let mut held = None;
            while at < 0 {
                let name = if rng.chance(45) { Name::World } else { Name::Cluster };
                // A connected socket stays with the backend that it found first.
                if held.is_none() || !kept {
                    held = self.to_resolver(&mut rng, node, pod, at);
                    if let (Some(gone), Some(flow), true) = (&gone, &mut held, socket % 3 != 1) {
                        (flow.target, flow.to) = (rng.pick(gone), Actor::Gone(node));
                    }
                }
                if let Some(flow) = held {
                    let outcome = self.ask(&flow, name, &mut rng, at);
                    if outcome == Outcome::Silence && socket % 3 == 1 {
                        // A third of the clients open another socket after a failure.
                        held = None;
                    }
                }
                at = self.after(at, pace);
            }
        }
    }

    fn calls(&mut self, node: usize, pod: usize, role: Role, port: u16, usual: Moment) {
        let mut rng = self.rng(node, pod, 3 + u64::from(port));
        let peers = self.peers(role, node, pod);
        let pace = self.pace(&mut rng, usual);
        let mut at = RECENT + rng.between(0, pace);
        while at < 0 && !peers.is_empty() {
            let peer = rng.pick(&peers);
            let flow = self.to_pod(&mut rng, node, pod, peer, port);
            self.call(&flow, at, 5 * SECOND);
            at = self.after(at, pace);
        }
    }

    /// Pods of this role: those that no fault reaches talk among themselves, on their node.
    fn peers(&self, role: Role, node: usize, pod: usize) -> Vec<(usize, usize)> {
        let exempt = self.cluster().pod((node, pod)).exempt;
        let meant = |at: &(usize, usize)| {
            *at != (node, pod) && self.cluster().pod(*at).exempt == exempt && (!exempt || at.0 == node)
        };
        self.cluster().with_role(role).into_iter().filter(meant).collect()
    }

    fn to_pod(&self, rng: &mut Rng, node: usize, pod: usize, peer: (usize, usize), port: u16) -> Flow {
        let (near, far) = (self.cluster().pod((node, pod)), self.cluster().pod(peer));
        let (source, target) = match (near.second, far.second) {
            (Some(near), Some(far)) if rng.chance(50) => (near, far),
            _ => (near.ip, far.ip),
        };
        flow(rng, Proto::Tcp, Actor::Pod(node, pod), source, Actor::Pod(peer.0, peer.1), (target, port))
    }

    fn held(&mut self, node: usize, pod: usize, role: Role, port: u16) {
        let mut rng = self.rng(node, pod, 5);
        let peers = self.peers(role, node, pod);
        for nth in 0..2 {
            if peers.is_empty() {
                return;
            }
            let peer = rng.pick(&peers);
            let pace = self.pace(&mut rng, (6 + 5 * nth) * SECOND);
            let began = -rng.between(300, 7_000) * SECOND;
            let mut inner = self.rng(node, pod, 50 + u64::try_from(nth).expect("small"));
            let first = self.to_pod(&mut inner, node, pod, peer, port);
            let mut make = || Flow { source: (first.source.0, inner.port()), number: inner.between(0, 9_999), ..first };
            self.hold(&mut make, began, pace);
        }
    }

    /// An end of the world, and the address that a pod reaches it from.
    fn to_world(&self, rng: &mut Rng, node: usize, pod: usize, proto: Proto, port: u16) -> Flow {
        let own = self.cluster().pod((node, pod));
        let setup = &self.cluster().setup;
        let (source, v6) = match own.second {
            Some(second) if rng.chance(35) => (second, true),
            _ => (own.ip, setup.v6()),
        };
        let target = (Setup::world(v6, rng.between(0, 13)), port);
        flow(rng, proto, Actor::Pod(node, pod), source, Actor::World, target)
    }

    pub(crate) fn abroad(&mut self, node: usize, pod: usize, usual: Moment) {
        let mut rng = self.rng(node, pod, 6);
        let pace = self.pace(&mut rng, usual);
        let mut at = RECENT + rng.between(0, pace);
        while at < 0 {
            let flow = self.to_world(&mut rng, node, pod, Proto::Tcp, 443);
            self.call(&flow, at, 10 * SECOND);
            at = self.after(at, pace);
        }
        let mut inner = self.rng(node, pod, 60);
        let first = self.to_world(&mut inner, node, pod, Proto::Tcp, 443);
        let mut make = || Flow { source: (first.source.0, inner.port()), number: inner.between(0, 9_999), ..first };
        self.hold(&mut make, -rng.between(200, 6_000) * SECOND, 15 * SECOND);
    }

    fn quic(&mut self, node: usize, pod: usize) {
        let mut rng = self.rng(node, pod, 7);
        let pace = self.pace(&mut rng, 16 * SECOND);
        let mut at = RECENT + rng.between(0, pace);
        while at < 0 {
            let flow = self.to_world(&mut rng, node, pod, Proto::Udp, 443);
            for back in [0, 1_000, 3_000] {
                if at + back > 0 {
                    break;
                }
                if self.net.send(&flow, false, 0, at + back) && self.net.send(&flow, true, 0, at + back + 12) {
                    break;
                }
            }
            at = self.after(at, pace);
        }
    }

    fn scrapes(&mut self, node: usize, pod: usize) {
        let mut rng = self.rng(node, pod, 8);
        for port in [9_100, 10_250] {
            let mut at = RECENT + rng.between(0, 14_000);
            while at < 0 {
                for there in 0..self.cluster().nodes.len() {
                    let target = (self.cluster().setup.node_address(there), port);
                    let source = self.cluster().pod((node, pod)).ip;
                    let to = Actor::Host(there);
                    let flow = flow(&mut rng, Proto::Tcp, Actor::Pod(node, pod), source, to, target);
                    self.call(&flow, at, 8 * SECOND);
                }
                at = self.after(at, 15 * SECOND);
            }
        }
        // And one that stays open, to the kubelet of its own node.
        let mut inner = self.rng(node, pod, 80);
        let (source, target) = (self.cluster().pod((node, pod)).ip, self.cluster().setup.node_address(node));
        let mut make =
            || flow(&mut inner, Proto::Tcp, Actor::Pod(node, pod), source, Actor::Host(node), (target, 10_250));
        self.hold(&mut make, -3_000 * SECOND, 20 * SECOND);
    }

    /// Reports to a collector outside and to one on the node, which nobody ever answers.
    fn reports(&mut self, node: usize, pod: usize) {
        let mut rng = self.rng(node, pod, 13);
        let setup = &self.cluster().setup;
        let own = self.cluster().pod((node, pod)).ip;
        let (far, near) = (Setup::world(setup.v6(), 9), setup.node_address(node));
        for (to, target, pace) in [(Actor::World, (far, 514), 7_000), (Actor::Host(node), (near, 8_125), 10_000)] {
            let one = flow(&mut rng, Proto::Udp, Actor::Pod(node, pod), own, to, target);
            let mut at = -4_000 * SECOND;
            while at < 0 {
                self.net.send(&one, false, 0, at);
                at = self.after(at, pace);
            }
        }
    }

    /// Connections on which nothing has been said for long.
    fn idle(&mut self, node: usize, pod: usize) {
        let mut rng = self.rng(node, pod, 9);
        for _ in 0..rng.between(1, 5) {
            let flow = self.to_world(&mut rng, node, pod, Proto::Tcp, 443);
            let at = -rng.between(20 * 60, 110 * 60) * SECOND;
            if self.handshake(&flow, at, SECOND).is_some() && self.net.send(&flow, false, ACK | PSH, at + 5) {
                self.net.send(&flow, true, ACK | PSH, at + 9);
            }
        }
    }

    /// What a node's own programs do.
    pub(crate) fn host(&mut self, node: usize) {
        let mut rng = self.rng(node, 99, 10);
        let setup = &self.cluster().setup;
        let own = setup.node_address(node);
        let here = Actor::Host(node);
        if node != 0 {
            let target = (setup.node_address(0), 6_443);
            let mut inner = self.rng(node, 99, 11);
            let mut make = || flow(&mut inner, Proto::Tcp, here, own, Actor::Host(0), target);
            self.hold(&mut make, -7_000 * SECOND, 5 * SECOND);
        }
        let mut at = RECENT + rng.between(0, 20_000);
        while at < 0 && !setup.quiet_hosts {
            let to = Setup::world(setup.v6(), rng.between(0, 13));
            let tcp = flow(&mut rng, Proto::Tcp, here, own, Actor::World, (to, 443));
            self.call(&tcp, at, 10 * SECOND);
            let time = flow(&mut rng, Proto::Udp, here, own, Actor::World, (to, 123));
            if self.net.send(&time, false, 0, at) {
                self.net.send(&time, true, 0, at + 15);
            }
            at = self.after(at, 23 * SECOND);
        }
        for there in (0..self.cluster().nodes.len()).filter(|there| *there != node) {
            let health = self.cluster().nodes[there].pods.iter().position(|pod| pod.role == Role::Health);
            let Some(health) = health else { continue };
            let target = (self.cluster().pod((there, health)).ip, 4_240);
            let mut at = RECENT + rng.between(0, 30_000);
            let mut last = Outcome::Silence;
            while at < -8 * SECOND {
                let probe = flow(&mut rng, Proto::Tcp, here, own, Actor::Pod(there, health), target);
                last = self.call(&probe, at, 5 * SECOND);
                at = self.after(at, 30 * SECOND);
            }
            self.reached[node] += usize::from(last != Outcome::Silence);
        }
    }
}
