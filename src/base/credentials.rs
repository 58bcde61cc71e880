//! Redacts credentials in foreign text: log lines, messages of conditions, answers of probes.
//!
//! Only credentials with a recognizable form are found. So what is shown of a log is a line that speaks of a name or a
//! connection, never the log.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::base::pattern::pattern;

/// What stands in the place of a credential.
const GONE: &str = "<redacted>";

/// `Authorization: Basic …`, `Bearer …`: the word stays.
static HEADERS: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)\b((?:bearer|basic|digest|negotiate)\s+)[A-Za-z0-9._~+/=-]{6,}"));
/// `password=…`, `"token": "…"`, `X-Vault-Token: …`: the name stays.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i)((?:[a-z0-9_.-]*(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|credential|signature|private[_-]?key)[a-z0-9_-]*|sig|pwd|auth|authorization|cookie|set-cookie)\\?["']?\s*[:=]\s*\\?["']?)(?:[^\s"',;&\\<>]+)"#,
    )
});
/// `scheme://user:password@`.
static IN_ADDRESSES: LazyLock<Regex> = LazyLock::new(|| pattern(r"(://)[^\s/@]+@"));
/// Forms that are credentials wherever they stand: JSON web tokens, keys of well-known issuers, long random words.
static FORMS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+){0,2}|\b(?:hvs|hvb|hvr|s)\.[A-Za-z0-9_-]{20,}|\b(?:gh[opsur]_|github_pat_|glpat-|xox[abpr]-|AKIA|ASIA|AIza|sk-|SG\.)[A-Za-z0-9_.-]{10,}|\b[A-Fa-f0-9]{40,}\b|\b[A-Za-z0-9+/]{48,}={0,2}",
    )
});

/// A text with its recognizable credentials redacted.
#[must_use]
pub fn without_credentials(text: &str) -> String {
    let text = IN_ADDRESSES.replace_all(text, format!("${{1}}{GONE}@"));
    let text = HEADERS.replace_all(&text, format!("${{1}}{GONE}"));
    let text = NAMED.replace_all(&text, format!("${{1}}{GONE}"));
    let gone = |found: &Captures<'_>| if is_path(&found[0]) { found[0].to_owned() } else { GONE.to_owned() };
    FORMS.replace_all(&text, gone).into_owned()
}

/// Whether what looks like a long random word is a path: its parts are short, and chance leaves out neither capitals
/// nor digits.
fn is_path(text: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| text.as_bytes().iter().any(kind);
    let parts_are_short = text.split('/').all(|part| part.len() < 32);
    text.contains('/') && parts_are_short && !(has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_and_the_rest_stays() {
        let secrets = [
            "Authorization: Bearer abc123def456",
            "POST /api/hooks/0123456789abcdef0123456789abcdef01234567: 500",
            "GET https://joe:hunter2@db.example/x: dial tcp: i/o timeout",
            r#"{"password":"hunter2xyz","lookup":"x"}"#,
            "X-Vault-Token: hvs.CAESIJabcdefghijklmnopqrstuv",
            "https://x.example/?sig=hunter2xyz&a=1",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.hunter2hunter2",
            "aws_secret_access_key = hunter2xyz",
            "blob hunter2/Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4",
        ];
        for text in secrets {
            let clean = without_credentials(text);
            assert!(clean.contains(GONE), "{clean}");
            for secret in ["hunter2", "abc123def456", "CAESIJ"] {
                assert!(!clean.contains(secret), "{clean}");
            }
        }
        let plain = "dial tcp: lookup loki.example.org on 169.254.25.10:53: read udp 10.42.3.90:41523->169.254.25.10:53: i/o timeout";
        assert_eq!(without_credentials(plain), plain);
        let source = "source=/go/src/github.com/cilium/cilium/pkg/datapath/orchestrator/orchestrator.go:220";
        assert_eq!(without_credentials(source), source);
        assert_eq!(
            without_credentials("2026-06-06T11:00:00.123456789Z basic facts"),
            "2026-06-06T11:00:00.123456789Z basic facts"
        );
    }
}
