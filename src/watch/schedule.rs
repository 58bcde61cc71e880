//! When each node is looked at: what waits for a second look first, then suspects, then all in rotation; and how many
//! execs a minute that may cost. Pure: the time is handed in, in seconds since the epoch.

use std::collections::BTreeMap;

use super::screening::NodeSigns;
use crate::base::shard::spread;

/// How many other nodes are looked at beside one that is suspected: the comparison needs witnesses of the same moment.
const WITNESSES: usize = 3;
/// A node whose condition is not `True` is looked at this many times as often.
const OFTENER: i64 = 3;
/// A suspect is looked at at most this many times as often: a pod that fails all day must not use up the budget.
const SUSPECT_OFTENER: i64 = 5;
/// Nodes whose turn it is may wait for others this part of their pace.
const GATHERED: i64 = 20;
/// No suspect waits longer for its next look than this, in seconds.
const SUSPECT_WAITS_S: i64 = 180;

/// How often nodes are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Each node at least so often, in seconds.
    pub every_s: i64,
    /// After how many seconds a look is confirmed.
    pub confirm_s: i64,
}

/// What is known of a node's looks.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    /// The last look; none: never.
    looked: Option<i64>,
    /// The last try, whatever came of it.
    tried: Option<i64>,
    /// Whether the last look waits for a second.
    confirm: bool,
    /// Whether the condition is not `True`.
    in_trouble: bool,
}

/// Why a node is due, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Confirm,
    Suspect,
    Rotation,
}

/// The nodes and when each is due.
#[derive(Debug)]
pub struct Schedule {
    pace: Pace,
    turns: BTreeMap<String, Turn>,
    /// When the round began that is under way.
    round: i64,
}

impl Schedule {
    /// No nodes yet.
    #[must_use]
    pub const fn new(pace: Pace, now: i64) -> Self {
        Self { pace, turns: BTreeMap::new(), round: now }
    }

    /// These are the nodes, each with when it was last looked at, as its condition says it; returns those that are gone. A
    /// look that a clock put into the future was now.
    pub fn sync<'a>(&mut self, nodes: impl Iterator<Item = (&'a str, Option<i64>)>, now: i64) -> Vec<String> {
        let mut before = std::mem::take(&mut self.turns);
        for (node, looked) in nodes {
            let looked = looked.map(|looked| looked.min(now));
            let turn = before.remove(node).unwrap_or(Turn { looked, tried: looked, ..Turn::default() });
            self.turns.insert(node.to_owned(), turn);
        }
        before.into_keys().collect()
    }

    /// Drops what is known of a node: the next [`Schedule::sync`] takes it for a new one.
    pub fn forget(&mut self, node: &str) {
        self.turns.remove(node);
    }

    /// A look at a node is over. One that could say nothing answers no sign.
    pub fn looked(&mut self, node: &str, at: i64, said_something: bool) {
        if let Some(turn) = self.turns.get_mut(node) {
            turn.tried = Some(at);
            if said_something {
                turn.looked = Some(at);
            }
        }
    }

    /// Whether a node's last look waits for a second, and whether its condition is not `True`.
    pub fn remember(&mut self, node: &str, confirm: bool, in_trouble: bool) {
        if let Some(turn) = self.turns.get_mut(node) {
            (turn.confirm, turn.in_trouble) = (confirm, in_trouble);
        }
    }

    /// The nodes to look at now, most urgent first, at most `most`; witnesses of suspects may come on top. Nodes whose
    /// turn it merely is are gathered until there are `enough` or the first has waited a while: each batch reads the
    /// cluster's DNS and warnings anew.
    #[must_use]
    pub fn due(&self, signs: &NodeSigns, now: i64, enough: usize, most: usize) -> Vec<String> {
        let mut due: Vec<(Due, Option<i64>, &str)> = self
            .turns
            .iter()
            .filter_map(|(node, turn)| {
                let sign = signs.get(node).map(|(at, _)| *at);
                self.why_due(node, turn, sign, now).map(|why| (why, turn.tried, node.as_str()))
            })
            .collect();
        due.sort();
        let waits = self.pace.every_s / GATHERED;
        let has_waited = |(_, tried, node): &(Due, Option<i64>, &str)| {
            tried.is_none_or(|tried| now - tried >= self.own_pace(node) + waits)
        };
        let is_urgent = due.first().is_some_and(|(why, ..)| *why != Due::Rotation);
        if !is_urgent && due.len() < enough && !due.iter().any(has_waited) {
            return Vec::new();
        }
        due.truncate(most);
        let urgent = due.iter().filter(|(why, ..)| *why != Due::Rotation).count();
        if urgent > 0 {
            let chosen: Vec<&str> = due.iter().map(|(_, _, node)| *node).collect();
            let calm = |turn: &Turn| (turn.confirm || turn.in_trouble, turn.tried);
            let mut others: Vec<_> = self.turns.iter().filter(|(node, _)| !chosen.contains(&node.as_str())).collect();
            others.sort_by_key(|(_, turn)| calm(turn));
            let missing = WITNESSES.saturating_sub(due.len() - urgent);
            due.extend(others.into_iter().take(missing).map(|(node, turn)| (Due::Rotation, turn.tried, node.as_str())));
        }
        due.into_iter().map(|(_, _, node)| node.to_owned()).collect()
    }

    fn why_due(&self, node: &str, turn: &Turn, sign: Option<i64>, now: i64) -> Option<Due> {
        let Pace { every_s, confirm_s } = self.pace;
        let Some(tried) = turn.tried else { return Some(Due::Rotation) };
        let age = now - tried;
        if turn.confirm && age >= confirm_s {
            return Some(Due::Confirm);
        }
        let suspected = turn.looked.is_none_or(|looked| sign.is_some_and(|sign| sign > looked));
        if suspected && sign.is_some() && age >= (every_s / SUSPECT_OFTENER).clamp(1, SUSPECT_WAITS_S) {
            return Some(Due::Suspect);
        }
        let every = if turn.in_trouble { (every_s / OFTENER).max(1) } else { self.own_pace(node) };
        (age >= every).then_some(Due::Rotation)
    }

    /// Each node has a pace of its own, up to a fifth faster than asked: nodes that were looked at together at the start
    /// drift apart, and the cluster sees an even load.
    fn own_pace(&self, node: &str) -> i64 {
        let every = self.pace.every_s;
        let fifth = u64::try_from(every / 5).unwrap_or(0);
        every - i64::try_from(spread(node) % (fifth + 1)).unwrap_or(0)
    }

    /// Whether every node was looked at since the round began; then the next begins.
    pub fn round_is_over(&mut self, now: i64) -> bool {
        let over = !self.turns.is_empty()
            && self.turns.values().all(|turn| turn.tried.is_some_and(|tried| tried >= self.round));
        if over {
            self.round = now.max(self.round + 1);
        }
        over
    }
}

/// How many execs a minute are left. What a look costs is known only afterwards, so a costly one is paid off by a pause.
#[derive(Debug)]
pub struct Budget {
    per_minute: f64,
    left: f64,
    at: f64,
}

impl Budget {
    /// So many a minute; a minute's worth is there at the start.
    #[must_use]
    pub fn new(per_minute: u32, now_s: f64) -> Self {
        let per_minute = f64::from(per_minute);
        Self { per_minute, left: per_minute, at: now_s }
    }

    /// Whether anything may be spent now.
    pub fn allows(&mut self, now_s: f64) -> bool {
        let earned = (now_s - self.at).max(0.0) * self.per_minute / 60.0;
        self.left = (self.left + earned).min(self.per_minute);
        self.at = now_s;
        self.left > 0.0
    }

    /// So many were sent.
    pub fn spend(&mut self, execs: u64) {
        self.left -= f64::from(u32::try_from(execs).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { every_s: 900, confirm_s: 60 };

    fn schedule(nodes: &[(&str, Option<i64>)]) -> Schedule {
        let mut schedule = Schedule::new(PACE, 0);
        assert!(schedule.sync(nodes.iter().copied(), 9000).is_empty());
        schedule
    }

    fn due(schedule: &Schedule, now: i64) -> Vec<String> {
        schedule.due(&NodeSigns::new(), now, 1, 8)
    }

    #[test]
    fn new_nodes_are_due_at_once_and_known_ones_after_their_pace() {
        let schedule = schedule(&[("new", None), ("known", Some(1000))]);
        assert_eq!(due(&schedule, 1001), ["new"]);
        assert_eq!(due(&schedule, 1000 + 719), ["new"]);
        assert_eq!(due(&schedule, 1900), ["new", "known"]);
    }

    #[test]
    fn restart_of_the_program_causes_no_storm_of_looks() {
        let nodes: Vec<String> = (0..100).map(|n| format!("node-{n}")).collect();
        let known: Vec<(&str, Option<i64>)> = nodes.iter().map(|node| (node.as_str(), Some(1000))).collect();
        assert!(due(&schedule(&known), 1100).is_empty());
        let spread_out = schedule(&known).due(&NodeSigns::new(), 1000 + 800, 1, 1000).len();
        assert!((20..80).contains(&spread_out), "paces differ: {spread_out}");
    }

    #[test]
    fn second_look_comes_first_then_suspects_each_with_witnesses() {
        let mut schedule =
            schedule(&[("a", Some(1000)), ("b", Some(1000)), ("c", Some(1000)), ("d", Some(1000)), ("e", Some(1000))]);
        schedule.remember("d", true, false);
        assert!(due(&schedule, 1059).is_empty());
        let now = due(&schedule, 1060);
        assert_eq!((now[0].as_str(), now.len()), ("d", 4), "and three witnesses: {now:?}");
        let signs = NodeSigns::from([("b".to_owned(), (1001, "a pod became unready"))]);
        assert_eq!(schedule.due(&signs, 1180, 1, 8)[..2], ["d", "b"]);
        assert_eq!(schedule.due(&signs, 1179, 1, 8)[0], "d");
        schedule.remember("d", false, false);
        let old = NodeSigns::from([("b".to_owned(), (999, "a pod became unready"))]);
        assert!(schedule.due(&old, 1180, 1, 8).is_empty(), "it was looked at since");
    }

    #[test]
    fn node_in_trouble_is_looked_at_more_often() {
        let mut schedule = schedule(&[("a", Some(1000))]);
        schedule.remember("a", false, true);
        assert_eq!((due(&schedule, 1299).len(), due(&schedule, 1300).len()), (0, 1));
    }

    #[test]
    fn look_that_says_nothing_leaves_the_suspicion() {
        let mut schedule = schedule(&[("a", Some(1000))]);
        let signs = NodeSigns::from([("a".to_owned(), (1001, "a pod became unready"))]);
        schedule.looked("a", 1200, false);
        assert_eq!((schedule.due(&signs, 1379, 1, 8).len(), schedule.due(&signs, 1380, 1, 8).len()), (0, 1));
        schedule.looked("a", 1380, true);
        assert!(schedule.due(&signs, 1700, 1, 8).is_empty());
    }

    #[test]
    fn nodes_whose_turn_it_is_wait_for_others_a_while() {
        let schedule = schedule(&[("a", Some(1000)), ("b", Some(5000))]);
        let turn = 1000 + schedule.own_pace("a");
        assert!(schedule.due(&NodeSigns::new(), turn + 44, 2, 8).is_empty());
        assert_eq!(schedule.due(&NodeSigns::new(), turn + 45, 2, 8), ["a"]);
        assert_eq!(schedule.due(&NodeSigns::new(), turn, 1, 8), ["a"], "there are enough");
    }

    #[test]
    fn look_of_the_future_is_forgotten_after_one_pace() {
        let mut schedule = Schedule::new(PACE, 0);
        schedule.sync([("a", Some(i64::MAX))].into_iter(), 1000);
        assert_eq!((due(&schedule, 1001).len(), due(&schedule, 1900).len()), (0, 1));
    }

    #[test]
    fn gone_nodes_are_told_and_forgotten() {
        let mut schedule = schedule(&[("a", None), ("b", None)]);
        assert_eq!(schedule.sync([("b", None)].into_iter(), 0), ["a"]);
        assert_eq!(due(&schedule, 1), ["b"]);
    }

    #[test]
    fn forgotten_node_is_new_at_the_next_sync() {
        let mut schedule = schedule(&[("a", Some(1000)), ("b", Some(1000))]);
        schedule.forget("a");
        assert!(schedule.sync([("a", None), ("b", None)].into_iter(), 1001).is_empty());
        assert_eq!(due(&schedule, 1001), ["a"], "what was known of the other stays");
    }

    #[test]
    fn round_is_over_when_every_node_was_tried_since_it_began() {
        let mut schedule = schedule(&[("a", None), ("b", None)]);
        schedule.looked("a", 10, true);
        assert!(!schedule.round_is_over(10));
        schedule.looked("b", 20, false);
        assert!(schedule.round_is_over(20));
        assert!(!schedule.round_is_over(21), "the next round has begun");
    }

    #[test]
    fn budget_is_paid_off_by_a_pause() {
        let mut budget = Budget::new(60, 0.0);
        assert!(budget.allows(0.0));
        budget.spend(90);
        assert!(!budget.allows(29.0));
        assert!(budget.allows(31.0));
        assert!(budget.allows(10_000.0));
        budget.spend(61);
        assert!(!budget.allows(10_000.0), "no more than a minute's worth is saved up");
    }
}
