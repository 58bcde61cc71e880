//! The groups of flows: packets that take the same way in the same direction.

macro_rules! groups {
    ($($(#[$meta:meta])* $name:ident = $label:literal,)*) => {
        /// Flows that take the same way; each is a witness of its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Group { $($(#[$meta])* $name,)* }

        impl Group {
            /// The ways by which pods may ask for names, first the one that is nearest.
            pub const DNS: [Self; 4] = [Self::NodeLocalDns, Self::LinkLocalDns, Self::ClusterDns, Self::ServiceDns];
            /// Pods to the world by TCP and UDP.
            pub const WORLD: [Self; 2] = [Self::WorldTcp, Self::WorldUdp];

            /// Every group.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The group in words.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }
        }
    };
}

groups! {
    /// Pods' queries to the node-local DNS address, or to the pod that stands behind it.
    NodeLocalDns = "pods to node-local DNS",
    /// Pods' queries to a resolver on a link-local or host address that is not a pod (AKS LocalDNS, Talos, GKE).
    LinkLocalDns = "pods to the local resolver",
    /// Pods' queries to the pods behind the cluster DNS service, or to other DNS pods.
    ClusterDns = "pods to cluster DNS",
    /// Pods' queries to the address of the cluster DNS service itself, which nothing translated.
    ServiceDns = "pods to the cluster DNS service address, untranslated",
    /// Pods' queries to DNS servers that no longer exist.
    GoneDns = "pods to DNS pods that no longer exist",
    /// Queries that node-local DNS passes on.
    DnsUpstream = "node-local DNS to its upstream",
    /// Pods to this node.
    PodToHost = "pods to their node",
    /// Pods to other nodes.
    PodToOtherHost = "pods to other nodes",
    /// Pods to pods of this node.
    PodToLocalPod = "pods to pods of this node",
    /// Pods to pods of other nodes.
    PodToRemotePod = "pods to pods of other nodes",
    /// Pods to pods that no longer exist.
    PodToGone = "pods to pods that no longer exist",
    /// Pods to service addresses, where services are not translated at the socket.
    PodToService = "pods to service addresses",
    /// Pods to the world by TCP.
    WorldTcp = "pods to the world by TCP",
    /// Pods to the world by UDP.
    WorldUdp = "pods to the world by UDP",
    /// This node to its pods: kubelet's probes.
    HostToPod = "this node to its pods (kubelet's probes)",
    /// Pods of this node to each other, seen at the responder.
    LocalToPod = "pods of this node to each other",
    /// Other nodes and their pods to pods of this node.
    RemoteToPod = "other nodes and their pods to pods of this node",
    /// The world to pods of this node.
    WorldToPod = "the world to pods of this node",
    /// This node to the world.
    HostToWorld = "this node to the world",
    /// This node to other nodes and their pods.
    HostToCluster = "this node to other nodes",
    /// Packets of the world to a pod's own client ports that belong to no entry of that pod: answers to packets that
    /// left the pod without passing Cilium's program on its device.
    StrayAnswers = "answers from the world to packets that made no entry",
    /// The probe's own flows.
    Probe = "the probe's own connection",
}
