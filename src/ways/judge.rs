//! The state of an entry: answered, overdue, over; by "now", once that is known.

use rustc_hash::FxHashSet;

use crate::cilium::conntrack::clock::{Clock, REPORT_INTERVAL_S};
use crate::ways::counts::{Counts, STEP_S, STEPS};
use crate::ways::pending::{Pending, Tag, Talk};

/// A TCP entry lives for hours after its last packet. One whose last packet is older than this, in seconds, says
/// nothing about now.
const RECENT_S: f64 = 60.0;

/// Less than this between two packets, in seconds, is one question (for both address families at once).
const A_MOMENT_S: f64 = 2.0;

/// Tells the state of an entry (section 1.7 of the format notes).
pub(super) struct Judge {
    pub(super) now: u32,
    patience: u32,
    recent: u32,
    most_age: u32,
    /// How long an entry other than TCP lives after its last packet.
    lifetime: u32,
    /// A second question so much later is a question again.
    a_moment: u32,
    /// One step of age.
    step: u32,
}

/// Far ends seen so far, by group and state. Each is added to the endpoint where it was first seen, so that a sum over
/// endpoints counts it once.
#[derive(Default)]
pub(super) struct Peers {
    answered: FxHashSet<(usize, u32)>,
    dead: FxHashSet<(usize, u32)>,
    dead_ports: FxHashSet<(usize, u32)>,
}

impl Peers {
    /// Counts the far end of a flow without answer, and the port that it asked.
    fn add_dead(&mut self, tag: Tag, counts: &mut Counts) {
        let (end, port) = tag.end_and_port();
        counts.dead_peers += u32::from(self.dead.insert((tag.group(), end)));
        let is_new = port.is_some_and(|port| self.dead_ports.insert((tag.group(), port)));
        counts.dead_ports += u32::from(is_new);
    }
}

/// The state of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Expired,
    InFlight,
    Unanswered,
    Idle,
    Stopped,
    Answered,
}

impl Judge {
    /// Judges at `now`, in clock units. Flows whose last packet is older than `most_age_s` seconds are over; `lifetime` is
    /// how long an entry other than TCP lives after its last packet, in clock units.
    pub(super) fn new(clock: Clock, now: u32, most_age_s: Option<f64>, lifetime: u32) -> Self {
        Self {
            now,
            patience: clock.units(REPORT_INTERVAL_S),
            recent: clock.units(RECENT_S),
            most_age: most_age_s.map_or(u32::MAX, |age| clock.units(age)),
            lifetime,
            a_moment: clock.units(A_MOMENT_S),
            step: clock.units(STEP_S),
        }
    }

    pub(super) fn state(&self, pending: &Pending) -> State {
        let Pending { expires, asked, answered, tag } = *pending;
        let (talk, age) = (tag.talk(), self.now.saturating_sub(asked.max(answered)));
        if expires < self.now || age > self.most_age {
            State::Expired
        } else if answered == 0 || talk == Talk::HalfOpen {
            if talk.is_tcp() && age > self.recent {
                // Half-open connections of a healed outage are listed for hours.
                State::Expired
            } else if age <= self.patience && talk != Talk::AskedAgain && !self.asked_again(pending) {
                State::InFlight
            } else {
                State::Unanswered
            }
        } else if talk == Talk::Closed && asked.saturating_sub(answered) > self.patience {
            State::Expired
        } else if talk.is_tcp() && age > self.recent {
            State::Idle
        } else if asked.saturating_sub(answered) > 2 * self.patience {
            State::Stopped
        } else {
            State::Answered
        }
    }

    /// A socket that asks every few seconds is always young by its last report. That it asked more than once, with time in
    /// between, its end of life tells: that moves with every packet, reports only now and then.
    pub(super) fn asked_again(&self, pending: &Pending) -> bool {
        let last_packet = pending.expires.saturating_sub(self.lifetime);
        let later = last_packet.saturating_sub(pending.asked) >= self.a_moment && last_packet <= self.now;
        pending.tag.talk() == Talk::Questions && later
    }

    pub(super) fn count(&self, pending: &Pending, counts: &mut Counts, peers: &mut Peers) -> State {
        let tag = pending.tag;
        let talk = tag.talk();
        let state = self.state(pending);
        let step = (self.now.saturating_sub(pending.asked) / self.step) as usize;
        let step = step.min(STEPS - 1);
        match state {
            State::Expired => counts.expired += 1,
            State::InFlight => counts.in_flight += 1,
            State::Unanswered => {
                counts.unanswered += 1;
                counts.half_open += u32::from(talk == Talk::HalfOpen);
                counts.dead_proxied += u32::from(tag.is_proxied());
                add_one(&mut counts.dead_by_age, step);
                peers.add_dead(tag, counts);
            }
            State::Idle => counts.idle += 1,
            State::Stopped => {
                counts.stopped += 1;
                counts.dead_proxied += u32::from(tag.is_proxied());
                add_one(&mut counts.dead_by_age, step);
                peers.add_dead(tag, counts);
            }
            State::Answered => {
                counts.answered += 1;
                counts.answered_peers += u32::from(peers.answered.insert((tag.group(), tag.end_and_port().0)));
                add_one(&mut counts.answered_by_age, step);
            }
        }
        state
    }
}

pub(super) fn add_one(steps: &mut [u16; STEPS], step: usize) {
    if let Some(count) = steps.get_mut(step) {
        *count = count.saturating_add(1);
    }
}
