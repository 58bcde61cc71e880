//! Releases of Cilium and the clocks of their maps: what decides how a line is written.

/// A release line of Cilium, by the text formats that it prints (facts, sections 1.4 and 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Release {
    /// Era A: `Slave=`, flags without names.
    V1_6,
    /// Era B: flags with names.
    V1_8,
    /// Era C, service table without states.
    V1_10,
    /// Era C.
    V1_12,
    /// Era C.
    V1_13,
    /// Era C, the last with `OUT … service`.
    V1_14,
    /// Era D: `SVC` lines.
    V1_15,
    /// Era E: one counter a line; service table without protocols.
    V1_16,
    /// Era E: service table with protocols.
    V1_17,
    /// Era E.
    V1_18,
    /// Era F: `NatPort=`.
    V1_19,
    /// Era F.
    V1_20,
    /// Era G: no counters.
    Main,
}

impl Release {
    /// All of them, oldest first.
    pub(crate) const ALL: [Self; 13] = [
        Self::V1_6,
        Self::V1_8,
        Self::V1_10,
        Self::V1_12,
        Self::V1_13,
        Self::V1_14,
        Self::V1_15,
        Self::V1_16,
        Self::V1_17,
        Self::V1_18,
        Self::V1_19,
        Self::V1_20,
        Self::Main,
    ];

    /// A version of this line.
    pub(crate) fn version(self) -> &'static str {
        match self {
            Self::V1_6 => "1.6.12",
            Self::V1_8 => "1.8.13",
            Self::V1_10 => "1.10.20",
            Self::V1_12 => "1.12.19",
            Self::V1_13 => "1.13.18",
            Self::V1_14 => "1.14.19",
            Self::V1_15 => "1.15.19",
            Self::V1_16 => "1.16.17",
            Self::V1_17 => "1.17.12",
            Self::V1_18 => "1.18.6",
            Self::V1_19 => "1.19.4",
            Self::V1_20 => "1.20.1",
            Self::Main => "1.21.0-dev",
        }
    }

    /// What the command is called in the agent's container.
    pub(crate) fn binary(self) -> &'static str {
        if self < Self::V1_15 { "cilium" } else { "cilium-dbg" }
    }

    /// How long an established TCP connection stays, in seconds.
    pub(crate) fn established_s(self) -> u64 {
        if self < Self::V1_15 { 21_600 } else { 8_000 }
    }

    /// Whether lines count each direction by itself.
    pub(crate) fn split_counters(self) -> bool {
        self < Self::V1_16
    }

    /// Whether service lines are `SVC` with natural sides.
    pub(crate) fn svc_lines(self) -> bool {
        self >= Self::V1_15
    }

    /// Whether the service table shows the state of a backend.
    pub(crate) fn backend_states(self) -> bool {
        self >= Self::V1_12
    }

    /// Whether the service table shows protocols.
    pub(crate) fn service_protocols(self) -> bool {
        self >= Self::V1_17
    }
}

/// What the timestamps of a dump count (facts, section 1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// Whole seconds since boot.
    Ktime,
    /// Kernel ticks shifted right by 8, at this many ticks a second.
    Jiffies(u64),
}

impl Clock {
    /// Every clock that kernels are built with.
    pub(crate) const ALL: [Self; 5] =
        [Self::Ktime, Self::Jiffies(100), Self::Jiffies(250), Self::Jiffies(300), Self::Jiffies(1000)];

    /// The stamp of a moment, given in milliseconds since boot. Ticks start 300 s before the 32-bit wrap.
    pub(crate) fn stamp(self, ms: u64) -> u64 {
        match self {
            Self::Ktime => ms / 1000,
            Self::Jiffies(hz) => ((1_u64 << 32) - 300 * hz + ms * hz / 1000) >> 8,
        }
    }

    /// A time-out in the clock's unit, as the datapath computes it.
    pub(crate) fn span(self, seconds: u64) -> u64 {
        match self {
            Self::Ktime => seconds,
            Self::Jiffies(hz) => (seconds * hz) >> 8,
        }
    }

    /// The line of `status --verbose`.
    pub(crate) fn status(self) -> String {
        match self {
            Self::Ktime => "ktime".to_owned(),
            Self::Jiffies(hz) => format!("jiffies   [{hz} Hz]"),
        }
    }
}
