//! `cilium-dbg bpf lb list`: the kernel's view of the services.
//!
//! Up to 1.16 backends are grouped under their frontend; later every map entry is a row of its own, in random order
//! (section 2.2 of the format notes). Both come out as frontends with their backends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use crate::base::pattern::pattern;

use super::services::Target;

/// What the kernel has for one frontend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontend {
    /// The backends.
    pub backends: BTreeSet<Target>,
    /// The words in brackets of its slot-0 row: `ClusterIP`, `LocalRedirect`, `non-routable`, …
    pub flags: BTreeSet<String>,
}

/// The whole list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LbList {
    /// Whether the header was seen.
    pub header: bool,
    /// The frontends. Those of internal scope (`/i`) are left out: they are twins.
    pub frontends: BTreeMap<Target, Frontend>,
    /// Lines that could not be read.
    pub unparsed: usize,
}

static ROW: LazyLock<Regex> = LazyLock::new(|| {
    // Frontend and slot (both absent on continuation lines), backend, reverse-NAT id, slot, flags.
    pattern(r"^(?:(\S+:\d+\S*)(?:\s+\(\d+\))?)?\s+(\S+:\d+\S*) \(\d+\) \((\d+)\)(?: \[([^\]]*)\])?")
});

/// Reads the list.
#[must_use]
pub fn parse(text: &str) -> LbList {
    let mut list = LbList::default();
    let mut current: Option<(Target, bool)> = None;
    for line in text.lines() {
        if line.trim().is_empty() {
            continue;
        }
        if line.starts_with("SERVICE ADDRESS") {
            list.header = true;
            continue;
        }
        let Some(cells) = ROW.captures(line) else {
            list.unparsed += 1;
            continue;
        };
        if let Some(frontend) = cells.get(1) {
            current = Target::parse(frontend.as_str());
        }
        let (Some((frontend, internal)), Some((backend, _))) = (&current, Target::parse(&cells[2])) else {
            list.unparsed += 1;
            continue;
        };
        // Wildcard rows say what happens to ports that are no service's.
        if *internal || frontend.protocol.as_deref() == Some("ANY") {
            continue;
        }
        let entry = list.frontends.entry(frontend.clone()).or_default();
        if &cells[3] == "0" {
            let words = cells.get(4).map_or("", |flags| flags.as_str());
            entry.flags.extend(words.split(',').map(|w| w.trim().to_owned()).filter(|w| !w.is_empty()));
        } else if !backend.ip.is_unspecified() {
            entry.backends.insert(backend);
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_come_out_the_same() {
        let grouped = parse(
            "SERVICE ADDRESS     BACKEND ADDRESS (REVNAT_ID) (SLOT)\n\
             10.43.0.10:53       10.42.5.11:53 (3) (1)\n\
             \x20                   0.0.0.0:0 (3) (0) [ClusterIP, non-routable]\n\
             \x20                   10.42.6.12:53 (3) (2)\n",
        );
        let rows = parse(
            "SERVICE ADDRESS             BACKEND ADDRESS (REVNAT_ID) (SLOT)\n\
             10.43.0.10:53/UDP (2)       10.42.6.12:53/UDP (3) (2)\n\
             10.43.0.10:0/ANY (0)        0.0.0.0:0 (0) (0) [ClusterIP, non-routable]\n\
             10.43.0.10:53/UDP (0)       0.0.0.0:0 (3) (0) [ClusterIP, non-routable]\n\
             10.43.0.10:53/UDP (1)       10.42.5.11:53/UDP (3) (1)\n",
        );
        for list in [&grouped, &rows] {
            assert!(list.header);
            assert_eq!((list.frontends.len(), list.unparsed), (1, 0));
            let frontend = list.frontends.values().next().unwrap();
            let backends: Vec<_> = frontend.backends.iter().map(|b| b.ip.to_string()).collect();
            assert_eq!(backends, ["10.42.5.11", "10.42.6.12"]);
            assert!(frontend.flags.contains("ClusterIP"));
        }
    }

    #[test]
    fn ipv6_twins_and_frontends_without_backend() {
        let list = parse(
            "SERVICE ADDRESS             BACKEND ADDRESS (REVNAT_ID) (SLOT)\n\
             [fd00:96::a]:53             [::]:0 (40) (0) [ClusterIP, non-routable]                  \n\
             \x20                           [fd00:10:1::5]:53 (40) (1)                 \n\
             34.1.1.100:443/i            10.2.3.4:8443 (88) (8)\n\
             10.43.7.7:80/TCP (0)        0.0.0.0:0 (20) (0) [ClusterIP, non-routable]\n",
        );
        assert_eq!(list.frontends.len(), 2);
        let sizes: Vec<_> = list.frontends.values().map(|f| f.backends.len()).collect();
        assert_eq!(sizes, [0, 1], "IPv4 sorts before IPv6");
    }
}
