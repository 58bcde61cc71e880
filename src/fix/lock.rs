//! Step 4: the lock. One Lease, so that two operators can't repair at once.
//!
//! It is released by an empty holder, not by deleting it: so the one DELETE of a repair is the pod's, and the right to
//! delete Leases is not needed. It is taken over only where its time is over, or where its holder was a process of
//! this very machine that no longer runs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout};

use super::objects::Lease;
use super::process;
use super::requests::Writer;
use super::wire::{PutAnswer, six_decimals};
use crate::base::failure::{Failure, FailureKind};

/// How long the lock holds without being renewed, in seconds.
pub(super) const LIFE_S: i64 = 15 * 60;
/// It is renewed when it is this old: several times within its life.
pub const RENEW_LOCK_AFTER: Duration = Duration::from_secs(240);
/// How often taking or renewing it is tried.
const TRIES: u32 = 4;
/// How long releasing it is tried: an API server that is away may come back.
const RELEASE: Duration = Duration::from_secs(15);
/// How long a request that was interrupted may still be on its way to the API server.
const IN_FLIGHT: Duration = Duration::from_secs(3);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(700);
/// The annotation by which a process of this machine is found again.
const PROCESS: &str = "staledp/process";
/// The annotation that says as whom the holder asks the API server.
pub(super) const USER: &str = "staledp/user";

/// Who holds it.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    /// `alice@laptop/4711`.
    pub(super) identity: String,
    /// This process, if it can be identified.
    pub(super) process: Option<String>,
}

impl Holder {
    /// Whether the lock is this one's. The identity alone does not say: in containers that share the name of their
    /// machine, any process may have the number 1.
    fn holds(&self, lease: &Lease) -> bool {
        lease.spec.holder_identity == self.identity && lease.metadata.annotations.get(PROCESS) == self.process.as_ref()
    }
}

/// The lock as it is found.
#[derive(Clone, Debug)]
pub(super) enum LockState {
    /// It is free.
    Free(Lease),
    /// Somebody holds it.
    Held {
        /// Who, what for, and since when, in words.
        says: String,
    },
    /// Its holder left it behind.
    Abandoned {
        /// The Lease.
        lease: Lease,
        /// Who, what for, since when, and how that is known, in words.
        says: String,
    },
}

/// Looks at the lock.
pub(super) async fn read_lock(writer: &Writer<'_>, namespace: &str, own: &Holder) -> Result<LockState, Failure> {
    let lease = writer.lease(namespace).await?.unwrap_or_default();
    if lease.spec.holder_identity.is_empty() || own.holds(&lease) {
        return Ok(LockState::Free(lease));
    }
    let about = |key: &str| lease.metadata.annotations.get(key).map_or("unknown", String::as_str);
    let renewed = lease.spec.renew_time.clone().or_else(|| lease.spec.acquire_time.clone());
    let renewed = renewed.and_then(|time| time.parse::<Timestamp>().ok());
    let ends =
        renewed.and_then(|time| Timestamp::from_second(time.as_second() + lease.spec.lease_duration_seconds).ok());
    let user = lease.metadata.annotations.get(USER).map(|user| format!(" ({user})")).unwrap_or_default();
    let who = format!(
        "{}{user} holds the lock for node {} since {}",
        lease.spec.holder_identity,
        about("staledp/node"),
        lease.spec.acquire_time.as_deref().unwrap_or("an unknown time"),
    );
    if ends.is_some_and(|ends| ends <= writer.now()) {
        let says = format!("{who}, and the lock has expired");
        return Ok(LockState::Abandoned { lease, says });
    }
    if lease.metadata.annotations.get(PROCESS).is_some_and(|process| process::is_gone(process)) {
        let says = format!("{who}, and that process no longer runs on this machine");
        return Ok(LockState::Abandoned { lease, says });
    }
    let until = ends.map_or_else(|| "it names no expiry time".to_owned(), |ends| format!("it expires at {ends}"));
    Ok(LockState::Held { says: format!("{who}; {until}") })
}

/// Why the lock was not taken.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// Somebody else holds it.
    Held(String),
    /// It could not be acquired.
    Failed(String),
}

/// The lock in hand.
pub(super) struct Lock<'a> {
    writer: &'a Writer<'a>,
    namespace: String,
    holder: Holder,
    renew_after: Duration,
    held: RefCell<(Lease, Instant)>,
}

impl<'a> Lock<'a> {
    /// Takes the lock; it is renewed when it is `renew_after` old.
    pub(super) async fn take(
        writer: &'a Writer<'a>,
        namespace: &str,
        holder: &Holder,
        record: BTreeMap<String, String>,
        renew_after: Duration,
    ) -> Result<Self, NotTaken> {
        let mut trouble = String::new();
        for attempt in 0..TRIES {
            if attempt > 0 {
                sleep(PAUSE).await;
            }
            let found = match read_lock(writer, namespace, holder).await {
                Ok(LockState::Held { says }) => return Err(NotTaken::Held(says)),
                Ok(LockState::Free(lease) | LockState::Abandoned { lease, .. }) => lease,
                Err(failure) if failure.kind == FailureKind::Forbidden => {
                    return Err(NotTaken::Failed(failure.message));
                }
                Err(failure) => {
                    trouble = failure.message;
                    continue;
                }
            };
            let wanted = wanted(writer, &found, holder, record.clone());
            match writer.put_lease(namespace, &wanted).await {
                PutAnswer::Done(lease) => {
                    let (namespace, holder) = (namespace.to_owned(), holder.clone());
                    let held = RefCell::new((*lease, Instant::now()));
                    return Ok(Self { writer, namespace, holder, renew_after, held });
                }
                PutAnswer::Refused(failure) => return Err(NotTaken::Failed(failure.message)),
                // Looking again tells who has it now: it may be this run.
                PutAnswer::Overtaken => "another process changed the Lease at the same time".clone_into(&mut trouble),
                PutAnswer::Lost(lost) => trouble = lost.0,
            }
        }
        Err(NotTaken::Failed(trouble))
    }

    /// Renews it where it grew old, or in any case. An answer that got lost is looked up: it may have been a yes.
    ///
    /// # Errors
    ///
    /// Why it is not certain that it is still held.
    pub(super) async fn renew(&self, anyway: bool) -> Result<(), Failure> {
        let (mut lease, since) = self.held.borrow().clone();
        if !anyway && since.elapsed() < self.renew_after {
            return Ok(());
        }
        let mut trouble = String::new();
        for _ in 0..TRIES {
            lease.spec.renew_time = Some(six_decimals(self.writer.now()));
            match self.writer.put_lease(&self.namespace, &lease).await {
                PutAnswer::Done(lease) => {
                    *self.held.borrow_mut() = (*lease, Instant::now());
                    return Ok(());
                }
                PutAnswer::Overtaken => "the Lease was changed at the same time".clone_into(&mut trouble),
                PutAnswer::Refused(failure) => return Err(failure),
                PutAnswer::Lost(lost) => trouble = lost.0,
            }
            match self.writer.lease(&self.namespace).await {
                Ok(Some(found)) if self.holder.holds(&found) => lease = found,
                Ok(_) => return Err(Failure::new(FailureKind::Other, "another process took the lock")),
                Err(failure) => return Err(Failure::new(failure.kind, format!("{trouble}; {failure}"))),
            }
        }
        Err(Failure::new(FailureKind::Unreachable, trouble))
    }
}

impl Lock<'_> {
    /// Who holds it.
    pub(super) fn holder(&self) -> &str {
        &self.holder.identity
    }
}

fn wanted(writer: &Writer<'_>, found: &Lease, holder: &Holder, mut record: BTreeMap<String, String>) -> Lease {
    if let Some(process) = &holder.process {
        record.insert(PROCESS.to_owned(), process.clone());
    }
    let now = six_decimals(writer.now());
    let mut lease = found.clone();
    let changes_hands = !lease.metadata.resource_version.is_empty();
    lease.metadata.annotations = record;
    lease.spec.holder_identity.clone_from(&holder.identity);
    lease.spec.lease_duration_seconds = LIFE_S;
    lease.spec.acquire_time = Some(now.clone());
    lease.spec.renew_time = Some(now);
    lease.spec.lease_transitions += i64::from(changes_hands);
    lease
}

/// Releases the lock if this process holds it, and returns whether it did. Where the request for it was interrupted or
/// got lost, it may become so only now.
///
/// # Errors
///
/// Why it may still be held.
pub(super) async fn release(
    writer: &Writer<'_>,
    namespace: &str,
    holder: &Holder,
    in_doubt: bool,
) -> Result<bool, Failure> {
    let mut trouble = "no answer".to_owned();
    let mut held = false;
    let begin = Instant::now();
    let released = timeout(RELEASE, async {
        loop {
            match writer.lease(namespace).await {
                Ok(Some(mut lease)) if holder.holds(&lease) => {
                    held = true;
                    lease.spec.holder_identity = String::new();
                    lease.metadata.annotations.clear();
                    match writer.put_lease(namespace, &lease).await {
                        PutAnswer::Done(_) => return Ok(true),
                        PutAnswer::Overtaken => "the Lease was changed at the same time".clone_into(&mut trouble),
                        PutAnswer::Refused(failure) => return Err(failure),
                        PutAnswer::Lost(lost) => trouble = lost.0,
                    }
                }
                Ok(_) if in_doubt && !held && begin.elapsed() < IN_FLIGHT => {}
                // Where it was held, the request whose answer got lost was heard.
                Ok(_) => return Ok(held),
                Err(failure) => trouble = failure.message,
            }
            sleep(PAUSE).await;
        }
    });
    released.await.unwrap_or(Err(Failure::new(FailureKind::Timeout, trouble)))
}
