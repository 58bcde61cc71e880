//! The house keeps its shape: imports run one way, files stay short, and a name means one thing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The rooms from the ground floor up. A room imports from those above it in this list, and from itself.
const ROOMS: [&str; 19] = [
    // Pure: no network, clock, environment or terminal.
    "base",
    "kubernetes",
    "cilium",
    "knowledge",
    "rights",
    "manifests",
    "ways",
    "checks",
    "rules",
    "symptoms",
    "report",
    // The world.
    "gather",
    "diagnose",
    "progress",
    "fix",
    "watch",
    // What was typed, what was meant, and what is done.
    "cli",
    "settings",
    "commands",
];

/// Imports upwards that are still there: who imports what. Each is a debt; a new one fails.
const DEBTS: &[(&str, &str)] = &[];

/// The most lines of a file without a line `//! Long because …` in its head.
const LONGEST: usize = 600;

/// Files that are longer and have no reason yet. Each is a debt; a new one fails.
const LONG_DEBTS: &[&str] = &[];

/// Names that several public types may have: each is found by its module.
const SHARED_NAMES: &[&str] = &[];

/// Public types of one name that are still there. Each is a debt; a new one fails.
const NAME_DEBTS: &[&str] = &[];

/// A file of `src`: its path below that, and its text without tests at its end.
struct Source {
    path: String,
    room: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(source(&root, &path));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 50, "the walk found too few files: {}", found.len());
    found
}

fn source(root: &Path, path: &Path) -> Source {
    let text = fs::read_to_string(path).expect("a file");
    let below = path.strip_prefix(root).expect("below src").display().to_string();
    let top = below.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned();
    Source { path: below, room: top, text }
}

/// Whether a file holds nothing but tests.
fn is_tests(source: &Source) -> bool {
    source.path.ends_with("tests.rs")
}

/// The text without its tests and comments.
fn code(source: &Source) -> String {
    if is_tests(source) {
        return String::new();
    }
    let text = source.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The rooms that a file's code names: `crate::room` inline or in `use`, and `use crate::{room, …}`.
fn imports(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    for (at, found) in code.match_indices("crate::") {
        let is_part_of_a_name = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let rest = &code[at + found.len()..];
        if is_part_of_a_name {
            continue;
        }
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 1;
            let mut begins = true;
            for (at, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 1 => begins = true,
                    c if begins && depth == 1 && !c.is_whitespace() => {
                        rooms.insert(word(&group[at..]));
                        begins = false;
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            rooms.insert(word(rest));
        }
    }
    rooms
}

#[test]
fn rooms_import_only_from_rooms_below_them() {
    let floor = |room: &str| ROOMS.iter().position(|name| *name == room);
    let mut upwards: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for source in sources() {
        if matches!(source.path.as_str(), "main.rs" | "lib.rs" | "build.rs") {
            continue;
        }
        let own = floor(&source.room).unwrap_or_else(|| panic!("{}: no such room in ROOMS", source.path));
        for import in imports(&code(&source)) {
            let theirs = floor(&import);
            if theirs.is_none_or(|theirs| theirs > own) {
                upwards.entry((source.room.clone(), import)).or_default().push(source.path.clone());
            }
        }
    }
    let debts: BTreeSet<(String, String)> =
        DEBTS.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
    let found: BTreeSet<(String, String)> = upwards.keys().cloned().collect();
    println!("imports upwards: {}", found.len());
    let new: Vec<_> = upwards.iter().filter(|(arrow, _)| !debts.contains(arrow)).collect();
    assert!(new.is_empty(), "imports upwards (from, to), and the files that hold them: {new:#?}");
    let paid: Vec<_> = debts.difference(&found).collect();
    assert!(paid.is_empty(), "these are no debts any more, take them out of DEBTS: {paid:?}");
}

/// What only the rooms behind the pure ones may name: network, clock, environment, files, processes, terminal.
const WORLD: &[&str] = &[
    "tokio::",
    "kube::client",
    "std::env",
    "std::fs",
    "std::io::std",
    "std::net::Tcp",
    "std::net::Udp",
    "std::process::Command",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "clock::now",
    "println!",
];

/// The one file of a pure room that may: it is what the others ask.
const ASKS_THE_CLOCK: &str = "base/clock.rs";

#[test]
fn pure_rooms_know_nothing_of_the_world() {
    let pure =
        ["base", "kubernetes", "cilium", "knowledge", "rights", "manifests", "ways", "checks", "rules", "symptoms"];
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| pure.contains(&source.room.as_str())) {
        let code = code(source);
        let named = WORLD.iter().filter(|word| code.contains(**word) && source.path != ASKS_THE_CLOCK);
        found.extend(named.map(|word| format!("{}: {word}", source.path)));
    }
    assert!(found.is_empty(), "a pure room names the world: {found:#?}");
}

#[test]
fn long_files_give_a_reason() {
    let long = |source: &Source| {
        let has_reason = source
            .text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .any(|line| line.strip_prefix("//! Long because ").is_some_and(|reason| !reason.trim().is_empty()));
        source.text.lines().count() > LONGEST && !has_reason
    };
    let sources = sources();
    let found: BTreeSet<&str> =
        sources.iter().filter(|source| !is_tests(source) && long(source)).map(|source| source.path.as_str()).collect();
    println!("long files without a reason: {}", found.len());
    let debts: BTreeSet<&str> = LONG_DEBTS.iter().copied().collect();
    let new: Vec<_> = found.difference(&debts).collect();
    assert!(new.is_empty(), "longer than {LONGEST} lines, without a line `//! Long because …`: {new:#?}");
    let paid: Vec<_> = debts.difference(&found).collect();
    assert!(paid.is_empty(), "these are no debts any more, take them out of LONG_DEBTS: {paid:?}");
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    let found: Vec<String> = sources()
        .iter()
        .filter(|source| !is_tests(source) && !source.text.starts_with("//! "))
        .map(|source| source.path.clone())
        .collect();
    assert!(found.is_empty(), "without a first line `//! …`: {found:#?}");
}

#[test]
fn public_types_have_names_of_their_own() {
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        for line in code(&source).lines() {
            for kind in ["pub struct ", "pub enum ", "pub trait ", "pub type "] {
                if let Some(rest) = line.trim_start().strip_prefix(kind) {
                    let name = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    named.entry(name).or_default().insert(source.path.clone());
                }
            }
        }
    }
    let twice: BTreeMap<_, _> = named.into_iter().filter(|(_, files)| files.len() > 1).collect();
    println!("public types of one name: {}", twice.len());
    let allowed = |name: &String| SHARED_NAMES.contains(&name.as_str()) || NAME_DEBTS.contains(&name.as_str());
    println!("{:?}", twice.keys());
    let new: Vec<_> = twice.iter().filter(|(name, _)| !allowed(name)).collect();
    assert!(new.is_empty(), "public types of one name: {new:#?}");
    let paid: Vec<_> = NAME_DEBTS.iter().filter(|name| !twice.contains_key(**name)).collect();
    assert!(paid.is_empty(), "these are no debts any more, take them out of NAME_DEBTS: {paid:?}");
}

#[test]
fn every_dependency_is_used() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).expect("Cargo.toml");
    let (_, section) = manifest.split_once("[dependencies]\n").expect("dependencies");
    let section = section.split("\n[").next().unwrap_or_default();
    let names: Vec<&str> = section.lines().filter_map(|line| line.split_once(" = ").map(|(name, _)| name)).collect();
    assert!(names.len() > 10, "{names:?}");
    let code: String = sources().iter().map(code).collect();
    let unused: Vec<&&str> = names
        .iter()
        .filter(|name| {
            let path = format!("{}::", name.replace('-', "_"));
            !code.contains(&path) && !code.contains(&format!("use {};", name.replace('-', "_")))
        })
        .collect();
    assert!(unused.is_empty(), "in Cargo.toml, and used nowhere in src: {unused:?}");
}

#[test]
fn imports_are_read_from_every_form() {
    let code =
        "use crate::base::x;\nuse crate::{cilium::{a, b}, report};\nlet y = crate::rules::z();\nnotcrate::gather";
    let found: Vec<String> = imports(code).into_iter().collect();
    assert_eq!(found, ["base", "cilium", "report", "rules"]);
}
