//! A node's tables as keys and values, and what a restart changed in them: the only record of what was stale.
//!
//! Numbers that every restart gives anew (ids of programs and links) are left out, so that what differs means something.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::text::{count, hang, safe};
use crate::base::evidence::Evidence;
use crate::cilium::ipcache::Ipcache;
use crate::cilium::services::Target;
use crate::cilium::{bpf_endpoints, cgroup_tree, config_drift, lb, mounts, programs, services};

/// The tables that are compared.
pub const TABLES: [Evidence; 8] = [
    Evidence::AttachedPrograms,
    Evidence::CgroupTree,
    Evidence::Mounts,
    Evidence::BpfEndpointList,
    Evidence::IpcacheList,
    Evidence::LbList,
    Evidence::ServiceList,
    Evidence::ConfigDrift,
];

/// The most changes that are kept: a restart that changes more changed everything.
const MOST: usize = 200;
/// The most changes of one table that people are shown.
const SHOWN: usize = 20;

/// Keys and values.
type Rows = BTreeMap<String, String>;

/// What was read of a node's tables, or why not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeTables {
    tables: BTreeMap<Evidence, Result<Rows, String>>,
}

/// What a restart changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RestartChanges {
    /// The entries that differ, by table and key.
    pub changes: Vec<TableChange>,
    /// How many more differ.
    pub more: usize,
    /// Tables that are the same.
    pub unchanged: Vec<&'static str>,
    /// Tables that could not be compared.
    pub not_compared: Vec<NotCompared>,
}

/// One entry that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableChange {
    /// The evidence that shows the table: `ipcache-list`.
    pub table: &'static str,
    /// The key: an address, a device with its hook, a frontend.
    pub key: String,
    /// The value before; null where there was none.
    pub before: Option<String>,
    /// The value after; null where there is none.
    pub after: Option<String>,
}

/// A table that could not be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotCompared {
    /// The evidence that shows the table.
    pub table: &'static str,
    /// Why.
    pub says: String,
}

impl NodeTables {
    /// Takes the output of one command, or why there is none.
    pub fn put(&mut self, evidence: Evidence, output: Result<&str, String>) {
        let unread = || "its output has an unknown form".to_owned();
        self.tables.insert(evidence, output.and_then(|text| rows(evidence, text).ok_or_else(unread)));
    }

    /// What changed from this look to a later one.
    #[must_use]
    pub fn changed(&self, after: &Self) -> RestartChanges {
        let missing = Err("not gathered".to_owned());
        let mut found = RestartChanges::default();
        for evidence in TABLES {
            let of = |tables: &Self| tables.tables.get(&evidence).unwrap_or(&missing).clone();
            let table = evidence.name();
            match (of(self), of(after)) {
                (Ok(before), Ok(after)) => {
                    let changes = differing(table, &before, &after);
                    if changes.is_empty() {
                        found.unchanged.push(table);
                    }
                    let room = MOST.saturating_sub(found.changes.len());
                    found.more += changes.len().saturating_sub(room);
                    found.changes.extend(changes.into_iter().take(room));
                }
                (Err(why), _) => found.not_compared.push(NotCompared { table, says: format!("before: {why}") }),
                (_, Err(why)) => found.not_compared.push(NotCompared { table, says: format!("after: {why}") }),
            }
        }
        found
    }
}

fn differing(table: &'static str, before: &Rows, after: &Rows) -> Vec<TableChange> {
    let gone = before.iter().filter(|(key, value)| after.get(*key) != Some(value)).map(|(key, value)| TableChange {
        table,
        key: key.clone(),
        before: Some(value.clone()),
        after: after.get(key).cloned(),
    });
    let new = after.iter().filter(|(key, _)| !before.contains_key(*key)).map(|(key, value)| TableChange {
        table,
        key: key.clone(),
        before: None,
        after: Some(value.clone()),
    });
    gone.chain(new).collect()
}

/// One table by key; none where its text is not that table, or was not read whole.
fn rows(evidence: Evidence, text: &str) -> Option<Rows> {
    let mut grouped: BTreeMap<String, Vec<String>> = BTreeMap::new();
    match evidence {
        Evidence::AttachedPrograms => {
            let programs = programs::parse(text);
            for program in programs.recognized.then_some(programs.attached)? {
                grouped.entry(format!("{} {}", program.device, program.hook)).or_default().push(program.program);
            }
        }
        Evidence::CgroupTree => {
            let tree = cgroup_tree::parse(text);
            let root = tree.root.clone();
            for program in (tree.recognized && tree.unread == 0).then_some(tree.programs)? {
                if Some(&program.path) == root.as_ref() {
                    grouped.entry(format!("{} {}", program.path, program.attach_type)).or_default().push(program.name);
                }
            }
        }
        Evidence::Mounts => {
            let mounts = mounts::parse(text);
            for mount in (mounts.all > 0).then_some(mounts.mounts)? {
                grouped.entry(mount.point).or_default().push(mount.kind);
            }
        }
        Evidence::BpfEndpointList => return endpoints(text),
        Evidence::IpcacheList => return ipcache(text),
        Evidence::LbList => {
            let list = lb::parse(text);
            for (frontend, held) in (list.header && list.unread == 0).then_some(list.frontends)? {
                grouped.insert(target(&frontend), held.backends.iter().map(target).collect());
            }
        }
        Evidence::ServiceList => {
            let list = services::parse(text);
            for row in (list.header && list.unread == 0).then_some(list.rows)? {
                let internal = if row.internal { " (internal)" } else { "" };
                let backends = row.active().map(target).collect();
                grouped.insert(format!("{} {}{internal}", target(&row.frontend), row.kind), backends);
            }
        }
        Evidence::ConfigDrift => {
            let pending = config_drift::parse(text)?;
            return Some(BTreeMap::from([("settings not applied".to_owned(), pending.to_string())]));
        }
        _ => return None,
    }
    let joined = |mut values: Vec<String>| {
        values.sort_unstable();
        if values.is_empty() { "nothing".to_owned() } else { values.join(", ") }
    };
    Some(grouped.into_iter().map(|(key, values)| (key, joined(values))).collect())
}

fn endpoints(text: &str) -> Option<Rows> {
    fn part<T: std::fmt::Display>(name: &str, value: Option<T>) -> Option<String> {
        value.map(|value| format!("{name} {value}"))
    }
    let table = bpf_endpoints::parse(text);
    let table = (table.recognized && table.unread == 0).then_some(table)?;
    let mut rows = Rows::new();
    for (address, info) in table.endpoints {
        let parts = [
            part("endpoint", info.id),
            part("identity", info.identity),
            part("device", info.ifindex),
            part("mac", info.mac),
            part("node mac", info.node_mac),
        ];
        rows.insert(address.to_string(), parts.into_iter().flatten().collect::<Vec<_>>().join(", "));
    }
    rows.extend(table.localhost.iter().map(|address| (address.to_string(), "the node itself".to_owned())));
    Some(rows)
}

fn ipcache(text: &str) -> Option<Rows> {
    let mut table = Ipcache::default();
    text.lines().for_each(|line| table.line(line.as_bytes(), |_| true));
    let table = (table.recognized && table.unread == 0).then_some(table)?;
    let value = |value: &crate::cilium::ipcache::IpcacheValue| {
        let tunnel = value.tunnel.map_or_else(|| "no tunnel".to_owned(), |node| format!("tunnel {node}"));
        let key = if value.encrypt_key > 0 { format!(", key {}", value.encrypt_key) } else { String::new() };
        format!("identity {}, {tunnel}{key}", value.identity)
    };
    Some(table.rows.iter().map(|(prefix, found)| (prefix.to_string(), value(found))).collect())
}

/// `10.43.0.10:53/UDP`.
fn target(target: &Target) -> String {
    let protocol = target.protocol.as_deref().map_or(String::new(), |protocol| format!("/{protocol}"));
    if target.ip.is_ipv6() {
        return format!("[{}]:{}{protocol}", target.ip, target.port);
    }
    format!("{}:{}{protocol}", target.ip, target.port)
}

impl RestartChanges {
    /// The changes for people, in lines of at most so many columns.
    #[must_use]
    pub fn text(&self, columns: usize) -> String {
        let mut out = "What the restart changed, by table and key\n".to_owned();
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "not there".to_owned());
        for evidence in TABLES {
            let of_table: Vec<_> = self.changes.iter().filter(|change| change.table == evidence.name()).collect();
            for change in of_table.iter().take(SHOWN) {
                let says = format!("{}: {} -> {}", change.key, value(&change.before), value(&change.after));
                out += &hang(&format!("  {}  ", change.table), &safe(&says), columns);
            }
            if of_table.len() > SHOWN {
                // Writing to a String cannot fail.
                _ = writeln!(out, "  {}  and {} more", evidence.name(), of_table.len() - SHOWN);
            }
        }
        if self.changes.is_empty() {
            out.push_str("  nothing in the tables that were compared\n");
        }
        if self.more > 0 {
            out += &hang("  ", &format!("and {} more", count(self.more, "entry", "entries")), columns);
        }
        if !self.unchanged.is_empty() {
            out += &hang("  unchanged: ", &self.unchanged.join(", "), columns);
        }
        for NotCompared { table, says } in &self.not_compared {
            out += &hang("  not compared: ", &safe(&format!("{table} ({says})")), columns);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IPCACHE: &str = "IP PREFIX/ADDRESS   IDENTITY\n\
        10.9.1.7/32         identity=7011 encryptkey=0 tunnelendpoint=0.0.0.0 flags=<none>\n\
        10.9.2.8/32         identity=7012 encryptkey=0 tunnelendpoint=192.0.2.12 flags=<none>\n";

    fn tables(ipcache: &str, drift: Option<&str>) -> NodeTables {
        let mut tables = NodeTables::default();
        tables.put(Evidence::IpcacheList, Ok(ipcache));
        tables.put(Evidence::ConfigDrift, drift.ok_or_else(|| "refused".to_owned()));
        tables
    }

    #[test]
    fn changed_entry_is_named_by_table_and_key_with_both_values() {
        let before = tables(&IPCACHE.replace("192.0.2.12", "192.0.2.99"), None);
        let found = before.changed(&tables(IPCACHE, Some("")));
        let change = TableChange {
            table: "ipcache-list",
            key: "10.9.2.8".to_owned(),
            before: Some("identity 7012, tunnel 192.0.2.99".to_owned()),
            after: Some("identity 7012, tunnel 192.0.2.12".to_owned()),
        };
        assert_eq!(found.changes, [change]);
        let drift = found.not_compared.iter().find(|table| table.table == "config-drift").unwrap();
        assert_eq!(drift.says, "before: refused");
        let text = found.text(100);
        assert!(
            text.contains("10.9.2.8: identity 7012, tunnel 192.0.2.99 -> identity 7012, tunnel 192.0.2.12"),
            "{text}"
        );
        assert!(text.contains("not compared: config-drift (before: refused)"), "{text}");
    }

    #[test]
    fn entry_that_comes_or_goes_has_one_value() {
        let less: String = IPCACHE.lines().take(2).flat_map(|line| [line, "\n"]).collect();
        let come = tables(&less, None).changed(&tables(IPCACHE, None));
        assert_eq!((come.changes[0].before.as_deref(), come.changes[0].after.is_some()), (None, true));
        let gone = tables(IPCACHE, None).changed(&tables(&less, None));
        assert_eq!((gone.changes[0].after.as_deref(), gone.changes.len()), (None, 1));
    }

    #[test]
    fn new_program_id_alone_is_no_change() {
        let net = |id: u32| {
            format!(
                "xdp:\n\ntc:\nens3(2) tcx/ingress cil_from_netdev prog_id {id} link_id {id} \n\nflow_dissector:\n\n"
            )
        };
        let (mut before, mut after) = (NodeTables::default(), NodeTables::default());
        before.put(Evidence::AttachedPrograms, Ok(&net(12)));
        after.put(Evidence::AttachedPrograms, Ok(&net(77)));
        assert_eq!(before.changed(&after).unchanged, ["attached-programs"]);
    }

    proptest! {
        #[test]
        fn any_two_texts_are_compared_within_bounds(one in "(?s).{0,300}", other in "(?s).{0,300}") {
            let (mut before, mut after) = (NodeTables::default(), NodeTables::default());
            for evidence in TABLES {
                before.put(evidence, Ok(&one));
                after.put(evidence, Ok(&other));
            }
            let found = before.changed(&after);
            prop_assert!(found.changes.len() <= MOST);
            let all = found.unchanged.len() + found.not_compared.len();
            prop_assert!(all <= TABLES.len());
        }
    }
}
