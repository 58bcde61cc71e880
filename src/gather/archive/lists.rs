//! Kubernetes lists as a sysdump has them: YAML, often huge, read one object at a time into the slim shapes.

use std::io::{BufRead, BufReader, Read};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::base::failure::{Failure, FailureKind};
use crate::base::time::{Timestamp, moment};
use crate::kubernetes::objects::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice, Meta, ObjectRef};

/// The longest object, in bytes: etcd takes 1.5 MiB, and YAML is longer.
const MOST_OBJECT: usize = 8 << 20;
/// The longest line, in bytes.
const MOST_LINE: u64 = 4 << 20;
/// The most of one list, in bytes.
const MOST_LIST: u64 = 4 << 30;
/// Fields whose times have passed when the archive was made.
const PAST: [&str; 6] =
    ["lastHeartbeatTime", "lastTransitionTime", "lastTimestamp", "startedAt", "finishedAt", "creationTimestamp"];

/// Reads a list. `latest` becomes the latest time in it that had passed then: a lower bound of when it was made.
pub(super) fn read<T: DeserializeOwned>(
    name: &str,
    from: impl Read,
    latest: &mut Option<Timestamp>,
) -> Result<Vec<T>, Failure> {
    let failure = |why: String| Failure::new(FailureKind::Other, format!("{name} {why}"));
    let mut reader = BufReader::with_capacity(64 << 10, from.take(MOST_LIST));
    let (mut items, mut object, mut line) = (Vec::new(), String::new(), Vec::new());
    let mut indent: Option<usize> = None;
    let mut inside = false;
    loop {
        line.clear();
        let read = (&mut reader).take(MOST_LINE).read_until(b'\n', &mut line);
        let read = read.map_err(|error| failure(format!("breaks off: {error}")))?;
        let text = String::from_utf8_lossy(&line);
        let depth = text.len() - text.trim_start_matches(' ').len();
        let begins = text[depth..].starts_with("- ") || text[depth..].trim_end() == "-";
        if read == 0 || (begins && inside && indent.is_none_or(|indent| indent == depth)) {
            take(&mut object, &mut items).map_err(|why| failure(format!("has an object that can't be read: {why}")))?;
        }
        if read == 0 {
            return Ok(items);
        }
        if !inside {
            inside = text.trim_end() == "items:";
            continue;
        }
        if begins {
            indent.get_or_insert(depth);
        } else if depth == 0 && !text.trim().is_empty() && !text.starts_with('#') {
            // A key of the list itself: the items are over.
            inside = false;
            take(&mut object, &mut items).map_err(|why| failure(format!("has an object that can't be read: {why}")))?;
            continue;
        }
        if let Some((key, value)) = text.trim().trim_start_matches("- ").split_once(": ")
            && PAST.contains(&key)
        {
            let value = value.trim_matches(['"', '\'']);
            *latest = (*latest).max(moment(value));
        }
        if object.len() + text.len() > MOST_OBJECT {
            return Err(failure(format!("has an object of more than {} MiB", MOST_OBJECT >> 20)));
        }
        object.push_str(&text);
    }
}

fn take<T: DeserializeOwned>(object: &mut String, items: &mut Vec<T>) -> Result<(), serde_saphyr::Error> {
    if !object.trim().is_empty() {
        items.extend(serde_saphyr::from_str::<Vec<T>>(object)?);
    }
    object.clear();
    Ok(())
}

/// An object of the older kind, `v1/Endpoints`, which is what a sysdump has.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Endpoints {
    metadata: Meta,
    subsets: Option<Vec<Subset>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Subset {
    addresses: Option<Vec<Address>>,
    not_ready_addresses: Option<Vec<Address>>,
    ports: Option<Vec<EndpointPort>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Address {
    ip: String,
    node_name: Option<String>,
    target_ref: Option<ObjectRef>,
}

/// The same as endpoint slices, one for each subset.
pub(super) fn slices(endpoints: Vec<Endpoints>) -> Vec<EndpointSlice> {
    let slice = |meta: &Meta, subset: Subset| {
        let endpoint = |ready| {
            move |address: Address| Endpoint {
                addresses: vec![address.ip],
                conditions: EndpointConditions { ready: Some(ready), ..EndpointConditions::default() },
                target_ref: address.target_ref.unwrap_or_default(),
                node_name: address.node_name.unwrap_or_default(),
                ..Endpoint::default()
            }
        };
        let mut metadata = meta.clone();
        let of_service = std::iter::once(("kubernetes.io/service-name", meta.name.as_str()));
        metadata.labels = meta.labels.iter().chain(of_service).collect();
        let ready = subset.addresses.unwrap_or_default().into_iter().map(endpoint(true));
        let not_ready = subset.not_ready_addresses.unwrap_or_default().into_iter().map(endpoint(false));
        EndpointSlice {
            metadata,
            endpoints: ready.chain(not_ready).collect(),
            ports: subset.ports.unwrap_or_default(),
            ..EndpointSlice::default()
        }
    };
    endpoints
        .into_iter()
        .flat_map(|e| e.subsets.unwrap_or_default().into_iter().map(|s| slice(&e.metadata, s)).collect::<Vec<_>>())
        .collect()
}
