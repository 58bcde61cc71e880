//! Opens saved evidence: a bundle (a folder or one file), or an archive of another tool. The type is detected
//! apart by its content.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use super::archive::{Archived, ByteSource, Tarball, Zip, is_gzip, is_of_bugtool, is_tar};
use super::bundle::{Bundle, is_of_bundle, root_of_bundle};
use super::reading::{Meter, Outlet, beside};
use crate::base::error::Error;

/// How much of a file is looked at to tell what it is, in bytes.
const HEAD: u64 = 512;

/// What lies there.
pub enum Saved {
    /// A bundle.
    Bundle(Bundle),
    /// A sysdump or a bugtool archive.
    Archive(Archived),
}

/// Whether a file is an archive of any kind, by its first bytes; an error where it can't be read.
///
/// # Errors
///
/// Where it can't be read.
pub fn is_archive(path: &Path) -> io::Result<bool> {
    Ok(!matches!(file_type(path)?, FileType::Other))
}

enum FileType {
    Zip,
    Tar,
    Other,
}

fn file_type(path: &Path) -> io::Result<FileType> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    Ok(match &head[..] {
        head if head.starts_with(b"PK") => FileType::Zip,
        head if is_gzip(head) || is_tar(head) => FileType::Tar,
        _ => FileType::Other,
    })
}

/// Opens it, and walks through it where it is a tar.
///
/// # Errors
///
/// Says what is missing or damaged.
pub async fn open(path: &Path, meter: &Arc<Meter>) -> Result<Saved, Error> {
    open_copy(path, path, meter).await
}

/// The same where the bytes lie elsewhere than the path that was named: a copy of what came through a pipe.
///
/// # Errors
///
/// As [`open`].
pub async fn open_copy(path: &Path, named: &Path, meter: &Arc<Meter>) -> Result<Saved, Error> {
    let shown = named.display();
    let cannot = |error: io::Error| Error::cannot_read(format!("cannot read the archive {shown}")).because(error);
    if !path.is_file() {
        return Bundle::open(path).map(Saved::Bundle);
    }
    let (from, meter) = (path.to_owned(), Arc::clone(meter));
    match file_type(path).map_err(cannot)? {
        FileType::Zip => {
            let zip = beside(move |_| Zip::open(&from, meter), &mut |_| {}).await.map_err(cannot)?;
            Archived::sysdump(zip, named).map(Saved::Archive)
        }
        FileType::Tar => {
            let is_wanted = |name: &str| is_of_bugtool(name) || is_of_bundle(name);
            let walk = move |_: &Outlet<'_>| Tarball::walked(ByteSource::File(from, meter), is_wanted);
            let tar = beside(walk, &mut |_| {}).await.map_err(cannot)?;
            if let Some(root) = root_of_bundle(tar.names()) {
                return Bundle::in_tar(tar, &root, named).map(Saved::Bundle);
            }
            let broken = tar.broken();
            let neither = "neither a bundle.json nor the cmd folder of cilium-bugtool";
            Archived::bugtool(tar).map(Saved::Archive).ok_or_else(|| match broken {
                Some(broken) => Error::cannot_read(format!(
                    "cannot read the archive {shown}: only its beginning is readable, and contains {neither}: {broken}"
                ))
                .with_hint("copy the archive again"),
                None => Error::cannot_read(format!("{shown} is a tar but contains {neither}")),
            })
        }
        FileType::Other => Err(Error::cannot_read(format!(
            "{shown} is neither a bundle nor an archive: a bundle is a folder or a tar with a bundle.json in it"
        ))),
    }
}
