//! Log lines that speak of names that could not be resolved: which name, asked of whom, how often.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::{Kind, Looks, SAMPLE, Symptom, sample, widen};
use crate::gather::PodRef;
use crate::gather::scrub::scrub;
use crate::pattern::pattern;

/// The longest line that is looked at, in bytes; what is longer is cut.
const LINE: usize = 4 << 10;
/// The most different things that are told of one log.
const MOST: usize = 5;

/// Nobody answered: the resolver's silence in the words of Go, glibc, musl, Java, Node.js and Rust.
static SILENCE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i):53\b[^\n]{0,200}(?:i/o timeout|no route to host|network is unreachable|operation not permitted)|lookup [^\n]{0,300}(?:i/o timeout|context deadline exceeded|network is unreachable|no route to host)|temporary failure in name resolution|\bEAI_AGAIN\b|resolving timed out|(?:dns|resolv\w*|name resolution)[^\n]{0,80}(?:timed? ?out|timeout)|;; (?:connection timed out; )?no servers could be reached|\bTry again\b[^\n]{0,40}(?:lookup|getaddrinfo)|(?:lookup|getaddrinfo)[^\n]{0,120}\btry again\b",
    )
});
/// The resolver answered, and had no good news.
static ANSWER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)no such host|server misbehaving|SERVFAIL|NXDOMAIN|name or service not known|name does not resolve|could(?:n't| not) resolve (?:host|proxy)|getaddrinfo ENOTFOUND|UnknownHostException|failed to lookup address information|:53: (?:read|connect|write): connection refused",
    )
});
/// The name that was asked for.
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i)\blookup ([a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_])?\.?)(?: on |:)|(?:\bENOTFOUND |\bEAI_AGAIN |UnknownHostException: |resolve (?:host|proxy)(?: name)?[:=]? ?["']?|getaddrinfo (?:for |\()?["']?|bad address ["'])([a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_])?\.?)"#,
    )
});
/// The server that was asked.
static SERVER: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?:\bon |->)(\[[0-9a-fA-F:]+\]|[0-9]{1,3}(?:\.[0-9]{1,3}){3}):53\b"));
/// Connections that came to nothing, of names or of anything else.
static CONNECTION: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)i/o timeout|connection timed out|context deadline exceeded|Client\.Timeout|no route to host|network is unreachable|connection refused|connection reset by peer|TLS handshake timeout",
    )
});

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// Nobody answered a question for a name.
    NameUnanswered,
    /// The answer was that there is no such name, or that it could not be found out.
    NameAnswered,
    /// A connection came to nothing.
    Connection,
}

/// What a text says of names and connections; none: nothing.
pub(super) fn fate(text: &str) -> Option<Fate> {
    if SILENCE.is_match(text) {
        Some(Fate::NameUnanswered)
    } else if ANSWER.is_match(text) {
        Some(Fate::NameAnswered)
    } else {
        CONNECTION.is_match(text).then_some(Fate::Connection)
    }
}

/// Which name was asked for, and of whom.
pub(super) fn asked(text: &str) -> (Option<&str>, Option<&str>) {
    let name = NAME.captures(text).and_then(|found| found.get(1).or(found.get(2)));
    let server = SERVER.captures(text).and_then(|found| found.get(1));
    (name.map(|m| m.as_str()), server.map(|m| m.as_str()))
}

/// A sample of a line: where it is long, its end, for there the error stands.
fn ending(line: &str) -> Option<String> {
    let clean = scrub(line);
    let over = clean.chars().count().saturating_sub(SAMPLE);
    if over == 0 {
        return sample(&clean);
    }
    sample(&clean.chars().skip(over).collect::<String>()).map(|end| format!("…{end}"))
}

/// The symptoms that a log shows. Each line begins with its moment, as the API server puts it there.
pub(super) fn read(text: &str, pod: &PodRef, container: &str, host_network: bool) -> Vec<Symptom> {
    let mut found: BTreeMap<(Fate, Option<String>, Option<String>), Symptom> = BTreeMap::new();
    for line in text.lines() {
        let mut end = line.len().min(LINE);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        let line = &line[..end];
        let (moment, said) = match line.split_once(' ') {
            Some((moment, said)) if super::second(moment).is_some() => (Some(moment), said),
            _ => (None, line),
        };
        let Some(fate @ (Fate::NameUnanswered | Fate::NameAnswered)) = fate(said) else { continue };
        let (name, server) = asked(said);
        let key = (fate, name.map(str::to_owned), server.map(str::to_owned));
        let symptom = found.entry(key).or_insert_with(|| Symptom::of(Kind::DnsErrors, pod, Some(container)));
        symptom.count += 1;
        widen(&mut symptom.first, &mut symptom.last, [moment, None]);
        symptom.sample = ending(said);
    }
    let mut told: Vec<Symptom> = found
        .into_iter()
        .map(|((fate, name, server), symptom)| {
            let what = name.map_or_else(|| "a name".to_owned(), |name| name.trim_end_matches('.').to_owned());
            let whom = server.map(|server| format!(" from {server}")).unwrap_or_default();
            let lines = if symptom.count == 1 { "line says" } else { "lines say" };
            let (fate_says, looks, weight) = match fate {
                Fate::NameAnswered => ("could not be resolved, though an answer came", Looks::Answered, 1),
                _ if host_network => ("was not resolved: no answer", Looks::OfTheHost, 1),
                _ => ("was not resolved: no answer", Looks::Unanswered, 5),
            };
            let says = format!("{} {lines} that {what} {fate_says}{whom}", symptom.count);
            Symptom { says, looks, weight, ..symptom }
        })
        .collect();
    told.sort_by_key(|s| (std::cmp::Reverse((s.weight, s.count)), s.says.clone()));
    told.truncate(MOST);
    // One pod counts once, however many names it asked for.
    for symptom in told.iter_mut().skip(1) {
        symptom.weight = symptom.weight.min(1);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_told_from_an_answer() {
        for line in [
            "dial tcp: lookup loki.example.org on 169.254.25.10:53: read udp 10.42.3.90:41523->169.254.25.10:53: i/o timeout",
            "curl: (6) Resolving timed out after 5000 milliseconds",
            "socket.gaierror: [Errno -3] Temporary failure in name resolution",
            "Error: getaddrinfo EAI_AGAIN api.example.org",
        ] {
            assert_eq!(fate(line), Some(Fate::NameUnanswered), "{line}");
        }
        for line in [
            "lookup nosuch.example.org on 169.254.25.10:53: no such host",
            "lookup x on 10.43.0.10:53: server misbehaving",
            "java.net.UnknownHostException: api.example.org",
            "Error: getaddrinfo ENOTFOUND api.example.org",
        ] {
            assert_eq!(fate(line), Some(Fate::NameAnswered), "{line}");
        }
        for line in ["GET /lookup?timeout=5 200", "served example.org in 53 ms", "no errors"] {
            assert_eq!(fate(line), None, "{line}");
        }
    }

    #[test]
    fn name_and_server_are_told_and_lines_are_counted() {
        let log = "2026-06-06T11:00:00.5Z lookup vault.example.org on 169.254.25.10:53: i/o timeout\n\
                   2026-06-06T11:05:00.5Z lookup vault.example.org on 169.254.25.10:53: i/o timeout\n\
                   2026-06-06T11:05:01.5Z all well\n";
        let pod = PodRef { namespace: "media".into(), name: "hermes-0".into() };
        let told = read(log, &pod, "main", false);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].says, "2 lines say that vault.example.org was not resolved: no answer from 169.254.25.10");
        assert_eq!(told[0].first.as_deref(), Some("2026-06-06T11:00:00.5Z"));
        assert_eq!(told[0].last.as_deref(), Some("2026-06-06T11:05:00.5Z"));
    }

    proptest::proptest! {
        #[test]
        fn any_log_can_be_read(text in "(?s).*") {
            let pod = PodRef { namespace: "a".into(), name: "b".into() };
            proptest::prop_assert!(read(&text, &pod, "c", false).len() <= MOST);
        }
    }
}
