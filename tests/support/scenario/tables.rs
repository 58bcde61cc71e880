//! The other tables of `cilium-dbg` and `bpftool` (facts, sections 2 and 3).

use std::fmt::Write;
use std::net::IpAddr;

use super::addr;
use super::model::{AgentStatus, Backend, Log, Node, Programs, ServiceTable};
use super::release::Release;
use super::rng::Rng;

/// An address and port as service tables print it.
fn socket(ip: IpAddr, port: u16) -> String {
    if ip.is_ipv6() { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// Cells as Go's tabwriter pads them with a minimum of 5 and 3 blanks between, the last cell too.
fn tabulate(rows: &[[String; 4]]) -> String {
    let width = |column: usize| rows.iter().map(|r| r[column].len()).max().unwrap_or(0).max(2) + 3;
    let widths = [width(0), width(1), width(2), width(3)];
    let mut out = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(widths) {
            write!(out, "{cell:width$}").expect("a String takes all");
        }
        out.push('\n');
    }
    out
}

/// `cilium-dbg service list`.
pub(crate) fn service_list(node: &Node) -> String {
    let release = node.release;
    let table = &node.services;
    let v6 = node.v6();
    let mut rows: Vec<[String; 4]> =
        vec![["ID".to_owned(), "Frontend".to_owned(), "Service Type".to_owned(), "Backend".to_owned()]];
    let protocols: &[&str] = if release.service_protocols() { &["/TCP", "/UDP"] } else { &[""] };
    let mut id = 0;
    let mut service = |frontend: String, row_type: &str, backends: &[(String, &str)]| {
        id += 1;
        let cell = |n: usize, (address, state): &(String, &str)| {
            let state = if release.backend_states() { format!(" ({state})") } else { String::new() };
            format!("{} => {address}{state}", n + 1)
        };
        let first = backends.first().map(|b| cell(0, b)).unwrap_or_default();
        rows.push([id.to_string(), frontend, row_type.to_owned(), first]);
        for (n, backend) in backends.iter().enumerate().skip(1) {
            rows.push([String::new(), String::new(), String::new(), cell(n, backend)]);
        }
    };
    let tcp = protocols[0];
    let api = (socket(addr::api_server(v6), 6_443) + tcp, "active");
    service(socket(addr::service(v6, 1), 443) + tcp, "ClusterIP", &[api]);
    let backends = |list: &[Backend], port: u16, suffix: &str| -> Vec<(String, &'static str)> {
        list.iter().map(|b| (socket(addr::pod(v6, b.0, b.1), port) + suffix, b.2)).collect()
    };
    let dns = addr::service(v6, 10);
    for suffix in protocols {
        service(socket(dns, 53) + suffix, table.row_type, &backends(&table.backends, 53, suffix));
    }
    service(socket(dns, 9_153) + tcp, "ClusterIP", &backends(&table.backends, 9_153, tcp));
    if let Some(local) = &table.local_address {
        for suffix in protocols {
            let frontend = socket(addr::local_dns(node.local_dns, v6), 53) + suffix;
            service(frontend, "LocalRedirect", &backends(local, 53, suffix));
        }
    }
    let shop = (socket(addr::pod(v6, node.number, 10), 8_080) + tcp, "active");
    service(socket(addr::service(v6, 77), 80) + tcp, "ClusterIP", std::slice::from_ref(&shop));
    service(socket(addr::node(v6, node.number), 30_080) + tcp, "NodePort", &[shop]);
    let text = tabulate(&rows);
    if table.glued_noise {
        // Written without newline, so it ends up in front of the header.
        return format!("error parsing svc: empty stateerror parsing svc: empty state{text}");
    }
    text
}

/// `cilium-dbg bpf lb list`.
pub(crate) fn lb_list(seed: &str, node: &Node, table: &ServiceTable) -> String {
    let v6 = node.v6();
    let mut rows: Vec<(String, String)> = Vec::new();
    let zero = if v6 { "[::]:0" } else { "0.0.0.0:0" };
    let mut services: Vec<(IpAddr, u16, &str, &str, Vec<IpAddr>)> = Vec::new();
    let dns: Vec<IpAddr> = table.backends.iter().map(|b| addr::pod(v6, b.0, b.1)).collect();
    services.push((addr::service(v6, 1), 443, "TCP", "ClusterIP", vec![addr::api_server(v6)]));
    for (port, protocol) in [(53, "TCP"), (53, "UDP"), (9_153, "TCP")] {
        services.push((addr::service(v6, 10), port, protocol, table.row_type, dns.clone()));
    }
    for (rev, (front, port, protocol, kind, backends)) in (1..).zip(&services) {
        let back_port = if *port == 443 { 6_443 } else { *port };
        let flags = if *kind == "ClusterIP" { "ClusterIP, non-routable" } else { kind };
        if node.release.service_protocols() {
            let front = format!("{}/{protocol}", socket(*front, *port));
            for (slot, backend) in (1..).zip(backends) {
                let to = format!("{}/{protocol} ({rev}) ({slot})", socket(*backend, back_port));
                rows.push((format!("{front} ({slot})"), to));
            }
            rows.push((format!("{front} (0)"), format!("{zero} ({rev}) (0) [{flags}]")));
        } else if *protocol == "TCP" {
            // Without protocols, TCP and UDP of one port are one service; groups stand together.
            let mut first = Some(socket(*front, *port));
            for (slot, backend) in (1..).zip(backends) {
                let to = format!("{} ({rev}) ({slot})", socket(*backend, back_port));
                rows.push((first.take().unwrap_or_default(), to));
            }
            rows.push((first.take().unwrap_or_default(), format!("{zero} ({rev}) (0) [{flags}]")));
        }
    }
    if node.release.service_protocols() {
        Rng::new(&format!("{seed}/{}/lb", node.name)).shuffle(&mut rows);
    }
    rows.insert(0, ("SERVICE ADDRESS".to_owned(), "BACKEND ADDRESS (REVNAT_ID) (SLOT)".to_owned()));
    let width = rows.iter().map(|r| r.0.len()).max().unwrap_or(0) + 5;
    let mut out = String::new();
    for (left, right) in rows {
        writeln!(out, "{left:width$}{right}").expect("a String takes all");
    }
    out
}

/// `cilium-dbg status --verbose`, the lines that matter and their neighbours.
pub(crate) fn agent_status(node: &Node, status: &AgentStatus) -> String {
    let release = node.release;
    let mut out = String::new();
    let mut put = |key: &str, value: &str| {
        writeln!(out, "{:25}{value}", format!("{key}:")).expect("a String takes all");
    };
    let version = node.version();
    put("KVStore", if release >= Release::V1_18 { "Disabled" } else { "Ok   Disabled" });
    put("Kubernetes", &format!("Ok         1.33 (v1.33.1) [linux/{}]", node.arch));
    put("Kubernetes APIs", r#"["cilium/v2::CiliumEndpoint", "cilium/v2::CiliumNode", "core/v1::Pods"]"#);
    let device = format!("[eth0   {} (Direct Routing)]", addr::node(node.v6(), node.number));
    let on = match (status.kube_proxy_replacement, release >= Release::V1_14) {
        (true, true) => format!("True   {device}"),
        (true, false) => format!("Strict   {device}"),
        (false, true) => "False".to_owned(),
        (false, false) => "Disabled".to_owned(),
    };
    put("KubeProxyReplacement", &on);
    put("Host firewall", "Disabled");
    put("CNI Chaining", "none");
    put("Cilium", &format!("Ok   {version} (v{version}-5f1c0a7e)"));
    put("NodeMonitor", "Listening for events on 4 CPUs with 64x4096 of shared memory");
    put("Cilium health daemon", "Ok");
    let family = if node.v6() { "IPv6" } else { "IPv4" };
    put(
        "IPAM",
        &format!("{family}: {}/254 allocated from {},", node.pods.len() + 3, addr::pod_range(node.v6(), node.number)),
    );
    put("BandwidthManager", "Disabled");
    if release >= Release::V1_16 {
        put("Routing", "Network: Tunnel [vxlan]   Host: BPF");
        put("Attach Mode", "TCX");
        put("Device Mode", "veth");
    } else {
        put("Host Routing", "BPF");
    }
    put(
        "Masquerading",
        &match status.masquerading {
            "BPF" => "BPF   [eth0]   10.42.0.0/16  [IPv4: Enabled, IPv6: Disabled]".to_owned(),
            "IPTables" => "IPTables [IPv4: Enabled, IPv6: Disabled]".to_owned(),
            other => other.to_owned(),
        },
    );
    put("Clock Source for BPF", &node.clock.status());
    let failing = status.failing_controllers;
    put("Controller Status", &format!("{}/38 healthy", 38 - failing));
    put("Proxy Status", "OK, ip 10.42.1.229, 0 redirects active on ports 10000-20000, Envoy: external");
    put("Global Identity Range", "min 256, max 65535");
    out.push_str("KubeProxyReplacement Details:\n");
    writeln!(out, "  Status:                 {}", on.split(' ').next().unwrap_or_default())
        .expect("a String takes all");
    out.push_str("  Socket LB:              Enabled\n  Socket LB Protocols:    TCP, UDP\n");
    out.push_str("BPF Maps:   dynamic sizing: on (ratio: 0.002500)\n  Name                          Size\n");
    let (tcp, any) = status.conntrack;
    writeln!(out, "  Non-TCP connection tracking   {any}").expect("a String takes all");
    writeln!(out, "  TCP connection tracking       {tcp}").expect("a String takes all");
    out.push_str("  NAT                           131072\n");
    let mut put = |key: &str, value: &str| {
        writeln!(out, "{:25}{value}", format!("{key}:")).expect("a String takes all");
    };
    put("Encryption", status.encryption);
    put("Cluster health", &format!("{}/{} reachable   (2026-06-06T11:59:12Z)", status.health.0, status.health.1));
    if release >= Release::V1_16 {
        put("Modules Health", &format!("Stopped(12) Degraded({}) OK(71)", status.degraded));
    }
    out
}

/// `cilium-dbg bpf metrics list`.
pub(crate) fn drop_metrics(node: &Node, drops: &[(&str, &str, u64)]) -> String {
    let mut rows: Vec<(String, &str, u64)> = vec![
        ("Interface".to_owned(), "INGRESS", 8_812_004),
        ("Success".to_owned(), "EGRESS", 4_117_662),
        ("Success".to_owned(), "INGRESS", 4_640_117),
    ];
    rows.extend(drops.iter().map(|(reason, direction, packets)| ((*reason).to_owned(), *direction, *packets)));
    rows.sort();
    let location = node.release >= Release::V1_16;
    let mut out = format!("{:35}{:12}{:11}{:13}", "REASON", "DIRECTION", "PACKETS", "BYTES");
    out.push_str(if location { "LINE   FILE\n" } else { "\n" });
    for (reason, direction, packets) in rows {
        write!(out, "{reason:35}{direction:12}{packets:<11}{:<13}", packets * 87).expect("a String takes all");
        out.push_str(if location { "1236   bpf_lxc.c\n" } else { "\n" });
    }
    out
}

/// `cilium-dbg bpf nat list`: so many TCP and UDP connections of pods, both directions each.
pub(crate) fn nat_list(seed: &str, node: &Node, tcp: u64, udp: u64) -> String {
    let mut rng = Rng::new(&format!("{seed}/{}/nat", node.name));
    let host = addr::node(false, node.number);
    let mut out = String::new();
    for (proto, count) in [("TCP", tcp), ("UDP", udp)] {
        for nth in 0..count {
            let index = usize::try_from(nth).expect("few") % node.pods.len();
            let pod = addr::pod(false, node.number, node.pods[index].host);
            let to = *rng.pick(addr::world(false).1);
            let port = rng.between(32_768, 60_999);
            let age = rng.between(3, 900);
            writeln!(
                out,
                "{proto} OUT {pod}:{port} -> {to}:443 XLATE_SRC {host}:{port} Created={age}sec ago NeedsCT=1 "
            )
            .expect("a String takes all");
            writeln!(
                out,
                "{proto} IN {to}:443 -> {host}:{port} XLATE_DST {pod}:{port} Created={age}sec ago NeedsCT=1 "
            )
            .expect("a String takes all");
        }
    }
    out
}

/// `bpftool net show`.
pub(crate) fn attached_programs(node: &Node, programs: Programs) -> String {
    let mut rng = Rng::new(&format!("{}/bpftool", node.name));
    let mut out = String::from("xdp:\n\ntc:\n");
    let mut hooks: Vec<(String, &str, &str)> = vec![
        ("eth0(2)".to_owned(), "ingress", "cil_from_netdev"),
        ("eth0(2)".to_owned(), "egress", "cil_to_netdev"),
        ("cilium_net(7)".to_owned(), "ingress", "cil_to_host"),
        ("cilium_host(8)".to_owned(), "ingress", "cil_to_host"),
        ("cilium_host(8)".to_owned(), "egress", "cil_from_host"),
        ("cilium_vxlan(9)".to_owned(), "ingress", "cil_from_overlay"),
        ("cilium_vxlan(9)".to_owned(), "egress", "cil_to_overlay"),
    ];
    for link in 0..node.pods.len() {
        let name = if programs == Programs::Chained { "eni" } else { "lxc" };
        let device = format!("{name}{}({})", rng.hex(12), 12 + 2 * link);
        hooks.push((device.clone(), "ingress", "cil_from_container"));
        hooks.push((device, "egress", "cil_to_container"));
    }
    let mut id = 1_480;
    let mut put = |device: &str, way: &str, name: &str| {
        id += 7;
        let line = if node.release >= Release::V1_16 {
            format!("{device} tcx/{way} {name} prog_id {id} link_id {} \n", (id - 1_480) / 7 + 20)
        } else {
            let device_name = device.split('(').next().unwrap_or(device);
            format!("{device} clsact/{way} {name}-{device_name} id {id} \n")
        };
        out.push_str(&line);
    };
    for (device, way, name) in &hooks {
        let on_host = device.starts_with("cilium_host") || device.starts_with("cilium_vxlan");
        match programs {
            // What is attached by tcx an old bpftool does not list, so an empty list would say nothing.
            Programs::Gone if !device.starts_with("eth0") || node.release < Release::V1_16 => continue,
            Programs::HostDeviceBare if device.starts_with("cilium_host") => continue,
            Programs::Duplicated if on_host => put(device, way, name),
            _ => {}
        }
        put(device, way, name);
    }
    out.push_str("\nflow_dissector:\n\nnetfilter:\n\n");
    out
}

/// The last lines of the agent's log.
pub(crate) fn agent_log(node: &Node, log: Log) -> String {
    let mut out = String::new();
    let source = "/go/src/github.com/cilium/cilium/pkg";
    for minute in 40..58 {
        writeln!(
            out,
            "time=2026-06-06T11:{minute}:07.318840112Z level=info source={source}/hive/health.go:88 msg=\"Endpoint labels updated\" module=agent.controlplane.endpoint-manager"
        )
        .expect("a String takes all");
        if log == Log::DatapathLoop {
            for second in [4, 14, 24, 34, 44, 54] {
                writeln!(
                    out,
                    "time=2026-06-06T11:{minute}:{second:02}.771203554Z level=warn source={source}/datapath/orchestrator/orchestrator.go:220 msg=\"Failed to initialize datapath, retrying later\" module=agent.datapath.orchestrator error=\"detach cgroup: detach programs from cgroup /run/cilium/cgroupv2 attach type CgroupInetSockRelease: can't detach program: no such file or directory\" retry-delay=10s"
                )
                .expect("a String takes all");
            }
        }
    }
    if node.release < Release::V1_18 {
        // The older logger's field order.
        out = out.replace("time=", "ts=");
    }
    out
}
