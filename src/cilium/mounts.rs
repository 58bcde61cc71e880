//! `/proc/self/mountinfo` of the agent's container and `/proc/mounts` of the node: where BPF file systems are mounted.
//!
//! Two of them on one point hide the pins of the first: the agent then works on maps that the attached programs do not
//! use (cilium/cilium#47847). The last mount is the visible one.

use crate::cilium::lines::rows;

/// Where Cilium pins its maps.
pub const BPF_ROOT: &str = "/sys/fs/bpf";
/// The most mounts that are kept.
const MOST: usize = 4_096;

/// A mount of a BPF file system or of control groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    pub point: String,
    /// `bpf`, `cgroup2`.
    pub kind: String,
    /// The number of the file system, `0:50`; mountinfo alone has it. Two mounts of one number show the same.
    pub device: Option<String>,
}

/// The mounts that matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mounts {
    /// All lines that are mounts.
    pub all: usize,
    /// Mounts of BPF file systems and of control groups, in the order in which they were made.
    pub mounts: Vec<Mount>,
    /// Lines that could not be read.
    pub unread: usize,
}

/// Reads either file.
#[must_use]
pub fn parse(text: &str) -> Mounts {
    let mut mounts = Mounts::default();
    let mut remarks = 0;
    for line in rows(text, &mut remarks).filter(|line| !line.trim().is_empty()) {
        let Some(mount) = mountinfo(line).or_else(|| proc_mounts(line)) else {
            mounts.unread += 1;
            continue;
        };
        mounts.all += 1;
        if matches!(mount.kind.as_str(), "bpf" | "cgroup2") && mounts.mounts.len() < MOST {
            mounts.mounts.push(mount);
        }
    }
    mounts
}

/// `2120 1953 0:44 / /sys/fs/bpf rw,relatime shared:41 - bpf bpf rw`.
fn mountinfo(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ');
    let (id, parent, device) = (left.next()?, left.next()?, left.next()?);
    let numbered = [id, parent].iter().all(|number| number.parse::<u64>().is_ok()) && device.contains(':');
    let point = left.nth(1)?;
    numbered.then(|| Mount {
        point: unescaped(point),
        kind: right.split(' ').next().unwrap_or_default().to_owned(),
        device: Some(device.to_owned()),
    })
}

/// `bpf /sys/fs/bpf bpf rw,relatime 0 0`.
fn proc_mounts(line: &str) -> Option<Mount> {
    let words: Vec<&str> = line.split(' ').take(7).collect();
    let [_, point, kind, _, "0", "0"] = words[..] else {
        return None;
    };
    point.starts_with('/').then(|| Mount { point: unescaped(point), kind: kind.to_owned(), device: None })
}

/// `\040` is a blank, and so on.
fn unescaped(text: &str) -> String {
    text.replace(r"\040", " ").replace(r"\011", "\t").replace(r"\012", "\n").replace(r"\134", r"\")
}

impl Mounts {
    /// BPF file systems at a point, the last of which is seen.
    pub fn bpf_at(&self, point: &str) -> impl Iterator<Item = &Mount> {
        self.mounts.iter().filter(move |mount| mount.kind == "bpf" && mount.point == point)
    }

    /// Whether more than one BPF file system is mounted at [`BPF_ROOT`]; none where no mount could be read. Where the
    /// numbers are known, two mounts of one file system are one; in `/proc/mounts` each line is taken for another.
    #[must_use]
    pub fn are_stacked(&self) -> Option<bool> {
        let mut devices: Vec<Option<&str>> = self.bpf_at(BPF_ROOT).map(|mount| mount.device.as_deref()).collect();
        let unnumbered = devices.iter().filter(|device| device.is_none()).count();
        devices.retain(Option::is_some);
        devices.sort_unstable();
        devices.dedup();
        (self.all > 0).then_some(devices.len() + unnumbered > 1)
    }

    /// Where control groups of version 2 are mounted.
    pub fn cgroup_roots(&self) -> impl Iterator<Item = &str> {
        self.mounts.iter().filter(|mount| mount.kind == "cgroup2").map(|mount| mount.point.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "2098 2093 0:48 / /sys rw,nosuid - sysfs sysfs rw\n\
        2120 1953 0:44 / /sys/fs/bpf rw,relatime shared:41 - bpf bpf rw\n\
        2121 1953 0:29 / /run/cilium/cgroupv2 rw,relatime - cgroup2 none rw\n\
        2122 1953 0:30 / /mnt/with\\040blank rw - bpf bpf rw\n";

    #[test]
    fn two_file_systems_at_one_point_are_stacked() {
        let one = parse(ONE);
        assert_eq!((one.all, one.mounts.len(), one.unread, one.are_stacked()), (4, 3, 0, Some(false)));
        assert_eq!(one.cgroup_roots().collect::<Vec<_>>(), ["/run/cilium/cgroupv2"]);
        assert!(one.mounts.iter().any(|mount| mount.point == "/mnt/with blank"));
        let again = "2300 2120 0:44 / /sys/fs/bpf rw,relatime - bpf bpf rw\n";
        assert_eq!(parse(&format!("{ONE}{again}")).are_stacked(), Some(false), "the same file system once more");
        let other = "2300 2120 0:611 / /sys/fs/bpf rw,relatime - bpf bpf rw\n";
        let stacked = parse(&format!("{ONE}{other}"));
        assert_eq!(stacked.are_stacked(), Some(true));
        assert_eq!(stacked.bpf_at(BPF_ROOT).last().and_then(|mount| mount.device.as_deref()), Some("0:611"));
    }

    #[test]
    fn the_nodes_own_file_has_no_numbers() {
        let line = "bpf /sys/fs/bpf bpf rw,relatime 0 0\n";
        let head = "sysfs /sys sysfs rw,relatime 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        assert_eq!(parse(&format!("{head}{line}")).are_stacked(), Some(false));
        assert_eq!(parse(&format!("{head}{line}{line}")).are_stacked(), Some(true));
        assert_eq!(parse("cat: /proc/mounts: No such file\n").all, 0);
        assert_eq!(parse("").are_stacked(), None);
    }
}
