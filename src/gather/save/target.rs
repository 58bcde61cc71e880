//! Where a bundle is written: a folder, or one `.tar.gz`.
//!
//! Files are private to the user (0600, folders 0700), are always made anew and never opened through a link: what is
//! in the way is removed, not followed.

use std::cell::RefCell;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

use crate::base::error::Error;
use crate::gather::bundle::{About, SCHEMA};

/// The mode of files.
const FILE_MODE: u32 = 0o600;
/// The mode of folders.
const FOLDER_MODE: u32 = 0o700;
/// How many older bundles of the same name are kept beside a new one.
const MOST_OLDER: u32 = 1000;
/// How much is gathered before it is written, in bytes.
const BUFFER: usize = 64 << 10;

/// Where a bundle is written.
pub(super) enum Target {
    /// A folder.
    Folder(PathBuf),
    /// One file. A file in it must be complete before it is added, because its size stands in front of it: until then
    /// it lies in an unnamed file beside the archive, so memory does not grow with it.
    Archive(PathBuf, Box<RefCell<Builder<Members>>>),
}

impl Target {
    /// Makes the folder or the file. A bundle of that name that is there already is moved aside, not overwritten: it
    /// may be the only evidence of what a restart has repaired. Says under which name it is then.
    pub(super) fn create(path: &Path) -> Result<(Self, Option<PathBuf>), Error> {
        let cannot = |error| cannot_save(path, error);
        let older = make_room(path)?;
        if is_archive_name(path) {
            let file = create(path).map_err(cannot)?;
            let archive = Self::Archive(path.to_owned(), Box::new(RefCell::new(Builder::new(Members::new(file)))));
            return Ok((archive, older));
        }
        let target = Self::Folder(path.to_owned());
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path).map_err(cannot)?;
        for part in ["kube", "nodes"] {
            DirBuilder::new().mode(FOLDER_MODE).create(path.join(part)).map_err(cannot)?;
        }
        Ok((target, older))
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Archive(path, _) => path,
        }
    }

    /// Begins a file; `name` is a path of plain names inside the bundle. `packed` compresses it on the way.
    pub(super) fn begin(&self, name: &str, packed: bool) -> io::Result<Writing> {
        let file = match self {
            Self::Folder(root) => {
                let path = root.join(name);
                if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
                    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
                }
                self.forget(name)?;
                create(&path)?
            }
            Self::Archive(path, _) => tempfile::tempfile_in(folder_of(path))?,
        };
        let file = BufWriter::with_capacity(BUFFER, file);
        let to = if packed {
            Encoder::Packed(Box::new(GzEncoder::new(file, Compression::fast())))
        } else {
            Encoder::Plain(file)
        };
        Ok(Writing { name: name.to_owned(), to })
    }

    /// Takes out of a folder what is there of this name. In an archive it stays; what comes later counts.
    pub(super) fn forget(&self, name: &str) -> io::Result<()> {
        let Self::Folder(root) = self else { return Ok(()) };
        match fs::remove_file(root.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Ends a file.
    pub(super) fn end(&self, writing: Writing) -> io::Result<()> {
        let Writing { name, to } = writing;
        let file = match to {
            Encoder::Plain(file) => file,
            Encoder::Packed(encoder) => encoder.finish()?,
        };
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let Self::Archive(_, archive) = self else { return Ok(()) };
        let size = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(0))?;
        let mut header = Header::new_gnu();
        header.set_size(size);
        header.set_mode(FILE_MODE);
        header.set_mtime(0);
        let mut archive = archive.borrow_mut();
        archive.append_data(&mut header, &name, file)?;
        archive.get_mut().cut()
    }

    /// Writes a whole file.
    pub(super) fn put(&self, name: &str, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let mut writing = self.begin(name, false)?;
        fill(&mut writing)?;
        self.end(writing)
    }

    /// Ends the archive, where it is one.
    pub(super) fn finish(&self) -> io::Result<()> {
        match self {
            Self::Folder(_) => Ok(()),
            Self::Archive(_, archive) => {
                let mut archive = archive.borrow_mut();
                archive.finish()?;
                archive.get_mut().cut()
            }
        }
    }
}

/// A file that is being written.
pub(super) struct Writing {
    name: String,
    to: Encoder,
}

enum Encoder {
    Plain(BufWriter<File>),
    Packed(Box<GzEncoder<BufWriter<File>>>),
}

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.to {
            Encoder::Plain(file) => file.write(bytes),
            Encoder::Packed(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            Encoder::Plain(file) => file.flush(),
            Encoder::Packed(encoder) => encoder.flush(),
        }
    }
}

/// A compressed archive in which every file begins a gzip member of its own. To `tar` and `gzip` it is one stream; a
/// reader that notes where members begin can go straight to any file. Members written before an interruption are whole.
pub(super) struct Members {
    file: File,
    now: Option<GzEncoder<Vec<u8>>>,
}

impl Members {
    fn new(file: File) -> Self {
        Self { file, now: None }
    }

    /// Ends the member; the next byte begins another one.
    fn cut(&mut self) -> io::Result<()> {
        if let Some(encoder) = self.now.take() {
            self.file.write_all(&encoder.finish()?)?;
        }
        Ok(())
    }
}

impl Write for Members {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let encoder = self.now.get_or_insert_with(|| GzEncoder::new(Vec::new(), Compression::fast()));
        let written = encoder.write(bytes)?;
        let ready = encoder.get_mut();
        if ready.len() >= BUFFER {
            self.file.write_all(ready)?;
            ready.clear();
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        // A caller that wants to know of an error ends the archive before.
        let _ = self.cut();
    }
}

fn cannot_save(path: &Path, error: io::Error) -> Error {
    Error::cannot_read(format!("cannot save to {}", path.display())).because(error)
}

/// Moves a bundle of this name out of the way; says under which name it is then.
fn make_room(path: &Path) -> Result<Option<PathBuf>, Error> {
    let cannot = |error| cannot_save(path, error);
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot(error)),
        Ok(_) if is_archive_name(path) => move_aside(path).map(Some).map_err(cannot),
        // The folder itself may be a link: that is the user's choice.
        Ok(_) if !path.is_dir() => {
            Err(Error::cannot_read(format!("cannot save to {shown}: it exists and is not a folder")))
        }
        Ok(_) if is_empty(path).map_err(cannot)? => Ok(None),
        Ok(_) if is_bundle(path) => move_aside(path).map(Some).map_err(cannot),
        Ok(_) => Err(Error::cannot_read(format!(
            "cannot save to {shown}: the folder contains something other than a bundle; use a new or empty one"
        ))),
    }
}

/// Gives a finished bundle its name. One of that name that is there already is moved aside, as it is for one that is
/// begun; says under which name it is then.
///
/// # Errors
///
/// Why it can't have that name; it then lies where it was.
pub fn name(bundle: &Path, name: &Path) -> Result<Option<PathBuf>, Error> {
    let older = make_room(name)?;
    fs::rename(bundle, name).map_err(|error| cannot_save(name, error))?;
    Ok(older)
}

/// A bundle that is not wanted unless it gets its own name: it is removed with the value.
pub struct Partial(pub PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // It was renamed, or it is not needed: a refused repair leaves nothing behind.
        let _ = fs::remove_dir_all(&self.0).or_else(|_| fs::remove_file(&self.0));
    }
}

/// Packs all files of a folder into one `.tar.gz`. One of that name that is there already is moved aside; says under which
/// name it is then.
///
/// # Errors
///
/// Where a file cannot be read, or nothing can be written there.
pub fn pack(folder: &Path, to: &Path) -> Result<Option<PathBuf>, Error> {
    if !is_archive_name(to) {
        let failed = format!("cannot save to {}: its name does not end with .tar.gz", to.display());
        return Err(Error::usage(failed));
    }
    let (target, older) = Target::create(to)?;
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    let packed = (|| {
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(&next)? {
                let entry = entry?;
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    files.push(entry.path());
                }
            }
        }
        files.sort();
        for file in &files {
            let name = file.strip_prefix(folder).unwrap_or(file).to_string_lossy().into_owned();
            target.put(&name, |out| io::copy(&mut File::open(file)?, out).map(drop))?;
        }
        target.finish()
    })();
    packed.map(|()| older).map_err(|error| cannot_save(to, error))
}

/// Creates a file that only this user can read; fails where anything of that name is there, a link included.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)
}

/// Whether one file is meant, by its name.
fn is_archive_name(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".tar.gz") || name.ends_with(".tgz")
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn is_empty(folder: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(folder)?.next().is_none())
}

fn is_bundle(folder: &Path) -> bool {
    let about = fs::read(folder.join("bundle.json")).ok().and_then(|text| serde_json::from_slice::<About>(&text).ok());
    about.is_some_and(|about| about.schema == SCHEMA)
}

/// Gives what is there the first free name of `NAME.1`, `NAME.2`, …
fn move_aside(path: &Path) -> io::Result<PathBuf> {
    for number in 1..=MOST_OLDER {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        let older = PathBuf::from(name);
        if fs::symlink_metadata(&older).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            fs::rename(path, &older)?;
            return Ok(older);
        }
    }
    Err(io::Error::other(format!("it exists, and so do {MOST_OLDER} older ones; use another name")))
}
