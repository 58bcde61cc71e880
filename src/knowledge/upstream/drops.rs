//! Issues that show as a drop reason that rises, or as a full table.

use super::facts::{Fact, Mark};
use super::versions::Span;
use super::{BLANK, Issue, Restart};
use crate::base::version::Version;
use crate::knowledge::code::Code;

const INSERTION: &[Fact] =
    &[Fact::Verdict(&[Code::DatapathDrops, Code::ConntrackFull]), Fact::Drops("Map insertion failed")];
const DROPS: &[Fact] = &[Fact::AnyOf(&[Fact::Drops("Map insertion failed"), Fact::Drops("No mapping for NAT")])];
const NAT_MAPPING: &[Fact] = &[Fact::Drops("No mapping for NAT")];

pub(super) const ISSUES: &[Issue] = &[
    Issue {
        number: 45719,
        title: "VLANs that are allowed to bypass are missing in the datapath",
        affected: &[Span::Seen(1, 19, 3)],
        state: "state not verified",
        symptom: "traffic of a VLAN is dropped on one node",
        evidence: "the drop reason VLAN filter rises",
        needs: &[Fact::Drops("VLAN filter")],
        restart: Restart::Helps,
        advice: "Compare `vlan-bpf-bypass` with the VLANs of the node.",
        ..BLANK
    },
    Issue {
        number: 36803,
        title: "The VLAN filter drops EKS pods with security groups",
        affected: &[Span::Between(1, 16, 4, 6)],
        fixed: &[Version::release(1, 16, 6)],
        state: "state not verified",
        symptom: "pods with security groups of their own lose their network",
        evidence: "the drop reason VLAN filter rises, and Cilium is chained to aws-cni",
        needs: &[Fact::Drops("VLAN filter")],
        setting: &[Fact::Has(Mark::AwsCniChaining)],
        restart: Restart::DoesNotHelp,
        advice: "Set `vlan-bpf-bypass` to 0.",
        ..BLANK
    },
    Issue {
        number: 40820,
        title: "IPv6 conntrack entries are never removed",
        affected: &[Span::Between(1, 18, 0, 1)],
        state: "closed",
        symptom: "the conntrack table fills up",
        evidence: "map pressure; insertion failures among the drops; most entries are of IPv6",
        needs: &[Fact::Verdict(&[Code::ConntrackFull]), Fact::Has(Mark::ConntrackMostlyIpv6)],
        restart: Restart::DoesNotHelp,
        advice: "Upgrade; the table is pinned and stays full over a restart.",
        ..BLANK
    },
    Issue {
        number: 35010,
        title: "\"CT: Map insertion failed\" on short-lived connections",
        affected: &[Span::Seen(1, 16, 0)],
        state: "closed; a busy map on kernels before 6.15, not a full one",
        symptom: "single new connections are dropped under load",
        evidence: "\"CT: Map insertion failed\" rises below the table's size",
        needs: INSERTION,
        restart: Restart::DoesNotHelp,
        advice: "Enlarge the conntrack table, or lower the rate of new connections.",
        ..BLANK
    },
    Issue {
        number: 33074,
        title: "No NAT mapping when many short-lived connections are made",
        affected: &[Span::Line(1, 15)],
        state: "closed; gone with 1.16.0 for a reporter, who then met #35010",
        symptom: "single connections to the outside are dropped",
        evidence: "\"No mapping for NAT masquerade\" rises",
        needs: NAT_MAPPING,
        restart: Restart::DoesNotHelp,
        advice: "Enlarge the NAT table (bpf-nat-global-max), and count the connections to one far end.",
        ..BLANK
    },
    Issue {
        number: 24177,
        title: "Single packets are dropped for want of a NAT mapping or a conntrack entry",
        affected: &[Span::Seen(1, 12, 4)],
        state: "state not verified",
        symptom: "single connections fail under load",
        evidence: "\"CT: Map insertion failed\" or \"No mapping for NAT masquerade\" rises",
        needs: DROPS,
        restart: Restart::DoesNotHelp,
        advice: "Enlarge the table that the drop reason names, or lower the rate of new connections.",
        ..BLANK
    },
    Issue {
        number: 21346,
        title: "Single packets are dropped for want of a NAT mapping or a conntrack entry",
        affected: &[Span::Seen(1, 11, 8)],
        state: "state not verified",
        symptom: "single connections fail under load",
        evidence: "\"CT: Map insertion failed\" or \"No mapping for NAT masquerade\" rises",
        needs: DROPS,
        restart: Restart::DoesNotHelp,
        advice: "Enlarge the table that the drop reason names, or lower the rate of new connections.",
        ..BLANK
    },
];
