//! `pod-egress`: does a pod of this node reach the outside, by name and by address?
//!
//! An answer of any kind is a pass: a page that is not there, a certificate nobody trusts, a refusal. The question is
//! the path, not the page.

use std::net::IpAddr;

use super::{Finding, Outcome, PodEgressData, ProbeData, Status};
use crate::base::answer::{End, Raw};
use crate::base::failure::{Failure, FailureKind};
use crate::base::pod_ref::PodRef;
use crate::base::probe_tools::{host_and_port, is_usage_error};

/// The three answers of one pod.
#[derive(Clone, Debug)]
pub struct ProbeRaw {
    /// The pod that was asked.
    pub pod: PodRef,
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
    /// Whether some pod reached the outside by name; none where nobody could ask.
    pub by_name: Option<bool>,
    /// Whether some pod reached the outside by address; none where nobody could ask.
    pub by_address: Option<bool>,
    /// Whether some pod's lookup was answered; none where nobody could ask.
    pub dns: Option<bool>,
    /// Whether pods disagree: one reaches the outside, another does not.
    pub mixed: bool,
    /// Whether a question got lost: asked, or to be asked, and never answered. A tool that is not there is no loss.
    pub lost: bool,
    /// The pods that could not reach the outside though they asked.
    pub failing: Vec<PodRef>,
    /// The DNS server that the lookups went to, where they say so.
    pub dns_server: Option<IpAddr>,
    /// When the first question by address was asked, RFC 3339.
    pub by_address_at: Option<String>,
}

/// Reads the answers of all pods that were asked.
#[must_use]
pub fn judge(probes: &[ProbeRaw], nobody: Option<Failure>) -> Egress {
    let data: Vec<ProbeData> = probes.iter().map(probe).collect();
    let any = |outcome: fn(&ProbeData) -> Outcome| {
        let decided: Vec<bool> = data.iter().filter_map(|p| worked(outcome(p))).collect();
        (!decided.is_empty()).then(|| decided.contains(&true))
    };
    let (by_name, by_address, dns) = (any(|p| p.by_name), any(|p| p.by_address), any(|p| p.dns));
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
    let dns_server = probes.iter().find_map(|p| dns_server(&p.dns));
    let lost = probes.iter().any(is_lost) || probes.is_empty() && reason.as_ref().is_some_and(|r| !no_tool(r.kind));
    let finding = Finding { status, summary, reason, duration_ms, data: PodEgressData { probes: data } };
    // RFC 3339 in UTC sorts as time does.
    let by_address_at = probes.iter().filter_map(|p| p.by_address.answer.started_at.clone()).min();
    Egress { finding, by_name, by_address, dns, mixed, lost, failing, dns_server, by_address_at }
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

/// The pods whose probes decided something, in words.
fn who(data: &[ProbeData]) -> String {
    let decided = data.iter().filter(|p| worked(p.by_name).or(worked(p.by_address)).is_some());
    let names: Vec<String> = decided.map(|p| format!("{}/{}", p.namespace, p.pod)).collect();
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
                1 => "the one pod that was tried has no tool to probe with; name one that has with --probe-pod"
                    .to_owned(),
                n => format!(
                    "none of the {n} pods that were tried has a tool to probe with; name one that has with --probe-pod"
                ),
            },
        ),
        (None, Some(failure)) => failure,
        (None, None) => Failure::new(FailureKind::NotFound, "no pod of this node was asked"),
    }
}

fn probe(raw: &ProbeRaw) -> ProbeData {
    let tool = [&raw.by_name, &raw.by_address]
        .into_iter()
        .filter(|r| fetched(r) != Outcome::Unsupported)
        .find_map(|r| r.answer.argv.first())
        .map(|program| program.rsplit('/').next().unwrap_or(program).to_owned());
    ProbeData {
        pod: raw.pod.name.clone(),
        namespace: raw.pod.namespace.clone(),
        tool,
        by_name: fetched(&raw.by_name),
        by_address: fetched(&raw.by_address),
        dns: looked_up(&raw.dns),
    }
}

/// What became of a fetch, by the tool's own words.
fn fetched(raw: &Raw) -> Outcome {
    let End::Exited(code) = raw.answer.end else {
        return Outcome::Unsupported;
    };
    let program = raw.answer.argv.first().map_or("", |p| p.rsplit('/').next().unwrap_or(p));
    let said = said(raw);
    let has = |words: &[&str]| words.iter().any(|w| said.contains(w));
    match code {
        0 => return Outcome::Ok,
        126 | 127 => return Outcome::Unsupported,
        _ => {}
    }
    // The tool can't ask in this way. Its usage names options, so no word of it is read further.
    if is_usage_error(&raw.answer.stderr) || (program == "curl" && code == 2) {
        return Outcome::Unsupported;
    }
    // Names that are not found, before anything else: nothing was connected to.
    if has(&["bad address", "could not resolve", "unable to resolve", "name resolution", "name or service not known"])
        || has(&["name does not resolve", "try again", "nodename nor servname"])
    {
        return match asked_address(raw) {
            // The page of 1.1.1.1 is a redirect to this name: whoever can't find it had that answer.
            Some(_) if program == "wget" && has(&["one.one.one.one"]) => Outcome::Ok,
            // Another name that was not asked for is a proxy's: nobody tried the path itself.
            Some(address) if !said.contains(&address.to_string()) => Outcome::Unsupported,
            _ if has(&["timed out"]) => Outcome::Timeout,
            _ => Outcome::Failed,
        };
    }
    // The far end said something.
    let far_end_spoke = match program {
        // GNU wget: 5 TLS, 6 login, 7 protocol, 8 an error of the server.
        "wget" => matches!(code, 5..=8),
        // curl: 22 an error of the server, 35, 51, 58, 60, 83 TLS, 52 an empty answer, 56 a reset.
        "curl" => matches!(code, 22 | 35 | 47 | 51 | 52 | 56 | 58 | 60 | 83),
        _ => false,
    };
    let words =
        ["refused", "server returned error", "http/1.", "http/2", "connection reset", "certificate", "ssl", "tls"];
    if far_end_spoke || (has(&words) && !has(&["timed out", "timeout"])) {
        return Outcome::Ok;
    }
    let timed_out = (program == "curl" && code == 28) || matches!(code, 124 | 137 | 143);
    if timed_out || has(&["timed out", "timeout"]) { Outcome::Timeout } else { Outcome::Failed }
}

/// The address that a fetch asked for, where its URL has no name.
fn asked_address(raw: &Raw) -> Option<IpAddr> {
    let (host, _) = raw.answer.argv.last().and_then(|url| host_and_port(url))?;
    host.parse().ok()
}

/// What became of a lookup. That a name is not known is an answer; that the server failed is not the one wanted.
#[must_use]
pub fn looked_up(raw: &Raw) -> Outcome {
    let End::Exited(code) = raw.answer.end else {
        return Outcome::Unsupported;
    };
    let said = said(raw);
    match code {
        // Some nslookups end well whatever they found.
        0 if said.contains("no servers could be reached") && !said.contains("name:") => Outcome::Timeout,
        0 => Outcome::Ok,
        126 | 127 => Outcome::Unsupported,
        _ if said.contains("connection refused") => Outcome::Failed,
        124 | 137 | 143 => Outcome::Timeout,
        _ if said.contains("nxdomain") || said.contains("no answer") => Outcome::Ok,
        _ if said.contains("timed out") || said.contains("no servers could be reached") => Outcome::Timeout,
        _ => Outcome::Failed,
    }
}

/// Both streams, in lower case.
fn said(raw: &Raw) -> String {
    (String::from_utf8_lossy(&raw.stdout).into_owned() + &raw.answer.stderr).to_lowercase()
}

/// `Server:   169.254.25.10`, as both nslookups print it.
fn dns_server(raw: &Raw) -> Option<IpAddr> {
    let text = String::from_utf8_lossy(&raw.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("Server:"))?;
    line.trim().trim_end_matches("#53").parse().ok()
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
    fn an_answer_of_any_kind_is_a_pass() {
        for (program, code, stderr) in [
            ("wget", 0, ""),
            ("wget", 8, "ERROR 404: Not Found."),
            ("wget", 5, "cannot verify the certificate"),
            ("wget", 1, "wget: server returned error: HTTP/1.1 403 Forbidden"),
            ("wget", 1, "wget: can't connect to remote host (1.1.1.1): Connection refused"),
            ("curl", 60, "curl: (60) SSL certificate problem: unable to get local issuer certificate"),
            ("curl", 7, "curl: (7) Failed to connect to 1.1.1.1 port 80: Connection refused"),
            ("bash", 1, "bash: connect: Connection refused"),
        ] {
            assert_eq!(fetched(&raw(&[program], code, "", stderr)), Outcome::Ok, "{program} {code} {stderr}");
        }
    }

    #[test]
    fn whoever_is_sent_from_an_address_to_a_name_had_an_answer() {
        let argv = ["wget", "-q", "-O", "/dev/null", "--timeout=5", "http://1.1.1.1"];
        for said in [
            "wget: bad address 'one.one.one.one'",
            "wget: unable to resolve host address 'one.one.one.one'",
            "Resolving one.one.one.one... failed: Temporary failure in name resolution.",
        ] {
            assert_eq!(fetched(&raw(&argv, 1, "", said)), Outcome::Ok, "{said}");
        }
        assert_eq!(fetched(&raw(&argv, 1, "", "wget: bad address '1.1.1.1'")), Outcome::Failed);
        assert_eq!(fetched(&raw(&argv, 1, "", "wget: bad address 'proxy.corp'")), Outcome::Unsupported);
        let curl = raw(&["curl", "-sS", "http://1.1.1.1"], 5, "", "curl: (5) Could not resolve proxy: proxy.corp");
        assert_eq!(fetched(&curl), Outcome::Unsupported, "nobody was reached, and nobody was tried");
    }

    #[test]
    fn a_tool_that_cannot_ask_so_did_not_ask() {
        for (program, code, stderr) in [
            (
                "wget",
                1,
                "wget: unrecognized option: timeout=5\nBusyBox v1.35.0 multi-call binary.\n -T SEC  Network read timeout is SEC seconds",
            ),
            ("wget", 2, "wget: unrecognized option '--timeout=5'"),
            ("wget", 1, "wget: not an http or ftp url: https://google.com"),
            ("curl", 1, "curl: (1) Protocol \"https\" not supported or disabled in libcurl"),
            ("curl", 2, "curl: option --max-tyme: is unknown"),
        ] {
            assert_eq!(fetched(&raw(&[program], code, "", stderr)), Outcome::Unsupported, "{program} {code} {stderr}");
        }
    }

    #[test]
    fn silence_and_unknown_names_are_none() {
        for (program, code, stderr, outcome) in [
            ("wget", 1, "wget: bad address 'google.com'", Outcome::Failed),
            ("wget", 1, "wget: download timed out", Outcome::Timeout),
            ("wget", 4, "failed: Connection timed out.", Outcome::Timeout),
            ("wget", 4, "wget: unable to resolve host address 'google.com'", Outcome::Failed),
            ("curl", 6, "curl: (6) Could not resolve host: google.com", Outcome::Failed),
            ("curl", 28, "curl: (28) Connection timed out after 5001 milliseconds", Outcome::Timeout),
            ("curl", 28, "curl: (28) SSL connection timeout", Outcome::Timeout),
            ("bash", 124, "", Outcome::Timeout),
            ("wget", 127, "sh: wget: not found", Outcome::Unsupported),
        ] {
            assert_eq!(fetched(&raw(&[program], code, "", stderr)), outcome, "{program} {code} {stderr}");
        }
    }

    #[test]
    fn a_name_that_is_not_known_was_answered() {
        let nslookup = |code, stdout: &str| looked_up(&raw(&["nslookup"], code, stdout, ""));
        assert_eq!(nslookup(0, "Server:\t\t169.254.25.10\n"), Outcome::Ok);
        assert_eq!(nslookup(1, "** server can't find kubernetes.default: NXDOMAIN\n"), Outcome::Ok);
        assert_eq!(nslookup(1, "** server can't find kubernetes.default: SERVFAIL\n"), Outcome::Failed);
        assert_eq!(nslookup(1, ";; connection timed out; no servers could be reached\n"), Outcome::Timeout);
        let server = dns_server(&raw(&["nslookup"], 0, "Server:\t\t169.254.25.10\nAddress:\t169.254.25.10:53\n", ""));
        assert_eq!(server, "169.254.25.10".parse().ok());
    }

    #[test]
    fn nobody_to_ask_is_unknown_with_the_reason_that_matters() {
        let mut refused = raw(&["wget"], 0, "", "");
        refused.answer.end = End::Failed(Failure::new(FailureKind::Forbidden, "grant get and create on pods/exec"));
        let mut missing = refused.clone();
        missing.answer.end = End::Failed(Failure::new(FailureKind::NotFound, "no wget"));
        let pod = PodRef { namespace: "apps".to_owned(), name: "web".to_owned() };
        let of =
            |raw: &Raw| ProbeRaw { pod: pod.clone(), by_name: raw.clone(), by_address: raw.clone(), dns: raw.clone() };
        let egress = judge(&[of(&missing), of(&refused)], None);
        assert_eq!((egress.by_name, egress.by_address, egress.finding.status), (None, None, Status::Unknown));
        assert_eq!(egress.finding.reason.map(|r| r.kind), Some(FailureKind::Forbidden));
    }

    #[test]
    fn a_lookup_that_reached_no_server_is_none_whatever_its_exit_code() {
        let argv = ["nslookup", "kubernetes.default.svc.cluster.local"];
        let none = ";; connection timed out; no servers could be reached\n";
        assert_eq!(looked_up(&raw(&argv, 0, none, "")), Outcome::Timeout);
        assert_eq!(looked_up(&raw(&argv, 1, none, "")), Outcome::Timeout);
        let found = "Server: 169.254.25.10\n\nName: kubernetes.default.svc.cluster.local\nAddress: 10.43.0.1\n";
        assert_eq!(looked_up(&raw(&argv, 0, found, "")), Outcome::Ok);
        assert_eq!(looked_up(&raw(&argv, 1, "connection refused; no servers could be reached", "")), Outcome::Failed);
    }
}
