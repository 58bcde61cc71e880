//! How many requests were sent to the API server, by verb: the cost of a run, in the API server's own words.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{Method, Uri};

/// The verbs that are counted, as RBAC has them; `exec` stands for a command in a container.
pub const VERBS: [&str; 8] = ["get", "list", "watch", "exec", "create", "update", "patch", "delete"];

/// The counts, each in the place of its verb.
#[derive(Debug, Default)]
pub(super) struct Traffic([AtomicU64; VERBS.len()]);

impl Traffic {
    /// Takes note of a request.
    pub(super) fn note(&self, method: &Method, uri: &Uri) {
        let verb = verb(method, uri);
        let place = VERBS.iter().position(|known| *known == verb).and_then(|at| self.0.get(at));
        if let Some(count) = place {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Each verb with its count so far.
    pub(super) fn counts(&self) -> [(&'static str, u64); VERBS.len()] {
        let mut counts = VERBS.map(|verb| (verb, 0));
        for ((_, count), counted) in counts.iter_mut().zip(&self.0) {
            *count = counted.load(Ordering::Relaxed);
        }
        counts
    }
}

fn verb(method: &Method, uri: &Uri) -> &'static str {
    let has = |key: &str| uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with(key)));
    match *method {
        Method::GET | Method::POST if uri.path().ends_with("/exec") => "exec",
        Method::GET if has("watch=true") => "watch",
        Method::GET if has("limit=") => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "get",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_verb() {
        let traffic = Traffic::default();
        for (method, uri) in [
            (Method::GET, "/api/v1/nodes?&limit=500"),
            (Method::GET, "/api/v1/pods?&watch=true&resourceVersion=7"),
            (Method::GET, "/api/v1/namespaces/a/pods/b/exec?&stdout=true&command=watch%3Dtrue"),
            (Method::GET, "/api/v1/namespaces/a/pods/b/log?&limitBytes=5"),
            (Method::PATCH, "/api/v1/nodes/prusik/status"),
            (Method::PUT, "/apis/coordination.k8s.io/v1/namespaces/a/leases/b"),
        ] {
            traffic.note(&method, &uri.parse().expect("a path"));
        }
        let counts = traffic.counts();
        let of = |verb: &str| counts.iter().find(|(known, _)| *known == verb).map(|(_, count)| *count);
        assert_eq!(["get", "list", "watch", "exec", "patch", "update"].map(of), [Some(1); 6]);
        assert_eq!(of("delete"), Some(0));
    }
}
