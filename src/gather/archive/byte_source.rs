//! Where the bytes of a tar lie.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use super::zip::Zip;
use crate::gather::reading::{Meter, Metered};

/// Where the bytes of a tar lie. Each reading opens it anew.
pub(crate) enum ByteSource {
    /// In a file of its own.
    File(PathBuf, Arc<Meter>),
    /// In a zip, as the member of this number.
    Member(Arc<Zip>, usize),
}

impl ByteSource {
    /// Its bytes from this one on.
    pub(super) fn open(&self, at: u64) -> io::Result<Box<dyn Read + Send>> {
        match self {
            Self::File(path, meter) => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(at))?;
                Ok(Box::new(Metered { file, meter: Arc::clone(meter) }))
            }
            Self::Member(zip, index) => {
                let mut from = zip.read_at(*index)?;
                io::copy(&mut (&mut from).take(at), &mut io::sink())?;
                Ok(from)
            }
        }
    }

    /// How many bytes will be read; the zip names it for a member.
    pub(super) fn expect(&self, bytes: impl FnOnce(u64) -> u64) -> io::Result<()> {
        if let Self::File(path, meter) = self {
            meter.expect(bytes(path.metadata()?.len()));
        }
        Ok(())
    }

    /// Whether any place in it can be gone to at no cost.
    pub(super) fn can_seek(&self) -> bool {
        matches!(self, Self::File(..))
    }
}
