//! Log lines about names that could not be resolved: which name, which resolver, how often.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::LazyLock;

use regex::Regex;

use super::{Looks, SAMPLE, Symptom, SymptomKind, sample, widen_span};
use crate::base::credentials::without_credentials;
use crate::base::pattern::pattern;
use crate::base::pod_ref::PodRef;

/// The longest line that is read, in bytes; longer ones are cut.
const LINE: usize = 4 << 10;
/// The most different failures that are reported of one log.
const MOST: usize = 5;

/// No answer: the resolver's silence in the messages of Go, glibc, musl, Java, Node.js and Rust.
static SILENCE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i):53\b[^\n]{0,200}(?:i/o timeout|no route to host|network is unreachable|operation not permitted)|lookup [^\n]{0,300}(?:i/o timeout|context deadline exceeded|network is unreachable|no route to host)|temporary failure in name resolution|\bEAI_AGAIN\b|resolving timed out|(?:dns|resolv\w*|name resolution)[^\n]{0,80}(?:timed? ?out|timeout)|;; (?:connection timed out; )?no servers could be reached|\bTry again\b[^\n]{0,40}(?:lookup|getaddrinfo)|(?:lookup|getaddrinfo)[^\n]{0,120}\btry again\b",
    )
});
/// The resolver answered, and had no good news.
static ANSWER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)no such host|server misbehaving|SERVFAIL|NXDOMAIN|name or service not known|name does not resolve|getaddrinfo ENOTFOUND|:53: (?:read|connect|write): connection refused",
    )
});
/// It did not work, in the words of BusyBox, curl, Java and Rust for silence and for bad news alike.
static UNTOLD: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i)bad address ["']|(?:to|cannot|can't|couldn't|not) resolve (?:host|proxy|["'])|UnknownHostException|failed to lookup address information"#,
    )
});
/// The name that was asked for.
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i)\blookup ([a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_])?\.?)(?: on |:)|(?:\bENOTFOUND |\bEAI_AGAIN |UnknownHostException: |(?:to|cannot|not) resolve ["']|resolve (?:host|proxy)(?: name)?[:=]? ?["']?|getaddrinfo (?:E[A-Z_]+ |for |\()["']?|bad address ["'])([a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_])?\.?)"#,
    )
});
/// The server that was asked.
static SERVER: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?:\bon |->)(\[[0-9a-fA-F:]+\]|[0-9]{1,3}(?:\.[0-9]{1,3}){3}):53\b"));
/// Who asked.
static ASKER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"\b(?:dial|read|write) (?:udp|tcp)[46]? (\[[0-9a-fA-F:]+\]|[0-9]{1,3}(?:\.[0-9]{1,3}){3}):[0-9]{1,5}->")
});
/// Connections that were turned down.
static REFUSED: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)connection refused|connection reset by peer"));
/// Connections that were not answered.
static TIMEOUT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)i/o timeout|connection timed out|context deadline exceeded|Client\.Timeout|no route to host|network is unreachable|TLS handshake timeout",
    )
});

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NamedFailure {
    /// A query for a name got no answer.
    NameUnanswered,
    /// The answer was that the name does not exist, or that the resolver failed.
    NameAnswered,
    /// A name was not resolved; whether an answer came is unknown.
    NameUntold,
    /// A connection got no answer.
    Unanswered,
    /// A connection was turned down.
    Refused,
}

impl NamedFailure {
    /// Whether it is about a name.
    const fn is_of_name(self) -> bool {
        matches!(self, Self::NameUnanswered | Self::NameAnswered | Self::NameUntold)
    }

    /// What it looks like.
    pub(super) const fn looks(self) -> Looks {
        match self {
            Self::NameUnanswered | Self::Unanswered => Looks::Unanswered,
            Self::NameAnswered | Self::Refused => Looks::Answered,
            Self::NameUntold => Looks::Open,
        }
    }
}

/// What a text says of names and connections; none: nothing.
pub(super) fn named_failure(text: &str) -> Option<NamedFailure> {
    let first = [
        (&SILENCE, NamedFailure::NameUnanswered),
        (&ANSWER, NamedFailure::NameAnswered),
        (&UNTOLD, NamedFailure::NameUntold),
        (&REFUSED, NamedFailure::Refused),
        (&TIMEOUT, NamedFailure::Unanswered),
    ];
    first.into_iter().find(|(words, _)| words.is_match(text)).map(|(_, failure)| failure)
}

/// What a text says of names and connections, in words. Where no server is named, the words may stand for an answer
/// that put the question off: resolvers say "temporary failure" to both.
pub(super) fn in_words(failure: NamedFailure, name: Option<&str>, server: Option<&str>) -> String {
    let name = name.map_or_else(|| "a name".to_owned(), |name| name.trim_end_matches('.').to_owned());
    match (failure, server) {
        (NamedFailure::NameUnanswered, Some(server)) => format!("{name} was not resolved: no answer from {server}"),
        (NamedFailure::NameUnanswered, None) => format!("{name} was not resolved: no answer, or a temporary failure"),
        (NamedFailure::NameAnswered, Some(server)) => format!("{name} could not be resolved, though {server} answered"),
        (NamedFailure::NameAnswered, None) => format!("{name} could not be resolved, though an answer came"),
        (NamedFailure::NameUntold, _) => format!("{name} was not resolved; unknown whether an answer came"),
        (NamedFailure::Unanswered, _) => "a connection was not answered".to_owned(),
        (NamedFailure::Refused, _) => "a connection was refused".to_owned(),
    }
}

/// Which name was asked for, and of whom.
pub(super) fn name_and_server(text: &str) -> (Option<&str>, Option<&str>) {
    let name = NAME.captures(text).and_then(|found| found.get(1).or(found.get(2)));
    let server = SERVER.captures(text).and_then(|found| found.get(1));
    (name.map(|m| m.as_str()), server.map(|m| m.as_str()))
}

/// The address that asked.
pub(super) fn asking_address(text: &str) -> Option<IpAddr> {
    let found = ASKER.captures(text)?;
    found[1].trim_matches(['[', ']']).parse().ok()
}

/// A sample of a line: where it is long, its end, for there the error stands.
fn ending(line: &str) -> Option<String> {
    let clean = without_credentials(line);
    let over = clean.chars().count().saturating_sub(SAMPLE);
    if over == 0 {
        return sample(&clean);
    }
    sample(&clean.chars().skip(over).collect::<String>()).map(|end| format!("…{end}"))
}

/// LogOwner log it is.
pub(crate) struct LogOwner<'a> {
    /// The pod.
    pub(crate) pod: &'a PodRef,
    /// The container.
    pub(crate) container: &'a str,
    /// Whether the pod shares the host's network.
    pub(crate) host_network: bool,
}

/// The symptoms that a log shows: names that were not resolved, and, of a dependent, connections that came to nothing,
/// too. Each line begins with its moment, as the API server puts it there.
pub(crate) fn log_symptoms(text: &str, whose: &LogOwner<'_>, kind: SymptomKind) -> Vec<Symptom> {
    let mut found: BTreeMap<(NamedFailure, Option<String>, Option<String>), Symptom> = BTreeMap::new();
    for line in text.lines() {
        let mut end = line.len().min(LINE);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        let line = &line[..end];
        let (moment, said) = match line.split_once(' ') {
            Some((moment, said)) if super::unix_second(moment).is_some() => (Some(moment), said),
            _ => (None, line),
        };
        let Some(failure) =
            named_failure(said).filter(|failure| kind == SymptomKind::Dependents || failure.is_of_name())
        else {
            continue;
        };
        let (name, server) = name_and_server(said);
        let key = (failure, name.map(str::to_owned), server.map(str::to_owned));
        let symptom = found.entry(key).or_insert_with(|| Symptom::of_pod(kind, whose.pod, Some(whose.container)));
        symptom.count += 1;
        widen_span(&mut symptom.first, &mut symptom.last, [moment, None]);
        symptom.sample = ending(said);
    }
    let mut told: Vec<Symptom> = found
        .into_iter()
        .map(|((failure, name, server), symptom)| {
            let lines = if symptom.count == 1 { "line says" } else { "lines say" };
            let told = in_words(failure, name.as_deref(), server.as_deref());
            let says = format!("{} {lines} that {told}", symptom.count);
            let (looks, weight) = match failure.looks() {
                Looks::Unanswered if whose.host_network => (Looks::OfTheHost, 1),
                Looks::Unanswered => (Looks::Unanswered, 5),
                Looks::Open => (Looks::Open, 1),
                looks => (looks, 0),
            };
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

    fn whose(pod: &PodRef) -> LogOwner<'_> {
        LogOwner { pod, container: "main", host_network: false }
    }

    #[test]
    fn silence_is_told_from_an_answer() {
        for line in [
            "dial tcp: lookup loki.example.org on 169.254.25.10:53: read udp 10.42.3.90:41523->169.254.25.10:53: i/o timeout",
            "curl: (6) Resolving timed out after 5000 milliseconds",
            "socket.gaierror: [Errno -3] Temporary failure in name resolution",
            "Error: getaddrinfo EAI_AGAIN api.example.org",
        ] {
            assert_eq!(named_failure(line), Some(NamedFailure::NameUnanswered), "{line}");
        }
        for line in [
            "lookup nosuch.example.org on 169.254.25.10:53: no such host",
            "lookup x on 10.43.0.10:53: server misbehaving",
            "java.net.UnknownHostException: api.example.org: Name or service not known",
            "Error: getaddrinfo ENOTFOUND api.example.org",
        ] {
            assert_eq!(named_failure(line), Some(NamedFailure::NameAnswered), "{line}");
        }
        for line in ["java.net.UnknownHostException: api.example.org", "curl: (6) Could not resolve host: api.example"]
        {
            assert_eq!(named_failure(line), Some(NamedFailure::NameUntold), "{line}");
        }
        for line in ["GET /lookup?timeout=5 200", "served example.org in 53 ms", "no errors"] {
            assert_eq!(named_failure(line), None, "{line}");
        }
    }

    #[test]
    fn a_name_is_no_word_of_the_error() {
        for (line, name) in [
            ("Error: getaddrinfo ENOTFOUND api.example.org", Some("api.example.org")),
            ("Error: getaddrinfo EAI_AGAIN api.example.org api.example.org:443", Some("api.example.org")),
            ("[Errno 11001] getaddrinfo failed", None),
            ("Failed to resolve 'api.example.org' ([Errno -2] Name or service not known)", Some("api.example.org")),
            ("could not resolve the name", None),
        ] {
            assert_eq!(name_and_server(line).0, name, "{line}");
        }
    }

    #[test]
    fn name_and_server_are_told_and_lines_are_counted() {
        let log = "2026-06-06T11:00:00.5Z lookup vault.example.org on 169.254.25.10:53: i/o timeout\n\
                   2026-06-06T11:05:00.5Z lookup vault.example.org on 169.254.25.10:53: i/o timeout\n\
                   2026-06-06T11:05:01.5Z all well\n";
        let pod = PodRef { namespace: "media".into(), name: "hermes-0".into() };
        let told = log_symptoms(log, &whose(&pod), SymptomKind::DnsErrors);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].says, "2 lines say that vault.example.org was not resolved: no answer from 169.254.25.10");
        assert_eq!(told[0].first.as_deref(), Some("2026-06-06T11:00:00.5Z"));
        assert_eq!(told[0].last.as_deref(), Some("2026-06-06T11:05:00.5Z"));
    }

    proptest::proptest! {
        #[test]
        fn any_log_can_be_read(text in "(?s).*") {
            let pod = PodRef { namespace: "a".into(), name: "b".into() };
            proptest::prop_assert!(log_symptoms(&text, &whose(&pod), SymptomKind::Dependents).len() <= MOST);
        }
    }
}
