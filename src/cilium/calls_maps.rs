//! How many programs each tail-call map holds: `NAME COUNT` a line, made of one `bpftool map dump` for each pinned
//! `cilium_calls_*`.
//!
//! A program that jumps through an empty map drops the packet ("Missed tail call"). Only a restart of the agent fills it.

use crate::cilium::lines::rows;

/// The most maps that are kept.
const MOST: usize = 65_536;
/// What all names begin with.
const PREFIX: &str = "cilium_calls_";

/// Whose tail calls a map holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallsOf {
    /// Those of the programs on a pod's device, by the number of its endpoint.
    Endpoint(u32),
    /// Those of the programs on `cilium_host`, by the number of the host's endpoint.
    Host(u32),
    /// Those of the programs on a device of the host, by the device's number.
    Device(u32),
    /// Those of the programs on the tunnel.
    Overlay,
    /// Those of the programs on `WireGuard`'s device.
    Wireguard,
    /// Those of the XDP programs.
    Xdp,
    /// Users' own additions: empty unless a user fills them.
    Custom,
    /// A map of a kind unknown here.
    Other,
}

/// One map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallsMap {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub of: CallsOf,
    /// Programs in it.
    pub entries: u32,
}

/// All maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallsMaps {
    /// The maps.
    pub maps: Vec<CallsMap>,
    /// Whether there was nothing to list: no map of that name is visible, for the file system with the pins is another.
    pub none_visible: bool,
    /// Lines that could not be read.
    pub unread: usize,
}

/// Reads the list.
#[must_use]
pub fn parse(text: &str) -> CallsMaps {
    let mut list = CallsMaps::default();
    let mut remarks = 0;
    for line in rows(text, &mut remarks).filter(|line| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().take(3).collect();
        match words[..] {
            // A shell leaves a pattern as it is where nothing fits it.
            [name, _] if name.contains('*') => list.none_visible = true,
            [name, entries] if name.starts_with(PREFIX) && list.maps.len() < MOST => match entries.parse() {
                Ok(entries) => list.maps.push(CallsMap { name: name.to_owned(), of: owner(name), entries }),
                Err(_) => list.unread += 1,
            },
            _ => list.unread += 1,
        }
    }
    list
}

fn owner(name: &str) -> CallsOf {
    let rest = name.strip_prefix(PREFIX).unwrap_or(name);
    let (kind, number) = rest.rsplit_once('_').unwrap_or(("", rest));
    match (kind, number.parse::<u32>()) {
        ("", Ok(id)) => CallsOf::Endpoint(id),
        ("hostns", Ok(id)) => CallsOf::Host(id),
        ("netdev", Ok(ifindex)) => CallsOf::Device(ifindex),
        _ if rest.starts_with("overlay") => CallsOf::Overlay,
        _ if rest.starts_with("wireguard") => CallsOf::Wireguard,
        _ if rest.starts_with("xdp") => CallsOf::Xdp,
        _ if rest.starts_with("custom") => CallsOf::Custom,
        _ => CallsOf::Other,
    }
}

impl CallsMaps {
    /// Maps that hold no program, though they should.
    pub fn empty(&self) -> impl Iterator<Item = &CallsMap> {
        self.maps.iter().filter(|map| map.entries == 0 && !matches!(map.of, CallsOf::Custom | CallsOf::Other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_map_is_told_with_its_owner() {
        let list = parse(
            "cilium_calls_00096 0\ncilium_calls_00412 7\ncilium_calls_hostns_00165 0\ncilium_calls_netdev_00002 7\n\
             cilium_calls_overlay_2 6\ncilium_calls_wireguard_1 0\ncilium_calls_xdp 3\ncilium_calls_custom_00412 0\n",
        );
        let owners: Vec<CallsOf> = list.empty().map(|map| map.of).collect();
        assert_eq!(owners, [CallsOf::Endpoint(96), CallsOf::Host(165), CallsOf::Wireguard]);
        assert_eq!((list.maps.len(), list.maps[3].of, list.maps[6].of), (8, CallsOf::Device(2), CallsOf::Xdp));
        assert!(!list.none_visible && list.unread == 0);
    }

    #[test]
    fn a_pattern_that_fits_nothing_is_no_empty_map() {
        let list = parse("cilium_calls_* 0\n");
        assert!(list.none_visible && list.maps.is_empty());
        assert_eq!(parse("Error: bpf obj get\n").unread, 1);
        assert_eq!(parse("").maps.len(), 0);
    }
}
