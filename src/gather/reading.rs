//! Reads saved evidence on a thread of its own, so that unpacking and parsing run in parallel, and that
//! whoever waits for it can stop waiting.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as plain};
use std::thread;

use tokio::sync::mpsc;

use super::{SecondSink, Sink};

/// How much is read at once, in bytes.
const CHUNK: usize = 256 << 10;
/// How many such pieces may wait for the parser.
const AHEAD: usize = 2;
/// Of so many pieces the thread that reads takes one itself where it shares the work: beside its reading, that keeps two
/// cores equally busy.
const SHARES: usize = 3;
/// The most that is read of one output, unpacked, in bytes. Full tables of the largest static size take 400 MB.
const MOST_OUTPUT: u64 = 2 << 30;

/// How many nodes are looked at at once in what was saved: one's bytes are unpacked while another's are parsed.
pub(super) const AT_ONCE: usize = 2;

/// How much of an archive was read, in bytes of the file as it lies there.
#[derive(Default)]
pub struct Meter {
    done: AtomicU64,
    total: AtomicU64,
    tell: Option<Box<Tell>>,
}

type Tell = dyn Fn(u64, u64) + Send + Sync;

impl Meter {
    /// Tells `tell` how much was read, and of how much, whenever it is more.
    #[must_use]
    pub fn new(tell: impl Fn(u64, u64) + Send + Sync + 'static) -> Self {
        Self { tell: Some(Box::new(tell)), ..Self::default() }
    }

    /// How much was read so far. What was read twice counts twice.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// So many more bytes will be read.
    pub(super) fn expect(&self, more: u64) {
        self.total.fetch_add(more, Ordering::Relaxed);
        self.add(0);
    }

    fn add(&self, more: u64) {
        let done = self.done.fetch_add(more, Ordering::Relaxed) + more;
        if let Some(tell) = &self.tell {
            tell(done, self.total.load(Ordering::Relaxed).max(done));
        }
    }
}

/// A file that is metered.
pub(super) struct Metered {
    pub(super) file: File,
    pub(super) meter: Arc<Meter>,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.meter.add(n as u64);
        Ok(n)
    }
}

/// Where an output is poured.
pub enum Outlet<'a> {
    /// To another thread.
    Beside {
        /// What was read, chunk by chunk.
        to: mpsc::Sender<Vec<u8>>,
        /// Buffers that can be filled again.
        back: plain::Receiver<Vec<u8>>,
    },
    /// To the waiting caller.
    Here(RefCell<Sink<'a>>),
}

impl Outlet<'_> {
    /// Pours all of it, chunk by chunk, so that memory does not grow with the size.
    ///
    /// # Errors
    ///
    /// What the reader says, behind all that it gave before; or that the caller no longer waits.
    pub fn pour(&self, from: impl Read) -> io::Result<()> {
        self.pour_with(from, None)
    }

    /// Pours most of it, and the rest into `second`, on this very thread: one of [`SHARES`] pieces, each of which ends with
    /// a line, but for the last. Which piece goes where follows from the bytes alone.
    ///
    /// # Errors
    ///
    /// As [`Self::pour`].
    pub fn share(&self, from: impl Read, second: SecondSink) -> io::Result<()> {
        self.pour_with(from, Some(second))
    }

    fn pour_with(&self, mut from: impl Read, mut second: Option<SecondSink>) -> io::Result<()> {
        let mut total = 0_u64;
        let mut spare = Vec::new();
        let mut begun = Vec::new();
        let mut turn = 0;
        loop {
            let mut buffer = self.empty(spare);
            buffer.append(&mut begun);
            let (is_last, read) = fill(&mut buffer, &mut from, &mut total)?;
            let end = second.as_ref().and_then(|_| memchr::memrchr(b'\n', &buffer)).map(|at| at + 1);
            // A line longer than a piece goes on where it began.
            if let Some(end) = end.filter(|_| !is_last) {
                begun.extend(buffer.drain(end..));
            }
            spare = match &mut second {
                Some(second) if turn + 1 == SHARES => {
                    second(&buffer);
                    buffer
                }
                _ => self.hand_over(buffer)?,
            };
            if is_last {
                return read;
            }
            read?;
            turn = (turn + usize::from(end.is_some())) % SHARES;
        }
    }

    /// A buffer to fill: one that is free again, where there is one.
    fn empty(&self, spare: Vec<u8>) -> Vec<u8> {
        let mut buffer = match self {
            Self::Beside { back, .. } if spare.capacity() == 0 => back.try_recv().unwrap_or_default(),
            _ => spare,
        };
        buffer.clear();
        buffer.reserve_exact(CHUNK);
        buffer
    }

    /// Gives the buffer back where it is free again.
    fn hand_over(&self, buffer: Vec<u8>) -> io::Result<Vec<u8>> {
        match self {
            _ if buffer.is_empty() => {}
            Self::Beside { to, .. } => {
                to.blocking_send(buffer).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
                return Ok(Vec::new());
            }
            Self::Here(out) => out.borrow_mut()(&buffer),
        }
        Ok(buffer)
    }
}

/// Runs `read` on a thread of its own; what it pours into its outlet goes to `out`. Dropped, it ends with the next
/// chunk.
///
/// # Errors
///
/// What `read` says.
pub async fn beside<T: Send + 'static>(
    read: impl FnOnce(&Outlet<'_>) -> io::Result<T> + Send + 'static,
    out: Sink<'_>,
) -> io::Result<T> {
    let (to, mut chunks) = mpsc::channel(AHEAD);
    let (again, back) = plain::channel();
    let thread = thread::Builder::new().name("reader".to_owned());
    let thread = thread.spawn(move || read(&Outlet::Beside { to, back }))?;
    while let Some(buffer) = chunks.recv().await {
        out(&buffer);
        // It may have read all it wanted.
        let _ = again.send(buffer);
    }
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the reading thread failed")))
}

/// Fills a piece up; whether it is the last one, and what the reader said behind what it gave.
fn fill(buffer: &mut Vec<u8>, from: &mut impl Read, total: &mut u64) -> io::Result<(bool, io::Result<()>)> {
    let room = CHUNK.saturating_sub(buffer.len());
    let before = buffer.len();
    let read = from.take(room as u64).read_to_end(buffer).map(|_| ());
    *total += (buffer.len() - before) as u64;
    if *total > MOST_OUTPUT {
        return Err(io::Error::other(format!("it exceeds {} MiB", MOST_OUTPUT >> 20)));
    }
    Ok((buffer.len() < CHUNK, read))
}

/// The same without a thread, for what is small.
pub(super) fn here<T>(read: impl FnOnce(&Outlet<'_>) -> io::Result<T>, out: Sink<'_>) -> io::Result<T> {
    read(&Outlet::Here(RefCell::new(out)))
}

/// What several threads read from; one that failed has left it as it was.
pub(crate) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
    }

    /// Gives its bytes in uneven pieces, and then an error, if it has one.
    struct Pieces {
        bytes: Vec<u8>,
        at: usize,
        error: Option<io::Error>,
    }

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let left = &self.bytes[self.at..];
            let many = (left.len() % 1009 + 1).min(left.len()).min(buffer.len());
            if many == 0
                && let Some(error) = self.error.take()
            {
                return Err(error);
            }
            buffer[..many].copy_from_slice(&left[..many]);
            self.at += many;
            Ok(many)
        }
    }

    /// What arrives of so many bytes, with a thread and without.
    fn read(many: usize, error: Option<&'static str>) {
        let bytes: Vec<u8> = (0..=250_u8).cycle().take(many).collect();
        for is_beside in [true, false] {
            let pieces = Pieces { bytes: bytes.clone(), at: 0, error: error.map(io::Error::other) };
            let mut seen = Vec::new();
            let mut keep = |chunk: &[u8]| {
                assert!(chunk.len() <= CHUNK && !chunk.is_empty());
                seen.extend_from_slice(chunk);
            };
            let pour = |outlet: &Outlet<'_>| outlet.pour(pieces);
            let end = if is_beside { run(beside(pour, &mut keep)) } else { here(pour, &mut keep) };
            assert_eq!(end.err().map(|error| error.to_string()).as_deref(), error, "{many} bytes");
            assert!(seen == bytes, "{many} bytes");
        }
    }

    #[test]
    fn every_byte_arrives_once_and_in_order_and_an_error_behind_them() {
        for many in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 9 * CHUNK + 7] {
            read(many, None);
            read(many, Some("torn"));
        }
    }

    #[test]
    fn two_threads_share_whole_lines_and_every_byte_arrives_once() {
        let short = b"line\n".repeat(200_000);
        let mut long = short[..CHUNK].to_vec();
        long.extend(std::iter::repeat_n(b'x', 3 * CHUNK));
        long.extend_from_slice(&short);
        for text in [Vec::new(), b"line".to_vec(), short[..CHUNK].to_vec(), short, long] {
            for error in [None, Some("torn")] {
                let kept = Arc::new(Mutex::new(Vec::new()));
                let keep = Arc::clone(&kept);
                let second: SecondSink = Box::new(move |piece| lock(&keep).push(piece.to_vec()));
                let mut seen = Vec::new();
                let pieces = Pieces { bytes: text.clone(), at: 0, error: error.map(io::Error::other) };
                let share = |outlet: &Outlet<'_>| outlet.share(pieces, second);
                let end = run(beside(share, &mut |piece| seen.push(piece.to_vec())));
                assert_eq!(end.err().map(|error| error.to_string()).as_deref(), error);
                let kept = lock(&kept).clone();
                let mut both: Vec<u8> = [seen.concat(), kept.concat()].concat();
                let ends = |pieces: &[Vec<u8>]| pieces.iter().filter(|piece| piece.ends_with(b"\n")).count();
                assert!(
                    text.len() > 2_000_000 || ends(&kept) + 1 >= kept.len(),
                    "only a line that is too long goes on"
                );
                let mut all = text.clone();
                both.sort_unstable();
                all.sort_unstable();
                assert!(both == all, "{} bytes", text.len());
            }
        }
    }

    #[test]
    fn what_is_read_twice_counts_twice_and_is_never_more_than_all() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let meter = Meter::new(move |done, total| lock(&tell).push((done, total)));
        meter.expect(10);
        meter.add(8);
        meter.add(8);
        assert_eq!(*lock(&told), [(0, 10), (8, 10), (16, 16)]);
        assert_eq!(meter.done(), 16);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_no_panic() {
        let end = run(beside(|_| -> io::Result<()> { panic!("on purpose") }, &mut |_| {}));
        assert_eq!(end.unwrap_err().to_string(), "the reading thread failed");
    }

    #[test]
    fn whoever_does_not_wait_any_more_ends_it() {
        let (ended, end) = plain::channel();
        let read = move |outlet: &Outlet<'_>| {
            let _ = ended.send(outlet.pour(io::repeat(b'x')).map_err(|error| error.kind()));
            Ok(())
        };
        let mut out = |_: &[u8]| {};
        let mut work = Box::pin(beside(read, &mut out));
        let waker = std::task::Waker::noop();
        assert!(work.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
        drop(work);
        assert_eq!(end.recv().expect("the thread ends"), Err(io::ErrorKind::BrokenPipe));
    }
}
