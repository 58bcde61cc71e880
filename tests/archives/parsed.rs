//! Texts of further evidence, and all that is read from them.

use staledp::cilium::{
    agent_config, agent_log, bpf_endpoints, calls_maps, cgroup_tree, config_drift, drops, endpoint_list, firewall,
    ipcache, kernel_btf, lb, links, mounts, nat, programs, services, status,
};

/// One text of each kind, a few rows long.
pub(crate) const TEXTS: [&str; 20] = [
    "IP ADDRESS      LOCAL ENDPOINT INFO\n\
     10.9.1.7:0      id=412   sec_id=7011  flags=0x0000 ifindex=12  mac=0A:00:00:00:00:01 nodemac=0A:00:00:00:00:02 parent_ifindex=0   \n\
     10.9.1.1:0      (localhost)   \nfd00:9::7:0     id=413   sec_id=7012  flags=0x0000 ifindex=14  mac=0A:00:00:00:00:03   \n",
    "Key             Value                                      State   Error\n\
     10.9.1.7:0      id=412   sec_id=7011  flags=0x0000 ifindex=12  mac=0A:00:00:00:00:01   sync    \n",
    "IP PREFIX/ADDRESS   IDENTITY\n10.9.2.9/32         identity=7012 encryptkey=0 tunnelendpoint=192.0.2.12 flags=hastunnel   \n\
     0.0.0.0/0           identity=2 encryptkey=0 tunnelendpoint=0.0.0.0 flags=<none>   \nfd00:9::/64   identity=2 encryptkey=3 tunnelendpoint=192.0.2.9\n",
    r#"[{"id": 412, "status": {"external-identifiers": {"k8s-namespace": "shop", "k8s-pod-name": "web-1"}, "health": {"overallHealth": "OK"},
        "identity": {"id": 7011}, "networking": {"addressing": [{"ipv4": "10.9.1.7"}], "interface-index": 12, "interface-name": "lxc0a1b"},
        "log": [{"code": "Failed", "message": "x"}], "state": "ready"}}]"#,
    "11: cgroup  prog 770  \n\tcgroup_id 82  attach_type cgroup_udp6_sendmsg  \n13: tcx  prog 772  \n\
     \tifindex lxc0a1b(48)  attach_type tcx_ingress  \n14: tcx  prog 773  \n\tifindex (detached)  attach_type tcx_ingress  \n",
    "CgroupPath\nID       AttachType      AttachFlags     Name           \n/run/cilium/cgroupv2\n\
     750      cgroup_inet4_connect multi           cil_sock4_connect                \n12       device                          sd_devices     \n",
    "2120 1953 0:44 / /sys/fs/bpf rw,relatime shared:41 - bpf bpf rw\n2300 2120 0:611 / /sys/fs/bpf rw - bpf bpf rw\n",
    "sysfs /sys sysfs rw,relatime 0 0\nbpf /sys/fs/bpf bpf rw,relatime 0 0\n",
    "*filter\n:INPUT DROP [0:0]\n:SITE - [0:0]\n-A INPUT -i lxc+ -m comment --comment \"a b\" -j SITE\n\
     -A SITE ! -s 10.0.0.0/8 -p tcp -m tcp --dport 1:1024 -j DROP\n-A SITE -j INPUT\nCOMMIT\n",
    "Metric                              Labels   Value\ncilium_drift_checker_config_delta            2.000000\n",
    "cilium_calls_00096 0\ncilium_calls_hostns_00165 6\ncilium_calls_* 0\n",
    "REASON                    DIRECTION   PACKETS   BYTES     LINE   FILE\nPolicy denied             EGRESS      120       9000      1325   bpf_lxc.c\n",
    "xdp:\neth0(2) driver id 12\ntc:\nlxc1(3) netkit/peer cil_from_container prog_id 8 link_id 2\n\
     eni7a(9) clsact/egress bpf_lxc.o:[to-container] id 7\ncilium_host(9) tcx/ingress cil_to_host prog_id 95 link_id 87\n",
    "KVStore:   Disabled\nCilium:   Ok   1.18.6 (v1.18.6-9)\nKubeProxyReplacement:   True   [eth0  192.0.2.11 (Direct Routing)]\n\
     Routing:   Network: Tunnel [vxlan]   Host: BPF\nController Status:   1/2 healthy\n  sync-x (3)   2m ago   4s ago   7   no answer  \n\
     Cluster health:   1/2 reachable\n  graz   192.0.2.12   reachable   unreachable\nModules Health:   Degraded(1)\n  a.b [DEGRADED] why\n",
    "time=2026-01-02T03:04:05Z level=warn msg=\"Detected unexpected endpoint BPF program removal. \\\"x\\\"\" endpoints=\"map[7:media/x 165:/]\" total=9\n\
     level=warn msg=\"Failed to initialize datapath, retrying later\" error=\"no BTF found\"\n",
    "/tmp/cilium/config-map/enable-ipv4:true\n/tmp/cilium/config-map/enable-ipv6:false\n\
     /tmp/cilium/config-map/policy-cidr-match-mode:nodes,pods\n",
    "ls: cannot access '/sys/kernel/btf/vmlinux': No such file or directory\n",
    "SERVICE ADDRESS           BACKEND ADDRESS (REVNAT_ID) (SLOT)\n10.9.64.10:53/UDP (0)     0.0.0.0:0 (9) (0) [ClusterIP, non-routable]\n\
     10.9.64.10:53/UDP (1)     10.9.1.7:53/UDP (9) (1)\n[fd00:9::a]:53/TCP (1)    [fd00:9::7]:53/TCP (10) (1)\n",
    "ID   Frontend             Service Type    Backend\n9    10.9.64.10:53/UDP    ClusterIP       1 => 10.9.1.7:53/UDP (active)\n\
     \x20                                         2 => 10.9.2.7:53/UDP (terminating)\n12   10.9.64.20:8/TCP/i   LocalRedirect   \n",
    "UDP OUT 10.9.1.7:40001 -> 192.0.2.53:53 XLATE_SRC 192.0.2.11:40001 Created=12sec ago NeedsCT=0\n",
];

/// Reads a text as each kind of evidence, and asks what the rules ask.
pub(crate) fn read_all(text: &str) {
    let endpoints = bpf_endpoints::parse(text);
    let _ = endpoints.against(&endpoints);
    let identities = ipcache::parse(text, |_| true);
    let _ = (identities.against(&identities), identities.lookup([10, 9, 2, 9].into()));
    let _ = endpoint_list::parse(text).map(|list| list.not_ready().count());
    let _ = links::parse(text).detached().count();
    let tree = cgroup_tree::parse(text);
    let _ = (tree.missing(true, true), tree.duplicates());
    let _ = (mounts::parse(text).are_stacked(), config_drift::parse(text), calls_maps::parse(text).empty().count());
    let firewall = firewall::parse(text);
    for hook in [firewall::Hook::Input, firewall::Hook::Output, firewall::Hook::Forward] {
        let _ = firewall.decide(&firewall::Packet {
            hook,
            input: Some("lxc1"),
            output: Some("cilium_host"),
            source: None,
            destination: Some([10, 9, 1, 7].into()),
            protocol: Some("tcp"),
            source_port: None,
            destination_port: None,
        });
    }
    let drops = drops::parse(text);
    let _ = drops.rises(&drops, Some(6.0));
    let programs = programs::parse(text);
    let _ = (programs.duplicated(), programs.can_miss(None), programs.chained_pod_devices().len());
    let _ = status::parse(text).map(|status| status.unreachable_peers().count());
    let _ = agent_log::parse(text).removed.pods().count();
    let _ = agent_config::parse(text).is_some_and(|config| config.get("policy-cidr-match-mode").is_some());
    let _ = (kernel_btf::read(0, text, ""), kernel_btf::read(2, "", text));
    let (agent, kernel) = (services::parse(text), lb::parse(text));
    let _ = (lb::differences(&agent, &kernel, |_| true), agent.rows.iter().flat_map(services::Row::active).count());
    let mut rows = nat::NatRows::default();
    text.lines().for_each(|line| rows.line(line.as_bytes()));
}
