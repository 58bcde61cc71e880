//! The kernel's table of which identity and which node an address belongs to, and the agent's own copy of it: `cilium-dbg
//! bpf ipcache list` and `cilium-dbg map get cilium_ipcache_v2` (`cilium_ipcache` before 1.18).
//!
//! Read row by row, for a large cluster has a row for each pod of each node; only the rows that are asked for are kept.
//! A prefix that the kernel's table lacks counts as world.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::base::net::Prefix;
use crate::cilium::lines::is_remark;
use crate::cilium::two_copies::{Difference, differences, fields};

/// The most rows that are kept.
const MOST: usize = 65_536;

/// What the table says of a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpcacheValue {
    /// The identity: 1 host, 2 world, 6 remote node, 7 API server, workloads from 256 on.
    pub identity: u32,
    /// The node that packets to it are sent to in the tunnel; none where they are sent as they are.
    pub tunnel: Option<IpAddr>,
    /// The key that packets to it are encrypted with; 0: none.
    pub encrypt_key: u32,
    /// `hastunnel`, `skiptunnel`, …, where the release prints them; empty for `<none>`.
    pub flags: Option<String>,
}

impl IpcacheValue {
    fn leads_where(&self, other: &Self) -> bool {
        (self.identity, self.tunnel, self.encrypt_key) == (other.identity, other.tunnel, other.encrypt_key)
    }
}

/// One of the two tables, as far as it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ipcache {
    /// Whether its header was seen.
    pub recognized: bool,
    /// The rows that were asked for.
    pub rows: BTreeMap<Prefix, IpcacheValue>,
    /// All rows that could be read.
    pub all: usize,
    /// Rows of other clusters, whose addresses may be the same: they are left out.
    pub other_clusters: usize,
    /// Rows that could not be read, or kept, or say something else than an earlier row of their prefix: a table that changes
    /// while it is walked may be walked twice.
    pub unread: usize,
    /// Lines of the agent's logger in between.
    pub remarks: usize,
}

impl Ipcache {
    /// Reads one line; the row is kept if `keep` accepts its prefix.
    pub fn line(&mut self, line: &[u8], keep: impl Fn(Prefix) -> bool) {
        let Ok(line) = std::str::from_utf8(line) else {
            self.unread += 1;
            return;
        };
        if is_remark(line) {
            self.remarks += 1;
        } else if line.starts_with("IP PREFIX") || line.starts_with("Key ") || line.contains("No entries found") {
            self.recognized = true;
        } else if !line.trim().is_empty() && self.row(line, keep).is_none() {
            self.unread += 1;
        }
    }

    fn row(&mut self, line: &str, keep: impl Fn(Prefix) -> bool) -> Option<()> {
        let (key, rest) = line.trim_start().split_once(char::is_whitespace)?;
        // Addresses of other clusters have the cluster's number behind an @.
        if key.contains('@') {
            self.other_clusters += 1;
            return Some(());
        }
        let prefix: Prefix = key.parse().ok()?;
        let mut value = IpcacheValue::default();
        let mut has_identity = false;
        for (key, word) in fields(rest) {
            match key {
                "identity" => {
                    value.identity = word.parse().ok()?;
                    has_identity = true;
                }
                "encryptkey" => value.encrypt_key = word.parse().ok()?,
                "tunnelendpoint" => {
                    value.tunnel = word.parse::<IpAddr>().ok().filter(|address| !address.is_unspecified());
                }
                "flags" => value.flags = Some(if word == "<none>" { String::new() } else { word.to_owned() }),
                _ => {}
            }
        }
        if !has_identity {
            return None;
        }
        self.all += 1;
        if keep(prefix) {
            if self.rows.len() >= MOST {
                return None;
            }
            let known = self.rows.entry(prefix).or_insert_with(|| value.clone());
            return (*known == value).then_some(());
        }
        Some(())
    }

    /// Where the kernel's table and the agent's copy differ, among the rows that were asked for in both; none where one of
    /// them was not read whole.
    #[must_use]
    pub fn against(&self, agent: &Self) -> Option<Vec<Difference<IpcacheValue>>> {
        let whole = |table: &Self| table.recognized && table.unread == 0;
        (whole(self) && whole(agent)).then(|| differences(&self.rows, &agent.rows, IpcacheValue::leads_where))
    }

    /// What the table says of an address: the row of the longest prefix that holds it, among those that were kept.
    #[must_use]
    pub fn lookup(&self, address: IpAddr) -> Option<(Prefix, &IpcacheValue)> {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        (0..=longest).rev().map(|length| Prefix::around(address, length)).find_map(|p| Some((p, self.rows.get(&p)?)))
    }

    /// Rows whose tunnel leads to an address that is none of these nodes'.
    pub fn tunnels_to_no_node<'a>(
        &'a self,
        nodes: &'a [IpAddr],
    ) -> impl Iterator<Item = (Prefix, &'a IpcacheValue, IpAddr)> {
        let astray = move |tunnel: &IpAddr| !nodes.contains(tunnel);
        self.rows.iter().filter_map(move |(p, value)| Some((*p, value, value.tunnel.filter(astray)?)))
    }
}

/// Reads a whole text.
#[must_use]
pub fn parse(text: &str, keep: impl Fn(Prefix) -> bool) -> Ipcache {
    let mut table = Ipcache::default();
    text.lines().for_each(|line| table.line(line.as_bytes(), &keep));
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: &str = "IP PREFIX/ADDRESS   IDENTITY\n\
        10.9.1.7/32         identity=7011 encryptkey=0 tunnelendpoint=0.0.0.0 flags=<none>         \n\
        10.9.2.9/32         identity=7012 encryptkey=0 tunnelendpoint=192.0.2.12 flags=hastunnel   \n\
        10.9.2.0/24         identity=2 encryptkey=0 tunnelendpoint=192.0.2.12 flags=hastunnel      \n\
        0.0.0.0/0           identity=2 encryptkey=0 tunnelendpoint=0.0.0.0 flags=<none>            \n\
        fd00:9::9/128       identity=7012 encryptkey=3 tunnelendpoint=192.0.2.12 flags=hastunnel   \n";

    /// The agent's copy of the same.
    fn agent() -> String {
        KERNEL
            .replace("IP PREFIX/ADDRESS   IDENTITY", "Key      Value      State   Error")
            .replace("flags=hastunnel", "flags=hastunnel   sync")
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn both_tables_say_the_same() {
        let (kernel, agent) = (parse(KERNEL, |_| true), parse(&agent(), |_| true));
        assert_eq!((kernel.all, kernel.unread, agent.unread), (5, 0, 0));
        assert_eq!(kernel.against(&agent), Some(Vec::new()));
        assert_eq!(kernel.rows.values().filter(|row| row.tunnel.is_some()).count(), 3);
    }

    #[test]
    fn a_wrong_tunnel_and_a_key_of_one_side_are_named() {
        let wrong = KERNEL.replacen("tunnelendpoint=192.0.2.12", "tunnelendpoint=192.0.2.99", 1)
            + "169.254.25.10/32    identity=2 encryptkey=0 tunnelendpoint=192.0.2.99 flags=hastunnel\n";
        let kernel = parse(&wrong, |_| true);
        let found = kernel.against(&parse(&agent(), |_| true)).unwrap();
        assert_eq!(found.iter().map(|d| d.key.as_str()).collect::<Vec<_>>(), ["10.9.2.9", "169.254.25.10"]);
        assert_eq!(found[0].kernel.as_ref().and_then(|v| v.tunnel), Some(address("192.0.2.99")));
        assert!(found[1].agent.is_none());
        let nodes = [address("192.0.2.11"), address("192.0.2.12")];
        assert_eq!(kernel.tunnels_to_no_node(&nodes).count(), 2);
    }

    #[test]
    fn a_prefix_that_is_listed_twice_counts_only_if_both_rows_say_the_same() {
        let row = "0.0.0.0/0           identity=2 encryptkey=0 tunnelendpoint=0.0.0.0 flags=<none>\n";
        assert_eq!(parse(&format!("{KERNEL}{row}"), |_| true).unread, 0);
        let unlike = parse(&format!("{KERNEL}{}", row.replace("identity=2", "identity=7")), |_| true);
        assert_eq!((unlike.unread, unlike.against(&parse(&agent(), |_| true))), (1, None));
    }

    #[test]
    fn only_what_is_asked_for_is_kept() {
        let own = |prefix: Prefix| prefix.address() == address("10.9.1.7");
        let table = parse(KERNEL, own);
        assert_eq!((table.all, table.rows.len()), (5, 1));
        assert_eq!(table.against(&parse(&agent(), own)), Some(Vec::new()));
    }

    #[test]
    fn the_longest_prefix_counts() {
        let table = parse(KERNEL, |_| true);
        let identity = |text: &str| table.lookup(address(text)).map(|(prefix, row)| (prefix.length(), row.identity));
        assert_eq!(identity("10.9.2.9"), Some((32, 7012)));
        assert_eq!(identity("10.9.2.8"), Some((24, 2)));
        assert_eq!(identity("198.51.100.1"), Some((0, 2)));
        assert_eq!(identity("fd00:9::8"), None);
    }

    #[test]
    fn what_was_not_read_whole_is_compared_with_nothing() {
        let agent = parse(&agent(), |_| true);
        for text in ["", "error dumping contents of map\n", "IP PREFIX/ADDRESS   IDENTITY\n10.9.1.7/32   identity=\n"] {
            assert_eq!(parse(text, |_| true).against(&agent), None, "{text}");
        }
        let other = parse("Key   Value\n10.9.1.7/32@3   identity=9 encryptkey=0 tunnelendpoint=0.0.0.0\n", |_| true);
        assert_eq!((other.other_clusters, other.rows.len(), other.unread), (1, 0, 0));
    }
}
