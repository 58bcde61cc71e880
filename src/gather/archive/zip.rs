//! Reading a zip without unpacking it: the members that are wanted, each as a stream.
//!
//! Own, and small, because the usual crate holds the whole directory in memory, and a sysdump's may be of any length:
//! here only the members that are wanted are remembered. Nothing in the file is believed: what is encrypted, doubled,
//! overlapping or larger than it says is an error, and names are only compared, never used as paths.

#![expect(
    clippy::indexing_slicing,
    reason = "every place is held against the length before, or is that of a record of fixed size"
)]

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use super::names::is_wanted;
use crate::gather::reading::{Meter, Metered};

/// The longest comment at the end, and so the farthest that the end record may lie from the end.
const MOST_COMMENT: u64 = 65_535;
/// The size of the end record without its comment.
const END_RECORD: u16 = 22;
/// The size of the fixed part of a member's record in the directory, and of the header in front of its data.
const RECORD: usize = 46;
const HEADER: usize = 30;
/// More members than any sysdump has.
const MOST_MEMBERS: u64 = 2_000_000;
/// More members than are ever wanted, and the most that their names may take, in bytes.
const MOST_WANTED: usize = 100_000;
const MOST_NAMES: usize = 16 << 20;
/// How much of the file is read at once, in bytes.
const BUFFER: usize = 64 << 10;

/// A zip file.
pub(crate) struct Zip {
    path: PathBuf,
    members: Vec<ZipMember>,
    meter: Arc<Meter>,
}

/// A member that is wanted.
pub(super) struct ZipMember {
    /// Its name, as it stands there.
    pub(super) name: String,
    at: u64,
    /// How many bytes of the file it takes.
    pub(super) packed: u64,
    size: u64,
    crc: u32,
    stored: bool,
}

impl Zip {
    /// Reads the directory, and remembers the members that may be needed of a sysdump.
    pub(crate) fn open(path: &Path, meter: Arc<Meter>) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let (count, size, at) = directory(&mut file, length)?;
        if count > MOST_MEMBERS {
            return Err(wrong(format!("it has {count} members, more than any sysdump")));
        }
        if at.checked_add(size).is_none_or(|end| end > length) {
            return Err(wrong("its directory lies outside of it"));
        }
        file.seek(SeekFrom::Start(at))?;
        let mut reader = BufReader::with_capacity(BUFFER, file).take(size);
        let mut members: Vec<ZipMember> = Vec::new();
        let mut names = 0;
        for _ in 0..count {
            if let Some(member) = record(&mut reader)? {
                names += member.name.len();
                members.push(member);
            }
            if members.len() > MOST_WANTED || names > MOST_NAMES {
                return Err(wrong("it has more members of the wanted names than any cluster has"));
            }
        }
        if let Some(member) = members.iter().find(|member| member.at.saturating_add(member.packed) > length) {
            return Err(wrong(format!("its member {} lies outside of it", member.name)));
        }
        members.sort_by_key(|member: &ZipMember| member.at);
        for pair in members.windows(2) {
            let end = pair[0].at.saturating_add(HEADER as u64).saturating_add(pair[0].packed);
            if end > pair[1].at {
                return Err(wrong(format!("its members {} and {} overlap", pair[0].name, pair[1].name)));
            }
        }
        members.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = members.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(wrong(format!("it has two members of the name {}", pair[0].name)));
        }
        Ok(Self { path: path.to_owned(), members, meter })
    }

    /// The members that are wanted, by name.
    pub(super) fn members(&self) -> &[ZipMember] {
        &self.members
    }

    /// So many bytes of the file are to be read.
    pub(super) fn expect(&self, bytes: u64) {
        self.meter.expect(bytes);
    }

    /// The content of the member of this number among [`Self::members`].
    pub(super) fn read_at(&self, index: usize) -> io::Result<Box<dyn Read + Send>> {
        self.read(self.members.get(index).ok_or_else(|| wrong("it has no such member"))?)
    }

    /// A member's content. Reading ends with an error where it is not what the directory says.
    pub(super) fn read(&self, member: &ZipMember) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(member.at))?;
        let mut header = [0; HEADER];
        file.read_exact(&mut header)?;
        if header[..4] != *b"PK\x03\x04" {
            return Err(wrong("it is damaged: its directory names a member that is not there"));
        }
        let skip = i64::from(u16_at(&header, 26)) + i64::from(u16_at(&header, 28));
        file.seek(SeekFrom::Current(skip))?;
        let packed = Metered { file, meter: Arc::clone(&self.meter) }.take(member.packed);
        let packed = BufReader::with_capacity(BUFFER, packed);
        let plain: Box<dyn Read + Send> =
            if member.stored { Box::new(packed) } else { Box::new(DeflateDecoder::new(packed)) };
        Ok(Box::new(Checked { plain, left: member.size, sum: Crc::new(), crc: member.crc }))
    }
}

/// A content that must have the size and the sum that the directory says.
struct Checked {
    plain: Box<dyn Read + Send>,
    left: u64,
    sum: Crc,
    crc: u32,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let n = self.plain.read(buffer)?;
        self.sum.update(&buffer[..n]);
        if n == 0 && (self.left > 0 || self.sum.sum() != self.crc) {
            return Err(wrong("it is damaged: a member differs from what its directory says"));
        }
        self.left =
            self.left.checked_sub(n as u64).ok_or_else(|| wrong("a member is larger than the directory says"))?;
        Ok(n)
    }
}

/// Where the directory is: number of members, size, offset.
fn directory(file: &mut File, length: u64) -> io::Result<(u64, u64, u64)> {
    let from = length.saturating_sub(u64::from(END_RECORD) + MOST_COMMENT);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(u64::from(END_RECORD) + MOST_COMMENT).read_to_end(&mut tail)?;
    let at = memchr::memmem::rfind(&tail, b"PK\x05\x06").filter(|at| tail.len() - at >= usize::from(END_RECORD));
    let at = at.ok_or_else(|| wrong("its end is missing: the copy is incomplete"))?;
    let end = &tail[at..];
    let short = (u64::from(u16_at(end, 10)), u64::from(u32_at(end, 12)), u64::from(u32_at(end, 16)));
    if short.0 != 0xffff && short.1 != 0xffff_ffff && short.2 != 0xffff_ffff {
        return Ok(short);
    }
    // The 64-bit record, by way of its locator in front of the end record.
    let Some(locator) = at.checked_sub(20).map(|at| &tail[at..]).filter(|tail| tail.starts_with(b"PK\x06\x07")) else {
        return Ok(short);
    };
    file.seek(SeekFrom::Start(u64_at(locator, 8)))?;
    let mut record = [0; 56];
    file.read_exact(&mut record)?;
    if !record.starts_with(b"PK\x06\x06") {
        return Err(wrong("its 64-bit end is damaged"));
    }
    Ok((u64_at(&record, 32), u64_at(&record, 40), u64_at(&record, 48)))
}

/// The next record of the directory, where it is wanted.
fn record(reader: &mut impl Read) -> io::Result<Option<ZipMember>> {
    let mut fixed = [0; RECORD];
    reader.read_exact(&mut fixed)?;
    if !fixed.starts_with(b"PK\x01\x02") {
        return Err(wrong("its directory is damaged"));
    }
    let (name, extra, comment) = (u16_at(&fixed, 28), u16_at(&fixed, 30), u16_at(&fixed, 32));
    let mut rest = vec![0; usize::from(name) + usize::from(extra) + usize::from(comment)];
    reader.read_exact(&mut rest)?;
    let (name, rest) = rest.split_at(usize::from(name));
    let Some(name) = std::str::from_utf8(name).ok().filter(|name| is_wanted(name)) else {
        return Ok(None);
    };
    if u16_at(&fixed, 8) & 1 != 0 {
        return Err(wrong(format!("its member {name} is encrypted; decrypt it first")));
    }
    let method = u16_at(&fixed, 10);
    if !matches!(method, 0 | 8) {
        return Err(wrong(format!("its member {name} uses an unsupported compression method ({method})")));
    }
    let mut member = ZipMember {
        name: name.to_owned(),
        at: u64::from(u32_at(&fixed, 42)),
        packed: u64::from(u32_at(&fixed, 20)),
        size: u64::from(u32_at(&fixed, 24)),
        crc: u32_at(&fixed, 16),
        stored: method == 0,
    };
    long_sizes(&rest[..usize::from(extra)], &mut member);
    Ok(Some(member))
}

/// Sizes of more than 32 bits stand in an extra field, those that need it only.
fn long_sizes(mut extra: &[u8], member: &mut ZipMember) {
    while extra.len() >= 4 {
        let (id, length) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let Some(mut field) = extra.get(4..4 + length) else { return };
        if id == 1 {
            for value in [&mut member.size, &mut member.packed, &mut member.at] {
                if *value == 0xffff_ffff && field.len() >= 8 {
                    *value = u64_at(field, 0);
                    field = &field[8..];
                }
            }
            return;
        }
        extra = &extra[4 + length..];
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn wrong(why: impl Into<String>) -> io::Error {
    io::Error::other(why.into())
}
