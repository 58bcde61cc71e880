//! Archives of other tools as a source: `cilium sysdump` and `cilium-bugtool`. Nothing is unpacked to disk.
//!
//! [`names`] maps files to evidence. What no archive holds (a ping from the host, probes from pods) is
//! "not gathered", with that reason.
//!
//! Members of a zip are reached by its directory. A tar within one is unpacked once for its node. A bugtool archive is
//! unpacked twice at most: its node's name and pod ranges, which the conntrack dump is read by, lie behind the dump.

mod byte_source;
mod lists;
mod names;
mod tarball;
mod zip;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use serde::de::DeserializeOwned;

use super::reading::{AT_ONCE, Outlet, beside, lock};
use super::supplement::SymptomSource;
use super::{Question, Sink, Source};
use crate::base::answer::{Answer, End};
use crate::base::error::Error;
use crate::base::evidence::Evidence;
use crate::base::failure::{Failure, FailureKind};
use crate::base::pod_ref::PodRef;
use crate::base::source_kind::SourceKind;
use crate::base::time::Timestamp;
use crate::kubernetes::arguments::keep_only_needed_arguments;
use crate::kubernetes::cluster_map::ClusterMap;
use crate::kubernetes::inventory::{Inventory, Listed, Origin};
use crate::kubernetes::objects::{Custom, Node};
use names::{LISTS, SysdumpMember, evidence_in_tar, is_list, is_uname, last_two, sysdump_member};
use zip::ZipMember;

pub(super) use byte_source::ByteSource;
pub(super) use names::is_of_bugtool;
pub(super) use tarball::{Tarball, is_gzip, is_tar};
pub(super) use zip::Zip;

/// How much of an output's end is kept to see how the command ended, in bytes.
const TAIL: usize = 4 << 10;
/// The most that is read of a status for the pod ranges in it, in bytes.
const MOST_STATUS: u64 = 1 << 20;
/// The most that a tar within a sysdump takes there, in bytes.
const MOST_PACKED: u64 = 2 << 30;
/// What a bugtool writes behind the output of a command that failed.
const FAILED: &str = "> Error while running '";
/// An archive.
pub struct Archived {
    kind: ArchiveContent,
    latest: Cell<Option<Timestamp>>,
}

enum ArchiveContent {
    Sysdump(Sysdump),
    Bugtool { node: String, tar: Arc<Mutex<Tarball>> },
}

/// A tar within a sysdump, opened by the thread that first reads from it.
type Nested = OnceLock<io::Result<Mutex<Tarball>>>;

struct Sysdump {
    zip: Arc<Zip>,
    pods: BTreeMap<String, PodFiles>,
    /// The agents' pods by node.
    nodes: RefCell<BTreeMap<String, String>>,
    /// Tars within it that are open, for the nodes that are looked at now; the last one used at the end.
    open: RefCell<VecDeque<(usize, Arc<Nested>)>>,
}

/// What a sysdump holds of one agent's pod.
#[derive(Debug, Default)]
struct PodFiles {
    evidence: BTreeMap<Evidence, usize>,
    /// Where the bugtool's archive could not be unpacked when the sysdump was made, it lies there as it is.
    archive: Option<usize>,
}

impl Archived {
    /// A sysdump.
    ///
    /// # Errors
    ///
    /// Says why the zip is none.
    pub(super) fn sysdump(zip: Zip, path: &Path) -> Result<Self, Error> {
        let shown = path.display();
        let pods = files_by_pod(&zip);
        if pods.is_empty() && list(&zip, "k8s-nodes-").is_none() {
            let none = "is a zip but not a sysdump: no bugtool folder and no node list found";
            return Err(Error::cannot_read(format!("{shown} {none}")));
        }
        let zip = Arc::new(zip);
        let sysdump = Sysdump { zip, pods, nodes: RefCell::default(), open: RefCell::default() };
        Ok(Self { kind: ArchiveContent::Sysdump(sysdump), latest: Cell::default() })
    }

    /// A bugtool archive; none if the tar, read to its end, is not such an archive.
    pub(super) fn bugtool(mut tar: Tarball) -> Option<Self> {
        if !tar.names().any(|name| evidence_in_tar(name).is_some()) {
            return None;
        }
        let node = node_of_bugtool(&mut tar).unwrap_or_else(|| "(unnamed)".to_owned());
        let kind = ArchiveContent::Bugtool { node, tar: Arc::new(Mutex::new(tar)) };
        Some(Self { kind, latest: Cell::default() })
    }

    /// Which kind it is.
    #[must_use]
    pub const fn kind(&self) -> SourceKind {
        match self.kind {
            ArchiveContent::Sysdump(_) => SourceKind::Sysdump,
            ArchiveContent::Bugtool { .. } => SourceKind::Bugtool,
        }
    }

    /// The nodes that it holds evidence of; where it holds none of any node, all that it lists.
    #[must_use]
    pub fn nodes(&self, inventory: &Inventory) -> BTreeSet<String> {
        match &self.kind {
            ArchiveContent::Bugtool { node, .. } => BTreeSet::from([node.clone()]),
            ArchiveContent::Sysdump(Sysdump { nodes, .. }) => {
                let of_pods: BTreeSet<String> = nodes.borrow().keys().cloned().collect();
                if of_pods.is_empty() {
                    return inventory.nodes.known().iter().map(|node| node.metadata.name.to_string()).collect();
                }
                of_pods
            }
        }
    }

    /// Says that these nodes will be looked at, so that progress knows how much will be read.
    pub fn expect(&self, chosen: &[String]) {
        let ArchiveContent::Sysdump(Sysdump { zip, pods, nodes, .. }) = &self.kind else { return };
        let nodes = nodes.borrow();
        let files = chosen.iter().filter_map(|node| pods.get(nodes.get(node)?));
        let bytes = |files: &PodFiles| {
            let packed = |index: &usize| zip.members().get(*index).map_or(0, |member| member.packed);
            // A tar is read for its sum, and to unpack it.
            files.evidence.values().map(packed).sum::<u64>()
                + files.archive.iter().map(|index| 2 * packed(index)).sum::<u64>()
        };
        zip.expect(files.map(bytes).sum());
    }

    async fn pour(&self, question: &Question<'_>, out: Sink<'_>) -> Result<(), Missed> {
        let evidence = question.evidence;
        let found = match &self.kind {
            ArchiveContent::Bugtool { tar, .. } => {
                let tar = Arc::clone(tar);
                beside(move |outlet| from_tar(&tar, evidence, outlet), out).await
            }
            ArchiveContent::Sysdump(sysdump) => sysdump.pour(question, out).await?,
        };
        match found {
            Ok(true) => Ok(()),
            Ok(false) => Err(Missed::NotGathered(format!("the archive has no {evidence} for this node"))),
            Err(error) => {
                let message = format!("{evidence} in the archive is truncated: {error}");
                Err(Missed::Failed(Failure::new(FailureKind::Truncated, message)))
            }
        }
    }
}

impl Sysdump {
    /// Says whether the evidence is there.
    async fn pour(&self, question: &Question<'_>, out: Sink<'_>) -> Result<io::Result<bool>, Missed> {
        let Question { node, evidence, .. } = *question;
        let pod = self.nodes.borrow().get(node).cloned();
        let pod = pod
            .ok_or_else(|| Missed::NotGathered("the sysdump has no bugtool folder for this node's agent".to_owned()))?;
        let files = self.pods.get(&pod);
        let files =
            files.ok_or_else(|| Missed::NotGathered(format!("the sysdump has nothing from the agent's pod {pod}")))?;
        let zip = Arc::clone(&self.zip);
        if let Some(index) = files.evidence.get(&evidence).copied() {
            let read = move |outlet: &Outlet<'_>| outlet.pour(zip.read_at(index)?).map(|()| true);
            return Ok(beside(read, out).await);
        }
        let Some(index) = files.archive else { return Ok(Ok(false)) };
        let nested = self.nested(index);
        let read = move |outlet: &Outlet<'_>| match nested.get_or_init(|| open(zip, index).map(Mutex::new)) {
            Ok(tar) => from_tar(tar, evidence, outlet),
            Err(error) => Err(io::Error::other(error.to_string())),
        };
        Ok(beside(read, out).await)
    }

    /// A tar within, which stays open while its node is looked at.
    fn nested(&self, index: usize) -> Arc<Nested> {
        let mut open = self.open.borrow_mut();
        let at = open.iter().position(|(open, _)| *open == index);
        let nested = at.and_then(|at| open.remove(at)).map(|(_, nested)| nested).unwrap_or_default();
        open.push_back((index, Arc::clone(&nested)));
        if open.len() > AT_ONCE {
            open.pop_front();
        }
        nested
    }
}

/// Opens a tar within a zip. Its own sum stands at its end and is read too late: the zip's is checked before, as what
/// is packed is short.
fn open(zip: Arc<Zip>, index: usize) -> io::Result<Tarball> {
    let packed = zip.read_at(index)?;
    if io::copy(&mut packed.take(MOST_PACKED), &mut io::sink())? == MOST_PACKED {
        return Err(io::Error::other(format!("it exceeds {} MiB, packed", MOST_PACKED >> 20)));
    }
    Tarball::open(ByteSource::Member(zip, index), |name| evidence_in_tar(name).is_some())
}

/// The lists of a sysdump.
fn lists_of_sysdump(zip: &Zip) -> Inventory {
    zip.expect(LISTS.iter().filter_map(|begin| list(zip, begin)).map(|member| member.packed).sum());
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
    let origin = Origin { context: None, captured_at: latest };
    Inventory {
        origin,
        nodes: nodes.into(),
        pods: pods.into(),
        services: services.into(),
        endpoint_slices: endpoint_slices.into(),
        events: events.into(),
    }
}

/// Pours the evidence's file out of a bugtool's archive. Says whether it is there.
fn from_tar(tar: &Mutex<Tarball>, evidence: Evidence, outlet: &Outlet<'_>) -> io::Result<bool> {
    let mut tar = lock(tar);
    let Some(index) = tar.find(|name| evidence_in_tar(name) == Some(evidence))? else { return Ok(false) };
    outlet.pour(tar.read(index)?).map(|()| true)
}

/// Without lists, the status names the node's own range, so that its pods are known as such.
fn lists_of_bugtool(name: &str, tar: &Mutex<Tarball>) -> Inventory {
    let mut node = Node::default();
    node.metadata.name = name.into();
    let is_status = |name: &str| evidence_in_tar(name) == Some(Evidence::AgentStatus);
    node.spec.pod_cidrs = start_of(&mut lock(tar), is_status).map(|text| pod_ranges(&text)).unwrap_or_default();
    let no = Failure::new(FailureKind::NotFound, "a bugtool archive has no Kubernetes lists; a sysdump does");
    Inventory { nodes: Listed::Whole(vec![node]), ..no_lists(&no) }
}

fn no_lists(why: &Failure) -> Inventory {
    Inventory {
        origin: Origin::default(),
        nodes: Listed::Missing(why.clone()),
        pods: Listed::Missing(why.clone()),
        services: Listed::Missing(why.clone()),
        endpoint_slices: Listed::Missing(why.clone()),
        events: Listed::Missing(why.clone()),
    }
}

/// Why the output is not whole.
enum Missed {
    NotGathered(String),
    Failed(Failure),
}

impl Source for Archived {
    async fn inventory(&self) -> Inventory {
        match &self.kind {
            ArchiveContent::Bugtool { node, tar } => lists_of_bugtool(node, tar),
            ArchiveContent::Sysdump(Sysdump { zip, pods, nodes, .. }) => {
                let shared = Arc::clone(zip);
                let lists = beside(move |_| Ok(lists_of_sysdump(&shared)), &mut |_| {}).await;
                let inventory =
                    lists.unwrap_or_else(|error| no_lists(&Failure::new(FailureKind::Other, error.to_string())));
                self.latest.set(inventory.origin.captured_at);
                let listed = inventory.pods.known();
                let mut nodes = nodes.borrow_mut();
                for pod in pods.keys() {
                    let node = listed.iter().find(|p| p.metadata.name == *pod).map(|p| p.spec.node_name.clone());
                    // Without a list of pods its node is unknown: then the pod's name stands for it.
                    let node = node.filter(|node| !node.is_empty()).map_or_else(|| pod.clone(), String::from);
                    nodes.insert(node, pod.clone());
                }
                inventory
            }
        }
    }

    fn probe_pods(&self, _node: &str, _cluster: &ClusterMap<'_>) -> Vec<PodRef> {
        Vec::new()
    }

    fn is_saved(&self) -> bool {
        true
    }

    fn at_once(&self) -> usize {
        AT_ONCE
    }

    /// Of all that only symptoms are read from, a sysdump holds Cilium's own kinds.
    async fn further(&self, what: &SymptomSource<'_>) -> Result<Vec<u8>, Failure> {
        match (&self.kind, what) {
            (ArchiveContent::Sysdump(sysdump), SymptomSource::Objects(kind)) => {
                let items: Vec<Custom> = read_list(&sysdump.zip, &format!("{}-", kind.resource), &mut None)?;
                serde_json::to_vec(&serde_json::json!({"items": items}))
                    .map_err(|error| Failure::new(FailureKind::Other, error.to_string()))
            }
            _ => Err(Failure::new(FailureKind::NotFound, "not part of such archives")),
        }
    }

    async fn ask(&self, question: &Question<'_>, out: Sink<'_>) -> Answer {
        match question.evidence {
            Evidence::HostPing => return Answer::not_gathered("archives contain no ping from the host"),
            Evidence::PodEgress | Evidence::PodEgressAddress | Evidence::PodDns => {
                return Answer::not_gathered("archives contain no probes from pods");
            }
            _ => {}
        }
        let mut tail = Tail::default();
        let mut both = |chunk: &[u8]| {
            tail.feed(chunk);
            out(chunk);
        };
        let poured = self.pour(question, &mut both).await;
        let end = match poured {
            Err(Missed::NotGathered(why)) => End::NotGathered(why),
            Err(Missed::Failed(failure)) => End::Failed(failure),
            Ok(()) => tail.end(),
        };
        Answer { end, started_at: self.latest.get(), ..Answer::not_gathered("") }
    }
}

/// The end of an output.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn feed(&mut self, chunk: &[u8]) {
        self.0.extend_from_slice(chunk.get(chunk.len().saturating_sub(TAIL)..).unwrap_or_default());
        let over = self.0.len().saturating_sub(TAIL);
        self.0.drain(..over);
    }

    /// How the command ended: a bugtool writes a failure on the last line.
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
        End::Failed(Failure::new(kind, format!("failed when the archive was made: {}", line.trim_start_matches("> "))))
    }
}

fn files_by_pod(zip: &Zip) -> BTreeMap<String, PodFiles> {
    let mut pods: BTreeMap<String, PodFiles> = BTreeMap::new();
    for (index, member) in zip.members().iter().enumerate() {
        match sysdump_member(&member.name) {
            // Names come sorted: the first of two spellings of one command is kept.
            Some(SysdumpMember::Evidence(pod, evidence)) => {
                pods.entry(pod.to_owned()).or_default().evidence.entry(evidence).or_insert(index);
            }
            Some(SysdumpMember::Archive(pod)) => pods.entry(pod.to_owned()).or_default().archive = Some(index),
            None => {}
        }
    }
    // A log alone, for example of an operator's pod, is not a node.
    pods.retain(|_, files| files.archive.is_some() || files.evidence.keys().any(|e| *e != Evidence::AgentLog));
    pods
}

fn list<'a>(zip: &'a Zip, begin: &str) -> Option<&'a ZipMember> {
    zip.members().iter().find(|member| {
        let (_, file) = last_two(&member.name);
        is_list(file, begin)
    })
}

fn read_list<T: DeserializeOwned>(zip: &Zip, begin: &str, latest: &mut Option<Timestamp>) -> Result<Vec<T>, Failure> {
    let member = list(zip, begin)
        .ok_or_else(|| Failure::new(FailureKind::NotFound, format!("{begin}….yaml is not in the sysdump")))?;
    let from = zip.read(member);
    let from =
        from.map_err(|error| Failure::new(FailureKind::Other, format!("{} is damaged: {error}", member.name)))?;
    lists::read(&member.name, from, latest)
}

fn node_of_bugtool(tar: &mut Tarball) -> Option<String> {
    let text = start_of(tar, is_uname)?;
    text.lines().find_map(|line| line.strip_prefix("Linux ")?.split_whitespace().next().map(str::to_owned))
}

/// The beginning of a small file in a tar.
fn start_of(tar: &mut Tarball, is: impl Fn(&str) -> bool) -> Option<String> {
    let index = tar.find(is).ok()??;
    let mut text = Vec::new();
    tar.read(index).ok()?.take(MOST_STATUS).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// The pod ranges that a status tells: `IPAM: IPv4: 11/254 allocated from 10.44.0.0/24, IPv6: …`.
fn pod_ranges(text: &str) -> Vec<String> {
    let line = text.lines().find(|line| line.starts_with("IPAM:")).unwrap_or_default();
    let after = line.split("allocated from ").skip(1);
    after.filter_map(|rest| rest.split([',', ' ']).next()).filter(|r| r.contains('/')).map(str::to_owned).collect()
}
