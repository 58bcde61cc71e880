//! Command lines without secrets, which have no place in a bundle.

/// What stands for something that was taken out.
const REMOVED: &str = "(removed)";
/// The option whose value is a credential.
const TOKEN: &str = "--token";
/// Options of this program whose values may hold anything.
const SSH_OPTION: &str = "--ssh-option";

/// A command line without the values of `--ssh-option` and `--token`, without user and password in URLs, without the query part of
/// URLs, and without the values of words that call themselves a secret.
#[must_use]
pub(super) fn without_secrets(words: &[String]) -> Vec<String> {
    let mut out = Vec::with_capacity(words.len());
    let mut value_of_ssh_option = false;
    let mut value_of_token = false;
    for word in words {
        if std::mem::take(&mut value_of_token) {
            out.push(REMOVED.to_owned());
        } else if std::mem::take(&mut value_of_ssh_option) {
            out.push(ssh_option(word));
        } else if let Some(value) = word.strip_prefix(SSH_OPTION).and_then(|rest| rest.strip_prefix('=')) {
            out.push(format!("{SSH_OPTION}={}", ssh_option(value)));
        } else {
            value_of_ssh_option = word == SSH_OPTION;
            value_of_token = word == TOKEN;
            out.push(secret_value(&without_url_secrets(word)));
        }
    }
    out
}

/// A text without user and password in URLs, and without their query part.
#[must_use]
pub(super) fn without_url_secrets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let ends_url = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '<' | '>' | '`');
        let url = &after[..after.find(ends_url).unwrap_or(after.len())];
        rest = &after[url.len()..];
        let authority = url.find(['/', '?', '#']).unwrap_or(url.len());
        let host = url[..authority].rfind('@').map_or(0, |at| at + 1);
        if host > 0 {
            out.push_str(REMOVED);
            out.push('@');
        }
        match url.find(['?', '#']).filter(|query| *query + 1 < url.len()) {
            Some(query) => {
                out.push_str(&url[host..=query]);
                out.push_str(REMOVED);
            }
            None => out.push_str(&url[host..]),
        }
    }
    out.push_str(rest);
    out
}

/// `K=V` as `K=(removed)`: a `ProxyCommand` may hold a password.
fn ssh_option(option: &str) -> String {
    let key = option.split_once('=').map_or(option, |(key, _)| key);
    format!("{key}={REMOVED}")
}

/// `…token=V` as `…token=(removed)`.
fn secret_value(word: &str) -> String {
    const SECRETS: [&str; 5] = ["token", "password", "passwd", "secret", "key"];
    match word.split_once('=') {
        Some((key, value)) if !value.is_empty() && SECRETS.iter().any(|s| key.to_lowercase().ends_with(s)) => {
            format!("{key}={REMOVED}")
        }
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrubbed(words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        without_secrets(&words).join(" ")
    }

    #[test]
    fn values_of_ssh_options_do_not_stay() {
        let out = scrubbed(&["staledp", "diagnose", "--ssh-option", "ProxyCommand=nc -P hunter2", "--node", "n1"]);
        assert_eq!(out, "staledp diagnose --ssh-option ProxyCommand=(removed) --node n1");
        assert_eq!(scrubbed(&["--ssh-option=User=hunter2"]), "--ssh-option=User=(removed)");
    }

    #[test]
    fn urls_keep_host_and_path_only() {
        assert_eq!(
            scrubbed(&["https://me:hunter2@x.example/p?token=hunter2"]),
            "https://(removed)@x.example/p?(removed)"
        );
        assert_eq!(scrubbed(&["--probe-url=https://a@b@x.example"]), "--probe-url=https://(removed)@x.example");
        assert_eq!(scrubbed(&["https://x.example/a@b"]), "https://x.example/a@b");
        assert_eq!(
            without_url_secrets("curl: (7) https://me:hunter2@x: refused, http://y?"),
            "curl: (7) https://(removed)@x: refused, http://y?"
        );
        assert_eq!(without_url_secrets("no url"), "no url");
    }

    #[test]
    fn token_does_not_stay_however_it_is_typed() {
        for words in [&["staledp", "--token", "hunter2", "diagnose"][..], &["staledp", "--token=hunter2", "diagnose"]] {
            let out = scrubbed(words);
            assert!(!out.contains("hunter2") && out.ends_with("(removed) diagnose"), "{out}");
        }
    }

    #[test]
    fn words_that_call_themselves_secrets_do_not_stay() {
        assert_eq!(
            scrubbed(&["--token=hunter2", "API_KEY=hunter2", "--node=n1"]),
            "--token=(removed) API_KEY=(removed) --node=n1"
        );
    }
}
