//! The server: one thread, one runtime, one listener on the loopback address.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::exec::{self, ExecCall, Plan};
use super::http::{Answer, Connection, Request};
use super::lists;
use super::watches;
use super::world::{FaultKind, Kubelet, World};
use super::writes;

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    /// `GET`, …; `dry-run DELETE` for a DELETE that changes nothing.
    pub(crate) method: String,
    /// The path.
    pub(crate) path: String,
    /// The query, as it came.
    pub(crate) query: String,
    /// The headers, names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// The body, as it came.
    pub(crate) body: Vec<u8>,
    /// Where it is an exec: where, and what.
    pub(crate) exec: Option<ExecCall>,
}

#[derive(Debug, Default)]
struct Journal {
    requests: Vec<Logged>,
    execs_open: BTreeMap<String, usize>,
    execs_most: BTreeMap<String, usize>,
    nodes_most: usize,
}

#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    journal: Mutex<Journal>,
    logged: Condvar,
}

/// A panic of a test that holds a lock says enough by itself.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running server; it ends with the value.
#[derive(Debug)]
pub(crate) struct ApiServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A kubeconfig in a folder of its own; both end with the value.
#[derive(Debug)]
pub(crate) struct Kubeconfig {
    folder: tempfile::TempDir,
}

impl Kubeconfig {
    /// A kubeconfig with these contexts, all of which lead to this address; the first is the current one.
    pub(crate) fn new(address: SocketAddr, contexts: &[&str]) -> Self {
        let named = |key: &str, value: &Value| json!({"name": "test", key: value});
        let contexts_json: Vec<Value> =
            contexts.iter().map(|name| json!({"name": name, "context": {"cluster": "test", "user": "test"}})).collect();
        // JSON is YAML.
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": contexts.first(),
            "clusters": [named("cluster", &json!({"server": format!("http://{address}")}))],
            "users": [named("user", &json!({"token": "not-a-secret"}))],
            "contexts": contexts_json,
        });
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("config"), config.to_string()).expect("the kubeconfig is written");
        Self { folder }
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> String {
        self.folder.path().join("config").display().to_string()
    }
}

impl ApiServer {
    /// Serves a world.
    pub(crate) fn start(world: World) -> Self {
        let shared = Arc::new(Shared { world: Mutex::new(world), journal: Mutex::default(), logged: Condvar::new() });
        let (stop, stopped) = oneshot::channel();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        listener.set_nonblocking(true).expect("a listener can be non-blocking");
        let address = listener.local_addr().expect("a listener has an address");
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    let listener = TcpListener::from_std(listener).expect("a listener");
                    tokio::select! {
                        _ = stopped => {}
                        () = accept(&listener, &shared) => {}
                    }
                });
            }
        });
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A kubeconfig whose only context is the world's.
    pub(crate) fn kubeconfig(&self) -> Kubeconfig {
        let context = locked(&self.shared.world).context.clone();
        self.kubeconfig_with(&[&context])
    }

    /// A kubeconfig with these contexts; the first is the current one.
    pub(crate) fn kubeconfig_with(&self, contexts: &[&str]) -> Kubeconfig {
        Kubeconfig::new(self.address, contexts)
    }

    /// Changes the world while it is served.
    pub(crate) fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut locked(&self.shared.world));
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Logged> {
        locked(&self.shared.journal).requests.clone()
    }

    /// Forgets the requests so far: over thousands of looks they would fill the machine.
    #[allow(dead_code, reason = "only a benchmark goes on for so long")]
    pub(crate) fn forget_requests(&self) {
        locked(&self.shared.journal).requests = Vec::new();
    }

    /// All requests that could change something: every method but GET and HEAD.
    pub(crate) fn writes(&self) -> Vec<Logged> {
        self.requests().into_iter().filter(|r| !matches!(r.method.as_str(), "GET" | "HEAD")).collect()
    }

    /// All exec calls so far.
    pub(crate) fn execs(&self) -> Vec<ExecCall> {
        self.requests().into_iter().filter_map(|request| request.exec).collect()
    }

    /// All exec calls so far to pods of this node.
    pub(crate) fn execs_on(&self, node: &str) -> Vec<ExecCall> {
        self.execs().into_iter().filter(|call| call.node == node).collect()
    }

    /// How many execs were open on a node at once, at most.
    pub(crate) fn most_execs_at_once(&self, node: &str) -> usize {
        locked(&self.shared.journal).execs_most.get(node).copied().unwrap_or(0)
    }

    /// How many nodes had execs open at once, at most.
    pub(crate) fn most_nodes_at_once(&self) -> usize {
        locked(&self.shared.journal).nodes_most
    }

    /// Waits until the requests so far are what is wanted; panics when that takes too long.
    pub(crate) fn wait_until(&self, patience: Duration, wanted: impl Fn(&[Logged]) -> bool) {
        let deadline = Instant::now() + patience;
        let mut journal = locked(&self.shared.journal);
        while !wanted(&journal.requests) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "the requests that were waited for did not come; these did: {:#?}",
                journal.requests
            );
            journal = self.shared.logged.wait_timeout(journal, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("the server did not panic");
                super::commands::hold_against_table(&self.requests());
            }
        }
    }
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        tokio::spawn(serve(Connection { stream, ahead: Vec::new() }, Arc::clone(shared)));
    }
}

/// Serves one connection to its end, whoever ends it.
async fn serve(mut connection: Connection, shared: Arc<Shared>) {
    while let Ok(Some(request)) = connection.request().await {
        writes::advance(&mut locked(&shared.world));
        let call = exec::call(&locked(&shared.world), &request);
        shared.log(&request, call.clone());
        let spoilt = match shared.fault(&request) {
            Some(FaultKind::Reset) => {
                let _ = connection.stream.set_zero_linger();
                return;
            }
            Some(FaultKind::HangUp) => return,
            Some(FaultKind::DoneThenHangUp) => {
                let _ = writes::answer(&mut locked(&shared.world), &request);
                return;
            }
            Some(FaultKind::DoneThenSilence) => {
                let _ = writes::answer(&mut locked(&shared.world), &request);
                return connection.outlast().await;
            }
            Some(FaultKind::DoneThen(answer)) => {
                let _ = writes::answer(&mut locked(&shared.world), &request);
                Some(answer)
            }
            Some(FaultKind::Silence) => return connection.outlast().await,
            Some(FaultKind::Answer(answer)) => Some(answer),
            Some(FaultKind::Forbidden(user)) => Some(lists::forbidden(&request, &user, true)),
            Some(FaultKind::ForbiddenWithoutWords) => Some(lists::forbidden(&request, "", false)),
            Some(FaultKind::Expired) => Some(lists::expired(&request)),
            Some(FaultKind::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                None
            }
            None if locked(&shared.world).writes.refuses(&request) => Some(lists::forbidden(&request, "alice", true)),
            None => None,
        };
        if spoilt.is_none() && lists::watched(&locked(&shared.world), &request).is_some() {
            let seconds = request.param("timeoutSeconds").and_then(|text| text.parse().ok()).unwrap_or(290);
            let now = || {
                let world = locked(&shared.world);
                (lists::watched(&world, &request).unwrap_or_default(), world.watches)
            };
            // An error here says that the client left before the end.
            let _ = watches::stream(connection, Duration::from_secs(seconds), now).await;
            return;
        }
        let led = proxied(&locked(&shared.world), &request);
        let answer = match (spoilt, call) {
            (Some(answer), _) => answer,
            (None, Some(call)) => {
                let plan = exec::plan(&locked(&shared.world), &call, &request);
                let _open = OpenExec::new(&shared, &call.node);
                match plan {
                    Plan::Refuse(answer) => answer,
                    Plan::NeverAnswer => return connection.outlast().await,
                    Plan::Run(run) => {
                        // An error here says that the client left before the end.
                        let _ = exec::play(connection, *run).await;
                        return;
                    }
                }
            }
            (None, None) if kubelet_of_log(&locked(&shared.world), &request) == Some(Kubelet::Frozen) => {
                return connection.outlast().await;
            }
            (None, None) => match led {
                Some(Ok((to, path))) => match forward(to, &path).await {
                    Ok(answer) => answer,
                    Err(error) => {
                        let message = format!("error trying to reach service: {error}");
                        Answer::failure(503, "ServiceUnavailable", &message, Value::Null)
                    }
                },
                Some(Err(refusal)) => *refusal,
                None => {
                    let mut world = locked(&shared.world);
                    writes::answer(&mut world, &request).unwrap_or_else(|| answer(&world, &request))
                }
            },
        };
        let mut answer = with_usual_headers(answer, &request);
        if let Some(date) = locked(&shared.world).writes.date.clone() {
            answer.headers.push(("date".to_owned(), date));
        }
        if connection.answer(&answer, request.method == "HEAD").await.is_err() || answer.close {
            return;
        }
    }
}

impl Shared {
    fn log(&self, request: &Request, exec: Option<ExecCall>) {
        locked(&self.journal).requests.push(Logged {
            method: request.verb().to_owned(),
            path: request.path.clone(),
            query: request.raw_query.clone(),
            headers: request.headers.iter().cloned().collect(),
            body: request.body.clone(),
            exec,
        });
        self.logged.notify_all();
    }

    fn fault(&self, request: &Request) -> Option<FaultKind> {
        let mut world = locked(&self.world);
        let fault = world.faults.iter_mut().find(|fault| fault.fits(request))?;
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        Some(fault.kind.clone())
    }
}

/// Counts an exec for as long as it is open.
struct OpenExec<'a> {
    shared: &'a Shared,
    node: String,
}

impl<'a> OpenExec<'a> {
    fn new(shared: &'a Shared, node: &str) -> Self {
        let mut journal = locked(&shared.journal);
        let open = journal.execs_open.entry(node.to_owned()).or_default();
        *open += 1;
        let open = *open;
        let nodes = journal.execs_open.values().filter(|open| **open > 0).count();
        journal.nodes_most = nodes.max(journal.nodes_most);
        let most = journal.execs_most.entry(node.to_owned()).or_default();
        *most = open.max(*most);
        Self { shared, node: node.to_owned() }
    }
}

impl Drop for OpenExec<'_> {
    fn drop(&mut self) {
        if let Some(open) = locked(&self.shared.journal).execs_open.get_mut(&self.node) {
            *open -= 1;
        }
    }
}

/// What every answer of an API server carries, those of kubelets too.
fn with_usual_headers(mut answer: Answer, request: &Request) -> Answer {
    if answer.headers.is_empty() {
        return answer;
    }
    let audit_id = request.header("audit-id").unwrap_or("09fd0a08-3a03-469b-acdc-a060afc154f3").to_owned();
    answer.headers.insert(0, ("audit-id".to_owned(), audit_id));
    answer.headers.insert(1, ("cache-control".to_owned(), "no-cache, private".to_owned()));
    answer
}

/// Where the service proxy leads for a request, and to which path with its query byte for byte; none where the path
/// is no proxy's.
fn proxied(world: &World, request: &Request) -> Option<Result<(SocketAddr, String), Box<Answer>>> {
    let rest = request.path.strip_prefix("/api/v1/namespaces/")?;
    let (place, path) = rest.split_once("/proxy/")?;
    let (namespace, service) = place.split_once("/services/")?;
    let Some(to) = world.proxied.get(&format!("{namespace}/{service}")) else {
        let name = service.split(':').next().unwrap_or_default();
        return Some(Err(lists::not_found("services", name).into()));
    };
    Some(Ok((*to, format!("/{path}?{}", request.raw_query))))
}

/// Asks what is behind the proxy, to the end of the connection.
async fn forward(to: SocketAddr, path: &str) -> std::io::Result<Answer> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(to).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: proxied\r\n\r\n").as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let at = bytes.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(|| std::io::Error::other("no head"))?;
    let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(502);
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Ok(Answer { status, headers, body: bytes[at + 4..].to_vec(), chunked: false, close: false })
}

fn answer(world: &World, request: &Request) -> Answer {
    if request.method != "GET" {
        return Answer::failure(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
            json!({}),
        );
    }
    match request.path.as_str() {
        "/version" => return Answer::json(200, &version(world)),
        "/readyz" | "/livez" | "/healthz" => return Answer::text(200, "ok"),
        _ => {}
    }
    if let Some(answer) = lists::get(world, request) {
        return answer;
    }
    if let Some(value) = world.foreign.get(&request.path) {
        return Answer::json(200, value);
    }
    if let Some(answer) = log(world, request) {
        return answer;
    }
    let built_in = ["/api/v1/", "/apis/apps/", "/apis/discovery.k8s.io/", "/apis/events.k8s.io/"];
    if built_in.iter().any(|prefix| request.path.starts_with(prefix)) {
        Answer::failure(404, "NotFound", "the server could not find the requested resource", json!({}))
    } else {
        Answer::text(404, "404 page not found\n")
    }
}

fn version(world: &World) -> Value {
    let (minor, git) = match world.protocols {
        super::world::Protocols::V5AndV4 => ("36", "v1.36.2"),
        super::world::Protocols::V4Only => ("20", "v1.20.2"),
    };
    json!({"major": "1", "minor": minor, "gitVersion": git, "gitCommit": "8e16b12fda5b1dccc41a6de48b3e356cc7d5048b",
           "gitTreeState": "archive", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "go1.26.6", "compiler": "gc",
           "platform": "linux/amd64"})
}

/// The pod whose log a path asks for: namespace and name.
fn pod_of_log(path: &str) -> Option<(&str, &str)> {
    let words: Vec<_> = path.split('/').collect();
    match *words.as_slice() {
        ["", "api", "v1", "namespaces", namespace, "pods", name, "log"] => Some((namespace, name)),
        _ => None,
    }
}

/// What is wrong with the kubelet that a log comes from.
fn kubelet_of_log(world: &World, request: &Request) -> Option<Kubelet> {
    let (namespace, name) = pod_of_log(&request.path)?;
    let node = world.pod(namespace, name)?["spec"]["nodeName"].as_str()?;
    world.kubelets.get(node).copied()
}

/// A pod's log; none where the path is no log.
fn log(world: &World, request: &Request) -> Option<Answer> {
    let (namespace, name) = pod_of_log(&request.path)?;
    let Some(pod) = world.pod(namespace, name) else { return Some(lists::not_found("pods", name)) };
    if request.header("accept") == Some("text/plain") {
        let message = "only the following media types are accepted: application/json, application/yaml, \
                       application/vnd.kubernetes.protobuf";
        return Some(Answer::failure(406, "NotAcceptable", message, Value::Null));
    }
    if let Err(refusal) = exec::container(pod, request.param("container")) {
        return Some(*refusal);
    }
    if kubelet_of_log(world, request) == Some(Kubelet::Dead) {
        let message = format!(
            "Get \"https://10.77.0.13:10250/containerLogs/{namespace}/{name}/main\": dial tcp 10.77.0.13:10250: \
             connect: connection refused"
        );
        return Some(Answer::failure(500, "", &message, Value::Null));
    }
    let whole = world.logs.get(&(namespace.to_owned(), name.to_owned())).map_or("", String::as_str);
    let mut body = whole.as_bytes();
    if let Some(lines) = request.param("tailLines").and_then(|text| text.parse::<usize>().ok()) {
        let first = whole.lines().count().saturating_sub(lines);
        let skipped: usize = whole.split_inclusive('\n').take(first).map(str::len).sum();
        body = &body[skipped..];
    }
    if let Some(limit) = request.param("limitBytes").and_then(|text| text.parse::<usize>().ok()) {
        // The first bytes of the tail, not the last.
        body = &body[..body.len().min(limit)];
    }
    let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
    Some(Answer { status: 200, headers, body: body.to_vec(), chunked: true, close: false })
}
