//! `bpftool link show`: links, which hold programs on devices and control groups.
//!
//! A link stays pinned when it is taken off its device: it is listed as `(detached)`. That supports another sign and is
//! none by itself, for a device that was deleted leaves such a link, too. `(unknown)` is a device of another network
//! namespace.

use std::sync::LazyLock;

use regex::Regex;

use crate::base::pattern::pattern;
use crate::cilium::lines::rows;

/// The most links that are kept.
const MOST: usize = 65_536;

/// What a link holds its program on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkTarget {
    /// A device of this network namespace.
    Device {
        /// Its name.
        name: String,
        /// Its number.
        ifindex: u32,
    },
    /// A device of another network namespace.
    Elsewhere,
    /// A control group.
    Cgroup(u64),
    /// Nothing any more: it was detached, or what it was on is gone.
    Detached,
    /// Something that this listing does not say.
    Unsaid,
}

/// One link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its id.
    pub id: u64,
    /// `tcx`, `netkit`, `cgroup`, `xdp`, `tracing`, …
    pub kind: String,
    /// The id of its program, where there is one.
    pub program: Option<u64>,
    /// What it is on.
    pub target: LinkTarget,
    /// `tcx_ingress`, `cgroup_inet4_connect`, …; empty where it is not said.
    pub attach_type: String,
}

/// The whole listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Whether a link was seen.
    pub recognized: bool,
    /// The links.
    pub links: Vec<Link>,
    /// Lines of the agent's logger in between.
    pub remarks: usize,
}

static HEAD: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\d+): ([a-z_]+)\b(?:.*?\bprog (\d+))?"));
static DEVICE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\bifindex (?:(\d+)\b|(\(detached\))|(\(unknown\))|([^\s(]+)\((\d+)\))"));
static CGROUP: LazyLock<Regex> = LazyLock::new(|| pattern(r"\bcgroup_id (\d+)"));
static ATTACH: LazyLock<Regex> = LazyLock::new(|| pattern(r"\battach_type (\S+)"));

/// Reads the listing.
#[must_use]
pub fn parse(text: &str) -> Links {
    let mut links = Links::default();
    let mut remarks = 0;
    // Lines of links that are not kept belong to none.
    let mut is_open = false;
    for line in rows(text, &mut remarks) {
        if let Some(cells) = HEAD.captures(line) {
            links.recognized = true;
            is_open = links.links.len() < MOST;
            if let (true, Ok(id)) = (is_open, cells[1].parse()) {
                links.links.push(Link {
                    id,
                    kind: cells[2].to_owned(),
                    program: cells.get(3).and_then(|program| program.as_str().parse().ok()),
                    target: LinkTarget::Unsaid,
                    attach_type: String::new(),
                });
            }
        }
        if let (true, Some(link)) = (is_open, links.links.last_mut()) {
            link.take(line);
        }
    }
    links.remarks = remarks;
    links
}

impl Link {
    fn take(&mut self, line: &str) {
        if let Some(cells) = DEVICE.captures(line) {
            self.target = match (cells.get(1), cells.get(2), cells.get(3), cells.get(4)) {
                (Some(number), ..) if number.as_str() == "0" => LinkTarget::Detached,
                (Some(_), ..) | (_, _, Some(_), _) => LinkTarget::Elsewhere,
                (_, Some(_), ..) => LinkTarget::Detached,
                (.., Some(name)) => match cells[5].parse() {
                    Ok(ifindex) => LinkTarget::Device { name: name.as_str().to_owned(), ifindex },
                    Err(_) => LinkTarget::Unsaid,
                },
                _ => LinkTarget::Unsaid,
            };
        } else if let Some(cells) = CGROUP.captures(line) {
            self.target = match cells[1].parse() {
                Ok(0) => LinkTarget::Detached,
                Ok(id) => LinkTarget::Cgroup(id),
                Err(_) => LinkTarget::Unsaid,
            };
        }
        if let Some(cells) = ATTACH.captures(line) {
            cells[1].clone_into(&mut self.attach_type);
        }
    }
}

impl Links {
    /// Links that hold their program on nothing any more.
    pub fn detached(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(|link| link.target == LinkTarget::Detached)
    }

    /// Links on this device.
    pub fn on(&self, device: &str) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(move |link| matches!(&link.target, LinkTarget::Device { name, .. } if name == device))
    }

    /// The link with this id.
    #[must_use]
    pub fn by_id(&self, id: u64) -> Option<&Link> {
        self.links.iter().find(|link| link.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_on_devices_groups_or_nothing() {
        let links = parse(
            "11: cgroup  prog 770  \n\tcgroup_id 82  attach_type cgroup_udp6_sendmsg  \n\
             12: cgroup  prog 771  \n\tcgroup_id 0  attach_type cgroup_inet4_connect  \n\
             13: tcx  prog 772  \n\tifindex lxc0a1b(48)  attach_type tcx_ingress  \n\tpids cilium-agent(4711)\n\
             14: tcx  prog 773  \n\tifindex (detached)  attach_type tcx_ingress  \n\
             15: netkit  prog 774  \n\tifindex (unknown)  attach_type netkit_peer  \n\
             16: tcx  prog 775  \n\tifindex 0  attach_type tcx_egress  \n\
             17: raw_tracepoint  prog 776\n\ttp 'sys_enter'\n",
        );
        let targets: Vec<&LinkTarget> = links.links.iter().map(|link| &link.target).collect();
        let device = LinkTarget::Device { name: "lxc0a1b".to_owned(), ifindex: 48 };
        let (detached, unsaid) = (LinkTarget::Detached, LinkTarget::Unsaid);
        let expected =
            [&LinkTarget::Cgroup(82), &detached, &device, &detached, &LinkTarget::Elsewhere, &detached, &unsaid];
        assert_eq!(targets, expected);
        assert_eq!(links.detached().map(|link| link.id).collect::<Vec<_>>(), [12, 14, 16]);
        assert_eq!(links.on("lxc0a1b").map(|link| link.program).collect::<Vec<_>>(), [Some(772)]);
        assert_eq!(links.by_id(15).map(|link| link.attach_type.as_str()), Some("netkit_peer"));
    }

    #[test]
    fn what_is_no_listing_is_not_recognized() {
        assert!(!parse("Error: can't get next link: Operation not permitted\n").recognized);
        assert!(!parse("\tifindex (detached)\n").recognized);
    }
}
