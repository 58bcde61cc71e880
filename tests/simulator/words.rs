//! What the commands on a node print.

use std::fmt::Write;
use std::net::SocketAddr;

use crate::bundle::Seen;
use crate::cluster::{Family, Resolver, Role, SECOND};
use crate::fault::Proto;
use crate::plan::{Device, Quirk};
use crate::release::Release;
use crate::rng::Rng;
use crate::table::Socket;

/// A row of a service table: frontend, protocol, type, backends with their state.
struct Row {
    front: Socket,
    protocol: &'static str,
    kind: &'static str,
    backends: Vec<(Socket, &'static str)>,
}

fn socket((ip, port): Socket) -> String {
    SocketAddr::new(ip, port).to_string()
}

/// Columns as Go's tabwriter pads them.
fn tabulate(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(String::len).max().unwrap_or(0) + 3;
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(&widths) {
            write!(out, "{cell:width$}").expect("a String takes all");
        }
        out.push('\n');
    }
    out
}

impl Seen<'_> {
    fn rows(&self, node: usize, kernel: bool) -> Vec<Row> {
        let setup = &self.plan.setup;
        let release = setup.release;
        let old = kernel && self.plan.has(|q| matches!(q, Quirk::OldKernelTable(n) if *n == node));
        let unready = self.plan.has(|q| matches!(q, Quirk::ClusterDnsUnready(_)));
        let known: Vec<Socket> = if old { self.gone() } else { self.known[node].clone() };
        let known = if unready { Vec::new() } else { known };
        let at_port = |port: u16| known.iter().map(|(ip, _)| ((*ip, port), "active")).collect::<Vec<_>>();
        let mut rows = vec![Row {
            front: (setup.service(1), 443),
            protocol: "TCP",
            kind: "ClusterIP",
            backends: vec![((setup.node_address(0), 6_443), "active")],
        }];
        let redirect = setup.resolver == Resolver::Redirected;
        for protocol in if release.service_protocols() { &["TCP", "UDP"][..] } else { &["TCP"][..] } {
            let mut backends = at_port(setup.dns_port);
            if redirect {
                let own = self.cluster.nodes[node].pods.iter().find(|pod| pod.role == Role::LocalDns);
                backends = own.map(|pod| ((pod.ip, 53), "active")).into_iter().collect();
                if self.plan.has(|q| matches!(q, Quirk::RedirectEmpty(n) if *n == node)) {
                    backends.clear();
                }
            } else if self.plan.has(|q| matches!(q, Quirk::Terminating)) && !kernel {
                backends.push(((setup.pod_address(setup.v6(), 0, 201), setup.dns_port), "terminating-not-serving"));
            }
            let kind = if redirect { "LocalRedirect" } else { "ClusterIP" };
            rows.push(Row { front: (setup.service(10), 53), protocol, kind, backends });
        }
        rows.push(Row {
            front: (setup.service(10), 9_153),
            protocol: "TCP",
            kind: "ClusterIP",
            backends: at_port(9_153),
        });
        for (number, role, port) in [(77, Role::Web, 8_080), (88, Role::Database, 5_432)] {
            let all = self.cluster.with_role(role).into_iter().filter(|at| !self.failing.contains_key(at));
            let backends = all.map(|at| ((self.cluster.pod(at).ip, port), "active")).collect();
            rows.push(Row { front: (setup.service(number), port), protocol: "TCP", kind: "ClusterIP", backends });
        }
        rows
    }

    /// `cilium-dbg service list`.
    pub(crate) fn service_list(&self, node: usize) -> String {
        let release = self.plan.setup.release;
        let mut table = vec![["ID", "Frontend", "Service Type", "Backend"].map(str::to_owned).to_vec()];
        for (id, row) in (1..).zip(self.rows(node, false)) {
            let protocol = if release.service_protocols() { format!("/{}", row.protocol) } else { String::new() };
            let cell = |(nth, (to, state)): (usize, &(Socket, &str))| {
                format!("{} => {}{protocol} ({state})", nth + 1, socket(*to))
            };
            let mut cells = row.backends.iter().enumerate().map(cell);
            let front = socket(row.front) + &protocol;
            table.push(vec![id.to_string(), front, row.kind.to_owned(), cells.next().unwrap_or_default()]);
            table.extend(cells.map(|more| vec![String::new(), String::new(), String::new(), more]));
        }
        tabulate(&table)
    }

    /// `cilium-dbg bpf lb list`.
    pub(crate) fn lb_list(&self, node: usize) -> String {
        let setup = &self.plan.setup;
        let zero = if setup.v6() { "[::]:0" } else { "0.0.0.0:0" };
        let mut rows = Vec::new();
        for (id, row) in (1..).zip(self.rows(node, true)) {
            let flags = if row.kind == "ClusterIP" { "ClusterIP, non-routable" } else { row.kind };
            let empty = format!("{zero} ({id}) (0) [{flags}]");
            if setup.release.service_protocols() {
                let front = format!("{}/{}", socket(row.front), row.protocol);
                for (slot, (to, _)) in (1..).zip(&row.backends) {
                    let to = format!("{}/{} ({id}) ({slot})", socket(*to), row.protocol);
                    rows.push(vec![format!("{front} ({slot})"), to]);
                }
                rows.push(vec![format!("{front} (0)"), empty]);
            } else {
                let mut front = Some(socket(row.front));
                for (slot, (to, _)) in (1..).zip(&row.backends) {
                    let to = format!("{} ({id}) ({slot})", socket(*to));
                    rows.push(vec![front.take().unwrap_or_default(), to]);
                }
                rows.push(vec![front.take().unwrap_or_default(), empty]);
            }
        }
        if setup.release.service_protocols() {
            self.rng(node, 21).shuffle(&mut rows);
        }
        rows.insert(0, vec!["SERVICE ADDRESS".to_owned(), "BACKEND ADDRESS (REVNAT_ID) (SLOT)".to_owned()]);
        tabulate(&rows)
    }

    /// `cilium-dbg status --verbose`.
    pub(crate) fn agent_status(&self, node: usize) -> String {
        let setup = &self.plan.setup;
        let (release, version) = (setup.release, setup.release.version());
        let one = &self.cluster.nodes[node];
        let address = setup.node_address(node);
        let family = if setup.v6() { "IPv6" } else { "IPv4" };
        let range = setup.pod_address(setup.v6(), node, 0);
        let mut out = String::new();
        let mut put = |key: &str, value: String| {
            writeln!(out, "{:25}{value}", format!("{key}:")).expect("a String takes all");
        };
        put("KVStore", if release >= Release::V1_18 { "Disabled" } else { "Ok   Disabled" }.to_owned());
        let failing = self.plan.has(|q| matches!(q, Quirk::StatusFailure(n) if *n == node));
        put("Kubernetes", format!("Ok         1.33 (v1.33.4) [linux/{}]", one.machine.0));
        put("KubeProxyReplacement", format!("True   [eth0   {address} (Direct Routing)]"));
        put("Host firewall", "Disabled".to_owned());
        put("CNI Chaining", "none".to_owned());
        if failing {
            put("Cilium", format!("Failure   {version} (v{version}-7c0d21ab)   Kubernetes service is not ready"));
        } else {
            put("Cilium", format!("Ok   {version} (v{version}-7c0d21ab)"));
        }
        put("NodeMonitor", "Listening for events on 4 CPUs with 64x4096 of shared memory".to_owned());
        put("Cilium health daemon", "Ok".to_owned());
        let mask = if setup.v6() { 64 } else { 24 };
        put("IPAM", format!("{family}: {}/254 allocated from {range}/{mask}, ", one.pods.len() + 2));
        put("BandwidthManager", "Disabled".to_owned());
        if release >= Release::V1_16 {
            put("Routing", "Network: Tunnel [vxlan]   Host: BPF".to_owned());
            put("Attach Mode", "TCX".to_owned());
            put("Device Mode", "veth".to_owned());
        } else {
            put("Host Routing", "BPF".to_owned());
        }
        let second = if setup.family == Family::V4 { "Disabled" } else { "Enabled" };
        let first = if setup.v6() { "Disabled" } else { "Enabled" };
        put("Masquerading", format!("BPF   [eth0]   {range}/{mask}  [IPv4: {first}, IPv6: {second}]"));
        put("Clock Source for BPF", one.clock.status());
        let controllers = if self.plan.has(|q| matches!(q, Quirk::Stuck(n) if *n == node)) { 39 } else { 41 };
        put("Controller Status", format!("{controllers}/41 healthy"));
        put("Proxy Status", format!("OK, ip {}, 0 redirects active on ports 10000-20000", setup.router(node)));
        put("Global Identity Range", "min 256, max 65535".to_owned());
        out.push_str("KubeProxyReplacement Details:\n  Status:                 True\n");
        let coverage = match setup.balancing {
            crate::cluster::Balancing::Socket => "Full",
            crate::cluster::Balancing::Packet => "Hostns-only",
        };
        writeln!(out, "  Socket LB:              Enabled\n  Socket LB Protocols:    TCP, UDP")
            .expect("a String takes all");
        writeln!(out, "  Socket LB Coverage:     {coverage}").expect("a String takes all");
        let (tcp, any) = if self.plan.has(|q| matches!(q, Quirk::TableFull(n) if *n == node)) {
            self.alive[node]
        } else {
            (131_072, 65_536)
        };
        out.push_str("BPF Maps:   dynamic sizing: on (ratio: 0.002500)\n  Name                          Size\n");
        writeln!(out, "  Non-TCP connection tracking   {any}").expect("a String takes all");
        writeln!(out, "  TCP connection tracking       {tcp}").expect("a String takes all");
        out.push_str("  NAT                           131072\n");
        let mut put = |key: &str, value: String| {
            writeln!(out, "{:25}{value}", format!("{key}:")).expect("a String takes all");
        };
        let encrypted = self.plan.has(|q| matches!(q, Quirk::Encrypted));
        let peers = self.cluster.nodes.len() - 1;
        let wire = format!(
            "Wireguard   [NodeEncryption: Disabled, cilium_wg0 (Pubkey: c2ltdWxhdGVk, Port: 51871, Peers: {peers})]"
        );
        put("Encryption", if encrypted { wire } else { "Disabled".to_owned() });
        let (all, reached) = (self.cluster.nodes.len(), self.reached[node]);
        put("Cluster health", format!("{reached}/{all} reachable   ({})", self.when(-20 * SECOND)));
        if release >= Release::V1_16 {
            let degraded = usize::from(controllers < 41 || self.looping(node));
            put("Modules Health", format!("Stopped(0) Degraded({degraded}) OK(80)"));
        }
        out
    }

    fn looping(&self, node: usize) -> bool {
        self.plan.has(|q| matches!(q, Quirk::DatapathLoop(n) if *n == node))
    }

    /// `cilium-dbg bpf metrics list`, the first or the second reading.
    pub(crate) fn drop_metrics(&self, node: usize, second: bool) -> String {
        let mut rng = self.rng(node, 22);
        let located = self.plan.setup.release >= Release::V1_16;
        let mut rows: Vec<(String, &str, u64)> = Vec::new();
        let base = u64::try_from(rng.between(900_000, 90_000_000)).expect("positive");
        let moved = if second { 3_811 } else { 0 };
        rows.push(("Interface".to_owned(), "INGRESS", base + moved));
        rows.push(("Success".to_owned(), "EGRESS", base / 2 + moved));
        rows.push(("Success".to_owned(), "INGRESS", base / 3 + moved));
        rows.push(("Unsupported L3 protocol".to_owned(), "EGRESS", 52));
        rows.push(("Stale or unroutable IP".to_owned(), "EGRESS", 9));
        let mut add = |reason: &str, direction: &'static str, packets: u64| match rows
            .iter_mut()
            .find(|row| row.0 == reason && row.1 == direction)
        {
            Some(row) => row.2 += packets,
            None if packets > 0 => rows.push((reason.to_owned(), direction, packets)),
            None => {}
        };
        for ((_, reason, direction), (before, between)) in self.drops.iter().filter(|((at, ..), _)| *at == node) {
            add(reason, direction, before + if second { *between } else { 0 });
        }
        for quirk in &self.plan.quirks {
            match quirk {
                Quirk::Drops(at, reason, direction, count) if *at == node => {
                    add(reason, direction, 12 * count + if second { *count } else { 0 });
                }
                Quirk::OldDrops(at, reason, direction, count) if *at == node => add(reason, direction, *count),
                _ => {}
            }
        }
        rows.sort();
        let mut head = vec!["REASON", "DIRECTION", "PACKETS", "BYTES"];
        if located {
            head.extend(["LINE", "FILE"]);
        }
        let mut table = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
        for (reason, direction, packets) in rows {
            let mut row = vec![reason, direction.to_owned(), packets.to_string(), (packets * 87).to_string()];
            if located {
                row.extend(["1325".to_owned(), "bpf_lxc.c".to_owned()]);
            }
            table.push(row);
        }
        tabulate(&table)
    }

    /// `cilium-dbg bpf nat list`.
    pub(crate) fn nat_list(&self, node: usize) -> String {
        let address = self.plan.setup.node_address(node);
        let no_udp = self.plan.has(|q| matches!(q, Quirk::NoUdpNat(n) if *n == node));
        let mut out = String::new();
        for ((proto, from, to), at) in &self.nat[node] {
            if *proto == Proto::Icmp || (no_udp && *proto == Proto::Udp) || from.0.is_ipv6() != address.is_ipv6() {
                continue;
            }
            let name = if *proto == Proto::Tcp { "TCP" } else { "UDP" };
            let outside: Socket = (address, from.1);
            let (from, to, outside) = (plain(*from), plain(*to), plain(outside));
            let age = -at / SECOND;
            writeln!(out, "{name} OUT {from} -> {to} XLATE_SRC {outside} Created={age}sec ago NeedsCT=1 ")
                .expect("a String takes all");
            writeln!(out, "{name} IN {to} -> {outside} XLATE_DST {from} Created={age}sec ago NeedsCT=1 ")
                .expect("a String takes all");
        }
        out
    }

    /// `bpftool net show`.
    pub(crate) fn attached_programs(&self, node: usize) -> String {
        let mut rng = self.rng(node, 23);
        let tcx = self.plan.setup.release >= Release::V1_16;
        let bare = |device| self.plan.has(|q| matches!(q, Quirk::Bare(n, d) if *n == node && *d == device));
        let doubled = self.plan.has(|q| matches!(q, Quirk::Doubled(n) if *n == node));
        let mut hooks: Vec<(String, &str, &str)> = Vec::new();
        for (device, way, program) in [
            ("eth0(2)", "ingress", "cil_from_netdev"),
            ("eth0(2)", "egress", "cil_to_netdev"),
            ("cilium_net(4)", "ingress", "cil_to_host"),
            ("cilium_host(5)", "ingress", "cil_to_host"),
            ("cilium_host(5)", "egress", "cil_from_host"),
            ("cilium_vxlan(6)", "ingress", "cil_from_overlay"),
            ("cilium_vxlan(6)", "egress", "cil_to_overlay"),
        ] {
            let gone = (device.starts_with("cilium_host") && bare(Device::Host))
                || (device.starts_with("cilium_vxlan") && bare(Device::Tunnel));
            if !gone {
                hooks.push((device.to_owned(), way, program));
            }
        }
        for (nth, pod) in self.cluster.nodes[node].pods.iter().enumerate() {
            let device = format!("lxc{:012x}({})", rng.between(1 << 40, (1 << 47) - 1), 20 + 2 * nth);
            if pod.role == Role::Health {
                hooks.push(("lxc_health(18)".to_owned(), "ingress", "cil_from_container"));
            } else if !bare(Device::Pods) && !bare(Device::Pod(nth)) {
                hooks.push((device, "ingress", "cil_from_container"));
            }
        }
        let iproute = self.plan.has(|q| matches!(q, Quirk::Iproute));
        let mut out = String::from("xdp:\n\ntc:\n");
        for (nth, (device, way, program)) in hooks.iter().enumerate() {
            for again in 0..=usize::from(doubled) {
                let id = 4_200 + 3 * nth + 900 * again;
                let line = if iproute {
                    format!("{device} clsact/{way} {} id {id} \n", section(program))
                } else if tcx {
                    format!("{device} tcx/{way} {program} prog_id {id} link_id {} \n", 170 + nth + 60 * again)
                } else {
                    let name = device.split('(').next().unwrap_or(device);
                    format!("{device} clsact/{way} {program}-{name} id {id} \n")
                };
                out.push_str(&line);
            }
        }
        out.push_str("\nflow_dissector:\n\nnetfilter:\n\n");
        out
    }

    /// The last lines of the agent's log.
    pub(crate) fn agent_log(&self, node: usize) -> String {
        let mut out = String::new();
        for back in (0..12).rev() {
            let when = self.when(-30 * back * SECOND);
            writeln!(out, "time={when} level=info msg=\"Policy map of an endpoint was updated\" module=agent.endpoint")
                .expect("a String takes all");
            if self.looping(node) {
                writeln!(
                    out,
                    "time={when} level=warn msg=\"Failed to initialize datapath, retrying later\" module=agent.datapath.orchestrator error=\"detach cgroup: can't detach program: no such file or directory\" retry-delay=10s"
                )
                .expect("a String takes all");
            }
        }
        out
    }

    /// `ping -c 2 -W 3`.
    pub(crate) fn ping(&self, node: usize) -> (String, i32) {
        let target = self.plan.setup.target();
        let received = self.pings[node];
        let strange = self.plan.has(|q| matches!(q, Quirk::ForeignPing(n) if *n == node));
        let loss = 100 - 50 * received;
        let mut out = if strange {
            format!("PING {target} ({target}) 56(84) Bytes an Daten.\n")
        } else {
            format!("PING {target} ({target}) 56(84) bytes of data.\n")
        };
        for nth in 1..=received {
            let line = if strange {
                format!("64 Bytes von {target}: icmp_seq={nth} ttl=57 Zeit=11.{nth} ms\n")
            } else {
                format!("64 bytes from {target}: icmp_seq={nth} ttl=57 time=11.{nth} ms\n")
            };
            out.push_str(&line);
        }
        let sum = if strange {
            format!("Ping-Statistiken ---\n2 Pakete übertragen, {received} empfangen")
        } else {
            format!("ping statistics ---\n2 packets transmitted, {received} received")
        };
        writeln!(out, "\n--- {target} {sum}, {loss}% packet loss, time 1001ms").expect("a String takes all");
        if received > 0 {
            out.push_str("rtt min/avg/max/mdev = 11.100/11.150/11.200/0.050 ms\n");
        } else {
            out.push('\n');
        }
        (out, i32::from(received == 0))
    }

    /// A stream of its own for what a command of a node prints.
    pub(crate) fn rng(&self, node: usize, what: u64) -> Rng {
        Rng::stream(&[self.plan.setup.seed, what, u64::try_from(node).expect("few")])
    }
}

/// A program as iproute2 names it: the object's file and the section.
fn section(program: &str) -> String {
    let short = program.trim_start_matches("cil_").replace('_', "-");
    let file = if short.ends_with("container") {
        "bpf_lxc.o"
    } else if short.ends_with("overlay") {
        "bpf_overlay.o"
    } else {
        "bpf_host.o"
    };
    format!("{file}:[{short}]")
}

/// As the tables of the datapath print it: without brackets.
fn plain((ip, port): Socket) -> String {
    format!("{ip}:{port}")
}
