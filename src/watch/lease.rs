//! The Lease: one watch at a time, and what it has to remember beside the nodes' conditions.
//!
//! It is released by an empty holder, not by deleting it, as `fix` does: the right to delete Leases is not needed. Times
//! are compared by the API server's clock. Who cannot renew it for its whole life writes nothing more, since another may
//! hold it by then.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::condition::Unconfirmed;
use crate::base::failure::FailureKind;
use crate::fix::objects::Lease;
use crate::fix::wire::{PutAnswer, Wire, six_decimals};
use crate::knowledge::code::Code;
use crate::rights::WATCH_LEASE;

/// How long it holds without being renewed.
const LIFE: Duration = Duration::from_secs(30);
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(10);
/// Between two tries to renew it, and between two looks at a Lease that another holds.
const RETRY: Duration = Duration::from_secs(2);
/// The annotation that holds the convictions that wait for their confirmation.
const WAITING: &str = "staledp.dev/waiting";
/// The most of them that are kept: an annotation has a bound, and beyond this it is an outage of all.
const MOST_WAITING: usize = 500;

/// The Lease of one process.
pub(super) struct Leadership<'a> {
    wire: &'a Wire<'a>,
    namespace: &'a str,
    identity: &'a str,
    held: RefCell<Option<Held>>,
    waiting: RefCell<BTreeMap<String, Unconfirmed>>,
}

struct Held {
    lease: Lease,
    renewed: Instant,
}

impl<'a> Leadership<'a> {
    /// Not held yet.
    pub(super) const fn new(wire: &'a Wire<'a>, namespace: &'a str, identity: &'a str) -> Self {
        Self { wire, namespace, identity, held: RefCell::new(None), waiting: RefCell::new(BTreeMap::new()) }
    }

    /// Waits until the Lease is held; says who holds it, or why it cannot be had, each time that changes.
    ///
    /// # Errors
    ///
    /// That a right is missing, in the API server's words: waiting would not help.
    pub(super) async fn acquire(&self, say: impl Fn(&str)) -> Result<(), crate::base::failure::Failure> {
        let mut said = String::new();
        let mut tell = |text: String| {
            if text != said {
                say(&text);
                said = text;
            }
        };
        loop {
            match self.wire.lease(self.namespace, WATCH_LEASE).await {
                Ok(found) => {
                    let found = found.unwrap_or_default();
                    if let Some(until) = self.is_held_by_another(&found) {
                        let holder = &found.spec.holder_identity;
                        tell(format!(
                            "{holder} holds the Lease {WATCH_LEASE}; waiting until it is released or expires at {until}"
                        ));
                    } else {
                        *self.waiting.borrow_mut() = read_waiting(&found);
                        match self.put(found, true).await {
                            PutAnswer::Done(_) => return Ok(()),
                            PutAnswer::Refused(failure) if failure.kind == FailureKind::Forbidden => {
                                return Err(failure);
                            }
                            PutAnswer::Refused(failure) => {
                                tell(format!("cannot acquire the Lease {WATCH_LEASE}: {failure}"));
                            }
                            // Looking again tells who has it now: it may be this process.
                            PutAnswer::Overtaken | PutAnswer::Lost(_) => {}
                        }
                    }
                }
                Err(failure) if failure.kind == FailureKind::Forbidden => return Err(failure),
                Err(failure) => tell(format!("cannot read the Lease {WATCH_LEASE}: {failure}")),
            }
            sleep(RETRY).await;
        }
    }

    /// Until when another holds it; none where it is free, expired, or this process's.
    fn is_held_by_another(&self, lease: &Lease) -> Option<String> {
        let holder = &lease.spec.holder_identity;
        if holder.is_empty() || holder == self.identity {
            return None;
        }
        let renewed = lease.spec.renew_time.as_deref().and_then(|time| time.parse::<Timestamp>().ok())?;
        let ends = Timestamp::from_second(renewed.as_second() + lease.spec.lease_duration_seconds).ok()?;
        (ends > self.wire.now()).then(|| ends.to_string())
    }

    /// Renews it again and again; returns why it is lost.
    pub(super) async fn keep(&self) -> String {
        loop {
            sleep(RENEW).await;
            loop {
                let Some(lease) = self.held.borrow().as_ref().map(|held| held.lease.clone()) else {
                    return "it is not held".to_owned();
                };
                let trouble = match self.put(lease, false).await {
                    PutAnswer::Done(_) => break,
                    PutAnswer::Refused(failure) => failure.message,
                    PutAnswer::Lost(lost) => lost.0,
                    PutAnswer::Overtaken => match self.wire.lease(self.namespace, WATCH_LEASE).await {
                        Ok(Some(found)) if found.spec.holder_identity == self.identity => {
                            if let Some(held) = self.held.borrow_mut().as_mut() {
                                held.lease = found;
                            }
                            continue;
                        }
                        Ok(found) => {
                            let holder =
                                found.map(|found| found.spec.holder_identity).filter(|holder| !holder.is_empty());
                            self.held.borrow_mut().take();
                            return holder
                                .map_or_else(|| "it was taken away".to_owned(), |holder| format!("{holder} took it"));
                        }
                        Err(failure) => failure.message,
                    },
                };
                tracing::debug!(%trouble, "the Lease could not be renewed");
                if !self.is_held() {
                    self.held.borrow_mut().take();
                    return format!("it could not be renewed for {}s: {trouble}", LIFE.as_secs());
                }
                sleep(RETRY).await;
            }
        }
    }

    /// Whether it is certain that no other process holds it.
    pub(super) fn is_held(&self) -> bool {
        self.held.borrow().as_ref().is_some_and(|held| held.renewed.elapsed() < LIFE)
    }

    /// The convictions that wait for their confirmation.
    pub(super) fn waiting(&self, node: &str) -> Option<Unconfirmed> {
        self.waiting.borrow().get(node).copied()
    }

    /// Remembers a conviction, or that none waits; it is on the Lease with the next renewal.
    pub(super) fn set_waiting(&self, node: &str, waiting: Option<Unconfirmed>) {
        let mut all = self.waiting.borrow_mut();
        if let Some(waiting) = waiting.filter(|_| all.len() < MOST_WAITING || all.contains_key(node)) {
            all.insert(node.to_owned(), waiting);
        } else {
            all.remove(node);
        }
    }

    /// Forgets convictions of nodes that are gone: those of a time when no process watched would stay for ever.
    pub(super) fn keep_waiting(&self, is_there: impl Fn(&str) -> bool) {
        self.waiting.borrow_mut().retain(|node, _| is_there(node));
    }

    /// Releases it if it is held; once, and within the request's own time.
    pub(super) async fn release(&self) {
        let held = self.held.borrow_mut().take();
        if let Some(Held { mut lease, .. }) = held {
            lease.spec.holder_identity = String::new();
            lease.metadata.annotations = self.annotations();
            let _ = self.wire.put_lease(self.namespace, WATCH_LEASE, &lease).await;
        }
    }

    async fn put(&self, mut lease: Lease, anew: bool) -> PutAnswer {
        let now = six_decimals(self.wire.now());
        if anew {
            lease.spec.lease_transitions += i64::from(!lease.metadata.resource_version.is_empty());
            lease.spec.acquire_time = Some(now.clone());
        }
        self.identity.clone_into(&mut lease.spec.holder_identity);
        lease.spec.lease_duration_seconds = i64::try_from(LIFE.as_secs()).unwrap_or(30);
        lease.spec.renew_time = Some(now);
        lease.metadata.annotations = self.annotations();
        // The life begins when the request is sent, not when its answer comes.
        let renewed = Instant::now();
        let answer = self.wire.put_lease(self.namespace, WATCH_LEASE, &lease).await;
        if let PutAnswer::Done(lease) = &answer {
            *self.held.borrow_mut() = Some(Held { lease: (**lease).clone(), renewed });
        }
        answer
    }

    fn annotations(&self) -> BTreeMap<String, String> {
        let waiting = self.waiting.borrow();
        let one = |(node, waiting): (&String, &Unconfirmed)| format!("{node}={}@{}", waiting.code.name(), waiting.at);
        let text = waiting.iter().map(one).collect::<Vec<_>>().join(" ");
        if text.is_empty() { BTreeMap::new() } else { BTreeMap::from([(WAITING.to_owned(), text)]) }
    }
}

/// The convictions on a Lease; what cannot be read is left out.
fn read_waiting(lease: &Lease) -> BTreeMap<String, Unconfirmed> {
    let text = lease.metadata.annotations.get(WAITING).map(String::as_str).unwrap_or_default();
    let one = |word: &str| {
        let (node, rest) = word.split_once('=')?;
        let (code, at) = rest.split_once('@')?;
        let code = Code::ALL.iter().copied().find(|known| known.name() == code)?;
        Some((node.to_owned(), Unconfirmed { code, at: at.parse().ok()? }))
    };
    text.split(' ').filter_map(one).take(MOST_WAITING).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn convictions_are_read_from_the_lease_and_rubbish_is_left_out() {
        let mut lease = Lease::default();
        let text = "prusik=stale-datapath@1796000000 x=no-such-code@1 y brno=host-network-down@z";
        lease.metadata.annotations.insert(WAITING.to_owned(), text.to_owned());
        let read = read_waiting(&lease);
        assert_eq!(read.len(), 1);
        assert_eq!(read.get("prusik"), Some(&Unconfirmed { code: Code::StaleDatapath, at: 1_796_000_000 }));
    }
}
