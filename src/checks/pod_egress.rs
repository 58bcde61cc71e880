//! `pod-egress`: does a pod of this node reach the outside, by name and by address?
//!
//! An answer of any kind is a pass: a page that is not there, an untrusted certificate, a refusal. The question is
//! the path, not the page.

use std::net::IpAddr;

pub use super::probe_words::{Lookup, read_lookup};
use super::probe_words::{asked_server, fetched};
use super::{Finding, Outcome, PodEgressData, ProbeData, Status};
use crate::base::answer::{End, Raw};
use crate::base::failure::{Failure, FailureKind};
use crate::base::net::Families;
use crate::base::pod_ref::PodRef;
use crate::base::time::Timestamp;

/// The three answers of one pod.
#[derive(Clone, Debug)]
pub struct ProbeRaw {
    /// The pod that was asked.
    pub pod: PodRef,
    /// The families of the pod's addresses, as far as they are known.
    pub own: Families,
    /// By name.
    pub by_name: Raw,
    /// By address.
    pub by_address: Raw,
    /// A lookup of a cluster name.
    pub dns: Raw,
}

/// What all pods that probed say together.
#[derive(Clone, Debug)]
pub struct Egress {
    /// The check.
    pub finding: Finding<PodEgressData>,
    /// Whether some pod reached the outside by name; none if no probe could ask.
    pub by_name: Option<bool>,
    /// Whether some pod reached the outside by address; none if no probe could ask.
    pub by_address: Option<bool>,
    /// Whether some pod's lookup of a cluster name found it; none where no lookup could say. A server that does not know
    /// the name decides nothing: it may be another than the cluster's.
    pub dns: Option<bool>,
    /// Whether some pod's lookup got a packet back from the server's address, whatever it said: then the way there and
    /// back lives. None where no lookup could say.
    pub dns_answered: Option<bool>,
    /// Whether pods disagree: one reaches the outside, another does not.
    pub mixed: bool,
    /// Whether a question was never answered. A missing tool does not count.
    pub lost: bool,
    /// The pods that could not reach the outside though they asked.
    pub failing: Vec<PodRef>,
    /// The DNS server that serves cluster names by the lookups, or, where none was found, a server that did not answer. A
    /// server that answered that the name does not exist is not the cluster's.
    pub dns_server: Option<IpAddr>,
    /// When the first question by address was asked, RFC 3339.
    pub by_address_at: Option<Timestamp>,
}

/// Reads the answers of all pods that were asked.
#[must_use]
pub fn judge(probes: &[ProbeRaw], nobody: Option<Failure>) -> Egress {
    let data: Vec<ProbeData> = probes.iter().map(probe).collect();
    let lookups: Vec<(Lookup, Option<IpAddr>)> =
        probes.iter().map(|p| (read_lookup(&p.dns), asked_server(&p.dns))).collect();
    let by_name = any(data.iter().map(|p| worked(p.by_name)));
    let by_address = any(data.iter().map(|p| worked(p.by_address)));
    let dns = any(lookups.iter().map(|(lookup, _)| lookup.works()));
    let dns_answered = any(lookups.iter().map(|(lookup, _)| lookup.was_answered()));
    let reached = |p: &ProbeData| worked(p.by_name).or(worked(p.by_address));
    let failing: Vec<PodRef> = data
        .iter()
        .filter(|p| reached(p) == Some(false))
        .map(|p| PodRef { namespace: p.namespace.clone(), name: p.pod.clone() })
        .collect();
    let mixed = !failing.is_empty() && data.iter().any(|p| reached(p) == Some(true));
    let (status, summary, reason) = match (by_name, by_address) {
        (None, None) => {
            let why = why_nobody(probes, nobody);
            (Status::Unknown, why.message.clone(), Some(why))
        }
        _ if mixed => {
            let names: Vec<String> = failing.iter().map(ToString::to_string).collect();
            let says = format!("some pods reach the outside, {} does not", names.join(", "));
            (Status::Warn, says, None)
        }
        (Some(true), Some(false)) => {
            (Status::Pass, format!("{} reaches the outside by name, though not that address", who(&data)), None)
        }
        (Some(true), _) => (Status::Pass, format!("{} reaches the outside", who(&data)), None),
        (None, Some(true)) => (Status::Pass, format!("{} reaches the outside by address", who(&data)), None),
        (Some(false), Some(true)) => {
            (Status::Fail, format!("{} reaches the outside by address, but not by name", who(&data)), None)
        }
        (Some(false), None) => (Status::Fail, format!("{} does not reach the outside by name", who(&data)), None),
        (None, Some(false)) => (Status::Fail, format!("{} does not reach the outside by address", who(&data)), None),
        (Some(false), Some(false)) => {
            (Status::Fail, format!("{} reaches the outside neither by name nor by address", who(&data)), None)
        }
    };
    let durations = probes.iter().flat_map(|p| [&p.by_name, &p.by_address, &p.dns]);
    let duration_ms = durations.filter_map(|r| r.answer.duration_ms).reduce(u64::saturating_add);
    let server = |wanted: &dyn Fn(Lookup) -> bool| {
        lookups.iter().filter(|(lookup, _)| wanted(*lookup)).find_map(|(_, server)| *server)
    };
    let dns_server = server(&|lookup| lookup == Lookup::Found).or_else(|| server(&|lookup| lookup.works().is_some()));
    let lost = probes.iter().any(is_lost) || probes.is_empty() && reason.as_ref().is_some_and(|r| !no_tool(r.kind));
    let finding = Finding { status, summary, reason, duration_ms, data: PodEgressData { probes: data } };
    // RFC 3339 in UTC sorts as time does.
    let by_address_at = probes.iter().filter_map(|p| p.by_address.answer.started_at).min();
    Egress { finding, by_name, by_address, dns, dns_answered, mixed, lost, failing, dns_server, by_address_at }
}

/// Whether one of those that decide says yes; none where none decides.
fn any(decided: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    decided.flatten().reduce(|any, one| any || one)
}

const fn no_tool(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::NotFound | FailureKind::NoShell)
}

fn is_lost(probe: &ProbeRaw) -> bool {
    [&probe.by_name, &probe.by_address].into_iter().any(|raw| match &raw.answer.end {
        End::Exited(_) => false,
        End::Failed(failure) => !no_tool(failure.kind),
        End::NotGathered(_) => true,
    })
}

/// The probes that decided something: the pod reached the outside, or did not.
pub fn decided(probes: &[ProbeData]) -> impl Iterator<Item = &ProbeData> {
    probes.iter().filter(|p| worked(p.by_name).or(worked(p.by_address)).is_some())
}

/// The pods whose probes decided something, in words.
fn who(data: &[ProbeData]) -> String {
    let names: Vec<String> = decided(data).map(|p| format!("{}/{}", p.namespace, p.pod)).collect();
    match names.len() {
        1 => names.into_iter().next().unwrap_or_default(),
        n => format!("each of {n} pods"),
    }
}

const fn worked(outcome: Outcome) -> Option<bool> {
    match outcome {
        Outcome::Ok => Some(true),
        Outcome::Failed | Outcome::Timeout => Some(false),
        Outcome::Unsupported => None,
    }
}

/// Why no probe came about: the reason that an operator can do something about wins.
fn why_nobody(probes: &[ProbeRaw], nobody: Option<Failure>) -> Failure {
    let failures: Vec<&Failure> = probes
        .iter()
        .flat_map(|p| [&p.by_name, &p.by_address])
        .filter_map(|raw| match &raw.answer.end {
            End::Failed(failure) => Some(failure),
            End::Exited(_) | End::NotGathered(_) => None,
        })
        .collect();
    let rank = |kind: FailureKind| match kind {
        FailureKind::Forbidden => 0,
        FailureKind::Timeout => 1,
        FailureKind::Unreachable => 2,
        FailureKind::Truncated | FailureKind::Other => 3,
        FailureKind::NotFound | FailureKind::NoShell => 4,
    };
    let worst = failures.into_iter().min_by_key(|f| rank(f.kind)).cloned();
    match (worst, nobody) {
        (Some(f), _) if rank(f.kind) < 4 => f,
        (Some(f), _) => Failure::new(
            f.kind,
            match probes.len() {
                1 => "the one pod that was tried has no tool to probe with; name another with --probe-pod".to_owned(),
                n => format!(
                    "none of the {n} pods that were tried has a tool to probe with; name another with --probe-pod"
                ),
            },
        ),
        (None, Some(failure)) => failure,
        (None, None) if probes.is_empty() => Failure::new(FailureKind::NotFound, "no pod of this node was asked"),
        (None, None) => {
            Failure::new(FailureKind::Other, format!("the probes say nothing about the path: {}", why_unsaid(probes)))
        }
    }
}

/// The last thing that a probe said which ran and says nothing about the path.
fn why_unsaid(probes: &[ProbeRaw]) -> String {
    let ran = probes.iter().flat_map(|p| [(&p.pod, &p.by_name), (&p.pod, &p.by_address)]);
    let mut said = ran.filter_map(|(pod, raw)| match raw.answer.end {
        End::Exited(code) => Some((pod, raw.answer.argv.first()?, raw.answer.stderr.lines().last(), code)),
        End::Failed(_) | End::NotGathered(_) => None,
    });
    match said.next() {
        Some((pod, tool, Some(words), _)) => format!("{tool} in {pod} says \"{words}\""),
        Some((pod, tool, None, code)) => format!("{tool} in {pod} ended with exit code {code}"),
        None => "none of them was gathered".to_owned(),
    }
}

fn probe(raw: &ProbeRaw) -> ProbeData {
    let tool = [&raw.by_name, &raw.by_address]
        .into_iter()
        .filter(|r| fetched(r, raw.own) != Outcome::Unsupported)
        .find_map(|r| r.answer.argv.first())
        .map(|program| program.rsplit('/').next().unwrap_or(program).to_owned());
    ProbeData {
        pod: raw.pod.name.clone(),
        namespace: raw.pod.namespace.clone(),
        tool,
        by_name: fetched(&raw.by_name, raw.own),
        by_address: fetched(&raw.by_address, raw.own),
        dns: read_lookup(&raw.dns).outcome(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::answer::Answer;

    fn raw(argv: &[&str], code: i32, stdout: &str, stderr: &str) -> Raw {
        let mut answer = Answer::not_gathered("");
        answer.argv = argv.iter().map(|a| (*a).to_owned()).collect();
        answer.end = End::Exited(code);
        answer.stderr = stderr.to_owned();
        Raw { answer, stdout: stdout.as_bytes().to_vec() }
    }

    #[test]
    fn nobody_to_ask_is_unknown_with_the_reason_that_matters() {
        let mut refused = raw(&["wget"], 0, "", "");
        refused.answer.end = End::Failed(Failure::new(FailureKind::Forbidden, "grant get and create on pods/exec"));
        let mut missing = refused.clone();
        missing.answer.end = End::Failed(Failure::new(FailureKind::NotFound, "no wget"));
        let all = |raw: &Raw| probed(raw.clone(), raw.clone(), raw.clone());
        let egress = judge(&[all(&missing), all(&refused)], None);
        assert_eq!((egress.by_name, egress.by_address, egress.finding.status), (None, None, Status::Unknown));
        assert_eq!(egress.finding.reason.map(|r| r.kind), Some(FailureKind::Forbidden));
    }

    fn probed(by_name: Raw, by_address: Raw, dns: Raw) -> ProbeRaw {
        let pod = PodRef { namespace: "apps".to_owned(), name: "web".to_owned() };
        ProbeRaw { pod, own: Families { v4: true, v6: false }, by_name, by_address, dns }
    }

    fn looked(server: &str, code: i32, rest: &str) -> Raw {
        raw(&["nslookup", "db"], code, &format!("Server:\t\t{server}\nAddress:\t{server}#53\n\n{rest}"), "")
    }

    #[test]
    fn a_server_that_does_not_know_cluster_names_is_not_the_clusters() {
        let fine = || raw(&["wget", "https://pages.example.org"], 0, "", "");
        let other = looked("192.0.2.53", 1, "** server can't find db: NXDOMAIN\n");
        let alone = judge(&[probed(fine(), fine(), other.clone())], None);
        assert_eq!((alone.dns, alone.dns_answered, alone.dns_server), (None, Some(true), None));
        assert_eq!(alone.finding.data.probes[0].dns, Outcome::Failed);
        let found = looked("10.43.0.10", 0, "Name:\tdb\nAddress: 10.43.0.1\n");
        let both = judge(&[probed(fine(), fine(), other), probed(fine(), fine(), found)], None);
        assert_eq!((both.dns, both.dns_server), (Some(true), "10.43.0.10".parse().ok()));
        let dead = looked("10.43.0.10", 1, "** server can't find db: SERVFAIL\n");
        let dead = judge(&[probed(fine(), fine(), dead)], None);
        assert_eq!((dead.dns, dead.dns_answered), (Some(false), Some(true)));
    }

    #[test]
    fn probes_that_say_nothing_about_the_path_are_unknown_and_quoted() {
        let none =
            |url: &str| raw(&["wget", url], 1, "", "wget: can't connect to remote host: Network is unreachable\n");
        let mut probe =
            probed(none("https://pages.example.org"), none("http://192.0.2.7"), looked("10.43.0.10", 0, ""));
        probe.own = Families { v4: false, v6: true };
        let egress = judge(&[probe], None);
        assert_eq!((egress.by_name, egress.by_address, egress.finding.status), (None, None, Status::Unknown));
        assert!(egress.finding.summary.contains("Network is unreachable"), "{}", egress.finding.summary);
    }
}
