//! A saved bundle as a source: a plain folder, `staledp.bundle/v1`, or the same in one tar.
//!
//! Nothing in it is trusted: sizes are bounded, names never leave the folder, and what is missing is "not gathered".

mod files;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::task::yield_now;

use super::archive::Tarball;
use super::supplement::SymptomSource;
use super::{Question, SecondSink, Sink, Source};
use crate::base::answer::{Answer, End, Via};
use crate::base::credentials::without_credentials;
use crate::base::error::Error;
use crate::base::evidence::Evidence;
use crate::base::failure::{Failure, FailureKind};
use crate::base::pod_ref::PodRef;
use crate::base::time::moment;
use crate::base::tool::Tool;
use crate::kubernetes::cluster_map::ClusterMap;
use crate::kubernetes::inventory::{Inventory, ListGap, Listed, Origin, Page};
use crate::kubernetes::objects::Event;
use files::Files;

pub(super) use files::{is_of_bundle, root_of_bundle};

/// The schema that is read and written.
pub const SCHEMA: &str = "staledp.bundle/v1";

/// The most that is read of one description, in bytes.
const MOST_DESCRIPTION: u64 = 1 << 20;
/// The most that is read of one Kubernetes list, in bytes; 5,000 pods take some 20 MiB.
const MOST_LIST: u64 = 512 << 20;
/// The most that is read of one thing that only symptoms are read from, in bytes.
const MOST_FURTHER: u64 = 64 << 20;
/// Probe pods that are looked for.
const MOST_PROBES: usize = 9;

/// A bundle.
pub struct Bundle {
    files: Files,
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
    /// What stands under another name, where anything does. For people, never read.
    #[serde(default, skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub(super) redacted: Option<Redacted>,
}

/// What a redacted bundle says of itself.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Redacted {
    /// What stands under another name.
    pub(super) replaced: &'static str,
    /// What does not.
    pub(super) kept: &'static str,
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
    /// It was not gathered, and `error` says why: more than a missing file can say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) not_gathered: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) via: Option<Via>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pod: Option<String>,
}

impl Bundle {
    /// Opens the bundle in a folder.
    ///
    /// # Errors
    ///
    /// What is missing if the path is not a bundle of a known schema.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let shown = root.display();
        match std::fs::metadata(root) {
            Err(error) => return Err(Error::cannot_read(format!("cannot read the bundle {shown}")).because(error)),
            Ok(meta) if !meta.is_dir() => {
                return Err(Error::cannot_read(format!("{shown} is not a bundle: neither a folder nor a file")));
            }
            Ok(_) => {}
        }
        Self::from_files(Files::Folder(root.to_owned()), root)
    }

    /// Opens the bundle at this root of a tar that was walked to its end.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub(super) fn in_tar(tar: Tarball, root: &str, path: &Path) -> Result<Self, Error> {
        Self::from_files(Files::in_tar(tar, root), path)
    }

    fn from_files(files: Files, path: &Path) -> Result<Self, Error> {
        let shown = path.display();
        let text = match files.read("bundle.json", MOST_DESCRIPTION) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::cannot_read(format!(
                    "{shown} is not a bundle: bundle.json not found; name the folder that holds bundle.json"
                )));
            }
            Err(error) => return Err(Error::cannot_read(format!("cannot read {shown}/bundle.json")).because(error)),
        };
        let about: About = serde_json::from_slice(&text)
            .map_err(|error| Error::cannot_read(format!("{shown}/bundle.json is not valid JSON")).because(error))?;
        if about.schema != SCHEMA {
            return Err(Error::cannot_read(format!(
                "{shown} has schema '{}'; this version reads '{SCHEMA}': use a newer staledp",
                about.schema
            )));
        }
        if !files.has_folder("nodes") && !files.has_folder("kube") {
            if let Some(error) = breaks_off(&files, path) {
                return Err(error);
            }
            return Err(Error::cannot_read(format!(
                "{shown} holds no evidence: neither a nodes nor a kube folder found"
            )));
        }
        Ok(Self { files, about })
    }

    /// The context that it was saved from.
    #[must_use]
    pub fn context(&self) -> Option<&str> {
        self.about.context.as_deref()
    }

    /// The nodes that it holds evidence of; where it holds none of any node, all that it lists. Of an archive that breaks
    /// off too, because what lay behind the break is not known.
    #[must_use]
    pub fn nodes(&self, inventory: &Inventory) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = self.files.nodes().into_keys().collect();
        if (names.is_empty() || self.files.broken().is_some())
            && let Ok(nodes) = inventory.nodes.some()
        {
            names.extend(nodes.iter().map(|node| node.metadata.name.to_string()).filter(|name| is_plain_name(name)));
        }
        names
    }

    /// What to say of a bundle without nodes, where it lies in an archive that breaks off: they may lie behind the break.
    #[must_use]
    pub fn breaks_off(&self, path: &Path) -> Option<Error> {
        breaks_off(&self.files, path)
    }

    /// Puts nodes in the order in which they lie there, so that one file is read forwards.
    pub fn in_order(&self, nodes: &mut [String]) {
        let places = self.files.nodes();
        nodes.sort_by_key(|node| places.get(node).copied());
    }

    /// A list, and why it is partial, if it was when the bundle was saved.
    fn list<T: DeserializeOwned>(&self, name: &str) -> Listed<T> {
        match (self.items(name), self.gap(name)) {
            (Ok(items), Some(ListGap { why, of: Some(of) })) => Listed::Partial { items, of, why },
            (Err(Failure { kind: FailureKind::NotFound, .. }), Some(gap)) => Listed::Missing(gap.why),
            (list, _) => list.into(),
        }
    }

    fn items<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<T>, Failure> {
        let failure = |kind, why: String| Failure::new(kind, format!("kube/{name}.json {why}"));
        let text = self.files.read(&format!("kube/{name}.json"), MOST_LIST);
        let text = text.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => failure(FailureKind::NotFound, "is not in the bundle".to_owned()),
            _ => failure(FailureKind::Other, format!("cannot be read: {error}")),
        })?;
        let page: Page<T> = serde_json::from_slice(&text)
            .map_err(|error| failure(FailureKind::Other, format!("is not a Kubernetes list: {error}")))?;
        Ok(page.items)
    }

    /// Why a list, or a part of it, was missing when the bundle was saved, where that is known.
    fn gap(&self, name: &str) -> Option<ListGap> {
        let text = self.files.read(&format!("kube/{name}.error.json"), MOST_DESCRIPTION).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// A file that only symptoms are read from, or why it was missing when the bundle was saved: that is as good
    /// as the thing itself.
    fn read_further(&self, name: &str) -> Result<Vec<u8>, Failure> {
        self.files.read(name, MOST_FURTHER).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.why_not(name).unwrap_or_else(|| not_there(name)),
            _ => Failure::new(FailureKind::Other, format!("{name} cannot be read: {error}")),
        })
    }

    /// Why supplementary evidence is missing or partial. That it did not exist is
    /// not the same as that it was not asked for.
    fn why_not(&self, name: &str) -> Option<Failure> {
        let told = self.files.read(&format!("{name}.error"), MOST_DESCRIPTION).ok()?;
        let failure: Failure = serde_json::from_slice(&told).ok()?;
        let kind = if failure.kind == FailureKind::NotFound { FailureKind::Other } else { failure.kind };
        Some(Failure { kind, ..failure })
    }

    /// The path of an evidence's files without their ending; none where the name could leave the bundle.
    fn stem(node: &str, evidence: Evidence, slot: usize) -> Option<String> {
        let name = match slot {
            0 | 1 => evidence.name().to_owned(),
            n => format!("{}.{n}", evidence.name()),
        };
        is_plain_name(node).then(|| format!("nodes/{node}/{name}"))
    }

    fn describe(&self, stem: &str) -> Option<io::Result<Description>> {
        let text = match self.files.read(&format!("{stem}.json"), MOST_DESCRIPTION) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return Some(Err(error)),
        };
        Some(serde_json::from_slice(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)))
    }

    /// Reads an answer; a share of a large output goes to `second`, where there is one.
    async fn read(&self, question: &Question<'_>, out: Sink<'_>, second: Option<SecondSink>) -> Answer {
        let slot = question.probe.map_or(0, |probe| probe.slot);
        let Some(stem) = Self::stem(question.node, question.evidence, slot) else {
            return Answer::not_gathered("the node's name is not a valid file name");
        };
        let description = self.describe(&stem);
        let outputs = [format!("{stem}.out"), format!("{stem}.out.gz")];
        let mut bytes = 0;
        let mut counted = |chunk: &[u8]| {
            bytes += chunk.len();
            out(chunk);
        };
        let output = outputs.iter().find(|output| self.files.has(output));
        let poured = match output {
            Some(output) => self.files.pour(output, &mut counted, second).await,
            None if description.is_none() => {
                return Answer::not_gathered(format!("the bundle has no {} for this node", question.evidence));
            }
            // A listing that ended well without its output was not gathered, whatever its description says. A probe may
            // print nothing.
            None if is_listing(question.evidence)
                && matches!(&description, Some(Ok(d)) if d.error.is_none() && d.exit_code == Some(0)) =>
            {
                let Some(broken) = self.files.broken() else {
                    return Answer::not_gathered(format!("the bundle has no output of {}", question.evidence));
                };
                let message = format!("no output of {}: the archive is truncated: {broken}", question.evidence);
                return Answer {
                    end: End::Failed(Failure::new(FailureKind::Other, message)),
                    ..Answer::not_gathered("")
                };
            }
            None => Ok(()),
        };
        let mut answer = match description {
            Some(Ok(description)) => answer_of(description),
            Some(Err(error)) => {
                let mut answer = Answer::not_gathered("");
                let is = if error.kind() == io::ErrorKind::InvalidData { " is not valid JSON" } else { "" };
                let message = format!("{}.json{is}: {error}", question.evidence);
                answer.end = End::Failed(Failure::new(FailureKind::Other, message));
                answer
            }
            None => {
                let mut answer = Answer::not_gathered("");
                let message = format!("{}.json is missing, so the output may be incomplete", question.evidence);
                answer.end = End::Failed(Failure::new(FailureKind::Truncated, message));
                answer
            }
        };
        if let (Err(error), Some(output)) = (poured, output) {
            let name = output.rsplit('/').next().unwrap_or_default();
            answer.end = End::Failed(if bytes == 0 && error.kind() != io::ErrorKind::UnexpectedEof {
                Failure::new(FailureKind::Other, format!("{name}: {error}"))
            } else {
                Failure::new(FailureKind::Truncated, format!("only a part of {name} can be read: {error}"))
            });
        }
        answer
    }
}

impl Source for Bundle {
    async fn inventory(&self) -> Inventory {
        let origin = Origin {
            context: self.about.context.clone(),
            captured_at: self.about.captured_at.as_deref().and_then(moment),
        };
        // Lists of a large cluster take a second: a signal is heard between them.
        let nodes = self.list("nodes");
        yield_now().await;
        let pods = self.list("pods");
        yield_now().await;
        Inventory {
            origin,
            nodes,
            pods,
            services: self.list("services"),
            endpoint_slices: self.list("endpointslices"),
            events: self.list("events"),
        }
    }

    fn probe_pods(&self, node: &str, _cluster: &ClusterMap<'_>) -> Vec<PodRef> {
        let slot_pod = |slot| {
            let of = |evidence| self.describe(&Self::stem(node, evidence, slot)?)?.ok();
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

    fn at_once(&self) -> usize {
        self.files.at_once()
    }

    fn kept_neighbour(&self, node: &str) -> Option<PodRef> {
        self.describe(&Self::stem(node, Evidence::NeighbourCtList, 0)?)?.ok()?.pod?.parse().ok()
    }

    async fn events(&self, reason: &str, inventory: &Inventory, each: &mut dyn FnMut(&Event)) -> Result<(), Failure> {
        let name = format!("symptoms/events/{reason}.json");
        let own = self.read_further(&name);
        if let Err(Failure { kind: FailureKind::NotFound, .. }) = own {
            // What was saved before, or by hand: the list that comes with every bundle.
            let events = inventory.events.some().map_err(Clone::clone)?;
            events.iter().filter(|event| event.reason == reason).for_each(each);
            return Ok(());
        }
        let page = own.and_then(|text| {
            serde_json::from_slice::<Page<Event>>(&text)
                .map_err(|error| Failure::new(FailureKind::Other, format!("{name} is not a Kubernetes list: {error}")))
        });
        page?.items.iter().for_each(each);
        // Beside a list: why it is not whole.
        self.why_not(&name).map_or(Ok(()), Err)
    }

    async fn further(&self, what: &SymptomSource<'_>) -> Result<Vec<u8>, Failure> {
        let name = what.file().ok_or_else(|| not_there(&what.to_string()))?;
        let bytes = self.read_further(&name)?;
        Ok(without_credentials(&String::from_utf8_lossy(&bytes)).into_bytes())
    }

    async fn ask(&self, question: &Question<'_>, out: Sink<'_>) -> Answer {
        self.read(question, out, None).await
    }

    async fn ask_table(&self, question: &Question<'_>, out: Sink<'_>, second: SecondSink) -> Answer {
        self.read(question, out, Some(second)).await
    }
}

/// Whether this evidence is what the command prints, and not only how it ends.
const fn is_listing(evidence: Evidence) -> bool {
    use Evidence::{HostPing, PodDns, PodEgress, PodEgressAddress};
    !matches!(evidence, HostPing | PodEgress | PodEgressAddress | PodDns)
}

fn breaks_off(files: &Files, path: &Path) -> Option<Error> {
    let says =
        format!("cannot read the archive {}: it breaks off before any node: {}", path.display(), files.broken()?);
    Some(Error::cannot_read(says).with_hint("copy the archive again"))
}

fn not_there(what: &str) -> Failure {
    Failure::new(FailureKind::NotFound, format!("the bundle has no {what}"))
}

fn answer_of(description: Description) -> Answer {
    let end = match (description.error, description.exit_code) {
        (Some(failure), _) if description.not_gathered == Some(true) => End::NotGathered(failure.message),
        (Some(failure), _) => End::Failed(failure),
        (None, Some(code)) => End::Exited(code),
        (None, None) => End::Failed(Failure::new(FailureKind::Truncated, "no exit status was saved")),
    };
    Answer {
        argv: description.argv,
        end,
        stderr: description.stderr,
        started_at: description.started_at.as_deref().and_then(moment),
        duration_ms: description.duration_ms,
        via: description.via,
        pod: description.pod.and_then(|pod| pod.parse().ok()),
    }
}

/// A name that is one plain part of a path.
pub(super) fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name != "."
        && name != ".."
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}
