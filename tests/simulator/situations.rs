//! Clusters by seed: what is broken in them, and what that makes right to say.

use crate::cluster::{MINUTE, Moment, Resolver, Role, SECOND, Setup};
use crate::plan::{Edit, Plan};
use crate::rng::Rng;

/// One situation: its weight, its name, and how a plan is made of it for a node and a moment.
pub(crate) struct Situation {
    pub(crate) weight: i64,
    pub(crate) name: &'static str,
    pub(crate) make: fn(Plan, Sick) -> Plan,
}

/// Which node is sick, and since when.
#[derive(Clone, Copy)]
pub(crate) struct Sick {
    pub(crate) node: usize,
    pub(crate) since: Moment,
}

impl Sick {
    /// An application pod of the sick node that sends enough to be seen.
    pub(crate) fn busy_pod(&self, plan: &Plan) -> usize {
        let cluster = crate::cluster::Cluster::new(plan.setup.clone());
        let pods = &cluster.nodes[self.node].pods;
        pods.iter().position(|pod| pod.role == Role::Kept).expect("every node has one")
    }

    /// Half of the node's application pods.
    pub(crate) fn half(&self, plan: &Plan) -> Vec<usize> {
        let cluster = crate::cluster::Cluster::new(plan.setup.clone());
        cluster.nodes[self.node].applications().filter(|pod| pod % 2 == 1).collect()
    }
}

/// All situations.
fn all() -> impl Iterator<Item = &'static Situation> + Clone {
    crate::calm::SITUATIONS.iter().chain(crate::stale::SITUATIONS).chain(crate::other::SITUATIONS)
}

/// Pods ask the cluster DNS service itself.
pub(crate) fn direct_dns(setup: &mut Setup) {
    setup.resolver = Resolver::ClusterDns;
}

/// Pods ask a local resolver that is a pod.
pub(crate) fn local_dns(setup: &mut Setup) {
    if !matches!(setup.resolver, Resolver::LinkLocal | Resolver::Redirected) {
        setup.resolver = Resolver::LinkLocal;
    }
}

/// Evidence that may get lost on the way.
pub(crate) const EVIDENCE: [&str; 11] = [
    "host-ping",
    "pod-egress",
    "pod-egress-address",
    "pod-dns",
    "ct-list",
    "service-list",
    "lb-list",
    "agent-status",
    "drop-metrics",
    "host-firewall",
    "host-firewall-v6",
];

/// Evidence beyond the checks that is often not there: older agents, fewer rights.
const EVERYDAY_LOST: [&str; 5] = ["agent-status", "nat-list", "host-firewall", "drop-metrics", "lb-list"];

/// The names of all situations.
pub(crate) fn names() -> Vec<&'static str> {
    all().map(|s| s.name).collect()
}

/// This situation in a cluster.
pub(crate) fn named(name: &str, setup: Setup, sick: Sick) -> Plan {
    let mut every = all().chain(crate::everyday::SITUATIONS);
    let situation = every.find(|s| s.name == name).expect("a situation of this name");
    (situation.make)(Plan::calm(name, setup), sick)
}

/// This situation in the cluster of a seed.
pub(crate) fn of_seed(name: &str, seed: u64) -> Plan {
    let situation = all().find(|s| s.name == name).expect("a situation of this name");
    made(situation, Setup::any(seed))
}

fn made(situation: &Situation, setup: Setup) -> Plan {
    let seed = setup.seed;
    let mut rng = Rng::stream(&[seed, 5]);
    let node = usize::try_from(rng.between(0, i64::try_from(setup.nodes).expect("few") - 1)).expect("a node");
    let since = -rng.pick(&[150 * SECOND, 4 * MINUTE, 25 * MINUTE, 120 * MINUTE]);
    (situation.make)(Plan::calm(situation.name, setup), Sick { node, since })
}

/// One of these by its weight.
fn drawn<'a>(rng: &mut Rng, from: impl Iterator<Item = &'a Situation> + Clone) -> &'a Situation {
    let sum: i64 = from.clone().map(|s| s.weight).sum();
    let mut lot = rng.between(0, sum - 1);
    let mut from = from;
    let found = from.find(|s| {
        lot -= s.weight;
        lot < 0
    });
    found.expect("the lot is below the sum")
}

/// The plan of a seed in a cluster as they really are: of any size, and with pods that wait in vain for reasons of their own.
/// That nothing can be said of it is always acceptable: what is wrong here is to accuse, and to acquit.
pub(crate) fn everyday(seed: u64) -> Plan {
    let mut rng = Rng::stream(&[seed, 8]);
    let calm = rng.chance(60);
    let situation = if calm { drawn(&mut rng, crate::everyday::SITUATIONS.iter()) } else { drawn(&mut rng, all()) };
    let mut setup = Setup::any(seed);
    setup.nodes = usize::try_from(rng.between(2, 6)).expect("few");
    setup.probed = rng.chance(70);
    setup.quiet_hosts = rng.chance(30);
    if rng.chance(30) {
        setup.probe_pods = 0;
    }
    if rng.chance(40) {
        setup.pods = usize::try_from(rng.between(4, 6)).expect("few");
    }
    let mut plan = made(situation, setup);
    for _ in 0..rng.between(i64::from(!calm), 3) {
        let chore = crate::chores::Chore::any(&mut rng, plan.setup.nodes);
        plan.setup.chores.push(chore);
    }
    for node in plan.looked_at() {
        for evidence in EVERYDAY_LOST {
            if rng.chance(12) {
                plan = plan.edit(Edit::Lost(node, evidence));
                let mut truth = plan.right(node).clone();
                // The status tells how large the table is; without it the drops speak alone.
                if evidence == "agent-status" && plan.name == "stale-tunnel-device-bare" && truth.class() == "stale" {
                    // It tells that there should be a tunnel, too.
                    truth.codes.push("node-isolated");
                    plan = plan.truth(node, truth);
                } else if evidence == "agent-status" && truth.codes.contains(&"conntrack-full") {
                    truth.codes.push("datapath-drops");
                    plan = plan.truth(node, truth);
                }
            }
        }
    }
    if rng.chance(25) {
        let one = rng.pick(&plan.looked_at());
        plan = plan.only(&[one]);
    }
    plan.rest.unknown = true;
    plan.truths.values_mut().for_each(|truth| truth.unknown = true);
    plan
}

/// The plan of a seed.
pub(crate) fn by_seed(seed: u64) -> Plan {
    let mut rng = Rng::stream(&[seed, 6]);
    let situation = drawn(&mut rng, all());
    let mut plan = made(situation, Setup::any(seed));
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
