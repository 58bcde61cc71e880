//! Gathers what symptoms are read from, and reads them: bounded, and going on where something may not be read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use super::probes::Tally;
use super::storm::NotReady;
use super::{Kind, Pods, Symptoms, buffers, dependents, local_dns, logs, restarts, second, storm};
use crate::base::failure::{Failure, FailureKind};
use crate::gather::Source;
use crate::gather::symptoms::{Further, Prometheus};
use crate::kubernetes::objects::{Custom, Event, Inventory, Page, Pod};

/// The most pods whose logs are read.
const MOST_LOGS: usize = 20;
/// How many of them at once.
const LOGS_AT_ONCE: usize = 4;
/// The most questions of one's own.
const MOST_QUERIES: usize = 20;

/// The reasons of the events that symptoms are read from.
const REASONS: [&str; 3] = ["Unhealthy", "Killing", "NodeNotReady"];

/// What is wished beside what costs little.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Whether logs are read.
    pub logs: bool,
    /// Whom to ask for buffers.
    pub prometheus: Option<Prometheus>,
    /// Questions of one's own to it, in PromQL.
    pub queries: Vec<String>,
    /// Whether other people's objects are asked for whatever is told of them: what comes is kept.
    pub keep: bool,
}

/// What the lists that are there already say: no call is made.
#[must_use]
pub fn of_lists(inventory: &Inventory) -> Symptoms {
    let mut sums = Sums::default();
    for event in inventory.events.iter().flatten() {
        sums.take(event);
    }
    let mut found = sums.tell(inventory);
    unread_lists(inventory, &mut found);
    found.sort();
    found
}

/// Looks at a whole cluster, or at these nodes of it: events by reason, other people's objects, and, where wished, logs
/// and buffers. What was saved is read without being wished for. What is not there after `limit` was not read.
pub async fn look<S: Source>(
    source: &S,
    inventory: &Inventory,
    wish: &Wish,
    nodes: Option<&[String]>,
    limit: Duration,
) -> Symptoms {
    let look = Look { source, inventory, wish, nodes, limit, until: Instant::now() + limit };
    let mut found = look.at_events().await;
    unread_lists(inventory, &mut found);
    look.at_objects(&mut found).await;
    if wish.logs || source.is_saved() {
        look.at_logs(&mut found).await;
    }
    if wish.prometheus.is_some() || source.is_saved() {
        look.at_buffers(&mut found).await;
    }
    if let Some(nodes) = nodes {
        found.nodes.retain(|node, _| nodes.contains(node));
    }
    found.sort();
    found
}

/// Where is looked, and for how long.
struct Look<'a, S> {
    source: &'a S,
    inventory: &'a Inventory,
    wish: &'a Wish,
    /// The nodes that are meant; none: all.
    nodes: Option<&'a [String]>,
    limit: Duration,
    until: Instant,
}

impl<S: Source> Look<'_, S> {
    async fn in_time<T>(&self, asked: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        timeout_at(self.until, asked).await.unwrap_or_else(|_| {
            let limit = crate::base::time::span(self.limit);
            Err(Failure::new(FailureKind::Timeout, format!("the time for symptoms, {limit}, was over before it came")))
        })
    }

    async fn further(&self, what: &Further<'_>) -> Result<Vec<u8>, Failure> {
        self.in_time(self.source.further(what)).await
    }

    fn is_meant(&self, node: &str) -> bool {
        self.nodes.is_none_or(|nodes| nodes.iter().any(|meant| meant == node))
    }

    /// Events, one reason after the other. A server that lets one wait is not asked for the next.
    async fn at_events(&self) -> Symptoms {
        let mut sums = Sums::default();
        let mut unread: Vec<(String, Failure)> = Vec::new();
        for reason in REASONS {
            let mut each = |event: &Event| sums.take(event);
            let asked = self.in_time(self.source.events(reason, self.inventory, &mut each)).await;
            let Err(failure) = asked else { continue };
            let is_late = failure.kind == FailureKind::Timeout;
            unread.push((reason.to_owned(), failure));
            if is_late {
                let rest = REASONS.iter().skip_while(|r| **r != reason).skip(1);
                let failure = unread[unread.len() - 1].1.clone();
                unread.extend(rest.map(|reason| ((*reason).to_owned(), failure.clone())));
                break;
            }
        }
        let mut found = sums.tell(self.inventory);
        for (reasons, failure) in by_failure(unread) {
            let all = reasons.len() == REASONS.len();
            let what = if all { "events".to_owned() } else { format!("events ({})", reasons.join(", ")) };
            found.cannot(what, failure.message);
        }
        found
    }

    /// Other people's objects. They are told of the node that asks for them, so where only some nodes are meant and
    /// none of the pods that ask is there, they are asked for only to be kept.
    async fn at_objects(&self, found: &mut Symptoms) {
        let redirects = std::iter::once((dependents::REDIRECTS, None));
        let kinds = dependents::KINDS.iter().map(|(kind, controller)| (*kind, Some(*controller))).chain(redirects);
        let mut unread: Vec<(String, Failure)> = Vec::new();
        for (kind, controller) in kinds {
            let from_here = |name| dependents::is_asked_from(self.inventory, name, |node| self.is_meant(node));
            let is_told = self.nodes.is_none() || controller.is_some_and(from_here);
            if !is_told && !self.wish.keep {
                continue;
            }
            let what = Further::Objects(kind);
            let read = self.further(&what).await.and_then(|bytes| {
                serde_json::from_slice::<Page<Custom>>(&bytes)
                    .map_err(|error| Failure::new(FailureKind::Other, format!("it is not readable: {error}")))
            });
            let read = read.map_err(|failure| match failure.kind {
                FailureKind::NotFound => Failure::new(FailureKind::NotFound, "not saved"),
                _ => failure,
            });
            match (read, controller) {
                (Err(failure), _) if is_told => unread.push((kind.resource.to_owned(), failure)),
                (Ok(page), Some(controller)) if is_told => {
                    dependents::tell(kind, controller, &page.items, self.inventory, found);
                }
                (Ok(page), None) if is_told => local_dns::tell_redirects(&page.items, self.inventory, found),
                _ => {}
            }
        }
        for (resources, failure) in by_failure(unread) {
            found.cannot(resources.join(", "), failure.message);
        }
    }

    /// Logs: of the pods that were chosen, or all that were saved.
    async fn at_logs(&self, found: &mut Symptoms) {
        // What was saved costs nothing, and which logs were read then is not known: all that are there count.
        let chosen: Vec<(&Pod, String)> = if self.source.is_saved() {
            let pods = self.inventory.pods.iter().flatten().filter(|pod| self.is_meant(&pod.spec.node_name));
            pods.flat_map(|pod| pod.spec.containers.iter().map(move |c| (pod, c.name.clone()))).collect()
        } else {
            self.with_logs(found)
        };
        let read: Vec<_> = futures::stream::iter(&chosen)
            .map(|(pod, container)| async move {
                let reference = pod.reference();
                let log = self.further(&Further::Log { pod: &reference, container }).await;
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
                    let whose = logs::Whose { pod: &reference, container, host_network: pod.spec.host_network };
                    let kind = if dependents::is_named(pod, dependents::EXTERNAL_DNS) {
                        Kind::Dependents
                    } else {
                        Kind::DnsErrors
                    };
                    for symptom in logs::read(&String::from_utf8_lossy(&bytes), &whose, kind) {
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
            found.cannot(format!("the log of {first}{others}"), failure.message.clone());
        } else if had == 0 && self.source.is_saved() && self.nodes.is_none() {
            found.cannot("logs", "none was saved");
        }
    }

    /// The pods whose logs are read, those with symptoms first, and which container of each.
    fn with_logs(&self, found: &Symptoms) -> Vec<(&Pod, String)> {
        let inventory = self.inventory;
        let pods = Pods::of(inventory);
        let meant = |pod: &&Pod| pod.is_alive() && self.is_meant(&pod.spec.node_name);
        let mut chosen: Vec<(&Pod, String)> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut weighty: Vec<&super::Symptom> = found.nodes.values().flatten().collect();
        weighty.sort_by_key(|s| (std::cmp::Reverse((s.weight, s.count)), s.namespace.clone(), s.pod.clone()));
        let named = weighty
            .iter()
            .filter_map(|s| Some((pods.get(s.namespace.as_deref()?, s.pod.as_deref()?)?, s.container.as_deref())));
        let external_dns =
            inventory.pods.iter().flatten().filter(|pod| dependents::is_named(pod, dependents::EXTERNAL_DNS));
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
            .iter()
            .flatten()
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
                chosen.push((pod, container.name.clone()));
            }
        }
        chosen
    }

    /// The answers of Prometheus.
    async fn at_buffers(&self, found: &mut Symptoms) {
        let asked = self.wish.prometheus.is_some();
        let pods = Pods::of(self.inventory);
        let moment = self.inventory.origin.captured_at.as_deref();
        match self.ask("buffer-fill", buffers::FILL).await {
            Ok(Some(fill)) => {
                let sent = self.ask("sent-bytes", buffers::SENT).await.unwrap_or_else(|failure| {
                    found.cannot("buffers: what was sent", failure.message);
                    None
                });
                buffers::tell(&fill, sent.as_deref(), &pods, moment, found);
            }
            Ok(None) if self.nodes.is_none() => found.cannot("buffers", "no answer of Prometheus was saved"),
            Ok(None) => {}
            Err(failure) => {
                use FailureKind::{Forbidden, Timeout, Unreachable};
                let gone = matches!(failure.kind, Forbidden | Timeout | Unreachable);
                found.cannot("buffers", failure.message);
                // Who does not answer the first question is not asked a second one.
                if asked && gone {
                    for query in &self.wish.queries {
                        found.cannot(format!("the answer to '{query}'"), "it was not asked: see buffers");
                    }
                    return;
                }
            }
        }
        if !asked {
            self.at_saved_answers(&pods, moment, found).await;
        }
        for (nth, query) in self.wish.queries.iter().take(MOST_QUERIES).enumerate() {
            match self.ask(&format!("query-{}", nth + 1), query).await {
                Ok(answer) => buffers::tell_own(query, &answer.unwrap_or_default(), &pods, moment, found),
                Err(failure) => found.cannot(format!("the answer to '{query}'"), failure.message),
            }
        }
        if self.wish.queries.len() > MOST_QUERIES {
            let left = self.wish.queries.len() - MOST_QUERIES;
            found.cannot(format!("{left} more queries"), format!("at most {MOST_QUERIES} are asked"));
        }
    }

    /// The answers to questions of one's own that were saved.
    async fn at_saved_answers(&self, pods: &Pods<'_>, moment: Option<&str>, found: &mut Symptoms) {
        for nth in 1..=MOST_QUERIES {
            let name = format!("query-{nth}");
            match self.further(&Further::Metrics { name: &name, query: "", at: None }).await {
                Ok(bytes) => {
                    let query = buffers::question(&bytes).unwrap_or(name);
                    match buffers::series(&bytes) {
                        Ok(answer) => buffers::tell_own(&query, &answer, pods, moment, found),
                        Err(why) => found.cannot(format!("the answer to '{query}'"), why),
                    }
                }
                Err(failure) if failure.kind == FailureKind::NotFound => {}
                Err(failure) => found.cannot(format!("the answer to {name}"), failure.message),
            }
        }
    }

    /// One question to Prometheus; nothing where nobody asked it when things were saved.
    async fn ask(&self, name: &str, query: &str) -> Result<Option<Vec<buffers::Series>>, Failure> {
        let at = self.wish.prometheus.as_ref();
        match self.further(&Further::Metrics { name, query, at }).await {
            Ok(bytes) => buffers::series(&bytes).map(Some).map_err(|why| Failure::new(FailureKind::Other, why)),
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

/// What events sum up to.
#[derive(Default)]
struct Sums {
    tally: Tally,
    not_ready: NotReady,
}

impl Sums {
    fn take(&mut self, event: &Event) {
        self.tally.take(event);
        self.not_ready.take(event);
    }

    fn tell(&self, inventory: &Inventory) -> Symptoms {
        let now = inventory.origin.captured_at.as_deref().and_then(second);
        let mut found = Symptoms::default();
        self.tally.tell(&Pods::of(inventory), &mut found);
        restarts::tell(inventory, &self.tally, now, &mut found);
        local_dns::tell(inventory, &self.tally, now, &mut found);
        found.events = storm::find(inventory, &self.not_ready);
        if self.tally.over {
            found.cannot("events (Unhealthy)", "there are more failing probes than are told apart");
        }
        found
    }
}

fn unread_lists(inventory: &Inventory, found: &mut Symptoms) {
    if let Err(failure) = &inventory.pods {
        found.cannot("pods", failure.message.clone());
    }
    if let Err(failure) = &inventory.nodes {
        found.cannot("nodes", failure.message.clone());
    }
}
