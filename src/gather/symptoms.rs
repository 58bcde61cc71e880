//! What only symptoms are read from: logs, answers of Prometheus, objects of other people's kinds.

use std::fmt;

use crate::base::pod_ref::PodRef;

/// How many of a container's last lines are read.
pub const LINES: i64 = 200;
/// The most that is read of them, in bytes.
pub const LOG_BYTES: i64 = 256 << 10;
/// The port that Prometheus serves on where nobody says otherwise.
pub const PROMETHEUS_PORT: &str = "9090";

/// Something that only symptoms are read from.
#[derive(Clone, Copy, Debug)]
pub enum Further<'a> {
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
}

/// A kind of object that need not be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignKind {
    /// The API group.
    pub group: &'static str,
    /// The resource, in the plural.
    pub resource: &'static str,
    /// The kind.
    pub kind: &'static str,
}

impl Further<'_> {
    /// Where it lies in a bundle; none where a name could leave the bundle.
    #[must_use]
    pub fn file(&self) -> Option<String> {
        let (path, names) = match self {
            Self::Log { pod, container } => {
                let path = format!("symptoms/logs/{}/{}/{container}.log", pod.namespace, pod.name);
                (path, vec![pod.namespace.as_str(), pod.name.as_str(), container])
            }
            Self::Metrics { name, .. } => (format!("symptoms/metrics/{name}.json"), vec![*name]),
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

impl fmt::Display for Further<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log { pod, container } => write!(f, "log of {pod}, container {container}"),
            Self::Metrics { name, .. } => write!(f, "answer of Prometheus to '{name}'"),
            Self::Objects(kind) => write!(f, "list of {}.{}", kind.resource, kind.group),
        }
    }
}

/// Where a Prometheus answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prometheus {
    /// At an address of its own. It gets no credentials of the cluster.
    Url(http::Uri),
    /// Behind a service, through the API server's proxy.
    Service {
        /// The service.
        service: PodRef,
        /// Its port, by number or name; none: to be found.
        port: Option<String>,
    },
}

impl std::str::FromStr for Prometheus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            let uri: http::Uri = text.parse().map_err(|error| format!("{error}"))?;
            let host = uri.authority().filter(|authority| !authority.host().is_empty());
            return match (uri.scheme_str(), host) {
                (Some("http" | "https"), Some(host)) if host.as_str().contains('@') => {
                    Err("credentials on a command line can be read by everybody on this machine; use NS/SERVICE".into())
                }
                (Some("http" | "https"), Some(_)) if uri.query().is_none() => Ok(Self::Url(uri)),
                _ => Err("write http://HOST[:PORT][/PATH], https://… or NS/SERVICE[:PORT]".to_owned()),
            };
        }
        let (service, port) = match text.split_once(':') {
            Some((service, port)) => (service, Some(port)),
            None => (text, None),
        };
        let plain = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
        };
        let service: PodRef = service.parse().map_err(|error| format!("{error}, and no URL"))?;
        if !plain(&service.namespace) || !plain(&service.name) || !port.is_none_or(plain) {
            return Err(format!("'{text}' is not NS/SERVICE[:PORT]"));
        }
        Ok(Self::Service { service, port: port.map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prometheus_is_an_address_or_a_service() {
        assert!(matches!("http://127.0.0.1:9090".parse(), Ok(Prometheus::Url(_))));
        assert!(matches!("https://prom.example/prefix".parse(), Ok(Prometheus::Url(_))));
        let Ok(Prometheus::Service { service, port }) = "monitoring/prometheus:web".parse() else {
            panic!("a service")
        };
        assert_eq!((service.to_string().as_str(), port.as_deref()), ("monitoring/prometheus", Some("web")));
        for wrong in ["prometheus", "ftp://x", "http://u:p@x", "http://x/?a=b", "a/b/c", "a/b:1/../x", "a/b:", "../x/y"]
        {
            assert!(wrong.parse::<Prometheus>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_name_leaves_the_bundle() {
        let pod = PodRef { namespace: "..".to_owned(), name: "x".to_owned() };
        assert_eq!(Further::Log { pod: &pod, container: "main" }.file(), None);
        assert_eq!(Further::Metrics { name: "../x", query: "", at: None }.file(), None);
    }
}
