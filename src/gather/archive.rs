//! What others gathered: a `cilium sysdump` or a `cilium-bugtool` archive as a source. Nothing is unpacked to disk.
//!
//! File names changed over the releases, so they are matched by pattern, and the `-o-json` twins are left alone. What
//! no archive holds (a ping from the host, probes from pods) is "not gathered", with that reason.

mod lists;
mod tarball;
mod zip;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::cluster::{Inventory, Listed, Node, Origin};
use super::kube::keep_only_needed_arguments;
use super::{Answer, End, Evidence, Failure, FailureKind, PodRef, Question, Sink, Source};
use crate::report::SourceKind;
use zip::{Member, Zip};

/// How much is read at once, in bytes.
const CHUNK: usize = 256 << 10;
/// The most that is read of one output, unpacked, in bytes.
const MOST_OUTPUT: u64 = 2 << 30;
/// How much of an output's end is kept to see how the command ended, in bytes.
const TAIL: usize = 4 << 10;
/// What a bugtool writes behind the output of a command that failed.
const FAILED: &str = "> Error while running '";
/// The lists of a sysdump that are read, by the beginning of their names.
const LISTS: [&str; 6] =
    ["k8s-nodes-", "k8s-pods-", "k8s-services-", "k8s-endpoints-", "k8s-endpointslices-", "k8s-events-"];

/// An archive.
#[derive(Debug)]
pub struct Archived {
    path: PathBuf,
    kind: Kind,
    latest: RefCell<Option<String>>,
}

#[derive(Debug)]
enum Kind {
    Sysdump { zip: Zip, pods: BTreeMap<String, PodFiles>, nodes: RefCell<BTreeMap<String, String>> },
    Bugtool { node: String },
}

/// What a sysdump holds of one agent's pod.
#[derive(Debug, Default)]
struct PodFiles {
    evidence: BTreeMap<Evidence, usize>,
    /// Where the bugtool's archive could not be unpacked when the sysdump was made, it lies there as it is.
    archive: Option<usize>,
}

/// Whether a file is an archive, by its first 512 bytes.
#[must_use]
pub fn is_archive(head: &[u8]) -> bool {
    head.starts_with(b"PK") || tarball::is_gzip(head) || tarball::is_tar(head)
}

impl Archived {
    /// Opens an archive; none where the file is none by its content.
    ///
    /// # Errors
    ///
    /// Says what is wrong with an archive that is one, but can't be read.
    pub fn open(path: &Path) -> Result<Option<Self>, String> {
        let shown = path.display();
        let cannot = |error: io::Error| format!("cannot read the archive {shown}: {error}");
        let mut head = Vec::new();
        File::open(path).map_err(cannot)?.take(512).read_to_end(&mut head).map_err(cannot)?;
        let kind = if head.starts_with(b"PK") {
            let zip = Zip::open(path, is_wanted).map_err(cannot)?;
            let pods = files_by_pod(&zip);
            if pods.is_empty() && list(&zip, "k8s-nodes-").is_none() {
                return Err(format!(
                    "{shown} is a zip, but no sysdump: it holds no bugtool folder and no list of nodes"
                ));
            }
            Kind::Sysdump { zip, pods, nodes: RefCell::default() }
        } else if tarball::is_gzip(&head) || tarball::is_tar(&head) {
            let node = node_of_bugtool(path).map_err(cannot)?;
            let node = node.ok_or_else(|| {
                format!("{shown} is a tar, but holds no cmd folder of cilium-bugtool; if it is a bundle in one file, unpack it with tar first")
            })?;
            Kind::Bugtool { node }
        } else {
            return Ok(None);
        };
        Ok(Some(Self { path: path.to_owned(), kind, latest: RefCell::default() }))
    }

    /// Which kind it is.
    #[must_use]
    pub const fn kind(&self) -> SourceKind {
        match self.kind {
            Kind::Sysdump { .. } => SourceKind::Sysdump,
            Kind::Bugtool { .. } => SourceKind::Bugtool,
        }
    }

    /// The nodes that it holds evidence of; where it holds none of any node, all that it lists.
    #[must_use]
    pub fn nodes(&self, inventory: &Inventory) -> BTreeSet<String> {
        match &self.kind {
            Kind::Bugtool { node } => BTreeSet::from([node.clone()]),
            Kind::Sysdump { nodes, .. } => {
                let of_pods: BTreeSet<String> = nodes.borrow().keys().cloned().collect();
                if of_pods.is_empty() {
                    return inventory.nodes.iter().flatten().map(|node| node.metadata.name.clone()).collect();
                }
                of_pods
            }
        }
    }

    /// The lists of a sysdump.
    fn lists(&self, zip: &Zip) -> Inventory {
        let mut latest = None;
        let nodes = read_list(zip, "k8s-nodes-", &mut latest);
        let pods = read_list(zip, "k8s-pods-", &mut latest).map(|mut pods| {
            keep_only_needed_arguments(&mut pods);
            pods
        });
        let services = read_list(zip, "k8s-services-", &mut latest);
        let endpoint_slices = match list(zip, "k8s-endpointslices-") {
            Some(_) => read_list(zip, "k8s-endpointslices-", &mut latest),
            None => read_list(zip, "k8s-endpoints-", &mut latest).map(lists::slices),
        };
        let events = read_list(zip, "k8s-events-", &mut latest);
        self.latest.borrow_mut().clone_from(&latest);
        Inventory {
            origin: Origin { context: None, captured_at: latest },
            nodes,
            pods,
            services,
            endpoint_slices,
            events,
        }
    }

    /// Without lists, the status names the node's own range, so that its pods are known as such.
    fn lists_of_bugtool(&self, name: &str) -> Inventory {
        let no = || Failure::new(FailureKind::NotFound, "a bugtool archive holds no Kubernetes lists; a sysdump does");
        let mut node = Node::default();
        name.clone_into(&mut node.metadata.name);
        let mut text = Vec::new();
        let found = self.in_tar(Evidence::AgentStatus, &mut |chunk: &[u8]| {
            text.extend_from_slice(&chunk[..chunk.len().min((1_usize << 20).saturating_sub(text.len()))]);
        });
        if found.is_ok() {
            node.spec.pod_cidrs = pod_ranges(&String::from_utf8_lossy(&text));
        }
        Inventory {
            origin: Origin::default(),
            nodes: Ok(vec![node]),
            pods: Err(no()),
            services: Err(no()),
            endpoint_slices: Err(no()),
            events: Err(no()),
        }
    }

    /// Pours the evidence's file out of the bugtool's archive. Says whether it is there.
    fn in_tar(&self, evidence: Evidence, out: Sink<'_>) -> io::Result<bool> {
        pour_from_tar(File::open(&self.path)?, evidence, out)
    }

    fn pour(&self, question: &Question<'_>, out: Sink<'_>) -> Result<(), Missed> {
        let no = |what: String| Missed::NotGathered(what);
        let evidence = question.evidence;
        let found = match &self.kind {
            Kind::Bugtool { .. } => self.in_tar(evidence, out),
            Kind::Sysdump { zip, pods, nodes } => {
                let nodes = nodes.borrow();
                let pod = nodes
                    .get(question.node)
                    .ok_or_else(|| no("the sysdump holds no bugtool folder of this node's agent".to_owned()))?;
                let Some(files) = pods.get(pod) else {
                    return Err(no(format!("the sysdump holds nothing of the agent's pod {pod}")));
                };
                let member = |index: usize| &zip.members()[index];
                match (files.evidence.get(&evidence), files.archive) {
                    (Some(index), _) => zip.read(member(*index)).and_then(|from| copy(from, out)).map(|()| true),
                    (None, Some(index)) => zip.read(member(index)).and_then(|from| pour_from_tar(from, evidence, out)),
                    (None, None) => Ok(false),
                }
            }
        };
        match found {
            Ok(true) => Ok(()),
            Ok(false) => Err(no(format!("the archive holds no {evidence} of this node"))),
            Err(error) => {
                let message = format!("the archive's {evidence} breaks off: {error}");
                Err(Missed::Failed(Failure::new(FailureKind::Truncated, message)))
            }
        }
    }
}

/// Why there is no whole output.
enum Missed {
    NotGathered(String),
    Failed(Failure),
}

impl Source for Archived {
    async fn inventory(&self) -> Inventory {
        match &self.kind {
            Kind::Bugtool { node } => self.lists_of_bugtool(node),
            Kind::Sysdump { zip, pods, nodes } => {
                let inventory = self.lists(zip);
                let listed = inventory.pods.as_deref().unwrap_or_default();
                let mut nodes = nodes.borrow_mut();
                for pod in pods.keys() {
                    let node = listed.iter().find(|p| p.metadata.name == *pod).map(|p| p.spec.node_name.clone());
                    // Without a list of pods nobody knows on which node it ran: then the pod stands for it.
                    let node = node.filter(|node| !node.is_empty()).unwrap_or_else(|| pod.clone());
                    nodes.insert(node, pod.clone());
                }
                inventory
            }
        }
    }

    fn probe_pods(&self, _node: &str, _inventory: &Inventory) -> Vec<PodRef> {
        Vec::new()
    }

    fn is_saved(&self) -> bool {
        true
    }

    async fn ask(&self, question: &Question<'_>, out: Sink<'_>) -> Answer {
        match question.evidence {
            Evidence::HostPing => return Answer::not_gathered("an archive holds no ping from the host"),
            Evidence::PodEgress | Evidence::PodEgressAddress | Evidence::PodDns => {
                return Answer::not_gathered("an archive holds no probes from pods");
            }
            _ => {}
        }
        let mut tail = Tail::default();
        let mut both = |chunk: &[u8]| {
            tail.feed(chunk);
            out(chunk);
        };
        let poured = self.pour(question, &mut both);
        let end = match poured {
            Err(Missed::NotGathered(why)) => End::NotGathered(why),
            Err(Missed::Failed(failure)) => End::Failed(failure),
            Ok(()) => tail.end(),
        };
        Answer { end, started_at: self.latest.borrow().clone(), ..Answer::not_gathered("") }
    }
}

/// The end of an output.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn feed(&mut self, chunk: &[u8]) {
        self.0.extend_from_slice(&chunk[chunk.len().saturating_sub(TAIL)..]);
        let over = self.0.len().saturating_sub(TAIL);
        self.0.drain(..over);
    }

    /// How the command ended: a bugtool says so in the last line where it failed.
    fn end(&self) -> End {
        let text = String::from_utf8_lossy(&self.0);
        // Behind an output that broke off it stands in the middle of a line.
        let Some((line, rest)) = text.rfind(FAILED).map(|at| text[at..].split_once('\n').unwrap_or((&text[at..], "")))
        else {
            return End::Exited(0);
        };
        if rest.lines().any(|line| !line.trim().is_empty() && !line.starts_with("```")) {
            return End::Exited(0);
        }
        let code = line.rsplit_once("exit status ").and_then(|(_, code)| code.trim().parse().ok());
        let kind = match code {
            Some(code) => return End::Exited(code),
            None if line.contains("deadline exceeded") || line.contains("killed") => FailureKind::Truncated,
            None if line.contains("not found") => FailureKind::NotFound,
            None => FailureKind::Other,
        };
        End::Failed(Failure::new(
            kind,
            format!("when the archive was made it failed: {}", line.trim_start_matches("> ")),
        ))
    }
}

/// The evidence that a file of a `cmd` folder is.
fn evidence_of(file: &str) -> Option<Evidence> {
    let stem = file.strip_suffix(".md")?;
    if let Some(command) = stem.strip_prefix("cilium-dbg-").or_else(|| stem.strip_prefix("cilium-")) {
        return match command {
            "bpf-ct-list-global" | "bpf-ct-list-global---time-diff" | "bpf-ct-list---time-diff" | "bpf-ct-list" => {
                Some(Evidence::CtList)
            }
            "service-list" => Some(Evidence::ServiceList),
            "bpf-lb-list" => Some(Evidence::LbList),
            "status---verbose" => Some(Evidence::AgentStatus),
            "bpf-metrics-list" => Some(Evidence::DropMetrics),
            "bpf-nat-list" => Some(Evidence::NatList),
            _ => None,
        };
    }
    (stem == "bpftool-net-show").then_some(Evidence::AttachedPrograms)
}

/// Folder and file of a name, its last two parts.
fn last_two(name: &str) -> (&str, &str) {
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    (folder.rsplit('/').next().unwrap_or(folder), file)
}

/// The evidence that a file of a bugtool archive is, whatever its top folder.
fn evidence_in_tar(name: &str) -> Option<Evidence> {
    let (folder, file) = last_two(name);
    evidence_of(file).filter(|_| folder == "cmd")
}

/// Whether a member of a sysdump may be needed.
fn is_wanted(name: &str) -> bool {
    let (_, file) = last_two(name);
    LISTS.iter().any(|list| is_list(file, list)) || place(name).is_some()
}

/// What a member of a sysdump is of an agent's pod.
enum Place<'a> {
    Evidence(&'a str, Evidence),
    Archive(&'a str),
}

fn place(name: &str) -> Option<Place<'_>> {
    let (folder, file) = last_two(name);
    if folder == "cmd" {
        let (above, _) = name.rsplit_once("/cmd/")?;
        let pod = pod_of(above.rsplit('/').next()?)?;
        return evidence_of(file).map(|evidence| Place::Evidence(pod, evidence));
    }
    if let Some(stem) = file.strip_suffix(".tar.gz").or_else(|| file.strip_suffix(".tar")) {
        return pod_of(stem).map(Place::Archive);
    }
    let stem = file.strip_prefix("logs-")?.strip_suffix(".log")?;
    let pod = without_time(stem).strip_suffix("-cilium-agent")?;
    Some(Place::Evidence(pod, Evidence::AgentLog))
}

/// `cilium-bugtool-<pod>-<date>-<time>` is of this pod.
fn pod_of(folder: &str) -> Option<&str> {
    folder.strip_prefix("cilium-bugtool-").map(without_time).filter(|pod| !pod.is_empty())
}

/// A name without `-YYYYMMDD-HHMMSS` at its end.
fn without_time(name: &str) -> &str {
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    let Some((rest, time)) = name.rsplit_once('-') else { return name };
    let Some((stem, date)) = rest.rsplit_once('-') else { return name };
    if digits(time, 6) && digits(date, 8) { stem } else { name }
}

fn files_by_pod(zip: &Zip) -> BTreeMap<String, PodFiles> {
    let mut pods: BTreeMap<String, PodFiles> = BTreeMap::new();
    for (index, member) in zip.members().iter().enumerate() {
        match place(&member.name) {
            // Names come sorted: the first of two spellings of one command is kept.
            Some(Place::Evidence(pod, evidence)) => {
                pods.entry(pod.to_owned()).or_default().evidence.entry(evidence).or_insert(index);
            }
            Some(Place::Archive(pod)) => pods.entry(pod.to_owned()).or_default().archive = Some(index),
            None => {}
        }
    }
    // A log alone, of an operator's pod for one, is no node.
    pods.retain(|_, files| files.archive.is_some() || files.evidence.keys().any(|e| *e != Evidence::AgentLog));
    pods
}

fn is_list(file: &str, begin: &str) -> bool {
    file.starts_with(begin) && file.strip_suffix(".yaml").is_some()
}

fn list<'a>(zip: &'a Zip, begin: &str) -> Option<&'a Member> {
    zip.members().iter().find(|member| {
        let (_, file) = last_two(&member.name);
        is_list(file, begin)
    })
}

fn read_list<T: DeserializeOwned>(zip: &Zip, begin: &str, latest: &mut Option<String>) -> Listed<T> {
    let member = list(zip, begin)
        .ok_or_else(|| Failure::new(FailureKind::NotFound, format!("{begin}….yaml is not in the sysdump")))?;
    let from = zip.read(member);
    let from =
        from.map_err(|error| Failure::new(FailureKind::Other, format!("{} is damaged: {error}", member.name)))?;
    lists::read(&member.name, from, latest)
}

/// The name of the node that a bugtool archive is of; none where it is no such archive.
fn node_of_bugtool(path: &Path) -> io::Result<Option<String>> {
    let (mut is_bugtool, mut node) = (false, None);
    tarball::walk(tarball::plain(File::open(path)?)?, |name, content| {
        is_bugtool |= evidence_in_tar(name).is_some();
        let (folder, file) = last_two(name);
        if folder == "cmd" && file == "uname--a.md" {
            let mut text = String::new();
            content.take(4096).read_to_string(&mut text)?;
            // The agent shares the host's network, and with it the host's name.
            node =
                text.lines().find_map(|line| line.strip_prefix("Linux ")?.split_whitespace().next().map(str::to_owned));
        }
        Ok(is_bugtool && node.is_some())
    })?;
    let unnamed = || "(unnamed)".to_owned();
    Ok(is_bugtool.then(|| node.unwrap_or_else(unnamed)))
}

fn pour_from_tar(from: impl Read + 'static, evidence: Evidence, out: Sink<'_>) -> io::Result<bool> {
    let mut found = false;
    tarball::walk(tarball::plain(from)?, |name, content| {
        if evidence_in_tar(name) == Some(evidence) {
            found = true;
            copy(content, out)?;
        }
        Ok(found)
    })?;
    Ok(found)
}

/// Reads to the end, chunk by chunk, so that memory does not grow with the size.
fn copy(mut from: impl Read, out: Sink<'_>) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut total = 0_u64;
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        total += n as u64;
        if total > MOST_OUTPUT {
            return Err(io::Error::other(format!("it is larger than {} MiB", MOST_OUTPUT >> 20)));
        }
        out(&buffer[..n]);
    }
}

/// The pod ranges that a status tells: `IPAM: IPv4: 11/254 allocated from 10.44.0.0/24, IPv6: …`.
fn pod_ranges(text: &str) -> Vec<String> {
    let line = text.lines().find(|line| line.starts_with("IPAM:")).unwrap_or_default();
    let after = line.split("allocated from ").skip(1);
    after.filter_map(|rest| rest.split([',', ' ']).next()).filter(|r| r.contains('/')).map(str::to_owned).collect()
}
