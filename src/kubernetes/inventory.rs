//! The cluster's lists: whole, in part, or missing, and never one taken for another.

use serde::{Deserialize, Serialize};

use crate::base::failure::Failure;
use crate::base::program;
use crate::base::time::Timestamp;
use crate::kubernetes::objects::{EndpointSlice, Event, Node, Pod, Service, null_is_default};

/// A list of the cluster's objects, and how much of it there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed<T> {
    /// Every object: one that is not in it does not exist.
    Whole(Vec<T>),
    /// Some of the objects: others may exist.
    Partial {
        /// The objects that could be listed.
        items: Vec<T>,
        /// How much of the whole they are: `namespace kube-system`.
        of: String,
        /// Why the rest is missing.
        why: Failure,
    },
    /// None, and why.
    Missing(Failure),
}

impl<T> Listed<T> {
    /// The objects that could be listed, be they all or some: for readers who conclude nothing from an object that is
    /// not among them.
    #[must_use]
    pub fn known(&self) -> &[T] {
        match self {
            Self::Whole(items) | Self::Partial { items, .. } => items,
            Self::Missing(_) => &[],
        }
    }

    /// All objects; none where some may be missing: for readers who conclude from absence.
    #[must_use]
    pub fn whole(&self) -> Option<&[T]> {
        match self {
            Self::Whole(items) => Some(items),
            Self::Partial { .. } | Self::Missing(_) => None,
        }
    }

    /// The objects that could be listed, be they all or some.
    ///
    /// # Errors
    ///
    /// Why there is not even a part of the list.
    pub fn some(&self) -> Result<&[T], &Failure> {
        match self {
            Self::Whole(items) | Self::Partial { items, .. } => Ok(items),
            Self::Missing(failure) => Err(failure),
        }
    }

    /// Why objects may be missing; none where the list is whole.
    #[must_use]
    pub fn gap(&self) -> Option<&Failure> {
        match self {
            Self::Whole(_) => None,
            Self::Partial { why, .. } | Self::Missing(why) => Some(why),
        }
    }

    /// How much of the whole there is, where it is a part: `namespace kube-system`.
    #[must_use]
    pub fn part(&self) -> Option<&str> {
        match self {
            Self::Partial { of, .. } => Some(of),
            Self::Whole(_) | Self::Missing(_) => None,
        }
    }

    /// The same extent with other objects.
    pub fn map<U>(self, change: impl FnOnce(Vec<T>) -> Vec<U>) -> Listed<U> {
        match self {
            Self::Whole(items) => Listed::Whole(change(items)),
            Self::Partial { items, of, why } => Listed::Partial { items: change(items), of, why },
            Self::Missing(failure) => Listed::Missing(failure),
        }
    }
}

impl<T> From<Result<Vec<T>, Failure>> for Listed<T> {
    fn from(list: Result<Vec<T>, Failure>) -> Self {
        match list {
            Ok(items) => Self::Whole(items),
            Err(failure) => Self::Missing(failure),
        }
    }
}

/// The cluster's lists, each with its own extent.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// Where they came from and when.
    pub origin: Origin,
    /// The nodes.
    pub nodes: Listed<Node>,
    /// The pods of all namespaces.
    pub pods: Listed<Pod>,
    /// The services that may be cluster DNS.
    pub services: Listed<Service>,
    /// The endpoint slices of those services.
    pub endpoint_slices: Listed<EndpointSlice>,
    /// Recent events.
    pub events: Listed<Event>,
}

impl Inventory {
    /// One sentence for each list of which only a part could be read.
    #[must_use]
    pub fn partial_lists(&self) -> Vec<String> {
        fn sentence<T>(what: &str, list: &Listed<T>) -> Option<String> {
            let Listed::Partial { of, why, .. } = list else { return None };
            Some(format!(
                "Only the {what} of {of} could be listed: {why}. What the others would say is unknown. \
                 `{} rbac diagnose` prints the rights to grant.",
                program::name()
            ))
        }
        [
            sentence("nodes", &self.nodes),
            sentence("pods", &self.pods),
            sentence("services", &self.services),
            sentence("endpoint slices", &self.endpoint_slices),
            sentence("events", &self.events),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Where an inventory came from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The kubeconfig context, where one is known.
    pub context: Option<String>,
    /// When it was taken.
    pub captured_at: Option<Timestamp>,
}

/// A Kubernetes list: one page of the API, or a file of a bundle.
#[derive(Clone, Debug, Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
pub struct Page<T> {
    /// The list's own metadata.
    #[serde(default, deserialize_with = "null_is_default")]
    pub metadata: PageMeta,
    /// The objects.
    #[serde(default, deserialize_with = "null_is_default")]
    pub items: Vec<T>,
}

/// The fields of a list's metadata that staledp uses.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct PageMeta {
    /// The token of the next page; empty or absent on the last.
    #[serde(default, rename = "continue")]
    pub next: Option<String>,
    /// The state of the cluster that the list shows, from which a watch can go on.
    #[serde(default, rename = "resourceVersion")]
    pub version: Option<String>,
}

/// Why a list of a bundle is missing or partial: the file `kube/NAME.error.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListGap {
    /// Why the list, or the rest of it, is missing.
    #[serde(flatten)]
    pub why: Failure,
    /// How much of the whole the list beside it holds; none if the list is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::failure::FailureKind;

    #[test]
    fn a_partial_list_is_never_taken_for_the_whole() {
        let why = Failure::new(FailureKind::Forbidden, "no");
        let part = Listed::Partial { items: vec![1], of: "namespace a".to_owned(), why: why.clone() };
        assert_eq!((part.known(), part.whole(), part.gap()), (&[1][..], None, Some(&why)));
        let changed = part.map(|items| items.into_iter().map(|n| n + 1).collect());
        assert_eq!(changed, Listed::Partial { items: vec![2], of: "namespace a".to_owned(), why });
        assert_eq!(Listed::Whole(vec![1]).whole(), Some(&[1][..]));
    }
}
