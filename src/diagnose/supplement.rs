//! Asks a source for the supplementary evidence of symptoms, and reads it.
//!
//! The reading itself is pure and in [`crate::symptoms`], below the report; only this file asks. Every question has a
//! bound, and what cannot be read is noted and does not stop the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use crate::base::failure::{Failure, FailureKind};
use crate::base::symptom_options::SymptomOptions;
use crate::gather::Source;
use crate::gather::supplement::SymptomSource;
use crate::kubernetes::inventory::{Inventory, Page};
use crate::kubernetes::objects::{Custom, Event, Pod};
use crate::symptoms::listed::{EventSums, add_unread_lists, symptoms_of_lists};
use crate::symptoms::{PodsByName, Symptom, SymptomKind, Symptoms, buffers, dependents, local_dns, logs};

/// The most pods whose logs are read.
const MOST_LOGS: usize = 20;
/// How many of them at once.
const LOGS_AT_ONCE: usize = 4;
/// The most questions of one's own.
const MOST_QUERIES: usize = 20;

/// The reasons of the events that symptoms are read from.
const REASONS: [&str; 3] = ["Unhealthy", "Killing", "NodeNotReady"];

/// Looks at a whole cluster, or at these nodes of it: events by reason, other people's objects, and, where wished, logs
/// and buffers. What was saved is read without being wished for. What is not there after `limit` was not read.
pub async fn read_symptoms<S: Source>(
    source: &S,
    inventory: &Inventory,
    options: &SymptomOptions,
    nodes: Option<&[String]>,
    limit: Duration,
) -> Symptoms {
    if options.lists_only {
        let mut found = symptoms_of_lists(inventory);
        found.nodes.retain(|node, _| nodes.is_none_or(|meant| meant.contains(node)));
        return found;
    }
    let asker = SymptomAsker { source, inventory, options, nodes, limit, until: Instant::now() + limit };
    let mut found = asker.ask_events().await;
    add_unread_lists(inventory, &mut found);
    asker.ask_objects(&mut found).await;
    if options.logs || source.is_saved() {
        asker.ask_logs(&mut found).await;
    }
    if options.prometheus.is_some() || source.is_saved() {
        asker.ask_buffers(&mut found).await;
    }
    if let Some(nodes) = nodes {
        found.nodes.retain(|node, _| nodes.contains(node));
    }
    found.sort();
    found
}

/// Where is looked, and for how long.
struct SymptomAsker<'a, S> {
    source: &'a S,
    inventory: &'a Inventory,
    options: &'a SymptomOptions,
    /// The nodes that are meant; none: all.
    nodes: Option<&'a [String]>,
    limit: Duration,
    until: Instant,
}

impl<S: Source> SymptomAsker<'_, S> {
    async fn in_time<T>(&self, asked: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        timeout_at(self.until, asked).await.unwrap_or_else(|_| {
            let limit = crate::base::time::span(self.limit);
            Err(Failure::new(FailureKind::Timeout, format!("timed out: symptoms may take {limit} in all")))
        })
    }

    async fn further(&self, what: &SymptomSource<'_>) -> Result<Vec<u8>, Failure> {
        self.in_time(self.source.further(what)).await
    }

    fn is_meant(&self, node: &str) -> bool {
        self.nodes.is_none_or(|nodes| nodes.iter().any(|meant| meant == node))
    }

    /// Events, one reason after the other. A server that lets one wait is not asked for the next.
    async fn ask_events(&self) -> Symptoms {
        let mut sums = EventSums::default();
        let mut unread: Vec<(String, Failure)> = Vec::new();
        for reason in REASONS {
            let mut each = |event: &Event| sums.take(event);
            let asked = self.in_time(self.source.events(reason, self.inventory, &mut each)).await;
            let Err(failure) = asked else { continue };
            let is_late = failure.kind == FailureKind::Timeout;
            unread.push((reason.to_owned(), failure.clone()));
            if is_late {
                let rest = REASONS.iter().skip_while(|r| **r != reason).skip(1);
                unread.extend(rest.map(|reason| ((*reason).to_owned(), failure.clone())));
                break;
            }
        }
        let mut found = sums.symptoms(self.inventory);
        for (reasons, failure) in by_failure(unread) {
            let all = reasons.len() == REASONS.len();
            let what = if all { "events".to_owned() } else { format!("events ({})", reasons.join(", ")) };
            found.add_not_read(what, failure.message);
        }
        found
    }

    /// Other people's objects. They are told of the node that asks for them, so where only some nodes are meant and
    /// none of the pods that ask is there, they are asked for only to be kept.
    async fn ask_objects(&self, found: &mut Symptoms) {
        let redirects = std::iter::once((dependents::REDIRECTS, None));
        let kinds = dependents::KINDS.iter().map(|(kind, controller)| (*kind, Some(*controller))).chain(redirects);
        let mut unread: Vec<(String, Failure)> = Vec::new();
        for (kind, controller) in kinds {
            let from_here = |name| dependents::is_asked_from_node(self.inventory, name, |node| self.is_meant(node));
            let is_told = self.nodes.is_none() || controller.is_some_and(from_here);
            if !is_told && !self.options.keep {
                continue;
            }
            let what = SymptomSource::Objects(kind);
            let read = self.further(&what).await.and_then(|bytes| {
                serde_json::from_slice::<Page<Custom>>(&bytes)
                    .map_err(|error| Failure::new(FailureKind::Other, format!("it cannot be read: {error}")))
            });
            let read = read.map_err(|failure| match failure.kind {
                FailureKind::NotFound => Failure::new(FailureKind::NotFound, "not saved"),
                _ => failure,
            });
            match (read, controller) {
                (Err(failure), _) if is_told => unread.push((kind.resource.to_owned(), failure)),
                (Ok(page), Some(controller)) if is_told => {
                    dependents::add_dependent_symptoms(kind, controller, &page.items, self.inventory, found);
                }
                (Ok(page), None) if is_told => local_dns::add_redirect_symptoms(&page.items, self.inventory, found),
                _ => {}
            }
        }
        for (resources, failure) in by_failure(unread) {
            found.add_not_read(resources.join(", "), failure.message);
        }
    }

    /// Logs: of the pods that were chosen, or all that were saved.
    async fn ask_logs(&self, found: &mut Symptoms) {
        // What was saved costs nothing, and which logs were read then is not known: all that are there count.
        let chosen: Vec<(&Pod, String)> = if self.source.is_saved() {
            let pods = self.inventory.pods.known().iter().filter(|pod| self.is_meant(&pod.spec.node_name));
            pods.flat_map(|pod| pod.spec.containers.iter().map(move |c| (pod, c.name.to_string()))).collect()
        } else {
            self.with_logs(found)
        };
        let read: Vec<_> = futures::stream::iter(&chosen)
            .map(|(pod, container)| async move {
                let reference = pod.reference();
                let log = self.further(&SymptomSource::Log { pod: &reference, container }).await;
                (*pod, reference, container, log)
            })
            .buffered(LOGS_AT_ONCE)
            .collect()
            .await;
        let mut refused: Vec<(String, Failure)> = Vec::new();
        let mut had = 0;
        for (pod, reference, container, log) in read {
            match log {
                Ok(bytes) => {
                    had += 1;
                    let whose = logs::LogOwner { pod: &reference, container, host_network: pod.spec.host_network };
                    let kind = if dependents::is_named(pod, dependents::EXTERNAL_DNS) {
                        SymptomKind::Dependents
                    } else {
                        SymptomKind::DnsErrors
                    };
                    for symptom in logs::log_symptoms(&String::from_utf8_lossy(&bytes), &whose, kind) {
                        found.add(Some(&pod.spec.node_name), symptom);
                    }
                }
                // It was not saved.
                Err(failure) if failure.kind == FailureKind::NotFound && self.source.is_saved() => {}
                Err(failure) => refused.push((reference.to_string(), failure)),
            }
        }
        refused.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some((first, failure)) = refused.first() {
            let others = match refused.len() - 1 {
                0 => String::new(),
                1 => " and of another pod".to_owned(),
                n => format!(" and of {n} other pods"),
            };
            found.add_not_read(format!("the log of {first}{others}"), failure.message.clone());
        } else if had == 0 && self.source.is_saved() && self.nodes.is_none() {
            found.add_not_read("logs", "none saved");
        }
    }

    /// The pods whose logs are read, those with symptoms first, and which container of each.
    fn with_logs(&self, found: &Symptoms) -> Vec<(&Pod, String)> {
        let inventory = self.inventory;
        let pods = PodsByName::new(inventory);
        let meant = |pod: &&Pod| pod.is_alive() && self.is_meant(&pod.spec.node_name);
        let mut chosen: Vec<(&Pod, String)> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut weighty: Vec<&Symptom> = found.nodes.values().flatten().collect();
        weighty.sort_by_key(|s| (std::cmp::Reverse((s.weight, s.count)), s.namespace.clone(), s.pod.clone()));
        let named = weighty
            .iter()
            .filter_map(|s| Some((pods.get(s.namespace.as_deref()?, s.pod.as_deref()?)?, s.container.as_deref())));
        let external_dns =
            inventory.pods.known().iter().filter(|pod| dependents::is_named(pod, dependents::EXTERNAL_DNS));
        for (pod, container) in external_dns.map(|pod| (pod, None)).chain(named).filter(|(pod, _)| meant(pod)) {
            let there = |name: &&str| pod.spec.containers.iter().any(|c| c.name == **name);
            let container = container.filter(there).or_else(|| pod.spec.containers.first().map(|c| c.name.as_str()));
            if let Some(container) = container
                && chosen.len() < MOST_LOGS
                && seen.insert(pod.reference())
            {
                chosen.push((pod, container.to_owned()));
            }
        }
        // Those without symptoms, where there is room: node by node in turn, so that none takes it all.
        let mut rest: Vec<&Pod> = inventory
            .pods
            .known()
            .iter()
            .filter(meant)
            .filter(|pod| !pod.spec.host_network && !seen.contains(&pod.reference()))
            .collect();
        let mut turn: BTreeMap<&str, usize> = BTreeMap::new();
        rest.sort_by_cached_key(|pod| {
            let nth = turn.entry(&pod.spec.node_name).or_default();
            *nth += 1;
            *nth
        });
        for pod in rest {
            if chosen.len() >= MOST_LOGS {
                break;
            }
            if let Some(container) = pod.spec.containers.first() {
                chosen.push((pod, container.name.to_string()));
            }
        }
        chosen
    }

    /// The answers of Prometheus.
    async fn ask_buffers(&self, found: &mut Symptoms) {
        let asked = self.options.prometheus.is_some();
        let pods = PodsByName::new(self.inventory);
        let moment = self.inventory.origin.captured_at.map(|at| at.to_string());
        match self.query("buffer-fill", buffers::FILL).await {
            Ok(Some(fill)) => {
                let sent = self.query("sent-bytes", buffers::SENT).await.unwrap_or_else(|failure| {
                    found.add_not_read("buffers: what was sent", failure.message);
                    None
                });
                buffers::add_buffer_symptoms(&fill, sent.as_deref(), &pods, moment.as_deref(), found);
            }
            Ok(None) if self.nodes.is_none() => found.add_not_read("buffers", "no Prometheus answer saved"),
            Ok(None) => {}
            Err(failure) => {
                use FailureKind::{Forbidden, Timeout, Unreachable};
                let gone = matches!(failure.kind, Forbidden | Timeout | Unreachable);
                found.add_not_read("buffers", failure.message);
                // Who does not answer the first question is not asked a second one.
                if asked && gone {
                    for query in &self.options.queries {
                        found.add_not_read(format!("the answer to '{query}'"), "not asked: see buffers");
                    }
                    return;
                }
            }
        }
        if !asked {
            self.ask_saved_answers(&pods, moment.as_deref(), found).await;
        }
        for (nth, query) in self.options.queries.iter().take(MOST_QUERIES).enumerate() {
            match self.query(&format!("query-{}", nth + 1), query).await {
                Ok(answer) => {
                    buffers::add_query_symptoms(query, &answer.unwrap_or_default(), &pods, moment.as_deref(), found);
                }
                Err(failure) => found.add_not_read(format!("the answer to '{query}'"), failure.message),
            }
        }
        if self.options.queries.len() > MOST_QUERIES {
            let left = self.options.queries.len() - MOST_QUERIES;
            found.add_not_read(format!("{left} more queries"), format!("limit is {MOST_QUERIES}"));
        }
    }

    /// The answers to questions of one's own that were saved.
    async fn ask_saved_answers(&self, pods: &PodsByName<'_>, moment: Option<&str>, found: &mut Symptoms) {
        for nth in 1..=MOST_QUERIES {
            let name = format!("query-{nth}");
            match self.further(&SymptomSource::Metrics { name: &name, query: "", at: None }).await {
                Ok(bytes) => {
                    let query = buffers::query_of(&bytes).unwrap_or(name);
                    match buffers::series(&bytes) {
                        Ok(answer) => buffers::add_query_symptoms(&query, &answer, pods, moment, found),
                        Err(failure) => found.add_not_read(format!("the answer to '{query}'"), failure.message),
                    }
                }
                Err(failure) if failure.kind == FailureKind::NotFound => {}
                Err(failure) => found.add_not_read(format!("the answer to {name}"), failure.message),
            }
        }
    }

    /// One question to Prometheus; nothing where nobody asked it when things were saved.
    async fn query(&self, name: &str, query: &str) -> Result<Option<Vec<buffers::Series>>, Failure> {
        let at = self.options.prometheus.as_ref();
        match self.further(&SymptomSource::Metrics { name, query, at }).await {
            Ok(bytes) => buffers::series(&bytes).map(Some),
            Err(failure) if failure.kind == FailureKind::NotFound && self.source.is_saved() => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// What could not be read, by the reason why, in the order in which it was asked for.
fn by_failure(unread: Vec<(String, Failure)>) -> Vec<(Vec<String>, Failure)> {
    let mut grouped: Vec<(Vec<String>, Failure)> = Vec::new();
    for (what, failure) in unread {
        match grouped.iter_mut().find(|(_, known)| *known == failure) {
            Some((names, _)) => names.push(what),
            None => grouped.push((vec![what], failure)),
        }
    }
    grouped
}
