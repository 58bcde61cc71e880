//! What the probes' tools are given and how they answer, shared by those who run them and those who read them.

/// Host, without brackets, and port of a URL.
#[must_use]
pub fn host_and_port(url: &str) -> Option<(String, u16)> {
    let uri: http::Uri = url.parse().ok()?;
    let usual = if uri.scheme_str() == Some("http") { 80 } else { 443 };
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), uri.port_u16().unwrap_or(usual)))
}

/// Whether a tool said that it does not know our options or the URL's scheme, which is as good as a missing tool. Tools
/// have no exit code of their own for it, so this reads the words: of getopt, which BusyBox and the GNU tools share,
/// and of BusyBox and curl without TLS.
#[must_use]
pub fn is_usage_error(stderr: &str) -> bool {
    const WORDS: [&str; 5] = [
        "unrecognized option",
        "invalid option",
        "unknown option",
        "not an http or ftp url",
        "not supported or disabled in libcurl",
    ];
    WORDS.iter().any(|words| stderr.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_option_is_a_missing_tool() {
        assert!(is_usage_error("wget: unrecognized option '--timeout=5'\nBusyBox v1.35.0 (Debian)\n"));
        assert!(!is_usage_error("wget: bad address 'google.com'\n"));
    }
}
