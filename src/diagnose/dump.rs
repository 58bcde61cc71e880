//! One dump, read by two threads where it is large.
//!
//! Which piece goes to which of the two follows from the bytes alone, so that every machine says the same of a dump.

use std::io;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{Builder, JoinHandle};

use crate::ways::lens::Lens;
use crate::ways::pass::Pass;
use crate::ways::picture::Picture;

/// From here on a dump is large, in bytes. Below it the second thread would cost more than it saves.
const LARGE: usize = 4 << 20;

/// How many pieces may wait for the second thread.
const AHEAD: usize = 2;

/// Bytes in, a [`Picture`] out, like a [`Pass`].
pub struct DumpPass {
    here: Pass,
    second: Second,
    bytes: usize,
    /// Whether the second one takes the next lines.
    is_turn_of_second: bool,
}

/// The pass that takes every other piece of a large dump.
enum Second {
    /// The dump is small so far.
    None,
    /// On a thread of its own.
    Beside(Beside),
    /// There is no further thread.
    Here(Pass),
}

struct Beside {
    to: SyncSender<Vec<u8>>,
    /// Buffers that can be filled again.
    back: Receiver<Vec<u8>>,
    thread: JoinHandle<Pass>,
}

impl DumpPass {
    /// A pass at the start of a dump.
    #[must_use]
    pub fn new(lens: &Lens) -> Self {
        Self { here: Pass::new(lens), second: Second::None, bytes: 0, is_turn_of_second: false }
    }

    /// Takes the next bytes. Waits while the second thread has enough to do.
    pub fn feed(&mut self, piece: &[u8]) {
        self.bytes += piece.len();
        if self.bytes < LARGE {
            self.here.feed(piece);
            return;
        }
        if matches!(self.second, Second::None) {
            self.second = Second::begin(&mut self.here);
        }
        // A line that began in the last piece ends where it began.
        let end = memchr::memchr(b'\n', piece).map_or(piece.len(), |at| at + 1);
        let (end_of_line, lines) = piece.split_at_checked(end).unwrap_or((piece, &[]));
        self.take(end_of_line);
        if end_of_line.ends_with(b"\n") {
            self.is_turn_of_second = !self.is_turn_of_second;
        }
        self.take(lines);
    }

    fn take(&mut self, bytes: &[u8]) {
        match &mut self.second {
            _ if bytes.is_empty() => {}
            _ if !self.is_turn_of_second => self.here.feed(bytes),
            Second::None => self.here.feed(bytes),
            Second::Here(pass) => pass.feed(bytes),
            Second::Beside(beside) => beside.feed(bytes),
        }
    }

    /// The end of the dump: see [`Pass::finish`].
    #[must_use]
    pub fn finish(self, whole: bool) -> Picture {
        let all = match self.second {
            Second::None => self.here,
            Second::Here(second) => self.here.join(second),
            Second::Beside(beside) => self.here.join(beside.finish()),
        };
        all.finish(whole)
    }
}

impl Second {
    fn begin(here: &mut Pass) -> Self {
        Beside::begin(here.split()).map_or_else(|_| Self::Here(here.split()), Self::Beside)
    }
}

impl Beside {
    fn begin(mut pass: Pass) -> io::Result<Self> {
        let (to, pieces) = sync_channel::<Vec<u8>>(AHEAD);
        let (again, back) = channel();
        let thread = Builder::new().name("second half".to_owned()).spawn(move || {
            for piece in pieces {
                pass.feed(&piece);
                // The dump may have ended.
                let _ = again.send(piece);
            }
            pass
        })?;
        Ok(Self { to, back, thread })
    }

    fn feed(&self, bytes: &[u8]) {
        let mut piece = self.back.try_recv().unwrap_or_default();
        piece.clear();
        piece.extend_from_slice(bytes);
        // It takes what comes as long as this end is open; if it panicked, `finish` passes that on.
        let _ = self.to.send(piece);
    }

    fn finish(self) -> Pass {
        drop(self.to);
        self.thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::roles::{Range, Roles};

    fn lens(most_age_s: Option<f64>) -> Lens {
        let mut roles = Roles::new(true);
        roles.name_range("10.42.1.0/24".parse().unwrap(), Range::LocalPods);
        for pod in 5..90 {
            roles.name([10, 42, 1, pod].into(), crate::kubernetes::roles::Role::LocalPod);
        }
        let external = vec!["185.12.0.0/16".parse().unwrap()];
        Lens { roles: roles.into(), external, probe_sources: Vec::new(), probe_target: [1, 1, 1, 1].into(), most_age_s }
    }

    /// A large dump of many pods, some lines of which are answered, over, unreadable or remarks.
    fn dump() -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for n in 0_u32.. {
            let (pod, far, port) = (5 + n * 7 % 85, n % 200, 32_768 + n % 20_000);
            let protocol = if n.is_multiple_of(3) { "UDP" } else { "TCP" };
            let to =
                if protocol == "UDP" { format!("169.254.25.{}:53", far % 9) } else { format!("185.12.{far}.7:443") };
            let (asked, answered) = (900_000 + n % 900, if n % 11 < 8 { 900_000 + n % 900 } else { 0 });
            let expires = asked + if n.is_multiple_of(13) { 10 } else { 60 };
            let _ = writeln!(
                text,
                "{protocol} OUT 10.42.1.{pod}:{port} -> {to} expires={expires} Packets=0 Bytes=0 RxFlagsSeen=0x02 \
                 LastRxReport={answered} TxFlagsSeen=0x02 LastTxReport={asked} Flags=0x0000 [ ] RevNAT=0 \
                 SourceSecurityID=300 BackendID=0 "
            );
            if n.is_multiple_of(9000) {
                let _ = write!(text, "level=info msg=\"of {n}\"\nTCP OUT 10.42.1.7:torn{n}\n");
            }
            if text.len() > 3 * LARGE {
                return text;
            }
        }
        text
    }

    fn by_two(text: &str, lens: &Lens, piece: usize) -> Picture {
        let mut pass = DumpPass::new(lens);
        text.as_bytes().chunks(piece).for_each(|bytes| pass.feed(bytes));
        assert!(matches!(pass.second, Second::Beside(_)), "the dump is large");
        pass.finish(true)
    }

    /// All that a picture says, but the samples: of those any three will do.
    fn told(picture: Picture) -> String {
        let mut picture = picture;
        assert_eq!(std::mem::take(&mut picture.samples).len(), 3);
        if let Some(unanswered) = &mut picture.unanswered {
            unanswered.flows.sort_by_key(|flow| (flow.local, flow.from.port, flow.to.ip, flow.to.port));
        }
        format!("{picture:?}")
    }

    #[test]
    fn two_threads_see_what_one_sees() {
        let text = dump();
        for lens in [lens(None), lens(Some(400.0))] {
            let mut pass = Pass::new(&lens);
            pass.feed(text.as_bytes());
            let one = pass.finish(true);
            assert!(one.unparsed > 3 && one.remarks > 3 && one.endpoints.len() == 85);
            assert_eq!(one.unanswered.is_some(), lens.most_age_s.is_some());
            let one = told(one);
            for piece in [256 << 10, 100_003, 97, 40 << 10] {
                assert!(told(by_two(&text, &lens, piece)) == one, "in pieces of {piece} bytes");
            }
        }
    }

    #[test]
    fn a_dump_is_cut_whichever_thread_has_its_end() {
        let (text, lens) = (dump(), lens(None));
        for piece in [256 << 10, 250 << 10, 240 << 10, 230 << 10] {
            let cut = text.trim_end().rsplit_once(" RevNAT").unwrap().0;
            assert!(by_two(cut, &lens, piece).broken_end, "in pieces of {piece} bytes");
            assert!(!by_two(&text, &lens, piece).broken_end);
        }
    }

    #[test]
    fn every_run_says_the_same() {
        let (text, lens) = (dump(), lens(Some(400.0)));
        let once = || format!("{:?}", by_two(&text, &lens, 256 << 10));
        assert!(once() == once());
    }
}
