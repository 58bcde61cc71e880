//! `cilium-dbg endpoint list`: how many of a node's endpoints are in which state.

use std::collections::BTreeMap;

/// The state of an endpoint that needs no more work.
const READY: &str = "ready";
/// The states there are (`pkg/endpoint`), but for those of endpoints that end.
const STATES: [&str; 6] =
    [READY, "restoring", "waiting-for-identity", "waiting-to-regenerate", "regenerating", "not-ready"];

/// A node's endpoints by state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    by_state: BTreeMap<&'static str, u32>,
}

impl Endpoints {
    /// How many there are.
    #[must_use]
    pub fn all(&self) -> u32 {
        self.by_state.values().sum()
    }

    /// Those that are not ready yet, by state.
    pub fn not_ready(&self) -> impl Iterator<Item = (&'static str, u32)> + '_ {
        self.by_state.iter().filter(|(state, _)| **state != READY).map(|(state, count)| (*state, *count))
    }
}

/// Reads a list; none where it is none. Labels are wrapped: an endpoint's first row begins with its number and ends
/// with its state, the rows below hold labels alone.
#[must_use]
pub fn parse(text: &str) -> Option<Endpoints> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("ENDPOINT "));
    lines.next().filter(|header| header.trim_end().ends_with("STATUS"))?;
    let mut found = Endpoints::default();
    for line in lines {
        let mut words = line.split_whitespace();
        let numbered = line.starts_with(|c: char| c.is_ascii_digit());
        let state = words.next_back().and_then(|last| STATES.iter().find(|state| **state == last));
        if let (true, Some(state)) = (numbered, state) {
            *found.by_state.entry(state).or_default() += 1;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
ENDPOINT   POLICY (ingress)   POLICY (egress)   IDENTITY   LABELS (source:key[=value])                IPv6   IPv4           STATUS
           ENFORCEMENT        ENFORCEMENT
126        Disabled           Disabled          8          reserved:ingress                                  10.244.0.14    ready
839        Disabled           Disabled          4          reserved:health                                   10.244.0.196   regenerating
2424       Disabled           Disabled          1          k8s:node-role.kubernetes.io/control-plane                        restoring
                                                           reserved:host
2425       Disabled           Disabled          9123       k8s:app=ready                                     10.244.0.9     regenerating
                                                           k8s:name=ready
";

    #[test]
    fn endpoints_are_counted_by_state() {
        let found = parse(LIST).unwrap();
        assert_eq!(found.all(), 4);
        assert_eq!(found.not_ready().collect::<Vec<_>>(), [("regenerating", 2), ("restoring", 1)]);
    }

    #[test]
    fn what_is_no_list_is_none() {
        assert_eq!(parse("Error: Cannot get endpoint list: dial unix /var/run/cilium/cilium.sock\n"), None);
        assert_eq!(parse(""), None);
    }
}
