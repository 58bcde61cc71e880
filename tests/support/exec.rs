//! Exec over a WebSocket, as kubelets and API servers speak it: frames, statuses, and all the ways to break off.

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{self, Message};

use super::http::{Answer, Connection, Request};
use super::lists::{bad_request, not_found};
use super::world::{Containerd, End, ExecReply, Kubelet, Protocols, World};

/// The largest payload of a data frame that was ever seen; the channel's byte comes on top.
const FRAME: usize = 32 << 10;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;

/// An exec request: where, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExecCall {
    /// The pod's namespace.
    pub(crate) namespace: String,
    /// The pod.
    pub(crate) pod: String,
    /// The node it runs on; empty where the pod is not there or not bound.
    pub(crate) node: String,
    /// The container that was named.
    pub(crate) container: Option<String>,
    /// The command as it was asked for.
    pub(crate) argv: Vec<String>,
}

/// The exec call in a request, if it is one.
pub(crate) fn call(world: &World, request: &Request) -> Option<ExecCall> {
    let words: Vec<_> = request.path.split('/').collect();
    let ["", "api", "v1", "namespaces", namespace, "pods", pod, "exec"] = *words.as_slice() else { return None };
    let node = world.pod(namespace, pod).and_then(|p| p["spec"]["nodeName"].as_str()).unwrap_or_default();
    Some(ExecCall {
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
        node: node.to_owned(),
        container: request.param("container").map(str::to_owned),
        argv: request.query.iter().filter(|(key, _)| key == "command").map(|(_, value)| value.clone()).collect(),
    })
}

/// The version of the protocol, which decides how a status is worded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    V5,
    V4,
    /// None was offered: statuses are plain text.
    None,
}

/// What is to be done with an exec request.
#[derive(Debug)]
pub(crate) enum Plan {
    /// Refuse the handshake.
    Refuse(Answer),
    /// Never answer it.
    NeverAnswer,
    /// Run the command.
    Run(Box<Run>),
}

/// A command that is to be run.
#[derive(Debug)]
pub(crate) struct Run {
    protocol: Protocol,
    accept: String,
    reply: ExecReply,
    argv: Vec<String>,
    containerd: Containerd,
    stdout: bool,
    stderr: bool,
}

/// The container an exec or a log is about, or the refusal of a wrong or missing name.
pub(crate) fn container<'a>(pod: &'a Value, wanted: Option<&str>) -> Result<&'a str, Box<Answer>> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let names: Vec<&str> =
        pod["spec"]["containers"].as_array().into_iter().flatten().filter_map(|c| c["name"].as_str()).collect();
    match wanted.filter(|container| !container.is_empty()) {
        Some(container) => names
            .into_iter()
            .find(|known| *known == container)
            .ok_or_else(|| bad_request(&format!("container {container} is not valid for pod {name}")).into()),
        None if names.len() == 1 => Ok(names[0]),
        None => Err(bad_request(&format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            names.join(" ")
        ))
        .into()),
    }
}

/// Decides what becomes of an exec request; rights were looked at before.
pub(crate) fn plan(world: &World, call: &ExecCall, request: &Request) -> Plan {
    match decide(world, call, request) {
        Ok(plan) => plan,
        Err(refusal) => Plan::Refuse(*refusal),
    }
}

fn decide(world: &World, call: &ExecCall, request: &Request) -> Result<Plan, Box<Answer>> {
    let pod = world.pod(&call.namespace, &call.pod).ok_or_else(|| not_found("pods", &call.pod))?;
    let container = container(pod, call.container.as_deref())?;
    if call.node.is_empty() {
        return Err(bad_request(&format!("pod {} does not have a host assigned", call.pod)).into());
    }
    let key = request.header("sec-websocket-key");
    let upgrade = request.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    let Some(key) = key.filter(|_| upgrade && request.method == "GET") else {
        return Err(bad_request("Upgrade request required").into());
    };
    match world.kubelets.get(&call.node) {
        Some(Kubelet::Frozen) => return Ok(Plan::NeverAnswer),
        Some(Kubelet::Dead) => {
            let address = node_address(world, &call.node);
            let message = format!("error dialing backend: dial tcp {address}:10250: connect: connection refused");
            return Err(Answer::failure(500, "", &message, Value::Null).into());
        }
        None => {}
    }
    let (stdout, stderr) = (request.flag("stdout"), request.flag("stderr"));
    if !stdout && !stderr && !request.flag("stdin") {
        return Err(Answer::text(400, "you must specify at least 1 of stdin, stdout, stderr").into());
    }
    if !runs(pod, container) {
        return Err(Answer::text(500, &format!("container not found (\"{container}\")")).into());
    }
    let protocol = protocol(world.protocols, request).ok_or_else(|| Answer::empty(403))?;
    let reply = world.reply(pod, &call.argv);
    Ok(match reply.end {
        End::Refused(answer) => Plan::Refuse(answer),
        End::NoHandshake => Plan::NeverAnswer,
        _ => Plan::Run(Box::new(Run {
            protocol,
            accept: derive_accept_key(key.as_bytes()),
            reply,
            argv: call.argv.clone(),
            containerd: world.containerd,
            stdout,
            stderr,
        })),
    })
}

fn node_address<'a>(world: &'a World, name: &str) -> &'a str {
    let node = world.nodes.iter().find(|node| node["metadata"]["name"] == name);
    let addresses = node.and_then(|node| node["status"]["addresses"].as_array());
    let internal = addresses.into_iter().flatten().find(|address| address["type"] == "InternalIP");
    internal.and_then(|address| address["address"].as_str()).unwrap_or("10.77.0.13")
}

/// Whether the container runs, as far as the pod's status says; a status that says nothing is taken as yes.
fn runs(pod: &Value, container: &str) -> bool {
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed" | "Pending"));
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let state = statuses.filter(|status| status["name"] == container).map(|status| &status["state"]).next();
    !ended && state.is_none_or(|state| state["terminated"].is_null() && state["waiting"].is_null())
}

fn protocol(spoken: Protocols, request: &Request) -> Option<Protocol> {
    let Some(offer) = request.header("sec-websocket-protocol") else { return Some(Protocol::None) };
    let offers = |name: &str| offer.split(',').any(|word| word.trim() == name);
    if spoken == Protocols::V5AndV4 && offers("v5.channel.k8s.io") {
        Some(Protocol::V5)
    } else if offers("v4.channel.k8s.io") {
        Some(Protocol::V4)
    } else {
        None
    }
}

type Socket = WebSocketStream<TcpStream>;

/// Answers the handshake and plays the run. Errors mean that the client went away, which is its right.
pub(crate) async fn play(mut connection: Connection, run: Run) -> tungstenite::Result<()> {
    tokio::time::sleep(run.reply.handshake_delay).await;
    let name = match run.protocol {
        Protocol::V5 => "sec-websocket-protocol: v5.channel.k8s.io\r\n",
        Protocol::V4 => "sec-websocket-protocol: v4.channel.k8s.io\r\n",
        Protocol::None => "",
    };
    let accept = &run.accept;
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-accept: {accept}\r\n{name}\r\n"
    );
    connection.stream.write_all(head.as_bytes()).await?;
    let mut socket = Socket::from_partially_read(connection.stream, connection.ahead, Role::Server, None).await;

    // The first frame was always standard output without data.
    send(&mut socket, STDOUT, &[]).await?;
    tokio::time::sleep(run.reply.delay).await;
    for (channel, wanted, output) in [(STDERR, run.stderr, &run.reply.stderr), (STDOUT, run.stdout, &run.reply.stdout)]
    {
        for piece in output.pieces(FRAME).take_while(|_| wanted) {
            send(&mut socket, channel, &piece).await?;
        }
    }
    match run.reply.end {
        End::Silence => {
            // The client's frames are read, so that its leaving is seen.
            while let Some(Ok(_)) = socket.next().await {}
            return Ok(());
        }
        End::Drop => return Ok(()),
        End::Reset => {
            socket.get_ref().set_zero_linger()?;
            return Ok(());
        }
        End::MidFrame => {
            // A binary frame of 1000 bytes, of which 100 come.
            let mut bytes = vec![0x82, 126, 0x03, 0xe8, STDOUT];
            bytes.extend([b'x'; 99]);
            let stream = socket.get_mut();
            stream.write_all(&bytes).await?;
            stream.flush().await?;
            return Ok(());
        }
        End::Exit(code) => send(&mut socket, STATUS, &exit_status(&run, code)).await?,
        End::MissingBinary => {
            let tool = run.argv.first().map_or("", String::as_str);
            let why = match tool {
                "" => "args must not be empty".to_owned(),
                path if path.starts_with('/') => {
                    format!(
                        "unable to start container process: exec: \"{path}\": stat {path}: no such file or directory"
                    )
                }
                name => {
                    format!("unable to start container process: exec: \"{name}\": executable file not found in $PATH")
                }
            };
            send(&mut socket, STATUS, &runtime_status(&run, &why)).await?;
        }
        End::RuntimeError(ref why) => send(&mut socket, STATUS, &runtime_status(&run, why)).await?,
        // The others were dealt with before the handshake.
        End::CloseWithoutStatus | End::Refused(_) | End::NoHandshake => {}
    }
    socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })).await?;
    while let Some(Ok(_)) = socket.next().await {}
    Ok(())
}

async fn send(socket: &mut Socket, channel: u8, data: &[u8]) -> tungstenite::Result<()> {
    let mut frame = Vec::with_capacity(data.len() + 1);
    frame.push(channel);
    frame.extend_from_slice(data);
    socket.send(Message::binary(frame)).await
}

fn exit_status(run: &Run, code: i32) -> Vec<u8> {
    if code == 0 {
        return match (run.protocol, run.containerd) {
            (Protocol::None, _) => Vec::new(),
            (Protocol::V4, Containerd::V2) => br#"{"status":"Success"}"#.to_vec(),
            _ => br#"{"metadata":{},"status":"Success"}"#.to_vec(),
        };
    }
    let how = match run.protocol {
        Protocol::V5 => format!("command terminated with exit code {code}"),
        Protocol::V4 | Protocol::None => format!("error executing command [{}], exit code {code}", run.argv.join(" ")),
    };
    let message = format!("command terminated with non-zero exit code: {how}");
    let details = json!({"causes": [{"reason": "ExitCode", "message": code.to_string()}]});
    failure(run, &message, "NonZeroExitCode", Some(details), None)
}

fn runtime_status(run: &Run, why: &str) -> Vec<u8> {
    let id = "1704b1f6b36e2bf343e0a6e12bb369ff218a1cc1b298d7aa2e6ab588be530a28";
    let unknown = if run.containerd == Containerd::V1 { ": unknown" } else { "" };
    let inner = format!(
        "error executing command in container: failed to exec in container: failed to start exec \"{id}\": OCI runtime \
         exec failed: exec failed: {why}{unknown}"
    );
    let once = format!("Internal error occurred: {inner}");
    let (message, cause) = match run.protocol {
        Protocol::V5 => (format!("Internal error occurred: {once}"), once),
        Protocol::V4 | Protocol::None => (once, inner),
    };
    let terse = run.protocol == Protocol::V4 && run.containerd == Containerd::V2;
    let details = (!terse).then(|| json!({"causes": [{"message": cause}]}));
    failure(run, &message, "InternalError", details, Some(500))
}

fn failure(run: &Run, message: &str, reason: &str, details: Option<Value>, code: Option<u16>) -> Vec<u8> {
    if run.protocol == Protocol::None {
        return message.as_bytes().to_vec();
    }
    let mut status = json!({});
    if run.protocol == Protocol::V5 || run.containerd == Containerd::V1 {
        status["metadata"] = json!({});
    }
    status["status"] = "Failure".into();
    status["message"] = message.into();
    status["reason"] = reason.into();
    if let Some(details) = details {
        status["details"] = details;
    }
    if let Some(code) = code {
        status["code"] = code.into();
    }
    // Go escapes these three inside of strings; elsewhere JSON has no use for them.
    let text = status.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    text.into_bytes()
}
