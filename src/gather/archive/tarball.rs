//! Reading a tar, packed or not, without unpacking it: the first file that is wanted, as a stream.
//!
//! Long names and the rest of the headers are read here, and not by the crate, because it would read a name of any
//! length into memory. Links, devices and sparse files are passed over; names are only compared, never used as paths.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use tar::{Archive, EntryType};

/// The longest name, in bytes.
const MOST_NAME: u64 = 4096;
/// More files than any bugtool archive has.
const MOST_FILES: usize = 500_000;
/// The most that is unpacked of one archive on the way to a file, in bytes.
const MOST_BYTES: u64 = 16 << 30;

/// Whether this is gzip, by its first bytes.
pub(super) fn is_gzip(head: &[u8]) -> bool {
    head.starts_with(&[0x1f, 0x8b])
}

/// Whether this is a tar, by the mark in its first header.
pub(super) fn is_tar(head: &[u8]) -> bool {
    head.get(257..262).is_some_and(|mark| mark == b"ustar")
}

/// The plain tar behind a stream that may be packed.
pub(super) fn plain(from: impl Read + 'static) -> io::Result<Box<dyn Read>> {
    let mut from = BufReader::with_capacity(64 << 10, from);
    let packed = is_gzip(from.fill_buf()?);
    Ok(if packed { Box::new(MultiGzDecoder::new(from)) } else { Box::new(from) })
}

/// Goes through the files of a plain tar until `each` has seen enough: it gets a name and the content, and says whether
/// to stop.
pub(super) fn walk(from: impl Read, mut each: impl FnMut(&str, &mut dyn Read) -> io::Result<bool>) -> io::Result<()> {
    let mut archive = Archive::new(from.take(MOST_BYTES));
    let mut long_name: Option<String> = None;
    for (number, entry) in archive.entries()?.raw(true).enumerate() {
        let mut entry = entry?;
        if number > MOST_FILES {
            return Err(io::Error::other(format!("it has more than {MOST_FILES} files")));
        }
        match entry.header().entry_type() {
            EntryType::GNULongName => {
                let text = header_text(&mut entry)?;
                long_name = Some(text.trim_end_matches('\0').to_owned());
            }
            EntryType::XHeader => long_name = path_of_pax(&header_text(&mut entry)?).or(long_name),
            EntryType::XGlobalHeader | EntryType::GNULongLink => {}
            EntryType::Regular | EntryType::Continuous => {
                let short = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                let name = long_name.take().unwrap_or(short);
                if each(&name, &mut entry)? {
                    return Ok(());
                }
            }
            _ => long_name = None,
        }
    }
    Ok(())
}

fn header_text(entry: &mut impl Read) -> io::Result<String> {
    let mut text = Vec::new();
    entry.take(MOST_NAME + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MOST_NAME {
        return Err(io::Error::other("a name in it is longer than any file name"));
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// `LENGTH path=NAME` of an extended header.
fn path_of_pax(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.split_once(' ')?.1.strip_prefix("path=").map(str::to_owned))
}
