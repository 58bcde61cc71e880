//! The habits of kubectl, offline: arguments as people type them, and output for programs.

#[path = "support/offline.rs"]
mod offline;

use std::fs;
use std::process::{Command, Output, Stdio};

use offline::{bundle, run, staledp};
use serde_json::Value;

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "a run is asked for its end where it is made")]
fn exits(output: Output, code: i32) -> (String, String) {
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "--- stdout\n{stdout}\n--- stderr\n{stderr}");
    (stdout, stderr)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn json(stdout: &str) -> Value {
    serde_json::from_str(stdout).unwrap_or_else(|error| panic!("{error}:\n{stdout}"))
}

#[test]
fn version_names_how_recent_its_knowledge_is_and_programs_get_the_commit() {
    let (shown, _) = exits(run(&["version"]), 0);
    assert!(shown.contains("\nupstream issues known as of 2026-"), "{shown}");
    let version = json(&exits(run(&["version", "-o", "json"]), 0).0);
    for field in ["name", "version", "commit", "date", "upstream_known_as_of"] {
        assert!(version.get(field).is_some(), "{field}: {version}");
    }
    let known = version["upstream_known_as_of"].as_str().expect("a month");
    assert!(shown.contains(known), "{shown}");
}

#[test]
fn completion_is_an_alias() {
    assert_eq!(exits(run(&["completion", "bash"]), 0), exits(run(&["completions", "bash"]), 0));
}

#[test]
fn node_is_chosen_by_position_by_option_and_as_kubectl_writes_names() {
    let from = bundle("2026-06-06-prusik");
    let nodes = |args: &[&str]| {
        let (stdout, _) = exits(run(&[&["diagnose", "--from", &from, "-o", "json"], args].concat()), 0);
        let report = json(&stdout);
        let nodes = report["nodes"].as_array().expect("nodes").iter();
        nodes.map(|node| node["node"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(nodes(&["brno"]), ["brno"]);
    assert_eq!(nodes(&["brno", "--node", "vienna"]), ["brno", "vienna"]);
    assert_eq!(nodes(&["node/brno", "nodes/vienna"]), ["brno", "vienna"]);
    exits(run(&["diagnose", "--from", &from, "brno", "--all-nodes"]), 2);
}

#[test]
fn name_output_lists_the_nodes_that_are_not_healthy() {
    let from = bundle("2026-06-06-prusik");
    assert_eq!(exits(run(&["diagnose", "--from", &from, "-o", "name"]), 1).0, "node/prusik\n");
    assert_eq!(exits(run(&["diagnose", "--from", &from, "brno", "-o", "name"]), 0).0, "");
    let folder = tempfile::tempdir().expect("a folder");
    let report = folder.path().join("report.json");
    fs::write(&report, run(&["diagnose", "--from", &from, "-o", "json"]).stdout).expect("a file");
    assert_eq!(exits(run(&["merge", &report.display().to_string(), "-o", "name"]), 1).0, "node/prusik\n");
}

#[test]
fn explain_and_rbac_are_json_for_programs() {
    let all = json(&exits(run(&["explain", "-o", "json"]), 0).0);
    let codes = all["codes"].as_array().expect("codes");
    assert!(codes.len() > 20 && codes.iter().all(|code| code["meaning"].is_string()), "{all}");
    assert_eq!(all["checks"].as_array().map(Vec::len), Some(5));
    let one = json(&exits(run(&["explain", "datapath-drops", "-o", "json"]), 0).0);
    assert_eq!((&one["codes"][0]["code"], &one["codes"][0]["kind"]), (&"datapath-drops".into(), &"other-fault".into()));
    assert!(one["codes"][0]["look_alike"]["settle"].is_string() && one["issues"] == Value::Array(vec![]), "{one}");

    let roles = json(&exits(run(&["rbac", "fix", "-o", "json"]), 0).0);
    let kinds: Vec<&Value> = roles["items"].as_array().expect("items").iter().map(|item| &item["kind"]).collect();
    assert_eq!((&roles["kind"], kinds), (&"List".into(), vec![&"ClusterRole".into(), &"Role".into()]));
    let yaml: Vec<Value> = exits(run(&["rbac", "fix"]), 0)
        .0
        .split("\n---\n")
        .map(|text| serde_saphyr::from_str(text).expect("YAML"))
        .collect();
    assert_eq!(roles["items"], Value::Array(yaml));
}

#[test]
fn format_that_a_command_lacks_is_a_usage_error_that_names_those_it_has() {
    for (args, has) in [
        (&["explain", "-o", "jsonl"][..], "use -o table, wide, json, yaml"),
        (&["rbac", "fix", "-o", "name"], "use -o table, wide, json, yaml"),
        (&["version", "-o", "name"], "use -o table, wide, json, jsonl, yaml"),
        (&["diff", "a", "b", "-o", "jsonl"], "use -o table, wide, json, yaml"),
        (&["fix", "a", "-o", "name"], "use -o table, wide, json, jsonl, yaml"),
    ] {
        let (stdout, stderr) = exits(run(args), 2);
        assert!(stderr.contains(has) && stdout.is_empty(), "{args:?}: {stderr}");
    }
}

#[test]
fn manual_page_of_a_command_is_printed_and_a_misspelt_one_gets_a_suggestion() {
    let (page, _) = exits(run(&["man", "diagnose"]), 0);
    assert!(page.contains(".TH staledp-diagnose 1") && page.contains(".SH \"EXIT STATUS\""), "{page}");
    let (_, stderr) = exits(run(&["man", "diagnos"]), 2);
    assert!(stderr.contains("hint: did you mean diagnose?"), "{stderr}");
    let (names, _) = exits(run(&["man", "--list"]), 0);
    for name in names.lines() {
        exits(run(&["man", name]), 0);
    }
    assert!(names.lines().count() > 15, "{names}");
    // What no command is asked for is what all are.
    let (help, _) = exits(run(&["--help"]), 0);
    assert!(help.contains("\nExamples:\n  staledp symptoms ") && help.contains("\nExit codes:\n  0    "), "{help}");
}

#[test]
fn tables_without_header_rows_are_otherwise_the_same() {
    let from = bundle("2026-06-06-prusik");
    let with = exits(run(&["diagnose", "--from", &from]), 1).0;
    let without = exits(run(&["diagnose", "--from", &from, "--no-headers"]), 1).0;
    let is_header = |line: &&str| ["NODE  ", "CHECK  ", "WAY  "].iter().any(|head| line.starts_with(head));
    let expected: Vec<&str> = with.lines().filter(|line| !is_header(line)).collect();
    assert_eq!(with.lines().count() - expected.len(), 3, "{with}");
    assert_eq!(without.lines().collect::<Vec<_>>(), expected);
}

/// `fix` shows a node before and after the restart in the same table.
#[test]
fn differences_and_settings_have_no_header_rows_where_none_are_wanted() {
    let (stale, healthy) = (bundle("stale-datapath"), bundle("healthy"));
    let (with, _) = exits(run(&["diff", &stale, &healthy]), 0);
    let (without, _) = exits(run(&["diff", &stale, &healthy, "--no-headers"]), 0);
    assert!(with.contains("\nCHECK  "), "{with}");
    let expected: Vec<&str> = with.lines().filter(|line| !line.starts_with("CHECK  ")).collect();
    assert_eq!(without.lines().collect::<Vec<_>>(), expected);
    let settings = |args: &[&str]| exits(configured("timeout = '90s'\n", &[], args), 0).0;
    let (with, without) = (settings(&["config", "view"]), settings(&["config", "view", "--no-headers"]));
    assert_eq!(with.lines().count(), without.lines().count() + 1, "{with}\n{without}");
}

#[test]
fn differences_are_exit_code_1_where_that_is_wanted() {
    let (stale, healthy) = (bundle("stale-datapath"), bundle("healthy"));
    exits(run(&["diff", &stale, &healthy]), 0);
    exits(run(&["diff", &stale, &healthy, "--exit-code"]), 1);
    exits(run(&["diff", &healthy, &healthy, "--exit-code"]), 0);
    exits(run(&["diff", "/nowhere", &healthy, "--exit-code"]), 5);
}

#[test]
fn labels_that_no_node_has_are_a_success_with_a_note() {
    let from = bundle("2026-06-06-prusik");
    let select = ["diagnose", "--from", &from, "-l", "zone=nowhere"];
    let (stdout, stderr) = exits(run(&[&select[..], &["-o", "json"]].concat()), 0);
    assert!(stderr.contains("no node has the labels 'zone=nowhere'"), "{stderr}");
    assert_eq!(json(&stdout)["notes"][0], "no node has the labels 'zone=nowhere'");
    let (_, stderr) = exits(run(&[&select[..], &["--fail-if-none"]].concat()), 2);
    assert!(stderr.contains("no node has the labels") && stderr.contains("nodes: brno, prusik, vienna"), "{stderr}");
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("kept");
    let capture = ["capture", &kept.display().to_string(), "--from", &from, "-l", "zone=nowhere"];
    let (_, stderr) = exits(run(&capture), 0);
    assert!(stderr.contains("no node has the labels") && !kept.exists(), "{stderr}");
}

#[test]
fn node_lines_name_their_context_and_moment() {
    let (stdout, _) = exits(run(&["diagnose", "--from", &bundle("2026-06-06-prusik"), "-o", "jsonl"]), 1);
    let lines: Vec<Value> = stdout.lines().map(json).collect();
    let (end, nodes) = lines.split_last().expect("lines");
    assert_eq!((nodes.len(), &end["summary"]["nodes"]), (3, &3.into()));
    for node in nodes {
        assert_eq!((&node["context"], &node["captured_at"]), (&"grigri".into(), &end["source"]["captured_at"]));
    }
}

#[test]
fn plugin_of_kubectl_names_itself_so_in_usage_hints_and_commands() {
    let folder = tempfile::tempdir().expect("a folder");
    let plugin = folder.path().join("kubectl-staledp");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_staledp"), &plugin).expect("a link");
    let run = |args: &[&str]| {
        let mut command = Command::new(&plugin);
        command.args(args).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent").stdin(Stdio::null());
        command.output().expect("the program runs")
    };
    let from = bundle("2026-06-06-prusik");
    let (shown, _) = exits(run(&["diagnose", "--from", &from]), 1);
    let (report, _) = exits(run(&["diagnose", "--from", &from, "-o", "json"]), 1);
    let (help, _) = exits(run(&["fix", "--help"]), 0);
    let (explained, _) = exits(run(&["explain", "stale-datapath"]), 0);
    for (text, has) in [
        (&shown, "\nkubectl staledp fix --context=grigri --node prusik\n"),
        (&shown, "\nkubectl staledp diagnose --context=grigri --node prusik\n"),
        (&report, "\"kubectl staledp capture --context=grigri"),
        (&help, "Usage: kubectl staledp fix [OPTIONS]"),
        (&help, "\n  kubectl staledp fix prusik --dry-run\n"),
        (&explained, "`kubectl staledp fix --node NODE`"),
        (&exits(run(&["explain", "nonsense"]), 2).1, "`kubectl staledp explain` lists them all"),
        (&exits(run(&["diagnose", "--bogus"]), 2).1, "Usage: kubectl staledp diagnose"),
        (&exits(run(&["rbac", "diagnose"]), 0).0, "`kubectl staledp diagnose`"),
    ] {
        assert!(text.contains(has), "{has:?} is not in:\n{text}");
    }
    for text in [&shown, &report, &help, &explained] {
        let plain = text.replace("kubectl staledp ", "");
        for verb in ["diagnose", "fix", "capture", "explain", "rbac"] {
            assert!(!plain.contains(&format!("staledp {verb} ")), "staledp {verb}:\n{text}");
        }
    }
}

#[test]
fn completions_of_the_plugin_are_under_its_name() {
    let (script, _) = exits(run(&["completions", "kubectl"]), 0);
    assert!(script.starts_with("#!/bin/sh\n") && script.contains("kubectl-staledp") && script.ends_with("echo :4\n"));
    let (bash, _) = exits(run(&["completions", "bash"]), 0);
    assert!(bash.contains(" staledp\n") && !bash.contains("kubectl"), "{bash}");
}

#[test]
fn evidence_and_reports_are_read_from_pipes() {
    let from = bundle("2026-06-06-prusik");
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let sh = |script: &str| {
        let mut bash = Command::new("bash");
        let program = env!("CARGO_BIN_EXE_staledp");
        bash.args(["-c", script]).env_clear().env("PATH", "/usr/bin:/bin").env("P", program).env("FROM", &from);
        bash.current_dir(folder.path()).stdin(Stdio::null()).output().expect("bash runs")
    };
    // bundle.json last, and not packed: tar is walked to its end before anything is judged.
    exits(sh("cd \"$FROM\" && tar cf \"$OLDPWD/plain.tar\" kube nodes bundle.json"), 0);
    exits(sh("tar czf packed.tar.gz -C \"$FROM\" ."), 0);
    let expected = exits(run(&["diagnose", "--from", &from, "-o", "name"]), 1).0;
    assert_eq!(exits(run(&["diagnose", "--from", &at("plain.tar"), "-o", "name"]), 1).0, expected);
    for script in [
        "\"$P\" diagnose --from - -o name < plain.tar",
        "cat packed.tar.gz | \"$P\" diagnose --from - -o name",
        "\"$P\" diagnose -o name --from <(cat packed.tar.gz)",
        "mkfifo fifo; (cat plain.tar > fifo &); \"$P\" diagnose -o name --from fifo",
    ] {
        let out = sh(script);
        assert_eq!(exits(out, 1).0, expected, "{script}");
    }
    exits(sh("\"$P\" diff --exit-code <(\"$P\" diagnose --from \"$FROM\" -o json) <(cat packed.tar.gz)"), 0);
    let (_, stderr) = exits(sh("echo nonsense | \"$P\" diagnose --from -"), 5);
    assert!(stderr.contains("- is neither a bundle nor an archive"), "{stderr}");
    let (_, stderr) = exits(sh("\"$P\" diagnose --from - < /dev/null"), 5);
    assert!(stderr.contains("- is neither"), "{stderr}");
}

#[test]
fn bundle_under_the_name_of_another_archive_is_refused_before_anything_is_asked() {
    for args in [&["capture", "x.zip", "--all-nodes"][..], &["diagnose", "--all-nodes", "--save", "x.zip"]] {
        let (_, stderr) = exits(run(args), 2);
        assert!(stderr.contains("a bundle is a folder or NAME.tar.gz, not .zip: write x.tar.gz"), "{stderr}");
    }
}

#[test]
fn misspelt_nodes_codes_and_options_get_a_suggestion() {
    let from = bundle("2026-06-06-prusik");
    for (args, meant) in [
        (&["diagnose", "--from", &from, "prusk"][..], "did you mean prusik?"),
        (&["fix", "a", "--force", "stale-mpa"], "did you mean stale-map?"),
        (&["explain", "stale-datpath"], "did you mean stale-datapath?"),
        (&["diagnose", "--all-node"], "'--all-nodes'"),
        (&["diagnoze"], "'diagnose'"),
    ] {
        let (_, stderr) = exits(run(args), 2);
        assert!(stderr.contains(meant), "{args:?}: {stderr}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("config");
    let text = r#"{"contexts": [{"name": "grigri", "context": {"cluster": "a"}}, {"name": "prod", "context": {"cluster": "a"}}]}"#;
    fs::write(&kubeconfig, text).expect("a file");
    let args = ["diagnose", "a", "--kubeconfig", &kubeconfig.display().to_string(), "--context", "grigi"];
    let (_, stderr) = exits(run(&args), 5);
    assert!(stderr.contains("did you mean grigri? choose one of: grigri, prod"), "{stderr}");
}

#[test]
fn columns_of_the_environment_hold_in_a_pipe() {
    let from = bundle("2026-06-06-prusik");
    let longest = |columns: Option<&str>| {
        let mut command = staledp(&["diagnose", "--from", &from]);
        columns.map(|columns| command.env("COLUMNS", columns));
        let (stdout, _) = exits(command.output().expect("the program runs"), 1);
        let lines = stdout.lines().filter(|line| !line.starts_with("kubectl") && !line.starts_with("staledp"));
        lines.map(|line| line.chars().count()).max().expect("lines")
    };
    assert!(longest(Some("80")) <= 80);
    assert!(longest(None) > 120 && longest(Some("nonsense")) > 120);
}

#[test]
fn marks_are_ascii_where_the_locale_is() {
    let from = bundle("2026-06-06-prusik");
    let shown = |locale: &str| {
        let mut command = staledp(&["diagnose", "--from", &from]);
        exits(command.env("LANG", locale).output().expect("the program runs"), 1).0
    };
    assert!(shown("C").is_ascii() && shown("C").contains("x stale-datapath") && shown("C").contains("+ healthy"));
    assert!(shown("C.UTF-8").contains("✗ stale-datapath"));
    // Programs read the same whatever the locale.
    let json = |locale: &str| staledp(&["explain", "-o", "json"]).env("LANG", locale).output().expect("it runs").stdout;
    assert_eq!(json("C"), json("C.UTF-8"));
}

#[test]
fn terminal_whose_locale_is_ascii_gets_nothing_else_not_even_progress_and_errors() {
    let on_a_terminal = |args: &str, locale: &str| {
        let command = format!("stty cols 80; {} {args}", env!("CARGO_BIN_EXE_staledp"));
        let mut script = Command::new("script");
        script.args(["-qefc", &command, "/dev/null"]).env("TERM", "xterm").env("LC_ALL", locale).stdin(Stdio::null());
        script.output().map(|output| text(&output.stdout))
    };
    let diagnose = format!("diagnose --from {}", bundle("2026-06-06-prusik"));
    let Ok(shown) = on_a_terminal(&diagnose, "C") else {
        eprintln!("skipped: there is no script(1) to make a terminal with");
        return;
    };
    assert!(shown.is_ascii() && shown.contains("x prusik: stale-datapath"), "{shown}");
    assert!(shown.contains("/3 nodes") && !shown.contains('█'), "{shown}");
    let shown = on_a_terminal(&diagnose, "C.UTF-8").expect("script(1)");
    assert!(shown.contains("✗ prusik: stale-datapath") && shown.contains('░'), "{shown}");
    let shown = on_a_terminal("explain grün", "C").expect("script(1)");
    assert!(shown.is_ascii() && shown.contains("error: "), "{shown}");
}

#[test]
fn junit_and_prometheus_have_every_node() {
    let from = bundle("2026-06-06-prusik");
    let (xml, _) = exits(run(&["diagnose", "--from", &from, "-o", "junit"]), 1);
    assert!(xml.starts_with("<?xml version=\"1.0\"") && xml.contains("tests=\"3\" failures=\"1\""), "{xml}");
    let python = "import sys, xml.dom.minidom as m; d = m.parseString(sys.stdin.buffer.read()); print(len(d.getElementsByTagName('testcase')))";
    let mut parser = Command::new("python3").args(["-c", python]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    match &mut parser {
        Ok(parser) => {
            use std::io::Write as _;
            parser.stdin.take().expect("a pipe").write_all(xml.as_bytes()).expect("it reads");
            let mut said = String::new();
            std::io::Read::read_to_string(&mut parser.stdout.take().expect("a pipe"), &mut said).expect("text");
            parser.wait().expect("it ends");
            assert_eq!(said.trim(), "3");
        }
        Err(error) => println!("skipped: no python3 to parse it: {error}"),
    }
    let (metrics, _) = exits(run(&["diagnose", "--from", &from, "-o", "prometheus"]), 1);
    assert!(metrics.contains("staledp_node_verdict{context=\"grigri\",node=\"prusik\",kind=\"stale\""), "{metrics}");
    assert!(metrics.contains("staledp_nodes{context=\"grigri\",kind=\"healthy\"} 2\n"), "{metrics}");
}

/// A run with a home that has this configuration, and with these variables.
fn configured(toml: &str, set: &[(&str, &str)], args: &[&str]) -> Output {
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join(".config/staledp");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("staledp.toml"), toml).expect("a file");
    staledp(args).env("HOME", home.path()).envs(set.iter().copied()).output().expect("the program runs")
}

#[test]
fn options_come_from_typing_then_the_environment_then_the_file() {
    let from = bundle("2026-06-06-prusik");
    let run = |set: &[(&str, &str)], args: &[&str]| {
        configured("output = 'name'\nno-headers = true\n", set, &[&["diagnose", "--from", &from], args].concat())
    };
    assert_eq!(exits(run(&[], &[]), 1).0, "node/prusik\n");
    assert!(exits(run(&[("STALEDP_OUTPUT", "json")], &[]), 1).0.starts_with("{\n"));
    let typed = exits(run(&[("STALEDP_OUTPUT", "json")], &["-o", "table"]), 1).0;
    assert!(typed.contains("✗ stale-datapath") && !typed.contains("NODE  "), "{typed}");
    // A variable that does not go with what was typed is silent.
    assert_eq!(exits(run(&[("STALEDP_CONTEXT", "x"), ("STALEDP_NODE", "vienna")], &["prusik"]), 1).0, "node/prusik\n");
}

#[test]
fn section_of_a_context_counts_for_it_and_view_says_where_from() {
    let toml = "timeout = '90s'\n[contexts.grigri]\nssh-user = 'ops'\ntimeout = '2m'\n[contexts.other]\nssh-port = 1\n";
    let view =
        |set: &[(&str, &str)], args: &[&str]| exits(configured(toml, set, &[&["config", "view"], args].concat()), 0).0;
    let shown = view(&[("STALEDP_TOKEN", "hunter2"), ("STALEDP_CONCURRENCY", "4")], &["--context", "grigri"]);
    let row = |option: &str| {
        let found = shown.lines().find(|line| line.starts_with(option)).unwrap_or_else(|| panic!("{option}:\n{shown}"));
        found.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("--concurrency")[1..], ["4", "STALEDP_CONCURRENCY"]);
    assert_eq!(
        (row("--timeout")[1].as_str(), row("--timeout").last().map(String::as_str)),
        ("2m", Some("[contexts.grigri]"))
    );
    assert_eq!(row("--ssh-user")[1], "ops");
    assert!(!shown.contains("ssh-port") && !shown.contains("hunter2") && shown.contains("context: grigri"), "{shown}");
    let other = json(&view(&[("STALEDP_CONTEXT", "other")], &["-o", "json"]));
    let settings = other["settings"].as_array().expect("settings");
    let value = |option: &str| settings.iter().find(|s| s["option"] == option).map(|s| s["values"][0].clone());
    assert_eq!((value("ssh-port"), value("timeout")), (Some("1".into()), Some("90s".into())));
    assert!(exits(run(&["config", "view"]), 0).0.starts_with("configuration: none"));
}

#[test]
fn wrong_configuration_is_exit_code_2_and_names_its_place() {
    let from = bundle("healthy");
    let args = ["diagnose", "--from", &from];
    for (toml, set, words) in [
        ("timeuot = '1s'", &[][..], &["staledp.toml: 'timeuot' is not an option", "did you mean timeout?"][..]),
        ("yes = true", &[], &["must be typed each time"]),
        ("timeout = ", &[], &["cannot read the configuration"]),
        ("timeout = 'soon'", &[], &["not a duration", "--timeout is set by", "staledp.toml"]),
        ("", &[("STALEDP_TIMEOUT", "soon")], &["not a duration", "--timeout is set by STALEDP_TIMEOUT"]),
        ("", &[("STALEDP_NO_SSH", "perhaps")], &["STALEDP_NO_SSH sets --no-ssh to 'perhaps'"]),
        ("", &[("STALEDP_CONFIG", "/nowhere.toml")], &["cannot read the configuration /nowhere.toml"]),
    ] {
        let (_, stderr) = exits(configured(toml, set, &args), 2);
        for words in words {
            assert!(stderr.contains(words), "{toml} {set:?}: {words:?} is not in:\n{stderr}");
        }
    }
    exits(configured("timeout = ", &[("STALEDP_CONFIG", "")], &args), 0);
    exits(configured("timeout = ", &[], &["diagnose", "--help"]), 0);
    let (_, stderr) = exits(configured("timeout = ", &[], &["diagnose", "--config", "/nowhere.toml"]), 2);
    assert!(stderr.contains("/nowhere.toml"), "{stderr}");
}

#[test]
fn reports_of_thirty_clusters_are_one_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut paths = Vec::new();
    for i in 0..30 {
        let from = bundle(if i % 10 == 0 { "stale-datapath" } else { "healthy" });
        let mut report = json(&text(&run(&["diagnose", "--from", &from, "-o", "json"]).stdout));
        report["source"]["context"] = format!("cluster-{i:02}").into();
        let path = folder.path().join(format!("{i}.json")).display().to_string();
        fs::write(&path, report.to_string()).expect("a file");
        paths.push(path);
    }
    let merge = |paths: &[String], more: &[&str]| {
        let paths = paths.iter().map(String::as_str);
        run(&["merge"].into_iter().chain(paths).chain(more.iter().copied()).collect::<Vec<_>>())
    };
    let (fleet, _) = exits(merge(&paths, &["-o", "json"]), 1);
    let fleet_report = json(&fleet);
    let nodes = fleet_report["nodes"].as_array().expect("nodes");
    assert_eq!((&fleet_report["summary"]["stale"], &nodes[0]["context"]), (&3.into(), &"cluster-00".into()));
    assert!(nodes.iter().all(|node| node["context"].is_string()));
    let (shown, _) = exits(merge(&paths, &[]), 1);
    assert!(shown.contains("30 contexts") && shown.contains("\nCONTEXT     NODE"), "{shown}");
    // In two steps it is the same.
    let half = folder.path().join("half.json").display().to_string();
    fs::write(&half, merge(&paths[..15], &["-o", "json"]).stdout).expect("a file");
    let again = json(&exits(merge(&[&[half][..], &paths[15..]].concat(), &["-o", "json"]), 1).0);
    assert_eq!((&again["nodes"], &again["summary"]), (&fleet_report["nodes"], &fleet_report["summary"]));
    exits(merge(&paths[..1], &["-o", "name"]), 1);
}
