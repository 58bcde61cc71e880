//! The Kubernetes wire and the live source, against a small API server that speaks it by heart.
//!
//! What the server says was seen on real clusters: the frames, their order, the refusals and their bodies.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::SinkExt as _;
use staledp::base::answer::{Answer, End, Raw, Via};
use staledp::base::cluster_settings::{ClusterSettings, Overrides, SshSettings};
use staledp::base::error::ErrorKind;
use staledp::base::evidence::Evidence;
use staledp::base::failure::{Failure, FailureKind};
use staledp::base::pod_ref::PodRef;
use staledp::base::questions::Questions;
use staledp::base::ssh_address::SshAddress;
use staledp::gather::Source as _;
use staledp::gather::live;
use staledp::gather::live::Live;
use staledp::gather::live::kube::{Cluster, Exec};
use staledp::gather::{Probe, Question};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Message, handshake::derive_accept_key};

/// What the server does with one request.
#[derive(Clone)]
enum Reply {
    /// A whole HTTP answer: code, further headers, body.
    Http(u16, &'static str, String),
    /// A WebSocket that sends these frames.
    Frames(Vec<Frame>),
    /// Nothing, for ever.
    Silence,
}

#[derive(Clone)]
enum Frame {
    Out(Vec<u8>),
    Err(Vec<u8>),
    Status(String),
    /// Goodbye, as WebSockets have it.
    Close,
    /// The connection is cut.
    Cut,
    /// The connection stays open, and nothing comes.
    Hang,
}

/// A command ends with this exit code.
fn exit(code: i32) -> Frame {
    Frame::Status(if code == 0 {
        r#"{"metadata":{},"status":"Success"}"#.to_owned()
    } else {
        format!(
            r#"{{"metadata":{{}},"status":"Failure","message":"command terminated with non-zero exit code","reason":"NonZeroExitCode","details":{{"causes":[{{"reason":"ExitCode","message":"{code}"}}]}}}}"#
        )
    })
}

fn ran(out: &str, code: i32) -> Reply {
    Reply::Frames(vec![Frame::Out(Vec::new()), Frame::Out(out.into()), exit(code), Frame::Close])
}

fn complained(err: &str, code: i32) -> Reply {
    Reply::Frames(vec![Frame::Err(err.into()), exit(code), Frame::Close])
}

/// containerd's words for a missing program.
fn no_program(name: &str) -> Reply {
    let status = format!(
        r#"{{"metadata":{{}},"status":"Failure","message":"Internal error occurred: error executing command in container: failed to exec in container: OCI runtime exec failed: exec failed: unable to start container process: exec: \"{name}\": executable file not found in $PATH: unknown","reason":"InternalError","code":500}}"#
    );
    Reply::Frames(vec![Frame::Status(status), Frame::Close])
}

fn status(code: u16, reason: &str, message: &str) -> Reply {
    let body = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    Reply::Http(code, "content-type: application/json\r\n", body.to_string())
}

fn json(body: &serde_json::Value) -> Reply {
    Reply::Http(200, "content-type: application/json\r\n", body.to_string())
}

type Answers = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// A request, taken apart.
#[derive(Clone, Debug)]
struct Asked {
    path: String,
    query: Vec<(String, String)>,
    head: String,
}

impl Asked {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn command(&self) -> String {
        let words = self.query.iter().filter(|(key, _)| key == "command");
        words.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(" ")
    }
}

struct Api {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Api {
    async fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, log): (Answers, _) = (Arc::new(answer), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&log)));
            }
        });
        Self { url, asked }
    }

    /// The commands that were run, as typed.
    fn commands(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(Asked::command).filter(|command| !command.is_empty()).collect()
    }

    fn settings(&self, request_timeout: Duration) -> (ClusterSettings, NamedTempFile) {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: lab\nclusters: [{{name: c, cluster: {{server: '{}'}}}}]\n\
             users: []\ncontexts: [{{name: lab, context: {{cluster: c, user: u}}}}, {{name: other, context: \
             {{cluster: c, user: u}}}}]\n",
            self.url
        );
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let settings = ClusterSettings {
            context: None,
            kubeconfig: Some(file.path().to_owned()),
            as_user: None,
            as_groups: Vec::new(),
            overrides: Overrides::default(),
            request_timeout,
            ssh: None,
            compress: false,
        };
        (settings, file)
    }

    async fn cluster(&self) -> Cluster {
        let (settings, _file) = self.settings(Duration::from_secs(2));
        Cluster::connect(&settings).await.unwrap()
    }

    async fn live(&self) -> Live {
        let (settings, _file) = self.settings(Duration::from_secs(2));
        live::connect(&settings, &questions(), Duration::from_secs(10)).await.unwrap()
    }
}

async fn serve(mut stream: TcpStream, answer: Answers, log: Arc<Mutex<Vec<Asked>>>) {
    while let Some(head) = read_head(&mut stream).await {
        let target = head.split(' ').nth(1).unwrap_or_default();
        let uri: http::Uri = target.parse().unwrap();
        let asked = Asked { path: uri.path().to_owned(), query: parse_query(uri.query().unwrap_or_default()), head };
        log.lock().unwrap().push(asked.clone());
        let reply = if asked.path == "/version" { version(&answer, &asked) } else { answer(&asked) };
        match reply {
            Reply::Http(code, headers, body) => {
                let text = format!("HTTP/1.1 {code} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
                if stream.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
            Reply::Silence => tokio::time::sleep(Duration::from_secs(600)).await,
            Reply::Frames(frames) => return talk(stream, &asked.head, frames).await,
        }
    }
}

/// Every test needs a version; those that are about it answer themselves.
fn version(answer: &Answers, asked: &Asked) -> Reply {
    match answer(asked) {
        Reply::Http(404, ..) => json(&serde_json::json!({"gitVersion": "v1.36.2"})),
        other => other,
    }
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

fn parse_query(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (unescape(key), unescape(value))).collect()
}

fn unescape(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let hex: String = rest.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&hex, 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}

async fn talk(mut stream: TcpStream, head: &str, frames: Vec<Frame>) {
    let header = |name: &str| {
        head.lines().filter_map(|line| line.split_once(": ")).find(|(key, _)| key.eq_ignore_ascii_case(name))
    };
    let key = header("sec-websocket-key").unwrap().1;
    let text = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {}\r\n\
         sec-websocket-protocol: v5.channel.k8s.io\r\n\r\n",
        derive_accept_key(key.as_bytes())
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    for frame in frames {
        let (channel, data) = match frame {
            Frame::Out(data) => (1, data),
            Frame::Err(data) => (2, data),
            Frame::Status(data) => (3, data.into_bytes()),
            Frame::Close => {
                let _ = socket.close(None).await;
                return;
            }
            Frame::Cut => return,
            Frame::Hang => return tokio::time::sleep(Duration::from_secs(600)).await,
        };
        for part in data.chunks(32 << 10).chain(data.is_empty().then_some(&[][..])) {
            let message = std::iter::once(channel).chain(part.iter().copied()).collect::<Vec<u8>>();
            if socket.send(Message::binary(message)).await.is_err() {
                return;
            }
        }
    }
}

fn questions() -> Questions {
    Questions {
        cilium_namespace: None,
        node_local_dns: None,
        dns_service: None,
        external: Vec::new(),
        probe_pods: Vec::new(),
        probe_url: "https://google.com".to_owned(),
        ping_target: "1.1.1.1".parse().unwrap(),
    }
}

/// As the program does it: everything on one thread.
fn on_one_thread<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn agent() -> PodRef {
    "kube-system/cilium-x".parse().unwrap()
}

struct Seen {
    end: End,
    stderr: String,
    stdout: Vec<u8>,
    lacks_program: bool,
}

/// Runs one command against a server that replies with this.
fn exec(reply: Reply) -> Seen {
    exec_within(reply, Duration::from_secs(10), 1 << 30)
}

fn exec_within(reply: Reply, limit: Duration, most: u64) -> Seen {
    on_one_thread(async {
        let api = Api::start(move |asked| if asked.path.ends_with("/exec") { reply.clone() } else { absent() }).await;
        let (pod, argv) = (agent(), ["cilium-dbg".to_owned(), "status".to_owned()]);
        let exec = Exec { pod: &pod, container: Some("cilium-agent"), argv: &argv, limit, most };
        let mut stdout = Vec::new();
        let ended = api.cluster().await.exec(&exec, &mut |chunk| stdout.extend_from_slice(chunk)).await;
        Seen { end: ended.end, stderr: ended.stderr, stdout, lacks_program: ended.lacks_program }
    })
}

fn absent() -> Reply {
    status(404, "NotFound", "the server could not find the requested resource")
}

#[track_caller]
fn failed(end: &End, kind: FailureKind, part: &str) {
    let End::Failed(failure) = end else { panic!("it can't have ended: {end:?}") };
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.message.contains(part), "{failure}");
}

#[test]
fn a_command_brings_both_streams_and_its_exit_code() {
    let frames = vec![Frame::Out("a".into()), Frame::Err("b".into()), Frame::Out("c".into()), exit(3), Frame::Close];
    let seen = exec(Reply::Frames(frames));
    assert_eq!((seen.end, seen.stdout, seen.stderr.as_str()), (End::Exited(3), b"ac".to_vec(), "b"));
}

#[test]
fn a_big_dump_arrives_whole() {
    let dump = vec![b'x'; 20 << 20];
    let seen = exec(Reply::Frames(vec![Frame::Out(dump), exit(0), Frame::Close]));
    assert_eq!((seen.end, seen.stdout.len()), (End::Exited(0), 20 << 20));
}

#[test]
fn a_flood_of_errors_neither_stalls_nor_is_kept() {
    let flood = vec![b'e'; 4 << 20];
    let seen = exec(Reply::Frames(vec![Frame::Err(flood), Frame::Out("x".into()), exit(0), Frame::Close]));
    assert_eq!((seen.end, seen.stdout.len(), seen.stderr.len()), (End::Exited(0), 1, 64 << 10));
}

#[test]
fn an_end_without_a_status_is_no_end() {
    for last in [Frame::Close, Frame::Cut] {
        let seen = exec(Reply::Frames(vec![Frame::Out(vec![b'x'; 300_000]), last]));
        failed(&seen.end, FailureKind::Truncated, "after 300000 bytes");
        assert_eq!(seen.stdout.len(), 300_000);
    }
}

#[test]
fn a_command_that_falls_silent_is_not_waited_for() {
    let frames = vec![Frame::Out("some".into()), Frame::Hang];
    let seen = exec_within(Reply::Frames(frames), Duration::from_millis(500), 1 << 30);
    failed(&seen.end, FailureKind::Timeout, "500ms");
    assert_eq!(seen.stdout, b"some");
}

#[test]
fn a_handshake_that_is_not_answered_is_not_waited_for() {
    let clock = Instant::now();
    failed(&exec(Reply::Silence).end, FailureKind::Timeout, "2s");
    assert!(clock.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_dump_without_end_is_cut() {
    let frames = vec![Frame::Out(vec![b'x'; 3 << 20]), Frame::Hang];
    let seen = exec_within(Reply::Frames(frames), Duration::from_secs(10), 2 << 20);
    failed(&seen.end, FailureKind::Truncated, "exceeds 2 MiB");
    assert!(seen.stdout.len() <= 2 << 20);
}

#[test]
fn a_missing_program_is_no_exit_code() {
    let seen = exec(no_program("cilium-dbg"));
    failed(&seen.end, FailureKind::NotFound, "executable file not found");
    assert!(seen.lacks_program);
}

#[test]
fn a_missing_right_is_named() {
    let seen = exec(status(403, "Forbidden", "pods \"cilium-x\" is forbidden: "));
    failed(&seen.end, FailureKind::Forbidden, "grant `get` and `create` on `pods/exec` in namespace kube-system");
}

#[test]
fn a_refused_protocol_is_no_missing_right() {
    failed(&exec(Reply::Http(403, "", String::new())).end, FailureKind::Other, "no right is missing");
}

#[test]
fn refusals_before_the_command_are_told_apart() {
    let text = Reply::Http(500, "content-type: text/plain\r\n", "container not found (\"cilium-agent\")".to_owned());
    let seen = exec(text);
    failed(&seen.end, FailureKind::NotFound, "no such running container");
    assert!(!seen.lacks_program);
    failed(&exec(status(404, "NotFound", "pods \"cilium-x\" not found")).end, FailureKind::NotFound, "not found");
    let dead = "error dialing backend: dial tcp 10.77.0.13:10250: connect: connection refused";
    failed(&exec(status(500, "", dead)).end, FailureKind::Unreachable, "kubelet");
    failed(&exec(Reply::Http(200, "", "hello".to_owned())).end, FailureKind::Other, "200 OK instead of a WebSocket");
}

// The lists.

fn pods(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Result<Vec<String>, Failure>, usize) {
    on_one_thread(async {
        let api = Api::start(answer).await;
        let pods = api.cluster().await.pods(None).await;
        let asked = api.asked.lock().unwrap().iter().filter(|asked| asked.path == "/api/v1/pods").count();
        (pods.map(|pods| pods.into_iter().map(|pod| pod.metadata.name.into()).collect()), asked)
    })
}

fn page(name: &str, next: Option<&str>) -> Reply {
    json(&serde_json::json!({
        "kind": "PodList", "metadata": {"continue": next}, "items": [{"metadata": {"name": name}}],
    }))
}

#[test]
fn a_list_is_read_page_by_page_beyond_a_token_that_grew_too_old() {
    let (pods, asked) = pods(|asked| match (asked.path.as_str(), asked.parameter("continue")) {
        ("/api/v1/pods", None) => {
            assert_eq!(asked.parameter("limit"), Some("500"));
            page("a", Some("old"))
        }
        ("/api/v1/pods", Some("old")) => {
            let body =
                r#"{"kind":"Status","status":"Failure","reason":"Expired","code":410,"metadata":{"continue":"new"}}"#;
            Reply::Http(410, "", body.to_owned())
        }
        ("/api/v1/pods", Some("new")) => page("b", None),
        _ => absent(),
    });
    assert_eq!((pods.unwrap(), asked), (vec!["a".to_owned(), "b".to_owned()], 3));
}

#[test]
fn a_busy_server_is_asked_again_but_not_for_ever() {
    let busy = || {
        let text = "Too many requests, please try again later.\n".to_owned();
        Reply::Http(429, "retry-after: 0\r\ncontent-type: text/plain\r\n", text)
    };
    let left = Mutex::new(2);
    let (pods_then, asked) = pods(move |asked| {
        let mut left = left.lock().unwrap();
        match asked.path.as_str() {
            "/api/v1/pods" if *left > 0 => {
                *left -= 1;
                busy()
            }
            "/api/v1/pods" => page("a", None),
            _ => absent(),
        }
    });
    assert_eq!((pods_then.unwrap().len(), asked), (1, 3));
    let (never, asked) = pods(move |asked| if asked.path == "/api/v1/pods" { busy() } else { absent() });
    assert_eq!(asked, 4);
    assert!(never.unwrap_err().message.contains("Too many requests"));
}

#[test]
fn a_list_that_may_not_be_read_names_the_right() {
    let (pods, _) = pods(|asked| match asked.path.as_str() {
        "/api/v1/pods" => status(403, "Forbidden", "pods is forbidden: User \"u\" cannot list resource \"pods\""),
        _ => absent(),
    });
    let failure = pods.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Forbidden);
    assert!(failure.message.ends_with("grant `list` on `pods`"), "{failure}");
}

#[test]
fn a_list_that_never_comes_is_not_waited_for() {
    let (pods, _) = pods(|asked| if asked.path == "/api/v1/pods" { Reply::Silence } else { absent() });
    assert_eq!(pods.unwrap_err().kind, FailureKind::Timeout);
}

// The connection.

fn connect(settings: &ClusterSettings) -> String {
    let Err(error) = on_one_thread(Cluster::connect(settings)) else { panic!("it can't have connected") };
    assert_eq!(error.kind(), ErrorKind::CannotReach);
    error.to_string()
}

#[test]
fn an_unknown_context_is_answered_with_those_that_exist() {
    let text = on_one_thread(async {
        let api = Api::start(|_| absent()).await;
        let (mut settings, file) = api.settings(Duration::from_secs(1));
        settings.context = Some("nosuch".to_owned());
        let error = Cluster::connect(&settings).await.err().unwrap();
        drop(file);
        error.with_advice()
    });
    assert!(text.contains("'nosuch'") && text.contains("lab, other"), "{text}");
}

#[test]
fn a_missing_kubeconfig_is_named() {
    let (mut settings, _file) =
        Api { url: "http://127.0.0.1:1".to_owned(), asked: Arc::default() }.settings(Duration::from_secs(1));
    settings.kubeconfig = Some("/nonexistent/config".into());
    assert!(connect(&settings).contains("/nonexistent/config"));
}

#[test]
fn a_server_that_is_not_there_is_named_with_and_without_tls() {
    for url in ["http://127.0.0.1:1", "https://127.0.0.1:1"] {
        let api = Api { url: url.to_owned(), asked: Arc::default() };
        let (settings, _file) = api.settings(Duration::from_secs(1));
        let text = connect(&settings);
        assert!(text.contains(url) && text.contains("refused"), "{text}");
    }
}

#[test]
fn a_silent_server_is_named_with_the_deadline() {
    let text = on_one_thread(async {
        let api = Api::start(|_| Reply::Silence).await;
        let (settings, _file) = api.settings(Duration::from_millis(300));
        Cluster::connect(&settings).await.err().unwrap().to_string()
    });
    assert!(text.contains("http://127.0.0.1:") && text.contains("300ms"), "{text}");
}

#[test]
fn a_login_plugin_that_is_missing_is_named() {
    let (settings, file) =
        Api { url: "http://127.0.0.1:1".to_owned(), asked: Arc::default() }.settings(Duration::from_secs(1));
    let exec = "{apiVersion: client.authentication.k8s.io/v1, command: nosuch-login, interactiveMode: Never}";
    let text = std::fs::read_to_string(file.path()).unwrap();
    let text = text.replace("users: []", &format!("users: [{{name: u, user: {{exec: {exec}}}}}]"));
    std::fs::write(file.path(), text).unwrap();
    assert!(connect(&settings).contains("'nosuch-login'"));
}

#[test]
fn requests_say_who_asks_and_as_whom() {
    on_one_thread(async {
        let api = Api::start(|_| absent()).await;
        let (mut settings, _file) = api.settings(Duration::from_secs(1));
        settings.as_user = Some("alice".to_owned());
        settings.as_groups = vec!["ops".to_owned()];
        let cluster = Cluster::connect(&settings).await.unwrap();
        assert_eq!(cluster.context(), Some("lab"));
        let head = api.asked.lock().unwrap()[0].head.to_lowercase();
        let agent = format!("user-agent: staledp/{}", env!("CARGO_PKG_VERSION"));
        for line in [agent.as_str(), "impersonate-user: alice", "impersonate-group: ops"] {
            assert_eq!(head.matches(line).count(), 1, "{line}: {head}");
        }
    });
}

// The live source.

/// Asks one question of a live source; each command is answered by the first rule whose text it contains.
fn ask(evidence: Evidence, rules: Vec<(&'static str, Reply)>) -> (Raw, Vec<String>) {
    ask_pod(evidence, true, rules)
}

/// The same of a pod that is, or is not, the last one that can be asked.
fn ask_pod(evidence: Evidence, last: bool, rules: Vec<(&'static str, Reply)>) -> (Raw, Vec<String>) {
    on_one_thread(async {
        let api = Api::start(move |asked| {
            let command = asked.command();
            if command.is_empty() {
                return absent();
            }
            let rule = rules.iter().find(|(text, _)| command.contains(text));
            rule.map_or_else(|| no_program("x"), |(_, reply)| reply.clone())
        })
        .await;
        let live = api.live().await;
        let (agent, pod) = (agent(), "apps/web".parse::<PodRef>().unwrap());
        let probe = Some(Probe { slot: 1, pod: &pod, last });
        let question = Question { node: "n1", evidence, agent: Some(&agent), probe };
        let raw = live.ask_small(&question).await;
        live.close().await;
        (raw, api.commands())
    })
}

fn argv(answer: &Answer) -> String {
    answer.argv.join(" ")
}

#[test]
fn a_dump_is_bounded_on_the_far_side_and_recorded_as_the_plain_command() {
    let (raw, commands) = ask(Evidence::CtList, vec![("timeout", ran("TCP OUT\n", 0))]);
    assert_eq!(commands, ["timeout -k 1 10 cilium-dbg bpf ct list global"]);
    assert_eq!(argv(&raw.answer), "cilium-dbg bpf ct list global");
    assert_eq!((raw.answer.end, raw.stdout), (End::Exited(0), b"TCP OUT\n".to_vec()));
    assert!(raw.answer.started_at.is_some_and(|time| time.to_string().len() == 20), "to the second");
}

#[test]
fn an_old_agent_without_timeout_is_asked_by_its_old_name() {
    let rules =
        vec![("timeout", no_program("timeout")), ("cilium-dbg", no_program("cilium-dbg")), ("cilium", ran("x", 0))];
    let (raw, commands) = ask(Evidence::ServiceList, rules);
    assert_eq!(argv(&raw.answer), "cilium service list");
    assert_eq!((raw.answer.end, commands.len()), (End::Exited(0), 4));
}

#[test]
fn an_agent_that_refuses_global_is_asked_again_without() {
    let refusal = "Error: unknown command \"global\" for \"cilium-dbg bpf ct list\"\n";
    let rules = vec![("global", complained(refusal, 1)), ("bpf ct list", ran("TCP OUT\n", 0))];
    let (raw, _) = ask(Evidence::CtList, rules);
    assert_eq!(argv(&raw.answer), "cilium-dbg bpf ct list");
    assert_eq!((raw.answer.end, raw.stdout), (End::Exited(0), b"TCP OUT\n".to_vec()));
}

#[test]
fn a_pod_with_curl_only_is_asked_by_curl() {
    let rules = vec![("curl", complained("curl: (6) Could not resolve host: google.com\n", 6))];
    let (raw, _) = ask(Evidence::PodEgress, rules);
    assert_eq!(argv(&raw.answer), r"curl -sS -o /dev/null -w %{http_code}\n -m 5 https://google.com");
    assert_eq!(raw.answer.end, End::Exited(6));
    assert_eq!(raw.answer.pod.map(|pod| pod.to_string()).as_deref(), Some("apps/web"));
}

#[test]
fn a_wget_without_timeouts_is_asked_without() {
    let usage = "wget: unrecognized option '--timeout=5'\nBusyBox v1.35.0\n";
    let (raw, _) = ask(Evidence::PodEgress, vec![("--timeout=5", complained(usage, 1)), ("wget", ran("", 0))]);
    assert_eq!(
        (argv(&raw.answer).as_str(), raw.answer.end),
        ("wget -q -O /dev/null -t 1 https://google.com", End::Exited(0))
    );
}

#[test]
fn a_pod_without_any_tool_is_no_pod_without_network() {
    let (raw, commands) = ask_pod(Evidence::PodEgress, false, Vec::new());
    failed(&raw.answer.end, FailureKind::NoShell, "no shell");
    assert_eq!(commands.len(), 1, "another pod may have one: {commands:?}");
    let (raw, _) = ask(Evidence::PodEgress, Vec::new());
    failed(&raw.answer.end, FailureKind::NoShell, "no wget, no curl, no bash");
    let (raw, commands) = ask(Evidence::PodEgress, vec![("for tool in", complained("staledp: has no more\n", 127))]);
    failed(&raw.answer.end, FailureKind::NoShell, "no wget, no curl, no bash");
    assert_eq!(commands.len(), 1, "{commands:?}");
}

#[test]
fn what_a_pod_has_is_found_out_along_with_the_first_question() {
    let list = "staledp: has timeout\nstaledp: has curl\nstaledp: has no more\n";
    let rules = vec![("for tool in", complained(list, 127)), ("curl -sS", complained("curl: (6) no such host\n", 6))];
    let (raw, commands) = ask(Evidence::PodEgress, rules);
    assert_eq!((argv(&raw.answer).split(' ').next(), &raw.answer.end), (Some("curl"), &End::Exited(6)));
    assert!(commands[0].starts_with("sh -c for tool in "), "{commands:?}");
    assert!(
        commands[0].ends_with(" sh timeout 8 wget -q -O /dev/null --timeout=5 -t 1 https://google.com"),
        "{commands:?}"
    );
    assert!(commands[1..].iter().all(|command| command.contains("curl")), "{commands:?}");

    let said = format!("{}wget: bad address 'google.com'\n", list.replace("curl", "wget"));
    let (raw, _) =
        ask(Evidence::PodEgress, vec![("for tool in", complained(&said, 1)), ("wget", complained("again\n", 1))]);
    assert_eq!(raw.answer.end, End::Exited(1));
    assert!(!raw.answer.stderr.contains("staledp"), "the list is no word of the tool: {}", raw.answer.stderr);
}

#[test]
fn the_last_pod_is_asked_tool_by_tool_where_it_has_no_shell() {
    let rules = vec![("sh -c", no_program("sh")), ("timeout", no_program("timeout")), ("curl", ran("", 0))];
    let (raw, _) = ask(Evidence::PodEgress, rules);
    assert_eq!((argv(&raw.answer).split(' ').next(), raw.answer.end), (Some("curl"), End::Exited(0)));
}

#[test]
fn a_shell_that_cannot_list_is_no_pod_without_tools() {
    let broken = "sh: syntax error\n";
    let (raw, commands) = ask(Evidence::PodEgress, vec![("for tool in", complained(broken, 2)), ("wget", ran("", 0))]);
    assert_eq!((raw.answer.end, commands.len()), (End::Exited(0), 2));
}

#[test]
fn a_probe_that_is_ended_has_looked_and_a_dump_that_is_ended_has_not() {
    let (probe, _) = ask(Evidence::PodDns, vec![("timeout 8 nslookup", ran("", 124))]);
    assert_eq!(probe.answer.end, End::Exited(124));
    assert!(probe.answer.stderr.contains("within 8s"), "{}", probe.answer.stderr);
    let (dump, _) = ask(Evidence::CtList, vec![("timeout -k 1 10 cilium-dbg", ran("TCP OUT\n", 124))]);
    failed(&dump.answer.end, FailureKind::Timeout, "10s");
}

#[test]
fn without_ssh_and_ping_the_agent_connects_instead() {
    let (raw, _) = ask(Evidence::HostPing, vec![("bash -c", ran("", 0))]);
    assert_eq!(argv(&raw.answer), r#"bash -c exec 3<>"/dev/tcp/$1/$2" bash 1.1.1.1 443"#);
    assert_eq!((raw.answer.end, raw.answer.via), (End::Exited(0), Some(Via::AgentContainer)));
}

#[test]
fn nobody_to_ask_is_said_so() {
    on_one_thread(async {
        let api = Api::start(|_| absent()).await;
        let live = api.live().await;
        for evidence in [Evidence::HostPing, Evidence::PodEgress, Evidence::CtList, Evidence::AgentLog] {
            let question = Question { node: "n1", evidence, agent: None, probe: None };
            assert!(matches!(live.ask_small(&question).await.answer.end, End::NotGathered(_)), "{evidence}");
        }
    });
}

#[test]
fn the_log_is_read_by_its_own_right() {
    on_one_thread(async {
        let api = Api::start(|asked| match asked.path.as_str() {
            "/api/v1/namespaces/kube-system/pods/cilium-x/log" => {
                assert_eq!(asked.parameter("container"), Some("cilium-agent"));
                Reply::Http(200, "content-type: text/plain\r\n", "line\n".to_owned())
            }
            "/api/v1/namespaces/kube-system/pods/cilium-y/log" => status(403, "Forbidden", "no"),
            _ => absent(),
        })
        .await;
        let live = api.live().await;
        let ask = async |pod: &str| {
            let pod: PodRef = pod.parse().unwrap();
            let question = Question { node: "n1", evidence: Evidence::AgentLog, agent: Some(&pod), probe: None };
            live.ask_small(&question).await
        };
        let raw = ask("kube-system/cilium-x").await;
        assert_eq!(argv(&raw.answer), "kubectl logs -n kube-system -c cilium-agent --tail=400 cilium-x");
        assert_eq!((raw.answer.end, raw.stdout), (End::Exited(0), b"line\n".to_vec()));
        failed(&ask("kube-system/cilium-y").await.answer.end, FailureKind::Forbidden, "grant `get` on `pods/log`");
    });
}

#[test]
fn an_inventory_makes_do_with_what_may_be_read() {
    on_one_thread(async {
        let api = Api::start(|asked| match asked.path.as_str() {
            "/api/v1/nodes" => page("n1", None),
            "/api/v1/namespaces/kube-system/pods" => page("cilium-x", None),
            "/api/v1/services" => json(&serde_json::json!({
                "metadata": {},
                "items": [{"metadata": {"name": "coredns", "namespace": "kube-system", "labels": {"k8s-app": "coredns"}},
                           "spec": {"clusterIP": "10.43.0.10", "ports": [{"port": 53, "protocol": "UDP"}]}}],
            })),
            "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices" => json(&serde_json::json!({
                "metadata": {}, "items": [{"metadata": {"name": "coredns-abc"}, "endpoints": null, "ports": null}],
            })),
            _ => status(403, "Forbidden", "no"),
        })
        .await;
        let inventory = api.live().await.inventory().await;
        assert_eq!(inventory.nodes.whole().unwrap()[0].metadata.name, "n1");
        assert_eq!(inventory.pods.known()[0].metadata.name, "cilium-x");
        assert!(inventory.pods.whole().is_none(), "the pods of one namespace are not all pods");
        assert_eq!(inventory.services.whole().unwrap().len(), 1);
        assert!(inventory.endpoint_slices.whole().unwrap()[0].endpoints.is_empty());
        assert!(inventory.events.gap().unwrap().message.ends_with("grant `list` on `events`"));
        assert_eq!(inventory.origin.context.as_deref(), Some("lab"));
        let asked = api.asked.lock().unwrap();
        let selectors: Vec<&str> = asked.iter().filter_map(|asked| asked.parameter("labelSelector")).collect();
        assert_eq!(selectors, ["k8s-app in (kube-dns,coredns)", "kubernetes.io/service-name=coredns"]);
    });
}

#[test]
fn without_ssh_the_agent_is_asked_and_the_reason_is_kept() {
    if std::process::Command::new("ssh").arg("-V").output().is_err() {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "ssh is missing in CI");
        return println!("skipped: there is no ssh");
    }
    on_one_thread(async {
        let ping = "PING 1.1.1.1 (1.1.1.1) 56(84) bytes of data.\n2 packets transmitted, 2 received\n";
        let api = Api::start(move |asked| if asked.path.ends_with("/exec") { ran(ping, 0) } else { absent() }).await;
        let (mut settings, _file) = api.settings(Duration::from_secs(2));
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        settings.ssh =
            Some(SshSettings { user: None, port: Some(closed), options: Vec::new(), address: SshAddress::Name });
        let live = live::connect(&settings, &questions(), Duration::from_secs(10)).await.unwrap();
        let agent = agent();
        let question = Question { node: "127.0.0.1", evidence: Evidence::HostPing, agent: Some(&agent), probe: None };
        let asked = live.ask_small(&question).await;
        assert_eq!((&asked.answer.end, asked.answer.via), (&End::Exited(0), Some(Via::AgentContainer)));
        assert_eq!(argv(&asked.answer), "ping -c 2 -W 3 1.1.1.1");
        assert!(asked.answer.stderr.starts_with("ssh: "), "{}", asked.answer.stderr);
        let alone = live.ask_small(&Question { agent: None, ..question }).await;
        failed(&alone.answer.end, FailureKind::Unreachable, "ssh: cannot connect to 127.0.0.1");
        live.close().await;
    });
}

#[test]
fn an_ssh_option_that_brings_another_along_is_a_usage_error() {
    let api = Api { url: "http://127.0.0.1:1".to_owned(), asked: Arc::default() };
    let (mut settings, _file) = api.settings(Duration::from_secs(1));
    let options = vec![("User".to_owned(), "x\nProxyCommand=y".to_owned())];
    settings.ssh = Some(SshSettings { user: None, port: None, options, address: SshAddress::Name });
    let connected = on_one_thread(live::connect(&settings, &questions(), Duration::from_secs(1)));
    let error = connected.err().expect("an error");
    assert_eq!((error.kind(), error.exit().code()), (ErrorKind::Configuration, 2));
}
