//! Upstream issues as data: which versions, what is seen, how to tell, and what it means for a restart.
//!
//! Source: section 5 of the format facts (state of about September 2026), and the issues themselves for #36761 and
//! #48050. Versions are those that reporters and fixes name; nobody has tried all others. So a match says "reported for
//! this version", never "this is it": that takes the evidence.

use std::cmp::Ordering;
use std::fmt;

/// A Cilium version, as far as it orders releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// 1.
    pub major: u32,
    /// The release line.
    pub minor: u32,
    /// The patch; 0 where it is not said.
    pub patch: u32,
    /// Whether it comes before the release of that number: `-rc.1`, `-pre.2`, `-dev`, …
    pub pre: bool,
}

impl Version {
    /// Reads a version as tags, `cilium-dbg status` and people write it: `v1.19.4`, `1.19.4-rc.1`, `1.20`,
    /// `1.18.6 (v1.18.6-95896696)`, `v1.19.4@sha256:…`. None where it does not begin with two numbers.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (numbers, rest) = text.split_at(end);
        let mut numbers = numbers.trim_end_matches('.').split('.').map(|n| n.parse::<u32>().ok());
        let (major, minor) = (numbers.next()??, numbers.next()??);
        let patch = match numbers.next() {
            Some(patch) => patch?,
            None => 0,
        };
        // A digest or the abbreviated commit behind a release's number is still that release.
        let tail = rest.strip_prefix('-').unwrap_or_default().to_ascii_lowercase();
        let pre = ["rc", "pre", "dev", "snapshot", "alpha", "beta", "ci"].iter().any(|word| tail.starts_with(word));
        Some(Self { major, minor, patch, pre })
    }

    const fn line(self) -> (u32, u32) {
        (self.major, self.minor)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |v: &Self| (v.major, v.minor, v.patch, !v.pre);
        key(self).cmp(&key(other))
    }
}

/// Versions for which something was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// A whole release line, `1.19`, with its release candidates.
    Line(u32, u32),
    /// From this patch of a release line to the line's end: `1.18.8` and later 1.18.
    Since(u32, u32, u32),
    /// From the first of these patches of a release line to before the second.
    Between(u32, u32, u32, u32),
}

impl Span {
    fn holds(self, version: Version) -> bool {
        match self {
            Self::Line(major, minor) => version.line() == (major, minor),
            Self::Since(major, minor, patch) => {
                version.line() == (major, minor) && version >= release(major, minor, patch)
            }
            Self::Between(major, minor, patch, before) => {
                version.line() == (major, minor)
                    && (patch == 0 || version >= release(major, minor, patch))
                    && version < release(major, minor, before)
            }
        }
    }

    /// The first version that it names.
    const fn start(self) -> Version {
        match self {
            Self::Line(major, minor) => Version { major, minor, patch: 0, pre: true },
            Self::Since(major, minor, patch) | Self::Between(major, minor, patch, _) => release(major, minor, patch),
        }
    }
}

const fn release(major: u32, minor: u32, patch: u32) -> Version {
    Version { major, minor, patch, pre: false }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Line(major, minor) => write!(f, "{major}.{minor}.x"),
            Self::Since(major, minor, patch) => write!(f, "{major}.{minor}.{patch} and later {major}.{minor}"),
            Self::Between(major, minor, patch, before) => {
                write!(f, "{major}.{minor}.{patch} to before {major}.{minor}.{before}")
            }
        }
    }
}

/// What an issue means for a restart of the Cilium pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Restart {
    /// A restart can start it, or repeats it; the host itself loses its network by it.
    TakesHost,
    /// A restart can start it, or repeats it.
    Triggers,
    /// A restart does not cure it.
    DoesNotHelp,
    /// A restart cured it in the reports.
    Helps,
    /// Nothing is known, or a restart has nothing to do with it.
    Indifferent,
}

impl Restart {
    /// In words.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::TakesHost => "a restart of the Cilium pod can take the node itself off the network",
            Self::Triggers => "a restart of the Cilium pod can start it or repeats it",
            Self::DoesNotHelp => "a restart of the Cilium pod does not cure it",
            Self::Helps => "a restart of the Cilium pod cured it in the reports",
            Self::Indifferent => "no bearing on a restart is known",
        }
    }
}

/// An upstream issue or pull request.
#[derive(Clone, Copy, Debug)]
pub struct Issue {
    /// Its number in cilium/cilium.
    pub number: u32,
    /// Whether the number is a pull request's.
    pub pull: bool,
    /// Its title, in short.
    pub title: &'static str,
    /// The versions that it was reported for.
    pub reported: &'static [Span],
    /// The first release that is known to hold the fix; later ones hold it too.
    pub fixed: Option<Version>,
    /// Its state and what became of fixes.
    pub state: &'static str,
    /// What one sees.
    pub symptom: &'static str,
    /// What tells it from others.
    pub evidence: &'static str,
    /// What it means for a restart.
    pub restart: Restart,
}

impl Issue {
    /// `cilium/cilium#46065`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("cilium/cilium#{}", self.number)
    }

    /// Whether it was reported for this version: yes; no (older than the first report, or as new as the fix); or
    /// unknown, because the version can't be read, no version was named, or it lies between reports and no fix is
    /// known.
    #[must_use]
    pub fn affects(&self, version: &str) -> Option<bool> {
        let version = Version::parse(version)?;
        if self.fixed.is_some_and(|fixed| version >= fixed) {
            return Some(false);
        }
        if self.reported.iter().any(|span| span.holds(version)) {
            return Some(true);
        }
        let first = self.reported.iter().map(|span| span.start()).min()?;
        (version < first).then_some(false)
    }
}

/// The issue of this number.
#[must_use]
pub fn find(number: u32) -> Option<&'static Issue> {
    ISSUES.iter().find(|issue| issue.number == number)
}

/// The issues that a restart can start and that were reported for this version: what makes the remedy risky.
pub fn restart_risks(version: &str) -> impl Iterator<Item = &'static Issue> + use<'_> {
    let starts = |issue: &&Issue| matches!(issue.restart, Restart::TakesHost | Restart::Triggers);
    ISSUES.iter().filter(starts).filter(|issue| issue.affects(version) == Some(true))
}

use Restart::{DoesNotHelp, Helps, Indifferent, TakesHost, Triggers};
use Span::{Between, Line, Since};

macro_rules! issues {
    ($($kind:ident $number:literal $title:literal, $reported:expr, $fixed:expr, $restart:expr,
        $state:literal, $symptom:literal, $evidence:literal;)*) => {
        /// Every issue that is known here; those that matter most for a restart first.
        pub const ISSUES: &[Issue] = &[$(Issue {
            number: $number,
            pull: issues!(@$kind),
            title: $title,
            reported: $reported,
            fixed: $fixed,
            state: $state,
            symptom: $symptom,
            evidence: $evidence,
            restart: $restart,
        },)*];
    };
    (@issue) => { false };
    (@pull) => { true };
}

issues! {
    issue 45077 "Host loses all egress on agent restart", &[Since(1, 18, 8)], None, TakesHost,
        "open",
        "the host's own egress is dead for minutes after the agent pod was deleted",
        "the host is hit, not the pods; it begins with the restart";
    issue 46065 "CgroupInetSockRelease link orphaned across restarts", &[Since(1, 18, 9), Line(1, 19)], None, Triggers,
        "closed as stale; the attempt to fix it, #46389, was closed unmerged",
        "after every agent restart an endless retry every 10 s; endpoints stay stuck; the status looks Ok",
        "the log says \"Failed to initialize datapath, retrying later\" with \"detach cgroup\"; endpoints are regenerating";
    issue 44194 "TCX programs not cleaned up on restart", &[Since(1, 18, 6)], None, Triggers,
        "closed",
        "pod to pod and ClusterIP traffic is dead after a restart",
        "two programs of one name on a hook in bpftool net";
    issue 47847 "New bpffs mount over /sys/fs/bpf makes duplicate tcx links", &[Line(1, 20)], None, Triggers,
        "closed",
        "as #44194: pod to pod and ClusterIP traffic is dead after a restart",
        "two mounts over /sys/fs/bpf in findmnt; duplicate names in bpftool net";
    issue 43877 "Failure detaching foreign cgroup programs", &[Since(1, 18, 6)], None, Triggers,
        "closed as stale",
        "the orchestrator retries without end and is Degraded",
        "Modules Health shows Degraded";
    issue 30609 "Node loses its network when the agent stops", &[Between(1, 15, 0, 1)], None, TakesHost,
        "closed",
        "the node loses its network when the agent stops: the remedy is the trigger",
        "begins with the agent's end";
    issue 20667 "Node loses its network when the agent stops", &[Line(1, 11), Line(1, 12)], None, TakesHost,
        "closed",
        "as #30609",
        "begins with the agent's end";
    issue 13254 "Node loses its network when the agent stops", &[Line(1, 8)], None, TakesHost,
        "closed",
        "as #30609",
        "begins with the agent's end";
    issue 33144 "node-local-dns address loses the host identity after an agent restart", &[Line(1, 16)], None, Triggers,
        "closed; a regression of the 1.16 cycle",
        "DNS through L7 policy times out after an agent restart",
        "the identity of the address in the ipcache changes from host to world";
    issue 45233 "NetworkPolicy missing from the endpoint's map on a fresh node", &[Since(1, 18, 6)], None, Helps,
        "open; #45243 closed",
        "pods that a policy selects drop traffic until the agent is restarted",
        "policy get lacks rules; the Policy denied counter rises";
    issue 28433 "Endpoint connectivity lost after hours until the agent restarts", &[Line(1, 14)], None, Helps,
        "closed; another vendor's agent removed the tc filters",
        "pods of a node lose their network after hours, until the agent restarts",
        "tc filter show is empty on all devices: find what removes them";
    issue 21345 "lxc device without its to-container program", &[Line(1, 11), Line(1, 12)], None, Indifferent,
        "closed as stale",
        "single pods are cut off",
        "the egress filter is missing on the pod's lxc device";
    issue 48050 "EndpointSlice deletions dropped on the first update after an API server reconnect",
        &[Between(1, 19, 0, 3)], Some(release(1, 19, 3)), Indifferent,
        "closed; fixed by #45198 in 1.19.3, found on 1.19.2",
        "backends that are gone stay active until the EndpointSlice is written again; everything looks ready",
        "the service table holds backends that the EndpointSlices do not";
    issue 36761 "Link-local address unreachable from pods", &[Since(1, 16, 5)], None, DoesNotHelp,
        "closed; worked up to 1.16.4",
        "with bpf.masquerade=true pods get no answer from a link-local address such as 169.254.25.10",
        "all nodes alike; the host reaches the address; see also #35153, the same on 1.16 with other set-ups";
    issue 23485 "Empty bpf lists after a second mount over /sys/fs/bpf", &[], None, Indifferent,
        "no versions known here",
        "most cilium bpf lists are empty while the status says Ok and pods are broken",
        "two mounts over /sys/fs/bpf in findmnt; the whole dump is empty on a node that runs pods";
    issue 43944 "LRP list shows an invalid address", &[Line(1, 18), Line(1, 19)], None, Indifferent,
        "closed; PR #46638 merged in 2026, backports to 1.18 and 1.19 were asked for; see also #43929",
        "a wrong display; single-port serviceMatcher policies misbehave",
        "lrp list is odd while service list and bpf lb list are right";
    issue 44138 "Rethink LocalRedirectPolicy", &[], None, Indifferent,
        "open; a design",
        "none of its own",
        "none";
    pull 45522 "addressMatcher: guard against overriding another frontend", &[Line(1, 18), Line(1, 19)], None, Indifferent,
        "merged; a regression of 1.18; #45584 (1.19), #45585 (1.18) and #45412 (a variant for 1.17) merged",
        "a LocalRedirectPolicy took over another service's frontend while its own pods were not ready",
        "a LocalRedirect row where the service's own row belongs";
    issue 43800 "addressMatcher LRP for node-local-dns without effect",
        &[Since(1, 18, 2), Line(1, 19)], None, Indifferent,
        "closed; with #42313",
        "DNS bypasses NodeLocal DNS",
        "the redirect's row is empty, or looks right while nothing is redirected";
    issue 42313 "addressMatcher LRP for node-local-dns without effect",
        &[Since(1, 18, 2), Line(1, 19)], None, Indifferent,
        "closed; with #43800",
        "DNS bypasses NodeLocal DNS",
        "the redirect's row is empty, or looks right while nothing is redirected";
    issue 41424 "LRP backends missing (skipRedirectFromBackend)",
        &[Line(1, 16), Line(1, 17), Line(1, 18)], None, Indifferent,
        "closed; with #40450, #36740, #42751",
        "no redirect takes place",
        "LocalRedirect rows without a backend";
    issue 40450 "LRP backends missing (skipRedirectFromBackend)",
        &[Line(1, 16), Line(1, 17), Line(1, 18)], None, Indifferent,
        "closed; with #41424",
        "no redirect takes place",
        "LocalRedirect rows without a backend";
    issue 36740 "LRP backends missing (skipRedirectFromBackend)",
        &[Line(1, 16), Line(1, 17), Line(1, 18)], None, Indifferent,
        "closed; with #41424",
        "no redirect takes place",
        "LocalRedirect rows without a backend";
    issue 42751 "LRP backends missing (skipRedirectFromBackend)",
        &[Line(1, 16), Line(1, 17), Line(1, 18)], None, Indifferent,
        "closed; with #41424",
        "no redirect takes place",
        "LocalRedirect rows without a backend";
    issue 43454 "DNS gap while node-local-dns restarts or on new nodes", &[Line(1, 18)], None, Indifferent,
        "closed; with #43080",
        "short outages of DNS without any staleness",
        "the node-local-dns pod is not ready";
    issue 43080 "DNS gap while node-local-dns restarts or on new nodes", &[Line(1, 18)], None, Indifferent,
        "closed; with #43454",
        "short outages of DNS without any staleness",
        "the node-local-dns pod is not ready";
    issue 23848 "Older NodeLocal DNS combinations",
        &[Line(1, 8), Line(1, 9), Line(1, 10), Line(1, 11), Line(1, 12), Line(1, 13)], None, Indifferent,
        "closed; with #16906, #13040, #18644",
        "various",
        "various";
    issue 44855 "Policy map empty after a failed first regeneration", &[Since(1, 18, 7), Line(1, 19)], None, DoesNotHelp,
        "open; an earlier form, #38998, was fixed in 1.18",
        "one endpoint drops everything",
        "Policy denied rises for it; the pod itself must be recreated";
    issue 47012 "Preserved policy entries not reaped after a restart", &[], None, Indifferent,
        "PR #47062 merged in 2026",
        "the opposite of an outage: too much is allowed",
        "none in the five checks";
    pull 46741 "Gate readiness on the datapath", &[], None, Indifferent,
        "for 1.19 and main; closed, not merged as far as visible",
        "a ready agent says nothing about its datapath",
        "none";
    issue 40820 "IPv6 conntrack entries never collected", &[Between(1, 18, 0, 1)], None, Indifferent,
        "closed; reported for 1.18.0",
        "the conntrack map fills up",
        "map pressure; insertion failures among the drops";
    issue 46010 "1.19 with kube-proxy replacement kills Talos host networking", &[Line(1, 19)], None, Indifferent,
        "closed",
        "the host's network dies when endpoints are initialized",
        "the host is dead too; Talos";
    issue 48420 "Socket-LB links on a dying cgroup (Talos)", &[Since(1, 20, 1)], None, Indifferent,
        "open",
        "host-network pods can't reach service addresses",
        "bpftool cgroup show with `effective` is empty";
    issue 25437 "Wrong SNAT address on one node", &[Line(1, 13)], None, DoesNotHelp,
        "closed",
        "egress of one node is broken",
        "deleting the pod did not help; a reboot or removing cilium_host did";
    issue 32489 "CoreDNS fails with BPF host routing", &[Since(1, 15, 4)], None, Indifferent,
        "open; arm64 with a linuxkit kernel 6.6",
        "upstream DNS times out",
        "the kernel and the architecture";
    issue 47718 "bpf.masquerade fails in the verifier, Raspberry Pi kernel 6.18", &[Since(1, 20, 0)], None, DoesNotHelp,
        "open",
        "programs do not load",
        "the verifier's words in the agent's log";
    issue 37271 "Pods lose connectivity after an upgrade to 1.16.5 or later", &[Since(1, 16, 5), Line(1, 17)], None, Indifferent,
        "closed; bisected to BPF host routing with a tunnel",
        "pods of some nodes lose connectivity",
        "the routing set-up";
    issue 36063 "TPROXY rule points to a dead port", &[Between(1, 16, 3, 4)], None, Indifferent,
        "closed; an option came with 1.16.4",
        "DNS through the agent's proxy fails",
        "ProxyRedirect in the lines; the port of the iptables rule";
    issue 47761 "Egress gateway ignores local address changes", &[Line(1, 20)], None, Indifferent,
        "open",
        "a black hole after an address moved",
        "egress list shows 0.0.0.0";
    issue 32472 "Stale service conntrack entries", &[Since(1, 15, 1)], None, Indifferent,
        "closed",
        "\"Service backend not found\"",
        "the drop counter";
    issue 31012 "Socket-LB keeps old connections after an LRP came", &[Line(1, 15)], None, DoesNotHelp,
        "closed",
        "connected UDP sockets go on sending to pods that are gone",
        "conntrack lines to addresses that are no pod's: restart the client, not Cilium";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_people_write_them() {
        let v = |text| Version::parse(text).map(|v| (v.major, v.minor, v.patch, v.pre));
        assert_eq!(v("v1.19.4"), Some((1, 19, 4, false)));
        assert_eq!(v("1.19.4-rc.1"), Some((1, 19, 4, true)));
        assert_eq!(v("1.20"), Some((1, 20, 0, false)));
        assert_eq!(v("1.20.0-pre.2"), Some((1, 20, 0, true)));
        assert_eq!(v("1.18.6 (v1.18.6-95896696)"), Some((1, 18, 6, false)));
        assert_eq!(v("v1.19.4@sha256:abc"), Some((1, 19, 4, false)));
        assert_eq!(v("1.21.0-dev"), Some((1, 21, 0, true)));
        for nonsense in
            ["", "latest", "v", "1", "1.", "1..2", "99999999999.1", "1.x", "sha256:1.2", "..", "v1.2.99999999999"]
        {
            assert_eq!(v(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn versions_are_ordered_as_releases() {
        let order = ["1.9.0", "1.18.8", "1.18.10", "1.19.0-rc.1", "1.19.0", "1.19.3", "1.20.0-pre.1", "1.20"];
        let versions: Vec<_> = order.iter().filter_map(|v| Version::parse(v)).collect();
        assert_eq!(versions.len(), order.len());
        assert!(versions.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn issues_match_their_versions() {
        let affects = |number, version| find(number).unwrap().affects(version);
        assert_eq!(affects(46065, "v1.19.4"), Some(true));
        assert_eq!(affects(46065, "1.19.0-rc.1"), Some(true));
        assert_eq!(affects(46065, "1.18.9"), Some(true));
        assert_eq!(affects(46065, "1.18.10"), Some(true));
        assert_eq!(affects(46065, "1.18.8"), Some(false));
        // Closed as stale without a fix: nobody knows.
        assert_eq!(affects(46065, "1.20.1"), None);
        assert_eq!(affects(48050, "1.19.2"), Some(true));
        assert_eq!(affects(48050, "1.19.3"), Some(false));
        assert_eq!(affects(48050, "1.20"), Some(false));
        assert_eq!(affects(36761, "1.16.4"), Some(false));
        assert_eq!(affects(36761, "1.16.5"), Some(true));
        assert_eq!(affects(45077, "1.17.9"), Some(false));
        assert_eq!(affects(23485, "1.19.4"), None);
        assert_eq!(affects(46065, "latest"), None);
    }

    #[test]
    fn a_restart_is_risky_where_issues_say_so() {
        let of = |version| restart_risks(version).map(|i| i.number).collect::<Vec<_>>();
        assert_eq!(of("1.19.4"), [46065]);
        assert_eq!(of("1.18.9"), [45077, 46065, 44194, 43877]);
        assert_eq!(of("1.17.2"), [0_u32; 0]);
        assert_eq!(of("nonsense"), [0_u32; 0]);
    }

    #[test]
    fn every_issue_is_told_once_and_whole() {
        let mut numbers: Vec<_> = ISSUES.iter().map(|i| i.number).collect();
        numbers.sort_unstable();
        let all = numbers.len();
        numbers.dedup();
        assert_eq!(numbers.len(), all);
        for issue in ISSUES {
            for text in [issue.title, issue.state, issue.symptom, issue.evidence] {
                assert!(!text.is_empty(), "#{}", issue.number);
            }
        }
        for number in [45077, 43944, 44138, 45522, 46065, 44194, 47847, 43877, 36761, 48050, 28433, 23485] {
            assert!(find(number).is_some(), "#{number}");
        }
    }
}
