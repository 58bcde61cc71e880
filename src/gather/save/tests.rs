//! What is saved of a source with prepared answers.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;

use super::*;
use crate::gather::bundle::Bundle;

/// A source that answers by a list, the next question with the next answer, in chunks of a few bytes.
struct Scripted(RefCell<Vec<(Vec<u8>, End)>>);

impl Scripted {
    fn new(answers: &[(&str, End)]) -> Self {
        let owned = answers.iter().rev().map(|(out, end)| (out.as_bytes().to_vec(), end.clone()));
        Self(RefCell::new(owned.collect()))
    }
}

impl Source for Scripted {
    async fn inventory(&self) -> Inventory {
        unreachable!("no test asks for it")
    }

    fn probe_pods(&self, _node: &str, _cluster: &ClusterMap<'_>) -> Vec<PodRef> {
        Vec::new()
    }

    async fn ask(&self, _question: &Question<'_>, out: Sink<'_>) -> Answer {
        let (bytes, end) = self.0.borrow_mut().pop().expect("an answer is left");
        bytes.chunks(3).for_each(out);
        Answer { end, ..Answer::not_gathered("") }
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

fn services(node: &str) -> Question<'_> {
    Question { node, evidence: Evidence::ServiceList, agent: None, probe: None }
}

const RUN: Run = Run { argv: Vec::new(), timeout: Duration::from_secs(60), redact: None };

/// The files of an archive by name; of several of one name the last.
fn unpacked(path: &Path) -> BTreeMap<String, String> {
    let file = fs::File::open(path).expect("the archive");
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(file));
    let entries = archive.entries().expect("an archive");
    let text = |entry: io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a name").display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        (name, text)
    };
    entries.map(text).collect()
}

#[test]
fn of_two_looks_the_last_counts_also_where_it_failed_or_said_nothing() {
    let failed = End::Failed(Failure::new(FailureKind::Timeout, "too late"));
    for (second, end) in [("new", End::Exited(0)), ("", End::Exited(1)), ("", failed)] {
        for name in ["kept", "kept.tar.gz"] {
            let keep = tempfile::tempdir().expect("a folder");
            let path = keep.path().join(name);
            let source = Scripted::new(&[("older and longer", End::Exited(0)), (second, end.clone())]);
            let saving = Saving::create(&source, &path, &RUN).expect("a bundle");
            run(saving.ask_small(&services("n1")));
            run(saving.ask_small(&services("n1")));
            saving.finish().expect("it is complete");
            let (out, about) = if path.is_dir() {
                let read = |name: &str| fs::read_to_string(path.join("nodes/n1").join(name)).expect("a file");
                (read("service-list.out"), read("service-list.json"))
            } else {
                let mut files = unpacked(&path);
                let mut take = |name: &str| files.remove(&format!("nodes/n1/{name}")).expect("a file");
                (take("service-list.out"), take("service-list.json"))
            };
            assert_eq!(out, second, "{name}");
            let about: Description = serde_json::from_str(&about).expect("a description");
            let code = if let End::Exited(code) = end { Some(code) } else { None };
            assert_eq!((about.exit_code, about.error.is_some()), (code, code.is_none()), "{name}");
        }
    }
}

#[test]
fn a_second_look_that_is_cut_by_a_kill_does_not_stand_behind_the_description_of_the_first() {
    let keep = tempfile::tempdir().expect("a folder");
    let path = keep.path().join("kept");
    let source = Scripted::new(&[("older", End::Exited(0))]);
    let saving = Saving::create(&source, &path, &RUN).expect("a bundle");
    run(saving.ask_small(&services("n1")));
    let question = services("n1");
    let mut piece = Piece::new(&saving, &question);
    piece.feed(b"new, and not yet who");
    // Killed here: nothing else is written.
    let read = Bundle::open(&path).expect("a bundle");
    let raw = run(read.ask_small(&services("n1")));
    assert!(
        matches!(&raw.answer.end, End::Failed(failure) if failure.kind == FailureKind::Truncated),
        "{:?}",
        raw.answer.end
    );
    drop(piece);
}
