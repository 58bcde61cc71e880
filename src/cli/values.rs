//! Values as they are typed: durations, URLs, options for ssh.

use std::path::PathBuf;
use std::time::Duration;

use crate::base::error::Error;
use crate::base::time;
use crate::base::time::Since;

/// A duration above 0 and at most a day; a plain number is seconds, as in kubectl's `--request-timeout`.
pub(super) fn duration(text: &str) -> Result<Duration, Error> {
    let parsed = time::parse_duration(text)?;
    if parsed.is_zero() || parsed > Duration::from_secs(86_400) {
        return Err(Error::usage("a duration must be above 0 and at most 24h"));
    }
    Ok(parsed)
}

/// A moment, or how long ago it was.
pub(super) fn since(text: &str) -> Result<Since, Error> {
    if let Some(moment) = time::moment(text) {
        return Ok(Since::Moment(moment));
    }
    let wrong = || Error::usage("neither a time such as 2026-06-06T12:00:00Z nor a duration such as 20m");
    let ago = time::parse_duration(text).ok().filter(|ago| !ago.is_zero()).ok_or_else(wrong)?;
    Ok(Since::Ago(ago))
}

/// An address to fetch: http or https, with a host.
pub(super) fn url(text: &str) -> Result<String, Error> {
    let wrong = || Error::usage("not a URL: write http://HOST/… or https://HOST/…");
    let uri: http::Uri = text.parse().map_err(|_| wrong())?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(text.to_owned()),
        _ => Err(wrong()),
    }
}

/// Where a bundle is saved: a folder, or NAME.tar.gz. Names of other archives are refused, for a folder of that name would
/// be taken for one.
pub(super) fn bundle(text: &str) -> Result<PathBuf, Error> {
    const OTHERS: [&str; 9] = [".zip", ".tar", ".gz", ".tar.xz", ".txz", ".tar.zst", ".tar.bz2", ".7z", ".json"];
    const OURS: [&str; 2] = [".tar.gz", ".tgz"];
    let name = text.to_ascii_lowercase();
    let is_ours = OURS.iter().any(|ending| name.ends_with(ending));
    match OTHERS.iter().find(|ending| !is_ours && name.ends_with(**ending)) {
        Some(ending) => {
            let stem = &text[..text.len() - ending.len()];
            Err(Error::usage(format!("a bundle is a folder or NAME.tar.gz, not {ending}: write {stem}.tar.gz")))
        }
        None => Ok(PathBuf::from(text)),
    }
}

/// The name of a node, also as `-o name` writes it: `node/prusik`.
#[expect(clippy::unnecessary_wraps, reason = "clap wants a parser")]
pub(super) fn node(text: &str) -> Result<String, Error> {
    let name = text.strip_prefix("node/").or_else(|| text.strip_prefix("nodes/")).unwrap_or(text);
    Ok(name.to_owned())
}

/// `K=V`.
pub(super) fn ssh_option(text: &str) -> Result<(String, String), Error> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => Err(Error::usage("not an option: write Keyword=value, as in ssh_config")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_forms_of_kubectl() {
        let ms = |text: &str| duration(text).map(|duration| duration.as_millis()).map_err(|error| error.to_string());
        for (text, right) in [
            ("60", 60_000),
            ("60s", 60_000),
            ("1m30s", 90_000),
            ("1m 30s", 90_000),
            ("500ms", 500),
            ("1.5s", 1_500),
            ("2m", 120_000),
            ("24h", 86_400_000),
        ] {
            assert_eq!(ms(text), Ok(right), "{text}");
        }
        for text in ["0", "0s", "25h", "86401"] {
            assert!(ms(text).unwrap_err().contains("above 0 and at most 24h"), "{text}");
        }
        for text in ["", "soon", "-5", "-5s", "1x", "99999999999999999999"] {
            assert!(ms(text).is_err(), "{text}");
        }
    }

    #[test]
    fn since_is_a_moment_or_how_long_ago_it_was() {
        let moment = |text: &str| match since(text) {
            Ok(Since::Moment(at)) => at.to_string(),
            Ok(Since::Ago(ago)) => format!("{}s", ago.as_secs()),
            Err(error) => error.to_string(),
        };
        assert_eq!(moment("2026-06-06T14:00:00+02:00"), "2026-06-06T12:00:00Z");
        assert_eq!(["20m", "72h", "90"].map(moment), ["1200s", "259200s", "90s"]);
        for text in ["0", "yesterday", "2026-06-06", "-5m", ""] {
            assert!(moment(text).starts_with("neither a time"), "{text}");
        }
    }

    #[test]
    fn bundle_is_not_saved_under_the_name_of_another_archive() {
        for text in ["x", "x/", "evidence/2026.06", "x.tar.gz", "X.TGZ", "x.zip.d", "zip"] {
            assert_eq!(bundle(text).unwrap(), PathBuf::from(text));
        }
        for text in ["x.zip", "a/X.ZIP", "x.tar", "x.tar.xz", "x.gz"] {
            let why = bundle(text).unwrap_err().to_string();
            assert!(why.contains("NAME.tar.gz") && why.contains(": write "), "{text}: {why}");
        }
        assert!(bundle("x.zip").unwrap_err().to_string().ends_with("write x.tar.gz"));
    }

    #[test]
    fn url_needs_scheme_and_host() {
        assert!(url("https://google.com").is_ok() && url("http://10.0.0.1:8080/x").is_ok());
        for text in ["google.com", "ftp://google.com", "https://", "", "https:// x"] {
            assert!(url(text).is_err(), "{text}");
        }
    }
}
