//! `cilium-dbg bpf lb list`: the kernel's view of the services.
//!
//! Up to 1.16 backends are grouped under their frontend; later every map entry is a row of its own, in random order
//! (section 2.2 of the format notes). Both come out as frontends with their backends.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::LazyLock;

use regex::Regex;

use crate::base::pattern::pattern;

use super::services::{ServiceList, Target};

/// What the kernel has for one frontend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontend {
    /// The backends.
    pub backends: BTreeSet<Target>,
    /// The words in brackets of its slot-0 row: `ClusterIP`, `LocalRedirect`, `non-routable`, …
    pub flags: BTreeSet<String>,
    /// Rows that name a backend which the kernel's table of backends does not hold.
    pub not_found: usize,
}

/// The whole list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LbList {
    /// Whether the header was seen.
    pub header: bool,
    /// The frontends. Those of internal scope (`/i`) are left out: they are twins.
    pub frontends: BTreeMap<Target, Frontend>,
    /// How many lines behind the header could not be read.
    pub unread: usize,
}

/// A frontend for which the agent's table and the kernel's differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDifference {
    /// The frontend, as the agent has it.
    pub frontend: Target,
    /// The active backends of the agent's table.
    pub agent: BTreeSet<IpAddr>,
    /// The backends of the kernel's table.
    pub kernel: BTreeSet<IpAddr>,
}

/// The frontends, of those that are `wanted`, for which the agent's table and the kernel's differ. What could not be read
/// proves nothing: a row with such lines is passed over, and a kernel's list with such lines is not compared. Backends
/// that take no new traffic, or whose state is unknown, may stand in the kernel's table or not.
#[must_use]
pub fn differences(agent: &ServiceList, kernel: &LbList, wanted: impl Fn(&Target) -> bool) -> Vec<TableDifference> {
    if !kernel.header || kernel.frontends.is_empty() || kernel.unread > 0 {
        return Vec::new();
    }
    let rows = agent.rows.iter().filter(|row| !row.internal && row.unread == 0 && wanted(&row.frontend));
    let compared = rows.filter_map(|row| {
        let same = |frontend: &Target| {
            (frontend.ip, frontend.port) == (row.frontend.ip, row.frontend.port)
                && row.frontend.protocol.as_deref().is_none_or(|protocol| frontend.fits(protocol))
        };
        let has = kernel.frontends.iter().filter(|(frontend, _)| same(frontend));
        let has: BTreeSet<IpAddr> = has.flat_map(|(_, frontend)| &frontend.backends).map(|target| target.ip).collect();
        let active: BTreeSet<IpAddr> = row.active().map(|target| target.ip).collect();
        let every: BTreeSet<IpAddr> = row.backends.iter().map(|backend| backend.target.ip).collect();
        let agree = active.is_subset(&has) && has.is_subset(&every);
        (!agree).then(|| TableDifference { frontend: row.frontend.clone(), agent: active, kernel: has })
    });
    compared.collect()
}

static ROW: LazyLock<Regex> = LazyLock::new(|| {
    // Frontend and slot (both absent on continuation lines), backend, reverse-NAT id, slot, flags.
    pattern(r"^(?:(\S+:\d+\S*)(?:\s+\(\d+\))?)?\s+(\S+:\d+\S*) \(\d+\) \((\d+)\)(?: \[([^\]]*)\])?")
});

static NOT_FOUND: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^(?:(\S+:\d+\S*)(?:\s+\(\d+\))?)?\s+backend \d+ not found\s*$"));

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
        let row = ROW.captures(line);
        let Some(cells) = row.or_else(|| NOT_FOUND.captures(line)) else {
            list.unread += usize::from(list.header);
            continue;
        };
        if let Some(frontend) = cells.get(1) {
            current = Target::parse(frontend.as_str());
        }
        if cells.get(2).is_none() {
            match &current {
                Some((_, true)) => {}
                Some((frontend, false)) => list.frontends.entry(frontend.clone()).or_default().not_found += 1,
                None => list.unread += 1,
            }
            continue;
        }
        let (Some((frontend, internal)), Some((backend, _))) = (&current, Target::parse(&cells[2])) else {
            list.unread += 1;
            continue;
        };
        // Wildcard rows say what happens to ports that belong to no service.
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
            assert_eq!((list.frontends.len(), list.unread), (1, 0));
            let frontend = list.frontends.values().next().unwrap();
            let backends: Vec<_> = frontend.backends.iter().map(|b| b.ip.to_string()).collect();
            assert_eq!(backends, ["10.42.5.11", "10.42.6.12"]);
            assert!(frontend.flags.contains("ClusterIP"));
        }
    }

    #[test]
    fn the_tables_of_agent_and_kernel_differ_by_what_takes_traffic_only() {
        let service =
            |rows: &str| crate::cilium::services::parse(&format!("ID   Frontend   Service Type   Backend\n{rows}"));
        let kernel = |rows: &str| parse(&format!("SERVICE ADDRESS     BACKEND ADDRESS (REVNAT_ID) (SLOT)\n{rows}"));
        let ending = "1    10.43.0.10:53/UDP   ClusterIP   1 => 10.42.5.11:53/UDP (active)\n                    \
                      \x20                 2 => 10.42.6.12:53/UDP (terminating-not-serving)\n";
        let one = "10.43.0.10:53/UDP (1)       10.42.5.11:53/UDP (3) (1)\n";
        let two = format!("{one}10.43.0.10:53/UDP (2)       10.42.6.12:53/UDP (3) (2)\n");
        for rows in [one, &two] {
            assert!(differences(&service(ending), &kernel(rows), |_| true).is_empty(), "{rows}");
        }
        let other = "10.43.0.10:53/UDP (1)       10.42.9.9:53/UDP (3) (1)\n";
        let found = differences(&service(ending), &kernel(other), |_| true);
        assert_eq!((found.len(), found[0].agent.len(), found[0].kernel.len()), (1, 1, 1));
        assert!(differences(&service(ending), &kernel(other), |frontend| frontend.port != 53).is_empty());
        let odd = format!("{other}10.43.0.10:53/UDP (2)       of another kind\n");
        assert!(differences(&service(ending), &kernel(&odd), |_| true).is_empty(), "what was not read may be the rest");
        let unread = format!("{ending}                                      of another kind\n");
        assert!(differences(&service(&unread), &kernel(other), |_| true).is_empty());
    }

    #[test]
    fn row_whose_backend_the_kernel_does_not_hold_is_a_frontend_without_it() {
        let head = "SERVICE ADDRESS             BACKEND ADDRESS (REVNAT_ID) (SLOT)\n";
        let rows = parse(&format!(
            "{head}10.43.0.10:53/UDP (0)       0.0.0.0:0 (3) (0) [ClusterIP, non-routable]\n\
             10.43.0.10:53/UDP (1)       backend 41 not found\n\
             10.43.0.10:53/UDP (2)       backend 42 not found\n"
        ));
        let grouped = parse(&format!(
            "{head}10.43.0.10:53               backend 41 not found\n\
             \x20                           backend 42 not found\n"
        ));
        for list in [rows, grouped] {
            let frontend = list.frontends.values().next().unwrap();
            assert_eq!((list.unread, frontend.backends.len(), frontend.not_found), (0, 0, 2));
        }
        assert_eq!(parse(&format!("{head}            backend 7 not found\n")).unread, 1, "of no frontend");
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
