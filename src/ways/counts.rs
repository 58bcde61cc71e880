//! How many flows of a group are answered, and when.
//!
//! Two pods can only be compared over a time in which both talked. So flows that tell something are also counted by the
//! age of their last question, in steps of ten seconds.

/// How many steps of age are counted separately; the last holds everything older.
pub const STEPS: usize = 6;

/// How long one step is, in seconds.
pub const STEP_S: f64 = 10.0;

/// How many flows of a group are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Alive and answered, lately.
    pub answered: u32,
    /// Alive and never answered, though there was time.
    pub unanswered: u32,
    /// Alive, answered once, and no longer.
    pub stopped: u32,
    /// Alive, and too young to tell.
    pub in_flight: u32,
    /// Alive by their long life only: no packet for a while. They say nothing about now.
    pub idle: u32,
    /// Over, and only still listed.
    pub expired: u32,
    /// Of the unanswered: the answer left, and never arrived (SYN in, SYN+ACK out, again and again).
    pub half_open: u32,
    /// The latest answer of any flow, expired ones too, in clock units; 0: never one.
    pub last_answer: u32,
    /// Different far ends among the answered, roughly.
    pub answered_peers: u32,
    /// Different far ends among the unanswered and stopped, roughly.
    pub dead_peers: u32,
    /// Different ports among the unanswered and stopped, roughly; counted between pods only.
    pub dead_ports: u32,
    /// Of those without answer: handed to the agent's own DNS proxy (flag `ProxyRedirect`).
    pub dead_proxied: u32,
    /// The answered by age of their last question.
    pub answered_by_age: [u16; STEPS],
    /// Those without answer by age of their last question.
    pub dead_by_age: [u16; STEPS],
}

impl Counts {
    /// Alive, whatever their state.
    #[must_use]
    pub const fn live(&self) -> u32 {
        self.answered + self.unanswered + self.stopped + self.in_flight + self.idle
    }

    /// Alive and without answer.
    #[must_use]
    pub const fn dead(&self) -> u32 {
        self.unanswered + self.stopped
    }

    /// Those that say something about now.
    #[must_use]
    pub const fn decided(&self) -> u32 {
        self.answered + self.unanswered + self.stopped
    }

    /// What follows "N of M live flows" where M are those that are decided: nothing where all live flows are.
    #[must_use]
    pub const fn if_judged(&self) -> &'static str {
        if self.decided() == self.live() { "" } else { " that can be judged" }
    }

    /// Whether an answer came later than the questions of most flows that have none: what is dead here is not the way. Short
    /// connections are closed when they are answered, and only those that are not stay alive. `age_s` is the age of the
    /// latest answer, in seconds.
    #[must_use]
    pub fn outlived(&self, age_s: f64) -> bool {
        let mut youngest_s = 0.0;
        let mut before = 0;
        for dead in self.dead_by_age {
            before += if youngest_s > age_s { u32::from(dead) } else { 0 };
            youngest_s += STEP_S;
        }
        self.last_answer > 0 && before * 2 >= self.dead().max(1)
    }

    /// How many of each age tell something: answered, and without answer.
    pub fn steps(&self) -> impl Iterator<Item = (u32, u32)> {
        self.answered_by_age.iter().zip(&self.dead_by_age).map(|(a, d)| (u32::from(*a), u32::from(*d)))
    }

    /// Both together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut sum = *self;
        sum.add(other);
        sum
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.unanswered += other.unanswered;
        self.stopped += other.stopped;
        self.in_flight += other.in_flight;
        self.idle += other.idle;
        self.expired += other.expired;
        self.half_open += other.half_open;
        self.last_answer = self.last_answer.max(other.last_answer);
        self.answered_peers += other.answered_peers;
        self.dead_peers += other.dead_peers;
        self.dead_ports += other.dead_ports;
        self.dead_proxied += other.dead_proxied;
        let steps = |sum: &mut [u16; STEPS], more: &[u16; STEPS]| {
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.saturating_add(*more));
        };
        steps(&mut self.answered_by_age, &other.answered_by_age);
        steps(&mut self.dead_by_age, &other.dead_by_age);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_later_than_most_questions_without_one_outlives_them() {
        let counts = Counts { unanswered: 4, last_answer: 1, dead_by_age: [1, 1, 2, 0, 0, 0], ..Counts::default() };
        assert!(counts.outlived(12.0), "two of four were asked 20 seconds ago or more");
        assert!(!counts.outlived(25.0), "nothing was asked before that answer");
        assert!(!Counts { last_answer: 0, ..counts }.outlived(0.0), "no answer at all");
        assert!(!Counts { dead_by_age: [4, 0, 0, 0, 0, 0], ..counts }.outlived(2.0), "all may be younger");
    }
}
