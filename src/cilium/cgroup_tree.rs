//! `bpftool cgroup tree ROOT`: the programs that translate connections to services at the socket.
//!
//! Each row has an id, where it is attached, flags (which may be missing) and the name; above the rows of a control group
//! stands its path.

use std::collections::BTreeMap;

use crate::cilium::lines::rows;

/// The most rows that are kept.
const MOST: usize = 65_536;
/// The longest name that the kernel keeps where a program has no type information.
const KERNEL_NAME: usize = 15;

/// The programs without which services can't be reached from sockets, by family. Others (`post_bind`, `sock_release`,
/// `getpeername`) depend on the configuration and the release.
const NEEDED: [(&str, [&str; 3]); 2] = [
    ("IPv4", ["cil_sock4_connect", "cil_sock4_sendmsg", "cil_sock4_recvmsg"]),
    ("IPv6", ["cil_sock6_connect", "cil_sock6_sendmsg", "cil_sock6_recvmsg"]),
];

/// What the hooks' names contain that Cilium's socket programs use.
const SOCKET_HOOKS: [&str; 6] = ["connect", "sendmsg", "recvmsg", "post_bind", "getpeername", "sock_release"];

/// A program on a control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupProgram {
    /// The path of the control group.
    pub path: String,
    /// The program's id.
    pub id: u64,
    /// `cgroup_inet4_connect`; `connect4` of an older bpftool.
    pub attach_type: String,
    /// Its name.
    pub name: String,
}

/// The tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupTree {
    /// Whether its header was seen.
    pub recognized: bool,
    /// The path of the root.
    pub root: Option<String>,
    /// The programs.
    pub programs: Vec<CgroupProgram>,
    /// Rows that could not be read.
    pub unread: usize,
    /// Lines of the agent's logger in between.
    pub remarks: usize,
}

/// Reads the tree.
#[must_use]
pub fn parse(text: &str) -> CgroupTree {
    let mut tree = CgroupTree::default();
    let mut remarks = 0;
    let mut path = String::new();
    for line in rows(text, &mut remarks) {
        let line = line.trim_end();
        if line.starts_with("CgroupPath") || line.starts_with("ID ") {
            tree.recognized = true;
        } else if line.starts_with('/') {
            line.clone_into(&mut path);
            tree.root.get_or_insert_with(|| path.clone());
        } else if !line.trim().is_empty() {
            match program(line, &path).filter(|_| tree.programs.len() < MOST) {
                Some(program) => tree.programs.push(program),
                None => tree.unread += 1,
            }
        }
    }
    tree.remarks = remarks;
    tree
}

fn program(line: &str, path: &str) -> Option<CgroupProgram> {
    let words: Vec<&str> = line.split_whitespace().take(5).collect();
    let ([id, attach_type, name] | [id, attach_type, _, name]) = words[..] else {
        return None;
    };
    Some(CgroupProgram {
        path: path.to_owned(),
        id: id.parse().ok()?,
        attach_type: attach_type.to_owned(),
        name: name.to_owned(),
    })
}

/// Whether a printed name is this program's: whole, without the prefix of newer releases, or as the kernel cut it.
fn is_named(printed: &str, name: &str) -> bool {
    let cut = |name: &str| printed.len() == KERNEL_NAME && name.starts_with(printed);
    let old = name.strip_prefix("cil_").unwrap_or(name);
    printed == name || printed == old || cut(name) || cut(old)
}

impl CgroupTree {
    /// Cilium's socket programs by name, with their ids.
    #[must_use]
    pub fn socket_programs(&self) -> BTreeMap<&str, Vec<u64>> {
        let mut found: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        let is_socket =
            |name: &str| name.starts_with("cil_sock") || name.starts_with("sock4_") || name.starts_with("sock6_");
        for program in self.programs.iter().filter(|program| is_socket(&program.name)) {
            found.entry(&program.name).or_default().push(program.id);
        }
        found
    }

    /// The programs that connections of these families to services need and that are attached nowhere in the tree; none
    /// where the tree was not read whole. Where no socket program at all is there, the tree may be another's than the one
    /// that Cilium attaches to: the caller knows whether there should be any.
    #[must_use]
    pub fn missing(&self, ipv4: bool, ipv6: bool) -> Option<Vec<&'static str>> {
        if !self.recognized || self.unread > 0 {
            return None;
        }
        let wanted = NEEDED.iter().filter(|(family, _)| if *family == "IPv4" { ipv4 } else { ipv6 });
        let is_there = |name: &str| self.programs.iter().any(|program| is_named(&program.name, name));
        Some(wanted.flat_map(|(_, names)| names).copied().filter(|name| !is_there(name)).collect())
    }

    /// Programs of others on the root control group, on the hooks that Cilium's own socket programs use: the agent may be
    /// unable to detach them (cilium/cilium#43877). None where the tree was not read whole.
    #[must_use]
    pub fn foreign(&self) -> Option<Vec<&str>> {
        if !self.recognized || self.unread > 0 {
            return None;
        }
        let is_hook = |kind: &str| SOCKET_HOOKS.iter().any(|hook| kind.contains(hook));
        let own = |name: &str| name.starts_with("cil_") || name.starts_with("sock4_") || name.starts_with("sock6_");
        let foreign = self.programs.iter().filter(|program| {
            Some(&program.path) == self.root.as_ref() && is_hook(&program.attach_type) && !own(&program.name)
        });
        Some(foreign.map(|program| program.name.as_str()).collect())
    }

    /// Socket programs of one name that are attached more than once to one control group, with their ids, the oldest first
    /// (cilium/cilium#47847).
    #[must_use]
    pub fn duplicates(&self) -> Vec<(&str, Vec<u64>)> {
        let mut found: BTreeMap<(&str, &str, &str), Vec<u64>> = BTreeMap::new();
        for p in self.programs.iter().filter(|program| program.name.starts_with("cil_")) {
            found.entry((&p.name, &p.path, &p.attach_type)).or_default().push(p.id);
        }
        let twice = found.into_iter().filter(|(_, ids)| ids.len() > 1);
        twice
            .map(|((name, ..), mut ids)| {
                ids.sort_unstable();
                (name, ids)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "CgroupPath\n\
        ID       AttachType      AttachFlags     Name           \n\
        /run/cilium/cgroupv2\n\
        753      cgroup_inet_sock_release multi           cil_sock_release                \n\
        750      cgroup_inet4_connect multi           cil_sock4_connect                \n\
        747      cgroup_udp4_sendmsg multi           cil_sock4_sendmsg                \n\
        748      cgroup_udp4_recvmsg multi           cil_sock4_recvmsg                \n\
        752      cgroup_inet6_connect multi           cil_sock6_connect                \n\
        749      cgroup_udp6_sendmsg multi           cil_sock6_sendmsg                \n\
        746      cgroup_udp6_recvmsg multi           cil_sock6_recvmsg                \n\
        /run/cilium/cgroupv2/system.slice/systemd-udevd.service\n\
        12       device                          sd_devices                      \n";

    #[test]
    fn all_programs_are_there() {
        let tree = parse(TREE);
        assert_eq!((tree.programs.len(), tree.unread, tree.root.as_deref()), (8, 0, Some("/run/cilium/cgroupv2")));
        assert_eq!(tree.missing(true, true), Some(Vec::new()));
        assert_eq!((tree.socket_programs().len(), tree.duplicates().len()), (7, 0));
        assert!(tree.programs[7].path.ends_with("udevd.service"));
    }

    #[test]
    fn programs_that_were_detached_are_named() {
        let without =
            |name: &str| TREE.lines().filter(|l| !l.contains(name)).flat_map(|l| [l, "\n"]).collect::<String>();
        let tree = parse(&without("sock4_connect"));
        assert_eq!(tree.missing(true, true), Some(vec!["cil_sock4_connect"]));
        assert_eq!(tree.missing(false, true), Some(Vec::new()), "a node without IPv4 needs none of its programs");
        assert_eq!(parse(&without("cil_sock")).missing(true, false).map(|names| names.len()), Some(3));
        for none in ["", "Error: can't iterate over cgroups\n"] {
            assert_eq!(parse(none).missing(true, true), None, "{none}");
        }
    }

    #[test]
    fn programs_of_others_on_the_sockets_hooks_are_foreign() {
        assert_eq!(parse(TREE).foreign(), Some(Vec::new()), "a unit's own device program is not on the root");
        let other = TREE.replacen("750  ", "66       cgroup_inet4_connect multi           my_agent_conn4\n750  ", 1);
        assert_eq!(parse(&other).foreign(), Some(vec!["my_agent_conn4"]));
        assert_eq!(parse("").foreign(), None);
    }

    #[test]
    fn older_and_shortened_names_are_the_same_programs() {
        let old = TREE.replace("cil_sock4_connect", "sock4_connect").replace("cil_sock6_sendmsg", "cil_sock6_sendm");
        assert_eq!(parse(&old).missing(true, true), Some(Vec::new()));
    }

    #[test]
    fn a_program_that_is_attached_twice_is_named() {
        let twice = TREE.replacen("750  ", "850      cgroup_inet4_connect multi           cil_sock4_connect\n750  ", 1);
        assert_eq!(parse(&twice).duplicates(), [("cil_sock4_connect", vec![750, 850])]);
    }
}
