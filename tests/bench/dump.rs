//! How the runbook reads a conntrack dump, and random numbers for those that the benchmarks make.

/// The runbook's three counts: lines to the node-local address with `Packets=0`, those with packets, and lines to the
/// listed outside addresses.
pub(crate) const GREPS: [&str; 3] = [
    "grep '169.254.25.10:53' \"$1\" | grep -c 'Packets=0'",
    "grep '169.254.25.10:53' \"$1\" | grep -vc 'Packets=0'",
    "grep -cE '1\\.1\\.1\\.1|8\\.8\\.8\\.8|185\\.12\\.' \"$1\"",
];

/// The same numbers in every run (a linear congruential generator).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
