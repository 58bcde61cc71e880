//! Watches: a stream of what changes, one JSON object a line, as `watch-daemonset-replacement.json` and
//! `apiserver-restart-410-504.json` have it.
//!
//! What changed since the version that a client names is not remembered: a new stream begins with all there is, which a
//! client that replays takes as nothing new.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::http::Connection;

/// How often it is looked for changes.
const GLANCE: Duration = Duration::from_millis(50);

/// How watches go wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watches {
    /// They end in good order after this long, whatever was asked for.
    pub(crate) last: Option<Duration>,
    /// They say that the version is too old (410), and end.
    pub(crate) expired: bool,
    /// They break off.
    pub(crate) cut: bool,
}

/// Streams until the end of the watch; `now` gives the objects, and how watches go wrong.
pub(crate) async fn stream(
    mut connection: Connection,
    timeout: Duration,
    now: impl Fn() -> (Vec<Value>, Watches),
) -> std::io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    connection.stream.write_all(head.as_bytes()).await?;
    let begun = Instant::now();
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    loop {
        let looked = Instant::now();
        let (items, watches) = now();
        if watches.cut {
            return connection.stream.set_zero_linger();
        }
        if watches.expired {
            let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                                "message": "too old resource version: 1 (1478)", "reason": "Expired", "code": 410});
            send(&mut connection, &json!({"type": "ERROR", "object": status})).await?;
            return connection.stream.write_all(b"0\r\n\r\n").await;
        }
        let mut there: BTreeMap<String, Value> = BTreeMap::new();
        for item in items {
            let key = format!("{}/{}", item["metadata"]["namespace"], item["metadata"]["name"]);
            match known.remove(&key) {
                Some(before) if before == item => {}
                Some(_) => send(&mut connection, &json!({"type": "MODIFIED", "object": item})).await?,
                None => send(&mut connection, &json!({"type": "ADDED", "object": item})).await?,
            }
            there.insert(key, item);
        }
        for gone in std::mem::replace(&mut known, there).into_values() {
            send(&mut connection, &json!({"type": "DELETED", "object": gone})).await?;
        }
        if begun.elapsed() >= watches.last.unwrap_or(timeout) {
            let bookmark = json!({"kind": "Node", "apiVersion": "v1", "metadata": {"resourceVersion": "1507"}});
            send(&mut connection, &json!({"type": "BOOKMARK", "object": bookmark})).await?;
            return connection.stream.write_all(b"0\r\n\r\n").await;
        }
        // Of a large cluster a look takes long, and must not be all that the server does.
        tokio::time::sleep(GLANCE.max(looked.elapsed() * 20)).await;
    }
}

async fn send(connection: &mut Connection, event: &Value) -> std::io::Result<()> {
    let line = format!("{event}\n");
    connection.stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).await
}
