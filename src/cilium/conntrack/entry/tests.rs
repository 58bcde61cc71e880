use super::*;

fn parse(line: &str) -> Entry {
    Entry::parse(line.as_bytes()).unwrap_or_else(|| panic!("not read: {line}"))
}

fn at(address: &str, port: u16) -> Side {
    Side { ip: address.parse().unwrap(), port }
}

#[test]
fn a_line_of_1_19() {
    let entry = parse(
        "UDP OUT 10.42.3.7:40112 -> 169.254.25.10:53 expires=700160 Packets=0 Bytes=0 RxFlagsSeen=0x00 \
         LastRxReport=700098 TxFlagsSeen=0x00 LastTxReport=700100 Flags=0x0000 [ ] RevNAT=0 \
         SourceSecurityID=40321 BackendID=0 NatPort=0 ",
    );
    assert_eq!(entry.protocol, Protocol::Udp);
    assert_eq!(entry.direction, Direction::Out);
    assert_eq!(entry.initiator, at("10.42.3.7", 40112));
    assert_eq!(entry.responder, at("169.254.25.10", 53));
    assert_eq!((entry.expires, entry.asked(), entry.answered()), (700_160, 700_100, 700_098));
    assert_eq!(entry.packets_zero(), Some(true), "accounting is off: this says nothing about answers");
    assert_eq!(entry.identity, 40321);
}

#[test]
fn a_line_of_1_13_has_a_counter_a_direction() {
    let entry = parse(
        "TCP IN 10.0.0.9:51000 -> 10.0.1.4:8080 expires=9000 RxPackets=3 RxBytes=180 RxFlagsSeen=0x02 \
         LastRxReport=8990 TxPackets=5 TxBytes=300 TxFlagsSeen=0x12 LastTxReport=8991 Flags=0x0000 [ ] RevNAT=0 \
         SourceSecurityID=1 IfIndex=0 ",
    );
    assert_eq!(entry.packets, Packets::Split { rx: 3, tx: 5 });
    assert_eq!((entry.asked(), entry.answered()), (8990, 8991));
    assert_eq!((entry.rx_flags, entry.tx_flags), (tcp::SYN, tcp::SYN | tcp::ACK));
}

#[test]
fn ipv6_has_no_brackets_and_the_port_behind_the_last_colon() {
    let entry = parse(
        "TCP OUT fd00:10:3::a1:40000 -> 2001:db8::24:443 expires=50 Packets=0 Bytes=0 RxFlagsSeen=0x1a \
         LastRxReport=40 TxFlagsSeen=0x1a LastTxReport=41 Flags=0x0010 [ SeenNonSyn ] RevNAT=0 \
         SourceSecurityID=300 BackendID=0",
    );
    assert_eq!(entry.initiator, at("fd00:10:3::a1", 40000));
    assert_eq!(entry.responder, at("2001:db8::24", 443));
}

#[test]
fn an_ipv4_address_that_is_mapped_into_ipv6_is_that_address() {
    let entry = parse(
        "UDP OUT ::ffff:10.42.3.7:40112 -> ::ffff:169.254.25.10:53 expires=70 LastRxReport=9 LastTxReport=10 \
         Flags=0x0000 [ ] RevNAT=0 SourceSecurityID=9",
    );
    assert_eq!((entry.initiator, entry.responder), (at("10.42.3.7", 40112), at("169.254.25.10", 53)));
}

#[test]
fn an_old_service_line_is_turned_round() {
    let entry = parse(
        "TCP OUT 10.43.0.1:443 -> 10.0.1.4:59668 service expires=47 RxPackets=0 RxBytes=7 RxFlagsSeen=0x00 \
         LastRxReport=0 TxPackets=0 TxBytes=0 TxFlagsSeen=0x12 LastTxReport=45 Flags=0x0010 [ SeenNonSyn ] \
         RevNAT=5 SourceSecurityID=0 IfIndex=0",
    );
    assert_eq!(entry.direction, Direction::Service);
    assert_eq!(entry.initiator, at("10.0.1.4", 59668));
    assert_eq!(entry.responder, at("10.43.0.1", 443));
}

#[test]
fn blanks_inside_fields_and_field_like_flag_names_are_no_trap() {
    let entry = parse(
        "UDP OUT 10.0.0.1:1024 -> 10.0.0.2:53 expires=170 (remaining: 12 sec(s)) RxPackets=1 RxBytes=2 \
         RxFlagsSeen=0x00 LastRxReport=9 TxPackets=3 TxBytes=4 TxFlagsSeen=0x00 LastTxReport=110 \
         Flags=0x8013 [ RxClosing TxClosing SeenNonSyn Unknown=0x8000 LastTxReport=7 ] RevNAT=0 \
         SourceSecurityID=77 IfIndex=0 ",
    );
    assert_eq!(entry.remaining, Some(12));
    assert_eq!(entry.last_tx, 110);
    let wild = parse(
        "TCP IN 169.254.42.1:5 -> 10.2.0.6:80 expires=16 (remaining: -4391264792 sec(s)) LastRxReport=1 \
         LastTxReport=2 Flags=0x0000 RevNAT=1 Slave=1 SourceSecurityID=9",
    );
    assert_eq!(wild.remaining, Some(-4_391_264_792));
    assert_eq!(wild.packets, Packets::Absent);
}

#[test]
fn flags_are_read_by_their_bits_and_not_by_their_names() {
    let with = |flags: &str| {
        parse(&format!(
            "UDP OUT 10.0.0.1:9 -> 10.0.0.2:53 expires=9 Packets=0 Bytes=0 RxFlagsSeen=0x00 LastRxReport=0 \
             TxFlagsSeen=0x00 LastTxReport=8 Flags={flags} RevNAT=31 SourceSecurityID=7 BackendID=0 NatPort=0 "
        ))
    };
    let proxied = with("0x0450 [ SeenNonSyn ProxyRedirect FromTunnel ]");
    assert!(proxied.flags.has(Flags::PROXY_REDIRECT) && proxied.flags.has(Flags::FROM_TUNNEL));
    assert!(!proxied.flags.has(Flags::NODE_PORT) && !proxied.flags.is_closing());
    assert_eq!(proxied.rev_nat, 31);
    assert!(with("0x0011 [ RxClosing SeenNonSyn ]").flags.is_closing());
    assert_eq!(with("0x0000 [ ]").flags, Flags(0));
    assert_eq!(with("0x8020 [ NodePort Unknown=0x8000 ]").flags, Flags(0x8020));
    // The oldest releases print no names; a flag of the future may make the number longer.
    assert_eq!(with("0x0093").flags, Flags(0x93));
    assert_eq!(with("0x10040 [ ProxyRedirect ]").flags.0 & 0x40, 0x40);
}

#[test]
fn a_backend_id_may_be_garbage_and_a_counter_huge() {
    let entry = parse(
        "TCP OUT 10.0.0.1:1 -> 10.0.0.2:2 related expires=3 Packets=360309599644942336 Bytes=0 RxFlagsSeen=0x1b \
         LastRxReport=1 TxFlagsSeen=0x1b LastTxReport=1 Flags=0x0093 [ DSR ] RevNAT=0 SourceSecurityID=9 \
         BackendID=360309599644942336 NatPort=30587 ",
    );
    assert!(entry.related);
    assert_eq!(entry.packets_zero(), Some(false));
}

#[test]
fn what_is_no_usable_entry_is_none() {
    for line in [
        "",
        " ",
        "Defaulted container \"cilium-agent\" out of: cilium-agent, config (init)",
        "Unable to open /sys/fs/bpf/tc/globals/cilium_ct4_global: no such file. Skipping.",
        "UDP OUT 10.0.0.1:1 -> 10.0.0.2:53",
        "UDP OUT 10.0.0.1:1 -> 10.0.0.2:53 expires=5 Packets=0 Bytes=0 RxFlagsSeen=0x00 LastRxReport=0",
        "UDP OUT 10.0.0.1:1 -> 10.0.0.2:53 expires=5 LastRxReport=0 LastTxReport=",
        "UDP OUT 10.0.0.1:1 -> 10.0.0.2:99999 expires=5 LastRxReport=0 LastTxReport=1",
        "UDP OUT 10.0.0.256:1 -> 10.0.0.2:53 expires=5 LastRxReport=0 LastTxReport=1",
        "UDP OUT 10.0.0.1:1 <- 10.0.0.2:53 expires=5 LastRxReport=0 LastTxReport=1",
    ] {
        assert_eq!(Entry::parse(line.as_bytes()), None, "{line}");
    }
}

/// The general way alone: it knows no order of fields and no usual tuple.
fn slowly(line: &[u8]) -> Option<Entry> {
    let (tuple, rest) = Tuple::any(line)?;
    let mut entry = Entry::of(tuple);
    entry.fields(Cursor(rest))?;
    Some(entry)
}

#[test]
fn numbers_of_every_length_are_read_at_any_place() {
    for number in ["0", "7", "42", "007", "255", "256", "65535", "813456", "9999999", "20944898", "4294967295"] {
        for tail in ["", " ", ".", ":5", " Packets=0", "/", "x12345678", "\u{00b2}345678"] {
            let text = format!("{number}{tail}");
            assert_eq!(digits(text.as_bytes()), Some((number.parse().unwrap(), tail.as_bytes())), "{text}");
        }
    }
    for text in ["", " 1", "x", "4294967296", "00000000001", "/1234567", ":1234567"] {
        assert_eq!(digits(text.as_bytes()), None, "{text}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn both_ways_read_the_same_entry(
        start in "(TCP|UDP|ICMP|ICMPv6|SCTP|132) (IN|OUT|SVC)",
        sides in proptest::collection::vec("(0{0,2}[0-9]{1,3}\\.){3}[0-9]{1,3}:[0-9]{1,5}|fd00::[0-9a-f]{1,4}:[0-9]{1,5}", 2),
        marks in " (related |service |)",
        expires in "expires=[0-9]{1,10}( \\(remaining: -?[0-9]{1,6} sec\\(s\\)\\)|)",
        counters in "( Packets=[0-9]{1,20} Bytes=[0-9]{1,10}|)",
        times in "RxFlagsSeen=0x[0-9a-f]{2} LastRxReport=[0-9]{1,10} TxFlagsSeen=0x[0-9a-f]{2} LastTxReport=[0-9]{1,10}",
        flags in "Flags=0x[0-9a-f]{3,5} \\[ (SeenNonSyn |RxClosing TxClosing |Unknown=0x8000 |)\\]",
        end in " RevNAT=[0-9]{1,5} SourceSecurityID=[0-9]{1,10}( (BackendID|IfIndex)=[0-9]{1,20}|)( NatPort=[0-9]{1,5} |)",
    ) {
        let line = format!("{start} {} -> {}{marks}{expires}{counters} {times} {flags}{end}", sides[0], sides[1]);
        let line = line.as_bytes();
        proptest::prop_assert_eq!(Entry::parse(line), slowly(line));
    }

    #[test]
    fn a_usual_tuple_is_what_any_way_reads(line in "(TCP|UDP) (IN|OUT) [0-9.]{5,16}:[0-9]{0,6}( -> |->)[0-9.:]{5,22}[ x]?") {
        if let Some(usual) = Tuple::usual(line.as_bytes()) {
            proptest::prop_assert_eq!(Some(usual), Tuple::any(line.as_bytes()));
        }
    }
}
