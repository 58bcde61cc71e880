//! Reading a tar, packed or not, without unpacking it: forwards, once, and as little of it again as can be.
//!
//! What is small is kept on the way, within bounds. A large file is read when it is asked for: at once where the walk
//! has just come to it, and else from where the gzip member begins that it lies in. A bundle that was saved has one for
//! every file, so that any file can be reached; an archive of one member is read from its start again, and a plain tar
//! is just sought in.
//!
//! Headers are read here, and not by the crate, because it would read a name of any length into memory. Links, devices
//! and sparse files are passed over; names are only compared, never used as paths.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::GzDecoder;
use tar::{EntryType, Header};

use super::byte_source::ByteSource;

/// The size of a header, and what contents are filled up to, in bytes.
const BLOCK: usize = 512;
/// How much of the archive is read at once, in bytes.
const BUFFER: usize = 64 << 10;
/// The longest name, in bytes.
const MOST_NAME: u64 = 4096;
/// More files than any bugtool archive or bundle has.
const MOST_FILES: usize = 500_000;
/// More files than are ever wanted, and the most that their names may take, in bytes.
const MOST_WANTED: usize = 100_000;
const MOST_NAMES: usize = 8 << 20;
/// The most that is unpacked of one archive on the way to a file, in bytes.
const MOST_BYTES: u64 = 16 << 30;
/// The largest file that is kept, and the most of all that are, in bytes.
const KEPT: u64 = 4 << 20;
const KEPT_IN_ALL: u64 = 12 << 20;

/// Whether this is gzip, by its first bytes.
pub(crate) fn is_gzip(head: &[u8]) -> bool {
    head.starts_with(&[0x1f, 0x8b])
}

/// Whether this is a tar, by the mark in its first header.
pub(crate) fn is_tar(head: &[u8]) -> bool {
    head.get(257..262).is_some_and(|mark| mark == b"ustar")
}

/// A tar on its way.
pub(crate) struct Tarball {
    stream: Stream,
    wanted: fn(&str) -> bool,
    members: Vec<TarMember>,
    /// Where the next header is, and where to begin to get there.
    next: u64,
    start: Start,
    /// How many files there were so far.
    number: usize,
    names: usize,
    kept: u64,
    end: Option<io::Result<()>>,
}

/// A file that is wanted.
struct TarMember {
    name: String,
    start: Start,
    at: u64,
    size: u64,
    kept: Option<Vec<u8>>,
}

impl Tarball {
    /// Begins at the start. Nothing was read so far but whether it is packed.
    pub(crate) fn open(source: ByteSource, wanted: fn(&str) -> bool) -> io::Result<Self> {
        let stream = Stream::open(source)?;
        Ok(Self {
            stream,
            wanted,
            members: Vec::new(),
            next: 0,
            start: Start::default(),
            number: 0,
            names: 0,
            kept: 0,
            end: None,
        })
    }

    /// Walks to the end, so that all files that are wanted are known.
    pub(crate) fn walked(source: ByteSource, wanted: fn(&str) -> bool) -> io::Result<Self> {
        let mut tar = Self::open(source, wanted)?;
        let Stream { source, is_packed, .. } = &tar.stream;
        // In a plain tar the walk goes from header to header.
        source.expect(|length| if *is_packed { length } else { 0 })?;
        while tar.advance().is_some() {}
        let Stream { source, is_packed, .. } = &tar.stream;
        let large: u64 = tar.members.iter().filter(|member| member.kept.is_none()).map(|member| member.size).sum();
        source.expect(|length| if *is_packed { length.min(large) } else { large })?;
        Ok(tar)
    }

    /// Why the walk did not come to the proper end of the archive, where it did not.
    pub(crate) fn broken(&self) -> Option<String> {
        self.end.as_ref()?.as_ref().err().map(ToString::to_string)
    }

    /// The names of the files so far, in the order in which they lie there.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.name.as_str())
    }

    /// The first file whose name is meant, as its number among [`Self::names`]. Walks on as far as it must.
    ///
    /// # Errors
    ///
    /// Where the archive breaks off before there was one.
    pub(crate) fn find(&mut self, is: impl Fn(&str) -> bool) -> io::Result<Option<usize>> {
        if let Some(index) = self.names().position(&is) {
            return Ok(Some(index));
        }
        while let Some(index) = self.advance() {
            if self.members.get(index).is_some_and(|member| is(&member.name)) {
                return Ok(Some(index));
            }
        }
        self.broken().map_or(Ok(None), |why| Err(io::Error::other(why)))
    }

    /// The content of a file. Reading ends with an error where the archive ends before the content does.
    pub(crate) fn read(&mut self, index: usize) -> io::Result<Box<dyn Read + '_>> {
        let Some(member) = self.members.get(index) else { return Err(io::ErrorKind::NotFound.into()) };
        if let Some(kept) = &member.kept {
            return Ok(Box::new(Cursor::new(kept)));
        }
        self.stream.go_to(member.start, member.at)?;
        Ok(Box::new(Content { stream: &mut self.stream, left: member.size }))
    }

    /// Goes on to the next file that is wanted; none at the end.
    fn advance(&mut self) -> Option<usize> {
        while self.end.is_none() {
            match self.step() {
                Ok(Step::Wanted) => return Some(self.members.len() - 1),
                Ok(Step::Other) => {}
                Ok(Step::End) => self.end = Some(Ok(())),
                Err(error) => {
                    // What does not add up was never written so: what came out of this part before is worth nothing,
                    // either.
                    if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) {
                        let from = self.stream.start.plain;
                        self.members.retain(|member| member.at < from);
                    }
                    self.end = Some(Err(error));
                }
            }
        }
        None
    }

    fn step(&mut self) -> io::Result<Step> {
        let Some(TarHeader { name, at, size }) = self.entry()? else { return Ok(Step::End) };
        if !(self.wanted)(&name) {
            return Ok(Step::Other);
        }
        self.names += name.len();
        if self.members.len() >= MOST_WANTED || self.names > MOST_NAMES {
            return Err(io::Error::other("it has more files of the wanted names than any cluster has"));
        }
        let mut kept = None;
        if size <= KEPT && self.kept + size <= KEPT_IN_ALL {
            let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            Content { stream: &mut self.stream, left: size }.read_to_end(&mut content)?;
            self.kept += size;
            kept = Some(content);
        }
        self.members.push(TarMember { name, start: self.start, at, size, kept });
        Ok(Step::Wanted)
    }

    /// The next plain file. After the last, the rest is read as well: the sum that says whether all was right is behind
    /// it.
    fn entry(&mut self) -> io::Result<Option<TarHeader>> {
        let mut name: Option<String> = None;
        let mut size: Option<u64> = None;
        loop {
            self.stream.go_to(self.start, self.next)?;
            let mut block = [0; BLOCK];
            let read = fill(&mut self.stream, &mut block)?;
            if read == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "it has no end mark: it was not copied whole",
                ));
            }
            if read < BLOCK {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if block.iter().all(|byte| *byte == 0) {
                io::copy(&mut self.stream, &mut io::sink())?;
                return Ok(None);
            }
            self.number += 1;
            if self.number > MOST_FILES {
                return Err(io::Error::other(format!("it has more than {MOST_FILES} files")));
            }
            self.start = self.stream.start;
            let header = Header::from_byte_slice(&block);
            check(header)?;
            let at = self.next + BLOCK as u64;
            let own = header.entry_size()?;
            let kind = header.entry_type();
            let is_file = matches!(kind, EntryType::Regular | EntryType::Continuous);
            // A link may name the size of its target, but has no content.
            let long = match kind {
                EntryType::Link | EntryType::Symlink | EntryType::Directory => 0,
                _ if is_file => size.take().unwrap_or(own),
                _ => own,
            };
            let end = at.checked_add(long).and_then(|end| end.checked_next_multiple_of(BLOCK as u64));
            self.next = end.ok_or_else(|| io::Error::other("a file in it is larger than any disk"))?;
            match kind {
                EntryType::GNULongName => {
                    let text = header_text(&mut Content { stream: &mut self.stream, left: long })?;
                    name = Some(text.trim_end_matches('\0').to_owned());
                }
                EntryType::XHeader => {
                    let text = header_text(&mut Content { stream: &mut self.stream, left: long })?;
                    name = of_pax(&text, "path").map(str::to_owned).or(name);
                    size = of_pax(&text, "size").and_then(|size| size.parse().ok()).or(size);
                }
                EntryType::XGlobalHeader | EntryType::GNULongLink => {}
                _ if is_file => {
                    let name =
                        name.take().unwrap_or_else(|| String::from_utf8_lossy(&header.path_bytes()).into_owned());
                    return Ok(Some(TarHeader { name, at, size: long }));
                }
                _ => (name, size) = (None, None),
            }
        }
    }
}

enum Step {
    Wanted,
    Other,
    End,
}

/// A plain file, wanted or not.
struct TarHeader {
    name: String,
    at: u64,
    size: u64,
}

/// The sum in a header is that of its bytes, with blanks in its own place.
fn check(header: &Header) -> io::Result<()> {
    let bytes = header.as_bytes();
    let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
    let own: u32 = bytes.iter().take(156).skip(148).map(|byte| u32::from(*byte)).sum();
    if header.cksum()? == sum - own + 8 * u32::from(b' ') {
        return Ok(());
    }
    Err(io::Error::other("it is damaged: a header is missing"))
}

/// Reads until the buffer is full or nothing comes any more.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match from.read(rest)? {
            0 => break,
            n => read += n,
        }
    }
    Ok(read)
}

fn header_text(from: &mut impl Read) -> io::Result<String> {
    let mut text = Vec::new();
    from.take(MOST_NAME + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MOST_NAME {
        return Err(io::Error::other("a name in it is longer than any file name"));
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// `LENGTH KEY=VALUE` of an extended header.
fn of_pax<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.split_once(' ')?.1.strip_prefix(key)?.strip_prefix('='))
}

/// A file's content, which must have the size that its header says.
struct Content<'a> {
    stream: &'a mut Stream,
    left: u64,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        match self.stream.read(buffer.get_mut(..most).unwrap_or_default())? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.left -= n as u64;
                Ok(n)
            }
        }
    }
}

/// Where reading can begin: the start of a gzip member, in the archive and in what comes out of it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Start {
    packed: u64,
    plain: u64,
}

/// The plain bytes of a tar, and how far they were read.
struct Stream {
    source: ByteSource,
    is_packed: bool,
    /// Where the gzip member begins that is being read; the start of a plain tar.
    start: Start,
    plain: u64,
    from: Option<Plain>,
}

enum Plain {
    Bare(BufReader<Counted>),
    Packed(Box<GzDecoder<BufReader<Counted>>>),
    /// Behind the last gzip member.
    End,
}

impl Stream {
    fn open(source: ByteSource) -> io::Result<Self> {
        let mut stream = Self { source, is_packed: false, start: Start::default(), plain: 0, from: None };
        let mut from = stream.reader(0)?;
        stream.is_packed = is_gzip(from.fill_buf()?);
        stream.from = Some(stream.unpack(from));
        Ok(stream)
    }

    fn reader(&self, at: u64) -> io::Result<BufReader<Counted>> {
        Ok(BufReader::with_capacity(BUFFER, Counted { from: self.source.open(at)?, at }))
    }

    fn unpack(&self, from: BufReader<Counted>) -> Plain {
        if self.is_packed { Plain::Packed(Box::new(GzDecoder::new(from))) } else { Plain::Bare(from) }
    }

    /// Makes `plain` the next byte that is read. `start` is a place before it where reading can begin.
    fn go_to(&mut self, start: Start, plain: u64) -> io::Result<()> {
        if plain > MOST_BYTES {
            return Err(too_large());
        }
        let is_far = |from: u64| plain - from > BUFFER as u64;
        let can_seek = !self.is_packed && self.source.can_seek();
        if self.from.is_none() || self.plain > plain || self.plain < start.plain || (can_seek && is_far(self.plain)) {
            self.from = None;
            let start = if can_seek { Start { packed: plain, plain } } else { start };
            let from = self.reader(start.packed)?;
            self.from = Some(self.unpack(from));
            self.plain = start.plain;
            self.start = if can_seek { Start::default() } else { start };
        }
        let skip = plain - self.plain;
        if io::copy(&mut self.by_ref().take(skip), &mut io::sink())? < skip {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let n = match &mut self.from {
                Some(Plain::Bare(from)) => from.read(buffer)?,
                Some(Plain::Packed(from)) => from.read(buffer)?,
                Some(Plain::End) | None => return Ok(0),
            };
            self.plain += n as u64;
            if self.plain > MOST_BYTES {
                return Err(too_large());
            }
            if n > 0 || !self.is_packed {
                return Ok(n);
            }
            // Behind a gzip member may be another one. Anything else there is ignored, as `gzip` does.
            let Some(Plain::Packed(decoder)) = self.from.replace(Plain::End) else { return Ok(0) };
            let mut from = decoder.into_inner();
            if is_gzip(from.fill_buf()?) {
                let packed = from.get_ref().at - from.buffer().len() as u64;
                self.start = Start { packed, plain: self.plain };
                self.from = Some(self.unpack(from));
            }
        }
    }
}

fn too_large() -> io::Error {
    io::Error::other(format!("it is larger than {} GiB, unpacked", MOST_BYTES >> 30))
}

/// Knows where in the archive it is.
struct Counted {
    from: Box<dyn Read + Send>,
    at: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buffer)?;
        self.at += n as u64;
        Ok(n)
    }
}
