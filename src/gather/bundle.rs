//! A saved bundle as a source: a plain folder, `staledp.bundle/v1`.
//!
//! Nothing in it is trusted: sizes are bounded, names never leave the folder, and what is missing is "not gathered".

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ahead::read_ahead;
use super::cluster::{Event, Inventory, Listed, Origin, Page};
use super::scrub;
use super::symptoms::Further;
use super::{Answer, End, Evidence, Failure, FailureKind, PodRef, Question, Sink, Source, Via};
use crate::report::Tool;

/// The schema that is read and written.
pub const SCHEMA: &str = "staledp.bundle/v1";

/// The most that is read of one description, in bytes.
const MOST_DESCRIPTION: u64 = 1 << 20;
/// The most that is read of one Kubernetes list, in bytes; 5,000 pods take some 20 MiB.
const MOST_LIST: u64 = 512 << 20;
/// The most that is read of one output, unpacked, in bytes. Full tables of the largest static size take 400 MB.
const MOST_OUTPUT: u64 = 2 << 30;
/// The most that is read of one thing that only symptoms are read from, in bytes.
const MOST_FURTHER: u64 = 16 << 20;
/// Probe pods that are looked for.
const MOST_PROBES: usize = 9;

/// A bundle folder.
#[derive(Debug)]
pub struct Bundle {
    root: PathBuf,
    about: About,
}

/// `bundle.json`.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct About {
    pub(super) schema: String,
    /// Who wrote it: for people, never read.
    #[serde(default, skip_deserializing)]
    pub(super) tool: Option<Tool>,
    #[serde(default)]
    pub(super) captured_at: Option<String>,
    #[serde(default)]
    pub(super) context: Option<String>,
    /// For people, never read.
    #[serde(default, skip_deserializing)]
    pub(super) argv: Vec<String>,
    /// Whether the run was ended early: nodes may be missing. For people, never read.
    #[serde(default, skip_deserializing, skip_serializing_if = "std::ops::Not::not")]
    pub(super) partial: bool,
}

/// `nodes/<node>/<evidence>.json`.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Description {
    #[serde(default)]
    pub(super) argv: Vec<String>,
    #[serde(default)]
    pub(super) exit_code: Option<i32>,
    #[serde(default)]
    pub(super) stderr: String,
    #[serde(default)]
    pub(super) started_at: Option<String>,
    #[serde(default)]
    pub(super) duration_ms: Option<u64>,
    #[serde(default)]
    pub(super) error: Option<Failure>,
    /// Nobody asked, and `error` says why: more than a missing file can say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) not_gathered: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) via: Option<Via>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pod: Option<String>,
}

impl Bundle {
    /// Opens a bundle.
    ///
    /// # Errors
    ///
    /// Says what is missing where the path is no bundle of a schema that is known.
    pub fn open(root: &Path) -> Result<Self, String> {
        let shown = root.display();
        match std::fs::metadata(root) {
            Err(error) => return Err(format!("cannot read the bundle {shown}: {error}")),
            Ok(meta) if !meta.is_dir() => {
                return Err(format!(
                    "{shown} is no bundle: a bundle is a folder with a bundle.json in it; unpack the archive first"
                ));
            }
            Ok(_) => {}
        }
        let text = match read_file(&root.join("bundle.json"), MOST_DESCRIPTION) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(format!("{shown} is no bundle: it has no bundle.json; give the folder that holds one"));
            }
            Err(error) => return Err(format!("cannot read {shown}/bundle.json: {error}")),
        };
        let about: About = serde_json::from_slice(&text)
            .map_err(|error| format!("{shown}/bundle.json is no description of a bundle: {error}"))?;
        if about.schema != SCHEMA {
            return Err(format!(
                "{shown} is of schema '{}'; this version reads '{SCHEMA}': a newer staledp may read it",
                about.schema
            ));
        }
        if !root.join("nodes").is_dir() && !root.join("kube").is_dir() {
            return Err(format!("{shown} holds no evidence: it has neither a nodes folder nor a kube folder"));
        }
        Ok(Self { root: root.to_owned(), about })
    }

    /// The context that it was saved from.
    #[must_use]
    pub fn context(&self) -> Option<&str> {
        self.about.context.as_deref()
    }

    /// The nodes that it holds evidence of; where it holds none of any node, all that it lists.
    #[must_use]
    pub fn nodes(&self, inventory: &Inventory) -> BTreeSet<String> {
        let folders = std::fs::read_dir(self.root.join("nodes")).into_iter().flatten().flatten();
        let mut names: BTreeSet<String> = folders
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| is_plain_name(name))
            .collect();
        if names.is_empty()
            && let Ok(nodes) = &inventory.nodes
        {
            names.extend(nodes.iter().map(|node| node.metadata.name.clone()).filter(|name| is_plain_name(name)));
        }
        names
    }

    fn list<T: DeserializeOwned>(&self, name: &str) -> Listed<T> {
        self.list_of("kube", name)
    }

    fn list_of<T: DeserializeOwned>(&self, folder: &str, name: &str) -> Listed<T> {
        let failure = |kind, why: String| Failure::new(kind, format!("{folder}/{name}.json {why}"));
        let text =
            read_file(&self.root.join(folder).join(format!("{name}.json")), MOST_LIST).map_err(|error| match error
                .kind()
            {
                io::ErrorKind::NotFound => self
                    .why_no(name)
                    .unwrap_or_else(|| failure(FailureKind::NotFound, "is not in the bundle".to_owned())),
                _ => failure(FailureKind::Other, format!("cannot be read: {error}")),
            })?;
        let page: Page<T> = serde_json::from_slice(&text)
            .map_err(|error| failure(FailureKind::Other, format!("is no Kubernetes list: {error}")))?;
        Ok(page.items)
    }

    /// Why a list could not be had when the bundle was saved, where that is known.
    fn why_no(&self, name: &str) -> Option<Failure> {
        let text = read_file(&self.root.join("kube").join(format!("{name}.error.json")), MOST_DESCRIPTION).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// The folder of a node and the stem of an evidence's files; none where the name could leave the bundle.
    fn stem(&self, node: &str, evidence: Evidence, slot: usize) -> Option<PathBuf> {
        let name = match slot {
            0 | 1 => evidence.name().to_owned(),
            n => format!("{}.{n}", evidence.name()),
        };
        is_plain_name(node).then(|| self.root.join("nodes").join(node).join(name))
    }

    fn describe(stem: &Path) -> Option<Result<Description, String>> {
        let text = match read_file(&with_suffix(stem, "json"), MOST_DESCRIPTION) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return Some(Err(error.to_string())),
        };
        Some(serde_json::from_slice(&text).map_err(|error| error.to_string()))
    }
}

impl Source for Bundle {
    async fn inventory(&self) -> Inventory {
        Inventory {
            origin: Origin { context: self.about.context.clone(), captured_at: self.about.captured_at.clone() },
            nodes: self.list("nodes"),
            pods: self.list("pods"),
            services: self.list("services"),
            endpoint_slices: self.list("endpointslices"),
            events: self.list("events"),
        }
    }

    fn probe_pods(&self, node: &str, _inventory: &Inventory) -> Vec<PodRef> {
        let slot_pod = |slot| {
            let of = |evidence| Self::describe(&self.stem(node, evidence, slot)?)?.ok();
            let any = [Evidence::PodEgress, Evidence::PodEgressAddress, Evidence::PodDns].into_iter().find_map(of)?;
            // A probe that names no pod is still a probe.
            let unknown = PodRef { namespace: String::new(), name: "unknown".to_owned() };
            Some(any.pod.and_then(|pod| pod.parse().ok()).unwrap_or(unknown))
        };
        (1..=MOST_PROBES).map_while(slot_pod).collect()
    }

    fn is_saved(&self) -> bool {
        true
    }

    async fn events(&self, reason: &str, inventory: &Inventory, each: &mut dyn FnMut(&Event)) -> Result<(), Failure> {
        // What was read for symptoms goes further than the list that comes with every diagnosis.
        let own: Listed<Event> = self.list_of("symptoms", "events");
        let events = match &own {
            Err(failure) if failure.kind == FailureKind::NotFound => inventory.events.as_ref(),
            had => had.as_ref(),
        };
        events.map_err(Clone::clone)?.iter().filter(|event| event.reason == reason).for_each(each);
        Ok(())
    }

    async fn further(&self, what: &Further<'_>) -> Result<Vec<u8>, Failure> {
        let none = || Failure::new(FailureKind::NotFound, format!("the bundle holds no {what}"));
        let path = self.root.join(what.file().ok_or_else(none)?);
        match read_file(&path, MOST_FURTHER) {
            Ok(bytes) => Ok(scrub::scrub(&String::from_utf8_lossy(&bytes)).into_bytes()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Why it could not be had then is as good as the thing itself.
                let told = read_file(&with_suffix(&path, "error"), MOST_DESCRIPTION).map_err(|_| none())?;
                Err(serde_json::from_slice(&told).unwrap_or_else(|_| none()))
            }
            Err(error) => Err(Failure::new(FailureKind::Other, format!("the saved {what} cannot be read: {error}"))),
        }
    }

    async fn ask(&self, question: &Question<'_>, out: Sink<'_>) -> Answer {
        let slot = question.probe.map_or(0, |probe| probe.slot);
        let Some(stem) = self.stem(question.node, question.evidence, slot) else {
            return Answer::not_gathered("the node's name is no file name");
        };
        let description = Self::describe(&stem);
        let output = with_suffix(&stem, "out");
        let packed = with_suffix(&stem, "out.gz");
        let read = if output.is_file() {
            File::open(&output).and_then(|file| pour(file, out))
        } else if packed.is_file() {
            File::open(&packed).and_then(|file| pour(flate2::read::MultiGzDecoder::new(file), out))
        } else if description.is_none() {
            return Answer::not_gathered(format!("the bundle holds no {} of this node", question.evidence));
        } else {
            Ok(())
        };
        let mut answer = match description {
            Some(Ok(description)) => answer_of(description),
            Some(Err(error)) => {
                let mut answer = Answer::not_gathered("");
                let message = format!("{}.json cannot be read: {error}", question.evidence);
                answer.end = End::Failed(Failure::new(FailureKind::Other, message));
                answer
            }
            None => {
                let mut answer = Answer::not_gathered("");
                let message =
                    format!("{}.json is missing, so nobody knows whether the output is whole", question.evidence);
                answer.end = End::Failed(Failure::new(FailureKind::Truncated, message));
                answer
            }
        };
        if let Err(error) = read {
            let message = format!("the saved output breaks off: {error}");
            answer.end = End::Failed(Failure::new(FailureKind::Truncated, message));
        }
        answer
    }
}

fn answer_of(description: Description) -> Answer {
    let end = match (description.error, description.exit_code) {
        (Some(failure), _) if description.not_gathered == Some(true) => End::NotGathered(failure.message),
        (Some(failure), _) => End::Failed(failure),
        (None, Some(code)) => End::Exited(code),
        (None, None) => End::Failed(Failure::new(FailureKind::Truncated, "it ended without an exit status")),
    };
    Answer {
        argv: description.argv,
        end,
        stderr: description.stderr,
        started_at: description.started_at,
        duration_ms: description.duration_ms,
        via: description.via,
        pod: description.pod.and_then(|pod| pod.parse().ok()),
    }
}

/// `stem` with this ending; the stem may hold dots of its own.
fn with_suffix(stem: &Path, suffix: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

/// A name that is one plain part of a path.
pub(super) fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name != "."
        && name != ".."
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

fn read_file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    let mut text = Vec::new();
    file.take(most + 1).read_to_end(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::other(format!("it is larger than {} MiB", most >> 20)));
    }
    Ok(text)
}

/// Reads to the end, so that memory does not grow with the size.
fn pour(from: impl Read + Send, out: Sink<'_>) -> io::Result<()> {
    let mut total = 0;
    read_ahead(from, |chunk| {
        total += chunk.len() as u64;
        if total > MOST_OUTPUT {
            return Err(io::Error::other(format!("it is larger than {} MiB", MOST_OUTPUT >> 20)));
        }
        out(chunk);
        Ok(())
    })
}
