//! Chunks into lines: bytes arrive in any pieces, lines leave whole; and what stands among the rows of a table without
//! being one.

/// The longest line that is kept, in bytes. Real lines have fewer than 400; a longer one is passed on cut, so that
/// memory stays bounded whatever arrives.
pub const LONGEST: usize = 16 << 10;

/// Splits a stream into lines. Holds one partial line, never more.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// A splitter at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next chunk and hands every line that is complete to `line`, without its line end.
    pub fn feed(&mut self, chunk: &[u8], mut line: impl FnMut(&[u8])) {
        let mut rest = chunk;
        if !self.partial.is_empty() {
            let Some((end, behind)) = memchr::memchr(b'\n', rest).and_then(|end| rest.split_at_checked(end)) else {
                self.keep(rest);
                return;
            };
            self.keep(end);
            line(trim_end(&self.partial));
            self.partial.clear();
            rest = behind.get(1..).unwrap_or_default();
        }
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', rest) {
            line(trim_end(rest.get(start..end).unwrap_or_default()));
            start = end + 1;
        }
        self.keep(rest.get(start..).unwrap_or_default());
    }

    /// Whether every line that began has ended.
    #[must_use]
    pub const fn is_between_lines(&self) -> bool {
        self.partial.is_empty()
    }

    /// The end of the stream: the last line, where it had no line end. It may be cut.
    #[must_use]
    pub fn finish(self) -> Option<Vec<u8>> {
        (!self.partial.is_empty()).then(|| trim_end(&self.partial).to_vec())
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LONGEST.saturating_sub(self.partial.len());
        self.partial.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }
}

/// Whether a line is a remark and not a row: `cilium-dbg` writes its log to standard output, too, in front of the table
/// (seen in 1.18: `time=… level=warn msg="Removing map …"`), and kubectl says which container it chose.
#[must_use]
pub fn is_remark(line: &str) -> bool {
    let is_log = |line: &str| {
        (line.starts_with("time=") && line.contains(" level="))
            || (line.starts_with("level=") && line.contains(" msg="))
    };
    is_log(line) || line.starts_with("Defaulted container ")
}

/// The rows of a text: its lines without remarks, which are counted.
pub fn rows<'a>(text: &'a str, remarks: &'a mut usize) -> impl Iterator<Item = &'a str> {
    text.lines().filter(move |line| {
        let remark = is_remark(line);
        *remarks += usize::from(remark);
        !remark
    })
}

fn trim_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_split_gives_the_same_lines() {
        let text = b"one\ntwo\r\n\nthree";
        for cut in 0..=text.len() {
            let mut lines = Lines::new();
            let mut seen = Vec::new();
            lines.feed(&text[..cut], |l| seen.push(l.to_vec()));
            lines.feed(&text[cut..], |l| seen.push(l.to_vec()));
            seen.extend(lines.finish());
            assert_eq!(seen, [&b"one"[..], b"two", b"", b"three"], "cut at {cut}");
        }
    }

    #[test]
    fn remarks_are_counted_and_are_not_rows() {
        let mut remarks = 0;
        let text = "time=2026-11-27T15:16:13Z level=warn msg=\"Removing map\"\nlevel=info msg=x\nREASON\ntime=3 is a row\n\
                    Defaulted container \"cilium-agent\" out of: cilium-agent\n";
        assert_eq!(rows(text, &mut remarks).collect::<Vec<_>>(), ["REASON", "time=3 is a row"]);
        assert_eq!(remarks, 3);
    }

    #[test]
    fn a_line_without_end_stays_bounded() {
        let mut lines = Lines::new();
        for _ in 0..100 {
            lines.feed(&[b'x'; 1000], |_| panic!("no line ended"));
        }
        assert_eq!(lines.finish().map(|l| l.len()), Some(LONGEST));
    }
}
