//! Plans judged by the program itself, a few at once, and held against their truth.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::bundle::{self, Files};
use crate::fault::Place;
use crate::plan::{Plan, Word, kind_of};

/// What was said of one node, and what is right.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) plan: String,
    pub(crate) seed: u64,
    pub(crate) node: String,
    pub(crate) at: usize,
    pub(crate) code: String,
    pub(crate) confidence: String,
    pub(crate) summary: String,
    pub(crate) class: &'static str,
    pub(crate) codes: Vec<&'static str>,
    pub(crate) wrong: Option<Wrong>,
}

/// How a verdict is wrong, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wrong {
    /// Said to be stale, and is not.
    Stale,
    /// Faulty, and said to be healthy though the evidence shows it.
    Healthy,
    /// Nothing is wrong with it, and a fault was found.
    Alarm,
    /// No report at all.
    Nothing,
    /// Another code than is right.
    Code,
}

impl Said {
    /// The kind of what was said.
    pub(crate) fn kind(&self) -> &'static str {
        kind_of(&self.code)
    }

    /// How sure it says to be that the node is stale: 0 where it does not say so.
    pub(crate) fn stale_rank(&self) -> u8 {
        match (self.kind(), self.confidence.as_str()) {
            ("stale", "high") => 3,
            ("stale", "medium") => 2,
            ("stale", _) => 1,
            _ => 0,
        }
    }
}

/// Runs the program on these files; the report, or why there is none.
pub(crate) fn report(files: &Files, args: &[String]) -> Result<Value, String> {
    let folder = tempfile::tempdir().expect("a folder for a bundle");
    bundle::write(files, folder.path());
    let output = Command::new(env!("CARGO_BIN_EXE_staledp"))
        .args(["diagnose", "-o", "json", "--from"])
        .arg(folder.path())
        .args(args)
        .output()
        .expect("the program runs");
    serde_json::from_slice(&output.stdout).map_err(|_| String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// Judges a plan whose files are these.
pub(crate) fn judge_files(plan: &Plan, names: &[String], files: &Files) -> Vec<Said> {
    let report = report(files, &plan.args);
    let entries = report.as_ref().ok().and_then(|r| r["nodes"].as_array()).map_or(&[][..], Vec::as_slice);
    let one = |at: usize| {
        let entry = entries.iter().find(|entry| entry["node"] == names[at].as_str()).unwrap_or(&Value::Null);
        let verdict = &entry["verdict"];
        let text = |key: &str| verdict[key].as_str().unwrap_or_default().to_owned();
        let code = text("code");
        let right = plan.right(at);
        let kind = kind_of(&code);
        let wrong = if code.is_empty() {
            Some(Wrong::Nothing)
        } else if kind == "stale" && !right.may_be_stale() {
            Some(Wrong::Stale)
        } else if kind == "healthy" && right.must_not_be_healthy() {
            Some(Wrong::Healthy)
        } else if right.accepts(&code) {
            None
        } else if right.class() == "healthy" {
            Some(Wrong::Alarm)
        } else {
            Some(Wrong::Code)
        };
        let summary = match &report {
            Ok(_) => text("summary"),
            Err(why) => why.clone(),
        };
        Said {
            plan: plan.name.clone(),
            seed: plan.setup.seed,
            node: names[at].clone(),
            at,
            code,
            confidence: text("confidence"),
            summary,
            class: right.class(),
            codes: right.codes.clone(),
            wrong,
        }
    };
    plan.looked_at().into_iter().map(one).collect()
}

/// Whether a word holds of a node's entry; what is wrong where it does not.
pub(crate) fn word_wrong(entry: &Value, word: &Word) -> Option<String> {
    let whole = entry.to_string();
    let check = |id: &str| {
        let checks = entry["checks"].as_array().map_or(&[][..], Vec::as_slice);
        checks.iter().find(|check| check["id"] == id).unwrap_or(&Value::Null).clone()
    };
    match word {
        Word::Says(text) => (!whole.contains(text)).then(|| format!("nothing says '{text}'")),
        Word::Silent(text) => whole.contains(text).then(|| format!("says '{text}'")),
        Word::NoPass(id) => (check(id)["status"] == "pass").then(|| format!("{id} passes")),
        Word::Version(version) => {
            let got = &entry["cilium"]["version"];
            (got != version).then(|| format!("version {got}, not {version}"))
        }
        Word::Figure(id, field, value) => {
            let got = check(id)["data"][field].to_string();
            (got != *value).then(|| format!("{id}.{field} is {got}, not {value}"))
        }
    }
}

/// All that a report says against a plan: verdicts and words.
pub(crate) fn complaints(plan: &Plan) -> Vec<String> {
    let built = bundle::build(plan);
    let plan = weighed(plan, &built.lost);
    let said = judge_files(&plan, &built.names, &built.files);
    let wrong = said.iter().filter(|s| s.wrong.is_some());
    let mut out: Vec<String> =
        wrong.map(|s| format!("{} ({}): {}, not {}; {}", s.node, s.at, s.code, s.codes.join("|"), s.summary)).collect();
    if plan.words.is_empty() {
        return out;
    }
    let Ok(report) = report(&built.files, &plan.args) else { return out };
    let entries = report["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    for (node, word) in &plan.words {
        let name = built.names[*node].as_str();
        let entry = entries.iter().find(|entry| entry["node"] == name).unwrap_or(&Value::Null);
        out.extend(word_wrong(entry, word).map(|wrong| format!("{name} ({node}): {wrong}")));
    }
    out
}

/// Simulates and judges a plan.
pub(crate) fn judge_plan(plan: &Plan) -> Vec<Said> {
    let built = bundle::build(plan);
    judge_files(&weighed(plan, &built.lost), &built.names, &built.files)
}

/// Live flows that were lost in the last minute below which nobody can tell a fault from chance.
const HANDFUL: usize = 12;

/// The plan with truths that mind how much was lost at all: of a handful of flows nothing need be said.
pub(crate) fn weighed(plan: &Plan, lost: &BTreeMap<usize, (usize, usize)>) -> Plan {
    let mut plan = plan.clone();
    if plan.faults.is_empty() {
        return plan;
    }
    // Of two nodes that hear nothing of each other, what either of them shows is the same wherever the wire is cut.
    let isolated = plan.truths.values().any(|truth| truth.codes.contains(&"node-isolated"));
    if plan.setup.nodes == 2 && isolated {
        let others = plan.truths.values_mut().chain([&mut plan.rest]);
        others.filter(|truth| truth.codes.contains(&"healthy")).for_each(|truth| truth.codes.push("node-isolated"));
    }
    // Of two nodes one alone was looked at, and the other's pods are dead: which of the two it is, this one cannot tell.
    let one_of_two = plan.setup.nodes == 2 && plan.looked_at().len() == 1;
    if one_of_two && plan.faults.iter().any(|fault| fault.node.is_some_and(|node| !plan.looked_at().contains(&node))) {
        let others = plan.truths.values_mut().chain([&mut plan.rest]);
        others.filter(|truth| truth.codes.contains(&"healthy")).for_each(|truth| truth.codes.push("node-isolated"));
    }
    // A sick node's own cluster DNS pod is missed by all others, whose datapath is none the worse for it.
    let cluster = crate::cluster::Cluster::new(plan.setup.clone());
    let dns: Vec<usize> = cluster.with_role(crate::cluster::Role::ClusterDns).into_iter().map(|(at, _)| at).collect();
    for at in 0..plan.setup.nodes {
        let far = plan.faults.iter().any(|fault| fault.node.is_some_and(|node| node != at && dns.contains(&node)));
        if far && plan.right(at).codes.contains(&"healthy") {
            let mut truth = plan.right(at).clone();
            truth.codes.extend(["cluster-dns-down", "egress-broken", "cluster-wide-outage"]);
            truth.unknown = true;
            plan = plan.truth(at, truth);
        }
    }
    for (node, truth) in &mut plan.truths {
        let direct = plan.quirks.iter().any(|quirk| quirk.direct(*node));
        // What the node sends to its pods is mostly kubelet's probes; without them one client of the host's may be all.
        let of_host = plan.faults.iter().all(|fault| matches!(fault.place, Place::HostToPod | Place::PodToHost));
        let unseen = of_host && !plan.setup.probed && lost.get(node).is_none_or(|(pods, _)| *pods < 2);
        if unseen {
            (truth.unknown, truth.shown) = (true, false);
        }
        if !direct && lost.get(node).is_none_or(|(_, flows)| *flows < HANDFUL) {
            (truth.unknown, truth.shown) = (true, false);
        }
    }
    plan
}

/// Does this with each of so many, as many at once as there are processors, and keeps their order.
pub(crate) fn side_by_side<T: Send>(count: usize, what: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        return;
                    }
                    let one = what(at);
                    done.lock().expect("no thread panics while it holds the lock").insert(at, one);
                }
            });
        }
    });
    done.into_inner().expect("the threads are done").into_values().collect()
}

/// Truth by what was said.
pub(crate) fn matrix(said: &[Said]) -> String {
    let kinds = ["stale", "other-fault", "inconclusive", "healthy"];
    let mut out = format!("{:16}", "truth \\ said");
    for kind in kinds {
        write!(out, "{kind:>14}").expect("a String takes all");
    }
    for class in ["stale", "other-fault", "inconclusive", "healthy"] {
        write!(out, "\n{class:16}").expect("a String takes all");
        for kind in kinds {
            let count = said.iter().filter(|s| s.class == class && s.kind() == kind && !s.code.is_empty()).count();
            write!(out, "{count:>14}").expect("a String takes all");
        }
    }
    out
}

/// Everything that is wrong: a line for each way of being wrong and plan, with its seeds.
pub(crate) fn wrongs(said: &[Said]) -> String {
    let mut groups: BTreeMap<(Wrong, &str, String), Vec<&Said>> = BTreeMap::new();
    for one in said {
        if let Some(wrong) = one.wrong {
            groups
                .entry((wrong, &one.plan, format!("{}, not {}", one.code, one.codes.join("|"))))
                .or_default()
                .push(one);
        }
    }
    let mut out = String::new();
    for ((wrong, plan, codes), all) in groups {
        let seeds: Vec<String> = all.iter().take(12).map(|s| format!("{}/{}", s.seed, s.at)).collect();
        writeln!(out, "  {wrong:?} {plan}: {codes} ({}×; seed/node {})", all.len(), seeds.join(" "))
            .expect("a String takes all");
    }
    out
}

/// How many are wrong in this way.
pub(crate) fn count(said: &[Said], wrong: Wrong) -> usize {
    said.iter().filter(|s| s.wrong == Some(wrong)).count()
}
