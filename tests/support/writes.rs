//! What a cluster does when it is written to: rights, Leases, Events, and a DaemonSet that replaces its pods.
//!
//! Answers and times are those of `delete-evict.json`, `lease.json`, `events.json`, `access-review.json` and
//! `watch-daemonset-replacement.json`; the pauses between the stages of a replacement can be made shorter.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::{Answer, Request};
use super::lists::not_found;
use super::world::{ExecRule, World};

/// A right that a user has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    pub(crate) group: String,
    pub(crate) resource: String,
    pub(crate) verb: String,
    /// None: all.
    pub(crate) namespace: Option<String>,
    /// None: all.
    pub(crate) name: Option<String>,
}

/// What a cluster does about writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writes {
    /// The only rights there are; none: everything is allowed.
    pub(crate) rights: Option<Vec<Allowed>>,
    /// The Leases.
    pub(crate) leases: Vec<Value>,
    /// The Events of events.k8s.io that were written.
    pub(crate) events: Vec<Value>,
    /// What the server says of the time in its `Date` header; none: nothing.
    pub(crate) date: Option<String>,
    /// Whether pods that are deleted stay, because nobody on the node ends them.
    pub(crate) kubelet_is_dead: bool,
    /// How long a new pod takes to become ready.
    pub(crate) ready_after: Duration,
    /// What the commands answer on the node as soon as the new agent is ready.
    pub(crate) cure: Vec<ExecRule>,
    version: u64,
    ending: Vec<(Instant, String)>,
    starting: Vec<(Instant, String)>,
    serial: u32,
}

fn stamp() -> String {
    staledp::base::clock::now().to_string()
}

/// What an authorizer looks at.
fn attributes(request: &Request) -> Option<Allowed> {
    let words: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
    let (group, words) = match words.as_slice() {
        ["api", "v1", words @ ..] => ("", words),
        ["apis", group, _, words @ ..] => (*group, words),
        _ => return None,
    };
    let (namespace, words) = match words {
        ["namespaces", namespace, words @ ..] if !words.is_empty() => (Some(*namespace), words),
        words => (None, words),
    };
    let (resource, name) = match words {
        [kind] => ((*kind).to_owned(), None),
        [kind, name] => ((*kind).to_owned(), Some(*name)),
        // A proxy has a path of its own behind it.
        [kind, name, sub] | [kind, name, sub @ "proxy", ..] => (format!("{kind}/{sub}"), Some(*name)),
        _ => return None,
    };
    let verb = match (request.method.as_str(), name) {
        ("GET", Some(_)) => "get",
        ("GET", None) if request.flag("watch") => "watch",
        ("GET", None) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("DELETE", _) => "delete",
        _ => "patch",
    };
    Some(Allowed {
        group: group.to_owned(),
        resource,
        verb: verb.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: name.map(str::to_owned),
    })
}

impl Writes {
    fn allows(&self, asked: &Allowed) -> bool {
        let Some(rights) = &self.rights else { return true };
        let is = |had: &Option<String>, wanted: &Option<String>| had.is_none() || had == wanted;
        rights.iter().any(|had| {
            (&had.group, &had.resource, &had.verb) == (&asked.group, &asked.resource, &asked.verb)
                && is(&had.namespace, &asked.namespace)
                && is(&had.name, &asked.name)
        })
    }

    /// Whether the rights are not enough for a request. Reviews are open to everybody.
    pub(crate) fn refuses(&self, request: &Request) -> bool {
        let Some(mut asked) = attributes(request) else { return false };
        if asked.group.ends_with("authorization.k8s.io") {
            return false;
        }
        // A WebSocket exec is a GET, and newer API servers ask for `create`, too.
        if asked.resource == "pods/exec" {
            let get = self.allows(&asked);
            "create".clone_into(&mut asked.verb);
            return !(get && self.allows(&asked));
        }
        // A PUT of what is not there creates it.
        if asked.resource == "leases" && asked.verb == "update" && self.leases.is_empty() {
            let update = self.allows(&asked);
            "create".clone_into(&mut asked.verb);
            return !(update && self.allows(&asked));
        }
        !self.allows(&asked)
    }
}

/// Lets the cluster go on to now.
pub(crate) fn advance(world: &mut World) {
    let now = Instant::now();
    let gone: Vec<String> = due(&mut world.writes.ending, now);
    world.pods.retain(|pod| !gone.iter().any(|uid| pod["metadata"]["uid"] == **uid));
    for uid in due(&mut world.writes.starting, now) {
        let since = stamp();
        if let Some(pod) = world.pods.iter_mut().find(|pod| pod["metadata"]["uid"] == *uid) {
            pod["status"]["conditions"] = json!([{"type": "Ready", "status": "True", "lastTransitionTime": since}]);
            pod["status"]["containerStatuses"][0]["ready"] = true.into();
        }
        let cure = world.writes.cure.clone();
        world.execs.extend(cure);
    }
}

fn due(waiting: &mut Vec<(Instant, String)>, now: Instant) -> Vec<String> {
    let (due, rest) = std::mem::take(waiting).into_iter().partition(|(at, _)| *at <= now);
    *waiting = rest;
    due.into_iter().map(|(_, uid)| uid).collect()
}

/// Answers a request that is no GET; none where it is none of these.
pub(crate) fn answer(world: &mut World, request: &Request) -> Option<Answer> {
    let words: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
    let body = || serde_json::from_slice::<Value>(&request.body).unwrap_or(Value::Null);
    match (request.method.as_str(), words.as_slice()) {
        ("POST", ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"]) => {
            let mut review = body();
            let asked = &review["spec"]["resourceAttributes"];
            let text = |key: &str| asked[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
            let resource = text("resource").unwrap_or_default();
            let allowed = world.writes.allows(&Allowed {
                group: text("group").unwrap_or_default(),
                resource: text("subresource").map_or(resource.clone(), |sub| format!("{resource}/{sub}")),
                verb: text("verb").unwrap_or_default(),
                namespace: text("namespace"),
                name: text("name"),
            });
            review["status"] = json!({"allowed": allowed});
            Some(Answer::json(201, &review))
        }
        (method, ["apis", "coordination.k8s.io", "v1", "namespaces", namespace, "leases", name]) => {
            Some(lease(&mut world.writes, method, namespace, name, body()))
        }
        ("POST", ["apis", "events.k8s.io", "v1", "namespaces", _, "events"]) => Some(event(world, &body())),
        ("PATCH", ["api", "v1", "nodes", name, "status"]) => Some(node_status(world, name, request)),
        ("DELETE", ["api", "v1", "namespaces", namespace, "pods", name]) => {
            Some(delete(world, namespace, name, request))
        }
        _ => None,
    }
}

/// A strategic merge of a node's status: conditions are merged by their type.
fn node_status(world: &mut World, name: &str, request: &Request) -> Answer {
    if request.header("content-type") != Some("application/strategic-merge-patch+json") {
        return Answer::failure(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format",
            Value::Null,
        );
    }
    let patch = serde_json::from_slice::<Value>(&request.body).unwrap_or(Value::Null);
    let Some(node) = world.nodes.iter_mut().find(|node| node["metadata"]["name"] == name) else {
        return not_found("nodes", name);
    };
    let uid = &patch["metadata"]["uid"];
    if !uid.is_null() && *uid != node["metadata"]["uid"] {
        let message = format!("Node \"{name}\" is invalid: metadata.uid: Invalid value: {uid}: field is immutable");
        return Answer::failure(422, "Invalid", &message, json!({"name": name, "kind": "Node"}));
    }
    let Some(conditions) = node["status"]["conditions"].as_array_mut() else {
        return Answer::failure(500, "InternalError", "the node has no conditions", Value::Null);
    };
    for wanted in patch["status"]["conditions"].as_array().into_iter().flatten() {
        let at = conditions.iter().position(|condition| condition["type"] == wanted["type"]);
        match (at, wanted["$patch"] == "delete") {
            (Some(at), true) => drop(conditions.remove(at)),
            (None, true) => {}
            (Some(at), false) => {
                if let (Some(condition), Some(wanted)) = (conditions[at].as_object_mut(), wanted.as_object()) {
                    condition.extend(wanted.clone());
                }
            }
            (None, false) => conditions.push(wanted.clone()),
        }
    }
    Answer::json(200, node)
}

/// A time with exactly six decimals.
fn is_micro_time(value: &Value) -> bool {
    let decimals = value.as_str().and_then(|text| text.strip_suffix('Z')?.split_once('.').map(|(_, rest)| rest.len()));
    value.is_null() || decimals == Some(6)
}

fn lease(writes: &mut Writes, method: &str, namespace: &str, name: &str, mut body: Value) -> Answer {
    let details = json!({"name": name, "group": "coordination.k8s.io", "kind": "leases"});
    let conflict = |why: &str| {
        let message = format!("Operation cannot be fulfilled on leases.coordination.k8s.io \"{name}\": {why}");
        Answer::failure(409, "Conflict", &message, details.clone())
    };
    let at = writes
        .leases
        .iter()
        .position(|lease| lease["metadata"]["name"] == name && lease["metadata"]["namespace"] == namespace);
    match (method, at) {
        ("GET", None) => {
            let message = format!("leases.coordination.k8s.io \"{name}\" not found");
            Answer::failure(404, "NotFound", &message, details)
        }
        ("GET", Some(at)) => Answer::json(200, &writes.leases[at]),
        ("PUT", _) => {
            let times = ["acquireTime", "renewTime"];
            if !times.iter().all(|key| is_micro_time(&body["spec"][*key])) {
                let message = "Lease in version \"v1\" cannot be handled as a Lease: parsing time";
                return Answer::failure(400, "BadRequest", message, Value::Null);
            }
            if body["spec"]["leaseDurationSeconds"] == 0 {
                return Answer::failure(422, "Invalid", "spec.leaseDurationSeconds: must be greater than 0", details);
            }
            let wanted = body["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
            writes.version += 1;
            let version = (4000 + writes.version).to_string();
            match at {
                None if !wanted.is_empty() => {
                    conflict("StorageError: invalid object, Code: 4, AdditionalErrorMsg: Precondition failed")
                }
                None => {
                    body["metadata"]["uid"] = "3df9a509-9c67-44e5-a0d0-3b6be601189a".into();
                    body["metadata"]["resourceVersion"] = version.into();
                    writes.leases.push(body.clone());
                    Answer::json(201, &body)
                }
                Some(_) if wanted.is_empty() => {
                    let message = format!(
                        "leases.coordination.k8s.io \"{name}\" is invalid: metadata.resourceVersion: Invalid value: 0: \
                         must be specified for an update"
                    );
                    Answer::failure(422, "Invalid", &message, details)
                }
                Some(at) if writes.leases[at]["metadata"]["resourceVersion"] != *wanted => conflict(
                    "the object has been modified; please apply your changes to the latest version and try again",
                ),
                Some(at) => {
                    body["metadata"]["resourceVersion"] = version.into();
                    writes.leases[at] = body.clone();
                    Answer::json(200, &body)
                }
            }
        }
        _ => Answer::failure(405, "MethodNotAllowed", "the server does not allow this method", Value::Null),
    }
}

fn event(world: &mut World, body: &Value) -> Answer {
    let needed = ["action", "reason", "reportingController", "reportingInstance"];
    let bad = needed.iter().find(|key| body[**key].as_str().is_none_or(str::is_empty)).copied();
    let bad =
        bad.or_else(|| (body["eventTime"].is_null() || !is_micro_time(&body["eventTime"])).then_some("eventTime"));
    let bad = bad.or_else(|| (body["note"].as_str().is_none_or(|note| note.len() > 1024)).then_some("note"));
    let bad =
        bad.or_else(|| body["reportingInstance"].as_str().is_none_or(|text| text.len() > 128).then_some("instance"));
    if let Some(bad) = bad {
        return Answer::failure(422, "Invalid", &format!("Event \"\" is invalid: {bad}: Required value"), Value::Null);
    }
    world.events.push(json!({
        "metadata": {"name": format!("staledp-{}", world.writes.events.len()),
                     "namespace": body["metadata"]["namespace"]},
        "involvedObject": body["regarding"], "reason": body["reason"], "message": body["note"], "type": body["type"],
        "reportingComponent": body["reportingController"], "eventTime": body["eventTime"],
    }));
    world.writes.events.push(body.clone());
    Answer::json(201, body)
}

fn delete(world: &mut World, namespace: &str, name: &str, request: &Request) -> Answer {
    let options = serde_json::from_slice::<Value>(&request.body).unwrap_or(Value::Null);
    let asked = options["dryRun"].as_array().into_iter().flatten().find(|value| *value != "All");
    if let Some(asked) = asked {
        let message = format!(
            "DeleteOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [{asked}]: supported values: \"All\""
        );
        return Answer::failure(422, "Invalid", &message, json!({"group": "meta.k8s.io", "kind": "DeleteOptions"}));
    }
    let Some(at) =
        world.pods.iter().position(|pod| pod["metadata"]["namespace"] == namespace && pod["metadata"]["name"] == name)
    else {
        return not_found("pods", name);
    };
    let uid = world.pods[at]["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let wanted = &options["preconditions"]["uid"];
    if !wanted.is_null() && *wanted != *uid {
        let message = format!(
            "Operation cannot be fulfilled on Pod \"{name}\": the UID in the precondition ({}) does not match the UID \
             in record ({uid}). The object might have been deleted and then recreated",
            wanted.as_str().unwrap_or_default()
        );
        return Answer::failure(409, "Conflict", &message, json!({"name": name, "kind": "Pod"}));
    }
    if request.verb() != "DELETE" {
        let mut pod = world.pods[at].clone();
        pod["metadata"]["deletionTimestamp"] = stamp().into();
        return Answer::json(200, &pod);
    }
    let now = Instant::now();
    let pod = &mut world.pods[at];
    pod["metadata"]["deletionTimestamp"] = stamp().into();
    pod["metadata"]["deletionGracePeriodSeconds"] = 1.into();
    let answer = Answer::json(200, pod);
    let replaced = pod["metadata"]["ownerReferences"][0]["kind"] == "DaemonSet";
    if replaced && !world.writes.kubelet_is_dead {
        replace(world, at, &uid, now);
    }
    answer
}

/// Old and new are there together for a second, as was seen.
fn replace(world: &mut World, at: usize, uid: &str, now: Instant) {
    let writes = &mut world.writes;
    writes.serial += 1;
    let mut new = world.pods[at].clone();
    let since = stamp();
    let new_uid = format!("{uid}-{}", writes.serial);
    new["metadata"]["name"] = format!("cilium-q87g{}", writes.serial).into();
    new["metadata"]["uid"] = new_uid.clone().into();
    new["metadata"]["creationTimestamp"] = since.clone().into();
    if let Some(metadata) = new["metadata"].as_object_mut() {
        metadata.remove("deletionTimestamp");
        metadata.remove("deletionGracePeriodSeconds");
    }
    new["status"]["startTime"] = since.clone().into();
    new["status"]["conditions"] = json!([{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]);
    new["status"]["containerStatuses"][0]["ready"] = false.into();
    new["status"]["containerStatuses"][0]["state"] = json!({"running": {"startedAt": since}});
    world.pods.push(new);
    writes.ending.push((now + Duration::from_secs(1), uid.to_owned()));
    writes.starting.push((now + writes.ready_after, new_uid));
}
