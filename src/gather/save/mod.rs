//! A source that keeps what passes through it: everything that is asked is written as a bundle while it streams.
//!
//! An output is written before its description, so whatever ends a run, what lies there can be read: an output without
//! a description counts as broken off. Evidence that is read twice is written twice, and the last counts: in a folder it
//! takes the place of the first, in a `.tar.gz` it stands behind it under the same name, as `tar` itself has it.

mod argv;
mod redact;
mod target;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::bundle::{About, Description, SCHEMA, is_plain_name};
use super::supplement::SymptomSource;
use super::{Question, Sink, Source};
use crate::base::answer::{Answer, End};
use crate::base::credentials::without_credentials;
use crate::base::error::Error;
use crate::base::evidence::Evidence;
use crate::base::failure::{Failure, FailureKind};
use crate::base::net::Prefix;
use crate::base::pod_ref::PodRef;
use crate::base::time::Timestamp;
use crate::base::tool::Tool;
use crate::kubernetes::arguments::keep_only_needed_arguments;
use crate::kubernetes::cluster_map::ClusterMap;
use crate::kubernetes::inventory::ListGap;
use crate::kubernetes::inventory::{Inventory, Listed, Origin};
use crate::kubernetes::objects::{EndpointSlice, Event, Service};
use redact::{Lines, Manner, Redaction};
pub use target::{Partial, name, pack};
use target::{Target, Writing};

/// By how much two clocks of one node may differ.
const SLACK: Duration = Duration::from_millis(250);

/// A source that keeps what passes through it.
pub struct Saving<'a, S> {
    source: &'a S,
    target: Target,
    argv: Vec<String>,
    /// What a whole node may take.
    timeout: Duration,
    /// What stands for names and addresses, where they are to be hidden.
    redaction: Option<Redaction>,
    /// When each node was asked first.
    began: RefCell<HashMap<String, Instant>>,
    /// The answers of which an output was written.
    said: RefCell<HashSet<String>>,
    older: Option<PathBuf>,
    /// The context, and when the cluster's lists were taken.
    origin: RefCell<Origin>,
    /// The first thing that could not be written. Saving is a by-product: it never stops a diagnosis.
    trouble: RefCell<Option<Error>>,
}

/// What a run says of itself.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Its command line; what may be a secret is left out of the bundle.
    pub argv: Vec<String>,
    /// What a whole node may take.
    pub timeout: Duration,
    /// Whether names and addresses are hidden, and which addresses are not.
    pub redact: Option<Vec<Prefix>>,
}

impl<'a, S: Source> Saving<'a, S> {
    /// Makes the bundle, for what will be asked of `source`: a folder, or one file where the name ends with `.tar.gz`
    /// or `.tgz`. A bundle that is there already is moved aside.
    ///
    /// # Errors
    ///
    /// Where nothing can be written there, or the folder holds other things than a bundle.
    pub fn create(source: &'a S, target: &Path, run: &Run) -> Result<Self, Error> {
        let (target, older) = Target::create(target)?;
        let saving = Self {
            source,
            target,
            argv: argv::without_secrets(&run.argv),
            timeout: run.timeout,
            redaction: run.redact.as_deref().map(Redaction::new),
            began: RefCell::default(),
            said: RefCell::default(),
            older,
            origin: RefCell::new(Origin { context: None, captured_at: Some(crate::base::clock::now()) }),
            trouble: RefCell::default(),
        };
        // So that a folder is known as a bundle from its first moment on; in an archive all that is written stays.
        if matches!(saving.target, Target::Folder(_)) {
            saving.about(false);
        }
        match saving.trouble.take() {
            None => Ok(saving),
            Some(trouble) => Err(trouble),
        }
    }

    /// Where an older bundle of the same name is now.
    #[must_use]
    pub fn older(&self) -> Option<&Path> {
        self.older.as_deref()
    }

    /// Writes the cluster's lists, and what the run says of itself. [`Source::inventory`] does the same for lists that
    /// are still to be had.
    pub fn keep(&self, inventory: &Inventory) {
        let Origin { context, captured_at } = inventory.origin.clone();
        self.origin.replace(Origin { context, captured_at: captured_at.or_else(|| Some(crate::base::clock::now())) });
        if let Some(redaction) = &self.redaction {
            let services = inventory.services.known().iter().map(|service| service.metadata.name.as_str());
            redaction.keep_first(&services.collect::<Vec<_>>());
            inventory.origin.context.iter().for_each(|context| redaction.learn(context));
        }
        self.learn(&inventory.nodes);
        self.learn(&inventory.pods);
        self.learn(&inventory.services);
        self.learn(&inventory.endpoint_slices);
        self.learn(&inventory.events);
        self.about(false);
        let pods = inventory.pods.clone().map(|mut pods| {
            keep_only_needed_arguments(&mut pods);
            pods
        });
        self.list("nodes", &inventory.nodes);
        self.list("pods", &pods);
        self.list("services", &inventory.services);
        self.list("endpointslices", &inventory.endpoint_slices);
        self.list(
            "events",
            &inventory.events.clone().map(|events| events.iter().map(event_without_credentials).collect()),
        );
    }

    /// A name as it stands in the bundle.
    #[must_use]
    pub fn shown(&self, name: &str) -> String {
        self.name(name)
    }

    /// Ends this bundle and begins another one, in which the same names and addresses stand for the same ones.
    ///
    /// # Errors
    ///
    /// As [`Self::finish`] and [`Self::create`].
    pub fn then<'b, T: Source>(self, source: &'b T, target: &Path, run: &Run) -> Result<Saving<'b, T>, Error> {
        let mut next = Saving::create(source, target, &Run { redact: None, ..run.clone() })?;
        self.note(self.target.path(), self.target.finish());
        if let Some(trouble) = self.trouble.take() {
            return Err(trouble);
        }
        next.redaction = self.redaction;
        Ok(next)
    }

    /// The remark about an anonymized bundle, after the message with its path.
    #[must_use]
    pub const fn remark(&self) -> &'static str {
        if self.redaction.is_some() { "; redacted; check its logs before you share it" } else { "" }
    }

    /// Says in the bundle that the run was ended early.
    pub fn mark_partial(&self) {
        self.about(true);
    }

    /// Ends the bundle.
    ///
    /// # Errors
    ///
    /// The first thing that could not be written; the rest is there.
    pub fn finish(self) -> Result<PathBuf, Error> {
        self.note(self.target.path(), self.target.finish());
        match self.trouble.take() {
            None => Ok(self.target.path().to_owned()),
            Some(trouble) => Err(trouble),
        }
    }

    fn about(&self, partial: bool) {
        let Origin { context, captured_at } = self.origin.borrow().clone();
        let (schema, tool, argv) = (SCHEMA.to_owned(), Some(Tool::THIS), self.argv.clone());
        let redacted = self.redaction.as_ref().map(|_| redact::ABOUT);
        let captured_at = captured_at.map(|at| at.to_string());
        let about = About { schema, tool, captured_at, context, argv, partial, redacted };
        self.json("bundle.json", &about);
    }

    /// Learns the names of a list, so that they are found in texts.
    fn learn<T: Serialize>(&self, list: &Listed<T>) {
        let Some(redaction) = &self.redaction else { return };
        list.known().iter().for_each(|object| redaction.learn_from(object));
    }

    /// A name as it stands in the bundle.
    fn name(&self, name: &str) -> String {
        self.redaction.as_ref().map_or_else(|| name.to_owned(), |redaction| redaction.name(name))
    }

    fn pod(&self, pod: &PodRef) -> PodRef {
        PodRef { namespace: self.name(&pod.namespace), name: self.name(&pod.name) }
    }

    /// One list, or in its place why it could not be read.
    fn list<T: Serialize>(&self, name: &str, list: &Listed<T>) {
        #[derive(Serialize)]
        #[serde(bound = "T: Serialize")]
        struct Items<'a, T> {
            #[serde(serialize_with = "one_by_one")]
            items: (&'a [T], Option<&'a Redaction>),
        }
        // Of two looks the last counts.
        let (listed, gap) = (format!("kube/{name}.json"), format!("kube/{name}.error.json"));
        match list.some() {
            Ok(items) => self.write_json(&listed, &Items { items: (items, self.redaction.as_ref()) }),
            Err(_) => self.note(name, self.target.forget(&listed)),
        }
        match list {
            Listed::Whole(_) => self.note(name, self.target.forget(&gap)),
            Listed::Partial { of, why, .. } => self.json(&gap, &ListGap { why: why.clone(), of: Some(of.clone()) }),
            Listed::Missing(why) => self.json(&gap, &ListGap { why: why.clone(), of: None }),
        }
    }

    fn json<T: Serialize>(&self, name: &str, value: &T) {
        match &self.redaction {
            None => self.write_json(name, value),
            Some(redaction) => self.write_json(name, &redaction.redacted(value)),
        }
    }

    fn write_json<T: Serialize>(&self, name: &str, value: &T) {
        let written = self.target.put(name, |to| {
            serde_json::to_writer_pretty(&mut *to, value)?;
            to.write_all(b"\n")
        });
        self.note(name, written);
    }

    fn note(&self, what: impl AsRef<Path>, written: io::Result<()>) {
        if let Err(error) = written {
            let what = what.as_ref().display();
            tracing::debug!(%what, %error, "not saved");
            let bundle = self.target.path().display();
            let trouble = Error::cannot_read(format!("bundle {bundle} is incomplete: cannot write {what}"));
            self.trouble.borrow_mut().get_or_insert_with(|| trouble.because(error));
        }
    }
}

/// Writes a list object by object: of a large one, no second copy is made.
fn one_by_one<T: Serialize, W: serde::Serializer>(
    (items, redaction): &(&[T], Option<&Redaction>),
    to: W,
) -> Result<W::Ok, W::Error> {
    match redaction {
        None => to.collect_seq(*items),
        Some(redaction) => {
            let mut ordered: Vec<&T> = items.iter().collect();
            ordered.sort_by_cached_key(|item| redact::sort_key(&redaction.redacted(item)));
            to.collect_seq(ordered.into_iter().map(|item| redaction.redacted(item)))
        }
    }
}

/// Evidence that may be as large as a kernel map.
const fn is_large(evidence: Evidence) -> bool {
    matches!(
        evidence,
        Evidence::CtList
            | Evidence::NeighbourCtList
            | Evidence::NatList
            | Evidence::LbList
            | Evidence::IpcacheList
            | Evidence::MapGetIpcache
    )
}

/// One answer on its way.
struct Piece<'a, S: Source> {
    saving: &'a Saving<'a, S>,
    stem: String,
    packed: bool,
    evidence: Evidence,
    pod: Option<PodRef>,
    /// When the node's time is over.
    until: Instant,
    started_at: Timestamp,
    output: Option<Writing>,
    /// What comes, where it is redacted.
    lines: Option<Lines>,
    open: bool,
}

impl<'a, S: Source> Piece<'a, S> {
    fn new(saving: &'a Saving<'a, S>, question: &Question<'_>) -> Self {
        let Question { node, evidence, agent, probe } = question;
        let name = saving.name(node);
        if let Some(redaction) = &saving.redaction {
            redaction.learn(node);
            for pod in agent.iter().copied().chain(probe.iter().map(|probe| probe.pod)) {
                redaction.learn(&pod.namespace);
                redaction.learn(&pod.name);
            }
        }
        let stem = match probe.map_or(0, |probe| probe.slot) {
            0 | 1 => format!("nodes/{name}/{evidence}"),
            n => format!("nodes/{name}/{evidence}.{n}"),
        };
        if !is_plain_name(&name) {
            saving.note(&stem, Err(io::Error::other("the node's name is not a valid file name")));
        }
        // Whose dump it is, the file's place does not say.
        let of_another = *evidence == Evidence::NeighbourCtList;
        let began = *saving.began.borrow_mut().entry((*node).to_owned()).or_insert_with(Instant::now);
        Self {
            saving,
            stem,
            until: began + saving.timeout,
            packed: is_large(*evidence),
            evidence: *evidence,
            pod: of_another.then_some(*agent).flatten().or(probe.map(|probe| probe.pod)).cloned(),
            started_at: crate::base::clock::now(),
            output: None,
            lines: saving.redaction.as_ref().map(|_| Lines::new(Manner::for_evidence(*evidence))),
            open: is_plain_name(&name),
        }
    }

    fn feed(&mut self, chunk: &[u8]) {
        match (self.lines.take(), &self.saving.redaction) {
            (Some(mut lines), Some(redaction)) => {
                self.write(lines.feed(redaction, chunk));
                self.lines = Some(lines);
            }
            _ => self.write(chunk),
        }
    }

    fn write(&mut self, chunk: &[u8]) {
        if !self.open {
            return;
        }
        let name = format!("{}.out{}", self.stem, if self.packed { ".gz" } else { "" });
        let written = match &mut self.output {
            Some(output) => output.write_all(chunk),
            // A description that is there is of an earlier look.
            None => self.saving.target.forget(&format!("{}.json", self.stem)).and_then(|()| {
                let mut output = self.saving.target.begin(&name, self.packed)?;
                output.write_all(chunk)?;
                self.output = Some(output);
                self.saving.said.borrow_mut().insert(self.stem.clone());
                Ok(())
            }),
        };
        // After an error it has no description either, and counts as broken off.
        self.open = written.is_ok();
        self.saving.note(name, written);
    }

    fn finish(&mut self, answer: &Answer) {
        if let (Some(mut lines), Some(redaction)) = (self.lines.take(), &self.saving.redaction) {
            let rest = lines.finish(redaction, matches!(answer.end, End::Exited(_)));
            if !rest.is_empty() {
                self.write(rest);
            }
        }
        // It said nothing, which is an answer; and what it said at an earlier look is none to this one.
        if self.output.is_none() && (answer.end == End::Exited(0) || self.saving.said.borrow().contains(&self.stem)) {
            self.write(&[]);
        }
        if !std::mem::take(&mut self.open) {
            return;
        }
        if let Some(output) = self.output.take() {
            self.saving.note(&self.stem, self.saving.target.end(output));
        }
        self.saving.json(&format!("{}.json", self.stem), &described(answer, self.pod.as_ref()));
    }
}

impl<S: Source> Drop for Piece<'_, S> {
    /// The caller did not wait for the end: the node's time was over, or the run was interrupted.
    fn drop(&mut self) {
        if self.open {
            // The node's clock began a moment before its first question.
            let failure = if Instant::now() + SLACK >= self.until {
                Failure::time_over(self.evidence, self.saving.timeout)
            } else {
                let message = format!("the run ended before {} finished", self.evidence);
                Failure::new(FailureKind::Truncated, message)
            };
            let answer =
                Answer { end: End::Failed(failure), started_at: Some(self.started_at), ..Answer::not_gathered("") };
            self.finish(&answer);
        }
    }
}

fn described(answer: &Answer, asked: Option<&PodRef>) -> Description {
    let (exit_code, error, not_gathered) = match &answer.end {
        End::Exited(code) => (Some(*code), None, None),
        End::Failed(failure) => (None, Some(failure.clone()), None),
        End::NotGathered(why) => (None, Some(Failure::new(FailureKind::Other, why.clone())), Some(true)),
    };
    Description {
        argv: argv::without_secrets(&answer.argv),
        exit_code,
        stderr: argv::without_url_secrets(&answer.stderr),
        started_at: answer.started_at.map(|at| at.to_string()),
        duration_ms: answer.duration_ms,
        error,
        not_gathered,
        via: answer.via,
        pod: answer.pod.as_ref().or(asked).map(ToString::to_string),
    }
}

/// An event as it is kept: what a probe printed may be anything.
fn event_without_credentials(event: &Event) -> Event {
    Event { message: without_credentials(&event.message), ..event.clone() }
}

/// The events of one reason on their way: a list, and beside it why it is not whole.
struct KeptEvents<'a, S: Source> {
    saving: &'a Saving<'a, S>,
    name: String,
    output: Option<Writing>,
    open: bool,
}

impl<S: Source> KeptEvents<'_, S> {
    fn take(&mut self, event: &Event) {
        let before = if self.output.is_some() { ",\n" } else { "\n" };
        let event = event_without_credentials(event);
        let redaction = self.saving.redaction.as_ref();
        self.write(|to| {
            to.write_all(before.as_bytes())?;
            match redaction {
                None => Ok(serde_json::to_writer(to, &event)?),
                Some(redaction) => {
                    redaction.learn_from(&event);
                    Ok(serde_json::to_writer(to, &redaction.redacted(&event))?)
                }
            }
        });
    }

    /// Writes what comes next, the list's beginning first.
    fn write(&mut self, what: impl FnOnce(&mut Writing) -> io::Result<()>) {
        if !self.open {
            return;
        }
        let output = match self.output.take() {
            Some(output) => Ok(output),
            None => self.saving.target.begin(&self.name, false).and_then(|mut output| {
                output.write_all(b"{\"items\": [")?;
                Ok(output)
            }),
        };
        let written = output.and_then(|mut output| {
            what(&mut output)?;
            self.output = Some(output);
            Ok(())
        });
        self.open = written.is_ok();
        self.saving.note(&self.name, written);
    }

    fn finish(&mut self, failure: Option<&Failure>) {
        if self.output.is_some() || failure.is_none() {
            self.write(|to| to.write_all(b"\n]}\n"));
        }
        if let Some(output) = self.output.take() {
            self.saving.note(&self.name, self.saving.target.end(output));
        }
        if let Some(failure) = failure {
            self.saving.json(&format!("{}.error", self.name), failure);
        }
        self.open = false;
    }
}

impl<S: Source> Drop for KeptEvents<'_, S> {
    /// The caller did not wait for the end.
    fn drop(&mut self) {
        if self.open {
            self.finish(Some(&Failure::new(FailureKind::Truncated, "the run ended before all events were read")));
        }
    }
}

impl<S: Source> Source for Saving<'_, S> {
    async fn inventory(&self) -> Inventory {
        let inventory = self.source.inventory().await;
        self.keep(&inventory);
        inventory
    }

    fn probe_pods(&self, node: &str, cluster: &ClusterMap<'_>) -> Vec<PodRef> {
        self.source.probe_pods(node, cluster)
    }

    fn is_saved(&self) -> bool {
        self.source.is_saved()
    }

    fn at_once(&self) -> usize {
        self.source.at_once()
    }

    fn kept_neighbour(&self, node: &str) -> Option<PodRef> {
        self.source.kept_neighbour(node)
    }

    fn refusals(&self) -> u64 {
        self.source.refusals()
    }

    /// Keeps the events one by one, without holding them in memory.
    async fn events(&self, reason: &str, inventory: &Inventory, each: &mut dyn FnMut(&Event)) -> Result<(), Failure> {
        let mut kept =
            KeptEvents { saving: self, name: format!("symptoms/events/{reason}.json"), output: None, open: true };
        let mut both = |event: &Event| {
            kept.take(event);
            each(event);
        };
        let had = self.source.events(reason, inventory, &mut both).await;
        kept.finish(had.as_ref().err());
        had
    }

    async fn further(&self, what: &SymptomSource<'_>) -> Result<Vec<u8>, Failure> {
        let had = self.source.further(what).await;
        let pod;
        let as_written = match what {
            SymptomSource::Log { pod: of, container } => {
                pod = (self.pod(of), self.name(container));
                SymptomSource::Log { pod: &pod.0, container: &pod.1 }
            }
            other => *other,
        };
        let Some(name) = as_written.file() else { return had };
        match &had {
            Ok(bytes) => {
                let written = match &self.redaction {
                    None => self.target.put(&name, |to| to.write_all(bytes)),
                    Some(redaction) => {
                        let is_log = matches!(what, SymptomSource::Log { .. });
                        let other = if is_log { redaction.sentences(bytes) } else { redaction.document(bytes) };
                        self.target.put(&name, |to| to.write_all(&other))
                    }
                };
                self.note(&name, written);
            }
            // What was not saved before is not saved again as something that failed.
            Err(failure) if failure.kind == FailureKind::NotFound && self.is_saved() => {}
            Err(failure) => self.json(&format!("{name}.error"), failure),
        }
        had
    }

    async fn cluster_dns_now(&self) -> Option<(Listed<Service>, Listed<EndpointSlice>)> {
        let (services, slices) = self.source.cluster_dns_now().await?;
        self.learn(&services);
        self.learn(&slices);
        self.list("services", &services);
        self.list("endpointslices", &slices);
        Some((services, slices))
    }

    async fn ask(&self, question: &Question<'_>, out: Sink<'_>) -> Answer {
        let mut piece = Piece::new(self, question);
        let mut both = |chunk: &[u8]| {
            piece.feed(chunk);
            out(chunk);
        };
        let answer = self.source.ask(question, &mut both).await;
        piece.finish(&answer);
        answer
    }
}

#[cfg(test)]
mod tests;
