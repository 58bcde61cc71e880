//! The node by SSH, against a real sshd on the loopback, with keys that live as long as a test.
//!
//! Nothing here leaves the machine, and nothing reads the keys or known hosts of whoever runs it.

#[path = "support/sshd.rs"]
mod sshd;

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use staledp::base::answer::End;
use staledp::base::cluster_settings::SshSettings;
use staledp::base::failure::{Failure, FailureKind};
use staledp::base::ssh_address::SshAddress;
use staledp::gather::live::ssh::{HostAnswer, Ssh};
use tempfile::TempDir;

use sshd::{SSHD, is_here};

const HOST: &str = "127.0.0.1";
const TARGET: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LIMIT: Duration = Duration::from_secs(8);
const LOST: &str = "#!/bin/sh\necho 'PING 127.0.0.1 (127.0.0.1) 56(84) bytes of data.'\necho '2 packets transmitted, 0 \
                    received, 100% packet loss, time 1006ms'\nexit 1\n";

/// A real sshd, whose commands find their programs where the test says.
struct Sshd {
    child: Child,
    port: u16,
    directory: TempDir,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sshd {
    /// Starts it with these fake programs before the machine's own, or instead of them; none where there is no sshd.
    fn start(fakes: &[(&str, &str)], own_programs: bool) -> Option<Self> {
        if !is_here(SSHD) {
            return None;
        }
        let port = free_port();
        let listen = format!("Port {port}\nListenAddress {HOST}\n");
        let directory = sshd::directory(fakes, own_programs, &listen);
        let path = directory.path();
        known_hosts(path, port, "host");
        let log = std::fs::File::create(path.join("log")).unwrap();
        let child = Command::new(SSHD)
            .args(["-D", "-e", "-f"])
            .arg(path.join("config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let sshd = Self { child, port, directory };
        sshd.wait();
        Some(sshd)
    }

    fn wait(&self) {
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((HOST, self.port)).is_err() {
            assert!(Instant::now() < until, "sshd did not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn ping(&self, limit: Duration) -> Result<HostAnswer, Failure> {
        ping(&settings(self.directory.path(), self.port, "user"), limit)
    }
}

/// Makes the key of this name the one that is known for the port.
fn known_hosts(directory: &Path, port: u16, key: &str) {
    let key = std::fs::read_to_string(directory.join(key).with_extension("pub")).unwrap();
    std::fs::write(directory.join("known"), format!("[{HOST}]:{port} {key}")).unwrap();
}

fn free_port() -> u16 {
    TcpListener::bind((HOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Settings that leave the operator's own keys and hosts alone.
fn settings(directory: &Path, port: u16, key: &str) -> SshSettings {
    let file = |name: &str| directory.join(name).display().to_string();
    let options = [
        ("UserKnownHostsFile", file("known")),
        ("GlobalKnownHostsFile", "/dev/null".to_owned()),
        ("IdentityFile", file(key)),
        ("IdentitiesOnly", "yes".to_owned()),
        ("IdentityAgent", "none".to_owned()),
    ];
    SshSettings {
        user: None,
        port: Some(port),
        options: options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        address: SshAddress::Name,
    }
}

fn ping(settings: &SshSettings, limit: Duration) -> Result<HostAnswer, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ssh = Ssh::new(settings).unwrap();
    runtime.block_on(async {
        let ended = ssh.ping(HOST, TARGET, limit).await;
        ssh.close().await;
        ended
    })
}

#[track_caller]
fn failed(result: Result<HostAnswer, Failure>, kind: FailureKind, part: &str) {
    let failure = result.expect_err("it can't have been asked");
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.message.contains(part), "{failure}");
}

#[test]
fn a_node_that_is_reached_says_what_its_ping_says() {
    if !is_here("/usr/bin/ping") && !is_here("/bin/ping") {
        return;
    }
    let Some(sshd) = Sshd::start(&[], true) else { return };
    let ended = sshd.ping(LIMIT).unwrap_or_else(|failure| panic!("{failure}\n{}", sshd.log()));
    assert_eq!(ended.end, End::Exited(0), "{ended:?}");
    assert!(String::from_utf8_lossy(&ended.stdout).contains("2 packets transmitted"), "{ended:?}");
}

#[test]
fn a_ping_without_replies_is_an_answer() {
    let Some(sshd) = Sshd::start(&[("ping", LOST)], true) else { return };
    let ended = sshd.ping(LIMIT).unwrap();
    assert_eq!(ended.end, End::Exited(1));
    assert!(String::from_utf8_lossy(&ended.stdout).contains("100% packet loss"));
}

#[test]
fn node_without_timeout_is_pinged_without_it() {
    let Some(sshd) = Sshd::start(&[("ping", LOST)], false) else { return };
    assert_eq!(sshd.ping(LIMIT).unwrap().end, End::Exited(1));
}

#[test]
fn node_with_a_timeout_without_kill_is_pinged() {
    let old = "#!/bin/sh\necho \"timeout: invalid option -- 'k'\" >&2\nexit 1\n";
    let Some(sshd) = Sshd::start(&[("ping", LOST), ("timeout", old)], false) else { return };
    let ended = sshd.ping(LIMIT).unwrap();
    assert!(String::from_utf8_lossy(&ended.stdout).contains("100% packet loss"), "{ended:?}");
}

#[test]
fn node_without_ping_is_not_a_node_without_network() {
    let Some(sshd) = Sshd::start(&[], false) else { return };
    failed(sshd.ping(LIMIT), FailureKind::NotFound, "`ping` is not installed on the node");
}

#[test]
fn a_ping_that_hangs_is_ended_on_the_node_too() {
    let Some(sshd) = Sshd::start(&[("ping", "#!/bin/sh\necho $$ >\"${0%/*}/pid\"\nexec sleep 60\n")], true) else {
        return;
    };
    let clock = Instant::now();
    failed(sshd.ping(Duration::from_secs(1)), FailureKind::Timeout, "within 1s");
    assert!(clock.elapsed() < Duration::from_secs(8));
    let process = std::fs::read_to_string(sshd.path("bin/pid")).unwrap();
    assert!(!Path::new("/proc").join(process.trim()).exists(), "the ping goes on");
}

#[test]
fn a_wrong_host_key_is_refused() {
    let Some(sshd) = Sshd::start(&[], true) else { return };
    known_hosts(sshd.directory.path(), sshd.port, "stranger");
    failed(sshd.ping(LIMIT), FailureKind::Forbidden, "host key");
}

#[test]
fn an_unknown_host_key_is_refused_and_not_learnt() {
    let Some(sshd) = Sshd::start(&[], true) else { return };
    std::fs::write(sshd.path("known"), "").unwrap();
    failed(sshd.ping(LIMIT), FailureKind::Forbidden, "host key");
    assert_eq!(std::fs::read_to_string(sshd.path("known")).unwrap(), "");
}

#[test]
fn an_operator_may_accept_new_host_keys() {
    let Some(sshd) = Sshd::start(&[("ping", LOST)], true) else { return };
    std::fs::write(sshd.path("known"), "").unwrap();
    let mut settings = settings(sshd.directory.path(), sshd.port, "user");
    settings.options.push(("StrictHostKeyChecking".to_owned(), "accept-new".to_owned()));
    assert_eq!(ping(&settings, LIMIT).unwrap().end, End::Exited(1));
}

#[test]
fn refused_login_is_not_unreachable() {
    let Some(sshd) = Sshd::start(&[], true) else { return };
    let settings = settings(sshd.directory.path(), sshd.port, "stranger");
    failed(ping(&settings, LIMIT), FailureKind::Forbidden, "refused the login");
}

#[test]
fn a_closed_port_is_unreachable() {
    if !is_here("/usr/bin/ssh") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    failed(ping(&settings(directory.path(), free_port(), "user"), LIMIT), FailureKind::Unreachable, "refused");
}

#[test]
fn a_host_that_accepts_and_stays_silent_is_not_waited_for() {
    if !is_here("/usr/bin/ssh") {
        return;
    }
    let silent = TcpListener::bind((HOST, 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let held = std::thread::spawn(move || {
        let Ok((mut stream, _)) = silent.accept() else { return };
        // Until ssh gives up.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let directory = tempfile::tempdir().unwrap();
    let clock = Instant::now();
    failed(ping(&settings(directory.path(), port, "user"), LIMIT), FailureKind::Timeout, "5 s");
    assert!(clock.elapsed() < Duration::from_secs(12));
    held.join().unwrap();
}

#[test]
fn an_unknown_option_is_named() {
    if !is_here("/usr/bin/ssh") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path(), free_port(), "user");
    settings.options.push(("NoSuchOption".to_owned(), "yes".to_owned()));
    failed(ping(&settings, LIMIT), FailureKind::Other, "nosuchoption");
}

/// A process can't change its own path here without unsafe code, so the test runs itself again with another.
#[test]
fn missing_ssh_client_is_named() {
    if std::env::var_os("STALEDP_TEST_WITHOUT_SSH").is_some() {
        let settings = settings(Path::new("/nonexistent"), 1, "user");
        return failed(ping(&settings, LIMIT), FailureKind::NotFound, "`ssh` is not installed on this machine");
    }
    let again = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "missing_ssh_client_is_named"])
        .env("PATH", "/nonexistent")
        .env("STALEDP_TEST_WITHOUT_SSH", "1")
        .output()
        .unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
}
