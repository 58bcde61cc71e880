//! Supplementary evidence, for symptoms and the risk of a restart: logs, answers of Prometheus, custom resources of other
//! projects, revisions of DaemonSets.

use std::fmt;

use crate::base::pod_ref::PodRef;
use crate::base::prometheus::Prometheus;
use crate::kubernetes::foreign_kind::ForeignKind;

/// How many of a container's last lines are read.
pub const LINES: i64 = 200;
/// The most that is read of them, in bytes.
pub const LOG_BYTES: i64 = 256 << 10;
/// Prometheus's default port.
pub const PROMETHEUS_PORT: &str = "9090";

/// Something that only symptoms are read from.
#[derive(Clone, Copy, Debug)]
pub enum SymptomSource<'a> {
    /// The last lines of a container's log, each with its moment in front.
    Log {
        /// The pod.
        pod: &'a PodRef,
        /// The container.
        container: &'a str,
    },
    /// The answer of Prometheus to a query.
    Metrics {
        /// A plain name for the question, unique in a run.
        name: &'a str,
        /// The question, in PromQL.
        query: &'a str,
        /// Whom to ask; none where all there is was saved.
        at: Option<&'a Prometheus>,
    },
    /// All objects of a kind that need not be installed, as a list.
    Objects(ForeignKind),
    /// The revisions of the DaemonSets in a namespace, as a list: which one a new agent would be of.
    Revisions {
        /// The namespace.
        namespace: &'a str,
    },
}

impl SymptomSource<'_> {
    /// Where it lies in a bundle; none where a name could leave the bundle.
    #[must_use]
    pub fn file(&self) -> Option<String> {
        let (path, names) = match self {
            Self::Log { pod, container } => {
                let path = format!("symptoms/logs/{}/{}/{container}.log", pod.namespace, pod.name);
                (path, vec![pod.namespace.as_str(), pod.name.as_str(), container])
            }
            Self::Metrics { name, .. } => (format!("symptoms/metrics/{name}.json"), vec![*name]),
            Self::Revisions { .. } => ("kube/controllerrevisions.json".to_owned(), Vec::new()),
            Self::Objects(kind) => (format!("symptoms/objects/{}.json", kind.resource), Vec::new()),
        };
        let plain = |name: &&str| {
            !name.is_empty()
                && name.len() <= 253
                && !name.starts_with('.')
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        };
        names.iter().all(plain).then_some(path)
    }
}

impl fmt::Display for SymptomSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log { pod, container } => write!(f, "log of {pod}, container {container}"),
            Self::Metrics { name, .. } => write!(f, "answer of Prometheus to '{name}'"),
            Self::Revisions { namespace } => write!(f, "list of controllerrevisions in {namespace}"),
            Self::Objects(kind) => write!(f, "list of {}.{}", kind.resource, kind.group),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_the_bundle() {
        let pod = PodRef { namespace: "..".to_owned(), name: "x".to_owned() };
        assert_eq!(SymptomSource::Log { pod: &pod, container: "main" }.file(), None);
        assert_eq!(SymptomSource::Metrics { name: "../x", query: "", at: None }.file(), None);
    }
}
