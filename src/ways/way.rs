//! The ways of packets of a node, each alive, dead or unseen.

use crate::ways::counts::Counts;
use crate::ways::group::Group;
use crate::ways::life::{FEW, Life, life};
use crate::ways::picture::{Endpoint, Picture};

/// A direction and a kind of far end. DNS is a way of its own: see [`crate::ways::dns`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// Pods to addresses outside the cluster.
    World,
    /// Pods to this node, DNS apart.
    PodToHost,
    /// This node to its pods: kubelet's probes.
    HostToPod,
    /// Pods to pods of this node.
    Here,
    /// Pods to pods of other nodes. Packets to the other nodes themselves may take another path (no tunnel).
    AcrossOut,
    /// Pods and hosts of other nodes to pods of this node.
    AcrossIn,
    /// This node itself to the world: the control.
    HostToWorld,
    /// This node itself to other nodes and their pods: the control.
    HostToCluster,
}

impl Way {
    /// Every way.
    pub const ALL: [Self; 8] = [
        Self::World,
        Self::PodToHost,
        Self::HostToPod,
        Self::Here,
        Self::AcrossOut,
        Self::AcrossIn,
        Self::HostToWorld,
        Self::HostToCluster,
    ];

    /// The groups of flows that take this way.
    #[must_use]
    pub const fn groups(self) -> &'static [Group] {
        match self {
            Self::World => &Group::WORLD,
            Self::PodToHost => &[Group::PodToHost],
            Self::HostToPod => &[Group::HostToPod],
            Self::Here => &[Group::PodToLocalPod],
            Self::AcrossOut => &[Group::PodToRemotePod],
            Self::AcrossIn => &[Group::RemoteToPod],
            Self::HostToWorld => &[Group::HostToWorld],
            Self::HostToCluster => &[Group::HostToCluster],
        }
    }

    /// The name in figures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::World => "world",
            Self::PodToHost => "pod-to-host",
            Self::HostToPod => "host-to-pod",
            Self::Here => "pod-to-pod-here",
            Self::AcrossOut => "across-out",
            Self::AcrossIn => "across-in",
            Self::HostToWorld => "host-to-world",
            Self::HostToCluster => "host-to-cluster",
        }
    }

    /// The way in words.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::World => "pods to the world",
            Self::PodToHost => "pods to their node",
            Self::HostToPod => "this node to its pods (kubelet's probes)",
            Self::Here => "pods to pods of this node",
            Self::AcrossOut => "pods to pods of other nodes",
            Self::AcrossIn => "other nodes and their pods to pods of this node",
            Self::HostToWorld => "this node to the world",
            Self::HostToCluster => "this node to other nodes",
        }
    }
}

/// How one way does.
#[derive(Clone, Copy, Debug)]
pub struct WayState {
    /// Its flows.
    pub counts: Counts,
    /// The result.
    pub life: Life,
    /// Pods with flows that get no answer.
    pub pods_dead: usize,
    /// Pods with flows that get answers.
    pub pods_answered: usize,
}

impl WayState {
    /// No dump, no flows.
    pub const UNSEEN: Self = Self { counts: ZERO, life: Life::Unseen, pods_dead: 0, pods_answered: 0 };

    /// Adds these groups up.
    #[must_use]
    pub fn of_groups(picture: &Picture, groups: &[Group], least: u32) -> Self {
        let counts = picture.sum(groups);
        Self { life: life(&counts, least), counts, ..Self::pods(picture, groups) }
    }

    fn pods(picture: &Picture, groups: &[Group]) -> Self {
        let of = |is: fn(&Counts) -> bool| picture.endpoints.iter().filter(|e| is(&e.sum(groups))).count();
        Self {
            pods_dead: of(|counts| counts.dead() > 0),
            pods_answered: of(|counts| counts.answered > 0),
            ..Self::UNSEEN
        }
    }

    /// Whether flows of several pods to one far end get no answer, and those to no other.
    #[must_use]
    pub const fn is_dead_to_one_end(&self) -> bool {
        self.counts.dead_peers == 1 && self.counts.dead() >= FEW && self.pods_dead >= 2
    }

    /// Dead for two pods or more, and towards two far ends or more.
    #[must_use]
    pub const fn is_dead_for_many(&self) -> bool {
        matches!(self.life, Life::Dead) && self.pods_dead >= 2 && self.counts.dead_peers >= 2
    }
}

const ZERO: Counts = Counts {
    answered: 0,
    unanswered: 0,
    stopped: 0,
    in_flight: 0,
    idle: 0,
    expired: 0,
    half_open: 0,
    last_answer: 0,
    answered_peers: 0,
    dead_peers: 0,
    dead_ports: 0,
    dead_proxied: 0,
    answered_by_age: [0; crate::ways::counts::STEPS],
    dead_by_age: [0; crate::ways::counts::STEPS],
};

/// How a way does by a dump. One far end that is down is not the world, and neither is one part of it: where UDP is
/// blocked, or a site has no IPv6, the other part lives; and an answer that is later than most questions without one says that
/// what is dead is less than the world.
#[must_use]
pub fn state(picture: &Picture, way: Way) -> WayState {
    let mut state = WayState::of_groups(picture, way.groups(), FEW);
    if way == Way::World
        && state.life == Life::Dead
        && (state.counts.dead_peers < 2 || part_of_world_lives(picture) || picture.is_outlived(&state.counts))
    {
        state.life = Life::Mixed;
    }
    state
}

/// Whether the world answers by one of TCP and UDP over IPv4 or IPv6: now, or it did, and nothing there waits in vain.
#[must_use]
pub fn part_of_world_lives(picture: &Picture) -> bool {
    Group::WORLD.iter().any(|group| {
        [true, false].into_iter().any(|v4| {
            let of_family = |endpoint: &&Endpoint| endpoint.address.is_some_and(|ip| ip.is_ipv4() == v4);
            let mut part = Counts::default();
            picture.endpoints.iter().filter(of_family).for_each(|endpoint| part.add(endpoint.group(*group)));
            let now = part.decided() >= FEW && part.dead() * 2 <= part.decided();
            now || part.dead() == 0 && part.answered >= FEW
        })
    })
}
