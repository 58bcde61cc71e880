//! The condition on a node: from the last one, what was said before, and one look, to the next. Pure.
//!
//! Kubernetes is the state: the last condition is read from the node, and a conviction that still waits for its
//! confirmation is kept on the Lease. The rules come from what went wrong in others' conditions:
//!
//! - There is no condition before the first judgement (kubernetes/node-problem-detector#429).
//! - `False` needs two convictions in a row, at least [`Rules::confirm_s`] apart: an entry without answer lives for a
//!   minute, so the second look rests on other flows; and it is taken beside a look at other nodes.
//! - Only a healthy look clears `False`: no restart, no other fault, no missing evidence does
//!   (aws/eks-node-monitoring-agent#215).
//! - A look that can say nothing changes nothing: the last status stays, and its heartbeat grows old.
//! - Another fault is never `False`: whoever acts on the condition would restart a node for a fault that this does not heal.
//!   After two looks it is `Unknown`, with its code as the reason.

use crate::base::labels::Text;
use crate::base::time;
use crate::knowledge::code::{Code, Kind};
use crate::kubernetes::objects::Condition;

/// The longest message, in bytes: `kubectl describe node` shows it on one line.
const LONGEST_MESSAGE: usize = 1024;

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    /// The datapath works.
    True,
    /// The datapath is stale.
    False,
    /// Something else is wrong.
    Unknown,
}

impl ConditionStatus {
    /// The word in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// The condition of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatapathCondition {
    /// Whether the datapath works.
    pub status: ConditionStatus,
    /// The verdict's code.
    pub code: Code,
    /// The verdict's sentence, and what to do.
    pub message: String,
    /// When it was last confirmed, in seconds since the epoch; 0 if unknown.
    pub heartbeat: i64,
    /// Since when it has this status, in seconds since the epoch; 0 if unknown.
    pub since: i64,
}

impl DatapathCondition {
    /// Reads the condition of this type; none where the node has none, or one that this program did not write.
    #[must_use]
    pub fn read(conditions: &[Condition], kind: &str) -> Option<Self> {
        let found = conditions.iter().find(|condition| condition.r#type == kind)?;
        let status = match found.status.as_str() {
            "True" => ConditionStatus::True,
            "False" => ConditionStatus::False,
            "Unknown" => ConditionStatus::Unknown,
            _ => return None,
        };
        let code = Code::ALL.iter().copied().find(|code| reason(*code) == found.reason)?;
        let seconds =
            |time: &Option<Text>| time.as_deref().and_then(time::moment).map_or(0, time::Timestamp::as_second);
        Some(Self {
            status,
            code,
            message: found.message.to_string(),
            heartbeat: seconds(&found.last_heartbeat_time),
            since: seconds(&found.last_transition_time),
        })
    }

    /// The verdict's code as a reason: `StaleDatapath`.
    #[must_use]
    pub fn reason(&self) -> String {
        reason(self.code)
    }
}

/// A code in the form of a condition's reason: `stale-datapath` is `StaleDatapath`.
#[must_use]
pub fn reason(code: Code) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    };
    code.name().split('-').map(word).collect()
}

/// What one look said.
#[derive(Clone, Debug)]
pub struct LookResult<'a> {
    /// The verdict's code; its kind decides.
    pub code: Code,
    /// The verdict's sentence.
    pub summary: &'a str,
    /// The commands that repair the node; empty where none does.
    pub commands: &'a [String],
    /// When, in seconds since the epoch.
    pub at: i64,
}

/// A look that needs a second one of its kind before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unconfirmed {
    /// What it said.
    pub code: Code,
    /// When, in seconds since the epoch.
    pub at: i64,
}

/// How far apart looks have to be.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The least time between the two looks that convict a node, in seconds.
    pub confirm_s: i64,
    /// How old the first of them may be, in seconds.
    pub forget_s: i64,
    /// How old a heartbeat grows before it is written anew, in seconds.
    pub heartbeat_s: i64,
}

/// What follows from a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionChange {
    /// The condition to write; none where nothing changes.
    pub write: Option<DatapathCondition>,
    /// The look that waits for its confirmation now.
    pub waiting: Option<Unconfirmed>,
}

/// What follows from a look at a node with this condition, for which this earlier look waits.
#[must_use]
pub fn decide(
    last: Option<&DatapathCondition>,
    waiting: Option<Unconfirmed>,
    look: &LookResult<'_>,
    rules: Rules,
) -> ConditionChange {
    let kind = look.code.kind();
    let status = match kind {
        Kind::Inconclusive => return ConditionChange { write: None, waiting },
        Kind::Healthy => ConditionStatus::True,
        Kind::Stale => ConditionStatus::False,
        Kind::OtherFault => ConditionStatus::Unknown,
    };
    let standing = last.map(|last| last.status);
    if (kind, standing) == (Kind::OtherFault, Some(ConditionStatus::False)) {
        return ConditionChange { write: None, waiting: None };
    }
    // A time of the future is a clock's fault, and confirms nothing.
    let earlier =
        waiting.filter(|earlier| earlier.code.kind() == kind && (0..=rules.forget_s).contains(&(look.at - earlier.at)));
    let is_confirmed = kind == Kind::Healthy
        || standing == Some(status)
        || earlier.is_some_and(|earlier| look.at - earlier.at >= rules.confirm_s);
    if !is_confirmed {
        let waiting = Some(earlier.unwrap_or(Unconfirmed { code: look.code, at: look.at }));
        return ConditionChange { write: None, waiting };
    }
    let since = last.filter(|last| last.status == status).map_or(look.at, |last| last.since);
    let next = DatapathCondition { status, code: look.code, message: message(look), heartbeat: look.at, since };
    let is_news = last.is_none_or(|last| {
        (last.status, last.code) != (status, look.code)
            // A healthy node's sentence holds figures that differ each time; only a remedy has to be the current one.
            || (status != ConditionStatus::True && last.message != next.message)
            || !(0..rules.heartbeat_s).contains(&(look.at - last.heartbeat))
    });
    ConditionChange { write: is_news.then_some(next), waiting: None }
}

/// The change as it is to be written to a node whose condition is still `on_node`, where the change was decided after one
/// that is not written yet, `unwritten`; and whether that turns it, so that it is worth an Event. What turns, and since
/// when, is told by what others see on the node.
#[must_use]
pub fn on_top(
    on_node: Option<&DatapathCondition>,
    unwritten: Option<(&DatapathCondition, bool)>,
    mut next: DatapathCondition,
) -> (DatapathCondition, bool) {
    let same = |other: &DatapathCondition| other.status == next.status;
    // The one before may have been written all the same, if its answer got lost: its Event is still to come then.
    let owed = unwritten.is_some_and(|(before, turned)| turned && same(before));
    let turned = owed
        || match on_node {
            None => next.status != ConditionStatus::True,
            Some(on_node) => !same(on_node),
        };
    if let Some(before) = on_node.filter(|on_node| same(on_node)) {
        next.since = before.since;
    }
    (next, turned)
}

/// The sentence, and what to do; on one line.
fn message(look: &LookResult<'_>) -> String {
    let mut text = look.summary.to_owned();
    if !look.commands.is_empty() {
        text = format!("{text} Remedy: {}", look.commands.join(" or "));
    }
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut end = line.len().min(LONGEST_MESSAGE);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.truncate(end);
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: Rules = Rules { confirm_s: 60, forget_s: 1800, heartbeat_s: 450 };

    fn look(code: Code, at: i64) -> LookResult<'static> {
        LookResult { code, summary: "What was seen.", commands: &[], at }
    }

    fn standing(status: ConditionStatus, code: Code, at: i64) -> DatapathCondition {
        DatapathCondition { status, code, message: "What was seen.".to_owned(), heartbeat: at, since: at }
    }

    #[test]
    fn two_convictions_a_minute_apart_turn_the_condition_and_one_does_not() {
        let fine = standing(ConditionStatus::True, Code::Healthy, 0);
        let first = decide(Some(&fine), None, &look(Code::StaleDatapath, 100), RULES);
        assert_eq!(first.write, None);
        let hasty = decide(Some(&fine), first.waiting, &look(Code::StaleDatapath, 130), RULES);
        assert_eq!((hasty.write, hasty.waiting), (None, first.waiting), "the same flows are no second witness");
        let second = decide(Some(&fine), first.waiting, &look(Code::StaleSelective, 160), RULES);
        let written = second.write.expect("it turns");
        assert_eq!((written.status, written.reason().as_str()), (ConditionStatus::False, "StaleSelective"));
        assert_eq!((written.since, second.waiting), (160, None));
        assert!(on_top(Some(&fine), None, written).1);
    }

    #[test]
    fn old_conviction_is_forgotten() {
        let waiting = Some(Unconfirmed { code: Code::StaleDatapath, at: 0 });
        let late = decide(None, waiting, &look(Code::StaleDatapath, 1801), RULES);
        assert_eq!((late.write, late.waiting), (None, Some(Unconfirmed { code: Code::StaleDatapath, at: 1801 })));
    }

    #[test]
    fn healthy_look_between_two_convictions_starts_the_count_anew() {
        let waiting = Some(Unconfirmed { code: Code::StaleDatapath, at: 0 });
        let healthy = decide(None, waiting, &look(Code::Healthy, 60), RULES);
        assert_eq!(healthy.waiting, None);
        let again = decide(healthy.write.as_ref(), None, &look(Code::StaleDatapath, 120), RULES);
        assert_eq!(again.write, None);
    }

    #[test]
    fn first_judgement_writes_the_first_condition_and_a_healthy_one_is_no_event() {
        assert_eq!(decide(None, None, &look(Code::EvidenceMissing, 5), RULES).write, None);
        let first = decide(None, None, &look(Code::Healthy, 5), RULES);
        let written = first.write.expect("the first");
        assert_eq!((written.status, written.since), (ConditionStatus::True, 5));
        assert!(!on_top(None, None, written).1);
    }

    #[test]
    fn only_a_healthy_look_clears_false() {
        let stale = standing(ConditionStatus::False, Code::StaleDatapath, 0);
        for code in Code::ALL {
            for at in [60, 600, 60_000] {
                let waiting = Some(Unconfirmed { code: *code, at: 0 });
                let next = decide(Some(&stale), waiting, &look(*code, at), RULES);
                let written = next.write.map(|written| on_top(Some(&stale), None, written));
                let written = written.map(|(written, turned)| (written.status, turned));
                match code.kind() {
                    Kind::Healthy => assert_eq!(written, Some((ConditionStatus::True, true))),
                    Kind::Stale => assert!(written.is_none_or(|written| written == (ConditionStatus::False, false))),
                    Kind::OtherFault | Kind::Inconclusive => assert_eq!(written, None, "{code:?}"),
                }
            }
        }
    }

    #[test]
    fn other_fault_seen_twice_is_unknown_and_never_false() {
        let fine = standing(ConditionStatus::True, Code::Healthy, 0);
        let first = decide(Some(&fine), None, &look(Code::HostNetworkDown, 100), RULES);
        assert_eq!(first.write, None);
        let second = decide(Some(&fine), first.waiting, &look(Code::HostNetworkDown, 160), RULES);
        assert_eq!(
            second.write.map(|c| (c.status, c.reason())),
            Some((ConditionStatus::Unknown, "HostNetworkDown".to_owned()))
        );
        let mixed = decide(Some(&fine), first.waiting, &look(Code::StaleDatapath, 160), RULES);
        assert_eq!(mixed.write, None, "another fault is no first conviction");
    }

    #[test]
    fn heartbeat_is_written_only_when_it_is_old() {
        let fine = standing(ConditionStatus::True, Code::Healthy, 0);
        assert_eq!(decide(Some(&fine), None, &look(Code::Healthy, 449), RULES).write, None);
        let next = decide(Some(&fine), None, &look(Code::Healthy, 450), RULES).write.expect("a heartbeat");
        assert_eq!((next.heartbeat, next.since), (450, 0));
    }

    #[test]
    fn new_remedy_is_written_at_once() {
        let stale = standing(ConditionStatus::False, Code::StaleDatapath, 0);
        let commands = ["kubectl delete pod cilium-new -n kube-system".to_owned()];
        let seen = LookResult { commands: &commands, ..look(Code::StaleDatapath, 10) };
        let next = decide(Some(&stale), None, &seen, RULES).write.expect("a new pod's name");
        assert!(next.message.ends_with("Remedy: kubectl delete pod cilium-new -n kube-system"), "{}", next.message);
        assert_eq!(next.since, 0, "it did not turn");
    }

    #[test]
    fn times_of_the_future_neither_confirm_nor_silence() {
        let ahead = Some(Unconfirmed { code: Code::StaleDatapath, at: 90_000 });
        let first = decide(None, ahead, &look(Code::StaleDatapath, 100), RULES);
        assert_eq!(first.waiting, Some(Unconfirmed { code: Code::StaleDatapath, at: 100 }), "it begins anew");
        let fine = standing(ConditionStatus::True, Code::Healthy, 90_000);
        let next = decide(Some(&fine), None, &look(Code::Healthy, 100), RULES).write.expect("a heartbeat");
        assert_eq!(next.heartbeat, 100);
    }

    #[test]
    fn change_that_was_not_written_is_no_turn_for_others_and_its_event_is_not_lost() {
        let on_node = standing(ConditionStatus::True, Code::Healthy, 5);
        let unwritten = standing(ConditionStatus::False, Code::StaleDatapath, 100);
        // Healed before it could be written: the node was never seen to be False.
        let healthy = standing(ConditionStatus::True, Code::Healthy, 160);
        let (next, turned) = on_top(Some(&on_node), Some((&unwritten, true)), healthy.clone());
        assert_eq!((turned, next.since), (false, 5));
        // The same again with another message.
        let again = standing(ConditionStatus::False, Code::StaleSelective, 100);
        assert!(on_top(Some(&on_node), Some((&unwritten, true)), again.clone()).1);
        // It was written, but its answer got lost.
        assert!(on_top(Some(&unwritten), Some((&unwritten, true)), again.clone()).1);
        assert!(!on_top(Some(&unwritten), Some((&unwritten, false)), again).1);
        assert!(!on_top(None, None, healthy.clone()).1, "a first healthy look is no Event");
        assert!(on_top(Some(&unwritten), None, healthy).1);
    }

    #[test]
    fn message_is_one_bounded_line() {
        let long = "é\n".repeat(2000);
        let seen = LookResult { summary: &long, ..look(Code::Healthy, 1) };
        let text = message(&seen);
        assert!(text.len() <= LONGEST_MESSAGE && !text.contains('\n'));
    }

    #[test]
    fn condition_is_read_back_as_it_was_written() {
        for code in Code::ALL {
            let found = Condition {
                r#type: "x/y".into(),
                status: "False".into(),
                reason: reason(*code).into(),
                last_transition_time: Some("1970-01-01T00:01:00Z".into()),
                last_heartbeat_time: Some("1970-01-01T00:02:00Z".into()),
                message: "m".into(),
            };
            let read = DatapathCondition::read(&[found], "x/y").expect("it is ours");
            assert_eq!((read.code, read.since, read.heartbeat), (*code, 60, 120));
        }
        assert_eq!(DatapathCondition::read(&[], "x/y"), None);
    }

    proptest! {
        /// However looks come, and wherever the program is killed and started again in between, `False` has two
        /// convictions at least a minute apart right before it, and nothing but a healthy look ends it.
        #[test]
        fn false_is_always_earned_and_never_latched(
            looks in proptest::collection::vec((0..4_usize, 1..400_i64), 1..60),
        ) {
            let codes = [Code::Healthy, Code::StaleDatapath, Code::HostNetworkDown, Code::EvidenceMissing];
            let (mut last, mut waiting, mut at) = (None::<DatapathCondition>, None, 0);
            let mut convictions: Vec<i64> = Vec::new();
            for (which, pause) in looks {
                at += pause;
                let code = codes[which];
                match code.kind() {
                    Kind::Stale => convictions.push(at),
                    Kind::Inconclusive => {}
                    Kind::Healthy | Kind::OtherFault => convictions.clear(),
                }
                let before = last.as_ref().map(|last| last.status);
                let next = decide(last.as_ref(), waiting, &look(code, at), RULES);
                waiting = next.waiting;
                if let Some(written) = next.write {
                    if written.status == ConditionStatus::False && before != Some(ConditionStatus::False) {
                        prop_assert!(convictions.iter().any(|first| at - first >= RULES.confirm_s));
                    }
                    if before == Some(ConditionStatus::False) && written.status != ConditionStatus::False {
                        prop_assert_eq!(code, Code::Healthy);
                    }
                    last = Some(written);
                }
            }
        }
    }
}
