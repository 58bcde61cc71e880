//! What `iptables-save` and `ip6tables-save` print on a node: the chains that a cluster brings along, and the rules of the host's own firewall.

use std::fmt::Write;

use crate::bundle::Seen;
use crate::fault::Place;

/// The chains of a plain node, and the jumps to them.
const BEFORE: &str = "\
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:CILIUM_PRE_mangle - [0:0]
-A PREROUTING -m comment --comment \"cilium-feeder: CILIUM_PRE_mangle\" -j CILIUM_PRE_mangle
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:CILIUM_FORWARD - [0:0]
:CILIUM_INPUT - [0:0]
:CILIUM_OUTPUT - [0:0]
:KUBE-FIREWALL - [0:0]
-A INPUT -m comment --comment \"cilium-feeder: CILIUM_INPUT\" -j CILIUM_INPUT
-A INPUT -j KUBE-FIREWALL
";

const AFTER: &str = "\
-A FORWARD -m comment --comment \"cilium-feeder: CILIUM_FORWARD\" -j CILIUM_FORWARD
-A OUTPUT -m comment --comment \"cilium-feeder: CILIUM_OUTPUT\" -j CILIUM_OUTPUT
-A OUTPUT -j KUBE-FIREWALL
-A CILIUM_FORWARD -o cilium_host -m comment --comment \"towards pods of this cluster\" -j ACCEPT
";

/// A rule of kubelet's for IPv4.
const LOCALNET: &str =
    "-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP\n";

impl Seen<'_> {
    /// `iptables-save`, or `ip6tables-save`: the faults are in that of the cluster's family.
    pub(crate) fn host_firewall(&self, node: usize, v6: bool) -> String {
        let setup = &self.plan.setup;
        let mut out = String::from(BEFORE);
        let mut rng = self.rng(node, 27);
        let dropped = self.plan.faults.iter().filter(|f| f.place == Place::HostIn && f.node.is_none_or(|n| n == node));
        for fault in dropped.filter(|_| v6 == setup.v6()) {
            // Many let in first what belongs to known connections: then what is dropped hangs on the kernel's own table.
            if rng.chance(50) {
                out.push_str("-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n");
            }
            match fault.port {
                Some(port) => writeln!(out, "-A INPUT -p tcp -m tcp --dport {port} -j DROP"),
                None => {
                    writeln!(out, "-A INPUT -s {}/{} -j DROP", setup.pod_address(v6, node, 0), if v6 { 64 } else { 24 })
                }
            }
            .expect("a String takes all");
        }
        out + AFTER + if v6 { "" } else { LOCALNET } + "COMMIT\n"
    }
}
