//! Bounded commands: each one also ends in its container.
//!
//! Closing an exec connection does not stop the command, so each runs under `timeout` where the container has it. What
//! is recorded is the plain command. `timeout` differs: some containers lack it, and some have one that knows other
//! options; so a failure that may be its own is not believed before the plain command was asked.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::packed;
use super::tools::{self, Tools};
use crate::base::answer::End;
use crate::base::failure::{Failure, FailureKind};
use crate::base::pod_ref::PodRef;
use crate::gather::Sink;
use crate::gather::live::kube::{Cluster, Ended, Exec};

/// What the network, the API server and the kubelet may add to a command's own time.
const GRACE: Duration = Duration::from_secs(4);
/// A command that fails faster than this without a word may never have run.
const AT_ONCE: Duration = Duration::from_secs(1);
/// What GNU's `timeout` exits with when it had to end the command.
const ENDED_BY_TIMEOUT: i32 = 124;
/// The most that is read of one output, in bytes: several times the largest table there is.
const LARGEST_OUTPUT: u64 = 1 << 30;
/// How much output is held back, in bytes, until it is certain that it belongs to the answer.
const HOLD: usize = 4096;

/// How a command ended.
pub(super) struct CommandEnd {
    /// The exit code, or why there is none.
    pub(super) end: End,
    /// Standard error.
    pub(super) stderr: String,
    /// Whether the container was there, but not the program.
    pub(super) lacks_program: bool,
    /// Whether the kubelet never answered, so that nothing ran.
    pub(super) unanswered: bool,
}

impl CommandEnd {
    /// Nothing came of it.
    pub(super) const fn failed(failure: Failure) -> Self {
        Self { end: End::Failed(failure), stderr: String::new(), lacks_program: false, unanswered: false }
    }
}

impl From<Ended> for CommandEnd {
    fn from(ended: Ended) -> Self {
        // Older runtimes report a missing program as a shell would.
        let lacks_program = ended.lacks_program || matches!(ended.end, End::Exited(126 | 127));
        Self { end: ended.end, stderr: ended.stderr, lacks_program, unanswered: ended.unanswered }
    }
}

/// How long a command may take, and what happens then.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    time: Duration,
    probe: bool,
}

impl Limit {
    /// For the agent's own commands: asked to end, then killed, and never believed. Half a table is not a table.
    pub(super) const fn dump(time: Duration) -> Self {
        Self { time, probe: false }
    }

    /// For network tools: asked to end, which is enough for them, and BusyBox learnt to kill only lately. That a tool
    /// was ended says something about the network, unlike an exec that was never answered: it keeps its exit code.
    pub(super) const fn probe(time: Duration) -> Self {
        Self { time, probe: true }
    }

    fn wrap(self, argv: &[String]) -> Vec<String> {
        let seconds = self.time.as_secs().max(1).to_string();
        let kill: &[&str] = if self.probe { &[] } else { &["-k", "1"] };
        let before = std::iter::once("timeout").chain(kill.iter().copied()).chain([seconds.as_str()]);
        before.map(str::to_owned).chain(argv.iter().cloned()).collect()
    }
}

/// Where to run something.
#[derive(Clone, Copy)]
pub(super) struct ExecTarget<'a> {
    /// The node that is looked at, where the pod is on it.
    pub(super) node: Option<&'a str>,
    /// The pod.
    pub(super) pod: &'a PodRef,
    /// The container; none: the pod's only one.
    pub(super) container: Option<&'a str>,
    /// Whether another pod can be asked instead, so that one without a shell need not be tried tool by tool.
    pub(super) one_of_many: bool,
}

/// What to run, and where.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    /// Where.
    pub(super) place: ExecTarget<'a>,
    /// The plain command.
    pub(super) argv: &'a [String],
    /// How long it may take.
    pub(super) limit: Limit,
    /// Whether the output is large enough to be worth compressing.
    pub(super) large: bool,
}

/// Runs commands, and remembers what pods have, which have no use for `timeout`, and which can't compress.
#[derive(Default)]
pub(super) struct Bounded {
    compress: bool,
    tools: RefCell<HashMap<PodRef, Tools>>,
    without_timeout: RefCell<HashSet<PodRef>>,
    without_gzip: RefCell<HashSet<PodRef>>,
}

impl Bounded {
    /// Nothing is known of any pod yet.
    pub(super) fn new(compress: bool) -> Self {
        Self { compress, ..Self::default() }
    }

    /// Drops what was learnt of pods that are gone.
    pub(super) fn forget_pods_but(&self, there: &HashSet<PodRef>) {
        self.tools.borrow_mut().retain(|pod, _| there.contains(pod));
        self.without_timeout.borrow_mut().retain(|pod| there.contains(pod));
        self.without_gzip.borrow_mut().retain(|pod| there.contains(pod));
    }

    /// The known tools of a pod; none before its first exec.
    pub(super) fn tools(&self, pod: &PodRef) -> Option<Tools> {
        self.tools.borrow().get(pod).cloned()
    }

    /// Runs a command in a container. The first probe of a pod also finds out which tools there are.
    pub(super) async fn run(&self, cluster: &Cluster, task: Task<'_>, out: &mut HeldOutput<'_>) -> CommandEnd {
        let Task { place: ExecTarget { pod, container, one_of_many, .. }, argv, limit, large } = task;
        let exec = Exec { pod, container, argv, limit: limit.time + GRACE, most: LARGEST_OUTPUT };
        if large
            && self.compress
            && !self.without_gzip.borrow().contains(pod)
            && let Some(outcome) = self.run_packed(cluster, &exec, limit, out).await
        {
            return outcome;
        }
        let wrapped = limit.wrap(argv);
        let mut clock = Instant::now();
        let mut bounded = None;
        if limit.probe && self.tools(pod).is_none() {
            match self.run_first(cluster, &Exec { argv: &wrapped, ..exec }, argv, one_of_many, out).await {
                FirstRun::Answer(outcome) => return outcome,
                FirstRun::Bounded(outcome) => bounded = Some(outcome),
                FirstRun::Nothing => clock = Instant::now(),
            }
        }
        if bounded.is_none() && !self.without_timeout.borrow().contains(pod) {
            bounded = Some(by_plain_name(run(cluster, &Exec { argv: &wrapped, ..exec }, out).await, &wrapped, argv));
        }
        let mut doubted = None;
        if let Some(outcome) = bounded {
            match exit_origin(&outcome, clock.elapsed(), limit.time, out.is_silent()) {
                ExitOrigin::Timeout => return late(outcome, argv, limit),
                ExitOrigin::Unclear if out.forget() => doubted = Some(outcome),
                ExitOrigin::Unclear | ExitOrigin::Command => return outcome,
            }
        }
        let outcome = run(cluster, &exec, out).await;
        let blames_timeout =
            |first: CommandEnd| outcome.end == End::Exited(0) || first.lacks_program && !outcome.lacks_program;
        if doubted.is_some_and(blames_timeout) {
            self.without_timeout.borrow_mut().insert(pod.clone());
        }
        outcome
    }

    /// Finds out what a pod has to ask with, and asks `plain` in the same exec; `exec` has its bounded form.
    async fn run_first(
        &self,
        cluster: &Cluster,
        exec: &Exec<'_>,
        plain: &[String],
        one_of_many: bool,
        out: &mut HeldOutput<'_>,
    ) -> FirstRun {
        let argv = tools::wrap(exec.argv);
        let mut outcome = by_plain_name(run(cluster, &Exec { argv: &argv, ..*exec }, out).await, &argv, plain);
        let keep = |tools| _ = self.tools.borrow_mut().insert(exec.pod.clone(), tools);
        let Some((tools, stderr)) = tools::parse(&outcome.stderr) else {
            return match outcome.end {
                _ if outcome.lacks_program => {
                    keep(Tools::NoShell);
                    if one_of_many { FirstRun::Answer(outcome) } else { FirstRun::Nothing }
                }
                End::Exited(_) if out.forget() => {
                    keep(Tools::Unlisted);
                    FirstRun::Nothing
                }
                End::Exited(_) | End::Failed(_) | End::NotGathered(_) => FirstRun::Answer(outcome),
            };
        };
        outcome.stderr = stderr;
        outcome.lacks_program |= plain.first().is_some_and(|program| tools.lack(program));
        let unbounded = tools.lack("timeout");
        let missing = outcome.lacks_program;
        keep(tools);
        if unbounded {
            self.without_timeout.borrow_mut().insert(exec.pod.clone());
        }
        if unbounded || missing { FirstRun::Answer(outcome) } else { FirstRun::Bounded(outcome) }
    }

    /// The same, compressed on the way; none where the plain way has to be taken.
    async fn run_packed(
        &self,
        cluster: &Cluster,
        exec: &Exec<'_>,
        limit: Limit,
        out: &mut HeldOutput<'_>,
    ) -> Option<CommandEnd> {
        let Exec { pod, argv, .. } = *exec;
        // The bound stands around the command itself: BusyBox's `timeout` would end only the shell.
        let bounded = if self.without_timeout.borrow().contains(pod) { argv.to_vec() } else { limit.wrap(argv) };
        let clock = Instant::now();
        let packed = packed::run(cluster, &Exec { argv: &bounded, ..*exec }, out).await;
        match packed.map(|outcome| by_plain_name(outcome, &bounded, argv)) {
            Ok(outcome) => match exit_origin(&outcome, clock.elapsed(), limit.time, out.is_silent()) {
                ExitOrigin::Timeout => Some(late(outcome, argv, limit)),
                ExitOrigin::Unclear if out.forget() => None,
                ExitOrigin::Unclear | ExitOrigin::Command => Some(outcome),
            },
            Err(closed) if out.forget() => {
                tracing::debug!("{pod} can't compress: {}", closed.0);
                self.without_gzip.borrow_mut().insert(pod.clone());
                None
            }
            Err(closed) => Some(packed::broken(closed, argv)),
        }
    }
}

/// What came of the first question to a pod.
enum FirstRun {
    /// The last word: the command's own, or that it is not there.
    Answer(CommandEnd),
    /// The word of a command that ran under `timeout`.
    Bounded(CommandEnd),
    /// Nothing; it is to be asked as if nothing were known.
    Nothing,
}

/// The same outcome in words about the plain command, which is the one that a person asked for.
fn by_plain_name(mut outcome: CommandEnd, bounded: &[String], plain: &[String]) -> CommandEnd {
    if let End::Failed(failure) = &mut outcome.end {
        failure.message = failure.message.replace(&bounded.join(" "), &plain.join(" "));
    }
    outcome
}

async fn run(cluster: &Cluster, exec: &Exec<'_>, out: &mut HeldOutput<'_>) -> CommandEnd {
    cluster.exec(exec, &mut |chunk| out.take(chunk)).await.into()
}

/// Whose exit code it is.
#[derive(Debug, PartialEq, Eq)]
enum ExitOrigin {
    /// The command itself.
    Command,
    /// `timeout`, which ended the command.
    Timeout,
    /// The command, or `timeout` because it could not run the command.
    Unclear,
}

fn exit_origin(outcome: &CommandEnd, took: Duration, limit: Duration, silent: bool) -> ExitOrigin {
    match outcome.end {
        // BusyBox lets the signal's own code through.
        End::Exited(ENDED_BY_TIMEOUT) => ExitOrigin::Timeout,
        End::Exited(137 | 143) if took >= limit => ExitOrigin::Timeout,
        End::Exited(0) => ExitOrigin::Command,
        _ if outcome.lacks_program => ExitOrigin::Unclear,
        End::Exited(125) => ExitOrigin::Unclear,
        End::Exited(_) if took < AT_ONCE && silent => ExitOrigin::Unclear,
        End::Exited(_) | End::Failed(_) | End::NotGathered(_) => ExitOrigin::Command,
    }
}

fn late(outcome: CommandEnd, argv: &[String], limit: Limit) -> CommandEnd {
    let message = format!("`{}` did not end within {}", argv.join(" "), crate::base::time::span(limit.time));
    if limit.probe {
        let stderr = format!("{}{message}\n", outcome.stderr);
        return CommandEnd { end: End::Exited(ENDED_BY_TIMEOUT), stderr, ..outcome };
    }
    CommandEnd { end: End::Failed(Failure::new(FailureKind::Timeout, message)), ..outcome }
}

/// A sink that holds the first bytes back, so that an attempt that came to nothing can be forgotten.
pub(super) struct HeldOutput<'a> {
    out: Sink<'a>,
    early: Vec<u8>,
    released: bool,
}

impl<'a> HeldOutput<'a> {
    /// Holds back what goes to `out`.
    pub(super) fn new(out: Sink<'a>) -> Self {
        Self { out, early: Vec::new(), released: false }
    }

    /// Takes some output.
    pub(super) fn take(&mut self, chunk: &[u8]) {
        if self.released {
            return (self.out)(chunk);
        }
        self.early.extend_from_slice(chunk);
        if self.early.len() > HOLD {
            self.release();
        }
    }

    /// Whether nothing came so far.
    fn is_silent(&self) -> bool {
        !self.released && self.early.is_empty()
    }

    /// Forgets what came so far; false where it went out already.
    pub(super) fn forget(&mut self) -> bool {
        self.early.clear();
        !self.released
    }

    /// Lets everything out, now and from now on.
    pub(super) fn release(&mut self) {
        self.released = true;
        if !self.early.is_empty() {
            (self.out)(&std::mem::take(&mut self.early));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(8);

    fn judged(end: End, lacks_program: bool, took_ms: u64, silent: bool) -> ExitOrigin {
        let outcome = CommandEnd { end, stderr: String::new(), lacks_program, unanswered: false };
        exit_origin(&outcome, Duration::from_millis(took_ms), LIMIT, silent)
    }

    #[test]
    fn only_what_may_be_the_wrappers_own_failure_is_doubted() {
        assert_eq!(judged(End::Exited(0), false, 10, true), ExitOrigin::Command);
        assert_eq!(judged(End::Exited(1), false, 10, true), ExitOrigin::Unclear);
        assert_eq!(judged(End::Exited(1), false, 10, false), ExitOrigin::Command);
        assert_eq!(judged(End::Exited(1), false, 5000, true), ExitOrigin::Command);
        assert_eq!(judged(End::Exited(127), true, 5000, false), ExitOrigin::Unclear);
        let failed = End::Failed(Failure::new(FailureKind::Forbidden, ""));
        assert_eq!(judged(failed, false, 10, true), ExitOrigin::Command);
    }

    #[test]
    fn the_end_of_patience_is_no_exit_code() {
        assert_eq!(judged(End::Exited(124), false, 8000, true), ExitOrigin::Timeout);
        assert_eq!(judged(End::Exited(143), false, 8000, true), ExitOrigin::Timeout);
        // Killed early, by something else.
        assert_eq!(judged(End::Exited(137), false, 3000, true), ExitOrigin::Command);
    }

    #[test]
    fn bound_around_a_command_is_not_in_its_failure() {
        let plain = ["cilium-dbg", "service", "list"].map(str::to_owned);
        let bounded = Limit::dump(LIMIT).wrap(&plain);
        let why = format!("`{}` did not end within 12s", bounded.join(" "));
        let outcome = CommandEnd::failed(Failure::new(FailureKind::Timeout, why));
        let End::Failed(failure) = by_plain_name(outcome, &bounded, &plain).end else { panic!("it failed") };
        assert_eq!(failure.message, "`cilium-dbg service list` did not end within 12s");
    }

    #[test]
    fn held_output_can_be_forgotten_until_there_is_too_much() {
        let mut seen = Vec::new();
        let mut out = |chunk: &[u8]| seen.extend_from_slice(chunk);
        let mut held = HeldOutput::new(&mut out);
        held.take(b"noise");
        assert!(held.forget());
        held.take(&[b'x'; HOLD + 1]);
        assert!(!held.forget());
        held.take(b"y");
        held.release();
        assert_eq!(seen.len(), HOLD + 2);
    }

    #[test]
    fn the_plain_command_follows_the_bound() {
        let argv = ["cilium-dbg".to_owned(), "status".to_owned()];
        assert_eq!(Limit::dump(LIMIT).wrap(&argv), ["timeout", "-k", "1", "8", "cilium-dbg", "status"]);
        assert_eq!(Limit::probe(LIMIT).wrap(&argv), ["timeout", "8", "cilium-dbg", "status"]);
    }
}
