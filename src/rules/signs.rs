//! Which upstream issues fit what was seen: the version says that an issue may be there, the evidence that it is.

use super::case::Case;
use super::lookalikes::in_trouble;
use super::verdict::Verdict;
use crate::base::time::age as span;
use crate::knowledge::code::{Code, Kind};
use crate::knowledge::upstream::{ISSUES, Issue};
use crate::ways::group::Group;
use crate::ways::life::{FEW, Life, life};

/// A host that lost its network within this many seconds of its agent's start may have lost it by that.
const SOON_AFTER_START_S: i64 = 3600;

/// The issues that match the version and the evidence of this case, each with the reason.
///
/// An issue that nobody reported for the version, but that nobody excluded either, counts where its evidence is seen;
/// one that is fixed in the version, or came after it, never does.
#[must_use]
pub fn matching(case: &Case, verdict: &Verdict) -> Vec<(&'static Issue, String)> {
    if verdict.kind == Kind::Healthy {
        return Vec::new();
    }
    let with_reason = |issue: &'static Issue| {
        let affects = case.version().and_then(|version| issue.affects(version));
        let sign = sign(issue.number, case, verdict).filter(|_| affects != Some(false))?;
        let reported = match (affects, case.version()) {
            (Some(true), Some(version)) => format!("reported for {version}"),
            (_, Some(version)) => format!("nobody reported it for {version} or excluded it"),
            (_, None) => "the version is not known".to_owned(),
        };
        Some((issue, format!("{sign}; {reported}; {}", issue.restart.says())))
    };
    ISSUES.iter().filter_map(with_reason).collect()
}

/// What of this case is an issue's telling evidence, in one sentence; none where nothing is, or nobody looked.
fn sign(number: u32, case: &Case, verdict: &Verdict) -> Option<String> {
    let code = verdict.code;
    let log = case.beyond.log.seen();
    let status = case.beyond.status.seen();
    let kernel = case.around.kernel();
    let says = |seen: bool, says: &str| seen.then(|| says.to_owned());
    match number {
        46065 => log.filter(|log| log.datapath_failures > 0).map(|log| {
            format!("the agent's log says \"Failed to initialize datapath\" {} times", log.datapath_failures)
        }),
        43877 => status.filter(|status| status.degraded.is_some_and(|n| n > 0)).map(|status| {
            let names = status.degraded_modules.join(", ");
            format!("modules are degraded{}", if names.is_empty() { names } else { format!(": {names}") })
        }),
        44194 | 47847 => says(code == Code::DatapathProgramsDuplicated, "programs of one name hang twice on a hook"),
        45077 | 30609 | 20667 | 13254 => case
            .agent_age_s()
            .filter(|age| code == Code::HostNetworkDown && (0..SOON_AFTER_START_S).contains(age))
            .map(|age| format!("the host is off the network, and its agent started {} before", span(age))),
        28433 => says(code == Code::DatapathProgramsMissing, "Cilium's programs are gone from their devices"),
        21345 => says(
            code == Code::DatapathProgramsMissing && verdict.summary.contains("lxc"),
            "a pod's device lacks its program",
        ),
        36761 => says(code == Code::LinkLocalMasquerade, "only the link-local address is dead, and BPF masquerades"),
        48050 => says(!case.backends.stray.is_empty(), "the service table holds backends that are ready no longer"),
        23485 => says(code == Code::MapsNotVisible, "the whole dump is empty although pods run here"),
        45522 => {
            let asleep = case.around.node_local_dns.pod.as_ref().is_some_and(|pod| !pod.ready);
            says(case.backends.redirected && asleep, "a local redirect holds the row while its own pod is not ready")
        }
        43800 | 42313 => says(
            code == Code::LocalRedirectBroken && !case.backends.redirect_without_backend,
            "queries go to the raw address past the redirect",
        ),
        41424 | 40450 | 36740 | 42751 => {
            says(case.backends.redirect_without_backend, "a LocalRedirect row has no active backend")
        }
        43454 | 43080 => says(code == Code::NodeLocalDnsDown, "the node-local-dns pod is not ready or not there"),
        44855 | 45233 => says(code == Code::PolicyDenied, "packets are dropped by policy before they make an entry"),
        40820 => {
            let ours = |picture: &crate::ways::picture::Picture| {
                picture.maps.tcp6 + picture.maps.any6 > picture.maps.tcp4 + picture.maps.any4
            };
            says(code == Code::ConntrackFull && case.picture().is_some_and(ours), "most entries are of IPv6")
        }
        31012 => case
            .picture()
            .map(|picture| picture.group(Group::GoneDns).live())
            .filter(|live| *live > 0)
            .map(|live| format!("{live} live sockets go to DNS pods that are gone")),
        32489 => says(
            case.around.architecture() == "arm64"
                && kernel.starts_with("6.6")
                && kernel.contains("linuxkit")
                && case.picture().is_some_and(|picture| life(picture.group(Group::DnsUpstream), FEW) == Life::Dead),
            "arm64 with a linuxkit kernel 6.6, and upstream DNS is dead",
        ),
        47718 => says(log.is_some_and(|log| log.verifier_errors > 0), "the agent's log tells of a verifier error"),
        25437 => says(
            code == Code::EgressBroken && case.egress.by_address == Some(false),
            "egress of this node is broken while DNS and the host are fine",
        ),
        46010 => {
            let talos = case.around.found.as_ref().is_some_and(|node| node.status.node_info.os_image.contains("Talos"));
            says(code == Code::HostNetworkDown && talos, "the host of a Talos node is off the network")
        }
        32472 => says(
            in_trouble(case) && !case.rising("service backend not found").is_empty(),
            "packets are dropped: Service backend not found",
        ),
        // The others are told by what this tool does not read (`lrp list`, the ipcache, cgroup links, mounts).
        _ => None,
    }
}
