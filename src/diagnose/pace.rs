//! How many nodes in parallel: as many as was asked for, fewer while the API server is busy.

/// The number of nodes at once.
pub(super) struct Pace {
    most: usize,
    now: usize,
    refusals: u64,
}

impl Pace {
    /// At most so many.
    pub(super) const fn new(most: usize) -> Self {
        Self { most, now: most, refusals: 0 }
    }

    /// How many may run now; at least one.
    pub(super) fn limit(&self) -> usize {
        self.now.max(1)
    }

    /// A node is done, and the source was told "later" so often in all: each time it was, half as many go on, and each
    /// quiet node lets one more in. True the first time it was.
    pub(super) fn finished(&mut self, refusals: u64) -> bool {
        let first = self.refusals == 0 && refusals > 0;
        if refusals > self.refusals {
            self.now = (self.now / 2).max(1);
        } else {
            self.now = (self.now + 1).min(self.most);
        }
        self.refusals = refusals;
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_server_gets_fewer_nodes_and_a_quiet_one_all_again() {
        let mut pace = Pace::new(8);
        assert!(!pace.finished(0));
        assert_eq!(pace.limit(), 8);
        assert!(pace.finished(3), "said once");
        assert!(!pace.finished(4));
        assert_eq!(pace.limit(), 2);
        for refusals in 5..20 {
            pace.finished(refusals);
        }
        assert_eq!(pace.limit(), 1);
        for _ in 0..20 {
            pace.finished(19);
        }
        assert_eq!(pace.limit(), 8);
    }
}
