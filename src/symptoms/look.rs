//! Gathers what symptoms are read from, and reads them: bounded, and going on where something may not be read.

use std::collections::BTreeSet;

use super::probes::Tally;
use super::storm::NotReady;
use super::{Pods, Symptoms, buffers, dependents, local_dns, logs, restarts, second, storm};
use crate::gather::cluster::{Custom, Inventory, Page, Pod};
use crate::gather::symptoms::{ForeignKind, Further, Prometheus};
use crate::gather::{Failure, FailureKind, Source};

/// The most pods whose logs are read.
const MOST_LOGS: usize = 20;
/// How many of them at once.
const LOGS_AT_ONCE: usize = 4;
/// The most questions of one's own.
const MOST_QUERIES: usize = 20;

/// What is wished beside what costs little.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Whether logs are read.
    pub logs: bool,
    /// Whom to ask for buffers.
    pub prometheus: Option<Prometheus>,
    /// Questions of one's own to it, in PromQL.
    pub queries: Vec<String>,
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
    if let Err(failure) = &inventory.events {
        found.cannot("events", failure.message.clone());
    }
    found.sort();
    found
}

/// Everything: events by reason, other people's objects, and, where wished, logs and buffers.
pub async fn whole<S: Source>(source: &S, inventory: &Inventory, wish: &Wish) -> Symptoms {
    let mut sums = Sums::default();
    let mut unread: Vec<(&str, Failure)> = Vec::new();
    for reason in ["Unhealthy", "Killing", "NodeNotReady"] {
        if let Err(failure) = source.events(reason, inventory, &mut |event| sums.take(event)).await {
            unread.push((reason, failure));
        }
    }
    let mut found = sums.tell(inventory);
    unread_lists(inventory, &mut found);
    // Events that may not be read are said once, not by reason.
    unread.dedup_by(|a, b| a.1 == b.1);
    for (reason, failure) in unread {
        found.cannot(format!("events ({reason})"), failure.message);
    }
    for (kind, controller) in dependents::KINDS {
        if let Some(objects) = objects(source, kind, &mut found).await {
            dependents::tell(kind, controller, &objects, inventory, &mut found);
        }
    }
    if let Some(redirects) = objects(source, dependents::REDIRECTS, &mut found).await {
        local_dns::tell_redirects(&redirects, &mut found);
    }
    asked_for(source, inventory, wish, None, &mut found).await;
    found.sort();
    found
}

/// What was asked for by name, logs and buffers, of these nodes or of all. What was saved is read without being asked.
pub async fn asked_for<S: Source>(
    source: &S,
    inventory: &Inventory,
    wish: &Wish,
    nodes: Option<&[String]>,
    found: &mut Symptoms,
) {
    if wish.logs || source.is_saved() {
        read_logs(source, inventory, wish.logs, nodes, found).await;
    }
    if wish.prometheus.is_some() || source.is_saved() {
        ask_prometheus(source, inventory, wish, found).await;
    }
    if let Some(nodes) = nodes {
        found.nodes.retain(|node, _| nodes.contains(node));
    }
    found.sort();
}

/// What events sum up to.
#[derive(Default)]
struct Sums {
    tally: Tally,
    not_ready: NotReady,
}

impl Sums {
    fn take(&mut self, event: &crate::gather::cluster::Event) {
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

async fn objects<S: Source>(source: &S, kind: ForeignKind, found: &mut Symptoms) -> Option<Vec<Custom>> {
    let what = Further::Objects(kind);
    match source.further(&what).await {
        Ok(bytes) => match serde_json::from_slice::<Page<Custom>>(&bytes) {
            Ok(page) => Some(page.items),
            Err(error) => {
                found.cannot(what.to_string(), format!("it is not readable: {error}"));
                None
            }
        },
        // Not installed.
        Err(failure) if failure.kind == FailureKind::NotFound => None,
        Err(failure) => {
            found.cannot(what.to_string(), failure.message);
            None
        }
    }
}

/// The pods whose logs are read, those with symptoms first, and which container of each.
fn with_logs<'a>(inventory: &'a Inventory, found: &Symptoms, nodes: Option<&[String]>) -> Vec<(&'a Pod, String)> {
    let pods = Pods::of(inventory);
    let meant = |pod: &&Pod| pod.is_alive() && nodes.is_none_or(|nodes| nodes.contains(&pod.spec.node_name));
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
    let mut turn: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
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

async fn read_logs<S: Source>(
    source: &S,
    inventory: &Inventory,
    asked: bool,
    nodes: Option<&[String]>,
    found: &mut Symptoms,
) {
    use futures::StreamExt as _;
    let chosen = with_logs(inventory, found, nodes);
    // What was saved costs nothing, and which logs were read then is not known: all that are there count.
    let chosen: Vec<(&Pod, String)> = if source.is_saved() {
        let meant = |pod: &&Pod| nodes.is_none_or(|nodes| nodes.contains(&pod.spec.node_name));
        let pods = inventory.pods.iter().flatten().filter(meant);
        pods.flat_map(|pod| pod.spec.containers.iter().map(move |c| (pod, c.name.clone()))).collect()
    } else {
        chosen
    };
    let read: Vec<_> = futures::stream::iter(&chosen)
        .map(|(pod, container)| async move {
            let reference = pod.reference();
            let log = source.further(&Further::Log { pod: &reference, container }).await;
            (*pod, reference, container, log)
        })
        .buffered(LOGS_AT_ONCE)
        .collect()
        .await;
    let mut refused: Vec<(String, Failure)> = Vec::new();
    for (pod, reference, container, log) in read {
        match log {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                for symptom in logs::read(&text, &reference, container, pod.spec.host_network) {
                    found.add(Some(&pod.spec.node_name), symptom);
                }
            }
            Err(failure) if failure.kind == FailureKind::NotFound && !asked => {}
            Err(failure) => refused.push((reference.to_string(), failure)),
        }
    }
    if let Some((first, failure)) = refused.first() {
        let others =
            if refused.len() > 1 { format!(" and of {} other pods", refused.len() - 1) } else { String::new() };
        found.cannot(format!("the log of {first}{others}"), failure.message.clone());
    }
}

async fn ask_prometheus<S: Source>(source: &S, inventory: &Inventory, wish: &Wish, found: &mut Symptoms) {
    let at = wish.prometheus.as_ref();
    let pods = Pods::of(inventory);
    let moment = inventory.origin.captured_at.as_deref();
    let fill = ask(source, "buffer-fill", buffers::FILL, at).await;
    match fill {
        Ok(None) => {}
        Ok(Some(fill)) => {
            let sent = match ask(source, "sent-bytes", buffers::SENT, at).await {
                Ok(sent) => sent,
                Err(why) => {
                    found.cannot("buffers: what was sent", why);
                    None
                }
            };
            buffers::tell(&fill, sent.as_deref(), &pods, moment, found);
        }
        Err(why) => {
            // Who does not answer the first question is not asked a second one.
            found.cannot("buffers", why);
            if at.is_some() {
                return;
            }
        }
    }
    if at.is_none() && wish.queries.is_empty() {
        saved_answers(source, &pods, moment, found).await;
    }
    for (nth, query) in wish.queries.iter().take(MOST_QUERIES).enumerate() {
        match ask(source, &format!("query-{}", nth + 1), query, at).await {
            Ok(Some(answer)) => buffers::tell_own(query, &answer, &pods, moment, found),
            Ok(None) => found.cannot(format!("the answer to '{query}'"), "it was not saved"),
            Err(why) => found.cannot(format!("the answer to '{query}'"), why),
        }
    }
}

/// The answers to questions of one's own that were saved.
async fn saved_answers<S: Source>(source: &S, pods: &Pods<'_>, moment: Option<&str>, found: &mut Symptoms) {
    for nth in 1..=MOST_QUERIES {
        let name = format!("query-{nth}");
        match source.further(&Further::Metrics { name: &name, query: "", at: None }).await {
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
async fn ask<S: Source>(
    source: &S,
    name: &str,
    query: &str,
    at: Option<&Prometheus>,
) -> Result<Option<Vec<buffers::Series>>, String> {
    match source.further(&Further::Metrics { name, query, at }).await {
        Ok(bytes) => buffers::series(&bytes).map(Some),
        Err(failure) if failure.kind == FailureKind::NotFound && source.is_saved() => Ok(None),
        Err(failure) => Err(failure.message),
    }
}
