//! Whether the flows of one pod die while those of others live: over the same time, and by shares.

use std::net::IpAddr;

use crate::ways::counts::Counts;
use crate::ways::group::Group;
use crate::ways::picture::{Endpoint, Picture};

/// What happens by chance less often than this is not taken for chance.
const RARE: f64 = 0.005;
/// Fewer dead flows than this do not single out a pod.
const SEVERAL: u32 = 3;
/// Of the others' flows in the same time, at most this share may be dead for them to be well, in percent.
const WELL_PERCENT: u32 = 10;
/// Of the pod's own flows in that time, at least this share must be dead, in percent.
const HIT_PERCENT: u32 = 30;

/// A share of flows without answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Without answer.
    pub dead: u32,
    /// Of so many that tell something.
    pub decided: u32,
}

/// A pod that gets no answers on a way on which others get theirs, over the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutOff {
    /// The pod's address.
    pub address: IpAddr,
    /// Its own flows on this way.
    pub counts: Counts,
    /// Its flows in the time in which others talked, too.
    pub own: Share,
    /// The others' flows in the time in which it talked.
    pub others: Share,
}

/// The pods that are cut off on these groups while others are not, worst first.
#[must_use]
pub fn cut_off(picture: &Picture, groups: &[Group]) -> Vec<CutOff> {
    let mut found: Vec<CutOff> = picture
        .endpoints
        .iter()
        .filter_map(|endpoint| {
            let (address, counts) = (endpoint.address?, endpoint.sum(groups));
            if counts.dead() < SEVERAL {
                return None;
            }
            let (own, others) = same_time(picture, endpoint, &counts, groups);
            is_hit(own, others).then_some(CutOff { address, counts, own, others })
        })
        .collect();
    found.sort_by_key(|pod| (std::cmp::Reverse(pod.counts.dead()), pod.address));
    found
}

/// The flows of one pod and those of all others, each over the steps of time in which the other side talked, too.
/// Other pods that are cut off as well do not speak for "the others": those of which nothing is answered are left out.
fn same_time(picture: &Picture, this: &Endpoint, own: &Counts, groups: &[Group]) -> (Share, Share) {
    let mut others = Counts::default();
    for endpoint in picture.endpoints.iter().filter(|endpoint| endpoint.address != this.address) {
        let counts = endpoint.sum(groups);
        if counts.answered > 0 {
            others.add(&counts);
        }
    }
    let mut shares = (Share::default(), Share::default());
    for ((own_answered, own_dead), (answered, dead)) in own.steps().zip(others.steps()) {
        if own_answered + own_dead > 0 && answered + dead > 0 {
            shares.0.dead += own_dead;
            shares.0.decided += own_answered + own_dead;
            shares.1.dead += dead;
            shares.1.decided += answered + dead;
        }
    }
    shares
}

fn is_hit(own: Share, others: Share) -> bool {
    own.dead >= SEVERAL
        && others.decided >= SEVERAL
        && own.dead * 100 >= own.decided * HIT_PERCENT
        && others.dead * 100 <= others.decided * WELL_PERCENT
        && chance(own, others) < RARE
}

/// How likely it is that so many of the dead flows, or more, fall to this pod by chance (Fisher's exact test, one-sided).
#[must_use]
pub fn chance(own: Share, others: Share) -> f64 {
    let all = own.decided + others.decided;
    let dead = own.dead + others.dead;
    let most = own.decided.min(dead);
    let total = ln_choose(all, own.decided);
    let at = |k: u32| (ln_choose(dead, k) + ln_choose(all - dead, own.decided.saturating_sub(k)) - total).exp();
    (own.dead..=most).filter(|k| own.decided - k <= all - dead).map(at).sum::<f64>().min(1.0)
}

/// The logarithm of "n choose k".
fn ln_choose(n: u32, k: u32) -> f64 {
    if k > n {
        return f64::NEG_INFINITY;
    }
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// The logarithm of n!: summed up where n is small, by Stirling's series where it is large (error below 1e-9).
fn ln_factorial(n: u32) -> f64 {
    if n < 64 {
        return (2..=n).map(|k| f64::from(k).ln()).sum();
    }
    let n = f64::from(n);
    n * n.ln() - n + 0.5 * (2.0 * std::f64::consts::PI * n).ln() + 1.0 / (12.0 * n) - 1.0 / (360.0 * n.powi(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(dead: u32, decided: u32) -> Share {
        Share { dead, decided }
    }

    #[test]
    fn chance_is_that_of_the_hypergeometric_distribution() {
        // 3 of 3 dead flows fall to a pod with 3 of 6 flows: 1 in 20.
        assert!((chance(share(3, 3), share(0, 3)) - 0.05).abs() < 1e-9);
        assert!((chance(share(0, 5), share(2, 7)) - 1.0).abs() < 1e-9);
        assert!(chance(share(6, 14), share(0, 600)) < 1e-9);
        let large = ln_factorial(100);
        let summed: f64 = (2..=100).map(|k| f64::from(k).ln()).sum();
        assert!((large - summed).abs() < 1e-6);
    }

    #[test]
    fn six_of_fourteen_beside_six_hundred_answered_is_hit() {
        assert!(is_hit(share(6, 14), share(0, 600)));
    }

    #[test]
    fn a_few_losses_among_many_flows_hit_nobody() {
        assert!(!is_hit(share(3, 60), share(2, 300)), "a small share");
        assert!(!is_hit(share(2, 2), share(0, 100)), "too few");
        assert!(!is_hit(share(8, 8), share(30, 60)), "the others lose as well");
        assert!(!is_hit(share(3, 3), share(0, 3)), "chance does it once in twenty");
    }
}
