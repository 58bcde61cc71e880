//! What some pods do beside their work that gets no answer for a reason of its own: peers that are gone, reports that go one
//! way, ports that the site drops, names that nobody serves.

use crate::cluster::{Actor, Moment, Role, SECOND, Setup};
use crate::fault::Proto;
use crate::rng::Rng;
use crate::table::{ACK, RST, SYN, Socket};
use crate::traffic::{RECENT, Traffic, flow};
use crate::wire::Flow;

/// What is done, and on which node; none: on every one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chore {
    pub(crate) what: Errand,
    pub(crate) node: Option<usize>,
}

/// Something that pods do in vain, or much more than others do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Errand {
    /// Nearly all pods of the node call pods that are gone, of so many other nodes, or of this one.
    DeadPeers(usize),
    /// They report by UDP to pods of so many other nodes, which never answer.
    Reports(usize),
    /// One pod makes nearly all flows of the node, and is answered.
    Greedy,
    /// They ask for names whose servers do not answer: the resolver says so after six seconds.
    SlowNames,
    /// The world knocks at closed ports of pods, which refuse.
    ScanRefused,
    /// The same, and the pods drop it.
    ScanDropped,
    /// A pod of another node knocks at closed ports of pods, which drop it.
    ScanInside,
    /// They call ports that the site does not let out.
    DroppedPorts,
    /// They call one provider of two addresses that is down.
    DeadProvider,
    /// Two pods tell many far ends by UDP what nobody answers.
    Gossip,
    /// They call the site's proxy.
    Proxied,
}

impl Chore {
    /// Any of them.
    pub(crate) fn any(rng: &mut Rng, nodes: usize) -> Self {
        let far = usize::try_from(rng.between(0, 2)).expect("few");
        let all = [
            Errand::DeadPeers(far),
            Errand::DeadPeers(far),
            Errand::Reports(far.max(1)),
            Errand::Reports(2),
            Errand::Greedy,
            Errand::SlowNames,
            Errand::ScanRefused,
            Errand::ScanDropped,
            Errand::ScanInside,
            Errand::DroppedPorts,
            Errand::DeadProvider,
            Errand::Gossip,
            Errand::Proxied,
        ];
        let node = usize::try_from(rng.between(0, i64::try_from(nodes).expect("few") - 1)).expect("a node");
        Self { what: rng.pick(&all), node: rng.chance(60).then_some(node) }
    }
}

impl Traffic<'_, '_> {
    /// What pods of a node do beside their work.
    pub(crate) fn chores(&mut self, node: usize) {
        let setup = &self.cluster().setup;
        for (nth, chore) in setup.chores.iter().enumerate() {
            if chore.node.is_some_and(|at| at != node) {
                continue;
            }
            let nodes = &self.cluster().nodes;
            let mut rng = self.rng(node, 98, 200 + u64::try_from(nth).expect("few"));
            let mut pods: Vec<usize> =
                nodes[node].applications().filter(|pod| !nodes[node].pods[*pod].exempt).collect();
            if rng.chance(40) {
                pods.truncate(2);
            }
            self.chore(chore.what, node, &pods, &mut rng);
        }
    }

    fn chore(&mut self, what: Errand, node: usize, pods: &[usize], rng: &mut Rng) {
        let setup = &self.cluster().setup;
        let v6 = setup.v6();
        match what {
            Errand::DeadPeers(far) => {
                let on: Vec<usize> = if far == 0 { vec![node] } else { self.others(node, far) };
                let gone: Vec<(Actor, Socket)> =
                    on.iter().map(|at| (Actor::Gone(*at), (setup.pod_address(v6, *at, 223), 5_432))).collect();
                self.knocks(node, pods, Proto::Tcp, &gone, 4 * SECOND, rng);
            }
            Errand::Reports(far) => {
                let there = self.others(node, far).into_iter().flat_map(|at| {
                    let ready = self.cluster().nodes[at].applications().take(2).collect::<Vec<_>>();
                    ready.into_iter().map(move |pod| (at, pod))
                });
                let to: Vec<(Actor, Socket)> =
                    there.map(|(at, pod)| (Actor::Pod(at, pod), (self.cluster().pod((at, pod)).ip, 8_125))).collect();
                self.reports_of(node, pods, &to, rng);
            }
            Errand::Greedy => {
                for pod in pods.iter().take(1) {
                    self.lookups(node, *pod, 120, false);
                    self.abroad(node, *pod, 400);
                }
            }
            Errand::SlowNames => self.slow_names(node, pods, rng),
            Errand::ScanRefused | Errand::ScanDropped | Errand::ScanInside => self.scan(what, node, pods, rng),
            Errand::DroppedPorts => {
                let ends = |port: u16| (0..6).map(move |nth| (Actor::World, (Setup::world(v6, nth * 2), port)));
                let ends: Vec<_> = ends(25).chain(ends(8_333)).collect();
                self.knocks(node, pods, Proto::Tcp, &ends, 3 * SECOND, rng);
            }
            Errand::DeadProvider => {
                let ends: Vec<_> = [3, 11].map(|nth| (Actor::World, (Setup::world(v6, nth), 8_443))).into();
                self.knocks(node, pods, Proto::Tcp, &ends, 3 * SECOND, rng);
            }
            Errand::Gossip => {
                let ends: Vec<_> = (0..14).map(|nth| (Actor::World, (Setup::world(v6, nth), 6_881))).collect();
                self.knocks(node, &pods[..pods.len().min(2)], Proto::Udp, &ends, SECOND, rng);
            }
            Errand::Proxied => {
                for pod in pods {
                    let mut at = RECENT + rng.between(0, 6_000);
                    while at < 0 {
                        let own = self.cluster().pod((node, *pod)).ip;
                        let one =
                            flow(rng, Proto::Tcp, Actor::Pod(node, *pod), own, Actor::World, (setup.proxy(), 3_128));
                        self.call(&one, at, 5 * SECOND);
                        at += 7 * SECOND;
                    }
                }
            }
        }
    }

    /// So many other nodes, the next ones.
    fn others(&self, node: usize, count: usize) -> Vec<usize> {
        let nodes = self.cluster().nodes.len();
        (1..nodes).map(|step| (node + step) % nodes).take(count).collect()
    }

    /// Knocks at these ends in turn, which never answer.
    fn knocks(
        &mut self,
        node: usize,
        pods: &[usize],
        proto: Proto,
        to: &[(Actor, Socket)],
        pace: Moment,
        rng: &mut Rng,
    ) {
        for pod in pods {
            let mut at = RECENT + rng.between(0, pace);
            while at < 0 && !to.is_empty() {
                let (end, socket) = rng.pick(to);
                let own = self.cluster().pod((node, *pod)).ip;
                let one = flow(rng, proto, Actor::Pod(node, *pod), own, end, socket);
                for again in [0, 1, 3, 7] {
                    if at + again * SECOND <= 0 {
                        self.net.send(&one, false, SYN, at + again * SECOND);
                    }
                }
                at += pace * rng.between(80, 125) / 100;
            }
        }
    }

    /// Each pod on one socket that it keeps.
    fn reports_of(&mut self, node: usize, pods: &[usize], to: &[(Actor, Socket)], rng: &mut Rng) {
        for pod in pods {
            for (end, socket) in to {
                let own = self.cluster().pod((node, *pod)).ip;
                let one = flow(rng, Proto::Udp, Actor::Pod(node, *pod), own, *end, *socket);
                let pace = rng.between(900, 9_000);
                let mut at = -4_000 * SECOND;
                while at < 0 {
                    self.net.send(&one, false, 0, at);
                    at = self.after(at, pace);
                }
            }
        }
    }

    /// Two questions of a lookup, and the answer that says that there is none.
    fn slow_names(&mut self, node: usize, pods: &[usize], rng: &mut Rng) {
        for pod in pods {
            let mut at = RECENT + rng.between(0, 6_000);
            while at < 0 {
                let Some(one) = self.to_resolver(rng, node, *pod, at) else { return };
                let asked: Vec<Moment> = [0, 5 * SECOND]
                    .into_iter()
                    .filter(|turn| at + turn <= 0 && self.net.send(&one, false, 0, at + turn))
                    .collect();
                for turn in asked {
                    let back = at + turn + 6 * SECOND + rng.between(10, 90);
                    if back <= 0 && self.net.serves(&one, at + turn) {
                        self.net.send(&one, true, 0, back);
                    }
                }
                at += 11 * SECOND + rng.between(0, 3_000);
            }
        }
    }

    fn scan(&mut self, what: Errand, node: usize, pods: &[usize], rng: &mut Rng) {
        let v6 = self.cluster().setup.v6();
        let from: Vec<(Actor, std::net::IpAddr)> = match what {
            Errand::ScanInside => {
                let there = self.others(node, 2);
                let pod = |at: usize| {
                    let found = self.cluster().nodes[at].pods.iter().position(|pod| pod.role == Role::Web)?;
                    Some((Actor::Pod(at, found), self.cluster().pod((at, found)).ip))
                };
                there.into_iter().filter_map(pod).collect()
            }
            _ => (0..3).map(|nth| (Actor::World, Setup::world(v6, nth))).collect(),
        };
        for pod in pods {
            for port in 1..60 {
                let Some((who, source)) = (!from.is_empty()).then(|| rng.pick(&from)) else { return };
                let to = (self.cluster().pod((node, *pod)).ip, 7_000 + port);
                let one: Flow = flow(rng, Proto::Tcp, who, source, Actor::Pod(node, *pod), to);
                let at = -Moment::from(port) * 700;
                let came = self.net.send(&one, false, SYN, at);
                if came && matches!(what, Errand::ScanRefused) {
                    self.net.send(&one, true, RST | ACK, at + 1);
                }
            }
        }
    }
}
