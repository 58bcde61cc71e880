//! `bpftool net show`: which programs are attached where.
//!
//! Cilium's programs have had three spellings: `bpf_lxc.o:[from-container]` (attached by iproute2, up to 1.11 or so),
//! `cil_from_container-lxc1a2b` (clsact), `cil_from_container` (tcx, netkit). A bpftool older than 7.3 or so prints nothing
//! for tcx, with exit code 0: an empty section is not evidence there (`Programs::can_miss`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use crate::base::pattern::pattern;
use crate::cilium::lines::rows;
use crate::cilium::status::AttachMode;

/// The most attachments that are kept; a node has two for each pod.
const MOST: usize = 65_536;

/// The programs of Cilium that hang on devices, by the name that newer releases print.
const KNOWN: [&str; 13] = [
    "cil_from_container",
    "cil_to_container",
    "cil_from_host",
    "cil_to_host",
    "cil_from_netdev",
    "cil_to_netdev",
    "cil_from_network",
    "cil_to_network",
    "cil_from_overlay",
    "cil_to_overlay",
    "cil_from_wireguard",
    "cil_to_wireguard",
    "cil_xdp_entry",
];
/// The longest name that the kernel keeps where a program has no type information.
const KERNEL_NAME: usize = 15;

/// What a device is to Cilium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeviceKind {
    /// `cilium_host`: the host's side of the pod network.
    CiliumHost,
    /// `cilium_net`: the other end of `cilium_host`.
    CiliumNet,
    /// `cilium_vxlan`, `cilium_geneve`, …: the tunnel.
    Overlay,
    /// `cilium_wg0`.
    Wireguard,
    /// `lxc_health`: the health endpoint.
    Health,
    /// A pod's device.
    Pod,
    /// Anything else: the host's own devices.
    Host,
}

impl DeviceKind {
    /// The kind, by the name alone. A pod's device that another plugin made is recognized by its program.
    #[must_use]
    pub fn by_name(device: &str) -> Self {
        match device {
            "cilium_host" => Self::CiliumHost,
            "cilium_net" => Self::CiliumNet,
            "cilium_wg0" => Self::Wireguard,
            "lxc_health" => Self::Health,
            _ if device.starts_with("cilium_") => Self::Overlay,
            _ if device.starts_with("lxc") => Self::Pod,
            _ => Self::Host,
        }
    }
}

/// One attached program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The device's name.
    pub device: String,
    /// The device's number.
    pub ifindex: u32,
    /// `tcx/ingress`, `clsact/egress`, `netkit/primary`, `xdp/driver`, …
    pub hook: String,
    /// The program's name: of Cilium's programs as newer releases spell it, of others as it is printed. Empty where none
    /// is printed.
    pub program: String,
    /// The program's id, where it is printed.
    pub id: Option<u64>,
    /// The link's id, where it is attached by one.
    pub link: Option<u64>,
}

impl Attachment {
    /// Whether the program is one of Cilium's.
    #[must_use]
    pub fn is_cilium(&self) -> bool {
        self.program.starts_with("cil_") || self.program.starts_with("bpf_")
    }

    /// Whether it is the program of a pod's device.
    #[must_use]
    pub fn is_container_program(&self) -> bool {
        matches!(self.program.as_str(), "cil_from_container" | "cil_to_container")
    }

    /// `ingress`, `egress`, …: the hook without the way of attaching, which changed over the releases.
    #[must_use]
    pub fn direction(&self) -> &str {
        match self.hook.as_str() {
            // What leaves the peer, which is in the pod, comes in to the host.
            "netkit/peer" => "ingress",
            "netkit/primary" => "egress",
            hook => hook.rsplit('/').next().unwrap_or(hook),
        }
    }
}

/// Two programs of one name on one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// The device.
    pub device: String,
    /// `ingress` or `egress`.
    pub direction: String,
    /// The name.
    pub program: String,
    /// The ids of the programs, where they are printed, smallest (oldest) first.
    pub ids: Vec<u64>,
}

/// The whole listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Programs {
    /// Whether it is a listing: one of its headings (`tc:`, `xdp:`) or a program was seen. An empty one may be an old
    /// bpftool's, which does not know tcx: see [`Programs::can_miss`].
    pub recognized: bool,
    /// The programs.
    pub attached: Vec<Attachment>,
    /// Lines of the agent's logger in between.
    pub remarks: usize,
}

static LINE: LazyLock<Regex> = LazyLock::new(|| {
    // `eth0(2) tcx/ingress cil_from_netdev prog_id 9 link_id 3`, or of older releases
    // `lxc1(12) clsact/ingress cil_from_container-lxc1 id 7`.
    pattern(r"^\s*([^\s(]+)\((\d+)\) ([a-z]+/[a-z_]+) (\S+)(?: (?:prog_)?id (\d+))?(?:.*? link_id (\d+))?")
});
static XDP: LazyLock<Regex> = LazyLock::new(|| {
    // `eth0(2) driver id 12`: mostly without a name.
    pattern(r"^\s*([^\s(]+)\((\d+)\) (driver|generic|offload|multi)(?: (\S+))?? (?:prog_)?id (\d+)")
});

/// Reads the listing.
#[must_use]
pub fn parse(text: &str) -> Programs {
    let mut programs = Programs::default();
    let mut remarks = 0;
    for line in rows(text, &mut remarks) {
        programs.recognized |= matches!(line.trim_end(), "tc:" | "xdp:" | "flow_dissector:" | "netfilter:");
        if programs.attached.len() < MOST
            && let Some(attachment) = attachment(line)
        {
            programs.attached.push(attachment);
        }
    }
    programs.remarks = remarks;
    programs.recognized |= !programs.attached.is_empty();
    programs
}

fn attachment(line: &str) -> Option<Attachment> {
    let number = |cells: &regex::Captures<'_>, at| cells.get(at).and_then(|id| id.as_str().parse().ok());
    if let Some(cells) = XDP.captures(line) {
        let program = cells.get(4).map_or(String::new(), |name| spelled(name.as_str(), &cells[1]));
        return Some(Attachment {
            device: cells[1].to_owned(),
            ifindex: cells[2].parse().ok()?,
            hook: format!("xdp/{}", &cells[3]),
            program,
            id: number(&cells, 5),
            link: None,
        });
    }
    let cells = LINE.captures(line)?;
    Some(Attachment {
        device: cells[1].to_owned(),
        ifindex: cells[2].parse().ok()?,
        hook: cells[3].to_owned(),
        program: spelled(&cells[4], &cells[1]),
        id: number(&cells, 5),
        link: number(&cells, 6),
    })
}

/// The program's name as newer releases spell it: without the device behind it, without the object file around it, with
/// the prefix, and whole where the kernel cut it.
fn spelled(printed: &str, device: &str) -> String {
    let name = printed.strip_suffix(device).and_then(|name| name.strip_suffix('-')).unwrap_or(printed);
    let section = name.split_once(":[").and_then(|(_, section)| section.strip_suffix(']')).unwrap_or(name);
    let modern = if section.starts_with("from-") || section.starts_with("to-") {
        format!("cil_{}", section.replace('-', "_"))
    } else {
        section.to_owned()
    };
    let is_whole = |known: &&&str| **known == modern || (modern.len() == KERNEL_NAME && known.starts_with(&modern));
    match KNOWN.iter().find(is_whole) {
        Some(known) => (*known).to_owned(),
        None if section == name => name.to_owned(),
        None => printed.to_owned(),
    }
}

impl Programs {
    /// Whether a program that this listing lacks is missing. It is not where the listing may be an old bpftool's, which
    /// leaves out all that is attached by tcx or netkit: nothing of the kind is in it, and the agent does not say that
    /// it attaches in the old way.
    #[must_use]
    pub fn can_miss(&self, attach: Option<AttachMode>) -> bool {
        let shows = |way: &str| self.attached.iter().any(|a| a.is_cilium() && a.hook.starts_with(way));
        match attach {
            Some(AttachMode::Tcx) => shows("tcx/") || shows("netkit/"),
            Some(AttachMode::LegacyTc) => self.recognized,
            None => self.attached.iter().any(|a| a.is_cilium() && !a.hook.starts_with("xdp/")),
        }
    }

    /// What a device is, by its name and by what hangs on it.
    #[must_use]
    pub fn kind(&self, device: &str) -> DeviceKind {
        match DeviceKind::by_name(device) {
            DeviceKind::Host if self.on(device).any(Attachment::is_container_program) => DeviceKind::Pod,
            kind => kind,
        }
    }

    /// What hangs on a device.
    pub fn on(&self, device: &str) -> impl Iterator<Item = &Attachment> {
        self.attached.iter().filter(move |a| a.device == device)
    }

    /// All devices that anything hangs on.
    #[must_use]
    pub fn devices(&self) -> BTreeSet<&str> {
        self.attached.iter().map(|a| a.device.as_str()).collect()
    }

    /// Programs that hang twice on one hook.
    #[must_use]
    pub fn duplicated(&self) -> Vec<Duplicate> {
        let mut hooks: BTreeMap<(&str, &str, &str), (BTreeSet<u64>, usize)> = BTreeMap::new();
        for a in self.attached.iter().filter(|a| a.is_cilium()) {
            let (ids, unnumbered) = hooks.entry((&a.device, a.direction(), &a.program)).or_default();
            match a.id {
                Some(id) => drop(ids.insert(id)),
                None => *unnumbered += 1,
            }
        }
        let twice = hooks.into_iter().filter(|(_, (ids, unnumbered))| ids.len() + unnumbered > 1);
        let duplicate =
            |((device, direction, program), (ids, _)): ((&str, &str, &str), (BTreeSet<u64>, _))| Duplicate {
                device: device.to_owned(),
                direction: direction.to_owned(),
                program: program.to_owned(),
                ids: ids.into_iter().collect(),
            };
        twice.map(duplicate).collect()
    }

    /// The same as `device direction program`.
    #[must_use]
    pub fn duplicates(&self) -> Vec<String> {
        self.duplicated().into_iter().map(|d| format!("{} {} {}", d.device, d.direction, d.program)).collect()
    }

    /// The directions of this device on which a program of Cilium's hangs.
    #[must_use]
    pub fn directions(&self, device: &str) -> BTreeSet<&str> {
        self.on(device).filter(|a| a.is_cilium()).map(Attachment::direction).collect()
    }

    /// The devices of pods (`lxc…`) on which a program of Cilium's hangs; the health endpoint's is not among them.
    #[must_use]
    pub fn pod_devices(&self) -> BTreeSet<&str> {
        let pods = self.attached.iter().filter(|a| a.is_cilium() && DeviceKind::by_name(&a.device) == DeviceKind::Pod);
        pods.map(|a| a.device.as_str()).collect()
    }

    /// Pods' devices that another plugin made and Cilium is chained to (`eni…`, `veth…`, `cali…`): known only by the
    /// program that hangs on them, so one without it looks like a device that belongs to no pod.
    #[must_use]
    pub fn chained_pod_devices(&self) -> BTreeSet<&str> {
        let chained = |a: &&Attachment| a.is_container_program() && DeviceKind::by_name(&a.device) == DeviceKind::Host;
        self.attached.iter().filter(chained).map(|a| a.device.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_attaching() {
        let programs = parse(
            "xdp:\n\ntc:\neth0(2) tcx/ingress cil_from_netdev prog_id 9 link_id 3 \n\
             lxc12ab(12) clsact/ingress cil_from_container-lxc12ab id 744\n\
             lxc_health(5) tcx/ingress cil_from_container prog_id 5 link_id 4\nflow_dissector:\n\nnetfilter:\n",
        );
        assert!(programs.recognized);
        assert_eq!(programs.attached.len(), 3);
        assert_eq!((programs.attached[0].id, programs.attached[0].link), (Some(9), Some(3)));
        assert_eq!(programs.attached[1].program, "cil_from_container");
        assert_eq!(programs.attached[1].direction(), "ingress");
        assert_eq!(programs.pod_devices().into_iter().collect::<Vec<_>>(), ["lxc12ab"]);
        assert!(programs.duplicates().is_empty());
    }

    #[test]
    fn every_spelling_is_the_same_program() {
        for (printed, program) in [
            ("cil_from_container", "cil_from_container"),
            ("cil_from_container-lxc9", "cil_from_container"),
            ("cil_from_contai", "cil_from_container"),
            ("from-container", "cil_from_container"),
            ("bpf_lxc.o:[from-container]", "cil_from_container"),
            ("bpf_lxc.o:[to-container]", "cil_to_container"),
            ("bpf_host.o:[to-host]", "cil_to_host"),
            ("bpf_netdev_eth0.o:[from-netdev]", "cil_from_netdev"),
            ("bpf_overlay.o:[from-overlay]", "cil_from_overlay"),
            ("cil_to_wireguard", "cil_to_wireguard"),
            ("bpf_sock.o", "bpf_sock.o"),
            ("retina_ingress", "retina_ingress"),
            ("mine.o:[classifier]", "mine.o:[classifier]"),
        ] {
            let listing = format!("tc:\nlxc9(7) clsact/ingress {printed} id 12\n");
            assert_eq!(parse(&listing).attached[0].program, program, "{printed}");
        }
    }

    #[test]
    fn two_of_one_name_on_a_hook_are_seen() {
        let programs = parse(
            "tc:\ncilium_host(9) tcx/ingress cil_to_host prog_id 95 link_id 87\n\
             cilium_host(9) tcx/ingress cil_to_host prog_id 3 link_id 5\n\
             cilium_host(9) tcx/egress cil_from_host prog_id 4 link_id 6\n\
             eth0(2) tcx/ingress retina prog_id 7 link_id 8\neth0(2) tcx/ingress retina prog_id 9 link_id 10\n",
        );
        assert_eq!(programs.duplicates(), ["cilium_host ingress cil_to_host"]);
        assert_eq!(programs.duplicated()[0].ids, [3, 95]);
    }

    #[test]
    fn an_empty_listing_misses_programs_only_where_bpftool_would_show_them() {
        let empty = parse("xdp:\n\ntc:\n\nflow_dissector:\n\n");
        assert!(empty.recognized && empty.attached.is_empty());
        assert!(!empty.can_miss(None) && !empty.can_miss(Some(AttachMode::Tcx)));
        assert!(empty.can_miss(Some(AttachMode::LegacyTc)), "clsact is known to every bpftool");
        let foreign = parse("tc:\neth0(2) clsact/ingress tuned id 4\n");
        assert!(!foreign.can_miss(Some(AttachMode::Tcx)), "an old bpftool shows another's filter and no tcx");
        let some = parse("tc:\neth0(2) tcx/ingress cil_from_netdev prog_id 9 link_id 3\n");
        assert!(some.can_miss(Some(AttachMode::Tcx)) && some.can_miss(None));
        assert!(!parse("Error: can't get net info\n").can_miss(Some(AttachMode::LegacyTc)));
    }

    #[test]
    fn devices_are_told_by_name_and_by_what_hangs_on_them() {
        let programs = parse(
            "xdp:\neth0(2) driver id 12\n\ntc:\neni7a(9) clsact/egress bpf_lxc.o:[to-container] id 7\n\
             eth0(2) clsact/ingress cil_from_netdev-eth0 id 9\nlxc1(3) netkit/peer cil_from_container prog_id 8 link_id 2\n\
             lxc1(3) netkit/primary cil_to_container prog_id 9 link_id 3\n",
        );
        let kinds: Vec<DeviceKind> =
            ["eni7a", "eth0", "lxc1", "cilium_vxlan", "cilium_wg0"].map(|device| programs.kind(device)).to_vec();
        let expected = [DeviceKind::Pod, DeviceKind::Host, DeviceKind::Pod, DeviceKind::Overlay, DeviceKind::Wireguard];
        assert_eq!(kinds, expected);
        assert_eq!(programs.chained_pod_devices().into_iter().collect::<Vec<_>>(), ["eni7a"]);
        assert_eq!(programs.directions("lxc1").into_iter().collect::<Vec<_>>(), ["egress", "ingress"]);
        assert_eq!((programs.attached[0].hook.as_str(), programs.attached[0].id), ("xdp/driver", Some(12)));
        assert_eq!(programs.devices().len(), 3);
    }
}
