//! Whether a group of flows is alive, dead, neither, or too small to judge.

use serde::{Deserialize, Serialize};

use crate::ways::counts::Counts;

/// Fewer DNS flows than this prove nothing by themselves.
pub const HANDFUL: u32 = 10;
/// Other ways need this many flows to be called alive or dead.
pub const FEW: u32 = 3;
/// Of the flows that tell anything, this share without answer is dead, in percent.
pub const DEAD_PERCENT: u32 = 90;

/// How a way of packets does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Life {
    /// Mostly answered.
    Alive,
    /// Hardly ever answered.
    Dead,
    /// Neither.
    Mixed,
    /// Too few flows to tell.
    Unseen,
}

/// How these flows do, where at least `least` of them must tell something.
#[must_use]
pub const fn life(counts: &Counts, least: u32) -> Life {
    let (dead, decided) = (counts.dead(), counts.decided());
    if decided < least || decided == 0 {
        Life::Unseen
    } else if dead * 100 >= decided * DEAD_PERCENT {
        Life::Dead
    } else if dead * 2 <= decided {
        Life::Alive
    } else {
        Life::Mixed
    }
}

/// Whether enough flows tell something, and nearly none of them is answered.
#[must_use]
pub const fn is_dead(counts: &Counts) -> bool {
    counts.decided() >= HANDFUL && counts.dead() * 100 >= counts.decided() * DEAD_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(answered: u32, unanswered: u32) -> Counts {
        Counts { answered, unanswered, ..Counts::default() }
    }

    #[test]
    fn few_flows_are_neither_alive_nor_dead() {
        assert_eq!(life(&counts(0, 2), FEW), Life::Unseen);
        assert_eq!(life(&counts(0, 0), 0), Life::Unseen);
        assert_eq!(life(&counts(0, 3), FEW), Life::Dead);
        assert_eq!(life(&counts(2, 2), FEW), Life::Alive);
        assert_eq!(life(&counts(1, 3), FEW), Life::Mixed);
        assert!(!is_dead(&counts(0, 9)) && is_dead(&counts(1, 9)) && !is_dead(&counts(2, 9)));
    }
}
