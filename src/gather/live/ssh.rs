//! The node, by the operator's own `ssh`: its configuration, keys, agent and jump hosts, and never a prompt.
//!
//! Why a node could not be asked matters as much as what it says. No program, no login, no connection and no `ping` are
//! four different things, and none of them says anything about the outside.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use openssh::{ControlPersist, Error, KnownHosts, Session, SessionBuilder};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::base::answer::End;
use crate::base::cluster_settings::SshSettings;
use crate::base::error;
use crate::base::failure::{Failure, FailureKind};

/// How long the TCP connection and the banner may take.
const CONNECT: Duration = Duration::from_secs(5);
/// What the login may take on top of that: `ssh` itself has no limit for it.
const LOGIN: Duration = Duration::from_secs(5);
/// How often the far side is asked whether it is still there.
const ALIVE: Duration = Duration::from_secs(3);
/// How long an unused connection of ours may outlive this program, should it be killed.
const IDLE_SECONDS: NonZeroUsize = NonZeroUsize::new(15).unwrap();
/// The longest directory that leaves room for a control socket: a socket's path has at most 104 bytes on some systems,
/// of which 46 go to the names that openssh and `ssh` add, and 10 to our own.
const LONGEST_DIRECTORY: usize = 45;

/// Sets the language of the command behind it, in any login shell.
const IN_ENGLISH: [&str; 2] = ["env", "LC_ALL=C"];

/// What is mounted on a node.
const MOUNTS: [&str; 2] = ["cat", "/proc/mounts"];

/// The command that reads a node's mounts.
#[must_use]
pub fn mounts_argv() -> Vec<String> {
    MOUNTS.map(str::to_owned).to_vec()
}

/// The command that the host's question comes down to.
#[must_use]
pub fn ping_argv(target: IpAddr) -> Vec<String> {
    ["ping", "-c", "2", "-W", "3"].iter().map(|&word| word.to_owned()).chain([target.to_string()]).collect()
}

/// What a command on a node answered, and how it ended.
#[derive(Clone, Debug)]
pub struct HostAnswer {
    /// The exit code, or why there is none.
    pub end: End,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
}

/// How to reach nodes.
pub struct Ssh {
    settings: SshSettings,
    /// Holds the control sockets and the configuration; removed with this value.
    directory: TempDir,
    config: PathBuf,
}

impl Ssh {
    /// Makes the directory and the configuration that all connections share.
    ///
    /// # Errors
    ///
    /// An option that could smuggle in another one, or a directory that can't be made.
    pub fn new(settings: &SshSettings) -> Result<Self, Failure> {
        let text = config(settings).map_err(|error| other(error.to_string()))?;
        let failed = |error| other(format!("cannot create a directory for control sockets: {error}"));
        let directory = tempfile::Builder::new().prefix("sdp").tempdir_in(short_directory()).map_err(failed)?;
        let config = directory.path().join("config");
        std::fs::write(&config, text).map_err(failed)?;
        Ok(Self { settings: settings.clone(), directory, config })
    }

    /// Pings an address from a node, bounded on both sides of the wire.
    ///
    /// # Errors
    ///
    /// Why the node could not be asked, where it was not the ping that failed.
    pub async fn ping(&self, destination: &str, target: IpAddr, limit: Duration) -> Result<HostAnswer, Failure> {
        let session = self.connect(destination).await?;
        let ended = ping(&session, target, limit).await;
        // The master lives a while longer by itself; it is not waited for.
        let _ = timeout(ALIVE, session.close()).await;
        ended
    }

    /// What is mounted on a node: `cat /proc/mounts`.
    ///
    /// # Errors
    ///
    /// Why the node could not be asked.
    pub async fn mounts(&self, destination: &str, limit: Duration) -> Result<HostAnswer, Failure> {
        let session = self.connect(destination).await?;
        let seconds = limit.as_secs().max(1).to_string();
        let mut argv = vec!["timeout", "-k", "1", &seconds];
        argv.extend(MOUNTS);
        let ended = run(&session, &argv, limit).await;
        let _ = timeout(ALIVE, session.close()).await;
        ended
    }

    /// Removes the directory of the control sockets. Dropping does the same, but an ending process may drop nothing.
    pub async fn close(&self) {
        let _ = tokio::fs::remove_dir_all(self.directory.path()).await;
    }

    async fn connect(&self, destination: &str) -> Result<Session, Failure> {
        if !is_destination(destination) {
            return Err(other(format!("'{destination}' is not a host name that ssh can connect to")));
        }
        is_installed().await?;
        let mut builder = SessionBuilder::default();
        builder
            .known_hosts_check(self.known_hosts())
            .control_directory(self.directory.path())
            .control_persist(ControlPersist::IdleFor(IDLE_SECONDS))
            .config_file(&self.config);
        // What the operator gives as an option comes by the configuration, which loses against these two.
        if !self.has_option("ConnectTimeout") {
            builder.connect_timeout(CONNECT);
        }
        if !self.has_option("ServerAliveInterval") {
            builder.server_alive_interval(ALIVE);
        }
        if let Some(user) = &self.settings.user {
            builder.user(user.clone());
        }
        if let Some(port) = self.settings.port {
            builder.port(port);
        }
        let limit = CONNECT + LOGIN;
        match timeout(limit, builder.connect_mux(destination)).await {
            Err(_) => Err(Failure::new(
                FailureKind::Timeout,
                format!("SSH login to {destination} timed out after {}", crate::base::time::span(limit)),
            )),
            Ok(Err(error)) => Err(not_connected(destination, &error)),
            Ok(Ok(session)) => Ok(session),
        }
    }

    /// Strict, unless the operator says otherwise for this very run: a wrong key is a finding, not a formality.
    fn known_hosts(&self) -> KnownHosts {
        match self.option("StrictHostKeyChecking").map(str::to_lowercase).as_deref() {
            Some("accept-new") => KnownHosts::Add,
            Some("no" | "off") => KnownHosts::Accept,
            _ => KnownHosts::Strict,
        }
    }

    fn has_option(&self, key: &str) -> bool {
        self.option(key).is_some()
    }

    fn option(&self, key: &str) -> Option<&str> {
        self.settings.options.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
    }
}

/// Whether the settings can be given to `ssh`: what they say must stay an option each.
///
/// # Errors
///
/// What is wrong with them.
pub fn check(settings: &SshSettings) -> Result<(), error::Error> {
    config(settings).map(|_| ())
}

/// A configuration that says what `ssh -o … NODE` would: the options first, since the first value wins, then the
/// operator's own file and the system's, both of which `ssh -F` would leave out.
fn config(settings: &SshSettings) -> Result<String, error::Error> {
    if settings.user.as_deref().is_some_and(|user| user.is_empty() || user.chars().any(char::is_control)) {
        return Err(error::Error::configuration("--ssh-user is empty or holds control characters"));
    }
    let mut text = String::new();
    for (key, value) in &settings.options {
        let keyword = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric());
        // `Host` and `Match` are no options: they would decide whether all that follows counts.
        let scope = ["host", "match"].iter().any(|word| key.eq_ignore_ascii_case(word));
        if !keyword || scope || value.chars().any(char::is_control) {
            return Err(error::Error::configuration(format!("--ssh-option {key:?} is not valid; write Keyword=value")));
        }
        let _ = writeln!(text, "{key}={value}");
    }
    // Forwardings of the operator's own sessions have no place here, and may fail where a session is open already.
    text.push_str(
        "ClearAllForwardings=yes\nMatch all\nInclude ~/.ssh/config\nMatch all\nInclude /etc/ssh/ssh_config\n",
    );
    Ok(text)
}

/// A temporary directory whose name is short enough to hold a socket.
fn short_directory() -> PathBuf {
    let usual = std::env::temp_dir();
    if usual.as_os_str().len() <= LONGEST_DIRECTORY { usual } else { Path::new("/tmp").to_owned() }
}

/// Whether this is a host name or address, and never an option, a user or a URL.
fn is_destination(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == ':')
        && text.len() <= 253
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:%".contains(&b))
}

/// Asks for the program by itself: openssh's error for a missing one looks like others.
async fn is_installed() -> Result<(), Failure> {
    let mut command = tokio::process::Command::new("ssh");
    command.arg("-V").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    match timeout(CONNECT, command.status()).await {
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => Err(Failure::new(
            FailureKind::NotFound,
            "`ssh` is not installed on this machine; install an OpenSSH client, or use --no-ssh",
        )),
        Ok(Err(error)) => Err(other(format!("cannot run `ssh` on this machine: {error}"))),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

/// Why there is no connection. openssh sorts some of the reasons into error kinds; of the rest only `ssh`'s own words
/// are left, which are never translated.
fn not_connected(destination: &str, error: &Error) -> Failure {
    let (kind, text) = match error {
        Error::Connect(error) | Error::Master(error) => (error.kind(), error.to_string()),
        other => (ErrorKind::Other, other.to_string()),
    };
    let words = text.trim();
    let words = if words.is_empty() { "ssh gave no reason" } else { words };
    let has = |part: &str| words.contains(part);
    if has("host key is known") || has("Host key verification failed") || has("HOST IDENTIFICATION HAS CHANGED") {
        let advice = "check the key, then add it to known_hosts";
        return Failure::new(
            FailureKind::Forbidden,
            format!("the host key of {destination} is not trusted: {words}; {advice}"),
        );
    }
    if kind == ErrorKind::PermissionDenied || has("Permission denied (") || has("Too many authentication failures") {
        let advice = "try `ssh` by hand; staledp does not prompt, so the key must be in an agent or have no passphrase";
        return Failure::new(FailureKind::Forbidden, format!("{destination} refused the login: {words}; {advice}"));
    }
    if has("onfiguration option") {
        return other(format!("ssh rejected its options: {words}; check --ssh-option and the ssh configuration"));
    }
    if kind == ErrorKind::TimedOut || has("timed out") {
        let message = format!("{destination} did not answer within {} s: {words}", CONNECT.as_secs());
        return Failure::new(FailureKind::Timeout, message);
    }
    if has("Could not resolve") {
        let advice = "try --ssh-address internal-ip";
        return Failure::new(FailureKind::Unreachable, format!("{words}; {advice}"));
    }
    Failure::new(FailureKind::Unreachable, format!("cannot connect to {destination}: {words}"))
}

/// Asked in English, whatever the locale of the login. Bounded by `timeout` on the node: the end of our patience does not end a command there. Where the node has none, or
/// one that knows no `-k`, ping's own `-w` has to do.
async fn ping(session: &Session, target: IpAddr, limit: Duration) -> Result<HostAnswer, Failure> {
    let seconds = limit.as_secs().max(1).to_string();
    let plain = ping_argv(target);
    let mut bounded = vec!["timeout", "-k", "1", &seconds];
    bounded.extend(IN_ENGLISH);
    bounded.extend(plain.iter().map(String::as_str));
    match run(session, &bounded, limit).await {
        Ok(ended) if matches!(ended.end, End::Exited(124 | 137)) => Err(slow("ping", limit)),
        // A ping that ran says so on its first line; what ends at once without a word never came to be a ping.
        Ok(ended) if ended.end == End::Exited(0) || !ended.stdout.is_empty() => Ok(ended),
        Err(failure) if failure.kind != FailureKind::NotFound => Err(failure),
        Ok(_) | Err(_) => {
            let mut own = plain.iter().map(String::as_str).collect::<Vec<_>>();
            own.splice(1..1, ["-w", &seconds]);
            own.splice(0..0, IN_ENGLISH);
            match run(session, &own, limit).await {
                // `env` ends with 127 for a program that is not there, and every node has `env` itself.
                Err(failure) if failure.kind == FailureKind::NotFound => Err(not_installed("ping")),
                ended => ended,
            }
        }
    }
}

async fn run(session: &Session, argv: &[&str], limit: Duration) -> Result<HostAnswer, Failure> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(other("no command".to_owned()));
    };
    let mut command = session.command(*program);
    command.args(arguments).stdin(openssh::Stdio::null());
    // The far side's own bound comes first; this one is for a connection that went silent.
    match timeout(limit + ALIVE, command.output()).await {
        Err(_) => Err(slow(program, limit)),
        Ok(Err(Error::Remote(error))) if error.kind() == ErrorKind::NotFound => Err(not_installed(program)),
        Ok(Err(error)) => Err(Failure::new(
            FailureKind::Truncated,
            format!("the connection closed, or the command was killed, before the exit status: {error}"),
        )),
        Ok(Ok(output)) => match output.status.code() {
            Some(code) => Ok(HostAnswer {
                end: End::Exited(code),
                stdout: output.stdout,
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            }),
            None => Err(Failure::new(FailureKind::Truncated, "the command was killed on the node")),
        },
    }
}

fn not_installed(program: &str) -> Failure {
    Failure::new(FailureKind::NotFound, format!("`{program}` is not installed on the node"))
}

fn slow(program: &str, limit: Duration) -> Failure {
    let message = format!("`{program}` did not end within {} on the node", crate::base::time::span(limit));
    Failure::new(FailureKind::Timeout, message)
}

fn other(message: String) -> Failure {
    Failure::new(FailureKind::Other, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ssh_address::SshAddress;

    fn settings(options: &[(&str, &str)]) -> SshSettings {
        SshSettings {
            user: None,
            port: None,
            options: options.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect(),
            address: SshAddress::Name,
        }
    }

    #[test]
    fn options_come_before_the_operators_own_configuration() {
        let text = config(&settings(&[("IdentityFile", "/k e y")])).unwrap();
        assert!(text.starts_with("IdentityFile=/k e y\n"), "{text}");
        assert!(text.find("IdentityFile") < text.find("Include ~/.ssh/config"));
    }

    #[test]
    fn no_option_brings_a_second_one_along() {
        for (key, value) in [("User", "a\nProxyCommand=x"), ("Us er", "x"), ("", "x"), ("Match", "all"), ("HOST", "*")]
        {
            assert!(config(&settings(&[(key, value)])).is_err(), "{key}={value}");
        }
    }

    #[test]
    fn a_destination_is_a_host_and_nothing_else() {
        for good in ["prusik", "node-1.example.org", "10.0.0.1", "::1", "fe80::1%eth0"] {
            assert!(is_destination(good), "{good}");
        }
        for bad in ["", "-oProxyCommand=x", "user@host", "ssh://host", "a b", "a\nb", ".hidden", "%h"] {
            assert!(!is_destination(bad), "{bad}");
        }
    }

    #[test]
    fn a_control_socket_fits_into_its_directory() {
        assert!(short_directory().as_os_str().len() <= LONGEST_DIRECTORY);
    }
}
