//! The metrics, as OpenMetrics text. The number of series grows with the nodes and with nothing else: each node has one
//! verdict and one time, and goes with its node.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::base::tool::Tool;
use crate::knowledge::code::{Code, Kind};

/// The bounds of the looks' durations, in seconds: healthy looks take some 4, looks at trouble up to a minute.
const SECONDS: [f64; 9] = [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0];

const KINDS: [Kind; 4] = [Kind::Stale, Kind::OtherFault, Kind::Inconclusive, Kind::Healthy];

type Labels<const N: usize> = [(&'static str, String); N];

/// All metrics, and the text of them.
pub(super) struct Metrics {
    registry: Registry,
    verdict: Family<Labels<3>, Gauge>,
    nodes: Family<Labels<1>, Gauge>,
    last_look: Family<Labels<1>, Gauge>,
    last_round: Gauge,
    duration: Histogram,
    requests: Family<Labels<1>, Counter<u64, AtomicU64>>,
    leader: Gauge,
    failed_fixes: Family<Labels<1>, Gauge>,
}

impl Metrics {
    /// Nothing was looked at yet.
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("staledp");
        let verdict = Family::<Labels<3>, Gauge>::default();
        let nodes = Family::<Labels<1>, Gauge>::default();
        let last_look = Family::<Labels<1>, Gauge>::default();
        let (last_round, leader) = (Gauge::default(), Gauge::default());
        let duration = Histogram::new(SECONDS);
        let requests = Family::<Labels<1>, Counter<u64, AtomicU64>>::default();
        let failed_fixes = Family::<Labels<1>, Gauge>::default();
        let build = Family::<Labels<1>, Gauge>::default();
        build.get_or_create(&[("version", Tool::THIS.version.into_owned())]).set(1);
        registry.register("node_verdict", "The last verdict on each node; always 1", verdict.clone());
        registry.register("nodes", "Nodes by the kind of their last verdict", nodes.clone());
        registry.register("last_look_timestamp_seconds", "When each node was last judged", last_look.clone());
        registry.register(
            "last_complete_round_timestamp_seconds",
            "When every node had been looked at since the round began; before the first round, when the watch began",
            last_round.clone(),
        );
        registry.register("look_duration_seconds", "How long a look at one node took", duration.clone());
        registry.register("api_requests", "Requests sent to the API server", requests.clone());
        registry.register("leader", "Whether this process holds the Lease", leader.clone());
        registry.register(
            "failed_fixes",
            "Restarts by `staledp fix` that were not verified, within the last hour, by their Events",
            failed_fixes.clone(),
        );
        registry.register("build_info", "The version of staledp; always 1", build);
        let metrics =
            Self { registry, verdict, nodes, last_look, last_round, duration, requests, leader, failed_fixes };
        metrics.lead(false);
        metrics
    }

    /// The last verdict on a node, and the one before.
    pub(super) fn judged(&self, node: &str, code: Code, before: Option<Code>) {
        self.drop_verdict(node, before);
        self.verdict.get_or_create(&verdict(node, code)).set(1);
        self.count(code, 1);
    }

    /// A node was judged at this time, in seconds since the epoch.
    pub(super) fn looked(&self, node: &str, at: i64) {
        self.last_look.get_or_create(&[("node", node.to_owned())]).set(at);
    }

    /// A look took so long.
    pub(super) fn took(&self, seconds: f64) {
        self.duration.observe(seconds);
    }

    /// A node is gone; its last verdict was this.
    pub(super) fn forget(&self, node: &str, last: Option<Code>) {
        self.drop_verdict(node, last);
        self.last_look.remove(&[("node", node.to_owned())]);
    }

    /// Every node had been looked at, at this time.
    pub(super) fn round(&self, at: i64) {
        self.last_round.set(at);
    }

    /// Whether this process holds the Lease. With a change it knows of no node yet, or no longer.
    pub(super) fn lead(&self, leads: bool) {
        self.leader.set(i64::from(leads));
        self.verdict.clear();
        self.last_look.clear();
        self.failed_fixes.clear();
        for kind in KINDS {
            self.nodes.get_or_create(&[("kind", kind.name().to_owned())]).set(0);
        }
    }

    /// How many restarts of `fix` were not verified within the last hour, by node; no node else has any.
    pub(super) fn failed_fixes(&self, counts: &BTreeMap<String, i64>) {
        self.failed_fixes.clear();
        for (node, count) in counts {
            self.failed_fixes.get_or_create(&[("node", node.clone())]).set(*count);
        }
    }

    /// So many requests of each verb were sent so far.
    pub(super) fn requests(&self, counts: &[(&'static str, u64)]) {
        for (verb, count) in counts {
            let counter = self.requests.get_or_create_owned(&[("verb", (*verb).to_owned())]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
    }

    /// The text that a scraper gets.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn drop_verdict(&self, node: &str, code: Option<Code>) {
        if let Some(code) = code {
            self.verdict.remove(&verdict(node, code));
            self.count(code, -1);
        }
    }

    fn count(&self, code: Code, by: i64) {
        self.nodes.get_or_create(&[("kind", code.kind().name().to_owned())]).inc_by(by);
    }
}

fn verdict(node: &str, code: Code) -> Labels<3> {
    [("node", node.to_owned()), ("kind", code.kind().name().to_owned()), ("code", code.name().to_owned())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_counted_by_kind_and_go_with_their_node() {
        let metrics = Metrics::new();
        metrics.judged("prusik", Code::Healthy, None);
        metrics.judged("prusik", Code::StaleDatapath, Some(Code::Healthy));
        metrics.looked("prusik", 1_796_000_000);
        let text = metrics.text();
        let stale = "staledp_node_verdict{node=\"prusik\",kind=\"stale\",code=\"stale-datapath\"} 1\n";
        for line in [
            stale,
            "staledp_nodes{kind=\"stale\"} 1\n",
            "staledp_nodes{kind=\"healthy\"} 0\n",
            "staledp_last_look_timestamp_seconds{node=\"prusik\"} 1796000000\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert_eq!(text.matches("staledp_node_verdict{").count(), 1, "{text}");
        metrics.forget("prusik", Some(Code::StaleDatapath));
        assert!(!metrics.text().contains("prusik"));
        assert!(metrics.text().ends_with("# EOF\n"));
    }

    #[test]
    fn process_without_the_lease_tells_of_no_node() {
        let metrics = Metrics::new();
        metrics.lead(true);
        metrics.judged("prusik", Code::Healthy, None);
        metrics.lead(false);
        let text = metrics.text();
        assert!(text.contains("staledp_leader 0\n") && !text.contains("prusik"), "{text}");
        assert!(text.contains("staledp_nodes{kind=\"healthy\"} 0\n"), "{text}");
    }

    #[test]
    fn failed_fixes_of_the_last_hour_are_told_and_no_others() {
        let metrics = Metrics::new();
        metrics.failed_fixes(&BTreeMap::from([("prusik".to_owned(), 2)]));
        assert!(metrics.text().contains("staledp_failed_fixes{node=\"prusik\"} 2\n"));
        metrics.failed_fixes(&BTreeMap::new());
        assert!(!metrics.text().contains("prusik"));
    }

    #[test]
    fn requests_never_count_backwards() {
        let metrics = Metrics::new();
        metrics.requests(&[("exec", 7)]);
        metrics.requests(&[("exec", 5)]);
        assert!(metrics.text().contains("staledp_api_requests_total{verb=\"exec\"} 7\n"), "{}", metrics.text());
    }
}
