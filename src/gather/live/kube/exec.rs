//! Commands in containers: each one ends, and none is believed before its exit status arrives.
//!
//! kube's own reader can wait for ever when the connection drops: its pipes have no end of file unless the far side
//! said goodbye (tokio#6914). And an end of file alone proves nothing: a server that closes without a status leaves a
//! perfectly clean one behind. So three things are watched at the same time (standard output, standard error, the
//! status), all under one deadline, and only a status that was received means that the command ended.

use std::time::Duration;

use ::kube::api::{Api, AttachParams, AttachedProcess};
use ::kube::{Error, client::UpgradeConnectionError};
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::{Instant, sleep, timeout_at};

use super::busy::TRIES;
use super::{Cluster, Right, failure, late, said};
use crate::base::answer::End;
use crate::base::failure::{Failure, FailureKind};
use crate::base::pod_ref::PodRef;
use crate::gather::Sink;

/// Four frames of the largest kind; held twice for each command that runs. kube's default of 1 KiB makes a big dump
/// fifteen times slower (measured).
const STDOUT_BUFFER: usize = 128 << 10;
/// The same for standard error, which is short.
const STDERR_BUFFER: usize = 8 << 10;
/// The most that is kept of standard error, in bytes; what is beyond is read and dropped, or the command would stall.
const STDERR_KEPT: usize = 64 << 10;
/// How much of that is kept from its end: the last words tell how it went.
const STDERR_END: usize = 4 << 10;
/// How long a kubelet may take to answer a handshake. It does so before the command begins: within a second even where
/// many begin at once, and never where it is frozen. The API server by itself waits half a minute for a node that is
/// off.
const HANDSHAKE: Duration = Duration::from_secs(8);

/// A command to run in a container.
#[derive(Clone, Copy, Debug)]
pub struct Exec<'a> {
    /// The pod.
    pub pod: &'a PodRef,
    /// The container; none: the pod's only one.
    pub container: Option<&'a str>,
    /// The command and its arguments; no shell sees them.
    pub argv: &'a [String],
    /// How long everything may take, from the first byte of the handshake to the exit status.
    pub limit: Duration,
    /// The most that is read of standard output, in bytes.
    pub most: u64,
}

/// How a command ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The exit code, or why there is none.
    pub end: End,
    /// Standard error, at most 64 KiB of it.
    pub stderr: String,
    /// Whether the container was there, but not the program.
    pub lacks_program: bool,
    /// Whether the kubelet let the handshake's whole time go by. It may be dead, frozen or busy; nothing ran.
    pub unanswered: bool,
}

/// Why a command did not begin.
enum NotStarted {
    /// The kubelet let the handshake's whole time go by.
    Unanswered(Failure),
    /// It was refused, or the connection failed.
    Failed(Failure),
}

impl Cluster {
    /// Runs a command in a container; its standard output goes to `out` as it comes.
    ///
    /// Ends within the limit, whatever the far side does. What it can't do is stop the command: closing the connection
    /// leaves it running (seen on 1.20 and 1.36), so the command has to bound itself.
    pub async fn exec(&self, what: &Exec<'_>, out: Sink<'_>) -> Ended {
        let deadline = Instant::now() + what.limit;
        let mut pump = Pump { out, read: 0, most: what.most, stderr: Vec::new(), lacks_program: false };
        let mut unanswered = false;
        let end = match self.start(what, deadline).await {
            Err(NotStarted::Failed(failure)) => End::Failed(failure),
            Err(NotStarted::Unanswered(failure)) => {
                unanswered = true;
                End::Failed(failure)
            }
            Ok(process) => match timeout_at(deadline, pump.run(process)).await {
                Ok(end) => end,
                Err(_) => End::Failed(late(&format!("`{}` did not end", what.argv.join(" ")), what.limit)),
            },
        };
        let stderr = String::from_utf8_lossy(&pump.stderr).into_owned();
        Ended { end, stderr, lacks_program: pump.lacks_program, unanswered }
    }

    /// The handshake. It has a deadline of its own, because a frozen kubelet never answers it.
    async fn start(&self, what: &Exec<'_>, deadline: Instant) -> Result<AttachedProcess, NotStarted> {
        let limit = what.limit.min(self.request_timeout).min(HANDSHAKE);
        let pods = Api::<Pod>::namespaced(self.client.clone(), &what.pod.namespace);
        let params = AttachParams {
            container: what.container.map(str::to_owned),
            max_stdout_buf_size: Some(STDOUT_BUFFER),
            max_stderr_buf_size: Some(STDERR_BUFFER),
            ..AttachParams::default()
        };
        let mut tries = 1;
        loop {
            let started = pods.exec(&what.pod.name, what.argv.iter().map(String::as_str), &params);
            let until = Instant::now() + limit;
            let error = match timeout_at(deadline.min(until), started).await {
                Err(_) => {
                    let failure =
                        late(&format!("cannot exec into pod {}: the kubelet did not answer", what.pod), limit);
                    // What tries before took of the time says nothing about the kubelet.
                    let whole = tries == 1 || until <= deadline;
                    return Err(if whole { NotStarted::Unanswered(failure) } else { NotStarted::Failed(failure) });
                }
                Ok(Err(error)) => error,
                Ok(Ok(process)) => return Ok(process),
            };
            // A handshake that was refused for now began nothing; whatever else failed may have.
            let wait = self.busy.wait(tries);
            let later = matches!(&error, Error::Api(status) if status.code == 429);
            if !later || tries >= TRIES || Instant::now() + wait >= deadline {
                return Err(NotStarted::Failed(not_started(&error, what.pod)));
            }
            tries += 1;
            sleep(wait).await;
        }
    }
}

/// Why there was no handshake.
fn not_started(error: &Error, pod: &PodRef) -> Failure {
    // The handshake is a GET, so older clusters ask for `get`; from 1.35 on it needs `create` as well.
    let right = Right { verbs: "`get` and `create`", resource: "pods/exec", namespace: Some(&pod.namespace) };
    match error {
        // Only the text tells this one: the Status has no reason.
        Error::Api(status) if status.code >= 500 && status.message.starts_with("error dialing backend") => {
            Failure::new(
                FailureKind::Unreachable,
                format!("the API server cannot reach the kubelet of pod {pod}: {}", said(status)),
            )
        }
        // The lists showed it.
        Error::Api(status) if status.code == 404 => Failure::new(
            FailureKind::NotFound,
            format!("pod {pod} or its node was deleted after the cluster was listed ({}); run again", said(status)),
        ),
        // A plain text of the kubelet, for a container that ended, waits, or was never there.
        Error::Api(status) if status.code == 500 && status.message.contains("container not found") => {
            Failure::new(FailureKind::NotFound, format!("pod {pod} has no such running container: {}", said(status)))
        }
        Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(code)) => Failure::new(
            FailureKind::Other,
            format!(
                "cannot exec into pod {pod}: answered {code} instead of a WebSocket; a proxy in between may not support WebSockets"
            ),
        ),
        other => failure(other, &right),
    }
}

/// Moves what comes to where it belongs.
struct Pump<'a> {
    out: Sink<'a>,
    read: u64,
    most: u64,
    stderr: Vec<u8>,
    lacks_program: bool,
}

impl Pump<'_> {
    #[expect(clippy::indexing_slicing, reason = "a read never says more than its buffer holds")]
    async fn run(&mut self, mut process: AttachedProcess) -> End {
        let (Some(mut stdout), Some(mut stderr), Some(status)) =
            (process.stdout(), process.stderr(), process.take_status())
        else {
            return End::Failed(Failure::new(FailureKind::Other, "the client returned no streams"));
        };
        tokio::pin!(status);
        let mut ended: Option<Option<Status>> = None;
        let (mut out, mut err) = (vec![0; STDOUT_BUFFER], vec![0; STDERR_BUFFER]);
        let (mut out_open, mut err_open) = (true, true);
        loop {
            tokio::select! {
                read = stdout.read(&mut out), if out_open => match read {
                    Ok(n) if n > 0 => {
                        if let Err(failure) = self.stdout(&out[..n]) {
                            return End::Failed(failure);
                        }
                    }
                    _ => out_open = false,
                },
                read = stderr.read(&mut err), if err_open => match read {
                    Ok(n) if n > 0 => self.stderr(&err[..n]),
                    _ => err_open = false,
                },
                status = &mut status, if ended.is_none() => {
                    let lost = status.is_none();
                    ended = Some(status);
                    // The pipes will not be closed now.
                    if lost {
                        break;
                    }
                },
                else => break,
            }
        }
        if let Some(Some(status)) = ended {
            let end = outcome(&status);
            self.lacks_program = matches!(&end, End::Failed(failure) if failure.kind == FailureKind::NotFound);
            return end;
        }
        while let Some(n) = at_hand(&mut stdout, &mut out) {
            if let Err(failure) = self.stdout(&out[..n]) {
                return End::Failed(failure);
            }
        }
        while let Some(n) = at_hand(&mut stderr, &mut err) {
            self.stderr(&err[..n]);
        }
        let why = process.join().await.err().map_or_else(|| "closed without a status".to_owned(), |e| e.to_string());
        End::Failed(Failure::new(
            FailureKind::Truncated,
            format!("connection closed after {} bytes, before the exit status: {why}", self.read),
        ))
    }

    fn stdout(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        self.read += chunk.len() as u64;
        if self.read > self.most {
            let message = format!("the output exceeds {} MiB and was cut off", self.most >> 20);
            return Err(Failure::new(FailureKind::Truncated, message));
        }
        (self.out)(chunk);
        Ok(())
    }

    fn stderr(&mut self, chunk: &[u8]) {
        self.stderr.extend_from_slice(chunk);
        if self.stderr.len() > STDERR_KEPT {
            let end = self.stderr.len() - STDERR_END;
            self.stderr.drain(STDERR_KEPT - STDERR_END..end);
        }
    }
}

/// Reads what lies in a pipe without waiting for more.
fn at_hand(pipe: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> Option<usize> {
    pipe.read(buffer).now_or_never()?.ok().filter(|n| *n > 0)
}

/// What a received status says.
fn outcome(status: &Status) -> End {
    if status.status.as_deref() == Some("Success") {
        return End::Exited(0);
    }
    let causes = status.details.iter().flat_map(|details| details.causes.iter().flatten());
    let code = causes
        .filter(|cause| cause.reason.as_deref() == Some("ExitCode"))
        .find_map(|cause| cause.message.as_deref()?.parse().ok());
    if let Some(code) = code {
        return End::Exited(code);
    }
    // Without an exit code the command never ran. Why is left to the runtime's own words: runc and crun word a missing
    // program differently, and one that may not be executed is as good as missing.
    let message = status.message.as_deref().unwrap_or("no message");
    let missing = ["not found", "no such file", "permission denied"];
    let lower = message.to_lowercase();
    let kind =
        if missing.iter().any(|words| lower.contains(words)) { FailureKind::NotFound } else { FailureKind::Other };
    End::Failed(Failure::new(kind, format!("the command did not start: {message}")))
}
