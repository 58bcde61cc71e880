//! What happened on a node and when, before its evidence was taken: the agent's start, the last answers of its pods, failed
//! probes and restarts. Years and seconds fit on one line, because its scale is logarithmic.

use maud::{Markup, html};

use crate::base::time::{Timestamp, age, moment, seconds_between};
use crate::report::text::{count, safe};
use crate::report::{NodeReport, SourceInfo};
use crate::symptoms::SymptomKind;

/// So many pods' last answers have a row, and so many symptoms.
const MOST: usize = 6;

const WIDTH: f64 = 480.0;
const MARGIN: f64 = 8.0;
/// The steps of the scale, in seconds, and what they are called.
const STEPS: [(i64, &str); 7] = [
    (10, "10 s"),
    (60, "1 min"),
    (600, "10 min"),
    (3_600, "1 h"),
    (21_600, "6 h"),
    (86_400, "1 day"),
    (2_592_000, "30 days"),
];

/// Something that happened, once or from a moment to another.
struct Happening {
    class: &'static str,
    says: String,
    /// When, for people.
    when: String,
    from: Timestamp,
    to: Timestamp,
}

/// The timeline of a node; nothing where too little of it is known.
pub(super) fn timeline(node: &NodeReport, source: &SourceInfo) -> Markup {
    let rows = happenings(node);
    let Some(end) = end(source, &rows).filter(|_| rows.len() > 1) else { return html! {} };
    let oldest = rows.iter().map(|row| seconds_between(row.from, end)).max().unwrap_or(0).max(600);
    let x = |moment: Timestamp| place(seconds_between(moment, end), oldest);
    let steps: Vec<_> = STEPS.iter().filter(|(seconds, _)| *seconds <= oldest).collect();
    html! {
        h3 { "Before the evidence was taken" }
        svg.scale viewBox="0 0 480 16" aria-hidden="true" {
            @for (seconds, word) in &steps { text x=(round(place(*seconds, oldest).max(28.0))) y="13" { (word) } }
        }
        ol.timeline { @for row in &rows { li {
            (row.says) ": " time { (row.when) }
            svg viewBox="0 0 480 16" aria-hidden="true" {
                @for (seconds, _) in &steps {
                    @let at = round(place(*seconds, oldest));
                    line x1=(at) y1="0" x2=(at) y2="16" {}
                }
                line x1=(MARGIN) y1="8" x2=(WIDTH - MARGIN) y2="8" {}
                @if row.from == row.to { circle class=(row.class) cx=(round(x(row.from))) cy="8" r="6" {} }
                @else {
                    rect class=(row.class) x=(round(x(row.from))) y="3" width=(round((x(row.to) - x(row.from)).max(8.0))) height="10" rx="5" {}
                }
            }
        } } }
        p.note {
            "From left to right: how long before, on a logarithmic scale. The evidence is of "
            (end.strftime("%Y-%m-%d %H:%M:%S UTC")) "."
        }
    }
}

/// When the evidence was taken: the latest moment that is known of it.
fn end(source: &SourceInfo, rows: &[Happening]) -> Option<Timestamp> {
    let captured = source.captured_at.as_deref().and_then(moment);
    rows.iter().map(|row| row.to).chain(captured).max()
}

/// The column of something that happened so many seconds ago.
fn place(seconds: i64, oldest: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "seconds of years are exact")]
    let scale = |seconds: i64| (1.0 + seconds.max(0) as f64 / 10.0).ln();
    let room = WIDTH - 2.0 * MARGIN - 12.0;
    WIDTH - MARGIN - 6.0 - scale(seconds) / scale(oldest) * room
}

fn round(x: f64) -> String {
    format!("{x:.1}")
}

/// What is known, the agent first, then the pods, then symptoms.
fn happenings(node: &NodeReport) -> Vec<Happening> {
    let mut all = Vec::new();
    let mut push = |class, says: String, at: Option<&String>| {
        if let Some(at) = at.and_then(|at| moment(at)) {
            all.push(Happening { class, says, when: clock(at), from: at, to: at });
        }
    };
    push("agent", "the Cilium agent started".to_owned(), node.cilium.started_at.as_ref());
    if let Some(cause) = &node.verdict.cause {
        push("failure", format!("broken since: {}", safe(&cause.name)), cause.since.as_ref());
    }
    for pod in node.last_answers.iter().filter(|pod| pod.last_answer.is_some()).take(MOST) {
        let name = pod.pod.as_deref().unwrap_or(&pod.address);
        push("answer", format!("last answer to {}", safe(name)), pod.last_answer.as_ref());
    }
    let symptoms = node.symptoms.iter().filter(|symptom| symptom.count > 0).filter_map(|symptom| {
        let (one, many) = match symptom.kind {
            SymptomKind::ProbeFailures => ("failed probe", "failed probes"),
            SymptomKind::Restarts => ("restart", "restarts"),
            SymptomKind::DnsErrors => ("DNS error in the log", "DNS errors in the log"),
            SymptomKind::Buffers | SymptomKind::Dependents | SymptomKind::NodeLocalDns => return None,
        };
        let to = symptom.last.as_deref().or(symptom.first.as_deref()).and_then(moment)?;
        let from = symptom.first.as_deref().and_then(moment).filter(|from| *from <= to).unwrap_or(to);
        let of = symptom.pod.as_deref().map_or(String::new(), |pod| format!(" of {}", safe(pod)));
        let lasted = if from == to { String::new() } else { format!(" within {}", age(seconds_between(from, to))) };
        let what = count(usize::try_from(symptom.count).unwrap_or(usize::MAX), one, many);
        let last = if symptom.count == 1 { "" } else { ", the last" };
        let says = format!("{what}{of}{lasted}{last}");
        let class = if symptom.kind == SymptomKind::Restarts { "restart" } else { "failure" };
        Some(Happening { class, says, when: clock(to), from, to })
    });
    let symptoms: Vec<Happening> = symptoms.take(MOST).collect();
    all.extend(symptoms);
    all
}

fn clock(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_runs_from_the_oldest_at_the_left_to_now_at_the_right() {
        let at = |seconds| place(seconds, 86_400);
        assert!(at(86_400) < at(3_600) && at(3_600) < at(60) && at(60) < at(0));
        assert!(at(86_400) > 0.0 && at(0) < WIDTH && (at(-5) - at(0)).abs() < 0.01);
    }
}
