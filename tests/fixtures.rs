//! Every folder of `fixtures/` is a test: the real binary on its bundle, compared with what a person approved.
//!
//! `STALEDP_BLESS=1 cargo test --test fixtures` writes what comes out instead of comparing it.
//! `cargo test --test fixtures -- --ignored write_fixtures` writes the bundles again from the scenario data.

#[path = "support/scenario/mod.rs"]
#[allow(dead_code, reason = "shared with other test crates, and none of them uses all of it")]
mod scenario;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use scenario::incidents::{self, Fixture};
use scenario::{bundle, run};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The folders with a bundle, in order.
fn cases() -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = fs::read_dir(root())
        .expect("fixtures/ can be read")
        .map(|entry| entry.expect("fixtures/ can be listed").path())
        .filter(|path| path.join("bundle").is_dir())
        .collect();
    out.sort();
    out
}

/// A report without what is different in every run: when, by which version, from where.
fn normal_json(text: &str) -> String {
    let mut report: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("not JSON: {e}\n{text}"));
    report["generated_at"] = Value::from("(when)");
    report["tool"]["version"] = Value::from("(version)");
    report["source"]["path"] = Value::from("(path)");
    report["source"]["age_s"] = Value::from("(age)");
    let mut out = serde_json::to_string_pretty(&report).expect("a Value is JSON");
    out.push('\n');
    out
}

/// A table without the same.
fn normal_text(text: &str) -> String {
    let (head, rest) = text.split_once("\n\n").unwrap_or((text, ""));
    let moment = |word: &str| word.len() == 20 && word.starts_with("20") && word.ends_with('Z');
    let head = head.split_inclusive(['\n', ' ']).map(|word| {
        let bare = word.trim_end();
        if moment(bare) { word.replace(bare, "(when)") } else { word.to_owned() }
    });
    let head = without_age(&head.collect::<String>(), " UTC, ", " ago");
    let rest = without_age(rest, "This evidence is ", " old: ");
    format!("{head}\n\n{rest}").replace(concat!("staledp ", env!("CARGO_PKG_VERSION")), "staledp (version)")
}

/// The text with `(age)` for what stands between these two, which grows with every day.
fn without_age(text: &str, before: &str, after: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((start, tail)) = rest.split_once(before) {
        out += start;
        out += before;
        rest = tail;
        if let Some((age, tail)) = tail.split_once(after).filter(|(age, _)| age.split(' ').count() == 2) {
            assert!(age.starts_with(|c: char| c.is_ascii_digit()), "{age}");
            out += "(age)";
            out += after;
            rest = tail;
        }
    }
    out + rest
}

/// Compares, or blesses; says what differs.
fn settle(file: &Path, got: &str) -> Result<(), String> {
    if std::env::var_os("STALEDP_BLESS").is_some_and(|v| v == "1") {
        return fs::write(file, got).map_err(|e| format!("cannot write {}: {e}", file.display()));
    }
    let name = file.strip_prefix(root()).unwrap_or(file).display();
    let Ok(right) = fs::read_to_string(file) else {
        return Err(format!("{name} is not there; look at what comes out, then run with STALEDP_BLESS=1"));
    };
    if right == got {
        return Ok(());
    }
    let at = right.lines().zip(got.lines()).position(|(a, b)| a != b);
    let at = at.unwrap_or_else(|| right.lines().count().min(got.lines().count()));
    let line = |text: &str| text.lines().nth(at).unwrap_or("(end)").to_owned();
    Err(format!("{name}, line {}:\n    approved: {}\n    came out: {}", at + 1, line(&right), line(got)))
}

#[test]
fn every_fixture_comes_out_as_approved() {
    let cases = cases();
    assert!(cases.len() >= 3, "the incidents' folders are there");
    let mut failures = Vec::new();
    for case in cases {
        // From inside the folder: a path of this machine would fold the lines elsewhere.
        let json = run::program(&case, &["diagnose", "--from", "bundle", "-o", "json"]);
        // A pipe gets no colours without being told.
        let table = run::program(&case, &["diagnose", "--from", "bundle"]);
        let name = case.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if json.status.code() != table.status.code() {
            failures.push(format!("{name}: exit {:?} for json, {:?} for table", json.status, table.status));
        }
        if json.stdout.is_empty() {
            let stderr = String::from_utf8_lossy(&json.stderr);
            failures.push(format!("{name}: no report came, {}: {stderr}", json.status));
            continue;
        }
        let text = String::from_utf8_lossy(&json.stdout);
        failures.extend(settle(&case.join("expected.json"), &normal_json(&text)).err());
        let text = String::from_utf8_lossy(&table.stdout);
        failures.extend(settle(&case.join("expected.txt"), &normal_text(&text)).err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A page as the README shows it: without its longest lists, of pods, symptoms and upstream issues.
fn shortened(page: &str) -> String {
    let ends = (page.find("\nAffected ("), page.find("\nWhat to do"));
    let (Some(from), Some(to)) = ends else { panic!("no lists to leave out:\n{page}") };
    format!("{}\n[…]\n{}", &page[..from], &page[to..])
}

/// The one that the README shows is shown as a terminal shows it, 80 columns wide.
#[test]
fn every_fixture_that_the_readme_shows_comes_out_so() {
    let shown = "diagnose --from fixtures/2026-06-06-prusik/bundle";
    let program = format!("stty cols 80; {} {shown} --color never --no-progress", env!("CARGO_BIN_EXE_staledp"));
    let mut run = Command::new("script");
    run.args(["-qefc", &program, "/dev/null"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let run = run.stdin(Stdio::null()).output();
    let Ok(output) = run else {
        eprintln!("skipped: there is no script(1) to make a terminal with");
        return;
    };
    let got = shortened(&String::from_utf8_lossy(&output.stdout).replace('\r', ""));
    assert!(got.lines().any(|line| line.starts_with("prusik  ✗ STALE")), "{got}");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&file).expect("the readme");
    assert!(readme.contains(shown), "the readme says how to see it");
    let (before, rest) = readme.split_once("```text\n").expect("a sample");
    let (sample, after) = rest.split_once("```").expect("the sample's end");
    // Where the head is wrapped depends on how long the age is in words.
    let unwrapped = |text: &str| {
        let (head, rest) = text.split_once("\n\n").unwrap_or((text, ""));
        normal_text(&format!("{}\n\n{rest}", head.split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    if unwrapped(sample) != unwrapped(&got) {
        settle(&file, &format!("{before}```text\n{got}```{after}")).unwrap_or_else(|why| panic!("{why}"));
    }
}

/// The approved tables of all fixtures: which it is, and its lines.
fn approved() -> Vec<(String, Vec<String>)> {
    let lines = |case: &PathBuf| {
        let text = fs::read_to_string(case.join("expected.txt")).expect("a golden");
        (case.file_name().unwrap_or_default().to_string_lossy().into_owned(), text.lines().map(str::to_owned).collect())
    };
    cases().iter().map(lines).collect()
}

/// The numbers of which a line says that they are all live flows: "71 live flows", or "12 of 67 live flows" without "that
/// can be judged" behind.
fn live_flows(line: &str) -> std::collections::BTreeSet<u64> {
    let mut all = std::collections::BTreeSet::new();
    for (at, what) in line.match_indices(" live flows").chain(line.match_indices(" live connections")) {
        let before = line.get(..at).unwrap_or_default();
        let behind = line.get(at + what.len()..).unwrap_or_default();
        // As far as this figure is meant.
        let clause = behind.split([',', ';', ':', '\u{b7}']).next().unwrap_or_default();
        let number = before.rsplit(' ').next().and_then(|word| word.replace(',', "").parse().ok());
        if !clause.contains("that can be judged") {
            all.extend::<Option<u64>>(number);
        }
    }
    all
}

#[test]
fn no_line_of_a_report_counts_live_flows_in_two_ways() {
    assert_eq!(live_flows("12 of 67 live flows to x get no answer \u{b7} 71 live flows: 55 answered").len(), 2);
    assert_eq!(
        live_flows("12 of 67 live flows to x that can be judged get no answer \u{b7} 71 live flows: 5").len(),
        1
    );
    for (case, lines) in approved() {
        for line in lines {
            assert!(live_flows(&line).len() <= 1, "{case}: two numbers of live flows, and not what each is: {line}");
        }
    }
}

#[test]
fn reports_send_nobody_in_the_wrong_direction() {
    for (case, lines) in approved() {
        let place = |what: &str| lines.iter().position(|line| line.contains(what));
        // What comes after the restart stands after it.
        for (verify, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("After the restart, verify")) {
            let node =
                lines.iter().skip(verify).find_map(|line| line.strip_prefix("staledp diagnose ")).expect("a command");
            let node = node.rsplit(' ').next().unwrap_or_default();
            let fix = lines.iter().position(|line| line.starts_with("staledp fix ") && line.ends_with(node));
            assert!(fix.is_some_and(|fix| fix < verify), "{case}: {line}");
        }
        assert!(!lines.iter().any(|line| line.contains("Afterwards, verify")), "{case}");
        // What is pointed to is there, and where it is said to be.
        for (at, line) in lines.iter().enumerate() {
            let points = |word: &str| line.split(|c: char| !c.is_alphabetic()).any(|other| other == word);
            let issues = place("Known upstream issues");
            assert!(!points("above"), "{case}: {line}");
            assert!(!points("below") || issues.is_some_and(|issues| issues > at), "{case}: {line}");
            for section in ["Missing rights", "What would settle it"] {
                let pointer = format!("see {section}");
                assert!(!line.contains(&pointer) || place(section).is_some(), "{case}: there is no {section}: {line}");
            }
        }
    }
}

#[test]
fn every_fixture_that_tells_symptoms_tells_them_as_approved() {
    let cases: Vec<PathBuf> = cases().into_iter().filter(|case| case.join("bundle/symptoms").is_dir()).collect();
    assert!(cases.len() >= 2, "the two incidents tell symptoms");
    let mut failures = Vec::new();
    for case in cases {
        for (format, file) in [("json", "expected-symptoms.json"), ("table", "expected-symptoms.txt")] {
            let told = run::program(&case, &["symptoms", "--from", "bundle", "-o", format, "--color", "never"]);
            let text = String::from_utf8_lossy(&told.stdout);
            let normal = if format == "json" { normal_json(&text) } else { normal_text(&text) };
            assert_eq!(told.status.code(), Some(0), "{}", String::from_utf8_lossy(&told.stderr));
            failures.extend(settle(&case.join(file), &normal).err());
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A node's symptoms in a report of either command: kind, pod, says, explained.
fn told(case: &str, command: &str, node: &str) -> Vec<(String, String, String, Option<bool>)> {
    let output = run::program(&root().join(case), &[command, "--from", "bundle", "-o", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let nodes = report["nodes"].as_array().expect("nodes");
    let node = nodes.iter().find(|n| n["node"] == node).expect("the node");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let symptoms = node["symptoms"].as_array().expect("symptoms");
    symptoms.iter().map(|s| (text(&s["kind"]), text(&s["pod"]), text(&s["says"]), s["explained"].as_bool())).collect()
}

#[test]
fn the_incidents_tell_the_symptoms_of_the_runbook() {
    let prusik = [
        ("probe-failures", "vault-0", "90 failed readiness probes in 23 h", Some(true)),
        ("dns-errors", "hermes-0", "api.telegram.example was not resolved: no answer from 169.254.25.10", Some(true)),
        ("restarts", "jellyfin-0", "the kubelet killed it for a failed probe", Some(true)),
        ("restarts", "bazarr-0", "OOMKilled", Some(false)),
        ("node-local-dns", "node-local-dns-fqrf7", "82 restarts", None),
    ];
    let odroid = [
        ("buffers", "vector-agent-p7vxd", "buffer of loki_journal: 97 % full, and nothing sent in 15 min", Some(true)),
        ("buffers", "vector-agent-p7vxd", "buffer of loki_pods: 0 % full, sends 1841 B/s: fine", None),
    ];
    let cases = [
        ("2026-06-06-prusik", "prusik", prusik.as_slice()),
        ("2026-06-03-k8s-odroid-hc4-3", "k8s-odroid-hc4-3", odroid.as_slice()),
    ];
    for (case, node, wanted) in cases {
        for command in ["symptoms", "diagnose"] {
            let there = told(case, command, node);
            let text = run::program(&root().join(case), &[command, "--from", "bundle", "--color", "never"]);
            let text = String::from_utf8_lossy(&text.stdout);
            for (kind, pod, says, explained) in wanted {
                let explained = explained.filter(|_| command == "diagnose");
                let found = there.iter().any(|t| t.0 == *kind && t.1 == *pod && t.2.contains(says) && t.3 == explained);
                assert!(found, "{command}: {kind} of {pod}: {says} ({explained:?}) is not in {there:#?}");
                let word = match explained {
                    Some(true) => " · explained by the verdict: ",
                    Some(false) => " · not explained by the verdict: ",
                    None => "",
                };
                let begin = format!("  {kind}: ");
                let is_it =
                    |line: &&str| line.starts_with(&begin) && [pod, says, &word].iter().all(|w| line.contains(**w));
                assert!(text.lines().any(|line| is_it(&line)), "{command}: {kind} of {pod}: {says} is not in {text}");
            }
        }
    }
    let report = run::program(&root().join("2026-06-06-prusik"), &["symptoms", "--from", "bundle", "-o", "json"]);
    let report: Value = serde_json::from_slice(&report.stdout).expect("a report");
    assert_eq!(report["next"], "staledp diagnose --from bundle --node prusik");
    for (node, count) in [("vienna", "76 restarts"), ("brno", "79 restarts")] {
        assert!(told("2026-06-06-prusik", "symptoms", node).iter().any(|t| t.2.contains(count)));
    }
}

#[test]
fn approved_reports_say_what_the_documents_ask_for() {
    // A bless run approves whatever comes out; this does not.
    let mut failures = Vec::new();
    for fixture in incidents::fixtures() {
        let scenario = &fixture.scenario;
        let bundle = root().join(&scenario.name).join("bundle");
        let judged = run::judge_dir(&bundle, &scenario.args);
        failures.extend(run::complaints(scenario, &judged).into_iter().map(|c| format!("{}: {c}", scenario.name)));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn fixtures_are_what_the_scenarios_say() {
    for fixture in incidents::fixtures() {
        let dir = root().join(&fixture.scenario.name).join("bundle");
        for (path, bytes) in bundle::compress_large(bundle::files(&fixture.scenario)) {
            let there = fs::read(dir.join(&path)).unwrap_or_default();
            assert!(
                there == bytes,
                "{}/{path} differs from its scenario: write the fixtures again",
                fixture.scenario.name
            );
        }
    }
}

#[test]
#[ignore = "writes into the repository: run it by name when scenarios have changed"]
fn write_fixtures() {
    for fixture in incidents::fixtures() {
        let dir = root().join(&fixture.scenario.name);
        let bundle_dir = dir.join("bundle");
        if bundle_dir.exists() {
            fs::remove_dir_all(&bundle_dir).expect("an old bundle can be removed");
        }
        bundle::write(&bundle::compress_large(bundle::files(&fixture.scenario)), &bundle_dir)
            .expect("a bundle can be written");
        fs::write(dir.join("README.md"), readme(&fixture)).expect("a README can be written");
    }
}

/// The README of a fixture.
fn readme(fixture: &Fixture) -> String {
    let scenario = &fixture.scenario;
    let verdicts: Vec<String> =
        scenario.nodes.iter().map(|n| format!("- `{}`: `{}`", n.name, n.expect.codes.join("` or `"))).collect();
    format!(
        "# {}\n\n{}\n\n## What happened\n\n{}\n\n## What the bundle shows\n\n{}\n\n## What must come out\n\n{}\n\n{}\n\nExit \
         code: {}.\n\nWritten for the project in the true format: names are realistic, the data is invented. Made by \
         `tests/support/scenario`, so change it there.\n",
        scenario.name,
        scenario.about,
        fixture.happened,
        fixture.shows,
        fixture.must,
        verdicts.join("\n"),
        scenario.exit.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
    )
}
