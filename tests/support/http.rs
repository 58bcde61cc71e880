//! As much of HTTP/1.1 as an API server on loopback needs: requests in, answers out, connections kept.

use std::io;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// More than any header this server is sent; a client that sends more is broken.
const MAX_HEAD: usize = 64 << 10;

/// A connection and what was read of it too early.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The socket.
    pub(crate) stream: TcpStream,
    /// Bytes of the next request, or of the stream after an upgrade.
    pub(crate) ahead: Vec<u8>,
}

/// A request, decoded.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// `GET`, …
    pub(crate) method: String,
    /// The path, percent-decoded.
    pub(crate) path: String,
    /// The query as it came, without the question mark.
    pub(crate) raw_query: String,
    /// The query, decoded, in order; keys may repeat (`command`).
    pub(crate) query: Vec<(String, String)>,
    /// The headers, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The method, or `dry-run DELETE` for a DELETE that changes nothing. As Kubernetes 1.36 decides it
    /// (delete-evict.json): the body counts, and the query only where there is no body.
    pub(crate) fn verb(&self) -> &str {
        let dry = match serde_json::from_slice::<serde_json::Value>(&self.body) {
            Ok(options) => options["dryRun"] == serde_json::json!(["All"]),
            Err(_) => self.param("dryRun") == Some("All"),
        };
        if self.method == "DELETE" && dry { "dry-run DELETE" } else { &self.method }
    }

    /// The first value of a query key.
    pub(crate) fn param(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Whether a query key says yes, as Go reads booleans.
    pub(crate) fn flag(&self, key: &str) -> bool {
        matches!(self.param(key), Some("1" | "t" | "T" | "true" | "TRUE" | "True"))
    }

    /// The first value of a header; the name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The headers, without those about length.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// Whether to send it in chunks, as the API server does with lists and logs.
    pub(crate) chunked: bool,
    /// Whether the connection ends after it.
    pub(crate) close: bool,
}

impl Answer {
    /// Plain text, as kubelets and throttles answer.
    pub(crate) fn text(status: u16, text: &str) -> Self {
        let headers = vec![("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())];
        Self { status, headers, body: text.as_bytes().to_vec(), chunked: false, close: false }
    }

    /// JSON, with the newline that the API server ends it with.
    pub(crate) fn json(status: u16, value: &Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: format!("{value}\n").into_bytes(), chunked: false, close: false }
    }

    /// Nothing but a status code, and the end of the connection: how a WebSocket library refuses a protocol.
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), chunked: false, close: true }
    }

    /// A `Status` that tells of a failure; `details` may be null.
    pub(crate) fn failure(code: u16, reason: &str, message: &str, details: Value) -> Self {
        let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                                "message": message});
        if !reason.is_empty() {
            status["reason"] = reason.into();
        }
        if !details.is_null() {
            status["details"] = details;
        }
        status["code"] = code.into();
        Self::json(code, &status)
    }

    /// With one more header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Connection {
    /// Reads the next request; none where the client is done. An error where it speaks no HTTP.
    pub(crate) async fn request(&mut self) -> io::Result<Option<Request>> {
        let head_end = loop {
            if let Some(end) = self.ahead.windows(4).position(|w| w == b"\r\n\r\n") {
                break end;
            }
            if self.ahead.len() > MAX_HEAD {
                return Err(broken("the header is too long"));
            }
            if self.stream.read_buf(&mut self.ahead).await? == 0 {
                return if self.ahead.is_empty() { Ok(None) } else { Err(broken("the header breaks off")) };
            }
        };
        let head = String::from_utf8(self.ahead[..head_end].to_vec()).map_err(|_| broken("the header is not text"))?;
        self.ahead.drain(..head_end + 4);
        let mut request = parse_head(&head)?;
        let length = match request.header("content-length") {
            Some(text) => text.trim().parse::<usize>().map_err(|_| broken("content-length is no number"))?,
            None => 0,
        };
        while self.ahead.len() < length {
            if self.stream.read_buf(&mut self.ahead).await? == 0 {
                return Err(broken("the body breaks off"));
            }
        }
        request.body = self.ahead.drain(..length).collect();
        Ok(Some(request))
    }

    /// Writes an answer; `head_only` is for HEAD.
    pub(crate) async fn answer(&mut self, answer: &Answer, head_only: bool) -> io::Result<()> {
        use std::fmt::Write as _;

        let mut head = format!("HTTP/1.1 {} {}\r\n", answer.status, reason_phrase(answer.status));
        for (name, value) in &answer.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if answer.close {
            head.push_str("connection: close\r\n");
        }
        if answer.chunked {
            head.push_str("transfer-encoding: chunked\r\n\r\n");
        } else {
            let _ = write!(head, "content-length: {}\r\n\r\n", answer.body.len());
        }
        let mut bytes = head.into_bytes();
        if head_only {
        } else if answer.chunked {
            for part in answer.body.chunks(4096) {
                bytes.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                bytes.extend_from_slice(part);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        } else {
            bytes.extend_from_slice(&answer.body);
        }
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await
    }

    /// Waits, saying nothing, until the client goes away.
    pub(crate) async fn outlast(&mut self) {
        let mut scrap = [0; 4096];
        while matches!(self.stream.read(&mut scrap).await, Ok(1..)) {}
    }
}

fn parse_head(head: &str) -> io::Result<Request> {
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1")) = (first.next(), first.next(), first.next()) else {
        return Err(broken("no HTTP/1.1 request line"));
    };
    let (path, raw_query) = target.split_once('?').unwrap_or((target, ""));
    let headers = lines
        .map(|line| line.split_once(':').ok_or_else(|| broken("a header without a colon")))
        .map(|pair| pair.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())))
        .collect::<io::Result<Vec<_>>>()?;
    let query = raw_query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(&key.replace('+', " ")), percent_decode(&value.replace('+', " ")))
        })
        .collect();
    Ok(Request {
        method: method.to_owned(),
        path: percent_decode(path),
        raw_query: raw_query.to_owned(),
        query,
        headers,
        body: Vec::new(),
    })
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let code = code.filter(|_| byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(code.unwrap_or(byte));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn reason_phrase(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        410 => "Gone",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Other",
    }
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
