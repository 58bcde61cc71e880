//! `cilium-dbg bpf metrics list`, as text or with `-o json`: packets forwarded and dropped, by reason, direction and, in
//! newer releases, the line of the source that counts them. Also `cilium-dbg metrics list -p drop_count_total`, in which
//! the agent says of the same counters only the drops.
//!
//! Reasons are data: all of them are kept as they are printed, known or not. Two of them are not drops: `Success` and
//! `Interface`, and what begins with `LB: sock cgroup` counts bookkeeping.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;

use crate::base::pattern::pattern;
use crate::cilium::lines::{is_remark, rows};

/// The most rows that are kept. The kernel's table holds 1,024.
const MOST: usize = 65_536;

/// The direction of the packets that are counted, as the table names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MetricDirection {
    /// Into a pod or the host.
    Ingress,
    /// Out of a pod or the host.
    Egress,
    /// At a service.
    Service,
    /// The release does not say.
    Unknown,
}

impl MetricDirection {
    /// The word in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
            Self::Service => "service",
            Self::Unknown => "unknown",
        }
    }

    fn read(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "ingress" => Self::Ingress,
            "egress" => Self::Egress,
            "service" => Self::Service,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for MetricDirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The key of a counter: reason, direction and place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Counter {
    /// The reason, as it is printed: `Policy denied`.
    pub reason: String,
    /// The way.
    pub way: MetricDirection,
    /// Where in Cilium's source, `bpf_host.c:1234`, where it is printed.
    pub place: Option<String>,
}

impl Counter {
    /// Whether it counts packets that were dropped, and not forwarded ones or bookkeeping.
    #[must_use]
    pub fn is_drop(&self) -> bool {
        let reason = self.reason.to_ascii_lowercase();
        !matches!(reason.as_str(), "success" | "interface" | "interface decrypted")
            && !reason.starts_with("lb: sock cgroup")
    }

    /// Whether the reason contains this text, whatever the case of either.
    #[must_use]
    pub fn is_about(&self, reason: &str) -> bool {
        self.reason.to_ascii_lowercase().contains(&reason.to_ascii_lowercase())
    }

    /// The file of the place: `bpf_host.c`.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.place.as_deref().map(|place| place.split(':').next().unwrap_or(place))
    }
}

/// Packets and bytes of one counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What rose from one reading to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Rise {
    /// Which counter.
    pub counter: Counter,
    /// By how many packets.
    pub packets: u64,
    /// Packets a second, where the time between the readings is known.
    pub per_s: Option<f64>,
}

/// What two readings say together.
#[derive(Clone, Debug, PartialEq)]
pub enum Rises {
    /// The counters that rose, the fastest first; all others stood still.
    Between(Vec<Rise>),
    /// The counters began again in between, or the readings were not apart: they say nothing.
    Unknown(&'static str),
}

impl Rises {
    /// The drops among what rose; none where the readings say nothing.
    #[must_use]
    pub fn drops(&self) -> Option<Vec<&Rise>> {
        match self {
            Self::Between(rises) => Some(rises.iter().filter(|rise| rise.counter.is_drop()).collect()),
            Self::Unknown(_) => None,
        }
    }

    /// By how many packets the reasons that contain this text rose, on one way or on all; none where the readings say
    /// nothing.
    #[must_use]
    pub fn packets_of(&self, reason: &str, way: Option<MetricDirection>) -> Option<u64> {
        let Self::Between(rises) = self else {
            return None;
        };
        let fits = |rise: &&Rise| rise.counter.is_about(reason) && way.is_none_or(|way| rise.counter.way == way);
        Some(rises.iter().filter(fits).fold(0, |sum, rise| sum.saturating_add(rise.packets)))
    }
}

/// One reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Whether the header, or the remark that there are none, was seen; or a list in JSON.
    pub recognized: bool,
    /// Packets by reason, as the reasons are printed, all ways and places together.
    pub packets: BTreeMap<String, u64>,
    /// Every counter.
    pub counters: BTreeMap<Counter, Amount>,
    /// Lines that could be read as nothing.
    pub unread: usize,
    /// Lines of the agent's logger in between.
    pub remarks: usize,
    /// Whether one of them says that reading replaced the kernel's table: 1.18 does that to a table that was made with
    /// other flags, and the counters then stay empty until the agent restarts.
    pub was_replaced: bool,
}

static ROW: LazyLock<Regex> = LazyLock::new(|| {
    // REASON DIRECTION PACKETS BYTES, in newer releases LINE and FILE behind.
    pattern(r"(?i)^(\S.*?)\s{2,}(ingress|egress|service|unknown)\s+(\d+)\s+(\d+)(?:\s+(\d+)\s+(\S+))?\s*$")
});

#[derive(Deserialize)]
struct JsonRow {
    reason: String,
    #[serde(default)]
    direction: String,
    #[serde(default)]
    packets: u64,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    line: u64,
    #[serde(default)]
    file: String,
}

fn is_metrics_head(line: &str) -> bool {
    line.split_whitespace().eq(["Metric", "Labels", "Value"])
}

/// `cilium_drop_count_total   direction=EGRESS reason=Policy denied   21.000000`; older releases put the labels' values in
/// quotes.
fn metric(line: &str) -> Option<(Counter, u64)> {
    let (name, rest) = line.trim().split_once(char::is_whitespace)?;
    let (labels, value) = rest.trim().rsplit_once(char::is_whitespace)?;
    let (direction, reason) = labels.trim().strip_prefix("direction=")?.split_once(" reason=")?;
    let bare = |text: &str| text.trim().trim_matches('"').to_owned();
    // Whole numbers that come with a fraction of zeroes.
    let packets = value.split('.').next()?.parse().ok()?;
    let way = MetricDirection::read(&bare(direction));
    name.ends_with("drop_count_total").then(|| (Counter { reason: bare(reason), way, place: None }, packets))
}

/// Reads a list, as text of any release or as JSON.
#[must_use]
pub fn parse(text: &str) -> Drops {
    let mut drops = Drops::default();
    let mut remarks = 0;
    let mut lines = rows(text, &mut remarks).skip_while(|line| line.trim().is_empty()).peekable();
    if lines.peek().is_some_and(|line| line.trim_start().starts_with('[')) {
        let json: String = lines.flat_map(|line| [line, "\n"]).collect();
        if let Ok(rows) = serde_json::from_str::<Vec<JsonRow>>(&json) {
            drops.recognized = true;
            for row in rows {
                let place = (!row.file.is_empty()).then(|| format!("{}:{}", row.file, row.line));
                let amount = Amount { packets: row.packets, bytes: row.bytes };
                drops.add(Counter { reason: row.reason, way: MetricDirection::read(&row.direction), place }, amount);
            }
        }
    } else {
        for line in lines {
            drops.row(line);
        }
    }
    drops.remarks = remarks;
    drops.was_replaced = text.lines().any(|line| is_remark(line) && line.contains("Removing map"));
    drops
}

impl Drops {
    fn row(&mut self, line: &str) {
        if line.starts_with("REASON") || line.contains("No entries found") || is_metrics_head(line) {
            self.recognized = true;
        } else if let Some((counter, packets)) = metric(line) {
            self.add(counter, Amount { packets, bytes: 0 });
        } else if let Some(cells) = ROW.captures(line) {
            let number = |at: usize| cells[at].parse().unwrap_or(u64::MAX);
            let place = cells.get(6).map(|file| format!("{}:{}", file.as_str(), &cells[5]));
            let counter = Counter { reason: cells[1].to_owned(), way: MetricDirection::read(&cells[2]), place };
            self.add(counter, Amount { packets: number(3), bytes: number(4) });
        } else {
            self.unread += usize::from(!line.trim().is_empty());
        }
    }

    fn add(&mut self, counter: Counter, amount: Amount) {
        if self.counters.len() >= MOST {
            self.unread += 1;
            return;
        }
        let sum = self.packets.entry(counter.reason.clone()).or_default();
        *sum = sum.saturating_add(amount.packets);
        let sum = self.counters.entry(counter).or_default();
        sum.packets = sum.packets.saturating_add(amount.packets);
        sum.bytes = sum.bytes.saturating_add(amount.bytes);
    }

    /// Packets of all reasons that contain this text, whatever its case.
    #[must_use]
    pub fn of(&self, reason: &str) -> u64 {
        let matching = self.counters.iter().filter(|(counter, _)| counter.is_about(reason));
        matching.fold(0, |sum, (_, amount)| sum.saturating_add(amount.packets))
    }

    /// Packets that were handed on, by their way: `Success`.
    #[must_use]
    pub fn forwarded(&self, way: MetricDirection) -> u64 {
        let matching = self.counters.iter().filter(|(counter, _)| counter.way == way && counter.is_about("success"));
        matching.fold(0, |sum, (_, amount)| sum.saturating_add(amount.packets))
    }

    /// What rose from this reading to a later one, `seconds` after it where that is known. Counters never fall: where one is lower or gone,
    /// the maps are new and the two readings are not of the same counters.
    #[must_use]
    pub fn rises(&self, later: &Self, seconds: Option<f64>) -> Rises {
        if !self.recognized || !later.recognized {
            return Rises::Unknown("a reading is missing");
        }
        if self.was_replaced || later.was_replaced {
            return Rises::Unknown("reading replaced the table of counters");
        }
        let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0);
        let fell = |(counter, before): (&Counter, &Amount)| {
            later.counters.get(counter).is_none_or(|after| after.packets < before.packets)
        };
        if self.counters.iter().any(fell) {
            return Rises::Unknown("the counters began again between the readings");
        }
        let mut rises: Vec<Rise> = later
            .counters
            .iter()
            .filter_map(|(counter, after)| {
                let before = self.counters.get(counter).copied().unwrap_or_default();
                let packets = after.packets.checked_sub(before.packets).filter(|packets| *packets > 0)?;
                // A rate needs no more than the 53 bits that are exact.
                #[expect(clippy::cast_precision_loss, reason = "a rate is shown with three digits")]
                let per_s = seconds.map(|seconds| packets as f64 / seconds);
                Some(Rise { counter: counter.clone(), packets, per_s })
            })
            .collect();
        rises.sort_by(|a, b| b.packets.cmp(&a.packets).then_with(|| a.counter.cmp(&b.counter)));
        Rises::Between(rises)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "REASON                    DIRECTION   PACKETS   BYTES     LINE   FILE\n\
         Policy denied             EGRESS      120       9000      1325   bpf_lxc.c\n\
         Policy denied             INGRESS     3         200       900    bpf_lxc.c\n\
         CT: Map insertion failed  Egress      7         700\n\
         Success                   EGRESS      1000      100000    86     l3.h\n";

    #[test]
    fn reasons_have_blanks_and_may_have_a_file_behind() {
        let drops = parse(TEXT);
        assert!(drops.recognized);
        assert_eq!(drops.of("policy denied"), 123);
        assert_eq!(drops.of("Map insertion failed"), 7);
        assert_eq!(drops.of("Missed tail call"), 0);
        assert_eq!((drops.forwarded(MetricDirection::Egress), drops.forwarded(MetricDirection::Ingress)), (1000, 0));
        let places: Vec<Option<&str>> = drops.counters.keys().map(Counter::file).collect();
        assert_eq!(places, [None, Some("bpf_lxc.c"), Some("bpf_lxc.c"), Some("l3.h")]);
        assert_eq!(drops.counters.keys().filter(|counter| counter.is_drop()).count(), 3);
        assert!(parse("No entries found.\n").recognized);
        assert!(!parse("Error: permission denied\n").recognized);
    }

    #[test]
    fn text_and_json_say_the_same() {
        let json = r#"[
          {"reason": "Policy denied", "direction": "egress", "packets": 120, "bytes": 9000, "line": 1325, "file": "bpf_lxc.c"},
          {"reason": "Policy denied", "direction": "ingress", "packets": 3, "bytes": 200, "line": 900, "file": "bpf_lxc.c"},
          {"reason": "CT: Map insertion failed", "direction": "egress", "packets": 7, "bytes": 700},
          {"reason": "Success", "direction": "egress", "packets": 1000, "bytes": 100000, "line": 86, "file": "l3.h"}
        ]"#;
        assert_eq!(parse(json), parse(TEXT));
        assert!(parse("[]\n").recognized);
        assert!(!parse("[{\"reason\": 3}]").recognized);
    }

    #[test]
    fn a_remark_in_front_is_counted_and_hides_nothing() {
        let remark = "time=2026-11-27T15:16:13Z level=warn msg=\"Removing map to allow for property upgrade\"\n";
        let text = parse(&format!("{remark}{TEXT}"));
        assert_eq!((text.remarks, text.of("policy denied")), (1, 123));
        assert!(text.was_replaced && matches!(text.rises(&text, Some(6.0)), Rises::Unknown(_)));
        let json = parse(&format!("{remark}[{{\"reason\": \"Success\", \"direction\": \"egress\", \"packets\": 4}}]"));
        assert_eq!((json.remarks, json.forwarded(MetricDirection::Egress)), (1, 4));
    }

    #[test]
    fn drops_that_the_agent_counts_are_read_as_the_kernels() {
        let head = "Metric                    Labels                                          Value\n";
        let rows = "cilium_drop_count_total   direction=EGRESS reason=Policy denied           21.000000\n\
                    cilium_drop_count_total   direction=\"INGRESS\" reason=\"Missed tail call\"   3.000000\n";
        let drops = parse(&format!("{head}{rows}"));
        assert!(drops.recognized && drops.unread == 0);
        assert_eq!((drops.of("policy denied"), drops.of("missed tail call")), (21, 3));
        let ways: Vec<MetricDirection> = drops.counters.keys().map(|counter| counter.way).collect();
        assert_eq!(ways, [MetricDirection::Ingress, MetricDirection::Egress]);
        assert!(parse(head).recognized && parse(head).counters.is_empty(), "nothing was dropped");
        let later = parse(&format!("{head}{}", rows.replace("21.0", "25.0")));
        assert_eq!(drops.rises(&later, None).packets_of("policy denied", None), Some(4));
        let other = parse("cilium_forward_count_total   direction=EGRESS   14040.000000\n");
        assert!(!other.recognized && other.counters.is_empty());
    }

    #[test]
    fn what_rises_is_told_with_way_place_and_rate() {
        let later = TEXT.replace("120 ", "150 ")
            + "Invalid packet            INGRESS     12        70        2560   bpf_lxc.c\n";
        let rises = parse(TEXT).rises(&parse(&later), Some(6.0));
        let told: Vec<(String, u64)> = rises
            .drops()
            .unwrap()
            .iter()
            .map(|rise| (format!("{} {}", rise.counter.reason, rise.counter.way), rise.packets))
            .collect();
        assert_eq!(told, [("Policy denied egress".to_owned(), 30), ("Invalid packet ingress".to_owned(), 12)]);
        assert!(rises.drops().is_some_and(|drops| drops[0].per_s.is_some_and(|per_s| (per_s - 5.0).abs() < 1e-9)));
        assert_eq!(rises.packets_of("POLICY", Some(MetricDirection::Egress)), Some(30));
        assert_eq!(rises.packets_of("policy denied", Some(MetricDirection::Ingress)), Some(0));
    }

    #[test]
    fn counters_that_began_again_say_nothing() {
        let (full, empty) = (parse(TEXT), parse("No entries found.\n"));
        assert!(matches!(full.rises(&empty, Some(6.0)), Rises::Unknown(_)));
        assert!(matches!(full.rises(&parse(&TEXT.replace("1000 ", "9 ")), Some(6.0)), Rises::Unknown(_)));
        assert!(matches!(full.rises(&full, None), Rises::Between(_)));
        assert!(matches!(full.rises(&parse("hello\n"), Some(6.0)), Rises::Unknown(_)));
        assert_eq!(full.rises(&full, Some(6.0)), Rises::Between(Vec::new()));
        assert_eq!(empty.rises(&full, Some(6.0)).drops().map(|drops| drops.len()), Some(3));
    }
}
