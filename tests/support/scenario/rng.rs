//! A small deterministic generator of numbers (SplitMix64), so that a scenario is the same text on every machine.

/// A stream of numbers that depends on its seed only.
pub(crate) struct Rng(u64);

impl Rng {
    /// A stream of its own for every seed text: a scenario that is added later does not change the others.
    pub(crate) fn new(seed: &str) -> Self {
        // FNV-1a: the standard library's hasher promises no stable value.
        let hash =
            seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Self(hash)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high.max(low) - low + 1)
    }

    /// True once in `n` times.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let len = u64::try_from(from.len()).expect("a slice's length fits");
        &from[usize::try_from(self.next() % len).expect("below a slice's length")]
    }

    /// Another order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.between(0, u64::try_from(last).expect("an index fits"));
            items.swap(last, usize::try_from(other).expect("at most an index"));
        }
    }

    /// Letters and digits as Kubernetes puts them at the end of pod names: no vowels, nothing that looks alike.
    pub(crate) fn suffix(&mut self, len: usize) -> String {
        (0..len).map(|_| char::from(*self.pick(b"bcdfghjklmnpqrstvwxz2456789"))).collect()
    }

    /// Hexadecimal digits, as Cilium names its devices.
    pub(crate) fn hex(&mut self, len: usize) -> String {
        (0..len).map(|_| char::from(*self.pick(b"0123456789abcdef"))).collect()
    }
}
