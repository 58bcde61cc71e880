//! `staledp fix`: the walk of nine steps, from a verdict to a proof.
//!
//! ```text
//! diagnose ─▶ plan ─▶ preflight ─▶ evidence ─▶ lock ─▶ consent ─▶ restart ─▶ wait ─▶ verify ─▶ trace
//! ```
//!
//! Until `restart` nothing is changed but the lock. From then on nothing is sent twice, and every way out, an
//! interruption included, records an Event and releases the lock.

mod consent;
mod evidence;
mod lock;
pub mod objects;
mod plan;
mod preflight;
pub mod process;
mod recheck;
mod report;
mod requests;
mod restart;
mod resume;
mod settings;
mod show;
pub(crate) mod stop;
mod trace;
mod verify;
mod wait;
mod watch;
pub(crate) mod wire;

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch::Receiver;

use crate::base::error::Error;
use crate::base::screen::Screen;
use crate::checks::Status;
use crate::diagnose::diagnose;
use crate::gather::Source as _;
use crate::gather::live;
use crate::gather::live::Live;
use crate::gather::save::{Partial, Saving, name};
use crate::knowledge::check_id::CheckId;
use crate::knowledge::risk::RiskLevel;
use crate::kubernetes::inventory::Inventory;
use crate::progress::Progress;
use crate::report::diff;
use crate::report::{NodeReport, Report, SourceInfo, Summary};
use crate::rules::remedy;
use evidence::{EvidenceAfter, changed_tables, keep, report_upstream};
pub use lock::RENEW_LOCK_AFTER;
use lock::{Holder, Lock, NotTaken};
use plan::Plan;
use preflight::{RuleReport, RuleResult};
pub use report::{FixOutcome, FixReport, NodeFix, RestartOutcome};
use requests::Writer;
use restart::PodFate;
pub use settings::FixSettings;
use show::Steps;
use stop::Stop;

/// How long letting go may take: the trace and the lock.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// What every step needs.
struct FixContext<'a> {
    settings: &'a FixSettings,
    live: &'a Live,
    writer: &'a Writer<'a>,
    holder: &'a Holder,
    steps: &'a Steps,
    progress: &'a Progress,
}

/// Why the walk ended before its end.
struct EarlyEnd {
    outcome: FixOutcome,
    says: String,
    next: Vec<String>,
}

impl EarlyEnd {
    fn refused(says: impl fmt::Display) -> Self {
        Self { outcome: FixOutcome::Refused, says: says.to_string(), next: Vec::new() }
    }

    fn not_verified(says: String, next: Vec<String>) -> Self {
        Self { outcome: FixOutcome::NotVerified, says, next }
    }
}

/// How far the walk of one node has come: what remains to do on every exit.
struct Walk {
    fix: NodeFix,
    /// The plan, from the moment on at which the lock may be held.
    locked: Option<Plan>,
    /// Whether it is being taken, or that failed: what was asked for may be done later.
    taking: bool,
    /// Whether the DELETE was sent, or an interrupted run is resumed.
    sent: bool,
}

/// Repairs the named nodes one after the other and stops at the first that cannot be verified. `signalled` becomes true
/// with the first signal, which ends the walk in good order.
///
/// # Errors
///
/// Where nothing could be done at all: no cluster, no such node.
pub async fn run(
    settings: &FixSettings,
    screen: &Screen,
    progress: &Progress,
    signalled: Receiver<bool>,
) -> Result<FixReport, Error> {
    let stop = Stop::new(signalled);
    let connecting = live::connect(&settings.cluster, &settings.look.questions, settings.look.timeout);
    let live = tokio::select! {
        live = connecting => live?,
        () = stop.first() => return Err(Error::interrupted()),
    };
    let writer = Writer::new(live.cluster());
    let holder = Holder { identity: settings.who.clone(), process: settings.process.clone() };
    let steps = Steps::new(screen);
    let cx = FixContext { settings, live: &live, writer: &writer, holder: &holder, steps: &steps, progress };
    let done = Box::pin(all(&cx, &stop)).await;
    progress.clear();
    live.close().await;
    done
}

async fn all(cx: &FixContext<'_>, stop: &Stop) -> Result<FixReport, Error> {
    let mut fixes: Vec<NodeFix> = cx.settings.nodes.iter().map(|node| NodeFix::new(node)).collect();
    let (mut first, mut interrupted) = (true, false);
    for fix in &mut fixes {
        let node = fix.node.clone();
        let walk = RefCell::new(Walk { fix: NodeFix::new(&node), locked: None, taking: false, sent: false });
        let end = tokio::select! {
            end = one(cx, &node, &walk) => end,
            () = stop.first() => Ok(Err(EarlyEnd { outcome: FixOutcome::Interrupted, says: String::new(), next: Vec::new() })),
        };
        cx.progress.clear();
        let end = match end {
            Ok(end) => end,
            // Before the first node was touched it is an error of the whole run.
            Err(error) if first => return Err(error),
            Err(error) => Err(EarlyEnd::refused(error.with_advice())),
        };
        let mut walk = walk.into_inner();
        look_up_interrupted_deletion(cx, &mut walk, &end).await;
        settle(&mut walk, end);
        let left = tokio::time::timeout(LAST_WORDS, leave(cx, &mut walk)).await;
        if left.is_err() {
            cx.steps.line("cleaning up (Event and lock) took too long");
            walk.fix.released.get_or_insert(false);
            if walk.sent {
                walk.fix.event.get_or_insert(false);
            }
        }
        first = false;
        interrupted = stop.has_come();
        if interrupted && walk.fix.outcome != FixOutcome::Interrupted {
            walk.fix.says.push_str(" (interrupted during the cleanup)");
        }
        if let Some((before, after)) = walk.fix.both() {
            walk.fix.changes = diff::compare_node(before, &after.node).changes;
            walk.fix.restart_changed = changed_tables(cx, &walk.fix).await;
        }
        *fix = walk.fix;
        cx.steps.line(&format!("{node}: {}", fix.says));
        if interrupted || !matches!(fix.outcome, FixOutcome::Verified | FixOutcome::DryRun) {
            break;
        }
    }
    Ok(FixReport { report: final_report(cx, &fixes), fix: fixes, interrupted })
}

/// The nodes as they were seen last.
fn final_report(cx: &FixContext<'_>, fixes: &[NodeFix]) -> Report {
    let mut nodes: Vec<NodeReport> = fixes
        .iter()
        .filter_map(|fix| fix.after.as_ref().map(|look| look.node.clone()).or_else(|| fix.before.clone()))
        .collect();
    nodes.sort_by(|a, b| (a.verdict.kind, &a.node).cmp(&(b.verdict.kind, &b.node)));
    Report {
        schema: crate::report::SCHEMA.into(),
        tool: crate::base::tool::Tool::THIS,
        generated_at: crate::base::clock::now().to_string(),
        source: about(cx),
        summary: Summary::of(&nodes),
        partial: false,
        partial_reason: None,
        shard: None,
        notes: Vec::new(),
        skipped: Vec::new(),
        nodes,
    }
}

fn about(cx: &FixContext<'_>) -> SourceInfo {
    SourceInfo::live(cx.live.context().map(str::to_owned))
}

/// One node, from the diagnosis to the verification.
async fn one(cx: &FixContext<'_>, node: &str, walk: &RefCell<Walk>) -> Result<Result<(), EarlyEnd>, Error> {
    let settings = cx.settings;
    let inventory = cx.live.inventory().await;
    let judged = judged(node, &inventory, settings)?;
    let beside = judged.len() - 1;
    cx.steps.begin(1, "Diagnose", &format!("{node}, and {beside} other nodes for comparison"));
    let folder = match &settings.save {
        // Several nodes can't share one bundle: each is of its own moment.
        Some(folder) if settings.nodes.len() > 1 => folder.join(node),
        Some(folder) => folder.clone(),
        None => PathBuf::from(format!("staledp-{node}-{}", crate::base::clock::now().to_string().replace(':', ""))),
    };
    // The name's end stays: it says whether the bundle is a folder or one file.
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let partial = folder.with_file_name(format!(".partial-{}-{name}", std::process::id()));
    let partial = Partial(partial);
    let kept = keep(cx, &partial.0, &inventory);
    let found = match &kept {
        Ok(keeping) => diagnose(keeping, &inventory, &judged, &settings.look, about(cx), cx.progress).await,
        Err(_) => diagnose(cx.live, &inventory, &judged, &settings.look, about(cx), cx.progress).await,
    };
    cx.progress.clear();
    let before = found.nodes.iter().find(|entry| entry.node == node).cloned();
    if let Some(before) = &before {
        let verdict = &before.verdict;
        cx.steps.line(&format!(
            "{} ({} confidence): {}",
            verdict.code.name(),
            verdict.confidence.map_or("no", crate::rules::verdict::Confidence::name),
            verdict.summary
        ));
        walk.borrow_mut().fix.verdict = Some(verdict.code.name());
    }
    walk.borrow_mut().fix.before = before;
    Ok(Box::pin(act(cx, node, walk, &inventory, &found, kept, (&partial, folder))).await)
}

async fn act(
    cx: &FixContext<'_>,
    node: &str,
    walk: &RefCell<Walk>,
    inventory: &Inventory,
    found: &Report,
    kept: Result<Saving<'_, Live>, Error>,
    (partial, folder): (&Partial, PathBuf),
) -> Result<(), EarlyEnd> {
    let settings = cx.settings;
    if let Some(done) = resume::resume(cx, node, walk, inventory).await {
        return done;
    }
    let plan = plan::plan(node, inventory, found, settings).map_err(|(says, next)| EarlyEnd {
        outcome: FixOutcome::Refused,
        says,
        next,
    })?;
    {
        let fix = &mut walk.borrow_mut().fix;
        fix.forced = plan.forced;
        fix.request = Some(json!({"method": "DELETE", "path": plan.target.path(), "body": plan.target.body()}));
    }

    cx.steps.begin(2, "Preflight", "nothing is touched");
    let items = preflight::run(cx, &plan, inventory, found).await;
    let (risk, verdict) = (preflight::level(&items), weigh(cx, &items, "the preflight"));
    walk.borrow_mut().fix.preflight = items;
    verdict?;

    cx.steps.begin(3, "Save the evidence", "the restart destroys it");
    match kept.and_then(Saving::finish).and_then(|_| name(&partial.0, &folder)) {
        Err(why) => {
            return Err(EarlyEnd::refused(format!("cannot save the evidence: {why}; choose another path with --save")));
        }
        Ok(older) => {
            cx.steps.line(&folder.display().to_string());
            if let Some(older) = older {
                cx.steps.line(&format!("existing bundle moved to {}", older.display()));
            }
        }
    }
    walk.borrow_mut().fix.evidence = Some(folder);

    if settings.dry_run {
        let target = &plan.target;
        cx.steps.line(&format!("would send: DELETE {} {}", target.path(), target.body()));
        return Err(EarlyEnd { outcome: FixOutcome::DryRun, says: "nothing was changed".to_owned(), next: Vec::new() });
    }
    if !settings.yes && !settings.terminal {
        let says = "not confirmed: no terminal to ask on; use --yes".to_owned();
        return Err(EarlyEnd::refused(says));
    }

    let lock = take(cx, walk, &plan).await?;
    cx.steps.begin(5, "Ask", "restart this one pod?");
    let consent =
        consent::ask(&plan, risk.name(), settings.wait, settings.yes, cx.steps).await.map_err(EarlyEnd::refused)?;
    Box::pin(recheck_before_deletion(cx, walk, &plan, inventory)).await?;
    lock.renew(true).await.map_err(|why| EarlyEnd::refused(format!("the lock may be lost: {why}")))?;

    cx.steps.begin(6, "Delete", &format!("{} in {}, once", plan.target.pod, plan.target.namespace));
    {
        let walk = &mut walk.borrow_mut();
        walk.sent = true;
        walk.fix.restart = Some(RestartOutcome::NotKnown);
    }
    match restart::restart(cx, &plan, &lock, consent).await {
        Ok(RestartOutcome::NotKnown) => {
            let says = format!("unknown whether {} was deleted: the API server did not answer", plan.target.pod);
            return Err(EarlyEnd::not_verified(says, vec![plan.diagnose()]));
        }
        Ok(how) => walk.borrow_mut().fix.restart = Some(how),
        Err(end) => {
            let walk = &mut walk.borrow_mut();
            walk.sent = false;
            walk.fix.restart = None;
            return Err(end);
        }
    }
    follow(cx, walk, &plan, &lock).await
}

/// The cheap rules once more, right before the DELETE.
async fn recheck_before_deletion(
    cx: &FixContext<'_>,
    walk: &RefCell<Walk>,
    plan: &Plan,
    inventory: &Inventory,
) -> Result<(), EarlyEnd> {
    cx.steps.line("checking again what may have changed since the preflight");
    let items = Box::pin(recheck::check_again(cx, plan, inventory)).await;
    let verdict = weigh(cx, &items, "the check right before the DELETE");
    walk.borrow_mut().fix.recheck = items;
    verdict
}

/// Shows what rules say, and whether they allow to go on.
fn weigh(cx: &FixContext<'_>, items: &[RuleReport], by: &str) -> Result<(), EarlyEnd> {
    for item in items {
        let word = match item.result {
            RuleResult::Pass => "pass",
            RuleResult::Stop => "STOP",
            RuleResult::Risk => "risk",
            RuleResult::Unknown if item.stops => "UNKNOWN",
            RuleResult::Unknown => "unknown",
        };
        let level = if word == "risk" { format!(" ({})", item.risk.name()) } else { String::new() };
        cx.steps.entry(word, &format!("{}{level}: {}", item.rule, item.says));
    }
    let stops: Vec<String> =
        items.iter().filter(|item| item.stops).map(|item| format!("{}: {}", item.rule, item.says)).collect();
    if !stops.is_empty() {
        return Err(EarlyEnd::refused(format!("stopped by {by}: {}", stops.join("; "))));
    }
    let high: Vec<&str> = items.iter().filter(|item| item.risk == RiskLevel::High).map(|item| item.rule).collect();
    if !high.is_empty() && !cx.settings.accept_risk {
        return Err(EarlyEnd::refused(format!("the risk is high: {}; --accept-risk overrides it", high.join(", "))));
    }
    Ok(())
}

async fn take<'a>(cx: &FixContext<'a>, walk: &RefCell<Walk>, plan: &Plan) -> Result<Lock<'a>, EarlyEnd> {
    cx.steps.begin(4, "Lock", &format!("the Lease {} in {}", crate::rights::LEASE, plan.target.namespace));
    {
        let walk = &mut walk.borrow_mut();
        (walk.locked, walk.taking) = (Some(plan.clone()), true);
    }
    let record = plan.record(cx.live.cluster().user());
    let taken = Lock::take(cx.writer, &plan.target.namespace, cx.holder, record, cx.settings.renew_lock_after).await;
    // A request whose answer got lost may still be on its way.
    walk.borrow_mut().taking = matches!(taken, Err(NotTaken::Failed(_)));
    match taken {
        Ok(lock) => {
            cx.steps.line(&format!("held by {}", lock.holder()));
            Ok(lock)
        }
        Err(NotTaken::Held(says)) => Err(EarlyEnd::refused(format!("a repair is under way: {says}"))),
        Err(NotTaken::Failed(why)) => Err(EarlyEnd::refused(format!("cannot acquire the lock: {why}"))),
    }
}

/// Steps 7 and 8: after the restart, whoever's it was.
async fn follow(cx: &FixContext<'_>, walk: &RefCell<Walk>, plan: &Plan, lock: &Lock<'_>) -> Result<(), EarlyEnd> {
    let settings = cx.settings;
    let node = &plan.node;
    cx.steps.begin(
        7,
        "Wait",
        &format!("for a new agent on {node}, at most {}", crate::base::time::span(settings.wait)),
    );
    let new = wait::wait(cx, plan, lock).await.map_err(|failure| {
        let describe = remedy::agents("describe", plan.context.as_deref(), &plan.target.namespace, node);
        EarlyEnd::not_verified(failure.message, vec![describe, "read the kubelet's log on the node".to_owned()])
    })?;
    let new_pod = new.metadata.name.clone();
    walk.borrow_mut().fix.new_pod = Some(new_pod.to_string());

    cx.steps.begin(8, "Verify", "with the checks that failed, on flows since the new agent started");
    let convicted = convicted(walk);
    // A resumed run has no evidence of before to lay it beside.
    let before = walk.borrow().fix.evidence.clone();
    let mut kept = EvidenceAfter::begin(cx, before.as_deref());
    let mut seen = verify::verify(cx, &kept, node, &new_pod, &convicted, lock).await;

    if let Some(span) = settings.watch.filter(|_| seen.wrong.is_empty()) {
        let what = "new unanswered flows, new failed probes, the agent itself";
        cx.steps.line(&format!("watching for {}: {what}", crate::base::time::span(span)));
        // Who interrupts the watch leaves a node that was verified before.
        walk.borrow_mut().fix.after = Some(seen.clone());
        let watched = Box::pin(watch::watch(cx, node, &new, lock, span)).await;
        seen.wrong = watched.wrong();
        let lasts = seen.wrong.is_empty();
        if lasts {
            cx.steps.line(&watched.says());
            seen = verify::verify(cx, &kept, node, &new_pod, &convicted, lock).await;
        }
        seen.watched = Some(watched);
        if !lasts {
            walk.borrow_mut().fix.evidence_after = kept.finish(cx);
            let end = did_not_last(plan, &new_pod, &seen.wrong);
            walk.borrow_mut().fix.after = Some(seen);
            return Err(end);
        }
    }
    let wrong = seen.wrong.clone();
    let kept = kept.finish(cx);
    {
        let fix = &mut walk.borrow_mut().fix;
        (fix.after, fix.evidence_after) = (Some(seen), kept);
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(EarlyEnd::not_verified(
        format!("{new_pod} runs, but this is still wrong: {}", wrong.join("; ")),
        vec![
            "do not restart again: the datapath did not recover".to_owned(),
            "look for programs that a restart does not clean and for a second mount: `bpftool net show`, `mount -t bpf`; \
             then drain and reboot the node"
                .to_owned(),
            report_upstream(&walk.borrow().fix),
        ],
    ))
}

fn did_not_last(plan: &Plan, pod: &str, wrong: &[String]) -> EarlyEnd {
    EarlyEnd::not_verified(
        format!("{pod} runs and was verified, but while watching: {}", wrong.join("; ")),
        vec![
            format!("{}: is the node stale again?", plan.diagnose()),
            "do not restart again: the first restart did not last".to_owned(),
        ],
    )
}

/// The checks that failed before; all of them where that is unknown.
fn convicted(walk: &RefCell<Walk>) -> Vec<CheckId> {
    let walk = walk.borrow();
    match &walk.fix.before {
        Some(before) if !walk.fix.resumed => {
            before.checks.iter().filter(|check| check.status == Status::Fail).map(|check| check.id).collect()
        }
        _ => CheckId::ALL.to_vec(),
    }
}

/// Where an interruption left the DELETE without an answer: what became of the pod.
async fn look_up_interrupted_deletion(cx: &FixContext<'_>, walk: &mut Walk, end: &Result<(), EarlyEnd>) {
    let interrupted = matches!(end, Err(EarlyEnd { outcome: FixOutcome::Interrupted, .. }));
    if !interrupted || walk.fix.restart != Some(RestartOutcome::NotKnown) {
        return;
    }
    let Some(plan) = &walk.locked else { return };
    cx.steps.line(&format!("interrupted: looking up whether {} was deleted", plan.target.pod));
    walk.fix.restart = Some(match restart::look_up_after_interruption(cx, plan).await {
        PodFate::EndingOrGone => RestartOutcome::Deleted,
        PodFate::Untouched => RestartOutcome::Untouched,
        PodFate::NotKnown(why) => {
            cx.steps.line(&format!("unknown: {why}"));
            RestartOutcome::NotKnown
        }
    });
}

/// Writes down how it ended.
fn settle(walk: &mut Walk, end: Result<(), EarlyEnd>) {
    let fix = &mut walk.fix;
    match end {
        Ok(()) => {
            fix.outcome = FixOutcome::Verified;
            let new = fix.new_pod.as_deref().unwrap_or("the new agent");
            fix.says = format!("{new} runs, and {}", verify::how_verified(fix.before.as_ref(), fix.after.as_ref()));
        }
        Err(EarlyEnd { outcome: FixOutcome::Interrupted, .. }) => {
            fix.outcome = FixOutcome::Interrupted;
            (fix.says, fix.next) = if walk.sent {
                let pod = walk.locked.as_ref().map_or("the pod", |plan| &plan.target.pod);
                let verified = fix.after.as_ref().is_some_and(|seen| seen.wrong.is_empty());
                let says = match fix.restart {
                    _ if verified => {
                        format!("interrupted while watching; {pod} was restarted and verified")
                    }
                    Some(RestartOutcome::NotKnown) => {
                        format!("interrupted during the DELETE of {pod}: whether it was deleted is unknown")
                    }
                    Some(RestartOutcome::Untouched) => {
                        format!("interrupted during the DELETE of {pod}, which was still untouched when looked up")
                    }
                    Some(_) => format!("interrupted after {pod} was restarted, before it was verified"),
                    None => {
                        format!("interrupted before the restart of {pod} by an earlier run was verified")
                    }
                };
                (says, walk.locked.iter().map(Plan::diagnose).collect())
            } else {
                ("interrupted before the restart: nothing was changed".to_owned(), Vec::new())
            };
        }
        Err(end) => {
            fix.outcome = end.outcome;
            fix.says = end.says;
            fix.next = end.next;
        }
    }
}

/// Step 9, on every way out: the trace, where there is something to tell, and the lock.
async fn leave(cx: &FixContext<'_>, walk: &mut Walk) {
    let Some(plan) = &walk.locked else { return };
    let namespace = &plan.target.namespace;
    cx.steps.begin(9, "Clean up", "record an Event, release the lock");
    // Let go first: the trace may be refused, the lock must not stay.
    match lock::release(cx.writer, namespace, cx.holder, walk.taking).await {
        Ok(held) => {
            walk.fix.released = held.then_some(true);
            cx.steps.line(if held { "the lock is released" } else { "the lock was not held" });
        }
        Err(why) => {
            walk.fix.released = Some(false);
            cx.steps.line(&format!("cannot release the lock ({why}): it expires after {} minutes", lock::LIFE_S / 60));
        }
    }
    if walk.sent {
        let event = trace::event(cx, plan, &walk.fix);
        let posted = cx.writer.post_event(namespace, &event).await;
        walk.fix.event = Some(posted.is_ok());
        match posted {
            Ok(()) => cx.steps.line("the restart is recorded in one Event"),
            Err(failure) => cx.steps.line(&format!("cannot record the Event: {failure}")),
        }
    }
}

/// The node and, up to a bound, others to compare it with: ready ones first, then by name.
fn judged(node: &str, inventory: &Inventory, settings: &FixSettings) -> Result<Vec<String>, Error> {
    let nodes = match inventory.nodes.some() {
        Ok(nodes) => nodes,
        Err(failure) => return Err(Error::from(failure.clone()).context("cannot list the nodes")),
    };
    let there = |name: &String| nodes.iter().any(|listed| listed.metadata.name == *name);
    if let Some(unknown) = settings.nodes.iter().find(|name| !there(name)) {
        let names: Vec<&str> = nodes.iter().map(|listed| listed.metadata.name.as_str()).collect();
        return Err(
            Error::usage(format!("no node named '{unknown}'")).with_hint(format!("nodes: {}", names.join(", ")))
        );
    }
    let mut others: Vec<_> =
        nodes.iter().filter(|other| settings.nodes.iter().all(|node| *node != other.metadata.name)).collect();
    others.sort_by_key(|other| (other.ready() != Some(true), other.metadata.name.clone()));
    let mut judged = vec![node.to_owned()];
    judged.extend(settings.nodes.iter().filter(|other| *other != node).cloned());
    judged.extend(others.into_iter().take(settings.neighbours).map(|other| other.metadata.name.to_string()));
    Ok(judged)
}
