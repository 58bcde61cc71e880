//! Which evidence a file of a sysdump or of a bugtool archive is, by its name.
//!
//! Names changed over the releases, so they are matched by pattern; `-o-json` twins are left alone.

use crate::base::evidence::Evidence;

/// The lists of a sysdump that are read, by the beginning of their names.
pub(super) const LISTS: [&str; 7] = [
    "k8s-nodes-",
    "k8s-pods-",
    "k8s-services-",
    "k8s-endpoints-",
    "k8s-endpointslices-",
    "k8s-events-",
    "ciliumlocalredirectpolicies-",
];

/// The evidence that a file of a `cmd` folder is.
fn evidence_of(file: &str) -> Option<Evidence> {
    let stem = file.strip_suffix(".md")?;
    if let Some(command) = stem.strip_prefix("cilium-dbg-").or_else(|| stem.strip_prefix("cilium-")) {
        return match command {
            "bpf-ct-list-global" | "bpf-ct-list-global---time-diff" | "bpf-ct-list---time-diff" | "bpf-ct-list" => {
                Some(Evidence::CtList)
            }
            "service-list" => Some(Evidence::ServiceList),
            "bpf-lb-list" => Some(Evidence::LbList),
            "status---verbose" => Some(Evidence::AgentStatus),
            "bpf-metrics-list" => Some(Evidence::DropMetrics),
            "bpf-nat-list" => Some(Evidence::NatList),
            "bpf-endpoint-list" => Some(Evidence::BpfEndpointList),
            "bpf-ipcache-list" => Some(Evidence::IpcacheList),
            _ => None,
        };
    }
    match stem {
        "bpftool-net-show" => Some(Evidence::AttachedPrograms),
        "bpftool-cgroup-tree--run-cilium-cgroupv2" => Some(Evidence::CgroupTree),
        "iptables-save--c" => Some(Evidence::HostFirewall),
        "ip6tables-save--c" => Some(Evidence::HostFirewallV6),
        _ => None,
    }
}

/// Folder and file of a name, its last two parts.
pub(super) fn last_two(name: &str) -> (&str, &str) {
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    (folder.rsplit('/').next().unwrap_or(folder), file)
}

/// Whether a file of a bugtool archive may be needed.
pub(crate) fn is_of_bugtool(name: &str) -> bool {
    evidence_in_tar(name).is_some() || is_uname(name)
}

/// The evidence that a file of a bugtool archive is, whatever its top folder.
pub(super) fn evidence_in_tar(name: &str) -> Option<Evidence> {
    let (folder, file) = last_two(name);
    evidence_of(file).filter(|_| folder == "cmd")
}

/// Whether a member of a sysdump may be needed.
pub(super) fn is_wanted(name: &str) -> bool {
    let (_, file) = last_two(name);
    LISTS.iter().any(|list| is_list(file, list)) || sysdump_member(name).is_some()
}

/// What a member of a sysdump is of an agent's pod.
pub(super) enum SysdumpMember<'a> {
    Evidence(&'a str, Evidence),
    Archive(&'a str),
}

pub(super) fn sysdump_member(name: &str) -> Option<SysdumpMember<'_>> {
    let (folder, file) = last_two(name);
    if folder == "cmd" {
        let (above, _) = name.rsplit_once("/cmd/")?;
        let pod = pod_of(above.rsplit('/').next()?)?;
        return evidence_of(file).map(|evidence| SysdumpMember::Evidence(pod, evidence));
    }
    if let Some(stem) = file.strip_suffix(".tar.gz").or_else(|| file.strip_suffix(".tar")) {
        return pod_of(stem).map(SysdumpMember::Archive);
    }
    let stem = file.strip_prefix("logs-")?.strip_suffix(".log")?;
    let pod = without_time(stem).strip_suffix("-cilium-agent")?;
    Some(SysdumpMember::Evidence(pod, Evidence::AgentLog))
}

/// `cilium-bugtool-<pod>-<date>-<time>` is of this pod.
fn pod_of(folder: &str) -> Option<&str> {
    folder.strip_prefix("cilium-bugtool-").map(without_time).filter(|pod| !pod.is_empty())
}

/// A name without `-YYYYMMDD-HHMMSS` at its end.
fn without_time(name: &str) -> &str {
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    let Some((rest, time)) = name.rsplit_once('-') else { return name };
    let Some((stem, date)) = rest.rsplit_once('-') else { return name };
    if digits(time, 6) && digits(date, 8) { stem } else { name }
}

pub(super) fn is_list(file: &str, begin: &str) -> bool {
    file.starts_with(begin) && file.strip_suffix(".yaml").is_some()
}

/// Whether this file of a bugtool archive names the node: the agent shares the host's network, and with it its name.
pub(super) fn is_uname(name: &str) -> bool {
    last_two(name) == ("cmd", "uname--a.md")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_of_a_bugtool_archive_is_told_by_its_names_of_all_eras() {
        let of = |file: &str| evidence_in_tar(&format!("cilium-bugtool-1/cmd/{file}.md"));
        for tool in ["cilium", "cilium-dbg"] {
            assert_eq!(of(&format!("{tool}-bpf-endpoint-list")), Some(Evidence::BpfEndpointList));
            assert_eq!(of(&format!("{tool}-bpf-ipcache-list")), Some(Evidence::IpcacheList));
            assert_eq!(of(&format!("{tool}-bpf-endpoint-list-o-json")), None);
        }
        assert_eq!(of("bpftool-cgroup-tree--run-cilium-cgroupv2"), Some(Evidence::CgroupTree));
        // Another mount of the same control groups may be a part of them.
        assert_eq!(of("bpftool-cgroup-tree--sys-fs-cgroup"), None);
        assert_eq!(evidence_in_tar("cilium-bugtool-1/conf/bpftool-net-show.md"), None);
    }
}
