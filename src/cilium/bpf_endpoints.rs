//! The kernel's table of this node's endpoints, and the agent's own copy of it: `cilium-dbg bpf endpoint list` and
//! `cilium-dbg map get cilium_lxc`.
//!
//! A row is an address with `:0` behind it and what the datapath needs to reach it; the node's own addresses say
//! `(localhost)` and are in the kernel's table alone. Fields were added over the releases (`sec_id`, `parent_ifindex`,
//! `rt_info`); the agent's copy has a state behind the value.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::cilium::lines::rows;
use crate::cilium::two_copies::{Difference, differences, fields};

/// The most entries that are kept: as many as the kernel's table holds.
const MOST: usize = 65_535;

/// What the datapath knows of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointInfo {
    /// The endpoint's number.
    pub id: Option<u32>,
    /// Its identity, where the release prints it.
    pub identity: Option<u32>,
    /// The number of its device on the host.
    pub ifindex: Option<u32>,
    /// The address of the pod's end of the device.
    pub mac: Option<String>,
    /// The address of the host's end.
    pub node_mac: Option<String>,
    /// Its flags, `0x0000`.
    pub flags: Option<String>,
    /// What the agent says of its copy: `sync`, or an action that has not succeeded yet.
    pub state: Option<String>,
}

impl EndpointInfo {
    /// Whether both mean the same endpoint on the same device, by the fields that both have.
    fn is_like(&self, other: &Self) -> bool {
        fn agree<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
            one.zip(other).is_none_or(|(one, other)| one == other)
        }
        agree(self.id.as_ref(), other.id.as_ref())
            && agree(self.identity.as_ref(), other.identity.as_ref())
            && agree(self.ifindex.as_ref(), other.ifindex.as_ref())
            && agree(self.mac.as_ref(), other.mac.as_ref())
            && agree(self.node_mac.as_ref(), other.node_mac.as_ref())
    }
}

/// One of the two tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BpfEndpoints {
    /// Whether its header was seen.
    pub recognized: bool,
    /// The endpoints by address.
    pub endpoints: BTreeMap<IpAddr, EndpointInfo>,
    /// The node's own addresses.
    pub localhost: Vec<IpAddr>,
    /// Rows that could not be read, or say something else than an earlier row of their key: a table that changes while it is
    /// walked may be walked twice.
    pub unread: usize,
    /// Lines of the agent's logger in between.
    pub remarks: usize,
}

/// Reads either table.
#[must_use]
pub fn parse(text: &str) -> BpfEndpoints {
    let mut table = BpfEndpoints::default();
    let mut remarks = 0;
    for line in rows(text, &mut remarks) {
        if line.starts_with("IP ADDRESS") || line.starts_with("Key ") || line.contains("No entries found") {
            table.recognized = true;
        } else if !line.trim().is_empty() && table.row(line).is_none() {
            table.unread += 1;
        }
    }
    table.remarks = remarks;
    table
}

impl BpfEndpoints {
    fn row(&mut self, line: &str) -> Option<()> {
        let (key, value) = line.trim_start().split_once(char::is_whitespace)?;
        let address = key_address(key)?;
        if self.endpoints.len() + self.localhost.len() >= MOST {
            return None;
        }
        if value.trim_start().starts_with("(localhost)") {
            self.localhost.push(address);
            return Some(());
        }
        let mut info = EndpointInfo::default();
        for (key, value) in fields(value) {
            match key {
                "id" => info.id = Some(value.parse().ok()?),
                "sec_id" => info.identity = Some(value.parse().ok()?),
                "ifindex" => info.ifindex = Some(value.parse().ok()?),
                "mac" => info.mac = Some(value.to_ascii_lowercase()),
                "nodemac" => info.node_mac = Some(value.to_ascii_lowercase()),
                "flags" => info.flags = Some(value.to_owned()),
                _ => {}
            }
        }
        // Behind the fields stands a word without a sign in it: the state.
        let state = value.split_whitespace().find(|word| !word.contains(['=', ':']));
        info.state = state.map(str::to_owned);
        info.id?;
        let known = self.endpoints.entry(address).or_insert_with(|| info.clone());
        (*known == info).then_some(())
    }

    /// Where the kernel's table and the agent's copy differ; none where one of them was not read whole.
    #[must_use]
    pub fn against(&self, agent: &Self) -> Option<Vec<Difference<EndpointInfo>>> {
        let whole = |table: &Self| table.recognized && table.unread == 0;
        (whole(self) && whole(agent)).then(|| differences(&self.endpoints, &agent.endpoints, EndpointInfo::is_like))
    }
}

/// `10.42.0.89:0`, `fd00::7:0` or `[fd00::7]:0`.
fn key_address(key: &str) -> Option<IpAddr> {
    let address = key.rsplit_once(':').map_or(key, |(address, _)| address);
    address.trim_matches(['[', ']']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: &str = "IP ADDRESS      LOCAL ENDPOINT INFO\n\
        10.9.1.7:0      id=412   sec_id=7011  flags=0x0000 ifindex=12  mac=0A:00:00:00:00:01 nodemac=0A:00:00:00:00:02 parent_ifindex=0   rt_info:0   \n\
        10.9.1.1:0      (localhost)                                                       \n\
        fd00:9::7:0     id=412   sec_id=7011  flags=0x0000 ifindex=12  mac=0A:00:00:00:00:01 nodemac=0A:00:00:00:00:02 parent_ifindex=0   rt_info:0   \n";
    const AGENT: &str = "Key             Value                                                       State   Error\n\
        10.9.1.7:0      id=412   sec_id=7011  flags=0x0000 ifindex=12  mac=0A:00:00:00:00:01 nodemac=0A:00:00:00:00:02 parent_ifindex=0   rt_info:0   sync    \n\
        fd00:9::7:0     id=412   sec_id=7011  flags=0x0000 ifindex=12  mac=0A:00:00:00:00:01 nodemac=0A:00:00:00:00:02 parent_ifindex=0   rt_info:0   sync    \n";

    #[test]
    fn both_tables_say_the_same() {
        let (kernel, agent) = (parse(KERNEL), parse(AGENT));
        assert_eq!((kernel.endpoints.len(), kernel.localhost.len(), kernel.unread), (2, 1, 0));
        assert_eq!(agent.endpoints.values().next().and_then(|info| info.state.as_deref()), Some("sync"));
        assert_eq!(kernel.endpoints.values().next().and_then(|info| info.state.as_deref()), None);
        assert_eq!(kernel.against(&agent), Some(Vec::new()));
    }

    #[test]
    fn an_entry_that_is_gone_or_leads_elsewhere_is_named() {
        let gone: String =
            KERNEL.lines().filter(|line| !line.starts_with("10.9.1.7")).flat_map(|l| [l, "\n"]).collect();
        let found = parse(&gone).against(&parse(AGENT)).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].key.as_str(), found[0].kernel.is_none()), ("10.9.1.7", true));
        let elsewhere = KERNEL.replacen("ifindex=12", "ifindex=99", 1);
        let found = parse(&elsewhere).against(&parse(AGENT)).unwrap();
        assert_eq!(found[0].kernel.as_ref().and_then(|info| info.ifindex), Some(99));
    }

    #[test]
    fn older_releases_print_fewer_fields() {
        let old = parse(
            "IP ADDRESS       LOCAL ENDPOINT INFO\n10.9.1.7:0    id=412  flags=0x0000 ifindex=12  mac=0A:00:00:00:00:01 nodemac=0A:00:00:00:00:02\n",
        );
        assert_eq!(old.endpoints.values().next().and_then(|info| info.identity), None);
        let agent: String = AGENT.lines().filter(|line| !line.starts_with("fd00")).flat_map(|l| [l, "\n"]).collect();
        assert_eq!(old.against(&parse(&agent)), Some(Vec::new()), "what one does not print is no difference");
    }

    #[test]
    fn an_entry_that_is_listed_twice_counts_only_if_both_rows_say_the_same() {
        let row = KERNEL.lines().nth(1).unwrap();
        let twice = parse(&format!("{KERNEL}{row}\n"));
        assert_eq!(twice.against(&parse(AGENT)), Some(Vec::new()));
        let unlike = parse(&format!("{KERNEL}{}\n", row.replace("ifindex=12", "ifindex=99")));
        assert_eq!((unlike.unread, unlike.against(&parse(AGENT))), (1, None));
    }

    #[test]
    fn a_table_that_was_not_read_whole_is_compared_with_nothing() {
        let agent = parse(AGENT);
        for text in [
            "",
            "error dumping contents of map: no such file\n",
            "IP ADDRESS   LOCAL ENDPOINT INFO\n10.9.1.7:0   id=41",
        ] {
            let table = parse(text);
            if !table.recognized || table.unread > 0 {
                assert_eq!(table.against(&agent), None, "{text}");
            }
        }
        let broken = parse("IP ADDRESS   LOCAL ENDPOINT INFO\n10.9.1.7:0   id=x\n");
        assert_eq!((broken.unread, broken.against(&agent)), (1, None));
    }
}
