//! Revisions of DaemonSets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Meta, null_is_default};

/// The label that names the revision of a DaemonSet that a pod was made from.
pub const REVISION_LABEL: &str = "controller-revision-hash";

object! {
    /// A revision of a DaemonSet's template.
    ControllerRevision {
        /// Its metadata.
        metadata: Meta,
        /// The highest is the newest; going back to an old template raises the old object's number.
        revision: i64,
    }
}

/// The label of the newest revision of each DaemonSet, by the DaemonSet's uid.
#[must_use]
pub fn newest(revisions: &[ControllerRevision]) -> BTreeMap<String, String> {
    let mut ordered: Vec<&ControllerRevision> = revisions.iter().collect();
    ordered.sort_by_key(|revision| revision.revision);
    let mut newest = BTreeMap::new();
    for revision in ordered {
        let owner = revision.metadata.owner_references.iter().find(|owner| owner.controller);
        if let (Some(owner), Some(hash)) = (owner, revision.metadata.labels.get(REVISION_LABEL)) {
            newest.insert(owner.uid.to_string(), hash.to_owned());
        }
    }
    newest
}
