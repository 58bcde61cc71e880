//! `cilium-dbg metrics list -p drift_checker_config_delta`: how many settings of the cluster's configuration the running
//! agent does not have yet, so that a restart would bring them.
//!
//! Releases before 1.18 or so lack the metric: then no row is printed, which does not mean that nothing is pending.

use serde::Deserialize;

use crate::cilium::lines::rows;

const METRIC: &str = "drift_checker_config_delta";

#[derive(Deserialize)]
struct JsonMetric {
    #[serde(default)]
    name: String,
    value: f64,
}

/// Settings that differ; none where the agent does not say.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let mut remarks = 0;
    let lines: Vec<&str> = rows(text, &mut remarks).filter(|line| !line.trim().is_empty()).collect();
    if lines.first().is_some_and(|line| line.trim_start().starts_with('[')) {
        let metrics: Vec<JsonMetric> = serde_json::from_str(&lines.concat()).ok()?;
        return metrics.into_iter().find(|metric| metric.name.ends_with(METRIC)).and_then(|metric| whole(metric.value));
    }
    let row = lines.iter().find(|line| line.split_whitespace().next().is_some_and(|name| name.ends_with(METRIC)))?;
    whole(row.split_whitespace().skip(1).last()?.parse().ok()?)
}

/// A count that came as a floating-point number.
fn whole(value: f64) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to fit")]
    let count = value as u64;
    (value.is_finite() && (0.0..1e9).contains(&value)).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pending_settings_are_counted() {
        let head = "Metric                              Labels   Value\n";
        assert_eq!(parse(&format!("{head}cilium_drift_checker_config_delta            2.000000\n")), Some(2));
        assert_eq!(parse(&format!("{head}cilium_drift_checker_config_delta            0.000000\n")), Some(0));
        assert_eq!(parse(r#"[{"name": "cilium_drift_checker_config_delta", "labels": null, "value": 3}]"#), Some(3));
    }

    #[test]
    fn an_agent_without_the_metric_says_nothing() {
        for text in ["", "Metric   Labels   Value\n", "Error: dial unix /x: no such file\n", "[]", "[{\"value\": 2}]"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("cilium_drift_checker_config_delta   NaN\n"), None);
        assert_eq!(parse("cilium_drift_checker_config_delta\n"), None);
    }
}
