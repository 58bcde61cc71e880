//! Between the consent and the DELETE: the cheap rules of the preflight once more. Since they were checked, a diagnosis
//! and up to five minutes of waiting for an answer may have passed.

use std::net::IpAddr;

use super::FixContext;
use super::plan::Plan;
use super::preflight::{RuleReport, agents_ready, node_alive, pass, same_version, stop, unknown, unknown_stops};
use crate::diagnose::glance;
use crate::knowledge::check_id::CheckId;
use crate::kubernetes::inventory::Inventory;
use crate::ways::group::Group;
use crate::ways::picture::Picture;

/// Checks again that the node is ready, that no rollout has begun, that the other agents are ready, that the pod is still
/// the same, and that it still looks stale in one dump.
pub(super) async fn check_again(cx: &FixContext<'_>, plan: &Plan, inventory: &Inventory) -> Vec<RuleReport> {
    let namespace = &plan.target.namespace;
    let owner = plan.pod.metadata.owner_references.iter().find(|owner| owner.controller);
    let name = owner.map(|owner| owner.name.as_str()).unwrap_or_default();
    let (node, set, agents, stale) = tokio::join!(
        cx.writer.node(&plan.node),
        cx.writer.daemon_set(namespace, name),
        cx.writer.all_agents(namespace),
        still_stale(cx, plan, inventory),
    );
    let mut items =
        vec![node_alive(plan, &node), same_version(cx, plan, set.as_ref().ok().and_then(Option::as_ref)).await];
    match agents {
        Ok(agents) => {
            let others = agents.iter().filter(|pod| {
                pod.spec.node_name != plan.node
                    && pod.controller().is_some_and(|other| owner.is_some_and(|owner| owner.uid == other.uid))
            });
            items
                .push(agents_ready(others.map(|pod| {
                    (pod.spec.node_name.as_str(), pod.ready() && pod.metadata.deletion_timestamp.is_none())
                })));
            let target = agents.iter().find(|pod| pod.metadata.uid == plan.target.uid);
            items.push(match target {
                Some(pod) if pod.metadata.deletion_timestamp.is_some() => {
                    stop("pod", format!("{} is already being deleted", plan.target.pod))
                }
                Some(_) => pass("pod", format!("{} still has the UID {}", plan.target.pod, plan.target.uid)),
                None => {
                    stop("pod", format!("{} was replaced: no pod has the UID {}", plan.target.pod, plan.target.uid))
                }
            });
        }
        Err(failure) => {
            items.push(unknown_stops("pod", format!("the agents' pods cannot be listed again: {failure}")));
        }
    }
    items.push(stale);
    items
}

/// Whether the ways that convicted the node are still without answers, by one dump.
async fn still_stale(cx: &FixContext<'_>, plan: &Plan, inventory: &Inventory) -> RuleReport {
    const RULE: &str = "still-stale";
    let groups = convicting_groups(plan);
    if groups.is_empty() {
        return unknown(RULE, "not checked: one dump cannot repeat this verdict");
    }
    let mut inventory = inventory.clone();
    // New pods must be known by their addresses; if they cannot be listed, the old list is used.
    let _ = cx.live.pods_on(&plan.node, &mut inventory).await;
    match glance(cx.live, &inventory, &plan.node, &cx.settings.look).await {
        Err(why) => unknown(RULE, format!("not checked: no second dump: {why}")),
        Ok(picture) => recovery(RULE, &picture, &groups),
    }
}

/// The groups of flows that the failed checks counted.
fn convicting_groups(plan: &Plan) -> Vec<Group> {
    let failed = |id: CheckId| {
        let check = plan.before.checks.iter().find(|check| check.id == id);
        !plan.forced && check.is_some_and(|check| check.status == crate::checks::Status::Fail)
    };
    let dns = Group::DNS.iter().filter(|_| failed(CheckId::DnsConntrack));
    dns.chain(Group::WORLD.iter().filter(|_| failed(CheckId::ExternalConntrack))).copied().collect()
}

/// A node has recovered where every pod gets answers in each of these groups in which it talks. Dead flows stay listed
/// for a minute, so pods with both count as recovered; without any live flow nothing is known.
fn recovery(rule: &'static str, picture: &Picture, groups: &[Group]) -> RuleReport {
    let talking: Vec<(Option<IpAddr>, u32, u32)> = picture
        .endpoints
        .iter()
        .flat_map(|endpoint| groups.iter().map(move |group| (endpoint.address, endpoint.group(*group))))
        .filter(|(_, counts)| counts.decided() > 0)
        .map(|(address, counts)| (address, counts.answered, counts.dead()))
        .collect();
    let answered: u32 = talking.iter().map(|(_, answered, _)| answered).sum();
    let dead: u32 = talking.iter().map(|(_, _, dead)| dead).sum();
    let silent = talking.iter().filter(|(_, answered, _)| *answered == 0).count();
    if talking.is_empty() {
        return unknown(rule, "no live flows to judge by");
    }
    if silent == 0 {
        return stop(
            rule,
            format!(
                "the node has recovered: every pod that talks gets answers ({answered} flows answered, {dead} not)"
            ),
        );
    }
    pass(rule, format!("{answered} flows answered, {dead} not, on the ways that failed"))
}
