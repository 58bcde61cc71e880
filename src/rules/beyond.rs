//! Evidence beyond the five checks: each piece was read, or was not, and why.

use crate::base::evidence::Evidence;
use crate::base::failure::{Failure, FailureKind};
use crate::base::time::Timestamp;
use crate::cilium::agent_config::AgentConfig;
use crate::cilium::agent_log::AgentLog;
use crate::cilium::bpf_endpoints::BpfEndpoints;
use crate::cilium::calls_maps::CallsMaps;
use crate::cilium::cgroup_tree::CgroupTree;
use crate::cilium::drops::Drops;
use crate::cilium::endpoint_list::EndpointList;
use crate::cilium::firewall::Firewall;
use crate::cilium::ipcache::Ipcache;
use crate::cilium::lb::LbList;
use crate::cilium::links::Links;
use crate::cilium::mounts::Mounts;
use crate::cilium::nat::NatRows;
use crate::cilium::programs::Programs;
use crate::cilium::status::AgentStatus;

/// Supplementary evidence: seen, or not looked at and why.
#[derive(Clone, Debug)]
pub enum Supplement<T> {
    /// It was looked at.
    Seen(T),
    /// It was not, and why: a missing right keeps its name.
    NotLooked(Failure),
}

impl<T> Supplement<T> {
    /// What was seen.
    pub const fn seen(&self) -> Option<&T> {
        match self {
            Self::Seen(value) => Some(value),
            Self::NotLooked(_) => None,
        }
    }

    /// Why it was not looked at.
    pub const fn missing(&self) -> Option<&Failure> {
        match self {
            Self::Seen(_) => None,
            Self::NotLooked(why) => Some(why),
        }
    }

    /// It was not looked at, for a reason that is no missing right.
    pub fn not_looked(why: impl Into<String>) -> Self {
        Self::NotLooked(Failure::new(FailureKind::Other, why))
    }
}

/// How an agent is silent whose pod runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Its socket takes connections and answers none: the process hangs.
    Frozen,
    /// Its socket is gone, or refuses connections.
    NoSocket,
}

/// An agent that runs and does not answer its own commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSilence {
    /// How.
    pub silence: Silence,
    /// The evidence that shows it.
    pub evidence: Evidence,
    /// The words of the command, or how long it was waited for.
    pub says: String,
}

/// Evidence beyond the five checks.
#[derive(Clone, Debug)]
pub struct Beyond {
    /// `lb-list`.
    pub lb: Supplement<LbList>,
    /// `agent-status`.
    pub status: Supplement<AgentStatus>,
    /// `bpf-metrics`, or `drop-metrics`.
    pub drops: Supplement<Drops>,
    /// `bpf-metrics.2`, or `drop-metrics.2`: the same some seconds later.
    pub drops_again: Supplement<Drops>,
    /// Which of the two it is.
    pub drops_from: Evidence,
    /// When the first reading was taken, RFC 3339.
    pub drops_at: Option<Timestamp>,
    /// How many seconds after the first the second reading was taken, where both say when.
    pub drops_apart_s: Option<f64>,
    /// `nat-list`.
    pub nat: Supplement<NatRows>,
    /// `attached-programs`.
    pub programs: Supplement<Programs>,
    /// `agent-log`.
    pub log: Supplement<AgentLog>,
    /// `endpoint-list`.
    pub endpoints: Supplement<EndpointList>,
    /// `bpf-endpoint-list`.
    pub kernel_endpoints: Supplement<BpfEndpoints>,
    /// `map-get-lxc`.
    pub agent_endpoints: Supplement<BpfEndpoints>,
    /// `ipcache-list`.
    pub kernel_ipcache: Supplement<Ipcache>,
    /// `map-get-ipcache`.
    pub agent_ipcache: Supplement<Ipcache>,
    /// `link-list`.
    pub links: Supplement<Links>,
    /// `cgroup-tree`.
    pub cgroup: Supplement<CgroupTree>,
    /// `mounts`.
    pub mounts: Supplement<Mounts>,
    /// `host-mounts`.
    pub host_mounts: Supplement<Mounts>,
    /// `host-firewall`.
    pub firewall: Supplement<Firewall>,
    /// `host-firewall-v6`.
    pub firewall_v6: Supplement<Firewall>,
    /// `config-drift`: settings that the running agent does not have yet.
    pub config_drift: Supplement<u64>,
    /// `kernel-btf`: whether the kernel has BTF.
    pub kernel_btf: Supplement<bool>,
    /// `agent-config`.
    pub config: Supplement<AgentConfig>,
    /// `calls-maps`.
    pub calls: Supplement<CallsMaps>,
    /// Whether the agent did not answer its own commands.
    pub agent_silence: Option<AgentSilence>,
}

impl Beyond {
    /// None of it was looked at.
    #[must_use]
    pub fn none(why: &str) -> Self {
        fn not<T>(why: &str) -> Supplement<T> {
            Supplement::not_looked(why)
        }
        Self {
            lb: not(why),
            status: not(why),
            drops: not(why),
            drops_again: not(why),
            drops_from: Evidence::DropMetrics,
            drops_at: None,
            drops_apart_s: None,
            nat: not(why),
            programs: not(why),
            log: not(why),
            endpoints: not(why),
            kernel_endpoints: not(why),
            agent_endpoints: not(why),
            kernel_ipcache: not(why),
            agent_ipcache: not(why),
            links: not(why),
            cgroup: not(why),
            mounts: not(why),
            host_mounts: not(why),
            firewall: not(why),
            firewall_v6: not(why),
            config_drift: not(why),
            kernel_btf: not(why),
            config: not(why),
            calls: not(why),
            agent_silence: None,
        }
    }

    /// The right that is missing to read this evidence, where that is why it was not looked at.
    #[must_use]
    pub fn missing_right(&self, evidence: Evidence) -> Option<&str> {
        let why = match evidence {
            Evidence::LbList => self.lb.missing(),
            Evidence::AgentStatus => self.status.missing(),
            Evidence::DropMetrics | Evidence::BpfMetrics => self.drops.missing(),
            Evidence::DropMetricsAgain | Evidence::BpfMetricsAgain => self.drops_again.missing(),
            Evidence::NatList => self.nat.missing(),
            Evidence::AttachedPrograms => self.programs.missing(),
            Evidence::AgentLog => self.log.missing(),
            Evidence::EndpointList => self.endpoints.missing(),
            Evidence::BpfEndpointList => self.kernel_endpoints.missing(),
            Evidence::MapGetLxc => self.agent_endpoints.missing(),
            Evidence::IpcacheList => self.kernel_ipcache.missing(),
            Evidence::MapGetIpcache => self.agent_ipcache.missing(),
            Evidence::LinkList => self.links.missing(),
            Evidence::CgroupTree => self.cgroup.missing(),
            Evidence::Mounts => self.mounts.missing(),
            Evidence::HostMounts => self.host_mounts.missing(),
            Evidence::HostFirewall => self.firewall.missing(),
            Evidence::HostFirewallV6 => self.firewall_v6.missing(),
            Evidence::ConfigDrift => self.config_drift.missing(),
            Evidence::CallsMaps => self.calls.missing(),
            Evidence::KernelBtf => self.kernel_btf.missing(),
            Evidence::AgentConfig => self.config.missing(),
            Evidence::HostPing
            | Evidence::PodEgress
            | Evidence::PodEgressAddress
            | Evidence::PodDns
            | Evidence::CtList
            | Evidence::NeighbourCtList
            | Evidence::ServiceList => None,
        };
        why?.right.as_deref()
    }

    /// The kinds that were not looked at, of those that look-alikes rest on.
    #[must_use]
    pub fn not_looked_at(&self) -> Vec<Evidence> {
        let kinds = [
            (Evidence::LbList, self.lb.seen().is_none()),
            (Evidence::AgentStatus, self.status.seen().is_none()),
            (self.drops_from, self.drops.seen().is_none()),
            (Evidence::NatList, self.nat.seen().is_none()),
            (Evidence::AttachedPrograms, self.programs.seen().is_none()),
            (Evidence::AgentLog, self.log.seen().is_none()),
        ];
        kinds.into_iter().filter(|(_, missing)| *missing).map(|(kind, _)| kind).collect()
    }

    /// The direct evidence that was not read: what names a broken program or map by itself, where no packet is seen lost.
    #[must_use]
    pub fn direct_not_read(&self) -> Vec<Evidence> {
        let again = match self.drops_from {
            Evidence::BpfMetrics => Evidence::BpfMetricsAgain,
            _ => Evidence::DropMetricsAgain,
        };
        let kinds = [
            (Evidence::AttachedPrograms, self.programs.seen().is_none()),
            (Evidence::EndpointList, self.endpoints.seen().is_none()),
            (Evidence::BpfEndpointList, self.kernel_endpoints.seen().is_none()),
            (Evidence::MapGetLxc, self.agent_endpoints.seen().is_none()),
            (Evidence::IpcacheList, self.kernel_ipcache.seen().is_none()),
            (Evidence::MapGetIpcache, self.agent_ipcache.seen().is_none()),
            (Evidence::CgroupTree, self.cgroup.seen().is_none()),
            (self.drops_from, self.drops.seen().is_none()),
            (again, self.drops.seen().is_some() && self.drops_again.seen().is_none()),
        ];
        kinds.into_iter().filter(|(_, missing)| *missing).map(|(kind, _)| kind).collect()
    }

    /// Whether more than one BPF file system is mounted where Cilium pins its maps, by the container's mounts or by the
    /// node's; none where neither was read.
    #[must_use]
    pub fn mounts_are_stacked(&self) -> Option<bool> {
        let stacked = |mounts: &Supplement<Mounts>| mounts.seen().and_then(Mounts::are_stacked);
        match (stacked(&self.mounts), stacked(&self.host_mounts)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (inside, outside) => inside.or(outside),
        }
    }
}
