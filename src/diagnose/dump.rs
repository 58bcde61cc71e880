//! One dump, whose lines may come on two threads.

use std::sync::{Arc, Mutex};

use crate::gather::SecondSink;
use crate::gather::reading::lock;
use crate::ways::lens::Lens;
use crate::ways::pass::Pass;
use crate::ways::picture::Picture;

/// Bytes in, a [`Picture`] out, like a [`Pass`]; a thread that reads may take lines, too.
pub struct DumpPass {
    here: Pass,
    second: Arc<Mutex<Option<Pass>>>,
}

impl DumpPass {
    /// A pass at the start of a dump.
    #[must_use]
    pub fn new(lens: &Lens) -> Self {
        Self { here: Pass::new(lens), second: Arc::new(Mutex::new(Some(Pass::new(lens)))) }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.here.feed(bytes);
    }

    /// Takes bytes on another thread, until the dump is finished.
    #[must_use]
    pub fn second(&self) -> SecondSink {
        let second = Arc::clone(&self.second);
        Box::new(move |bytes: &[u8]| {
            if let Some(pass) = lock(&second).as_mut() {
                pass.feed(bytes);
            }
        })
    }

    /// The end of the dump: see [`Pass::finish`].
    #[must_use]
    pub fn finish(self, whole: bool) -> Picture {
        // A thread that nobody waits for any more may still read.
        let second = lock(&self.second).take();
        let all = match second {
            Some(second) => self.here.join(second),
            None => self.here,
        };
        all.finish(whole)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::gather::reading::beside;
    use crate::kubernetes::roles::{Range, Role, Roles};
    use crate::ways::counts::Counts;
    use crate::ways::group::Group;
    use crate::ways::picture::Endpoint;

    fn lens(most_age_s: Option<f64>) -> Lens {
        let mut roles = Roles::new(true);
        roles.name_range("10.42.1.0/24".parse().unwrap(), Range::LocalPods);
        for pod in 5..90 {
            roles.name([10, 42, 1, pod].into(), Role::LocalPod);
        }
        let external = vec!["185.12.0.0/16".parse().unwrap()];
        Lens { external, most_age_s, ..Lens::of_roles(roles) }
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
            if text.len() > 12 << 20 {
                return text;
            }
        }
        text
    }

    /// Shared with the thread that reads.
    fn by_two(text: &str, lens: &Lens) -> Picture {
        let mut pass = DumpPass::new(lens);
        let mut second = pass.second();
        let many = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&many);
        let second: SecondSink = Box::new(move |bytes| {
            counted.fetch_add(bytes.len(), Ordering::Relaxed);
            second(bytes);
        });
        let bytes = Cursor::new(text.as_bytes().to_vec());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(beside(|outlet| outlet.share(bytes, second), &mut |chunk| pass.feed(chunk))).unwrap();
        let share = many.load(Ordering::Relaxed) * 100 / text.len();
        assert!((25..=40).contains(&share), "{share} % went to the second");
        pass.finish(true)
    }

    /// All that a picture says, but the samples, of which any three will do, and at which endpoint each far end was seen
    /// first.
    fn told(mut picture: Picture) -> String {
        assert_eq!(std::mem::take(&mut picture.samples).len(), 3);
        if let Some(unanswered) = &mut picture.unanswered {
            unanswered.flows.sort_by_key(|flow| (flow.local, flow.from.port, flow.to.ip, flow.to.port));
        }
        let endpoints = std::mem::take(&mut picture.endpoints);
        let own =
            |endpoint: &Endpoint, group: &Group| Counts { answered_peers: 0, dead_peers: 0, ..*endpoint.group(*group) };
        let all = |endpoint: &Endpoint| Group::ALL.iter().map(|group| own(endpoint, group)).collect::<Vec<_>>();
        let endpoints: Vec<_> = endpoints.iter().map(|endpoint| (endpoint.address, all(endpoint))).collect();
        format!("{picture:?} {endpoints:?}")
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
            assert!(told(by_two(&text, &lens)) == one);
        }
    }

    #[test]
    fn a_dump_is_cut_whichever_thread_has_its_end() {
        let (text, lens) = (dump(), lens(None));
        // Pieces are of 256 KiB: one of three last ones is the reader's.
        for length in [0, 1, 2].map(|more| 10_200_000 + (more << 18)) {
            let whole = &text[..=text[..length].rfind('\n').unwrap()];
            let cut = whole.rsplit_once(" RevNAT").unwrap().0;
            assert!(by_two(cut, &lens).broken_end && !by_two(whole, &lens).broken_end, "{length} bytes");
        }
    }

    #[test]
    fn every_run_says_the_same() {
        let (text, lens) = (dump(), lens(Some(400.0)));
        let once = || format!("{:?}", by_two(&text, &lens));
        assert!(once() == once());
    }
}
