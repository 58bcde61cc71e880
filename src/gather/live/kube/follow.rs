//! Follows a list of the cluster: read once, then kept up to date by a watch, for as long as the program runs.
//!
//! A watch costs the API server one open connection and only what changes, where a list that is read every half minute
//! would cost it every pod of the cluster each time. What the watch says is replayed where it broke off; where the API
//! server no longer knows that point (410), the list is read anew. Nothing here gives up: an API server that is away is
//! asked again, later each time, and meanwhile the list says that it is out of touch.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use ::kube::api::WatchParams;
use ::kube::core::{Request, WatchEvent};
use ::kube::{Error, Resource};
use futures::StreamExt as _;
use http::StatusCode;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Cluster, Right, Selection, failure, late, refusal};
use crate::base::failure::Failure;
use crate::base::labels::Text;
use crate::kubernetes::arguments::keep_only_needed_arguments;
use crate::kubernetes::objects::{Condition, Meta, Node, Pod};

/// How long one watch lasts; then the next goes on where it ended.
const WATCH: Duration = Duration::from_secs(240);
/// How much later than asked an API server may end a watch before it counts as silent.
const SLACK: Duration = Duration::from_secs(20);
/// Before the first try after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// An object whose list can be followed.
pub trait Follow: Clone + DeserializeOwned {
    /// Its metadata.
    fn meta(&self) -> &Meta;

    /// Drops what is not needed, before they are kept.
    fn slim(_items: &mut [Self]) {}
}

impl Follow for Node {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

impl Follow for Pod {
    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn slim(items: &mut [Self]) {
        for pod in items.iter_mut() {
            // No other condition is looked at, and there may be ten thousands of pods.
            let conditions = std::mem::take(&mut pod.status.conditions).into_iter();
            let ready = conditions.filter(|condition| condition.r#type == "Ready");
            pod.status.conditions = ready.map(|ready| Condition { message: Text::default(), ..ready }).collect();
        }
        keep_only_needed_arguments(items);
    }
}

/// A list that is kept up to date.
#[derive(Debug)]
pub struct Followed<T> {
    items: BTreeMap<String, T>,
    /// While the objects are lent: what changed meanwhile; none is one that went.
    meanwhile: Option<BTreeMap<String, Option<T>>>,
    complete: bool,
    out_of_touch: Option<Failure>,
}

impl<T> Default for Followed<T> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), meanwhile: None, complete: false, out_of_touch: None }
    }
}

impl<T: Follow> Followed<T> {
    /// The objects, sorted by namespace and name.
    pub fn items(&self) -> impl Iterator<Item = &T> {
        self.items.values()
    }

    /// Whether the list was read to its end at least once.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// Why the list may be out of date; none while it is followed.
    #[must_use]
    pub const fn out_of_touch(&self) -> Option<&Failure> {
        self.out_of_touch.as_ref()
    }

    /// Keeps an object as an answer to a request of our own showed it, before the watch says the same. One that the watch
    /// took away meanwhile stays away.
    pub fn refresh(&mut self, item: T) {
        if let Some(known) = self.items.get_mut(&key(item.meta())).filter(|known| known.meta().uid == item.meta().uid) {
            *known = slimmed(item);
        }
    }

    /// Hands the objects out, so that a second copy of a large list is not needed; until they are given back there are
    /// none, and what changes is noted.
    pub fn lend(&mut self) -> Vec<T> {
        self.meanwhile = Some(BTreeMap::new());
        std::mem::take(&mut self.items).into_values().collect()
    }

    /// Takes the objects back that were lent, and brings them up to date. If the list was read anew meanwhile, that one
    /// stands.
    pub fn give_back(&mut self, lent: Vec<T>) {
        let Some(meanwhile) = self.meanwhile.take() else { return };
        self.items = lent.into_iter().map(|item| (key(item.meta()), item)).collect();
        for (key, change) in meanwhile {
            match change {
                Some(item) => drop(self.items.insert(key, item)),
                None => drop(self.items.remove(&key)),
            }
        }
    }

    fn put(&mut self, item: T) {
        let (key, item) = (key(item.meta()), slimmed(item));
        match &mut self.meanwhile {
            Some(meanwhile) => drop(meanwhile.insert(key, Some(item))),
            None => drop(self.items.insert(key, item)),
        }
    }

    fn remove(&mut self, item: &T) {
        let key = key(item.meta());
        match &mut self.meanwhile {
            Some(meanwhile) => drop(meanwhile.insert(key, None)),
            None => drop(self.items.remove(&key)),
        }
    }

    fn replace(&mut self, items: Vec<T>) {
        self.meanwhile = None;
        self.items = items.into_iter().map(|item| (key(item.meta()), item)).collect();
        self.complete = true;
        self.out_of_touch = None;
    }
}

fn slimmed<T: Follow>(item: T) -> T {
    let mut one = [item];
    T::slim(&mut one);
    let [item] = one;
    item
}

fn key(meta: &Meta) -> String {
    format!("{}/{}", meta.namespace, meta.name)
}

/// How a watch ended.
enum WatchEnd {
    /// In good order, or broken off: the next goes on at the same point.
    Goes,
    /// Its point is too old: the list has to be read anew.
    Expired,
    /// It did not begin, or went silent.
    Failed(Failure),
}

impl Cluster {
    /// Keeps a list up to date; never returns.
    pub async fn follow<K, T>(&self, into: &RefCell<Followed<T>>)
    where
        K: Resource<DynamicType = ()>,
        T: Follow,
    {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.list_with_version::<K, T>(Selection::default(), T::slim).await {
                Ok((items, version)) => {
                    into.borrow_mut().replace(items);
                    pause = FIRST_PAUSE;
                    self.watch_from::<K, T>(version.unwrap_or_default(), into).await;
                }
                Err(failure) => {
                    into.borrow_mut().out_of_touch = Some(failure);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            sleep(pause).await;
        }
    }

    /// Follows from a version on until that is too old to go on from.
    async fn watch_from<K, T>(&self, mut version: String, into: &RefCell<Followed<T>>)
    where
        K: Resource<DynamicType = ()>,
        T: Follow,
    {
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            match self.watch_once::<K, T>(&mut version, into).await {
                WatchEnd::Expired => return,
                WatchEnd::Goes => pause = FIRST_PAUSE,
                WatchEnd::Failed(failure) => {
                    tracing::debug!(list = %K::plural(&()), %failure, "watch failed");
                    into.borrow_mut().out_of_touch = Some(failure);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            // A server that ends each watch at once is not asked in a hurry.
            sleep(pause.saturating_sub(begun.elapsed())).await;
        }
    }

    async fn watch_once<K, T>(&self, version: &mut String, into: &RefCell<Followed<T>>) -> WatchEnd
    where
        K: Resource<DynamicType = ()>,
        T: Follow,
    {
        let resource = K::plural(&());
        let right = Right { verbs: "`watch`", resource: &resource, namespace: None };
        let params = WatchParams::default().timeout(u32::try_from(WATCH.as_secs()).unwrap_or(240));
        let request = match Request::new(K::url_path(&(), None)).watch(&params, version) {
            Ok(request) => request,
            Err(error) => return WatchEnd::Failed(failure(&Error::BuildRequest(error), &right)),
        };
        let ends = Instant::now() + WATCH + SLACK;
        let begun = timeout(self.request_timeout, self.client.request_events::<T>(request)).await;
        let events = match begun {
            Err(_) => return WatchEnd::Failed(late(&format!("no watch of {resource}"), self.request_timeout)),
            Ok(Err(Error::Api(status))) if status.code == StatusCode::GONE.as_u16() => return WatchEnd::Expired,
            Ok(Err(Error::Api(status))) if status.code == StatusCode::TOO_MANY_REQUESTS.as_u16() => {
                sleep(self.busy.wait(1)).await;
                return WatchEnd::Failed(refusal(&status, &right));
            }
            Ok(Err(error)) => return WatchEnd::Failed(failure(&error, &right)),
            Ok(Ok(events)) => events,
        };
        into.borrow_mut().out_of_touch = None;
        let mut events = std::pin::pin!(events);
        loop {
            let event = match timeout_at(ends, events.next()).await {
                Err(_) => {
                    return WatchEnd::Failed(late(&format!("the watch of {resource} did not end"), WATCH + SLACK));
                }
                Ok(None | Some(Err(_))) => return WatchEnd::Goes,
                Ok(Some(Ok(event))) => event,
            };
            match event {
                WatchEvent::Added(item) | WatchEvent::Modified(item) => into.borrow_mut().put(item),
                WatchEvent::Deleted(item) => into.borrow_mut().remove(&item),
                WatchEvent::Bookmark(bookmark) => *version = bookmark.metadata.resource_version,
                WatchEvent::Error(status) if status.code == StatusCode::GONE.as_u16() => return WatchEnd::Expired,
                WatchEvent::Error(status) => return WatchEnd::Failed(refusal(&status, &right)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(uid: &str, label: &str) -> Node {
        let node = json!({"metadata": {"name": "brno", "uid": uid, "labels": {"is": label}}});
        serde_json::from_value(node).expect("a node")
    }

    #[test]
    fn answer_that_comes_after_the_watch_took_the_object_away_brings_no_ghost() {
        let mut followed = Followed::default();
        followed.put(node("1", "old"));
        followed.refresh(node("1", "new"));
        assert_eq!(followed.items().next(), Some(&node("1", "new")));
        followed.put(node("2", "another"));
        followed.refresh(node("1", "late"));
        assert_eq!(followed.items().next(), Some(&node("2", "another")), "another of that name is there");
        followed.remove(&node("2", "another"));
        followed.refresh(node("2", "late"));
        assert_eq!(followed.items().count(), 0);
    }

    #[test]
    fn what_changes_while_the_objects_are_lent_is_there_when_they_come_back() {
        let named = |name: &str, label: &str| -> Node {
            let node = json!({"metadata": {"name": name, "labels": {"is": label}}});
            serde_json::from_value(node).expect("a node")
        };
        let mut followed = Followed::default();
        followed.replace(vec![named("a", "old"), named("b", "old"), named("c", "old")]);
        let lent = followed.lend();
        assert_eq!((lent.len(), followed.items().count()), (3, 0));
        followed.put(named("a", "new"));
        followed.remove(&named("b", "old"));
        followed.put(named("d", "new"));
        followed.give_back(lent);
        let now: Vec<&Node> = followed.items().collect();
        assert_eq!(now, [&named("a", "new"), &named("c", "old"), &named("d", "new")]);
        let lent = followed.lend();
        followed.replace(vec![named("e", "new")]);
        followed.give_back(lent);
        assert_eq!(followed.items().collect::<Vec<_>>(), [&named("e", "new")], "a list that was read anew stands");
    }
}
