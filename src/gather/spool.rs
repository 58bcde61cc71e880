//! Evidence that can be read only once, standard input or a pipe, in a file of its own: archives are read in several
//! places at once.

use std::fs::{self, File};
use std::io::{self, Read, Seek as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// The most that is read from a pipe, in bytes.
const MOST: u64 = 8 << 30;

/// A copy of what came through a pipe; it ends with the value.
#[derive(Debug)]
pub struct Spooled {
    path: PathBuf,
    _file: Held,
}

#[derive(Debug)]
enum Held {
    /// It has no name, so nothing is left behind however the program ends.
    Unnamed { _file: File },
    /// Elsewhere than on Linux a file is opened anew by its name only.
    Named { _file: NamedTempFile },
}

impl Spooled {
    /// Copies what this path leads to where it can be read only once: `-` is standard input, and FIFOs are what process
    /// substitution of shells makes. None where it can be read in place, or is not there.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, is longer than 8 GiB, or there is no room for the copy.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        if path.as_os_str() == "-" {
            return Self::copy(&mut io::stdin().lock()).map(Some);
        }
        match fs::metadata(path) {
            Ok(about) if !about.is_file() && !about.is_dir() => Self::copy(&mut File::open(path)?).map(Some),
            _ => Ok(None),
        }
    }

    fn copy(from: &mut dyn Read) -> io::Result<Self> {
        if cfg!(target_os = "linux") {
            let mut file = tempfile::tempfile()?;
            fill(&mut file, from)?;
            let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
            return Ok(Self { path, _file: Held::Unnamed { _file: file } });
        }
        let mut file = NamedTempFile::new()?;
        fill(file.as_file_mut(), from)?;
        Ok(Self { path: file.path().to_owned(), _file: Held::Named { _file: file } })
    }

    /// Where the copy can be read.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn fill(file: &mut File, from: &mut dyn Read) -> io::Result<()> {
    if io::copy(&mut from.take(MOST + 1), file)? > MOST {
        return Err(io::Error::other(format!("it is longer than {} GiB", MOST >> 30)));
    }
    file.rewind()
}
