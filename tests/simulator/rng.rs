//! Numbers that look random and are the same for the same seed.

/// A small seeded generator (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// A stream of its own for these parts: what is added elsewhere does not move it.
    pub(crate) fn stream(parts: &[u64]) -> Self {
        let mut rng = Self(0x51ed_270b);
        for part in parts {
            rng.0 ^= part.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            rng.0 = rng.word();
        }
        rng
    }

    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = u64::try_from(high - low).expect("low is not above high") + 1;
        low + i64::try_from(self.word() % span).expect("a small span")
    }

    /// True in this many of a hundred cases.
    pub(crate) fn chance(&mut self, percent: i64) -> bool {
        self.between(0, 99) < percent
    }

    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let last = i64::try_from(from.len()).expect("few") - 1;
        from[usize::try_from(self.between(0, last)).expect("an index")]
    }

    /// An ephemeral port.
    pub(crate) fn port(&mut self) -> u16 {
        u16::try_from(self.between(32_768, 60_999)).expect("a port")
    }

    /// Five characters as Kubernetes appends them to names.
    pub(crate) fn suffix(&mut self) -> String {
        (0..5).map(|_| char::from(self.pick(b"bcdfghjklmnpqrstvwxz2456789"))).collect()
    }

    /// Puts these into another order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            let to = usize::try_from(self.between(0, i64::try_from(at).expect("few"))).expect("an index");
            items.swap(at, to);
        }
    }
}
