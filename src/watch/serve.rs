//! The HTTP server: `/metrics`, `/healthz`, `/readyz`, and nothing else. Whoever connects is a stranger: a request is
//! bounded in size and in time, and the number of connections at once is bounded, so that no scraper can hold up the
//! watch or make it grow.

use std::cell::Cell;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use super::metrics::Metrics;

/// How long a request and its answer may take in all.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most bytes of a request.
const LONGEST: usize = 8 << 10;
/// The most connections at once; more wait to be accepted.
const MOST: usize = 16;
/// After this long without a sign of life the watch hangs.
const HANGS: Duration = Duration::from_secs(600);
/// What OpenMetrics text is called.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How the watch does, as its probes see it.
pub(super) struct Pulse {
    beat: Cell<Instant>,
    ready: Cell<bool>,
}

impl Pulse {
    /// It has just begun.
    pub(super) fn new() -> Self {
        Self { beat: Cell::new(Instant::now()), ready: Cell::new(false) }
    }

    /// It still works.
    pub(super) fn beat(&self) {
        self.beat.set(Instant::now());
    }

    /// Whether it holds the Lease and has read the cluster's lists.
    pub(super) fn set_ready(&self, ready: bool) {
        self.ready.set(ready);
    }
}

/// Answers for ever.
pub(super) async fn serve(listener: TcpListener, metrics: &Metrics, pulse: &Pulse, count: impl Fn()) {
    let mut open = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if open.len() < MOST => match accepted {
                Ok((stream, _)) => open.push(timeout(PATIENCE, answer(stream, metrics, pulse, &count))),
                // Out of file descriptors, as a rule: it passes, and must not become a busy loop.
                Err(_) => sleep(Duration::from_millis(200)).await,
            },
            Some(_) = open.next() => {}
        }
    }
}

async fn answer(mut stream: TcpStream, metrics: &Metrics, pulse: &Pulse, count: &impl Fn()) {
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(length) => head.extend_from_slice(piece.get(..length).unwrap_or_default()),
        }
        if head.len() > LONGEST {
            let _ = stream
                .write_all(reply("431 Request Header Fields Too Large", "text/plain", "too long\n").as_bytes())
                .await;
            return;
        }
    }
    let head = String::from_utf8_lossy(&head);
    let line = head.lines().next().unwrap_or_default();
    let path = line.strip_prefix("GET ").and_then(|rest| rest.split([' ', '?']).next());
    let text = match path {
        None => reply("405 Method Not Allowed", "text/plain", "only GET\n"),
        Some("/metrics") => {
            count();
            reply("200 OK", OPEN_METRICS, &metrics.text())
        }
        Some("/healthz") if pulse.beat.get().elapsed() < HANGS => reply("200 OK", "text/plain", "ok\n"),
        Some("/healthz") => reply("503 Service Unavailable", "text/plain", "no sign of life\n"),
        Some("/readyz") if pulse.ready.get() => reply("200 OK", "text/plain", "ok\n"),
        Some("/readyz") => reply("503 Service Unavailable", "text/plain", "no Lease or no lists yet\n"),
        Some(_) => reply("404 Not Found", "text/plain", "/metrics, /healthz, /readyz\n"),
    };
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn reply(status: &str, content_type: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::SocketAddr;

    use super::*;

    /// Serves while a thread of its own asks.
    fn with_server(ask: impl FnOnce(SocketAddr) + Send + 'static) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            let (metrics, pulse) = (Metrics::new(), Pulse::new());
            let asked = tokio::task::spawn_blocking(move || ask(address));
            tokio::select! {
                () = serve(listener, &metrics, &pulse, || {}) => {}
                done = asked => done.expect("it was asked"),
            }
        });
    }

    fn get(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = std::net::TcpStream::connect(address).expect("it listens");
        stream.write_all(request).expect("it was sent");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn metrics_and_probes_are_served_and_nothing_else() {
        with_server(|at| {
            let asks = |path: &str| get(at, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
            assert!(asks("/metrics").contains("staledp_build_info"));
            assert!(asks("/healthz").starts_with("HTTP/1.1 200"));
            assert!(asks("/readyz").starts_with("HTTP/1.1 503"), "it holds no Lease");
            assert!(asks("/etc/passwd").starts_with("HTTP/1.1 404"));
            assert!(get(at, b"DELETE /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
        });
    }

    #[test]
    fn hostile_scrapers_hold_nobody_up() {
        with_server(|at| {
            let slow: Vec<_> = (0..MOST).map(|_| std::net::TcpStream::connect(at).expect("it listens")).collect();
            let begun = std::time::Instant::now();
            assert!(get(at, b"GET /healthz HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200"), "after the slow ones' time");
            assert!(begun.elapsed() < PATIENCE * 2);
            drop(slow);
            let endless = vec![b'x'; 1 << 20];
            let answer = get(at, &endless[..LONGEST + 2048]);
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
        });
    }
}
