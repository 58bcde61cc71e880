use std::collections::BTreeMap;

use super::facts::{Mark, RisingDrop};
use super::log_error::{self, LogError};
use super::*;
use crate::knowledge::code::Code;
use crate::knowledge::risk::{RestartCase, RestartFacts, RiskLevel, RiskResult, assess, level, of_restart};

const LOOP: &str = "level=warn msg=\"Failed to initialize datapath, retrying later\"";

fn signs(version: &str, code: Code) -> Signs {
    Signs { version: Version::parse(version), code: Some(code), ..Signs::default() }
}

fn numbers(signs: &Signs) -> Vec<u32> {
    matching(signs).into_iter().map(|(issue, _)| issue.number).collect()
}

fn with_log(mut signs: Signs, error: &str) -> Signs {
    signs.log_errors = Some(log_error::count([format!("{LOOP} error=\"{error}\"").as_str()]));
    signs
}

#[test]
fn issues_match_their_versions() {
    let affects = |number, version| find(number).unwrap().affects(version);
    assert_eq!(affects(46065, "v1.19.4"), Some(true));
    assert_eq!(affects(46065, "1.19.0-rc.1"), Some(true));
    assert_eq!(affects(46065, "1.18.9"), Some(true));
    assert_eq!(affects(46065, "1.18.10"), Some(true));
    assert_eq!(affects(46065, "1.18.8"), Some(false));
    // Closed as stale without a fix: not confirmed.
    assert_eq!(affects(46065, "1.20.1"), None);
    assert_eq!(affects(48050, "1.19.2"), Some(true));
    assert_eq!(affects(48050, "1.19.3"), Some(false));
    assert_eq!(affects(48050, "1.20"), Some(false));
    assert_eq!(affects(36761, "1.16.4"), Some(false));
    assert_eq!(affects(36761, "1.16.5"), Some(true));
    assert_eq!(affects(45077, "1.17.9"), Some(false));
    assert_eq!(affects(23485, "1.19.4"), None);
    assert_eq!(affects(46065, "latest"), None);
}

#[test]
fn a_fix_holds_for_its_own_release_line() {
    let affects = |version| find(43877).unwrap().affects(version);
    assert_eq!(affects("1.18.13"), Some(true));
    assert_eq!(affects("1.18.14"), Some(false));
    assert_eq!(affects("1.19.7"), None);
    assert_eq!(affects("1.19.8"), Some(false));
    assert_eq!(affects("1.20.0"), Some(false));
    assert_eq!(affects("1.18.5"), Some(false));
}

#[test]
fn single_report_excludes_no_other_version() {
    let affects = |version| find(31528).unwrap().affects(version);
    assert_eq!(affects("1.15.2"), Some(true));
    assert_eq!(affects("1.14.9"), None);
    assert_eq!(affects("1.19.4"), None);
}

#[test]
fn development_build_is_not_excluded_by_a_fix_in_its_line() {
    assert_eq!(find(47880).unwrap().affects("1.20.0-dev"), None);
    assert_eq!(find(48444).unwrap().affects("1.20.0-dev"), None);
    assert_eq!(find(47880).unwrap().affects("1.21.0-dev"), Some(false));
    assert_eq!(find(46010).unwrap().affects("1.19.0-dev"), Some(true));
}

#[test]
fn a_restart_is_risky_where_issues_say_so() {
    let of = |version| {
        let signs = Signs { version: Version::parse(version), ..Signs::default() };
        restart_risks_here(&signs).iter().map(|issue| issue.number).collect::<Vec<_>>()
    };
    assert_eq!(of("1.19.4"), [46065]);
    assert_eq!(of("1.18.9"), [45077, 46065, 44194, 43877]);
    assert_eq!(of("1.17.2"), [0_u32; 0]);
    assert_eq!(of("nonsense"), [0_u32; 0]);
}

#[test]
fn every_issue_is_whole_and_listed_once() {
    let mut ids: Vec<_> = all().map(Issue::id).collect();
    ids.sort_unstable();
    let before = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), before);
    assert!(before >= 90, "{before}");
    for issue in all() {
        for text in [issue.title, issue.state, issue.symptom, issue.evidence, issue.advice] {
            assert!(!text.is_empty() && !text.contains("  ") && !text.contains('\n'), "{}: {text:?}", issue.id());
        }
        for span in issue.affected {
            if let Span::Between(_, _, patch, before) = span {
                assert!(patch < before, "{}: {span}", issue.id());
            }
        }
    }
}

#[test]
fn missing_btf_is_not_taken_for_a_cgroup_that_cannot_be_detached() {
    for code in [Code::DatapathNotInitialized, Code::NewPodsStuck] {
        let found =
            numbers(&with_log(signs("1.20.2", code), "load kernel spec: no BTF found for kernel version 6.18.39"));
        assert!(found.contains(&48778), "{found:?}");
        assert!(!found.contains(&46065) && !found.contains(&43877), "{found:?}");
    }
    let found = numbers(&with_log(signs("1.19.4", Code::DatapathNotInitialized), "detach cgroup program: x"));
    assert!(found.contains(&46065) && found.contains(&43877) && !found.contains(&48778), "{found:?}");
}

#[test]
fn opening_phrase_or_degraded_module_alone_names_no_issue() {
    let mut signs = with_log(signs("1.19.4", Code::DatapathNotInitialized), "context deadline exceeded");
    signs.mark(Mark::DegradedModules, Some(2));
    assert_eq!(numbers(&signs), [0_u32; 0]);
}

#[test]
fn case_by_case_the_issue_is_named() {
    let mut link_local = signs("1.16.5", Code::ClusterDnsDown);
    link_local.mark(Mark::LinkLocalDnsDead, Some(1));
    assert!(numbers(&link_local).starts_with(&[36761]));
    link_local.mark_if(Mark::BpfMasquerading, Some(false));
    assert!(!numbers(&link_local).contains(&36761));
    assert!(numbers(&signs("1.19.4", Code::DnsProxyBroken)).contains(&36063));
    assert!(numbers(&signs("1.19.4", Code::StaleNodeAddress)).contains(&31528));
    let mut cut_off = signs("1.19.4", Code::StaleSelective);
    cut_off.mark(Mark::RestoredPodsCutOff, Some(2));
    let found = matching(&cut_off);
    let (issue, why) = found.first().unwrap();
    assert_eq!((issue.number, issue.restart), (37077, Restart::Triggers));
    assert!(why.contains("not confirmed for 1.19.4"), "{why}");
}

#[test]
fn unknown_version_matches_unconfirmed() {
    let unknown = Signs { code: Some(Code::DnsProxyBroken), ..Signs::default() };
    let found = matching(&unknown);
    let (_, why) = found.iter().find(|(issue, _)| issue.number == 36063).unwrap();
    assert!(why.contains("not confirmed for an unknown version"), "{why}");
}

#[test]
fn reported_issues_come_before_unconfirmed_ones() {
    let mut signs = signs("1.18.3", Code::PolicyDenied);
    signs.rising_drops =
        Some(vec![RisingDrop { reason: "Policy denied".to_owned(), direction: Some(facts::DropDirection::Egress) }]);
    let standings: Vec<_> = matching(&signs).iter().map(|(issue, _)| issue.affects("1.18.3")).collect();
    assert!(standings.len() > 2 && standings[0] == Some(true), "{standings:?}");
    assert!(standings.is_sorted_by_key(|standing| *standing != Some(true)), "{standings:?}");
}

/// A small generator of numbers, the same on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn random(dice: &mut Dice) -> (Signs, RestartFacts) {
    let versions = ["", "1.14.18", "1.15.0", "1.16.7", "1.17.2", "1.18.6", "1.18.9", "1.19.4", "1.20.0", "1.20.0-dev"];
    let pick = |dice: &mut Dice, n: usize| usize::try_from(dice.below(n as u64)).unwrap();
    let mut signs = signs(versions[pick(dice, versions.len())], Code::ALL[pick(dice, Code::ALL.len())]);
    for mark in Mark::ALL {
        signs.mark(*mark, [None, Some(0), Some(1), Some(3)][pick(dice, 4)]);
    }
    let errors: BTreeMap<_, _> = LogError::ALL.into_iter().filter(|_| dice.below(2) == 0).map(|e| (e, 2)).collect();
    signs.log_errors = (dice.below(2) == 0).then_some(errors);
    signs.agent_age_s = [None, Some(60), Some(90_000)][pick(dice, 3)];
    signs.os_image = [None, Some("Talos (v1.11.0)"), Some("Debian")][pick(dice, 3)].map(str::to_owned);
    let denied = RisingDrop { reason: "Policy denied".to_owned(), direction: None };
    signs.rising_drops = [None, Some(vec![]), Some(vec![denied])][pick(dice, 3)].clone();
    let number = |dice: &mut Dice| [None, Some(0), Some(1), Some(7)][pick(dice, 4)];
    let facts = RestartFacts {
        agent_restarts: number(dice),
        agent_out_of_memory: number(dice),
        cluster_dns_here: number(dice),
        cluster_dns_elsewhere: number(dice),
        webhooks_only_here: number(dice),
        other_revision: number(dice),
        image_pull: number(dice),
    };
    (signs, facts)
}

/// The same facts, each time without one of them.
fn without_each(facts: RestartFacts) -> Vec<RestartFacts> {
    vec![
        RestartFacts { agent_restarts: None, ..facts },
        RestartFacts { agent_out_of_memory: None, ..facts },
        RestartFacts { cluster_dns_here: None, ..facts },
        RestartFacts { cluster_dns_elsewhere: None, ..facts },
        RestartFacts { webhooks_only_here: None, ..facts },
        RestartFacts { other_revision: None, ..facts },
        RestartFacts { image_pull: None, ..facts },
        RestartFacts::default(),
    ]
}

#[test]
fn missing_evidence_never_lowers_the_risk_of_a_restart() {
    let mut dice = Dice(0x5eed);
    for _ in 0..200 {
        let (signs, facts) = random(&mut dice);
        let case = RestartCase { signs: signs.clone(), facts, revision: None };
        let (whole, _) = of_restart(&case);
        let lines = assess(&case);
        let mut less = vec![
            (Signs { version: None, ..signs.clone() }, facts),
            (Signs { log_errors: None, ..signs.clone() }, facts),
            (Signs { rising_drops: None, ..signs.clone() }, facts),
            (Signs { agent_age_s: None, ..signs.clone() }, facts),
            (Signs { os_image: None, ..signs.clone() }, facts),
            (Signs { code: signs.code, ..Signs::default() }, RestartFacts::default()),
        ];
        less.extend(Mark::ALL.iter().map(|mark| {
            let mut less = signs.clone();
            less.mark(*mark, None);
            (less, facts)
        }));
        less.extend(without_each(facts).into_iter().map(|facts| (signs.clone(), facts)));
        for (less, facts) in less {
            let case = RestartCase { signs: less.clone(), facts, revision: None };
            let (now, because) = of_restart(&case);
            assert!(now >= whole, "{whole:?} became {now:?}: {because:?}\n{signs:?}\n{less:?}");
            let fewer = assess(&case);
            assert!(level(&fewer) >= level(&lines), "{lines:#?} became {fewer:#?}");
            for (before, after) in lines.iter().zip(&fewer) {
                assert!(after.level >= before.level, "{before:?} became {after:?}\n{signs:?}\n{less:?}");
                let was_open = before.result == RiskResult::NotLookedAt;
                assert!(!was_open || after.result != RiskResult::Passed, "{before:?} became {after:?}");
            }
        }
    }
}

#[test]
fn without_evidence_only_the_verdict_itself_names_issues() {
    let mut dice = Dice(0xfee1);
    for _ in 0..500 {
        let (signs, _) = random(&mut dice);
        let nothing = Signs { version: signs.version, code: signs.code, ..Signs::default() };
        let verdict_alone =
            |number: &u32| find(*number).unwrap().needs.iter().all(|fact| matches!(fact, Fact::Verdict(_)));
        let found: Vec<_> = matching(&nothing).into_iter().map(|(issue, _)| issue.number).collect();
        assert!(found.iter().all(verdict_alone), "{found:?}");
    }
}

#[test]
fn everything_known_and_harmless_makes_a_low_risk() {
    let mut signs = signs("1.17.2", Code::StaleDatapath);
    for mark in Mark::ALL {
        signs.mark(*mark, Some(0));
    }
    signs.log_errors = Some(BTreeMap::new());
    signs.rising_drops = Some(vec![]);
    signs.agent_age_s = Some(90_000);
    let facts = RestartFacts::HARMLESS;
    let of = |signs: Signs| RestartCase { signs, facts, revision: None };
    let (now, because) = of_restart(&of(signs.clone()));
    assert_eq!((now, because.len()), (RiskLevel::Low, 1), "{because:?}");
    let lines = assess(&of(signs.clone()));
    assert!(lines.iter().all(|line| line.result == RiskResult::Passed), "{lines:#?}");
    signs.version = None;
    assert_eq!(of_restart(&of(signs.clone())).0, RiskLevel::High);
    let (now, because) = of_restart(&of(Signs { version: Version::parse("1.19.4"), ..signs }));
    assert_eq!(now, RiskLevel::Medium);
    assert!(because.iter().any(|says| says.contains("46065")), "{because:?}");
}

/// Everything known and harmless for this release.
fn harmless(version: &str) -> RestartCase {
    let mut signs = signs(version, Code::Healthy);
    for mark in Mark::ALL {
        signs.mark(*mark, Some(0));
    }
    (signs.log_errors, signs.rising_drops) = (Some(BTreeMap::new()), Some(vec![]));
    RestartCase { signs, ..RestartCase::default() }
}

#[test]
fn fact_of_the_node_answers_what_the_release_alone_would_raise() {
    let known_issues = |case: &RestartCase| assess(case).pop().unwrap();
    let mut case = harmless("1.18.8");
    assert!(!known_issues(&case).says.contains("45077"), "{:?}", known_issues(&case));
    case.signs.mark(Mark::HostPolicy, None);
    let line = known_issues(&case);
    assert_eq!((line.result, line.level), (RiskResult::Raised, RiskLevel::High));
    assert!(line.says.contains("45077"), "{line:?}");
    case.signs.mark(Mark::HostPolicy, Some(0));
    case.signs.mark(Mark::ProxyRedirects, Some(3));
    assert!(known_issues(&case).says.contains("45077"), "DNS goes through the agent's proxy");
}

#[test]
fn seen_sign_of_an_issue_is_not_answered_by_a_fact() {
    let mut case = harmless("1.18.8");
    (case.signs.code, case.signs.agent_age_s) = (Some(Code::HostNetworkDown), Some(60));
    let line = assess(&case).pop().unwrap();
    assert!(line.says.contains("45077") && line.level == RiskLevel::High, "{line:?}");
}

#[test]
fn kernel_without_btf_raises_the_risk_only_for_a_release_that_needs_it() {
    let btf = |version: &str, seen: Option<u64>| {
        let mut case = harmless(version);
        case.signs.mark(Mark::KernelBtf, seen);
        let line = assess(&case).into_iter().next().unwrap();
        (line.id.name(), line.result, line.level)
    };
    assert_eq!(btf("1.20.2", Some(1)), ("kernel-btf", RiskResult::Passed, RiskLevel::Low));
    assert_eq!(btf("1.20.2", Some(0)), ("kernel-btf", RiskResult::Raised, RiskLevel::High));
    assert_eq!(btf("1.20.2", None), ("kernel-btf", RiskResult::NotLookedAt, RiskLevel::High));
    assert_eq!(btf("1.17.2", Some(0)), ("kernel-btf", RiskResult::Passed, RiskLevel::Low));
}
