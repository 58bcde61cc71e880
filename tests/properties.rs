//! Properties of the parsers: whatever the bytes, the pieces they come in, or their order, nothing panics and the
//! figures stay what they are; and what is printed is read back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use staledp::base::net::Prefix;
use staledp::cilium::conntrack::entry::{Direction, Entry, Flags, Packets, Protocol};
use staledp::cilium::{
    agent_log, bpf_endpoints, calls_maps, cgroup_tree, config_drift, drops, endpoint_list, endpoints, firewall,
    ipcache, lb, links, mounts, nat, programs, services, status,
};
use staledp::kubernetes::roles::{Range, Role, Roles};
use staledp::ways::group::Group;
use staledp::ways::lens::Lens;
use staledp::ways::pass::Pass;
use staledp::ways::picture::Picture;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

/// Which fields a release prints.
#[derive(Clone, Copy, Debug)]
enum Era {
    /// Up to 1.15: a counter a direction.
    Split,
    /// 1.16 to 1.20: one counter.
    Total,
    /// After 1.20: none.
    Absent,
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes))),
        (1_u8..9).prop_map(|pod| IpAddr::from([10, 42, 1, pod])),
        Just(IpAddr::from([169, 254, 25, 10])),
        any::<[u16; 8]>().prop_map(|parts| IpAddr::V6(Ipv6Addr::from(parts))),
    ]
}

/// An entry, and the line that a release of some era prints for it.
fn printed() -> impl Strategy<Value = (Entry, String)> {
    let protocol =
        prop_oneof![Just(("TCP", Protocol::Tcp)), Just(("UDP", Protocol::Udp)), Just(("ICMP", Protocol::Icmp))];
    let direction = prop_oneof![Just(Direction::In), Just(Direction::Out), Just(Direction::Service)];
    let era = prop_oneof![Just(Era::Split), Just(Era::Total), Just(Era::Absent)];
    let sides = (address(), prop_oneof![any::<u16>(), Just(53)], address(), prop_oneof![any::<u16>(), Just(53)]);
    let times = (1_000_000_u32..1_000_200, 999_900_u32..1_000_000, prop_oneof![Just(0), 999_900_u32..1_000_000]);
    let flags = (any::<u8>(), any::<u8>(), any::<u32>(), any::<u16>(), any::<u16>());
    let rest = (any::<u16>(), any::<u16>(), any::<bool>(), proptest::option::of(-9_000_i64..9_000));
    (protocol, direction, era, sides, times, flags, rest).prop_map(
        |((name, protocol), direction, era, (ip, port, to, to_port), (expires, last_tx, last_rx), flags, rest)| {
            use staledp::cilium::conntrack::entry::Side;
            let (rx_flags, tx_flags, identity, noted, rev_nat) = flags;
            let (rx, tx, related, remaining) = rest;
            let packets = match era {
                Era::Split => Packets::Split { rx: rx.into(), tx: tx.into() },
                Era::Total => Packets::Total(rx.into()),
                Era::Absent => Packets::Absent,
            };
            let initiator = Side { ip, port };
            let responder = Side { ip: to, port: to_port };
            let entry = Entry {
                protocol,
                direction,
                initiator,
                responder,
                related,
                expires,
                remaining,
                last_rx,
                last_tx,
                rx_flags,
                tx_flags,
                packets,
                flags: Flags(noted),
                rev_nat,
                identity,
            };
            // Up to 1.14 a service entry is printed the wrong way round.
            let old_service = direction == Direction::Service && matches!(era, Era::Split);
            let (word, left, right) = match direction {
                Direction::In => ("IN", initiator, responder),
                Direction::Out => ("OUT", initiator, responder),
                Direction::Service if old_service => ("OUT", responder, initiator),
                Direction::Service => ("SVC", initiator, responder),
            };
            let marks = [if related { "related " } else { "" }, if old_service { "service " } else { "" }].concat();
            let left_s = remaining.map_or(String::new(), |left| format!(" (remaining: {left} sec(s))"));
            let (rx_part, tx_part) = match era {
                Era::Split => (format!(" RxPackets={rx} RxBytes=9"), format!(" TxPackets={tx} TxBytes=9")),
                Era::Total => (format!(" Packets={rx} Bytes=9"), String::new()),
                Era::Absent => (String::new(), String::new()),
            };
            let line = format!(
                "{name} {word} {}:{} -> {}:{} {marks}expires={expires}{left_s}{rx_part} RxFlagsSeen=0x{rx_flags:02x} \
                 LastRxReport={last_rx}{tx_part} TxFlagsSeen=0x{tx_flags:02x} LastTxReport={last_tx} \
                 Flags=0x{noted:04x} [ SeenNonSyn ] RevNAT={rev_nat} SourceSecurityID={identity} IfIndex=0 ",
                left.ip, left.port, right.ip, right.port
            );
            (entry, line)
        },
    )
}

fn lens() -> Lens {
    let mut roles = Roles::new(true);
    roles.name([169, 254, 25, 10].into(), Role::NodeLocalDns);
    roles.name_range("10.42.1.0/24".parse().expect("a range"), Range::LocalPods);
    (1..9).for_each(|pod| roles.name([10, 42, 1, pod].into(), Role::LocalPod));
    let external = vec!["8.0.0.0/8".parse().expect("a prefix")];
    Lens {
        roles: roles.into(),
        external,
        probe_sources: vec![[10, 42, 1, 1].into()],
        probe_target: [1, 1, 1, 1].into(),
        most_age_s: None,
    }
}

/// Every figure of a dump that came in these pieces.
fn figures<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let lens = lens();
    let mut pass = Pass::new(&lens);
    pieces.into_iter().for_each(|piece| pass.feed(piece));
    shown(&pass.finish(true))
}

fn shown(picture: &Picture) -> String {
    let groups: Vec<_> = Group::ALL.iter().map(|group| *picture.group(*group)).collect();
    let Picture { entries, unparsed, remarks, now, counters, runbook, maps, .. } = picture;
    format!("{entries} {unparsed} {remarks} {now} {counters:?} {runbook:?} {maps:?} {groups:?}")
}

/// The lines as one text.
fn dump(lines: &[(Entry, String)]) -> String {
    lines.iter().flat_map(|(_, line)| [line.as_str(), "\n"]).collect()
}

/// A line with a few bytes taken out, doubled or overwritten.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    (printed(), any::<prop::sample::Index>(), 0_usize..12, any::<Vec<u8>>()).prop_map(|((_, line), at, len, with)| {
        let mut bytes = line.into_bytes();
        let at = at.index(bytes.len());
        let end = (at + len).min(bytes.len());
        bytes.splice(at..end, with);
        bytes
    })
}

/// All parsers of further evidence, and what is asked of what they read.
fn further(text: &str) {
    let kernel = bpf_endpoints::parse(text);
    let _ = kernel.against(&kernel);
    let table = ipcache::parse(text, |_| true);
    let _ = (table.against(&table), table.lookup([10, 42, 1, 1].into()), table.tunnels_to_no_node(&[]).count());
    let _ = endpoint_list::parse(text).map(|list| list.not_ready().count());
    let links = links::parse(text);
    let _ = (links.detached().count(), links.on("lxc1").count());
    let tree = cgroup_tree::parse(text);
    let _ = (tree.missing(true, true), tree.duplicates(), tree.socket_programs().len());
    let _ = (mounts::parse(text).are_stacked(), config_drift::parse(text), calls_maps::parse(text).empty().count());
    let firewall = firewall::parse(text);
    for hook in [firewall::Hook::Input, firewall::Hook::Output, firewall::Hook::Forward] {
        let packet = firewall::Packet {
            hook,
            input: Some("lxc1"),
            output: None,
            source: Some([10, 42, 1, 1].into()),
            destination: None,
            protocol: Some("udp"),
            source_port: None,
            destination_port: Some(53),
        };
        let _ = firewall.decide(&packet);
    }
}

/// A word that some parser looks for, or any other.
fn word() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "\n",
        " ",
        "\t",
        "  ",
        ":",
        "=",
        "(",
        ")",
        "[",
        "]",
        "\"",
        "/",
        ",",
        "12",
        "0",
        "10.9.1.7",
        "fd00::7",
        "10.9.1.7:0",
        "id=7",
        "IP ADDRESS\n",
        "IP PREFIX/ADDRESS\n",
        "Key Value\n",
        "identity=7",
        "tunnelendpoint=192.0.2.1",
        "sync",
        "(localhost)",
        "ifindex ",
        "(detached)",
        "(unknown)",
        "lxc1(9)",
        "cgroup_id ",
        "attach_type ",
        "prog ",
        "CgroupPath\n",
        "cil_sock4_connect",
        "*filter\n",
        "COMMIT\n",
        ":INPUT DROP [0:0]\n",
        "-A INPUT ",
        "-A SITE ",
        "-j SITE\n",
        "-g SITE\n",
        "-j DROP\n",
        "-j INPUT\n",
        "-s ",
        "! ",
        "--dport ",
        "-m comment ",
        "- bpf bpf rw\n",
        "/sys/fs/bpf",
        "cilium_calls_",
        "tc:\n",
        "tcx/ingress ",
        "bpf_lxc.o:[from-container]",
        "Controller Status:",
        "Cluster health:",
        "Encryption: IPsec\n",
        "Allocated addresses:\n",
        "[DEGRADED]",
        "Cilium: Ok 1.19.4\n",
        "KVStore: Ok\n",
        "map[7:a/b",
        "endpoints=",
        "time=1 level=warn ",
        "[{\"id\": 1}]",
        "cilium_drift_checker_config_delta ",
        "NaN",
        "1e400",
        "Detected unexpected endpoint BPF program removal",
    ]);
    prop_oneof![3 => known.prop_map(str::to_owned), 1 => "\\PC{0,6}"]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_printed_is_read_back((entry, line) in printed()) {
        prop_assert_eq!(Entry::parse(line.as_bytes()), Some(entry), "{}", line);
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in any::<Vec<u8>>(), line in damaged()) {
        for input in [&bytes, &line] {
            let text = String::from_utf8_lossy(input);
            let _ = Entry::parse(input);
            let _ = figures([input.as_slice()]);
            let _ = services::parse(&text);
            let _ = lb::parse(&text);
            let _ = status::parse(&text);
            let _ = endpoints::parse(&text);
            let _ = programs::parse(&text).duplicates();
            let _ = drops::parse(&text).of("denied");
            let _ = agent_log::parse(&text);
            nat::NatRows::default().line(input);
            further(&text);
        }
    }

    #[test]
    fn no_words_make_a_parser_of_further_evidence_panic(words in proptest::collection::vec(word(), 0..80)) {
        let text = words.concat();
        further(&text);
        let _ = (status::parse(&text).map(|status| status.unreachable_peers().count()), programs::parse(&text).duplicated());
    }

    #[test]
    fn a_table_differs_from_itself_in_nothing(rows in proptest::collection::btree_map(any::<u16>(), any::<(u32, u8)>(), 0..40)) {
        let mut endpoints = vec!["IP ADDRESS   LOCAL ENDPOINT INFO\n".to_owned()];
        let mut identities = vec!["IP PREFIX/ADDRESS   IDENTITY\n".to_owned()];
        for (key, (value, node)) in &rows {
            let [high, low] = key.to_be_bytes();
            endpoints.push(format!("10.9.{high}.{low}:0   id={value} ifindex={node} mac=0A:00:00:00:00:01\n"));
            identities.push(format!("10.9.{high}.{low}/32   identity={value} tunnelendpoint=192.0.2.{node}\n"));
        }
        let (endpoints, identities) = (endpoints.concat(), identities.concat());
        let table = bpf_endpoints::parse(&endpoints);
        prop_assert_eq!((table.endpoints.len(), table.against(&table).map(|all| all.len())), (rows.len(), Some(0)));
        let table = ipcache::parse(&identities, |_| true);
        prop_assert_eq!((table.all, table.against(&table).map(|all| all.len())), (rows.len(), Some(0)));
        // Without one row, exactly this one is missing.
        if let Some((key, _)) = rows.iter().next() {
            let [high, low] = key.to_be_bytes();
            let prefix: Prefix = format!("10.9.{high}.{low}").parse().expect("an address");
            let without = ipcache::parse(&identities, |other| other != prefix);
            let missing = without.against(&table).expect("both are whole");
            prop_assert_eq!(missing.iter().map(|d| d.key.clone()).collect::<Vec<_>>(), [prefix.to_string()]);
        }
    }

    #[test]
    fn what_is_cut_convicts_nobody(at in any::<prop::sample::Index>()) {
        let whole = "IP ADDRESS   LOCAL ENDPOINT INFO\n10.9.1.1:0   id=1 ifindex=3\n10.9.1.2:0   id=2 ifindex=4\n";
        let cut = bpf_endpoints::parse(&whole[..at.index(whole.len())]);
        let differences = cut.against(&bpf_endpoints::parse(whole)).unwrap_or_default();
        // A cut between two rows can't be seen in the text: that the command ended well is the caller's to know.
        prop_assert!(differences.iter().all(|difference| difference.kernel.is_none()), "{:?}", differences);
    }

    #[test]
    fn counters_that_only_rise_are_told_by_how_much(
        rows in proptest::collection::btree_map("[A-Z][a-z]{1,12} [a-z]{1,9}", (0_u64..1 << 40, 0_u64..1 << 20), 1..20),
    ) {
        let list = |later: bool| {
            let rows = rows.iter().map(|(reason, (first, rise))| {
                let packets = first + if later { *rise } else { 0 };
                format!("{reason}   EGRESS   {packets}   9   77   bpf_lxc.c\n")
            });
            drops::parse(&("REASON   DIRECTION\n".to_owned() + &rows.collect::<String>()))
        };
        let rises = list(false).rises(&list(true), Some(6.0));
        for (reason, (_, rise)) in &rows {
            prop_assert!(rises.packets_of(reason, Some(drops::MetricDirection::Egress)) >= Some(*rise));
            prop_assert_eq!(rises.packets_of(reason, Some(drops::MetricDirection::Ingress)), Some(0));
        }
        let all: u64 = rows.values().map(|(_, rise)| rise).sum();
        prop_assert_eq!(rises.packets_of("", None), Some(all));
    }

    #[test]
    fn any_split_gives_the_same_figures(
        lines in proptest::collection::vec(printed(), 1..60),
        noise in any::<Vec<u8>>(),
        piece in 1_usize..400,
    ) {
        let mut dump: Vec<u8> = lines.iter().flat_map(|(_, line)| [line.as_bytes(), b"\n"].concat()).collect();
        dump.extend(noise);
        prop_assert_eq!(figures(dump.chunks(piece)), figures([dump.as_slice()]));
    }

    #[test]
    fn the_order_of_lines_changes_no_figure(lines in proptest::collection::vec(printed(), 1..60).prop_shuffle()) {
        let mut sorted = lines.clone();
        sorted.sort_by(|a, b| a.1.cmp(&b.1));
        let (one, other) = (dump(&lines), dump(&sorted));
        prop_assert_eq!(figures([one.as_bytes()]), figures([other.as_bytes()]));
    }

    #[test]
    fn every_flow_without_answer_is_named(lines in proptest::collection::vec(printed(), 1..60)) {
        let lens = Lens { most_age_s: Some(600.0), ..lens() };
        let mut pass = Pass::new(&lens);
        pass.feed(dump(&lines).as_bytes());
        let picture = pass.finish(true);
        let named = picture.unanswered.as_ref().expect("they were to be named");
        for group in Group::ALL.iter().filter(|group| **group != Group::Probe) {
            let flows = named.flows.iter().filter(|flow| flow.group == *group).count();
            prop_assert_eq!(flows, picture.group(*group).unanswered as usize, "{}", group.label());
        }
    }

    #[test]
    fn a_cut_never_counts_more(lines in proptest::collection::vec(printed(), 1..30), at in any::<prop::sample::Index>()) {
        let dump = dump(&lines);
        let cut = at.index(dump.len());
        let lens = lens();
        let mut pass = Pass::new(&lens);
        pass.feed(&dump.as_bytes()[..cut]);
        let complete = dump[..cut].matches('\n').count();
        prop_assert_eq!(pass.finish(false).entries, complete as u64, "the line that was cut is not counted");
    }
}
