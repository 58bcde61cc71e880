//! A table of the kernel's beside the agent's own copy of it: where the two differ, the kernel's is stale.

use std::collections::BTreeMap;
use std::fmt;

/// An entry on which the two differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference<V> {
    /// The entry's key, as it is printed.
    pub key: String,
    /// What the kernel has; none where it has no such entry.
    pub kernel: Option<V>,
    /// What the agent has.
    pub agent: Option<V>,
}

/// All entries on which the two differ, in the order of their keys.
pub fn differences<K: Ord + fmt::Display, V: Clone>(
    kernel: &BTreeMap<K, V>,
    agent: &BTreeMap<K, V>,
    same: impl Fn(&V, &V) -> bool,
) -> Vec<Difference<V>> {
    let differs = |key: &K, kernel: Option<&V>, agent: Option<&V>| Difference {
        key: key.to_string(),
        kernel: kernel.cloned(),
        agent: agent.cloned(),
    };
    let mut found: BTreeMap<&K, Difference<V>> = BTreeMap::new();
    for (key, value) in kernel {
        let other = agent.get(key);
        if !other.is_some_and(|other| same(value, other)) {
            found.insert(key, differs(key, Some(value), other));
        }
    }
    for (key, value) in agent.iter().filter(|(key, _)| !kernel.contains_key(key)) {
        found.insert(key, differs(key, None, Some(value)));
    }
    found.into_values().collect()
}

/// The `key=value` words of a row.
pub(super) fn fields(row: &str) -> impl Iterator<Item = (&str, &str)> {
    row.split_whitespace().filter_map(|word| word.split_once('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_one_has_and_what_is_unlike_is_found() {
        let kernel = BTreeMap::from([(1, "a"), (2, "b"), (3, "c")]);
        let agent = BTreeMap::from([(0, "z"), (1, "a"), (2, "B")]);
        let keys = |same: fn(&&str, &&str) -> bool| {
            differences(&kernel, &agent, same).into_iter().map(|d| (d.key, d.kernel, d.agent)).collect::<Vec<_>>()
        };
        let exact = [
            ("0".to_owned(), None, Some("z")),
            ("2".to_owned(), Some("b"), Some("B")),
            ("3".to_owned(), Some("c"), None),
        ];
        assert_eq!(keys(|a, b| a == b), exact);
        assert_eq!(keys(|a, b| a.eq_ignore_ascii_case(b)).len(), 2);
    }
}
