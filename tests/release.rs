//! What a release is made of: workflows, the scripts that they run, and the places that name its archives. What only a
//! hosted runner can do is not run here; these tests hold its shape, and linters read it where they are installed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What a release has a binary for.
const TARGETS: [&str; 4] =
    ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl", "x86_64-apple-darwin", "aarch64-apple-darwin"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn workflow(name: &str) -> Value {
    serde_saphyr::from_str(&text(&format!(".github/workflows/{name}"))).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The steps of all jobs.
fn steps(workflow: &Value) -> Vec<&Value> {
    let jobs = workflow["jobs"].as_object().expect("jobs").values();
    jobs.flat_map(|job| job["steps"].as_array().expect("steps")).collect()
}

/// What all steps run, each on lines of its own.
fn scripts(workflow: &Value) -> String {
    steps(workflow).iter().filter_map(|step| step["run"].as_str()).collect::<Vec<_>>().join("\n")
}

/// The same path of a tool on this machine, where it is installed.
fn installed(tool: &str) -> Option<PathBuf> {
    let found = std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(tool)).find(|p| p.exists());
    if found.is_none() {
        eprintln!("skipped: {tool} is not installed");
    }
    found
}

#[test]
fn workflows_pin_each_action_to_a_commit_and_start_with_the_right_to_read() {
    for name in ["ci.yml", "release.yml"] {
        let workflow = workflow(name);
        assert_eq!(workflow["permissions"], serde_json::json!({ "contents": "read" }), "{name}");
        for (job, value) in workflow["jobs"].as_object().expect("jobs") {
            assert!(value["timeout-minutes"].is_u64(), "{name}: {job} could run for hours");
        }
        for step in steps(&workflow) {
            let Some(action) = step["uses"].as_str() else { continue };
            let (_, commit) = action.split_once('@').unwrap_or_else(|| panic!("{name}: {action} has no version"));
            let is_commit = commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(is_commit, "{name}: {action} is not pinned to a commit");
        }
        for script in scripts(&workflow).lines() {
            assert!(!script.contains("${{"), "{name}: an expression in a script can be injected into: {script}");
        }
    }
}

#[test]
fn ci_runs_what_a_developer_runs() {
    let workflow = workflow("ci.yml");
    assert!(scripts(&workflow).lines().any(|line| line.ends_with(" .ci/run")), "{}", scripts(&workflow));
    assert!(workflow["on"].as_object().expect("events").contains_key("pull_request"));
}

#[test]
fn scripts_that_workflows_run_are_there_and_can_be_run() {
    let mut all = BTreeSet::new();
    for name in ["ci.yml", "release.yml"] {
        let scripts = scripts(&workflow(name));
        let words = scripts.split(|c: char| c.is_whitespace() || "$()\"".contains(c));
        all.extend(words.filter(|word| word.starts_with(".ci/")).map(str::to_owned));
    }
    let expected = [".ci/build", ".ci/image", ".ci/package", ".ci/reproducible", ".ci/run"];
    assert_eq!(all.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    for script in expected {
        let mode = fs::metadata(root().join(script)).expect(script).permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{script} is executable");
        let checked = Command::new("bash").arg("-n").arg(root().join(script)).output().expect("bash");
        assert!(checked.status.success(), "{script}: {}", String::from_utf8_lossy(&checked.stderr));
    }
}

#[test]
fn a_release_attests_its_checksums_and_the_digest_of_its_image() {
    let workflow = workflow("release.yml");
    let steps = steps(&workflow);
    let attests = |subject: &str| {
        steps.iter().any(|step| {
            step["uses"].as_str().is_some_and(|action| action.starts_with("actions/attest-build-provenance@"))
                && step["with"][subject].is_string()
        })
    };
    assert!(attests("subject-checksums") && attests("subject-digest"));
    for job in ["package", "image"] {
        assert_eq!(workflow["jobs"][job]["permissions"]["attestations"], "write", "{job}");
        assert_eq!(workflow["jobs"][job]["permissions"]["id-token"], "write", "{job}");
    }
    let scripts = scripts(&workflow);
    assert!(text(".ci/package").contains("SHA256SUMS") && scripts.contains("cargo-auditable"));
    let builds = &workflow["jobs"]["build"]["steps"];
    assert!(builds.as_array().expect("steps").iter().any(|step| step["env"]["AUDITABLE"] == "required"));
    // What is published waits for what proves it.
    assert_eq!(workflow["jobs"]["release"]["needs"], serde_json::json!(["package", "image", "reproducible"]));
    assert_eq!(workflow["jobs"]["release"]["if"], "github.ref_type == 'tag'");
}

#[test]
fn krew_and_binstall_name_the_archives_that_a_release_has() {
    let workflow = workflow("release.yml");
    let matrix = workflow["jobs"]["build"]["strategy"]["matrix"]["include"].as_array().expect("a matrix").clone();
    let built: Vec<&str> = matrix.iter().map(|row| row["target"].as_str().expect("a target")).collect();
    assert_eq!(built, TARGETS);
    assert!(text(".ci/package").contains("\"$out/staledp-v$version-$target.tar.gz\""));

    let plugin: Value = serde_saphyr::from_str(&krew(&text(".krew.yaml"))).expect("YAML");
    assert_eq!((&plugin["kind"], &plugin["metadata"]["name"]), (&"Plugin".into(), &"staledp".into()));
    assert_eq!(plugin["spec"]["version"], "v1.2.3");
    let says = plugin["spec"]["shortDescription"].as_str().expect("a description");
    assert!(says.len() <= 50 && !says.ends_with('.'), "krew's list shows 50 characters: {says}");
    let platforms = plugin["spec"]["platforms"].as_array().expect("platforms");
    for (platform, target) in platforms.iter().zip(TARGETS) {
        let archive = format!("REPOSITORY_URL/releases/download/v1.2.3/staledp-v1.2.3-{target}.tar.gz");
        assert_eq!((&platform["uri"], &platform["bin"]), (&archive.into(), &"staledp".into()));
        let labels = &platform["selector"]["matchLabels"];
        let (os, arch) = (labels["os"].as_str().expect("os"), labels["arch"].as_str().expect("arch"));
        assert!(target.contains(os), "{target}: {os}");
        assert_eq!(arch == "arm64", target.starts_with("aarch64"), "{target}: {arch}");
    }
    assert_eq!(platforms.len(), TARGETS.len());

    let manifest: toml::Table = text("Cargo.toml").parse().expect("TOML");
    let binstall = &manifest["package"]["metadata"]["binstall"];
    let archive =
        |target: &str| format!("{{ repo }}/releases/download/v{{ version }}/staledp-v{{ version }}-{target}.tar.gz");
    assert_eq!(binstall["pkg-url"].as_str(), Some(archive("{ target }").as_str()));
    for machine in ["x86_64", "aarch64"] {
        let glibc = &binstall["overrides"][format!("{machine}-unknown-linux-gnu")];
        assert_eq!(glibc["pkg-url"].as_str(), Some(archive(&format!("{machine}-unknown-linux-musl")).as_str()));
    }
}

/// The template as the bot fills it in, for the tag v1.2.3.
fn krew(template: &str) -> String {
    let mut filled = String::new();
    for line in template.lines() {
        match line.split_once("{{ addURIAndSha \"") {
            Some((indent, rest)) => {
                let (address, tail) = rest.split_once('"').expect("an address");
                assert_eq!(tail, " .TagName | indent 6 }}");
                let address = address.replace("{{ .TagName }}", "v1.2.3");
                let sum = "0".repeat(64);
                filled += &[indent, "uri: ", &address, "\n", indent, "sha256: ", &sum, "\n"].concat();
            }
            None => filled += &(line.replace("{{ .TagName }}", "v1.2.3") + "\n"),
        }
    }
    assert!(!filled.contains("{{"), "{filled}");
    filled
}

/// A script stands in for each binary, so that nothing large is packed.
#[test]
fn packages_hold_the_program_its_completions_and_manual_pages_and_are_the_same_each_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("in");
    let here = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    for target in [here.as_str(), "aarch64-apple-darwin"] {
        let binary = input.join(target).join("staledp");
        fs::create_dir_all(binary.parent().expect("a folder")).expect("a folder");
        let script = format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_staledp"));
        fs::write(&binary, script).expect("a file");
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).expect("it can be run");
    }
    let package = |to: &str| {
        let to = folder.path().join(to);
        let mut script = Command::new(root().join(".ci/package"));
        let out = script.arg(&input).arg(&to).env("SOURCE_DATE_EPOCH", "1780000000").output().expect("the script runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        fs::read_to_string(to.join("SHA256SUMS")).expect("checksums")
    };
    let sums = package("one");
    assert_eq!(sums, package("another"), "the same bytes each time");
    let version = env!("CARGO_PKG_VERSION");
    let archive = format!("staledp-v{version}-{here}.tar.gz");
    assert_eq!(sums.lines().count(), 2, "{sums}");
    assert!(sums.contains(&archive), "{sums}");
    let list = Command::new("tar").arg("-tzf").arg(folder.path().join("one").join(&archive)).output().expect("tar");
    let list = String::from_utf8(list.stdout).expect("names");
    for name in [
        "staledp",
        "LICENSE",
        "README.md",
        "completions/staledp.bash",
        "completions/kubectl_complete-staledp",
        "man/staledp.1",
        "man/staledp-diagnose.1",
        "man/staledp-version.1",
    ] {
        assert!(list.lines().any(|line| line == format!("./{name}")), "{name} is not in:\n{list}");
    }
}

#[test]
fn linters_find_nothing_in_workflows_and_scripts() {
    if let Some(actionlint) = installed("actionlint") {
        let out = Command::new(actionlint).current_dir(root()).output().expect("actionlint runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    }
    if let Some(shellcheck) = installed("shellcheck") {
        let scripts = [".ci/run", ".ci/build", ".ci/package", ".ci/image", ".ci/reproducible"];
        let out = Command::new(shellcheck).args(scripts).current_dir(root()).output().expect("shellcheck runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    }
}

/// `STALEDP_TEST_STATIC` names a static binary, as `.ci/build x86_64-unknown-linux-musl` makes it: that takes minutes, so the
/// test does not do it.
#[test]
fn image_of_a_static_binary_runs_without_root_and_without_a_registry() {
    let Some(binary) = std::env::var_os("STALEDP_TEST_STATIC") else {
        eprintln!("skipped: STALEDP_TEST_STATIC names no static binary");
        return;
    };
    if installed("buildah").is_none() {
        return;
    }
    let name = "staledp-test:latest";
    let buildah = |args: &[&str]| {
        let out = Command::new("buildah").args(args).env("BUILDAH_ISOLATION", "chroot").output().expect("buildah runs");
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).expect("text").trim().to_owned()
    };
    let built = Command::new(root().join(".ci/image"))
        .arg(binary)
        .args([if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }, name])
        .env("BUILDAH_ISOLATION", "chroot")
        .output()
        .expect("the script runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let said = String::from_utf8_lossy(&built.stdout);
    assert!(said.contains(&format!("staledp {}\n", env!("CARGO_PKG_VERSION"))), "{said}");
    let config: Value = serde_json::from_str(&buildah(&["inspect", "--type", "image", name])).expect("JSON");
    let config = &config["OCIv1"]["config"];
    assert_eq!((&config["User"], &config["Entrypoint"]), (&"65532:65532".into(), &serde_json::json!(["/staledp"])));
    for label in ["title", "description", "licenses", "version", "revision"] {
        let value = config["Labels"][format!("org.opencontainers.image.{label}")].as_str().unwrap_or_default();
        assert!(!value.is_empty(), "label {label}");
    }
    let container = buildah(&["from", "--pull-never", name]);
    let mount = PathBuf::from(buildah(&["mount", &container]));
    let roots = fs::read_to_string(mount.join("etc/ssl/certs/ca-certificates.crt")).expect("roots");
    assert!(roots.matches("BEGIN CERTIFICATE").count() > 50);
    assert_eq!(fs::metadata(mount.join("tmp")).expect("/tmp").permissions().mode() & 0o7777, 0o1777);
    buildah(&["rm", &container]);
    buildah(&["rmi", name]);
}
