//! A client without a library, to see what the test server really says.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};
use tokio_tungstenite::tungstenite::{self, Message};

/// The end of a test's patience with a socket.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The status code.
    pub(crate) status: u16,
    /// The headers, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, chunks joined.
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The first value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("the body is text")
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
}

impl Client {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a deadline for reads");
        Self { stream }
    }

    /// Ends reads this early.
    pub(crate) fn patience(self, patience: Duration) -> Self {
        self.stream.set_read_timeout(Some(patience)).expect("a deadline for reads");
        self
    }

    /// Sends a request and reads the answer.
    pub(crate) fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) -> io::Result<Reply> {
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: test\r\n");
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        self.stream.write_all(head.as_bytes())?;
        self.reply(method == "HEAD")
    }

    /// Sends a request with a JSON body and reads the answer.
    pub(crate) fn send_json(&mut self, method: &str, target: &str, body: &str) -> io::Result<Reply> {
        let length = body.len();
        let request = format!("{method} {target} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n{body}");
        self.stream.write_all(request.as_bytes())?;
        self.reply(false)
    }

    fn reply(&mut self, head_only: bool) -> io::Result<Reply> {
        // Byte by byte, so that nothing of a stream after an upgrade is read too early.
        let head = self.until(b"\r\n\r\n")?;
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let status = status.ok_or(io::ErrorKind::InvalidData)?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut reply = Reply { status, headers, body: Vec::new() };
        if head_only {
        } else if reply.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = self.until(b"\r\n")?;
                let size = usize::from_str_radix(size.trim(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
                let mut chunk = vec![0; size + 2];
                self.stream.read_exact(&mut chunk)?;
                if size == 0 {
                    break;
                }
                reply.body.extend_from_slice(&chunk[..size]);
            }
        } else if let Some(length) = reply.header("content-length").and_then(|text| text.parse().ok()) {
            reply.body.resize(length, 0);
            self.stream.read_exact(&mut reply.body)?;
        }
        Ok(reply)
    }

    fn until(&mut self, end: &[u8]) -> io::Result<String> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(end) {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            bytes.push(byte[0]);
        }
        String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

/// One GET on a connection of its own.
pub(crate) fn get(address: SocketAddr, target: &str) -> Reply {
    Client::connect(address).send("GET", target, &[]).expect("an answer")
}

/// The target of an exec with both outputs.
pub(crate) fn exec_target(namespace: &str, pod: &str, argv: &[&str]) -> String {
    let mut target = format!("/api/v1/namespaces/{namespace}/pods/{pod}/exec?stdout=true&stderr=true");
    for word in argv {
        target.extend(["&command=", &word.replace('%', "%25").replace('&', "%26").replace(' ', "+")]);
    }
    target
}

/// An exec as its client saw it.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The answer to the handshake.
    pub(crate) handshake: Reply,
    /// Channel and data of each frame, in order.
    pub(crate) frames: Vec<(u8, Vec<u8>)>,
    /// The code of the close frame, where one came.
    pub(crate) close: Option<u16>,
    /// Why it ended otherwise.
    pub(crate) error: Option<String>,
}

impl Seen {
    /// All data of a channel.
    pub(crate) fn channel(&self, channel: u8) -> Vec<u8> {
        self.frames.iter().filter(|(c, _)| *c == channel).flat_map(|(_, data)| data.clone()).collect()
    }

    /// Channel 3, as text.
    pub(crate) fn status(&self) -> String {
        String::from_utf8(self.channel(3)).expect("the status is text")
    }
}

/// Runs an exec and looks at each frame as it comes; frames are not kept.
pub(crate) fn exec_with(
    address: SocketAddr,
    target: &str,
    offer: &str,
    patience: Duration,
    mut frame: impl FnMut(u8, &[u8]),
) -> io::Result<Seen> {
    let mut client = Client::connect(address).patience(patience);
    let mut headers = vec![
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    if !offer.is_empty() {
        headers.push(("sec-websocket-protocol", offer));
    }
    let handshake = client.send("GET", target, &headers)?;
    let mut seen = Seen { handshake, frames: Vec::new(), close: None, error: None };
    if seen.handshake.status != 101 {
        return Ok(seen);
    }
    let mut socket = WebSocket::from_raw_socket(client.stream, Role::Client, None);
    loop {
        match socket.read() {
            Ok(Message::Binary(data)) => frame(data[0], &data[1..]),
            Ok(Message::Close(close)) => seen.close = close.map(|close| close.code.into()),
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return Ok(seen),
            Err(error) => {
                seen.error = Some(error.to_string());
                return Ok(seen);
            }
        }
    }
}

/// Runs an exec and keeps all frames.
pub(crate) fn exec(address: SocketAddr, target: &str, offer: &str) -> Seen {
    let mut frames = Vec::new();
    let keep = |channel: u8, data: &[u8]| frames.push((channel, data.to_vec()));
    let seen = exec_with(address, target, offer, PATIENCE, keep).expect("an answer to the handshake");
    Seen { frames, ..seen }
}
