//! Lists and single objects: selectors, pages, and how the API server words a refusal.

use serde_json::{Value, json};

use super::http::{Answer, Request};
use super::world::World;

/// The resourceVersion of every list: nothing changes here between two pages.
const RESOURCE_VERSION: &str = "4577";

/// One kind of object that is served.
struct Resource {
    prefix: &'static str,
    plural: &'static str,
    kind: &'static str,
    version: &'static str,
    namespaced: bool,
    items: fn(&World) -> &[Value],
    fields: &'static [&'static str],
}

const RESOURCES: [Resource; 7] = [
    Resource {
        prefix: "/api/v1",
        plural: "nodes",
        kind: "Node",
        version: "v1",
        namespaced: false,
        items: |world| &world.nodes,
        fields: &["metadata.name", "spec.unschedulable"],
    },
    Resource {
        prefix: "/api/v1",
        plural: "pods",
        kind: "Pod",
        version: "v1",
        namespaced: true,
        items: |world| &world.pods,
        fields: &[
            "metadata.name",
            "metadata.namespace",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
    },
    Resource {
        prefix: "/api/v1",
        plural: "services",
        kind: "Service",
        version: "v1",
        namespaced: true,
        items: |world| &world.services,
        fields: &["metadata.name", "metadata.namespace", "spec.clusterIP", "spec.type"],
    },
    Resource {
        prefix: "/api/v1",
        plural: "events",
        kind: "Event",
        version: "v1",
        namespaced: true,
        items: |world| &world.events,
        fields: &[
            "metadata.name",
            "metadata.namespace",
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
    },
    Resource {
        prefix: "/apis/discovery.k8s.io/v1",
        plural: "endpointslices",
        kind: "EndpointSlice",
        version: "discovery.k8s.io/v1",
        namespaced: true,
        items: |world| &world.endpoint_slices,
        fields: &["metadata.name", "metadata.namespace"],
    },
    Resource {
        prefix: "/apis/apps/v1",
        plural: "daemonsets",
        kind: "DaemonSet",
        version: "apps/v1",
        namespaced: true,
        items: |world| &world.daemon_sets,
        fields: &["metadata.name", "metadata.namespace"],
    },
    Resource {
        prefix: "/apis/apps/v1",
        plural: "controllerrevisions",
        kind: "ControllerRevision",
        version: "apps/v1",
        namespaced: true,
        items: |world| &world.revisions,
        fields: &["metadata.name", "metadata.namespace"],
    },
];

/// What a path asks for.
struct Wanted<'a> {
    resource: &'static Resource,
    namespace: Option<&'a str>,
    name: Option<&'a str>,
}

fn wanted(path: &str) -> Option<Wanted<'_>> {
    RESOURCES.iter().find_map(|resource| {
        let rest = path.strip_prefix(resource.prefix)?.strip_prefix('/')?;
        let words: Vec<_> = rest.split('/').collect();
        let (namespace, words) = match *words.as_slice() {
            ["namespaces", namespace, ref words @ ..] if resource.namespaced => (Some(namespace), words.to_vec()),
            _ => (None, words),
        };
        match *words.as_slice() {
            [plural] if plural == resource.plural => Some(Wanted { resource, namespace, name: None }),
            [plural, name] if plural == resource.plural && (namespace.is_some() || !resource.namespaced) => {
                Some(Wanted { resource, namespace, name: Some(name) })
            }
            _ => None,
        }
    })
}

/// The objects that a watch is about, with their kind and apiVersion; none where the request is no watch.
pub(crate) fn watched(world: &World, request: &Request) -> Option<Vec<Value>> {
    if request.method != "GET" || !request.flag("watch") {
        return None;
    }
    let wanted = wanted(&request.path).filter(|wanted| wanted.name.is_none())?;
    let here = |item: &&Value| wanted.namespace.is_none_or(|namespace| item["metadata"]["namespace"] == namespace);
    let whole = |item: &Value| {
        let mut object = json!({"kind": wanted.resource.kind, "apiVersion": wanted.resource.version});
        if let (Some(object), Some(item)) = (object.as_object_mut(), item.as_object()) {
            object.extend(item.iter().filter(|(key, _)| !is_type(key)).map(|(k, v)| (k.clone(), v.clone())));
        }
        object
    };
    Some((wanted.resource.items)(world).iter().filter(here).map(whole).collect())
}

/// Answers a GET of a list or an object; none where the path is neither.
pub(crate) fn get(world: &World, request: &Request) -> Option<Answer> {
    let wanted = wanted(&request.path)?;
    Some(match wanted.name {
        Some(name) => single(world, &wanted, name),
        None => list(world, &wanted, request).unwrap_or_else(|refusal| *refusal),
    })
}

/// The RBAC refusal of a request, in the API server's words.
pub(crate) fn forbidden(request: &Request, user: &str, with_words: bool) -> Answer {
    let (resource, group, namespace, name, verb) = if let Some(wanted) = wanted(&request.path) {
        let group = wanted.resource.version.split_once('/').map_or("", |(group, _)| group);
        let verb = if wanted.name.is_some() { "get" } else { "list" };
        (wanted.resource.plural.to_owned(), group, wanted.namespace, wanted.name, verb)
    } else {
        let words: Vec<_> = request.path.split('/').collect();
        match *words.as_slice() {
            [_, "api", "v1", "namespaces", namespace, kind, name, sub] => {
                (format!("{kind}/{sub}"), "", Some(namespace), Some(name), "get")
            }
            _ => (String::new(), "", None, None, "get"),
        }
    };
    let kind = resource.split('/').next().unwrap_or_default();
    let what = name.map_or_else(|| kind.to_owned(), |name| format!("{kind} \"{name}\""));
    let place =
        namespace.map_or_else(|| "at the cluster scope".to_owned(), |name| format!("in the namespace \"{name}\""));
    let words = if with_words {
        format!("User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" {place}")
    } else {
        String::new()
    };
    let mut details = json!({});
    if let Some(name) = name {
        details["name"] = name.into();
    }
    if !group.is_empty() {
        details["group"] = group.into();
    }
    details["kind"] = kind.into();
    Answer::failure(403, "Forbidden", &format!("{what} is forbidden: {words}"), details)
}

fn single(world: &World, wanted: &Wanted<'_>, name: &str) -> Answer {
    let found = (wanted.resource.items)(world).iter().find(|item| {
        item["metadata"]["name"] == name
            && wanted.namespace.is_none_or(|namespace| item["metadata"]["namespace"] == namespace)
    });
    if let Some(item) = found {
        let mut object = json!({"kind": wanted.resource.kind, "apiVersion": wanted.resource.version});
        if let (Some(object), Some(item)) = (object.as_object_mut(), item.as_object()) {
            object.extend(item.iter().filter(|(key, _)| !is_type(key)).map(|(k, v)| (k.clone(), v.clone())));
        }
        Answer::json(200, &object)
    } else {
        not_found(wanted.resource.plural, name)
    }
}

/// The 404 of an object that is not there.
pub(crate) fn not_found(plural: &str, name: &str) -> Answer {
    let details = json!({"name": name, "kind": plural});
    Answer::failure(404, "NotFound", &format!("{plural} \"{name}\" not found"), details)
}

/// A 400.
pub(crate) fn bad_request(message: &str) -> Answer {
    Answer::failure(400, "BadRequest", message, Value::Null)
}

fn list(world: &World, wanted: &Wanted<'_>, request: &Request) -> Result<Answer, Box<Answer>> {
    let labels = label_selector(request.param("labelSelector").unwrap_or_default())?;
    let fields = field_selector(request.param("fieldSelector").unwrap_or_default(), wanted.resource.fields)?;
    let limit = match request.param("limit").filter(|text| !text.is_empty()) {
        Some(text) => text
            .parse::<i64>()
            .map_err(|_| bad_request(&format!("strconv.ParseInt: parsing \"{text}\": invalid syntax")))?,
        None => 0,
    };
    let version = request.param("resourceVersion").unwrap_or_default();
    let start = match request.param("continue").filter(|token| !token.is_empty()) {
        Some(_) if !version.is_empty() => {
            return Err(bad_request("specifying resource version is not allowed when using continue").into());
        }
        Some(token) => start_of(token).ok_or_else(|| {
            bad_request(
                "invalid continue token: continue key is not valid: invalid character '\\u0081' looking for beginning \
                 of value",
            )
        })?,
        None => 0,
    };
    // As in etcd: by namespace and name, and a page ends where the limit does, whatever is left.
    let mut items: Vec<&Value> = (wanted.resource.items)(world)
        .iter()
        .filter(|item| wanted.namespace.is_none_or(|namespace| item["metadata"]["namespace"] == namespace))
        .filter(|item| labels.iter().all(|requirement| requirement.holds(item)))
        .filter(|item| fields.iter().all(|requirement| requirement.holds(item)))
        .collect();
    items.sort_by_cached_key(|item| (text(&item["metadata"]["namespace"]), text(&item["metadata"]["name"])));

    let limit = usize::try_from(limit).unwrap_or(0);
    // From its cache (resourceVersion=0) the API server answers the whole list, whatever the limit.
    let end = if limit == 0 || version == "0" { items.len() } else { items.len().min(start + limit) };
    let mut metadata = json!({"resourceVersion": RESOURCE_VERSION});
    if end < items.len() {
        metadata["continue"] = token(end).into();
        if labels.is_empty() && fields.is_empty() {
            metadata["remainingItemCount"] = (items.len() - end).into();
        }
    }
    let page: Vec<Value> = items.get(start..end).unwrap_or_default().iter().map(|item| bare(item)).collect();
    let body = json!({"kind": format!("{}List", wanted.resource.kind), "apiVersion": wanted.resource.version,
                      "metadata": metadata, "items": page});
    let mut answer = Answer::json(200, &body);
    answer.chunked = true;
    Ok(answer)
}

/// The token of the page that begins here. Opaque, and with characters that a client must encode.
fn token(start: usize) -> String {
    format!("{RESOURCE_VERSION}/{start}+=")
}

fn start_of(token: &str) -> Option<usize> {
    token.strip_suffix("+=")?.split_once('/')?.1.parse().ok()
}

/// The 410 of a token that is too old. It carries a fresh one, which goes on at the same place.
pub(crate) fn expired(request: &Request) -> Answer {
    let start = request.param("continue").and_then(start_of).unwrap_or(0);
    Answer::json(
        410,
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {"continue": token(start)}, "status": "Failure",
                "message": "The provided continue parameter is too old to display a consistent list result. You can \
                            start a new list without the continue parameter, or use the continue token in this \
                            response to retrieve the remainder of the results. Continuing with the provided token \
                            results in an inconsistent list - objects that were created, modified, or deleted between \
                            the time the first chunk was returned and now may show up in the list.",
                "reason": "Expired", "code": 410}),
    )
}

fn is_type(key: &str) -> bool {
    matches!(key, "kind" | "apiVersion")
}

/// An item of a list carries no kind and no apiVersion.
fn bare(item: &Value) -> Value {
    item.as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| !is_type(key))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// One condition of a selector: what is looked at, and what it may or may not be.
struct Requirement {
    path: Vec<String>,
    test: Test,
}

enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
}

impl Requirement {
    fn holds(&self, item: &Value) -> bool {
        let found = self.path.iter().try_fold(item, |value, key| value.get(key));
        let is_one_of = |values: &[String]| found.is_some_and(|value| values.contains(&text(value)));
        match &self.test {
            Test::Exists => found.is_some(),
            Test::Absent => found.is_none(),
            Test::In(values) => is_one_of(values),
            Test::NotIn(values) => !is_one_of(values),
        }
    }
}

fn label_selector(selector: &str) -> Result<Vec<Requirement>, Box<Answer>> {
    let refuse = |message: &str| Box::new(bad_request(&format!("unable to parse requirement: {message}")));
    split_outside_parentheses(selector)
        .into_iter()
        .map(|part| {
            let (key, test) = if let Some(key) = part.strip_prefix('!') {
                (key, Test::Absent)
            } else if let Some((key, value)) = part.split_once("!=") {
                (key, Test::NotIn(vec![value.trim().to_owned()]))
            } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                if value.starts_with('=') {
                    return Err(refuse("found '=', expected: identifier"));
                }
                (key, Test::In(vec![value.trim().to_owned()]))
            } else if let Some((key, rest)) = part.split_once(' ') {
                let (word, values) = rest.trim().split_once(['(', ' ']).unwrap_or((rest.trim(), ""));
                let values = values.trim_matches(['(', ')', ' ']).split(',').map(|v| v.trim().to_owned()).collect();
                match word.trim() {
                    "in" => (key, Test::In(values)),
                    "notin" => (key, Test::NotIn(values)),
                    other => {
                        return Err(refuse(&format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt")));
                    }
                }
            } else {
                (part, Test::Exists)
            };
            let path = ["metadata", "labels", key.trim()].map(str::to_owned).to_vec();
            Ok(Requirement { path, test })
        })
        .collect()
}

fn field_selector(selector: &str, known: &[&str]) -> Result<Vec<Requirement>, Box<Answer>> {
    selector
        .split(',')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let refuse =
                || Box::new(bad_request(&format!("invalid selector: '{selector}'; can't understand '{part}'")));
            let (key, test) = if let Some((key, value)) = part.split_once("!=") {
                (key, Test::NotIn(vec![value.to_owned()]))
            } else {
                let (key, value) = part.split_once("==").or_else(|| part.split_once('=')).ok_or_else(refuse)?;
                (key, Test::In(vec![value.to_owned()]))
            };
            if !known.contains(&key) {
                return Err(Box::new(bad_request(&format!("field label not supported: {key}"))));
            }
            Ok(Requirement { path: key.split('.').map(str::to_owned).collect(), test })
        })
        .collect()
}

fn split_outside_parentheses(selector: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    selector
        .split(|c: char| {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == ',' && depth == 0
        })
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect()
}
