//! What a test cluster holds, and how it misbehaves.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::http::Answer;
use super::packing::{self, Packing, after_list, packed};
use super::watches::Watches;
use super::writes::Writes;

/// A cluster.
#[derive(Clone, Debug)]
pub(crate) struct World {
    /// The kubeconfig context that leads here.
    pub(crate) context: String,
    /// `Node` objects.
    pub(crate) nodes: Vec<Value>,
    /// `Pod` objects.
    pub(crate) pods: Vec<Value>,
    /// `Service` objects.
    pub(crate) services: Vec<Value>,
    /// `EndpointSlice` objects.
    pub(crate) endpoint_slices: Vec<Value>,
    /// `Event` objects of the core group.
    pub(crate) events: Vec<Value>,
    /// `DaemonSet` objects.
    pub(crate) daemon_sets: Vec<Value>,
    /// `ControllerRevision` objects.
    pub(crate) revisions: Vec<Value>,
    /// What the cluster does about writes.
    pub(crate) writes: Writes,
    /// How watches go wrong.
    pub(crate) watches: Watches,
    /// Answers by path, for groups that are installed beside the usual ones.
    pub(crate) foreign: BTreeMap<String, Value>,
    /// What is behind the service proxy, by `namespace/service:port`.
    pub(crate) proxied: BTreeMap<String, std::net::SocketAddr>,
    /// Logs by namespace and pod.
    pub(crate) logs: BTreeMap<(String, String), String>,
    /// What commands answer; the last rule that fits wins. A tool that no rule names is not installed.
    pub(crate) execs: Vec<ExecRule>,
    /// Kubelets that do not work, by node.
    pub(crate) kubelets: BTreeMap<String, Kubelet>,
    /// Requests that go wrong; the first that fits wins.
    pub(crate) faults: Vec<Fault>,
    /// The pods that ran a saved bundle's probes, as `namespace/name`.
    pub(crate) probe_pods: Vec<String>,
    /// The exec protocols that are spoken.
    pub(crate) protocols: Protocols,
    /// Under which names the agent's tool is installed.
    pub(crate) agent_tool: AgentTool,
    /// What the agent's container compresses with.
    pub(crate) packing: Packing,
    /// Whose words runtime errors have.
    pub(crate) containerd: Containerd,
    /// Where pods lay when one was last looked for, by namespace and name.
    pub(crate) places: Places,
}

/// Where pods lie in a world's list, by namespace and name; learned anew by a copy.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<HashMap<(String, String), usize>>);

impl Clone for Places {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Default for World {
    fn default() -> Self {
        Self {
            context: "grigri".to_owned(),
            nodes: Vec::new(),
            pods: Vec::new(),
            services: Vec::new(),
            endpoint_slices: Vec::new(),
            events: Vec::new(),
            daemon_sets: Vec::new(),
            revisions: Vec::new(),
            writes: Writes::default(),
            watches: Watches::default(),
            foreign: BTreeMap::new(),
            proxied: BTreeMap::new(),
            logs: BTreeMap::new(),
            execs: Vec::new(),
            kubelets: BTreeMap::new(),
            faults: Vec::new(),
            probe_pods: Vec::new(),
            protocols: Protocols::V5AndV4,
            agent_tool: AgentTool::Both,
            packing: Packing::default(),
            containerd: Containerd::V1,
            places: Places::default(),
        }
    }
}

/// What a kubelet does with an exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kubelet {
    /// Nothing listens: the API server says so at once.
    Dead,
    /// It is stopped: the handshake is never answered.
    Frozen,
}

/// The exec protocols that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocols {
    /// As 1.36: v5 is taken wherever it stands in the offer.
    V5AndV4,
    /// As 1.20: an offer of v5 alone is refused with an empty 403.
    V4Only,
}

/// Under which names the agent's tool is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AgentTool {
    /// `cilium-dbg`, and `cilium` as a second name: 1.15 and later.
    Both,
    /// `cilium` only: up to 1.14.
    CiliumOnly,
}

/// Whose words runtime errors have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Containerd {
    /// 1.6.20.
    V1,
    /// 2.3.4: no `: unknown` at the end, and on v4 neither `metadata` nor `details`.
    V2,
}

/// Which pods a rule is about.
#[derive(Clone, Debug)]
pub(crate) enum Pods {
    /// All.
    Any,
    /// One, by namespace and name.
    Named(String, String),
    /// The Cilium agents of a node, by label.
    Agent(String),
}

impl Pods {
    /// One pod, as `namespace/name`.
    pub(crate) fn named(reference: &str) -> Self {
        let (namespace, name) = reference.split_once('/').expect("namespace/name");
        Self::Named(namespace.to_owned(), name.to_owned())
    }

    /// The agents of a node.
    pub(crate) fn agent(node: &str) -> Self {
        Self::Agent(node.to_owned())
    }

    /// Whether a pod is meant.
    pub(crate) fn fit(&self, pod: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Named(namespace, name) => {
                pod["metadata"]["namespace"] == **namespace && pod["metadata"]["name"] == **name
            }
            Self::Agent(node) => pod["metadata"]["labels"]["k8s-app"] == "cilium" && pod["spec"]["nodeName"] == **node,
        }
    }
}

/// Which commands a rule is about. A `timeout …` in front is not part of the command, unless the rule names it.
#[derive(Clone, Debug)]
pub(crate) enum Argv {
    /// Those that begin with these words.
    Prefix(Vec<String>),
    /// Those with the same tool and the same last word: a probe with other options asks the same question.
    SameQuestion(Vec<String>),
}

impl Argv {
    fn words(&self) -> &[String] {
        match self {
            Self::Prefix(words) | Self::SameQuestion(words) => words,
        }
    }

    /// Whether a command is meant.
    pub(crate) fn fits(&self, argv: &[String]) -> bool {
        match self {
            Self::Prefix(words) => argv.starts_with(words),
            Self::SameQuestion(words) => argv.first() == words.first() && argv.last() == words.last(),
        }
    }
}

/// What a command answers.
#[derive(Clone, Debug)]
pub(crate) struct ExecRule {
    /// In which pods.
    pub(crate) pods: Pods,
    /// Which commands.
    pub(crate) argv: Argv,
    /// What they answer.
    pub(crate) reply: ExecReply,
    /// Where it is the answer from the second time on: whether the first has been given.
    pub(crate) later: Option<Arc<AtomicBool>>,
}

/// The run of a command.
#[derive(Clone, Debug)]
pub(crate) struct ExecReply {
    /// Its standard output.
    pub(crate) stdout: Output,
    /// Its standard error; it comes before standard output.
    pub(crate) stderr: Output,
    /// How it ends.
    pub(crate) end: End,
    /// How long the handshake takes.
    pub(crate) handshake_delay: Duration,
    /// How long the first output takes after the handshake.
    pub(crate) delay: Duration,
}

impl ExecReply {
    fn new(stdout: Output, end: End) -> Self {
        Self { stdout, stderr: Output::none(), end, handshake_delay: Duration::ZERO, delay: Duration::ZERO }
    }

    /// It prints this and exits with 0.
    pub(crate) fn prints(stdout: impl Into<Output>) -> Self {
        Self::new(stdout.into(), End::Exit(0))
    }

    /// It prints this and ends so.
    pub(crate) fn ends(stdout: impl Into<Output>, end: End) -> Self {
        Self::new(stdout.into(), end)
    }

    /// It exits with this code, saying this on standard error.
    pub(crate) fn fails(code: i32, stderr: &str) -> Self {
        Self { stderr: stderr.into(), ..Self::new(Output::none(), End::Exit(code)) }
    }

    /// It is not installed.
    pub(crate) fn missing() -> Self {
        Self::new(Output::none(), End::MissingBinary)
    }

    /// Nothing comes after the handshake.
    pub(crate) fn silent() -> Self {
        Self::new(Output::none(), End::Silence)
    }

    /// With this standard error.
    pub(crate) fn stderr(mut self, stderr: impl Into<Output>) -> Self {
        self.stderr = stderr.into();
        self
    }

    /// With the first output this late.
    pub(crate) fn delayed(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// With the answer to the handshake this late.
    pub(crate) fn handshake_delayed(mut self, delay: Duration) -> Self {
        self.handshake_delay = delay;
        self
    }
}

/// How the run of a command ends.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// With an exit code.
    Exit(i32),
    /// It never began: there is no such program.
    MissingBinary,
    /// It never began: the runtime says why, in these words.
    RuntimeError(String),
    /// The stream is closed as it should be, but no status came.
    CloseWithoutStatus,
    /// The connection ends between two frames, without a close frame.
    Drop,
    /// The connection is reset.
    Reset,
    /// The connection ends in the middle of a frame.
    MidFrame,
    /// Nothing more comes, and the connection stays.
    Silence,
    /// The handshake is answered so.
    Refused(Answer),
    /// The handshake is never answered.
    NoHandshake,
}

/// What a stream carries.
#[derive(Clone)]
pub(crate) enum Output {
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// This many lines, made as they are sent; each with its own newline.
    Lines(u64, Arc<dyn Fn(u64) -> String + Send + Sync>),
}

impl Output {
    /// Nothing.
    pub(crate) fn none() -> Self {
        Self::Bytes(Arc::default())
    }

    /// This many lines, made as they are sent, so that nobody holds them.
    pub(crate) fn lines(count: u64, line: impl Fn(u64) -> String + Send + Sync + 'static) -> Self {
        Self::Lines(count, Arc::new(line))
    }

    /// Pieces of at most `size` bytes.
    pub(crate) fn pieces(&self, size: usize) -> Box<dyn Iterator<Item = Vec<u8>> + Send + '_> {
        match self {
            Self::Bytes(bytes) => Box::new(bytes.chunks(size).map(<[u8]>::to_vec)),
            Self::Lines(count, line) => {
                let mut next = 0;
                let mut pending = Vec::new();
                Box::new(std::iter::from_fn(move || {
                    while pending.len() < size && next < *count {
                        pending.extend_from_slice(line(next).as_bytes());
                        next += 1;
                    }
                    let rest = pending.split_off(pending.len().min(size));
                    let piece = std::mem::replace(&mut pending, rest);
                    (!piece.is_empty()).then_some(piece)
                }))
            }
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Lines(count, _) => write!(f, "{count} lines"),
        }
    }
}

impl From<&str> for Output {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().into())
    }
}

impl From<Vec<u8>> for Output {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

/// A request that goes wrong.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// The path; `*` stands for anything.
    pub(crate) path: String,
    /// The only method that is meant.
    pub(crate) method: Option<&'static str>,
    /// A query key that must be there.
    pub(crate) param: Option<&'static str>,
    /// How many more times it goes wrong; none: always.
    pub(crate) times: Option<u32>,
    /// What goes wrong.
    pub(crate) kind: FaultKind,
}

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub(crate) enum FaultKind {
    /// It is answered so.
    Answer(Answer),
    /// A user of this name has no right to it.
    Forbidden(String),
    /// RBAC refuses it and does not say what is missing, as it does where `create` on `pods/exec` is.
    ForbiddenWithoutWords,
    /// The continue token has expired; the answer carries a fresh one. Only requests with a token are meant.
    Expired,
    /// The connection is reset.
    Reset,
    /// The connection is closed without an answer.
    HangUp,
    /// It is done, and the connection is closed without an answer.
    DoneThenHangUp,
    /// It is done, and never answered.
    DoneThenSilence,
    /// It is done, and answered so.
    DoneThen(Answer),
    /// It is never answered.
    Silence,
    /// It is answered as ever, but late.
    Delay(Duration),
}

impl Fault {
    /// Requests to this path always go wrong so.
    pub(crate) fn new(path: &str, kind: FaultKind) -> Self {
        Self { path: path.to_owned(), method: None, param: None, times: None, kind }
    }

    /// Only with this method.
    pub(crate) fn on(mut self, method: &'static str) -> Self {
        self.method = Some(method);
        self
    }

    /// Only this many times.
    pub(crate) fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// The throttle of priority and fairness: plain text, and when to come again.
    pub(crate) fn too_many(path: &str, retry_after: &str) -> Self {
        let answer = Answer::text(429, "Too many requests, please try again later.\n")
            .header("retry-after", retry_after)
            .header("x-content-type-options", "nosniff");
        Self::new(path, FaultKind::Answer(answer))
    }

    /// A failure told as a `Status`.
    pub(crate) fn status(path: &str, code: u16, reason: &str, message: &str) -> Self {
        Self::new(path, FaultKind::Answer(Answer::failure(code, reason, message, Value::Null)))
    }

    /// Every exec is refused for lack of rights.
    pub(crate) fn no_exec() -> Self {
        Self::new("*/exec", FaultKind::Forbidden("viewer".to_owned()))
    }

    /// Whether a request is meant.
    pub(crate) fn fits(&self, request: &super::http::Request) -> bool {
        let expired = matches!(self.kind, FaultKind::Expired);
        glob(&self.path, &request.path)
            && self.method.is_none_or(|method| method == request.verb())
            && self.times != Some(0)
            && self.param.is_none_or(|key| request.param(key).is_some())
            && (!expired || request.param("continue").is_some_and(|token| !token.is_empty()))
    }
}

fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut tail = None;
    for part in parts {
        if let Some(middle) = tail.replace(part) {
            let Some(at) = rest.find(middle) else { return false };
            rest = &rest[at + middle.len()..];
        }
    }
    tail.map_or(rest.is_empty(), |last: &str| rest.ends_with(last))
}

impl World {
    /// Commands that begin with these words answer so.
    pub(crate) fn on_exec(&mut self, pods: Pods, argv: &[&str], reply: ExecReply) -> &mut Self {
        let words = argv.iter().map(|&word| word.to_owned()).collect();
        self.execs.push(ExecRule { pods, argv: Argv::Prefix(words), reply, later: None });
        self
    }

    /// Commands that begin with these words answer so from the second time on.
    pub(crate) fn on_exec_again(&mut self, pods: Pods, argv: &[&str], reply: ExecReply) -> &mut Self {
        let words = argv.iter().map(|&word| word.to_owned()).collect();
        self.execs.push(ExecRule { pods, argv: Argv::Prefix(words), reply, later: Some(Arc::default()) });
        self
    }

    /// A request goes wrong.
    pub(crate) fn fault(&mut self, fault: Fault) -> &mut Self {
        self.faults.push(fault);
        self
    }

    /// A kubelet does not work.
    pub(crate) fn kubelet(&mut self, node: &str, kubelet: Kubelet) -> &mut Self {
        self.kubelets.insert(node.to_owned(), kubelet);
        self
    }

    /// The pod of this namespace and name.
    pub(crate) fn pod(&self, namespace: &str, name: &str) -> Option<&Value> {
        let is_it = |pod: &&Value| pod["metadata"]["namespace"] == namespace && pod["metadata"]["name"] == name;
        let mut places = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (namespace.to_owned(), name.to_owned());
        let known = places.get(&key).and_then(|place| self.pods.get(*place)).filter(is_it);
        // A large cluster has tens of thousands, and each exec asks for one.
        known.or_else(|| {
            let text = |pod: &Value, field: &str| pod["metadata"][field].as_str().unwrap_or_default().to_owned();
            let named = self.pods.iter().enumerate().rev();
            *places = named.map(|(place, pod)| ((text(pod, "namespace"), text(pod, "name")), place)).collect();
            self.pods.get(*places.get(&key)?)
        })
    }

    /// The pod `namespace/name`, to be changed.
    pub(crate) fn pod_mut(&mut self, reference: &str) -> &mut Value {
        let wanted = Pods::named(reference);
        self.pods.iter_mut().find(|pod| wanted.fit(pod)).expect("the pod is there")
    }

    /// The pod's only container has come to its end.
    pub(crate) fn complete(&mut self, reference: &str) -> &mut Self {
        let pod = self.pod_mut(reference);
        pod["status"]["containerStatuses"][0]["state"] =
            json!({"terminated": {"reason": "Completed", "exitCode": 0, "finishedAt": "2026-06-06T11:00:00Z"}});
        pod["status"]["containerStatuses"][0]["ready"] = false.into();
        self
    }

    /// What a command answers in a pod, a `timeout …` in front included.
    pub(crate) fn reply(&self, pod: &Value, argv: &[String]) -> ExecReply {
        if let Some(commands) = packing::pack(argv)
            && self.rule(pod, argv).is_none()
        {
            return packing::reply_to_pack(self.packing, commands, |plain| self.plain_reply(pod, plain));
        }
        if let Some(plain) = packed(argv)
            && self.rule(pod, argv).is_none()
        {
            return packing::reply(self.packing, || self.reply(pod, plain));
        }
        if let Some((tools, bounded)) = after_list(argv)
            && self.rule(pod, argv).is_none()
        {
            let has = |tool: &str| {
                let tool = [tool.to_owned()];
                match tool[0].as_str() {
                    "timeout" => self.rule(pod, &tool).is_none(),
                    _ => !matches!(self.plain_reply(pod, &tool).end, End::MissingBinary),
                }
            };
            let tools: Vec<&str> = tools.into_iter().filter(|tool| has(tool)).collect();
            let command = if tools.contains(&"timeout") { bounded } else { &bounded[2..] };
            return packing::reply_after_list(&tools, self.reply(pod, command));
        }
        if argv.first().map(String::as_str) != Some("timeout") || self.rule(pod, argv).is_some() {
            return self.plain_reply(pod, argv);
        }
        let plain = without_timeout(argv);
        let reply = self.plain_reply(pod, plain);
        // `timeout` was found, so what it runs is its affair: it says so itself, and exits with 127.
        if matches!(reply.end, End::MissingBinary) {
            let tool = plain.first().map_or("", String::as_str);
            return ExecReply::fails(
                127,
                &format!("timeout: failed to run command '{tool}': No such file or directory\n"),
            );
        }
        reply
    }

    fn plain_reply(&self, pod: &Value, argv: &[String]) -> ExecReply {
        let argv = match (argv.first().map(String::as_str), self.agent_tool) {
            (Some("cilium-dbg"), AgentTool::CiliumOnly) => return ExecReply::missing(),
            (Some("cilium"), _) => [&["cilium-dbg".to_owned()], &argv[1..]].concat(),
            _ => argv.to_vec(),
        };
        if let Some(reply) = self.rule(pod, &argv).cloned() {
            let again = self.execs.iter().filter_map(|rule| rule.later.as_ref().map(|later| (rule, later)));
            for (_, later) in again.filter(|(rule, _)| rule.argv.fits(&argv) && rule.pods.fit(pod)) {
                later.store(true, Ordering::Relaxed);
            }
            return reply;
        }
        // A tool that answers another question is installed, and knows nothing of this one.
        let tool = argv.first();
        let installed = self.execs.iter().any(|rule| rule.argv.words().first() == tool && rule.pods.fit(pod));
        match tool {
            Some(tool) if installed => {
                ExecReply::fails(1, &format!("Error: unknown command \"{}\" for \"{tool}\"\n", argv[1..].join(" ")))
            }
            _ => ExecReply::missing(),
        }
    }

    fn rule(&self, pod: &Value, argv: &[String]) -> Option<&ExecReply> {
        // Most rules are of other commands, and that is told sooner than which pod it is.
        let fits = |rule: &&ExecRule| rule.argv.fits(argv) && rule.pods.fit(pod);
        let holds = |rule: &&ExecRule| rule.later.as_ref().is_none_or(|asked| asked.load(Ordering::Relaxed));
        let later = self.execs.iter().rev().filter(fits).find(|rule| rule.later.is_some() && holds(rule));
        let rule = later.or_else(|| self.execs.iter().rev().filter(holds).find(fits));
        rule.map(|rule| &rule.reply)
    }
}

/// The command behind `timeout -k 1 5 …`, as coreutils and BusyBox have it.
fn without_timeout(argv: &[String]) -> &[String] {
    if argv.first().map(String::as_str) != Some("timeout") {
        return argv;
    }
    let mut rest = &argv[1..];
    while let Some(word) = rest.first() {
        match word.as_str() {
            "-k" | "-s" => rest = rest.get(2..).unwrap_or_default(),
            "-t" => return rest.get(2..).unwrap_or_default(),
            option if option.starts_with('-') => rest = &rest[1..],
            _ => return &rest[1..],
        }
    }
    rest
}
