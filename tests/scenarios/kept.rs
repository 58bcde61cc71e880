//! The bundles that the project keeps: fixtures as folders, cases as archives.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::scenario::bundle::Files;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A fixture's files, by their path in the bundle.
pub(crate) fn fixture_files(name: &str) -> Files {
    let folder = root().join("fixtures").join(name).join("bundle");
    let inner = |path: &PathBuf| path.strip_prefix(&folder).expect("below the folder").display().to_string();
    let paths = crate::support::saved::files(&folder);
    paths.iter().map(|path| (inner(path), std::fs::read(path).expect("a file"))).collect()
}

/// The folders of the cases, by name.
pub(crate) fn cases() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("tests/cases/data")).expect("the cases are part of the project");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.is_dir());
    paths.sort();
    paths
}

/// The folder's own name.
pub(crate) fn named(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A case's files without the folder that they are packed in, and the further arguments that it is judged with.
pub(crate) fn case_files(folder: &Path) -> (Files, Vec<String>) {
    let truth = std::fs::read(folder.join("truth.json")).expect("a case has its truth");
    let truth: Value = serde_json::from_slice(&truth).expect("JSON");
    let args = truth["args"].as_array().into_iter().flatten().filter_map(|arg| arg.as_str().map(str::to_owned));
    (unpack(&folder.join("bundle.tar.gz")), args.collect())
}

fn unpack(path: &Path) -> Files {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut files = Files::new();
    for entry in tar::Archive::new(GzDecoder::new(file)).entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").display().to_string();
        let Some((_, inner)) = path.trim_start_matches("./").split_once('/') else { continue };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("its content");
        if !inner.is_empty() && !inner.ends_with('/') {
            files.insert(inner.to_owned(), bytes);
        }
    }
    files
}
