//! Every era, clock and family, each with a healthy, a stale and a selectively stale node.

use crate::scenario::model::{Family, Node, Scenario};
use crate::scenario::release::{Clock, Release};

/// The three pictures that must be told apart whatever the format.
fn pictures() -> [(&'static str, Node, i32); 3] {
    [
        ("healthy", Node::healthy("prague", 1), 0),
        ("stale-datapath", Node::stale("prague", 1), 1),
        ("stale-selective", Node::selective("prague", 1), 1),
    ]
}

/// All of them.
pub(crate) fn all() -> Vec<Scenario> {
    let mut out = Vec::new();
    for (nth, release) in Release::ALL.into_iter().enumerate() {
        for (at, (code, node, exit)) in pictures().into_iter().enumerate() {
            let clock = Clock::ALL[(nth + at) % Clock::ALL.len()];
            let name = format!("{code} on {release:?} with {clock:?}");
            let about = "the verdict rests on fields that every era has";
            out.push(Scenario::new(name, about, vec![node.release(release).clock(clock)], &[exit]));
        }
    }
    for clock in Clock::ALL {
        for (code, node, exit) in pictures() {
            let node = node.clock(clock).with(|n| n.time_diff = true);
            let name = format!("{code} with remaining times, {clock:?}");
            out.push(Scenario::new(name, "a dump made with --time-diff", vec![node], &[exit]));
        }
    }
    for (family, release) in
        [(Family::V6, Release::V1_19), (Family::V6, Release::V1_14), (Family::Dual, Release::V1_18)]
    {
        for (code, node, exit) in pictures() {
            let name = format!("{code} with {family:?} on {release:?}");
            out.push(Scenario::new(
                name,
                "addresses of the other family",
                vec![node.family(family).release(release)],
                &[exit],
            ));
        }
    }
    for (code, node, exit) in pictures() {
        let node = node.with(|n| n.accounting = true).release(Release::V1_17);
        out.push(Scenario::new(
            format!("{code} with accounting"),
            "packets are counted, both directions together",
            vec![node],
            &[exit],
        ));
    }
    out
}
