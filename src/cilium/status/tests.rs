use super::*;

#[test]
fn a_verbose_status_of_1_18() {
    let status = parse(
        "KVStore:                 Disabled\n\
         Kubernetes:              Ok         1.33 (v1.33.7) [linux/amd64]\n\
         KubeProxyReplacement:    True   [eth0    10.9.0.2 fe80::1 (Direct Routing), eth1 10.8.0.2]\n\
         Host firewall:           Enabled   [eth0]\n\
         CNI Chaining:            aws-cni\n\
         Cilium:                  Ok   1.18.6 (v1.18.6-95896696)\n\
         IPAM:                    IPv4: 2/254 allocated from 10.244.3.0/24, IPv6: 3/4094 allocated from fd00:3::/116,\n\
         Allocated addresses:\n\
         \x20 10.244.3.7 (shop/web-1 [restored])\n\
         \x20 10.244.3.9 (router)\n\
         Routing:                 Network: Tunnel [geneve]   Host: BPF\n\
         Attach Mode:             Legacy TC\n\
         Device Mode:             veth\n\
         Masquerading:            BPF   [eth0]   10.244.0.0/16  [IPv4: Enabled, IPv6: Disabled]\n\
         Clock Source for BPF:    jiffies   [250 Hz]\n\
         Controller Status:       15/16 healthy\n\
         \x20 Name                                Last success   Last error   Count   Message\n\
         \x20 endpoint-gc                         3m17s ago      never        0       no error   \n\
         \x20 sync-to-k8s-ciliumendpoint (412)    2m ago         4s ago       7       the server was unable to return a response  \n\
         Proxy Status:            OK, ip 10.244.3.9, 2 redirects active on ports 10000-20000, Envoy: external\n\
         KubeProxyReplacement Details:\n\
         \x20 Status:               True\n\
         \x20 Socket LB:            Enabled\n\
         \x20 Socket LB Coverage:   Hostns-only\n\
         \x20 Devices:              eth0    10.9.0.2 (Direct Routing)\n\
         BPF Maps:   dynamic sizing: on (ratio: 0.002500)\n\
         \x20 Name                          Size\n\
         \x20 Non-TCP connection tracking   65536\n\
         \x20 TCP connection tracking       131072\n\
         \x20 NAT                           131073\n\
         Encryption:              Disabled\n\
         Cluster health:          2/3 reachable   (2026-03-23T12:29:16Z)   (Probe interval: 1m56s)\n\
         Name                     IP              Node                     Endpoints\n\
         \x20 linz (localhost)       10.9.0.2        reachable                reachable\n\
         \x20 graz                   10.9.0.3        reachable                unreachable\n\
         Modules Health:          Stopped(12) Degraded(1) OK(62)\n\
         \x20 └── datapath.orchestrator [DEGRADED] attaching failed: no such device (4s, x7)\n",
    )
    .unwrap();
    assert_eq!(status.version.as_deref(), Some("1.18.6"));
    assert_eq!(status.kube_proxy_replacement, Some(true));
    assert_eq!(status.devices, ["eth0", "eth1"]);
    let addresses: Vec<String> = status.device_addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.9.0.2", "fe80::1", "10.8.0.2"]);
    assert_eq!(status.direct_routing_device.as_deref(), Some("eth0"));
    assert_eq!((status.host_firewall, status.chained_to.as_deref()), (Some(true), Some("aws-cni")));
    assert_eq!(status.router, ["10.244.3.9".parse::<IpAddr>().unwrap()]);
    assert_eq!(status.pod_ranges.len(), 2);
    assert_eq!(status.tunnel_device().as_deref(), Some("cilium_geneve"));
    assert_eq!((status.bpf_host_routing, status.attach_mode), (Some(true), Some(AttachMode::LegacyTc)));
    assert_eq!(status.masquerading, Some(Masquerading::Bpf));
    assert_eq!(status.socket_lb, Some(SocketLb::HostNamespace));
    assert_eq!(status.clock_hz, Some(Some(250)));
    assert_eq!(status.controllers, Some((15, 16)));
    let failing = &status.failing_controllers;
    assert_eq!((failing.len(), failing[0].failures), (1, 7));
    assert_eq!(failing[0].name, "sync-to-k8s-ciliumendpoint (412)");
    assert!(failing[0].says.starts_with("the server was unable"), "{failing:?}");
    assert_eq!(
        (status.degraded, status.degraded_modules.as_slice()),
        (Some(1), &["datapath.orchestrator".to_owned()][..])
    );
    assert!(status.degraded_because[0].says.contains("no such device"));
    assert_eq!(status.conntrack_sizes, (Some(131_072), Some(65536)));
    assert_eq!(status.nat_size, Some(131_073));
    assert_eq!((status.encryption.clone(), status.proxy_redirects), (Some(Encryption::Disabled), Some(2)));
    assert_eq!(status.cluster_health, Some((2, 3)));
    assert_eq!(status.unreachable_peers().map(|peer| peer.node.as_str()).collect::<Vec<_>>(), ["graz"]);
}

#[test]
fn older_words_and_missing_lines() {
    let status = parse(
        "Kubernetes:             Ok   1.24 (v1.24.3) [linux/amd64]\nKubeProxyReplacement:   Strict   [ens33 192.168.2.220]\n\
         Cilium:                 Ok   1.12.0 (v1.12.0-9447cd1)\nMasquerading:           IPTables [IPv4: Enabled]\n\
         Clock Source for BPF:   ktime\nHost Routing:           BPF\nCluster health:   Probe disabled\n",
    )
    .unwrap();
    assert_eq!(status.kube_proxy_replacement, Some(true));
    assert_eq!(status.masquerading, Some(Masquerading::Iptables));
    assert_eq!((status.clock_hz, status.bpf_host_routing), (Some(None), Some(true)));
    assert_eq!(status.attaches(), Some(AttachMode::LegacyTc), "releases with this line know no tcx");
    assert_eq!((status.degraded, status.routing, status.attach_mode, status.socket_lb), (None, None, None, None));
    assert_eq!((status.cluster_health, status.host_firewall, status.encryption), (None, None, None));
}

#[test]
fn an_agent_in_trouble_says_no_version() {
    for trouble in [
        "Failure   Kubernetes service is not ready",
        "Warning   4.19 is an old kernel",
        "Failure   1.2.3 nodes",
        "Ok    (v-)",
        "",
    ] {
        let text = format!(
            "Kubernetes:   Failure   Get \"https://10.43.0.1:443/version\": timeout\nKVStore:   Disabled\nCilium:   {trouble}\nCNI Chaining:   none\n"
        );
        let status = parse(&text).unwrap();
        assert_eq!(status.version, None, "{trouble}");
        assert_eq!((status.chained_to, status.attach_mode), (None, None));
        assert!(status.kubernetes.is_some_and(|api| api.is_in_trouble()));
        let in_trouble = status.agent.is_some_and(|agent| agent.is_in_trouble());
        assert_eq!(in_trouble, !trouble.starts_with("Ok") && !trouble.is_empty(), "{trouble}");
    }
}

#[test]
fn every_encryption_is_read() {
    let read = |lines: &str| {
        let text = format!("KVStore:   Disabled\nHubble:   Disabled\nSRv6:   Disabled\nEncryption:   {lines}\n");
        parse(&text).unwrap().encryption.unwrap()
    };
    let wireguard = "Wireguard   [NodeEncryption: Disabled, cilium_wg0 (Pubkey: c29tZQ==, Port: 51871, Peers: 2)]";
    assert_eq!(read(wireguard), Encryption::Wireguard { peers: Some(2), nodes: Some(false) });
    assert_eq!(read("Wireguard"), Encryption::Wireguard { peers: None, nodes: None });
    assert_eq!(read("IPsec"), Encryption::Ipsec { errors: None });
    assert_eq!(read("IPsec\n  Keys in use: 1\n  Errors: 12"), Encryption::Ipsec { errors: Some(12) });
    assert_eq!(read("Ztunnel"), Encryption::Other("Ztunnel".to_owned()));
    assert_eq!(read("Disabled"), Encryption::Disabled);
}

#[test]
fn stale_probes_and_lines_of_the_logger_are_seen() {
    let status = parse(
        "time=2026-03-01T10:00:00Z level=warn msg=\"Cilium: Failure of something\"\nKVStore:   Disabled\nHubble:   Disabled\n\
         SRv6:   Disabled\nStale status:   \"check-locks\" since 2026-03-01T09:00:00Z, \"ipam\" since 2026-03-01T09:01:00Z\n",
    )
    .unwrap();
    assert_eq!(status.stale_probes, ["check-locks", "ipam"]);
    assert_eq!((status.remarks, status.agent), (1, None));
}

#[test]
fn another_program_is_refused() {
    assert_eq!(parse("    /¯¯\\\n /¯¯\\__/¯¯\\    Cilium:   OK\n"), Err(NotStatus::WorkstationTool));
    assert_eq!(parse("hello: world\n"), Err(NotStatus::SomethingElse));
    assert_eq!(
        parse("Get \"http://localhost/v1/healthz\": dial unix /x: connect: refused\n"),
        Err(NotStatus::SomethingElse)
    );
}
