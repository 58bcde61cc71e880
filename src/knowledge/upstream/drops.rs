//! Issues that show as a drop reason that rises, or as a full table.

use super::facts::{Fact, Mark};
use super::versions::Span;
use super::{BLANK, Issue, Restart};
use crate::base::version::Version;
use crate::knowledge::code::Code;

const INSERTION: &[Fact] =
    &[Fact::Verdict(&[Code::DatapathDrops, Code::ConntrackFull]), Fact::Drops("Map insertion failed")];
const NAT_MAPPING: &[Fact] = &[Fact::Drops("No mapping for NAT")];

pub(super) const ISSUES: &[Issue] = &[
    Issue {
        number: 45719,
        title: "VLANs that are allowed to bypass are missing in the datapath",
        affected: &[Span::Seen(1, 19, 3)],
        state: "reported from 1.19.3",
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
        state: "reported from 1.16.4 and 1.16.5",
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
        state: "closed; reported for 1.18.0",
        symptom: "the conntrack table fills up",
        evidence: "map pressure; insertion failures among the drops; most entries are of IPv6",
        needs: &[Fact::Verdict(&[Code::ConntrackFull]), Fact::Has(Mark::ConntrackMostlyIpv6)],
        restart: Restart::DoesNotHelp,
        advice: "Upgrade; the table is pinned and stays full over a restart.",
        ..BLANK
    },
    Issue {
        number: 35010,
        title: "Conntrack insertions fail although the table is not full",
        affected: &[Span::Seen(1, 16, 0)],
        state: "reported from 1.16.0",
        symptom: "single new connections are dropped under load",
        evidence: "\"CT: Map insertion failed\" rises below the table's size",
        needs: INSERTION,
        restart: Restart::DoesNotHelp,
        advice: "Enlarge the conntrack table, or lower the rate of new connections.",
        ..BLANK
    },
    Issue {
        number: 33074,
        title: "No NAT mapping is found for replies",
        affected: &[Span::Line(1, 15)],
        state: "reported for 1.15",
        symptom: "single connections to the outside are dropped",
        evidence: "\"No mapping for NAT masquerade\" rises",
        needs: NAT_MAPPING,
        restart: Restart::DoesNotHelp,
        advice: "Enlarge the NAT table (bpf-nat-global-max), and count the connections to one far end.",
        ..BLANK
    },
    Issue {
        number: 24177,
        title: "NAT mappings run out under load",
        affected: &[Span::Seen(1, 12, 4)],
        state: "reported from 1.12.4",
        symptom: "single connections to the outside are dropped",
        evidence: "\"No mapping for NAT masquerade\" rises",
        needs: NAT_MAPPING,
        restart: Restart::DoesNotHelp,
        advice: "Enlarge the NAT table (bpf-nat-global-max), and count the connections to one far end.",
        ..BLANK
    },
    Issue {
        number: 21346,
        title: "Conntrack insertions fail in bursts",
        affected: &[Span::Seen(1, 11, 8)],
        state: "reported from 1.11.8",
        symptom: "single new connections are dropped under load",
        evidence: "\"CT: Map insertion failed\" rises below the table's size",
        needs: INSERTION,
        restart: Restart::DoesNotHelp,
        advice: "Enlarge the conntrack table, or lower the rate of new connections.",
        ..BLANK
    },
];
