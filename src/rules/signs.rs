//! A node's evidence as the facts that upstream issues and the risk of a restart ask for.

use std::net::IpAddr;

use super::case::Case;
use super::fleet;
use super::hidden_maps;
use super::lookalikes::socket_lb;
use super::stale::programs;
use super::stale::selective::cut_off_since_agent_start;
use super::stale::service_map;
use super::verdict::Verdict;
use super::witnesses::is_of_many;
use crate::base::version::Version;
use crate::cilium::agent_log::AgentLog;
use crate::cilium::cgroup_tree::CgroupTree;
use crate::cilium::drops::MetricDirection;
use crate::cilium::lb::Frontend;
use crate::cilium::services::ServiceList;
use crate::cilium::status::{AgentStatus, Encryption, Masquerading, Routing};
use crate::knowledge::code::{Code, Kind};
use crate::knowledge::risk::{PodRevision, RestartCase, RestartFacts};
use crate::knowledge::upstream::facts::{DropDirection, Mark, RisingDrop, Signs};
use crate::knowledge::upstream::log_error::{self, LogError};
use crate::knowledge::upstream::{self, Issue};
use crate::kubernetes::roles::Role;
use crate::ways::group::Group;
use crate::ways::life::{FEW, Life, life};
use crate::ways::way::Way;

/// The issues that match this node, each with the reason; none for a healthy node.
#[must_use]
pub fn matching(case: &Case, verdict: &Verdict) -> Vec<(&'static Issue, String)> {
    if verdict.kind == Kind::Healthy {
        return Vec::new();
    }
    upstream::matching(&signs(case, verdict))
}

/// The facts that upstream issues ask for. What was not looked at is absent.
#[must_use]
pub fn signs(case: &Case, verdict: &Verdict) -> Signs {
    let node = case.around.found.as_ref();
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let mut signs = Signs {
        version: agent_version(case),
        code: Some(verdict.code),
        agent_age_s: case.agent_age_s(),
        log_errors: case.beyond.log.seen().map(log_errors),
        rising_drops: rising_drops(case),
        kernel: text(case.around.kernel()),
        architecture: text(case.around.architecture()),
        os_image: node.and_then(|node| text(&node.status.node_info.os_image)),
        ..Signs::default()
    };
    if let Some(status) = case.beyond.status.seen() {
        of_status(status, &mut signs);
    }
    of_services(case, &mut signs);
    of_flows(case, verdict, &mut signs);
    let on_devices = case.beyond.programs.seen().filter(|programs| programs.recognized);
    let on_sockets = case.beyond.cgroup.seen().map_or(0, |tree| tree.duplicates().len());
    let duplicates = on_devices.map(|programs| programs.duplicates().len() + on_sockets);
    // One that is seen on sockets counts, whether the devices were looked at or not.
    let duplicates = duplicates.or(Some(on_sockets).filter(|found| *found > 0));
    signs.mark(Mark::DuplicatePrograms, duplicates.and_then(|found| u64::try_from(found).ok()));
    if let Some(programs) = on_devices {
        let tcx = |hook: &str| hook.starts_with("tcx/");
        signs.mark_if(Mark::Tcx, Some(programs.attached.iter().any(|a| a.is_cilium() && tcx(&a.hook))));
    }
    of_direct_evidence(case, &mut signs);
    signs
}

/// The agent's version: as it reports it if that is a version, else its image's tag. A failing agent's status line holds a
/// complaint in the version's place.
#[must_use]
pub fn agent_version(case: &Case) -> Option<Version> {
    let own = case.beyond.status.seen().and_then(|status| status.version.as_deref());
    let image = case.agent().and_then(|agent| agent.version.as_deref());
    own.and_then(Version::parse).or_else(|| image.and_then(Version::parse))
}

/// Errors by class: the initialization's failures with the class of their last line, and what the verifier refused.
fn log_errors(log: &AgentLog) -> std::collections::BTreeMap<LogError, usize> {
    let mut errors = std::collections::BTreeMap::new();
    for class in log.last_failure.as_deref().into_iter().flat_map(log_error::classes) {
        errors.insert(class, log.datapath_failures);
    }
    let counted = [
        (LogError::Verifier, log.verifier_errors),
        (LogError::DuplicateResourceKey, log.duplicate_keys),
        // The false alarm stands once.
        (LogError::ProgramRemoval, usize::from(log.removed.lines == 1)),
    ];
    errors.extend(counted.into_iter().filter(|(_, lines)| *lines > 0));
    errors
}

/// Drop reasons that rise between two readings; none where they were not read twice.
fn rising_drops(case: &Case) -> Option<Vec<RisingDrop>> {
    case.rises()?.drops()?;
    let direction = |way: MetricDirection| match way {
        MetricDirection::Ingress => Some(DropDirection::Ingress),
        MetricDirection::Egress => Some(DropDirection::Egress),
        MetricDirection::Service | MetricDirection::Unknown => None,
    };
    let rising = case
        .rising("")
        .into_iter()
        .map(|rise| RisingDrop { direction: direction(rise.counter.way), reason: rise.counter.reason });
    Some(rising.collect())
}

fn of_status(status: &AgentStatus, signs: &mut Signs) {
    signs.mark_if(Mark::KubeProxyReplacement, status.kube_proxy_replacement);
    signs.mark_if(Mark::BpfMasquerading, status.masquerading.map(|by| by == Masquerading::Bpf));
    signs.mark_if(Mark::Netkit, status.device_mode.as_deref().map(|mode| mode == "netkit"));
    signs.mark(Mark::ProxyRedirects, status.proxy_redirects.map(u64::from));
    signs.mark(Mark::DegradedModules, status.degraded.map(u64::from));
    let missing = |(healthy, all): (u32, u32)| u64::from(all.saturating_sub(healthy));
    signs.mark(Mark::FailingControllers, status.controllers.map(missing));
    signs.mark(Mark::ClusterHealthLow, status.cluster_health.map(missing));
    if let Some(encryption) = &status.encryption {
        signs.mark_if(Mark::WireGuard, Some(matches!(encryption, Encryption::Wireguard { .. })));
        signs.mark_if(Mark::Ipsec, Some(matches!(encryption, Encryption::Ipsec { .. })));
    }
    signs.mark_if(Mark::AwsCniChaining, Some(status.chained_to.as_deref() == Some("aws-cni")));
    signs.mark_if(Mark::BpfHostRouting, status.bpf_host_routing);
    signs.mark_if(Mark::Tunnel, status.routing.as_ref().map(|routing| matches!(routing, Routing::Tunnel(_))));
}

/// What the datapath's own objects say.
fn of_direct_evidence(case: &Case, signs: &mut Signs) {
    let over = match hidden_maps::mounted(case) {
        Some((_, mounts)) => u64::try_from(mounts.saturating_sub(1)).ok(),
        None => case.beyond.mounts_are_stacked().map(|_| 0),
    };
    signs.mark(Mark::SecondBpfMount, over);
    of_host_policy(case, signs);
    signs.mark_if(Mark::KernelBtf, case.beyond.kernel_btf.seen().copied());
    let matches_pods = |mode: &str| mode.split([' ', ',']).any(|word| word == "pods");
    let config = case.beyond.config.seen();
    let cidr = config.map(|config| config.get("policy-cidr-match-mode").is_some_and(matches_pods));
    signs.mark_if(Mark::PolicyCidrMatchesPods, cidr);
    let foreign = case.beyond.cgroup.seen().and_then(CgroupTree::foreign);
    signs.mark(Mark::ForeignCgroupPrograms, foreign.and_then(|names| u64::try_from(names.len()).ok()));
    signs.mark(Mark::ConfigDrift, case.beyond.config_drift.seen().copied());
    signs.mark_if(Mark::SocketProgramsMissing, socket_lb::lacking(case).map(|missing| !missing.is_empty()));
    if let Some(bare) = programs::bare(case) {
        signs.mark_if(Mark::PodDeviceBare, Some(!bare.pods.is_empty()));
        signs.mark_if(Mark::HostDeviceBare, Some(!bare.host.is_empty()));
    }
}

/// Whether a policy for the host applies to this node: never with the host's firewall off, else by its own endpoint.
fn of_host_policy(case: &Case, signs: &mut Signs) {
    let off = case.beyond.status.seen().and_then(|status| status.host_firewall) == Some(false);
    let list = case.beyond.endpoints.seen();
    let host = list.and_then(|list| list.endpoints.iter().find(|endpoint| endpoint.is_host()));
    let applies = host.and_then(|host| host.policy_enabled.as_deref()).map(|policy| policy != "none");
    signs.mark_if(Mark::HostPolicy, if off { Some(false) } else { applies });
    // That no port of the proxy is listed does not show that no rule needs one.
    signs.mark_if(Mark::HostProxyRules, host.filter(|host| host.has_proxy_rules).map(|_| true));
}

fn of_services(case: &Case, signs: &mut Signs) {
    if case.backends.list.is_none() {
        return;
    }
    signs.mark_if(Mark::RedirectWithoutBackend, Some(case.backends.redirect_without_backend));
    let local = case.around.node_local_dns.pod.as_ref();
    let unready = local.map(|pod| case.backends.redirected && !pod.ready);
    signs.mark_if(Mark::RedirectToUnreadyPod, unready);
    let kernel = case.beyond.lb.seen().filter(|lb| lb.header);
    let not_found = kernel.map(|lb| lb.frontends.values().map(|frontend| frontend.not_found).sum::<usize>());
    signs.mark(Mark::KernelBackendsNotFound, not_found.and_then(|rows| u64::try_from(rows).ok()));
    signs.mark_if(Mark::EmptyRowOtherZones, Some(case.row_empty_for_zone().is_some()));
    if let (Some(kernel), Some(node)) = (kernel, case.around.found.as_ref()) {
        let own: Vec<IpAddr> = node.ips().collect();
        let balances = |row: &Frontend| row.flags.contains("LoadBalancer");
        let fronts = kernel.frontends.iter().any(|(at, row)| own.contains(&at.ip) && balances(row));
        signs.mark_if(Mark::FrontendOnNodeAddress, Some(fronts));
        signs.mark_if(Mark::WildcardOnNodeAddress, Some(own.iter().any(|ip| kernel.wildcards.contains(ip))));
    }
    let remote = |list: &ServiceList| list.rows.iter().any(|row| row.kind.contains("(Remote)"));
    signs.mark_if(Mark::ClusterMesh, case.backends.list.as_ref().map(remote));
    signs.mark_if(Mark::BothTablesOld, service_map::both_tables_old(case));
    signs.mark_if(Mark::RowWithoutReadyEndpoint, Some(case.backends.holds_none_that_is_ready()));
    if case.backends.expected.is_some() {
        signs.mark(Mark::StrayBackends, u64::try_from(case.backends.stray.len()).ok());
        signs.mark(Mark::MissingBackends, u64::try_from(case.backends.missing.len()).ok());
    }
}

fn of_flows(case: &Case, verdict: &Verdict, signs: &mut Signs) {
    let code = verdict.code;
    let masqueraded = code == Code::LinkLocalMasquerade || fleet::may_be_masqueraded(verdict);
    signs.mark_if(Mark::LinkLocalDnsDead, Some(masqueraded));
    let past_redirect = code == Code::LocalRedirectBroken && !case.backends.redirect_without_backend;
    signs.mark_if(Mark::RedirectWithoutEffect, Some(past_redirect));
    signs.mark_if(Mark::EgressByAddressDead, case.egress.by_address.map(|reaches| !reaches));
    let Some(picture) = case.picture() else { return };
    let restored = cut_off_since_agent_start(case).and_then(|pods| u64::try_from(pods).ok());
    signs.mark(Mark::RestoredPodsCutOff, restored);
    signs.mark(Mark::SocketsToGonePods, Some(u64::from(picture.group(Group::GoneDns).live())));
    let (across, world) = (case.way(Way::AcrossOut), case.way(Way::World));
    signs.mark_if(Mark::OneFarNodeDead, (across.life != Life::Unseen).then(|| across.is_dead_to_one_end()));
    signs.mark_if(Mark::OneFarEndDead, (world.life != Life::Unseen).then(|| world.is_dead_to_one_end()));
    let own_host = case.way(Way::PodToHost).life;
    let mixed = own_host == Life::Mixed && is_of_many(case, Way::PodToHost.groups());
    signs.mark_if(Mark::PodToHostMixed, (own_host != Life::Unseen).then_some(mixed));
    let upstream = life(picture.group(Group::DnsUpstream), FEW);
    signs.mark_if(Mark::UpstreamDnsDead, (upstream != Life::Unseen).then_some(upstream == Life::Dead));
    let maps = &picture.maps;
    signs.mark_if(Mark::ConntrackMostlyIpv6, Some(maps.tcp6 + maps.any6 > maps.tcp4 + maps.any4));
}

/// The facts that bear on a restart apart from upstream issues.
fn restart_facts(case: &Case) -> RestartFacts {
    let dns = case.around.names.keys().filter(|ip| case.around.roles.is_cluster_dns(**ip));
    let here = dns.filter(|ip| case.around.roles.of(**ip) == Role::LocalPod).count();
    let known = case.around.pods.is_some() && case.around.cluster_dns.is_ok();
    let view = &case.around.restart;
    let count = |count: usize| u64::try_from(count).ok();
    RestartFacts {
        agent_restarts: case.agent().and_then(|agent| u64::try_from(agent.restarts).ok()),
        agent_out_of_memory: view.out_of_memory.map(u64::from),
        cluster_dns_here: u64::try_from(here).ok().filter(|here| known || *here > 0),
        cluster_dns_elsewhere: view.cluster_dns.and_then(|(_, elsewhere)| count(elsewhere)),
        webhooks_only_here: view.webhooks_only_here.as_ref().and_then(|pods| count(pods.len())),
        // Only a list of the DaemonSet's revisions tells; see `staledp risk`.
        other_revision: None,
        image_pull: view.pulls.map(u64::from),
    }
}

/// Everything that is known of a node that bears on a restart of its agent.
#[must_use]
pub fn restart_case(case: &Case, verdict: &Verdict) -> RestartCase {
    let view = &case.around.restart;
    let revision = view.revision.clone().zip(view.daemon_set.clone());
    let revision = revision.map(|(hash, daemon_set)| PodRevision { hash, daemon_set });
    RestartCase { signs: signs(case, verdict), facts: restart_facts(case), revision }
}
