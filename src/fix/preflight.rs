//! Step 2: everything that can be known before anything is touched, each rule with its result and its reason.
//!
//! A rule that could not be looked at is `unknown`, never a pass. Where harm is possible it stops the repair; else it
//! raises the risk.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::FixContext;
use super::lock::{self, LockState};
use super::objects::{AgentContainer, DaemonSet, NodeWithImages};
use super::plan::Plan;
use super::requests::DeleteAnswer;
use super::trace::CONTROLLER;
use crate::base::failure::Failure;
use crate::base::program;
use crate::base::time::{moment, seconds_between};
use crate::checks::Status;
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::Kind;
use crate::knowledge::risk::{RiskId, RiskLevel, RiskLine, RiskResult, assess};
use crate::kubernetes::cluster_map::ClusterMap;
use crate::kubernetes::inventory::Inventory;
use crate::kubernetes::objects::{ControllerRevision, Event, Pod, REVISION_LABEL};
use crate::report::Report;
use crate::report::text::count;
use crate::rights::{DIAGNOSE, FIX, Grant, Scope};
use crate::symptoms::probes::moments;

/// The least time between two restarts of one agent, in seconds.
const COOLDOWN_S: i64 = 600;
/// More than this share of the other judged nodes broken is a storm, in percent.
const STORM_PERCENT: usize = 10;
/// How long the DaemonSet's controller may lag behind.
const LAG: Duration = Duration::from_secs(10);
/// The kubelet names no more images than this by default.
const MOST_IMAGES: usize = 50;

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleResult {
    /// Nothing is against it.
    Pass,
    /// It must not be done now.
    Stop,
    /// It can be done, at a risk.
    Risk,
    /// It could not be looked at.
    Unknown,
}

/// One rule.
#[derive(Clone, Debug, Serialize)]
pub struct RuleReport {
    /// Its name.
    pub rule: &'static str,
    /// What it says.
    pub result: RuleResult,
    /// How much of a risk it is.
    pub risk: RiskLevel,
    /// Why.
    pub says: String,
    /// Whether the repair stops here.
    pub stops: bool,
}

pub(super) fn pass(rule: &'static str, says: impl Into<String>) -> RuleReport {
    RuleReport { rule, result: RuleResult::Pass, risk: RiskLevel::Low, says: says.into(), stops: false }
}

pub(super) fn stop(rule: &'static str, says: impl Into<String>) -> RuleReport {
    RuleReport { rule, result: RuleResult::Stop, risk: RiskLevel::High, says: says.into(), stops: true }
}

pub(super) fn risk(rule: &'static str, risk: RiskLevel, says: impl Into<String>) -> RuleReport {
    RuleReport { rule, result: RuleResult::Risk, risk, says: says.into(), stops: false }
}

/// Could not look, and harm is possible.
pub(super) fn unknown_stops(rule: &'static str, says: impl Into<String>) -> RuleReport {
    RuleReport { rule, result: RuleResult::Unknown, risk: RiskLevel::High, says: says.into(), stops: true }
}

/// Could not look, and it only makes the risk greater.
pub(super) fn unknown(rule: &'static str, says: impl Into<String>) -> RuleReport {
    RuleReport { rule, result: RuleResult::Unknown, risk: RiskLevel::Medium, says: says.into(), stops: false }
}

/// The highest risk of all rules.
pub(super) fn level(items: &[RuleReport]) -> RiskLevel {
    items.iter().filter(|item| !item.stops).map(|item| item.risk).max().unwrap_or(RiskLevel::Low)
}

/// Runs all rules.
pub(super) async fn run(cx: &FixContext<'_>, plan: &Plan, inventory: &Inventory, report: &Report) -> Vec<RuleReport> {
    let namespace = &plan.target.namespace;
    let owner = plan.pod.metadata.owner_references.iter().find(|owner| owner.controller && owner.kind == "DaemonSet");
    let set = match owner {
        Some(owner) => cx.writer.daemon_set(namespace, &owner.name).await,
        None => Ok(None),
    };
    let node = cx.writer.node(&plan.node).await;
    let same_version = same_version(cx, plan, set.as_ref().ok().and_then(Option::as_ref)).await;
    let images = images(plan, set.as_ref().ok().and_then(Option::as_ref), &node);
    let mut items = vec![
        rights(cx, namespace).await,
        node_alive(plan, &node),
        match (owner, &set) {
            (None, _) => {
                stop("owner", format!("{} belongs to no DaemonSet: it would not be replaced", plan.target.pod))
            }
            (Some(owner), Ok(Some(set))) if set.metadata.uid == owner.uid => {
                pass("owner", format!("{} belongs to the DaemonSet {}", plan.target.pod, owner.name))
            }
            (Some(owner), Ok(_)) => {
                stop("owner", format!("its DaemonSet {} is gone: the pod would not be replaced", owner.name))
            }
            (Some(_), Err(failure)) => unknown_stops("owner", format!("cannot read its DaemonSet: {failure}")),
        },
        same_version,
        other_agents(plan, inventory),
        locked(cx, namespace).await,
        storm(cx, plan, report),
        images,
    ];
    items.extend(node_facts(plan));
    items.push(dry_run(cx, plan).await);
    items.push(hosts_dns(cx, plan, inventory));
    items.push(only_replica(plan, inventory));
    items.push(cooldown(cx, plan).await);
    if plan.forced {
        let says = format!("{} is not a stale verdict; --force overrides it", plan.code.name());
        items.push(risk("verdict", RiskLevel::Medium, says));
    }
    items
}

async fn rights(cx: &FixContext<'_>, namespace: &str) -> RuleReport {
    let asked = DIAGNOSE.iter().chain(FIX).flat_map(|grant| grant.verbs.iter().map(move |verb| (grant, *verb)));
    let asked: Vec<_> = asked.collect();
    let answers = asked.iter().map(async |(grant, verb)| {
        let everywhere = cx.writer.may(grant, verb, namespace).await?;
        // What the diagnosis did in containers may be allowed in some namespaces only; the agent's must be one of them.
        if everywhere || !grant.resource.contains('/') {
            return Ok(everywhere);
        }
        cx.writer.may(&Grant { scope: Scope::CiliumNamespace, ..**grant }, verb, namespace).await
    });
    let answers = futures::future::join_all(answers).await;
    let mut missing = Vec::new();
    let mut unasked = None;
    for ((grant, verb), answer) in asked.iter().zip(answers) {
        match answer {
            Ok(true) => {}
            Ok(false) => missing.push(format!("{verb} {}", grant.resource)),
            Err::<_, Failure>(failure) => unasked = Some(failure.message),
        }
    }
    match (missing.is_empty(), unasked) {
        (false, _) => stop(
            "rights",
            format!("missing permissions: {}; `{} rbac fix` prints what to grant", missing.join(", "), program::name()),
        ),
        // A missing permission is refused later: not knowing it beforehand does no harm.
        (true, Some(why)) => unknown("rights", format!("cannot check permissions: {why}")),
        (true, None) => pass("rights", format!("all {} permissions", asked.len())),
    }
}

pub(super) fn node_alive(plan: &Plan, node: &Result<Option<NodeWithImages>, Failure>) -> RuleReport {
    match node {
        Ok(None) => stop("node", format!("no node named {}", plan.node)),
        Err(failure) => unknown_stops("node", format!("cannot read the node: {failure}")),
        Ok(Some(node)) => {
            let ready = node.status.conditions.iter().find(|condition| condition.r#type == "Ready");
            match ready.map(|condition| condition.status.as_str()) {
                Some("True") => pass("node", "the kubelet is ready"),
                Some(status) => stop(
                    "node",
                    format!("Ready is {status}: without the kubelet the pod would neither end nor be replaced"),
                ),
                None => unknown_stops("node", "the node has no Ready condition"),
            }
        }
    }
}

pub(super) async fn same_version(cx: &FixContext<'_>, plan: &Plan, set: Option<&DaemonSet>) -> RuleReport {
    const RULE: &str = "version";
    let namespace = &plan.target.namespace;
    let Some(first) = set else {
        return unknown_stops(RULE, "unknown which version would come back: no DaemonSet");
    };
    let mut set = first.clone();
    let patience = tokio::time::Instant::now() + LAG;
    while set.status.observed_generation != set.metadata.generation {
        if tokio::time::Instant::now() >= patience {
            return stop(RULE, "the DaemonSet has just changed; its controller has not caught up");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        match cx.writer.daemon_set(namespace, &set.metadata.name).await {
            Ok(Some(newer)) => set = newer,
            Ok(None) | Err(_) => return unknown_stops(RULE, "cannot read the DaemonSet again"),
        }
    }
    let revisions = match cx.writer.revisions(namespace).await {
        Ok(revisions) => revisions,
        Err(failure) => return unknown_stops(RULE, format!("cannot read the newest revision: {failure}")),
    };
    let of_set = |revision: &&ControllerRevision| {
        revision.metadata.owner_references.iter().any(|owner| owner.uid == set.metadata.uid)
    };
    let newest = revisions.iter().filter(of_set).max_by_key(|revision| revision.revision);
    let (Some(newest), Some(own)) =
        (newest.and_then(|r| r.metadata.labels.get(REVISION_LABEL)), plan.pod.metadata.labels.get(REVISION_LABEL))
    else {
        return unknown_stops(RULE, "the revision of the pod or of its DaemonSet is unknown");
    };
    let (desired, updated) = (set.status.desired_number_scheduled, set.status.updated_number_scheduled);
    let on_delete = set.spec.update_strategy.r#type == "OnDelete";
    if own != newest && on_delete {
        return risk(
            RULE,
            RiskLevel::High,
            format!("the new pod would change the version: {own} runs, {newest} is next (OnDelete)"),
        );
    }
    if own != newest || updated < desired && !on_delete {
        return stop(RULE, format!("a rollout is in progress: {updated} of {desired} agents run the newest revision"));
    }
    pass(RULE, format!("the new pod will have the same revision, {own}"))
}

fn other_agents(plan: &Plan, inventory: &Inventory) -> RuleReport {
    let owner = plan.pod.metadata.owner_references.iter().find(|owner| owner.controller).map(|owner| &owner.uid);
    let siblings = inventory.pods.known().iter().filter(|pod| {
        pod.spec.node_name != plan.node
            && pod.metadata.owner_references.iter().any(|other| other.controller && Some(&other.uid) == owner)
    });
    agents_ready(siblings.map(|pod| {
        let ready = pod.ready() == Some(true) && pod.metadata.deletion_timestamp.is_none();
        (pod.spec.node_name.as_str(), ready)
    }))
}

/// Whether the agents of other nodes are ready: the node of each, and whether its agent is.
pub(super) fn agents_ready<'a>(others: impl Iterator<Item = (&'a str, bool)>) -> RuleReport {
    let all: Vec<(&str, bool)> = others.collect();
    let unready: Vec<&str> = all.iter().filter(|(_, ready)| !ready).map(|(node, _)| *node).collect();
    if unready.is_empty() {
        return pass("other-agents", format!("{0} of {0} other agents are ready", all.len()));
    }
    let says = format!("{} of {} other agents are not ready: on {}", unready.len(), all.len(), unready.join(", "));
    risk("other-agents", RiskLevel::High, says)
}

/// What the API server would answer to the DELETE, by a dry run: it deletes nothing.
async fn dry_run(cx: &FixContext<'_>, plan: &Plan) -> RuleReport {
    const RULE: &str = "dry-run";
    let pod = &plan.target.pod;
    match cx.writer.knows_dry_run().await {
        Ok(true) => {}
        Ok(false) => return unknown(RULE, "not asked: this API server does not know dry runs"),
        Err(failure) => return unknown(RULE, format!("not asked: the API server's version is unknown: {failure}")),
    }
    match cx.writer.try_deletion(&plan.target).await {
        DeleteAnswer::Accepted => pass(RULE, "the API server would accept the deletion"),
        DeleteAnswer::Gone => stop(RULE, format!("{pod} is gone already")),
        DeleteAnswer::Replaced(why) => stop(RULE, format!("{pod} was replaced: {why}")),
        DeleteAnswer::Refused(why) if why.contains("does not support dry run") => {
            unknown(RULE, format!("the API server cannot tell: {why}"))
        }
        DeleteAnswer::Refused(why) => stop(RULE, format!("the API server would refuse: {why}")),
        // An answer that is missing now may come later; the DELETE itself is looked up where its answer gets lost.
        DeleteAnswer::Busy(why) | DeleteAnswer::Unknown(why) => unknown(RULE, format!("no answer to a dry run: {why}")),
    }
}

async fn locked(cx: &FixContext<'_>, namespace: &str) -> RuleReport {
    match lock::read_lock(cx.writer, namespace, cx.holder).await {
        Ok(LockState::Free(_)) => pass("lock", "no other node is being repaired"),
        Ok(LockState::Held { says }) => stop("lock", format!("a repair is under way: {says}")),
        Ok(LockState::Abandoned { says, lease }) => {
            let about = lease.metadata.annotations.get("staledp/node").map_or("a node", String::as_str);
            let says = format!("a repair of {about} was interrupted: {says}; staledp will take over the lock");
            risk("lock", RiskLevel::Low, says)
        }
        Err(failure) => unknown_stops("lock", format!("cannot read the lock: {failure}")),
    }
}

/// One stale node is not a storm. Several are, or one among many others that look broken in another way.
fn storm(cx: &FixContext<'_>, plan: &Plan, report: &Report) -> RuleReport {
    let stale = report.nodes.iter().filter(|node| node.verdict.kind == Kind::Stale || node.node == plan.node).count();
    let others: Vec<_> = report.nodes.iter().filter(|node| node.node != plan.node).collect();
    let broken = others.iter().filter(|node| matches!(node.verdict.kind, Kind::Stale | Kind::OtherFault)).count();
    let share = (broken * 100).checked_div(others.len()).unwrap_or(0);
    let says = format!(
        "{stale} stale of {} judged nodes (1 may be); of the {} others {broken} look broken: {share} % \
         (limit {STORM_PERCENT} %)",
        report.nodes.len(),
        others.len(),
    );
    if stale <= 1 && broken * 100 <= others.len() * STORM_PERCENT {
        return pass("storm", says);
    }
    if cx.settings.nodes_at_risk_ok {
        return risk("storm", RiskLevel::Medium, format!("{says}; --nodes-at-risk-ok overrides it"));
    }
    stop("storm", format!("{says}; look for a common cause first, or override with --nodes-at-risk-ok"))
}

fn images(plan: &Plan, set: Option<&DaemonSet>, node: &Result<Option<NodeWithImages>, Failure>) -> RuleReport {
    const RULE: &str = "image";
    let Some(set) = set else { return unknown(RULE, "the images of the new pod are unknown") };
    let spec = &set.spec.template.spec;
    let needed: Vec<&AgentContainer> = spec.init_containers.iter().chain(&spec.containers).collect();
    let here = match node {
        Ok(Some(node)) => &node.status.images,
        Ok(None) | Err(_) => return unknown(RULE, "cannot read the images on the node"),
    };
    let in_use: Vec<&str> = plan.pod.spec.containers.iter().map(|container| container.image.as_str()).collect();
    let is_here = |container: &&&AgentContainer| {
        in_use.contains(&container.image.as_str())
            || here.iter().any(|image| image.names.iter().any(|name| same_image(name, &container.image)))
    };
    if let Some(absent) = needed.iter().find(|container| !is_here(container)) {
        let image = &absent.image;
        return match absent.image_pull_policy.as_str() {
            "Never" if here.len() < MOST_IMAGES => stop(
                RULE,
                format!("{image} is not on the node, and its pull policy is Never: the new pod cannot start"),
            ),
            _ if here.len() >= MOST_IMAGES => unknown(
                RULE,
                format!("unknown whether {image} is on the node: the kubelet lists only its {MOST_IMAGES} largest"),
            ),
            _ => risk(RULE, RiskLevel::High, format!("{image} is not on the node and must be pulled")),
        };
    }
    if let Some(always) = needed.iter().find(|container| container.image_pull_policy == "Always") {
        let host = plan.before.checks.iter().find(|check| check.id == CheckId::HostPing);
        let fine = host.is_some_and(|check| check.status == Status::Pass);
        let level = if fine { RiskLevel::Medium } else { RiskLevel::High };
        return risk(
            RULE,
            level,
            format!("the pull policy of {} is Always: the new pod needs the registry", always.name),
        );
    }
    pass(RULE, format!("{} on the node; no pull needed", count(needed.len(), "image is", "images are")))
}

/// Kubelets name images in full: `docker.io/library/busybox:1` for `busybox:1`.
fn same_image(listed: &str, wanted: &str) -> bool {
    listed == wanted || listed.strip_suffix(wanted).is_some_and(|rest| rest.ends_with('/'))
}

/// What the diagnosis read that bears on a restart, as `staledp risk` prints it: each fact that speaks against it, and each
/// that could not be looked at, is a rule of its own. What other rules look at with rights of their own is left to them.
fn node_facts(plan: &Plan) -> Vec<RuleReport> {
    const RULE: &str = "node-facts";
    let Some(case) = plan.before.restart.as_deref() else {
        return vec![unknown(RULE, "the diagnosis read nothing that bears on a restart")];
    };
    let (mut passed, mut items) = (Vec::new(), Vec::new());
    let others = |line: &RiskLine| line.id.is_of_preflight() || line.id == RiskId::DnsOnNode;
    for line in assess(case).into_iter().filter(|line| !others(line)) {
        match line.result {
            RiskResult::Passed => passed.push(line.id.name()),
            RiskResult::Raised => items.push(risk(line.id.name(), line.level, line.says)),
            RiskResult::NotLookedAt => items.push(unknown(line.id.name(), line.says)),
        }
    }
    if !passed.is_empty() {
        items.insert(0, pass(RULE, format!("no risk from {}", passed.join(", "))));
    }
    items
}

fn hosts_dns(cx: &FixContext<'_>, plan: &Plan, inventory: &Inventory) -> RuleReport {
    const RULE: &str = "cluster-dns";
    let map = ClusterMap::new(inventory, cx.settings.look.questions.named());
    let dns = match map.cluster_dns() {
        Ok(dns) => dns,
        Err(failure) => return unknown(RULE, format!("unknown where cluster DNS runs: {failure}")),
    };
    let ready = dns.ready();
    let on_node = |pod: &&Pod| pod.spec.node_name == plan.node && pod.ips().any(|ip| ready.contains(&ip));
    let here = inventory.pods.known().iter().filter(on_node).count();
    match here {
        0 => pass(RULE, "no cluster DNS endpoint runs here"),
        n if n >= ready.len() => {
            risk(RULE, RiskLevel::High, format!("all {n} ready endpoints of cluster DNS run here"))
        }
        n => risk(RULE, RiskLevel::Medium, format!("{n} of {} ready endpoints of cluster DNS run here", ready.len())),
    }
}

fn only_replica(plan: &Plan, inventory: &Inventory) -> RuleReport {
    const RULE: &str = "only-replica";
    let mut ready: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
    for pod in inventory.pods.known().iter().filter(|pod| pod.ready() == Some(true) && !pod.spec.host_network) {
        let owner = pod.metadata.owner_references.iter().find(|owner| owner.controller);
        if let Some(owner) = owner.filter(|owner| matches!(owner.kind.as_str(), "ReplicaSet" | "StatefulSet")) {
            ready.entry(&owner.uid).or_default().push(pod);
        }
    }
    let alone: Vec<String> = ready
        .values()
        .filter_map(|pods| if let [only] = pods.as_slice() { Some(only) } else { None })
        .filter(|only| only.spec.node_name == plan.node)
        .map(|only| only.reference().to_string())
        .collect();
    match alone.as_slice() {
        [] => pass(RULE, "no workload has its only ready replica here"),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            risk(RULE, RiskLevel::Medium, format!("only ready replica of its workload: {first}{more}"))
        }
    }
}

/// An agent that started a moment ago gets its time, unless the risk is accepted. Where this program restarted it just
/// now, that did not help, and another restart will not: the rule stops.
async fn cooldown(cx: &FixContext<'_>, plan: &Plan) -> RuleReport {
    const RULE: &str = "cooldown";
    let now = cx.writer.now();
    let Some(age) = plan.agent.started_at.map(|started| seconds_between(started, now)) else {
        return unknown_stops(RULE, "the agent's start time is unknown");
    };
    let here = |event: &&Event| event.involved_object.name == plan.node;
    let before: Vec<Option<i64>> = match cx.writer.traces(&plan.target.namespace, CONTROLLER).await {
        Ok(events) => {
            let age = |event: &Event| moments(event).1.and_then(moment).map(|at| seconds_between(at, now));
            events.iter().filter(here).map(age).collect()
        }
        Err(failure) if age < COOLDOWN_S => {
            let says =
                format!("the agent started {age} s ago, and cannot check whether staledp restarted it: {failure}");
            return unknown_stops(RULE, says);
        }
        Err(failure) => return unknown(RULE, format!("cannot read earlier restarts by staledp: {failure}")),
    };
    let (left, code) = (COOLDOWN_S - age, plan.code.name());
    if age < COOLDOWN_S && before.iter().flatten().any(|ago| *ago < COOLDOWN_S) {
        let says = format!(
            "staledp restarted this agent {age} s ago and the node is still {code}: another restart will not help. \
             See `{} explain {code}`; a restart is allowed again in {left} s",
            program::name()
        );
        return stop(RULE, says);
    }
    if age < COOLDOWN_S {
        let says = format!(
            "the agent started {age} s ago and has {COOLDOWN_S} s to settle: wait {left} s, or override with --accept-risk"
        );
        return risk(RULE, RiskLevel::High, says);
    }
    if !before.is_empty() {
        let restarts = count(before.len(), "earlier restart", "earlier restarts");
        let says = format!("the API still shows {restarts} of this node by staledp: restarts do not last");
        return risk(RULE, RiskLevel::Medium, says);
    }
    pass(RULE, format!("the agent has been running for {}", crate::base::time::age(age)))
}
