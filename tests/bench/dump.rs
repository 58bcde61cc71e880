//! What the benchmarks read: a conntrack dump in the format of 1.19, and how the runbook reads it.

/// The runbook's three counts: lines to the node-local address with `Packets=0`, those with packets, and lines to the
/// listed outside addresses.
pub(crate) const GREPS: [&str; 3] = [
    "grep '169.254.25.10:53' \"$1\" | grep -c 'Packets=0'",
    "grep '169.254.25.10:53' \"$1\" | grep -vc 'Packets=0'",
    "grep -cE '1\\.1\\.1\\.1|8\\.8\\.8\\.8|185\\.12\\.' \"$1\"",
];

/// A line in the format of 1.19: 2 % queries to node-local DNS, 1 % to a listed address, the rest TCP to the world,
/// most of it answered and some of it over.
pub(crate) fn line(random: &mut Random) -> String {
    const NOW: u64 = 813_456;
    let source = format!("10.42.1.{}:{}", 10 + random.below(200), 1024 + random.below(60_000));
    match random.below(100) {
        0..2 => {
            let asked = NOW - random.below(50);
            let answered = if random.below(40) == 0 { 0 } else { asked };
            let expires = asked + 60;
            format!(
                "UDP OUT {source} -> 169.254.25.10:53 expires={expires} Packets=0 Bytes=0 RxFlagsSeen=0x00 \
                 LastRxReport={answered} TxFlagsSeen=0x00 LastTxReport={asked} Flags=0x0000 [ ] RevNAT=0 \
                 SourceSecurityID=35631 BackendID=0 NatPort=0 \n"
            )
        }
        kind => {
            let last = NOW - random.below(20_000);
            let expires = last + 8_000;
            let to = if kind == 2 {
                "1.1.1.1".to_owned()
            } else {
                format!("{}.{}.{}.{}", 20 + random.below(100), random.below(256), random.below(256), random.below(256))
            };
            format!(
                "TCP OUT {source} -> {to}:443 expires={expires} Packets=0 Bytes=0 RxFlagsSeen=0x1b LastRxReport={last} \
                 TxFlagsSeen=0x1b LastTxReport={last} Flags=0x0013 [ RxClosing TxClosing SeenNonSyn ] RevNAT=0 \
                 SourceSecurityID=35631 BackendID=0 NatPort=0 \n"
            )
        }
    }
}

/// The same numbers in every run (a linear congruential generator).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
