//! The files of a bundle: in a folder, or in a tar that is read where it lies.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use flate2::read::MultiGzDecoder;

use super::is_plain_name;
use crate::gather::archive::Tarball;
use crate::gather::reading::{AT_ONCE, Outlet, beside, here, lock};
use crate::gather::{SecondSink, Sink};

/// A file below this size, in bytes, is not worth a thread.
const SMALL: u64 = 64 << 10;
/// From this size on, in bytes, two threads share what has to be done with a file.
const LARGE: u64 = 4 << 20;

/// The files of a bundle, by their paths in it.
pub(super) enum Files {
    /// In a folder.
    Folder(PathBuf),
    /// In a tar.
    Tar {
        tar: Arc<Mutex<Tarball>>,
        /// Which file of the tar each is.
        files: BTreeMap<String, usize>,
        /// Why there may be more that can't be read.
        broken: Option<String>,
    },
}

/// Where in a tar of these names a bundle lies: beside its other files, or in a folder of it. None where there is none.
pub(crate) fn root_of_bundle<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let roots = names.filter_map(|name| plain(name).strip_suffix("bundle.json"));
    let is_near = |root: &&str| root.is_empty() || (root.ends_with('/') && root.matches('/').count() == 1);
    roots.filter(is_near).min_by_key(|root| root.len()).map(str::to_owned)
}

/// Whether a name in a tar may be a bundle's file, whatever folder the bundle lies in.
pub(crate) fn is_of_bundle(name: &str) -> bool {
    let name = plain(name);
    let mut parts = name.rsplit('/');
    let (file, above, two_above) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let is_json = file.strip_suffix(".json").is_some();
    file == "bundle.json"
        || (above == Some("kube") && is_json)
        || (two_above == Some("nodes") && (is_json || stem(file).1))
        || name.split('/').take(2).any(|folder| folder == "symptoms")
}

/// A name without the prefix that `tar` adds when it packs `.`.
fn plain(mut name: &str) -> &str {
    while let Some(rest) = name.strip_prefix("./") {
        name = rest;
    }
    name
}

impl Files {
    /// The bundle at this root of a tar that was walked to its end.
    pub(super) fn in_tar(tar: Tarball, root: &str) -> Self {
        let mut files = BTreeMap::new();
        for (index, name) in tar.names().enumerate() {
            let Some(name) = plain(name).strip_prefix(root) else { continue };
            // What was asked twice lies there twice: the last answer counts, and nothing of the one before it.
            let (stem, is_output) = stem(name);
            let outputs = [format!("{stem}.out"), format!("{stem}.out.gz")];
            let is_again = if is_output {
                outputs.iter().any(|output| files.contains_key(output))
            } else {
                files.contains_key(name)
            };
            if is_again {
                // An output that came after the older description is the newer answer's own.
                let described = files.remove(&format!("{stem}.json"));
                for output in &outputs {
                    if is_output || files.get(output).copied() < described {
                        files.remove(output);
                    }
                }
            }
            // A list that could not be read again counts as missing: the evidence after it has no list.
            if let Some(list) = name.strip_suffix(".error.json") {
                files.remove(&format!("{list}.json"));
            }
            files.insert(name.to_owned(), index);
        }
        let broken = tar.broken();
        Self::Tar { tar: Arc::new(Mutex::new(tar)), files, broken }
    }

    /// A whole file of at most so many bytes.
    pub(super) fn read(&self, name: &str, most: u64) -> io::Result<Vec<u8>> {
        match self {
            Self::Folder(root) => {
                let path = root.join(name);
                // Asked before it is opened: the opening of a pipe waits for a writer.
                if !std::fs::metadata(&path)?.is_file() {
                    return Err(io::Error::other("not a regular file"));
                }
                whole(File::open(path)?, most)
            }
            Self::Tar { tar, files, .. } => {
                let index = *files.get(name).ok_or_else(|| self.missing())?;
                whole(lock(tar).read(index)?, most)
            }
        }
    }

    /// How many nodes may be looked at at once: a tar is read from one place at a time.
    pub(super) fn at_once(&self) -> usize {
        match self {
            Self::Folder(_) => AT_ONCE,
            Self::Tar { .. } => 1,
        }
    }

    /// Whether there is such a file.
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::Folder(root) => root.join(name).is_file(),
            Self::Tar { files, .. } => files.contains_key(name),
        }
    }

    /// Pours a file into `out`, unpacked where it is called so. A share of a large one goes to `second`, where unpacking is not
    /// most of the work.
    pub(super) async fn pour(&self, name: &str, out: Sink<'_>, second: Option<SecondSink>) -> io::Result<()> {
        let packed = is_packed(name);
        match self {
            Self::Folder(root) => {
                let file = File::open(root.join(name))?;
                let size = file.metadata()?.len();
                let second = second.filter(|_| size >= LARGE && !packed);
                let read = move |outlet: &Outlet<'_>| match second {
                    Some(second) => outlet.share(file, second),
                    None => pour(file, packed, outlet),
                };
                if size < SMALL { here(read, out) } else { beside(read, out).await }
            }
            Self::Tar { tar, files, .. } => {
                let index = *files.get(name).ok_or_else(|| self.missing())?;
                let tar = Arc::clone(tar);
                beside(move |outlet| pour(lock(&tar).read(index)?, packed, outlet), out).await
            }
        }
    }

    /// Whether there is anything in this folder.
    pub(super) fn has_folder(&self, name: &str) -> bool {
        match self {
            Self::Folder(root) => root.join(name).is_dir(),
            Self::Tar { files, .. } => files.keys().any(|file| folder_in(file, "").is_some_and(|(top, _)| top == name)),
        }
    }

    /// The folders of nodes, by name. In a tar each comes with the first place where something of it lies.
    pub(super) fn nodes(&self) -> BTreeMap<String, usize> {
        let mut nodes = BTreeMap::new();
        match self {
            Self::Folder(root) => {
                let folders = std::fs::read_dir(root.join("nodes")).into_iter().flatten().flatten();
                let folders = folders.filter(|entry| entry.path().is_dir());
                nodes.extend(folders.filter_map(|entry| entry.file_name().into_string().ok()).map(|name| (name, 0)));
            }
            Self::Tar { files, .. } => {
                for (file, index) in files {
                    let Some((node, _)) = folder_in(file, "nodes/") else { continue };
                    let first = nodes.entry(node.to_owned()).or_insert(*index);
                    *first = *index.min(first);
                }
            }
        }
        nodes.retain(|name, _| is_plain_name(name));
        nodes
    }

    /// Why it ends before its end, where it does.
    pub(super) fn broken(&self) -> Option<&str> {
        match self {
            Self::Tar { broken, .. } => broken.as_deref(),
            Self::Folder(_) => None,
        }
    }

    /// The message for a missing file: if the archive breaks off, whether it existed is unknown.
    fn missing(&self) -> io::Error {
        match self {
            Self::Tar { broken: Some(broken), .. } => io::Error::other(format!("the archive is truncated: {broken}")),
            _ => io::ErrorKind::NotFound.into(),
        }
    }
}

/// The name of an answer's files without their ending, and whether this one is its output.
fn stem(name: &str) -> (&str, bool) {
    let output = name.strip_suffix(".out").or_else(|| name.strip_suffix(".out.gz"));
    output.map_or_else(|| (name.strip_suffix(".json").unwrap_or(name), false), |stem| (stem, true))
}

fn is_packed(name: &str) -> bool {
    name.strip_suffix(".gz").is_some()
}

/// The first folder below `above` that a file lies in, and the rest of its name.
fn folder_in<'a>(file: &'a str, above: &str) -> Option<(&'a str, &'a str)> {
    file.strip_prefix(above)?.split_once('/')
}

fn pour(from: impl Read, packed: bool, outlet: &Outlet<'_>) -> io::Result<()> {
    if packed { outlet.pour(MultiGzDecoder::new(from)) } else { outlet.pour(from) }
}

fn whole(from: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(most + 1).read_to_end(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::other(format!("it exceeds {} MiB", most >> 20)));
    }
    Ok(text)
}
