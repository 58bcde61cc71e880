//! `cilium-dbg bpf metrics list`: packets forwarded and dropped, by reason.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use crate::base::pattern::pattern;

/// Packets by reason, both directions together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Whether the header, or the remark that there are none, was seen.
    pub recognized: bool,
    /// Packets by reason, as the reasons are printed.
    pub packets: BTreeMap<String, u64>,
}

static ROW: LazyLock<Regex> = LazyLock::new(|| {
    // REASON DIRECTION PACKETS BYTES, in newer releases LINE and FILE behind.
    pattern(r"(?i)^(\S.*?)\s{2,}(ingress|egress|service|unknown)\s+(\d+)\s+(\d+)")
});

/// Reads the list.
#[must_use]
pub fn parse(text: &str) -> Drops {
    let mut drops = Drops::default();
    for line in text.lines() {
        drops.recognized |= line.starts_with("REASON") || line.contains("No entries found");
        if let Some(cells) = ROW.captures(line) {
            let packets: u64 = cells[3].parse().unwrap_or(u64::MAX);
            let sum = drops.packets.entry(cells[1].to_owned()).or_default();
            *sum = sum.saturating_add(packets);
        }
    }
    drops
}

impl Drops {
    /// Packets of all reasons that contain this text, whatever its case.
    #[must_use]
    pub fn of(&self, reason: &str) -> u64 {
        let reason = reason.to_ascii_lowercase();
        let matching = self.packets.iter().filter(|(name, _)| name.to_ascii_lowercase().contains(&reason));
        matching.fold(0, |sum, (_, packets)| sum.saturating_add(*packets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_blanks_and_may_have_a_file_behind() {
        let drops = parse(
            "REASON                    DIRECTION   PACKETS   BYTES     LINE   FILE\n\
             Policy denied             EGRESS      120       9000      1325   bpf_lxc.c\n\
             Policy denied             INGRESS     3         200       900    bpf_lxc.c\n\
             CT: Map insertion failed  Egress      7         700\n\
             Success                   EGRESS      1000      100000    86     l3.h\n",
        );
        assert!(drops.recognized);
        assert_eq!(drops.of("policy denied"), 123);
        assert_eq!(drops.of("Map insertion failed"), 7);
        assert_eq!(drops.of("Missed tail call"), 0);
        assert!(parse("No entries found.\n").recognized);
        assert!(!parse("Error: permission denied\n").recognized);
    }
}
