//! Standard output, written by a thread of its own: a reader that stalls holds up that thread, and nothing else.
//!
//! The queue before it has no bound of its own. It holds at most one report, whose nodes are in memory anyway; and to
//! wait for room in it would stop the nodes that are being asked, so that a slow reader made them time out.

use std::io;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use indicatif::MultiProgress;
use tokio::sync::{Notify, oneshot};

/// How much is written at once, in bytes. What was taken of a report is known to this much.
const PIECE: usize = 4 << 10;

/// Standard output.
#[derive(Clone, Debug)]
pub struct Output {
    queue: mpsc::Sender<Order>,
    written: Arc<Written>,
}

#[derive(Debug)]
enum Order {
    /// Text to write; the bars must be hidden first.
    Text(Vec<u8>, Option<MultiProgress>),
    /// Receives a message when everything before it was written.
    Tell(oneshot::Sender<()>),
}

/// How far the thread has come.
#[derive(Debug, Default)]
struct Written {
    bytes: AtomicU64,
    trouble: Mutex<Option<io::ErrorKind>>,
    failed: Notify,
}

impl Output {
    /// Starts the thread. It ends with the last clone, or with the program.
    ///
    /// # Errors
    ///
    /// Where the system has no thread to give.
    pub fn start() -> io::Result<Self> {
        let (queue, orders) = mpsc::channel();
        let written = Arc::<Written>::default();
        let thread = std::thread::Builder::new().name("output".to_owned());
        thread.spawn({
            let written = Arc::clone(&written);
            move || {
                for order in orders {
                    match order {
                        Order::Text(bytes, bars) => written.write(&bytes, bars.as_ref()),
                        // The caller may be gone.
                        Order::Tell(done) => drop(done.send(())),
                    }
                }
            }
        })?;
        Ok(Self { queue, written })
    }

    /// Queues text, and waits for nothing.
    pub fn put(&self, text: impl Into<Vec<u8>>) {
        self.order(Order::Text(text.into(), None));
    }

    /// The same on a terminal that shows these bars, too.
    pub(super) fn put_beside(&self, text: impl Into<Vec<u8>>, bars: MultiProgress) {
        self.order(Order::Text(text.into(), Some(bars)));
    }

    fn order(&self, order: Order) {
        // The thread takes orders as long as there is a sender.
        let _ = self.queue.send(order);
    }

    /// Waits until all that was queued before is written, or writing has failed.
    pub async fn written(&self) {
        let (done, told) = oneshot::channel();
        self.order(Order::Tell(done));
        let _ = told.await;
    }

    /// How many bytes the reader has taken so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.written.bytes.load(Ordering::Relaxed)
    }

    /// Why nothing more is written; [`io::ErrorKind::BrokenPipe`] where the reader closed the pipe.
    #[must_use]
    pub fn trouble(&self) -> Option<io::ErrorKind> {
        *self.written.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Comes when writing fails.
    pub async fn failed(&self) {
        self.written.failed.notified().await;
    }
}

impl Written {
    fn write(&self, bytes: &[u8], bars: Option<&MultiProgress>) {
        let trouble = || self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble().is_some() {
            return;
        }
        let write = || self.pieces(bytes);
        if let Err(error) = bars.map_or_else(write, |bars| bars.suspend(write)) {
            *trouble() = Some(error.kind());
            self.failed.notify_one();
        }
    }

    fn pieces(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for piece in bytes.chunks(PIECE) {
            out.write_all(piece)?;
            self.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        out.flush()
    }
}
