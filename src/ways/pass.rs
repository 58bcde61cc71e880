//! A whole dump in one pass, line by line as it comes.

use crate::cilium::conntrack::entry::{Entry, looks_like_entry};
use crate::cilium::lines::Lines;
use crate::ways::lens::Lens;
use crate::ways::picture::Picture;
use crate::ways::tally::{Tally, fields};

/// The pass itself: bytes in, a [`Picture`] out. Two may share the lines of a dump: see [`Pass::join`].
pub struct Pass {
    lens: Lens,
    lines: Lines,
    tally: Tally,
}

impl Pass {
    /// A pass at the start of a dump.
    #[must_use]
    pub fn new(lens: &Lens) -> Self {
        Self { lens: lens.clone(), lines: Lines::new(), tally: Tally::new(lens.most_age_s) }
    }

    /// Adds what a second pass has seen of the same dump, whose lines it shared. One of the two at most may have taken the
    /// start of a line without its end: the dump's last.
    #[must_use]
    pub fn join(mut self, second: Self) -> Self {
        self.tally.join(second.tally);
        let lines = if self.lines.is_between_lines() { second.lines } else { self.lines };
        Self { lines, ..self }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        let Self { lens, lines, tally } = self;
        lines.feed(chunk, |line| tally.line(line, lens));
    }

    /// The end of the dump. A last line without its line end counts only where the dump is known to be `whole`: it may
    /// be cut in the middle of a number.
    #[must_use]
    pub fn finish(self, whole: bool) -> Picture {
        let Self { lens, lines, mut tally } = self;
        let mut broken_end = false;
        if let Some(last) = lines.finish()
            && whole
        {
            let is_cut = || last.ends_with(b"=") || fields(&last) < tally.fields || Entry::parse(&last).is_none();
            broken_end = looks_like_entry(&last) && is_cut();
            tally.line(&last, &lens);
        }
        Picture { broken_end, ..tally.finish() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::roles::{Range, Role, Roles};
    use crate::ways::group::Group;

    fn lens() -> Lens {
        let mut roles = Roles::new(true);
        roles.name_range("10.42.1.0/24".parse().unwrap(), Range::LocalPods);
        roles.name([10, 42, 1, 5].into(), Role::LocalPod);
        roles.name([192, 168, 10, 21].into(), Role::ThisHost);
        Lens::of_roles(roles)
    }

    fn picture(text: &str) -> Picture {
        let lens = lens();
        let mut pass = Pass::new(&lens);
        pass.feed(text.as_bytes());
        pass.finish(true)
    }

    fn line(protocol: &str, to: &str) -> String {
        format!(
            "{protocol} OUT 10.42.1.5:40000 -> {to} expires=9999 Packets=0 Bytes=0 RxFlagsSeen=0x00 LastRxReport=0 \
             TxFlagsSeen=0x02 LastTxReport=9000 Flags=0x0000 [ ] RevNAT=0 SourceSecurityID=300 BackendID=0 \n"
        )
    }

    #[test]
    fn what_goes_one_way_to_the_node_is_no_flow_without_answer() {
        let moment = line("TCP", "192.168.10.21:9000").replace("LastTxReport=9000", "LastTxReport=9050");
        let seen = picture(&(line("UDP", "192.168.10.21:8125") + &line("TCP", "192.168.10.21:10250") + &moment));
        assert_eq!((seen.entries, seen.group(Group::PodToHost).live()), (3, 2));
    }

    #[test]
    fn a_dump_that_breaks_off_in_an_entry_says_so() {
        let whole = line("TCP", "185.12.64.1:443");
        let last = whole.trim_end();
        assert!(!picture(&whole).broken_end && !picture(last).broken_end);
        assert!(!picture(&format!("{whole}command terminated")).broken_end, "a remark is no entry");
        let starts = ["RxFlagsSeen", "Flags", "RevNAT", "BackendID", "0 \n"];
        for length in starts.map(|start| last.find(start).unwrap_or(last.len() - 1)) {
            let cut = &whole[..length];
            assert!(picture(&format!("{whole}{cut}")).broken_end, "{cut}");
        }
        assert!(picture(&format!("{whole}{}", &whole[..60])).broken_end);
        assert!(!picture(&format!("{whole}{last}")).broken_end, "an editor left the last line end out");
    }
}
