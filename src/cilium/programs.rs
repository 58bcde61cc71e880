//! `bpftool net show`: which programs are attached where.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use crate::base::pattern::pattern;

/// One attached program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The device's name.
    pub device: String,
    /// `tcx/ingress`, `clsact/egress`, `netkit/primary`, `xdp`, …
    pub hook: String,
    /// The program's name, without the device that older releases put behind it.
    pub program: String,
    /// The program's id, where it is printed.
    pub id: Option<u64>,
}

impl Attachment {
    /// Whether the program is one of Cilium's.
    #[must_use]
    pub fn is_cilium(&self) -> bool {
        self.program.starts_with("cil_") || self.program.starts_with("bpf_")
    }

    /// `ingress`, `egress`, …: the hook without the way of attaching, which changed over the releases.
    #[must_use]
    pub fn direction(&self) -> &str {
        self.hook.rsplit('/').next().unwrap_or(&self.hook)
    }
}

/// The whole listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Programs {
    /// Whether one of its section headings (`tc:`, `xdp:`) or a program was seen: without, this is something else.
    pub recognized: bool,
    /// The programs.
    pub attached: Vec<Attachment>,
}

static LINE: LazyLock<Regex> = LazyLock::new(|| {
    // `eth0(2) tcx/ingress cil_from_netdev prog_id 9 link_id 3`, or of older releases
    // `lxc1(12) clsact/ingress cil_from_container-lxc1 id 7`.
    pattern(r"^\s*([^\s(]+)\((\d+)\) ([a-z]+(?:/[a-z_]+)?) (\S+)(?: (?:prog_)?id (\d+))?")
});

/// Reads the listing.
#[must_use]
pub fn parse(text: &str) -> Programs {
    let mut programs = Programs::default();
    for line in text.lines() {
        programs.recognized |= matches!(line.trim_end(), "tc:" | "xdp:" | "flow_dissector:" | "netfilter:");
        let Some(cells) = LINE.captures(line) else {
            continue;
        };
        programs.recognized = true;
        let device = cells[1].to_owned();
        let program = cells[4].strip_suffix(&format!("-{device}")).unwrap_or(&cells[4]).to_owned();
        let id = cells.get(5).and_then(|id| id.as_str().parse().ok());
        programs.attached.push(Attachment { device, hook: cells[3].to_owned(), program, id });
    }
    programs
}

impl Programs {
    /// Programs that hang twice on one hook, as `device direction program`.
    #[must_use]
    pub fn duplicates(&self) -> Vec<String> {
        let mut ids: BTreeMap<(&str, &str, &str), BTreeSet<Option<u64>>> = BTreeMap::new();
        for a in self.attached.iter().filter(|a| a.is_cilium()) {
            ids.entry((&a.device, a.direction(), &a.program)).or_default().insert(a.id);
        }
        let twice = ids.into_iter().filter(|(_, ids)| ids.len() > 1);
        twice.map(|((device, direction, program), _)| format!("{device} {direction} {program}")).collect()
    }

    /// The directions of this device on which a program of Cilium's hangs.
    #[must_use]
    pub fn directions(&self, device: &str) -> BTreeSet<&str> {
        let on = self.attached.iter().filter(|a| a.device == device && a.is_cilium());
        on.map(Attachment::direction).collect()
    }

    /// The devices of pods (`lxc…`) on which a program of Cilium's hangs; the health endpoint's is not among them.
    #[must_use]
    pub fn pod_devices(&self) -> BTreeSet<&str> {
        let pods = self.attached.iter().filter(|a| a.is_cilium() && a.device.starts_with("lxc"));
        pods.map(|a| a.device.as_str()).filter(|d| *d != "lxc_health").collect()
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
        assert_eq!(programs.attached[1].program, "cil_from_container");
        assert_eq!(programs.attached[1].direction(), "ingress");
        assert_eq!(programs.pod_devices().into_iter().collect::<Vec<_>>(), ["lxc12ab"]);
        assert!(programs.duplicates().is_empty());
    }

    #[test]
    fn two_of_one_name_on_a_hook_are_seen() {
        let programs = parse(
            "tc:\ncilium_host(9) tcx/ingress cil_to_host prog_id 3 link_id 5\n\
             cilium_host(9) tcx/ingress cil_to_host prog_id 95 link_id 87\n\
             cilium_host(9) tcx/egress cil_from_host prog_id 4 link_id 6\n",
        );
        assert_eq!(programs.duplicates(), ["cilium_host ingress cil_to_host"]);
    }

    #[test]
    fn nothing_attached_is_not_the_same_as_something_else() {
        assert!(parse("xdp:\n\ntc:\n\nflow_dissector:\n\n").recognized);
        assert!(!parse("bash: bpftool: command not found\n").recognized);
    }
}
