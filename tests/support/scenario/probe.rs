//! What ping, wget, curl and nslookup print, and how they end.

use super::addr;
use super::model::{Node, Ping, Probe, Tool};

/// A command's answer, as a bundle keeps it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output {
    /// The command.
    pub(crate) argv: Vec<String>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
    /// The exit code, where there was a clean end.
    pub(crate) exit: Option<i32>,
    /// Kind and message, where there was none.
    pub(crate) error: Option<(&'static str, String)>,
    /// Milliseconds.
    pub(crate) duration_ms: u64,
    /// For the host's ping: from where.
    pub(crate) via: Option<&'static str>,
    /// For the pod probes: from which pod.
    pub(crate) pod: Option<String>,
}

impl Output {
    /// One that ended well.
    pub(crate) fn ok(argv: &[&str], stdout: String) -> Self {
        Self { argv: words(argv), stdout, exit: Some(0), duration_ms: 912, ..Self::default() }
    }

    /// One that had no clean end.
    pub(crate) fn broken(argv: &[&str], kind: &'static str, message: impl Into<String>) -> Self {
        Self { argv: words(argv), error: Some((kind, message.into())), duration_ms: 15_003, ..Self::default() }
    }

    fn exit(mut self, code: i32, stderr: impl Into<String>) -> Self {
        self.exit = Some(code);
        self.stderr = stderr.into();
        self
    }

    fn took(mut self, ms: u64) -> Self {
        self.duration_ms = ms;
        self
    }
}

fn words(argv: &[&str]) -> Vec<String> {
    argv.iter().map(|w| (*w).to_owned()).collect()
}

/// The host's ping.
pub(crate) fn ping(node: &Node) -> Option<Output> {
    let target = addr::outside(node.v6()).to_string();
    let argv = ["ping", "-c", "2", "-W", "3", &target];
    let head = format!("PING {target} ({target}) 56(84) bytes of data.\n");
    let reply = |seq: u32, ms: &str| format!("64 bytes from {target}: icmp_seq={seq} ttl=57 time={ms} ms\n");
    let tail = |received: u32, loss: u32, time: u32| {
        format!(
            "\n--- {target} ping statistics ---\n2 packets transmitted, {received} received, {loss}% packet loss, time {time}ms\n"
        )
    };
    let ok = |stdout: String| Output::ok(&argv, stdout);
    let mut out = match node.ping {
        Ping::NotGathered => return None,
        Ping::Ok => ok(format!(
            "{head}{}{}{}rtt min/avg/max/mdev = 9.871/10.302/10.733/0.431 ms\n",
            reply(1, "9.87"),
            reply(2, "10.7"),
            tail(2, 0, 1_001)
        )),
        Ping::Partial => ok(format!(
            "{head}{}{}rtt min/avg/max/mdev = 41.202/41.202/41.202/0.000 ms\n",
            reply(2, "41.2"),
            tail(1, 50, 1_012)
        )),
        Ping::Lost => ok(format!("{head}{}\n", tail(0, 100, 1_033))).exit(1, "").took(4_051),
        Ping::OkFromAgent => ok(format!(
            "PING {target} ({target}): 56 data bytes\n\
             64 bytes from {target}: seq=0 ttl=57 time=11.418 ms\n\
             64 bytes from {target}: seq=1 ttl=57 time=10.962 ms\n\n\
             --- {target} ping statistics ---\n\
             2 packets transmitted, 2 packets received, 0% packet loss\n\
             round-trip min/avg/max = 10.962/11.190/11.418 ms\n"
        )),
        Ping::LostFromAgent => ok(format!(
            "PING {target} ({target}): 56 data bytes\n\n\
             --- {target} ping statistics ---\n\
             2 packets transmitted, 0 packets received, 100% packet loss\n"
        ))
        .exit(1, "")
        .took(5_010),
        Ping::NoRoute => ok(String::new()).exit(2, "ping: connect: Network is unreachable\n").took(11),
        Ping::NotPermitted => ok(String::new()).exit(2, "ping: socket: Operation not permitted\n").took(9),
        Ping::NobodyAnswered => Output::broken(
            &argv,
            "unreachable",
            "ssh: connect to host port 22: Connection refused; the agent's container did not answer within 10 s",
        ),
        Ping::LoginRefused => Output::broken(&argv, "forbidden", "Permission denied (publickey)"),
        Ping::NoTool => Output::broken(&argv, "not-found", "ping: command not found"),
        Ping::TimedOut => Output::broken(&argv, "timeout", "no answer within 15 s"),
    };
    let from_agent = matches!(node.ping, Ping::OkFromAgent | Ping::LostFromAgent | Ping::NotPermitted);
    out.via = Some(if from_agent { "agent-container" } else { "ssh" });
    Some(out)
}

/// A fetch from a pod, by name or by address.
pub(crate) fn fetch(node: &Node, tool: Tool, outcome: Probe, by_name: bool) -> Option<Output> {
    let address = addr::outside(node.v6());
    let (url, host) = if by_name {
        ("https://google.com".to_owned(), "google.com".to_owned())
    } else if address.is_ipv6() {
        (format!("http://[{address}]"), address.to_string())
    } else {
        (format!("http://{address}"), address.to_string())
    };
    let argv: Vec<&str> = match tool {
        Tool::Busybox | Tool::GnuWget => vec!["wget", "-q", "-O", "/dev/null", "--timeout=5", &url],
        Tool::Curl => vec!["curl", "-sS", "-o", "/dev/null", "--max-time", "5", &url],
    };
    if let Some(broken) = broken(&argv, outcome) {
        return broken;
    }
    let ok = Output::ok(&argv, String::new());
    // A lookup that fails can only be seen by name.
    let outcome = match outcome {
        Probe::NoAnswer | Probe::ServFail if !by_name => Probe::TimedOut,
        other => other,
    };
    Some(match (tool, outcome) {
        (Tool::Busybox, Probe::HttpError) => ok.exit(1, "wget: server returned error: HTTP/1.1 403 Forbidden\n"),
        (Tool::Busybox, Probe::BadCertificate) => {
            ok.exit(0, "wget: note: TLS certificate validation not implemented\n")
        }
        (Tool::Busybox, Probe::NoAnswer | Probe::ServFail) => {
            ok.exit(1, format!("wget: bad address '{host}'\n")).took(10_020)
        }
        (Tool::Busybox, Probe::TimedOut) => ok.exit(1, "wget: download timed out\n").took(5_004),
        (Tool::Busybox, Probe::Refused) => {
            ok.exit(1, format!("wget: can't connect to remote host ({address}): Connection refused\n")).took(14)
        }
        (Tool::Busybox, Probe::Unreachable) => {
            ok.exit(1, format!("wget: can't connect to remote host ({address}): Host is unreachable\n")).took(3_070)
        }
        // GNU wget says nothing at all under -q: 4 is the network, 5 TLS, 8 the server.
        (Tool::GnuWget, Probe::HttpError) => ok.exit(8, ""),
        (Tool::GnuWget, Probe::BadCertificate) => ok.exit(5, ""),
        (Tool::GnuWget, Probe::NoAnswer | Probe::ServFail) => ok.exit(4, "").took(10_012),
        (Tool::GnuWget, Probe::TimedOut) => ok.exit(4, "").took(20_033),
        (Tool::GnuWget, Probe::Refused | Probe::Unreachable) => ok.exit(4, "").took(3_021),
        (Tool::Curl, Probe::HttpError) => ok.exit(22, "curl: (22) The requested URL returned error: 403\n"),
        (Tool::Curl, Probe::BadCertificate) => {
            ok.exit(60, "curl: (60) SSL certificate problem: unable to get local issuer certificate\n")
        }
        (Tool::Curl, Probe::NoAnswer) => {
            ok.exit(28, "curl: (28) Resolving timed out after 5000 milliseconds\n").took(5_003)
        }
        (Tool::Curl, Probe::ServFail) => ok.exit(6, format!("curl: (6) Could not resolve host: {host}\n")).took(41),
        (Tool::Curl, Probe::TimedOut) => {
            ok.exit(28, "curl: (28) Connection timed out after 5001 milliseconds\n").took(5_004)
        }
        (Tool::Curl, Probe::Refused) => {
            ok.exit(7, format!("curl: (7) Failed to connect to {host} port 80 after 11 ms: Connection refused\n"))
        }
        (Tool::Curl, Probe::Unreachable) => {
            ok.exit(7, format!("curl: (7) Failed to connect to {host} port 80 after 3061 ms: No route to host\n"))
        }
        _ => ok.took(231),
    })
}

/// The lookup of a cluster name from a pod.
pub(crate) fn lookup(node: &Node, outcome: Probe) -> Option<Output> {
    const NAME: &str = "kubernetes.default.svc.cluster.local";
    let argv = ["nslookup", NAME];
    if let Some(broken) = broken(&argv, outcome) {
        return broken;
    }
    let server = addr::local_dns(node.local_dns, node.v6());
    let at = if server.is_ipv6() { format!("[{server}]:53") } else { format!("{server}:53") };
    let head = format!("Server:\t\t{server}\nAddress:\t{at}\n\n");
    Some(match outcome {
        Probe::ServFail => {
            Output::ok(&argv, format!("{head}** server can't find {NAME}: SERVFAIL\n\n")).exit(1, "").took(38)
        }
        Probe::NoAnswer | Probe::TimedOut | Probe::Unreachable => {
            Output::ok(&argv, ";; connection timed out; no servers could be reached\n\n".to_owned())
                .exit(1, "")
                .took(10_008)
        }
        Probe::Refused => {
            Output::ok(&argv, format!("{head}** server can't find {NAME}: REFUSED\n\n")).exit(1, "").took(12)
        }
        _ => Output::ok(&argv, format!("{head}Name:\t{NAME}\nAddress: {}\n\n", addr::service(node.v6(), 1))).took(19),
    })
}

/// The ways to fail that no tool words: outer option whether it is one, inner whether anything was gathered.
#[expect(clippy::option_option, reason = "not broken, and broken by not being gathered, are different")]
fn broken(argv: &[&str], outcome: Probe) -> Option<Option<Output>> {
    let tool = argv[0];
    Some(Some(match outcome {
        Probe::NotGathered => return Some(None),
        Probe::ExecTimeout => Output::broken(argv, "timeout", "the command did not end within 15 s"),
        Probe::NoTool => {
            Output::broken(argv, "not-found", format!("exec: \"{tool}\": executable file not found in $PATH"))
        }
        Probe::NoShell => {
            Output::broken(argv, "no-shell", "the container has no shell and none of wget, curl, nslookup")
        }
        Probe::Forbidden => Output::broken(
            argv,
            "forbidden",
            "pods \"shop\" is forbidden: User \"viewer\" cannot create resource \"pods/exec\" in API group \"\" in the namespace \"apps\"",
        ),
        _ => return None,
    }))
}
