//! What the messages and exit codes of wget, curl, bash, nslookup and getent mean for the path.
//!
//! The question is the path, not the page: an answer of any kind from the far end is [`Outcome::Ok`]. What no one on the
//! path was asked (a tool that crashed, a proxy, a sidecar that answered in the far end's place, an address family that
//! the pod does not have) is [`Outcome::Unsupported`].

use std::net::IpAddr;

use super::Outcome;
use crate::base::answer::{End, Raw};
use crate::base::net::Families;
use crate::base::probe_tools::{host_and_port, is_usage_error};

/// The status codes that a gateway gives when it could not reach the far end itself.
const GATEWAY_ERRORS: [&str; 3] = ["502", "503", "504"];

/// What became of a fetch. `own` are the address families of the pod, as far as they are known.
pub(super) fn fetched(raw: &Raw, own: Families) -> Outcome {
    let End::Exited(code) = raw.answer.end else {
        return Outcome::Unsupported;
    };
    let said = Said::by(raw);
    if never_tried(raw, code, &said) {
        return Outcome::Unsupported;
    }
    let url = raw.answer.argv.last().map_or("", String::as_str);
    if answered_in_between(url, &said) {
        return Outcome::Unsupported;
    }
    if code == 0 {
        return Outcome::Ok;
    }
    let program = program(raw);
    // Names that are not found, before anything else: nothing was connected to.
    if said.has(&UNKNOWN_NAME) {
        return unknown_name(raw, program, &said);
    }
    // A signal that came at once did not end a wait: something else killed the tool.
    if matches!(code, 137 | 143) && !waited_at_all(raw) {
        return Outcome::Unsupported;
    }
    let timed_out = (program == "curl" && code == 28)
        || matches!(code, 124 | 137 | 143)
        || said.has(&["timed out", "timeout", "time-out"])
        || (program == "wget" && code == 4 && waited(raw));
    if timed_out {
        return Outcome::Timeout;
    }
    if said.has(&NO_FAMILY) {
        return without_family(asked_address(raw), own);
    }
    if said.has(&NO_HOST) {
        return Outcome::Failed;
    }
    let far_end_spoke = match program {
        // GNU wget: 5 TLS, 6 login, 7 protocol, 8 an error of the server.
        "wget" => matches!(code, 5..=8),
        // curl: 16 and 92 HTTP/2 framing, 18 a part of the page, 22 an error of the server, 23 a page that could not be
        // kept, 35, 51, 58, 60, 83 TLS, 52 an empty answer, 56 a reset.
        "curl" => matches!(code, 8 | 16 | 18 | 22 | 23 | 35 | 47 | 51 | 52 | 56 | 58 | 60 | 61 | 83 | 92),
        _ => false,
    };
    if far_end_spoke || said.has(&FAR_END) { Outcome::Ok } else { Outcome::Failed }
}

/// Whether a fetch took as long as its own limit: GNU's wget says nothing at all under `-q`, but for this.
fn waited(raw: &Raw) -> bool {
    raw.answer.duration_ms.is_some_and(|took| took >= OWN_LIMIT_MS)
}

/// Whether a tool ran for a second or more; one that was not timed may have.
fn waited_at_all(raw: &Raw) -> bool {
    raw.answer.duration_ms.is_none_or(|took| took >= 1_000)
}

/// The limit that the probes give a tool, in milliseconds.
const OWN_LIMIT_MS: u64 = 5_000;
/// Words of a name that no server knew.
const UNKNOWN_NAME: [&str; 9] = [
    "bad address",
    "could not resolve",
    "couldn't resolve",
    "unable to resolve",
    "name resolution",
    "name or service not known",
    "name does not resolve",
    "try again",
    "nodename nor servname",
];
/// Words of a socket that found no route because there is no address of the family: glibc, musl and macOS word it in
/// their own ways.
const NO_FAMILY: [&str; 7] = [
    "network is unreachable",
    "network unreachable",
    "address family not supported",
    "address not available",
    "cannot assign requested address",
    "can't assign requested address",
    "protocol not supported",
];
/// Words of a router, or of a neighbour that is not there.
const NO_HOST: [&str; 4] = ["no route to host", "host is unreachable", "host unreachable", "host is down"];
/// Words that only come when the far end said something.
const FAR_END: [&str; 12] = [
    "refused",
    "server returned error",
    "http/1.",
    "http/2",
    "connection reset",
    "error getting response",
    "connection closed prematurely",
    "bad header",
    "short read",
    "certificate",
    "ssl",
    "tls",
];

/// What a tool said on both streams, in lower case.
struct Said(String);

impl Said {
    fn by(raw: &Raw) -> Self {
        Self((String::from_utf8_lossy(&raw.stdout).into_owned() + &raw.answer.stderr).to_lowercase())
    }

    fn has(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.0.contains(word))
    }
}

fn program(raw: &Raw) -> &str {
    raw.answer.argv.first().map_or("", |program| program.rsplit('/').next().unwrap_or(program))
}

/// Words of a tool that ran out of something.
const OUT_OF: [&str; 6] =
    ["thread failed to start", "cannot allocate memory", "out of memory", "can't fork", "cannot fork", "fork: "];

/// Whether the tool never used the path: it is not there, does not know the options, crashed, ran out of something,
/// or went to a proxy.
fn never_tried(raw: &Raw, code: i32, said: &Said) -> bool {
    if code == 0 {
        return false;
    }
    let program = program(raw);
    // Not there, not executable; ended by one of the signals that a broken program gets.
    let broken = matches!(code, 126 | 127 | 132 | 134 | 135 | 136 | 138 | 139 | 159);
    // A usage text names options: the rest of it is ignored.
    if broken || is_usage_error(&raw.answer.stderr) {
        return true;
    }
    match program {
        // 1 to 4: the protocol, the start, the URL, a feature that is not built in; 5 and 97: the proxy; 27: memory.
        "curl" => {
            matches!(code, 1..=5 | 27 | 97)
                || said.has(&OUT_OF)
                || said.has(&["from proxy", "proxy connect", "connect tunnel failed", "could not resolve proxy"])
                || connects_elsewhere(raw, said)
        }
        // A bash that was built without it opens a file of that name.
        "bash" => said.has(&OUT_OF) || said.has(&["no such file or directory"]),
        _ => said.has(&OUT_OF) || said.has(&["proxy tunneling failed", "error parsing proxy"]),
    }
}

/// curl names the host that it connects to; one that was not asked for is a proxy's, for redirects are not followed.
fn connects_elsewhere(raw: &Raw, said: &Said) -> bool {
    let asked = raw.answer.argv.last().and_then(|url| host_and_port(url));
    let to = said.0.split_once("failed to connect to ").and_then(|(_, rest)| rest.split_whitespace().next());
    match (asked, to) {
        (Some((asked, _)), Some(to)) => to.trim_matches(['[', ']']) != asked.to_lowercase(),
        _ => false,
    }
}

/// Whether something on the path answered in the far end's place: an Envoy that names itself, or a gateway's error to a
/// request that anybody on the way can read.
fn answered_in_between(url: &str, said: &Said) -> bool {
    if said.has(&["upstream connect error", "server: envoy", "server: istio-envoy", "no healthy upstream"]) {
        return true;
    }
    let plain = url.starts_with("http://");
    let status = |text: &str| GATEWAY_ERRORS.iter().any(|error| text.starts_with(error));
    let worded = ["http/1.0 ", "http/1.1 ", "http/2 ", "error "].iter().any(|before| {
        let mut behind = said.0.match_indices(before).map(|(at, _)| &said.0[at + before.len()..]);
        behind.any(status)
    });
    // What curl writes out for `%{http_code}`.
    let written = said.0.lines().any(|line| line.trim().len() == 3 && status(line.trim()));
    plain && (worded || written)
}

fn unknown_name(raw: &Raw, program: &str, said: &Said) -> Outcome {
    match asked_address(raw) {
        // The page of 1.1.1.1 is a redirect to this name: whoever can't find it had that answer.
        Some(_) if program == "wget" && said.has(&["one.one.one.one"]) => Outcome::Ok,
        // Another name that was not asked for is a proxy's: the path itself was not tried.
        Some(address) if !said.0.contains(&address.to_string()) => Outcome::Unsupported,
        _ if said.has(&["timed out", "timeout"]) => Outcome::Timeout,
        _ => Outcome::Failed,
    }
}

/// A socket that finds no route at once says something about the path only where the pod is known to have an address of
/// the family that was asked for; a name may have had addresses of the other family alone.
const fn without_family(asked: Option<IpAddr>, own: Families) -> Outcome {
    let has_it = match asked {
        Some(address) => own.has_family_of(address),
        None => own.v4 && own.v6,
    };
    if has_it { Outcome::Failed } else { Outcome::Unsupported }
}

/// The address that a fetch asked for, where its URL has no name.
fn asked_address(raw: &Raw) -> Option<IpAddr> {
    let argv = &raw.answer.argv;
    let host = match argv.last().and_then(|url| host_and_port(url)) {
        Some((host, _)) if program(raw) != "bash" => host,
        // The host and the port are bash's last two arguments.
        _ => argv.iter().rev().nth(1)?.clone(),
    };
    host.parse().ok()
}

/// What became of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The name has an address.
    Found,
    /// A server answered that the name, or an address of it, does not exist: the way to that server works, and it does
    /// not serve this name.
    NoSuchName,
    /// A server answered that it failed, or refused to answer.
    ServerFailed,
    /// The host that should serve names refused the packet: no server listens there.
    Refused,
    /// It failed, and the tool does not say how.
    Unclear,
    /// No server answered in time.
    Silent,
    /// The path was not tried.
    NotAsked,
}

impl Lookup {
    /// The word in reports.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Found => Outcome::Ok,
            Self::NoSuchName | Self::ServerFailed | Self::Refused | Self::Unclear => Outcome::Failed,
            Self::Silent => Outcome::Timeout,
            Self::NotAsked => Outcome::Unsupported,
        }
    }

    /// Whether DNS does what it is there for; none where this lookup can't say. A server that knows no such name works,
    /// but may be another than the cluster's: it decides nothing.
    #[must_use]
    pub const fn works(self) -> Option<bool> {
        match self {
            Self::Found => Some(true),
            Self::ServerFailed | Self::Refused | Self::Silent => Some(false),
            Self::NoSuchName | Self::Unclear | Self::NotAsked => None,
        }
    }

    /// Whether a packet came back from the server's address, so that the way there and back lives; none where it is not
    /// known.
    #[must_use]
    pub const fn was_answered(self) -> Option<bool> {
        match self {
            Self::Found | Self::NoSuchName | Self::ServerFailed | Self::Refused => Some(true),
            Self::Silent => Some(false),
            Self::Unclear | Self::NotAsked => None,
        }
    }
}

/// Reads a lookup by nslookup (of ISC, or of BusyBox old and new), getent or dig.
#[must_use]
pub fn read_lookup(raw: &Raw) -> Lookup {
    let End::Exited(code) = raw.answer.end else {
        return Lookup::NotAsked;
    };
    let said = Said::by(raw);
    if never_tried(raw, code, &said) {
        return Lookup::NotAsked;
    }
    // An address of one family is enough, whatever the answer for the other.
    if names_an_address(&raw.stdout) {
        return Lookup::Found;
    }
    if said.has(&["nxdomain", "no answer", "non-existent domain", "name does not resolve"]) {
        return Lookup::NoSuchName;
    }
    if said.has(&["servfail", "server failed", "got refused", "refused reply", ": refused", "formerr", "notimp"])
        && !said.has(&["connection refused"])
    {
        return Lookup::ServerFailed;
    }
    if said.has(&["connection refused"]) {
        return Lookup::Refused;
    }
    if matches!(code, 137 | 143) && !waited_at_all(raw) {
        return Lookup::NotAsked;
    }
    if matches!(code, 124 | 137 | 143) || said.has(&["no servers could be reached", "timed out", "no response"]) {
        return Lookup::Silent;
    }
    match code {
        // dig ends well whatever the server said; without an address it does not say what that was.
        0 if matches!(program(raw), "dig" | "kdig" | "drill") && raw.stdout.trim_ascii().is_empty() => Lookup::Unclear,
        // Some nslookups end well whatever they found.
        0 if !said.has(&["can't resolve", "can't find"]) => Lookup::Found,
        // getent has one exit code for all that a name can lack.
        2 if program(raw) == "getent" => Lookup::Unclear,
        _ if said.has(&["can't resolve", "can't find"]) => Lookup::Unclear,
        _ => Lookup::ServerFailed,
    }
}

/// `Name:` and below it an address, as all nslookups print what they found. The server's own address stands above.
fn names_an_address(stdout: &[u8]) -> bool {
    let text = String::from_utf8_lossy(stdout);
    let mut lines = text.lines().map(str::trim_start).skip_while(|line| !line.starts_with("Name:")).skip(1);
    lines.any(|line| line.starts_with("Address"))
}

/// The server that a lookup went to: `Server:   169.254.25.10`, as all nslookups print it.
pub(super) fn asked_server(raw: &Raw) -> Option<IpAddr> {
    let text = String::from_utf8_lossy(&raw.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("Server:"))?;
    let server = line.trim().trim_end_matches("#53");
    server.trim_matches(['[', ']']).parse().ok()
}

#[cfg(test)]
mod tests;
