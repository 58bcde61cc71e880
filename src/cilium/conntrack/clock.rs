//! What the times in a dump mean.
//!
//! `expires`, `LastRxReport` and `LastTxReport` share one clock. By the agent's set-up it counts whole seconds since
//! boot (`ktime`) or kernel ticks shifted right by eight (`jiffies`), and a line does not say which (section 1.6 of the
//! format notes). A dump calibrates itself: a fresh entry other than TCP expires 60 seconds behind its last packet.

/// The datapath reports a direction again after this many seconds (`monitor-aggregation-interval`).
pub const REPORT_INTERVAL_S: f64 = 5.0;

/// How long an entry other than TCP lives after its last packet, in seconds (`bpf-ct-timeout-regular-any`).
const REGULAR_LIFETIME_S: f64 = 60.0;

/// Tick counters of 64-bit kernels start here (2^32 minus 300 s, shifted); seconds reach it after 194 days.
const FIRST_JIFFIES: u32 = 16_700_000;

/// The unit of a dump's times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    /// Seconds in one unit.
    pub unit_s: f64,
    /// The tick rate, where it counts ticks.
    pub hz: Option<u16>,
}

impl Clock {
    /// Seconds since boot.
    pub const KTIME: Self = Self { unit_s: 1.0, hz: None };

    /// Ticks at this rate, shifted right by eight.
    #[must_use]
    pub fn jiffies(hz: u16) -> Self {
        Self { unit_s: 256.0 / f64::from(hz.max(1)), hz: Some(hz) }
    }

    /// How many whole units fit into this time, at least one.
    #[must_use]
    pub fn units(&self, seconds: f64) -> u32 {
        // The figures are small and positive: a few thousand at the most.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the clamp")]
        let units = (seconds / self.unit_s).clamp(1.0, 1e9) as u32;
        units
    }

    /// This many units in seconds.
    #[must_use]
    pub fn seconds(&self, units: u32) -> f64 {
        f64::from(units) * self.unit_s
    }
}

/// Finds the unit out from the lives of entries.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// How many entries had which life left behind their last report, in units.
    lives: Box<[u32; Self::LONGEST]>,
    seen: u32,
}

impl Default for Calibration {
    fn default() -> Self {
        Self { lives: Box::new([0; Self::LONGEST]), seen: 0 }
    }
}

impl Calibration {
    const LONGEST: usize = 320;

    /// Reads an entry other than TCP: its remaining life after its last report.
    pub fn add(&mut self, life: u32) {
        if let Some(count) = self.lives.get_mut(life as usize) {
            *count += 1;
            self.seen += 1;
        }
    }

    /// Adds what another one has seen.
    pub fn join(&mut self, other: &Self) {
        self.lives.iter_mut().zip(&*other.lives).for_each(|(sum, count)| *sum += count);
        self.seen += other.seen;
    }

    /// How long an entry other than TCP lives after its last packet, in units: the smallest common life that was seen, else
    /// the default.
    #[must_use]
    pub fn lifetime(&self, clock: Clock) -> u32 {
        self.smallest_common().unwrap_or_else(|| clock.units(REGULAR_LIFETIME_S))
    }

    /// Reports lag by up to five seconds, so lives spread upwards from the true one.
    fn smallest_common(&self) -> Option<u32> {
        let common = (self.seen / 50).max(1);
        let smallest = self.lives.iter().position(|count| *count >= common)?;
        u32::try_from(smallest).ok()
    }

    /// The unit, by the smallest common life. `now` is the largest time seen.
    #[must_use]
    pub fn clock(&self, now: u32) -> Clock {
        // Below this no 64-bit kernel counts ticks.
        if now < FIRST_JIFFIES {
            return Clock::KTIME;
        }
        let Some(smallest) = self.smallest_common() else {
            // Without entries to tell by: seconds is what newer releases use.
            return Clock::KTIME;
        };
        let candidates =
            [Clock::KTIME, Clock::jiffies(1000), Clock::jiffies(300), Clock::jiffies(250), Clock::jiffies(100)];
        let distance = |clock: &Clock| (clock.units(REGULAR_LIFETIME_S).abs_diff(smallest), clock.hz);
        candidates.into_iter().min_by_key(distance).unwrap_or(Clock::KTIME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibrated(life: u32, now: u32) -> Clock {
        let mut calibration = Calibration::default();
        for lag in 0..100 {
            calibration.add(life + lag % 5);
        }
        calibration.add(3);
        calibration.clock(now)
    }

    #[test]
    fn every_clock_is_told_by_the_life_of_its_entries() {
        assert_eq!(calibrated(60, 813_417), Clock::KTIME);
        assert_eq!(calibrated(30, 813_417), Clock::KTIME, "a shorter timeout was configured");
        assert_eq!(calibrated(60, 17_000_000), Clock::KTIME, "up for more than 194 days");
        assert_eq!(calibrated(234, 20_944_898).hz, Some(1000));
        assert_eq!(calibrated(70, 16_900_000).hz, Some(300));
        assert_eq!(calibrated(58, 26_562_518).hz, Some(250));
        assert_eq!(calibrated(23, 16_800_000).hz, Some(100));
    }

    #[test]
    fn without_entries_it_is_seconds() {
        assert_eq!(Calibration::default().clock(20_000_000), Clock::KTIME);
    }

    #[test]
    fn units_and_seconds() {
        let clock = Clock::jiffies(1000);
        assert_eq!(clock.units(5.0), 19);
        assert_eq!(Clock::jiffies(100).units(5.0), 1);
        assert!((clock.seconds(234) - 59.9).abs() < 0.1);
    }
}
