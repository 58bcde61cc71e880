//! The datapath's own set-up: programs that hang twice, an agent that cannot initialize it, services not translated.

use crate::base::evidence::Evidence;
use crate::cilium::mounts::BPF_ROOT;
use crate::knowledge::code::Code;
use crate::rules::case::Case;
use crate::rules::hidden_maps;
use crate::rules::lookalikes::{beyond, in_trouble, translated_by_others};
use crate::rules::opinion::{Exclusion, Opinion};
use crate::rules::verdict::{Because, Cause, Confidence, Says};
use crate::rules::witnesses::reaches_world;
use crate::ways::group::Group;
use crate::ways::life::{FEW, Life, life};

/// A starting agent has replaced the programs of the one before it after this time, in seconds.
const REPLACING_S: i64 = 300;

/// `datapath-programs-duplicated`.
pub(super) fn duplicated(case: &Case) -> Exclusion {
    beyond(&case.beyond.programs, Evidence::AttachedPrograms, |programs| {
        let twice = programs.duplicates();
        let Some(first) = twice.first() else {
            let hooks = programs.attached.iter().filter(|attachment| attachment.is_cilium()).count();
            if hooks == 0 {
                return Exclusion::NotApplicable;
            }
            let says = format!("each of {hooks} hooks holds a Cilium program once");
            return Exclusion::out(says, [("hooks", hooks.into())]);
        };
        // An agent that replaces its programs one by one may be seen with both for a moment.
        let second_mount = hidden_maps::mounted(case);
        let young = second_mount.is_none() && case.agent_age_s().is_some_and(|age| (0..REPLACING_S).contains(&age));
        if young && twice.len() * 2 < programs.attached.len() - twice.len() {
            let says = format!(
                "{} hooks hold a program twice, but the agent only just started and may replace them",
                twice.len()
            );
            return Exclusion::open(says, "a second look in two minutes");
        }
        let summary = format!(
            "Cilium's programs are attached twice on {} hook{} ({first} …): a restart does not clean them up.",
            twice.len(),
            if twice.len() == 1 { "" } else { "s" }
        );
        let mut opinion = Opinion::new(Code::DatapathProgramsDuplicated, Confidence::High, summary);
        let place = (twice.len() > 1).then(|| format!("{} hooks", twice.len()));
        opinion.cause = Some(
            Cause::named("program", first.clone(), Evidence::AttachedPrograms)
                .expected("one program of this name", "two")
                .on_where_known(place),
        );
        if let Some((evidence, mounted)) = second_mount {
            let says = Says::new(
                format!(
                    "{mounted} BPF file systems are mounted at {BPF_ROOT}: the agent pinned a second set of maps and \
                     programs (cilium/cilium#47847)"
                ),
                [("mounts", mounted.into())],
            );
            opinion.because.push(Because::said(evidence.name(), says));
        }
        let says =
            Says::new(format!("two programs of one name: {}", twice.join("; ")), [("hooks", twice.len().into())]);
        opinion.because.push(Because::said(Evidence::AttachedPrograms.name(), says));
        Exclusion::applies(opinion)
    })
}

/// `datapath-not-initialized`.
pub(super) fn not_initialized(case: &Case) -> Exclusion {
    let mut because = Vec::new();
    let log = case.beyond.log.seen();
    if let Some(log) = log
        && log.datapath_failures > 0
    {
        let says = Says::new(
            format!(
                "\"Failed to initialize datapath\" {} times in the last {} lines",
                log.datapath_failures, log.lines
            ),
            [("failures", log.datapath_failures.into()), ("lines", log.lines.into())],
        );
        because.push(Because::said(Evidence::AgentLog.name(), says));
    }
    let degraded = case.beyond.status.seen().and_then(|status| Some((status.degraded?, &status.degraded_modules)));
    if let Some((degraded @ 1.., names)) = degraded
        && in_trouble(case)
    {
        let names = names.join(", ");
        let modules = if degraded == 1 { "module is" } else { "modules are" };
        let text =
            format!("{degraded} {modules} degraded{}", if names.is_empty() { names } else { format!(": {names}") });
        because.push(Because::said(Evidence::AgentStatus.name(), Says::new(text, [("degraded", degraded.into())])));
    }
    if !because.is_empty() {
        let summary = "The agent cannot initialize the datapath and keeps trying: a restart repeats it.";
        let mut opinion = Opinion::new(Code::DatapathNotInitialized, Confidence::High, summary);
        opinion.because = because;
        return Exclusion::applies(opinion);
    }
    beyond(&case.beyond.log, Evidence::AgentLog, |log| {
        let says = format!("none of the last {} log lines says that the datapath could not be initialized", log.lines);
        Exclusion::out(says, [("lines", log.lines.into())])
    })
}

/// Whether the kernel's table has rows of cluster DNS, and no backend in any of them.
fn kernel_holds_none(case: &Case) -> bool {
    let kernel = case.beyond.lb.seen().filter(|lb| lb.header && lb.unread == 0);
    let (Some(kernel), Ok(dns)) = (kernel, &case.around.cluster_dns) else { return false };
    let mut rows = kernel.frontends.iter().filter(|(at, _)| dns.is_frontend(at.ip, at.port)).peekable();
    rows.peek().is_some() && rows.all(|(_, row)| row.backends.is_empty())
}

/// `service-translation-missing`: packets to service addresses leave the pods untranslated though the table has them.
pub(super) fn translation_missing(case: &Case) -> Exclusion {
    let Some(picture) = case.picture() else {
        return Exclusion::open("the conntrack dump was not read", Evidence::CtList.name());
    };
    let untranslated = picture.sum(&[Group::ServiceDns, Group::PodToService]);
    let translated = picture.sum(&[Group::ClusterDns, Group::NodeLocalDns, Group::LinkLocalDns]);
    let in_table = case.around.cluster_dns.as_ref().is_ok_and(|dns| {
        case.backends
            .list
            .iter()
            .flat_map(|list| &list.rows)
            .any(|row| dns.addresses.contains(&row.frontend.ip) && row.active().next().is_some())
    });
    let figures = [
        ("way", "service-address".into()),
        ("dead", untranslated.dead().into()),
        ("decided", untranslated.decided().into()),
    ];
    if life(&untranslated, FEW) != Life::Dead {
        let says = match untranslated.live() {
            0 => "no flow of a pod goes to a service address untranslated".to_owned(),
            live => format!("{} of {live} flows to service addresses get no answer", untranslated.dead()),
        };
        return Exclusion::out(says, figures);
    }
    if translated_by_others(case) {
        let says = "kube-proxy may translate service addresses on this node, behind Cilium's conntrack entries";
        return Exclusion::open(says, "the same flows on another node");
    }
    if kernel_holds_none(case) {
        return Exclusion::out("the kernel's service table holds no backend of cluster DNS to translate to", figures);
    }
    if translated.answered > 0 || !in_table || !reaches_world(case) {
        let says = format!(
            "{} flows go to service addresses untranslated, but {}",
            untranslated.dead(),
            if translated.answered > 0 {
                "other DNS flows are translated and answered"
            } else if in_table {
                "pods do not reach the world either"
            } else {
                "the service table does not hold that service"
            }
        );
        return Exclusion::open(says, "service-list");
    }
    let summary = "Packets of pods go out to service addresses untranslated, although the service table holds them.";
    let says = Says::new(
        format!(
            "{} of {} live flows to service addresses left the pods untranslated and get no answer",
            untranslated.dead(),
            untranslated.decided()
        ),
        figures,
    );
    Exclusion::applies(
        Opinion::new(Code::ServiceTranslationMissing, Confidence::Medium, summary)
            .because(Because::said("ct-list", says))
            .because(Because::check(
                crate::knowledge::check_id::CheckId::DnsBackends,
                case.backends.finding.summary.clone(),
            )),
    )
}
