//! What is broken: a place on a packet's way, whose packets, which of them, and since when.

use std::net::IpAddr;

use crate::cluster::Moment;

/// A place on a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A pod's packet before its node's conntrack sees it.
    PodOut,
    /// The same, after conntrack recorded it.
    PodOutLate,
    /// The pod's device has no program: its packets make no line and are not masqueraded.
    NoProgram,
    /// A packet to a pod before conntrack sees it.
    PodIn,
    /// The same, after conntrack recorded it.
    PodInLate,
    /// Between pods and their node, conntrack passed.
    PodToHost,
    /// From the node to its pods, kubelet's probes and answers alike.
    HostToPod,
    /// From the node to its pods, answers only: a rule for the source port.
    HostAnswers,
    /// To other nodes' pods.
    TunnelOut,
    /// From other nodes' pods.
    TunnelIn,
    /// From pods to the outside.
    PodWorldOut,
    /// Answers of the outside to pods.
    PodWorldIn,
    /// What the host itself sends to the outside.
    HostWorld,
    /// The node's line to other machines: everything that leaves or enters it.
    Line,
    /// The host refuses or drops what comes in to it (a firewall).
    HostIn,
    /// An egress policy of the sender: asked for packets that are no answers.
    EgressPolicy,
    /// An ingress policy of the receiver.
    IngressPolicy,
    /// A connection's first line cannot be made.
    NewLine,
    /// Outside: the far end does not answer.
    FarEnd,
    /// The local resolver hangs: packets come in and nothing is answered.
    LocalResolver,
    /// Cluster DNS pods hang.
    ClusterResolver,
    /// The local resolver is not there: its port refuses.
    LocalResolverGone,
    /// A pod's program accepts connections and says nothing.
    Program,
}

/// Protocols that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Proto {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Echo requests, of either family.
    Icmp,
}

/// Something broken.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// Where.
    pub(crate) place: Place,
    /// On which node; none: on every one.
    pub(crate) node: Option<usize>,
    /// Which of the node's pods; none: all.
    pub(crate) pods: Option<Vec<usize>>,
    /// Which protocol; none: all.
    pub(crate) proto: Option<Proto>,
    /// Which destination port; none: all.
    pub(crate) port: Option<u16>,
    /// Which far end; none: all.
    pub(crate) to: Option<IpAddr>,
    /// Whether of IPv6 only.
    pub(crate) v6_only: bool,
    /// Of whose packets, by the namespace of the pod that began; none: everybody's.
    pub(crate) begun_in: Option<&'static str>,
    /// How many of a hundred packets.
    pub(crate) share: i64,
    /// Whether the share is one of flows, not of packets.
    pub(crate) by_flow: bool,
    /// Since when.
    pub(crate) since: Moment,
    /// Until when.
    pub(crate) until: Moment,
    /// The counter of drops that it moves: reason and direction.
    pub(crate) counts: Option<(&'static str, &'static str)>,
}

impl Fault {
    /// Everything at this place of this node, since then.
    pub(crate) fn at(place: Place, node: usize, since: Moment) -> Self {
        Self {
            place,
            node: Some(node),
            pods: None,
            proto: None,
            port: None,
            to: None,
            v6_only: false,
            begun_in: None,
            share: 100,
            by_flow: false,
            since,
            until: Moment::MAX,
            counts: None,
        }
    }

    /// The same on every node.
    pub(crate) fn everywhere(place: Place, since: Moment) -> Self {
        Self { node: None, ..Self::at(place, 0, since) }
    }

    /// Of these pods only.
    pub(crate) fn of(self, pods: Vec<usize>) -> Self {
        Self { pods: Some(pods), ..self }
    }

    /// Of this protocol only.
    pub(crate) fn proto(self, proto: Proto) -> Self {
        Self { proto: Some(proto), ..self }
    }

    /// To this port only.
    pub(crate) fn port(self, port: u16) -> Self {
        Self { port: Some(port), ..self }
    }

    /// To this far end only.
    pub(crate) fn to(self, to: IpAddr) -> Self {
        Self { to: Some(to), ..self }
    }

    /// Of IPv6 only.
    pub(crate) fn v6_only(self) -> Self {
        Self { v6_only: true, ..self }
    }

    /// Only of flows that pods of this namespace began.
    pub(crate) fn begun_in(self, namespace: &'static str) -> Self {
        Self { begun_in: Some(namespace), ..self }
    }

    /// Only so many of a hundred packets.
    pub(crate) fn share(self, share: i64) -> Self {
        Self { share, ..self }
    }

    /// Only so many of a hundred flows.
    pub(crate) fn flows(self, share: i64) -> Self {
        Self { share, by_flow: true, ..self }
    }

    /// Healed then.
    pub(crate) fn until(self, until: Moment) -> Self {
        Self { until, ..self }
    }

    /// Moves this counter.
    pub(crate) fn counts(self, reason: &'static str, direction: &'static str) -> Self {
        Self { counts: Some((reason, direction)), ..self }
    }
}
