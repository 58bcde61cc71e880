//! Archives with mistakes of every kind in them: whatever the bytes, reading ends, soon and in little memory, without a
//! panic, and what is printed has no control characters.
//!
//! Valid archives of each era are changed at three depths, so that not all changes end at the first sum that is wrong:
//! the bytes as they lie there; the plain tar below gzip, with its headers' sums made right again; and the texts
//! within.
//!
//! Texts of further evidence get the same mistakes, and go straight to their parsers.
//!
//! `cargo test --test fuzz` takes some seconds with the same inputs every time. For longer, with new ones:
//! `STALEDP_FUZZ_SECONDS=600 cargo test --release --test fuzz -- --nocapture`; `STALEDP_FUZZ_SEED=N` runs one again.

#[path = "archives/judged.rs"]
mod judged;
#[path = "archives/made.rs"]
mod made;
#[path = "archives/parsed.rs"]
mod parsed;

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use made::{ERAS, cmd, gzip, sysdump, tar, zip};
use staledp::report::{json, table};

/// How long it takes where nobody says otherwise.
const SECONDS: u64 = 5;
/// The longest that one input may take. The archives are small: most take some milliseconds.
const MOST_TIME: Duration = Duration::from_secs(20);
/// The most memory that one input may take above what the process has, in KiB.
const MOST_MEMORY: u64 = 96 << 10;
/// The longest input, in bytes.
const MOST_INPUT: usize = 1 << 20;

/// One test at a time: the figures of memory are the whole process's.
static TURN: Mutex<()> = Mutex::new(());
/// The input that is being read.
static SEED: AtomicU64 = AtomicU64::new(0);

/// The same numbers for the same seed (xorshift).
struct Random(u64);

impl Random {
    /// Seeds that are alike begin far from each other.
    fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Less than `limit`; zero where that is zero.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap_or(0) % limit.max(1)
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// The kinds of archives.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Sysdump,
    Bugtool { packed: bool },
    Bundle { packed: bool },
}

const KINDS: [Kind; 5] = [
    Kind::Sysdump,
    Kind::Bugtool { packed: true },
    Kind::Bugtool { packed: false },
    Kind::Bundle { packed: true },
    Kind::Bundle { packed: false },
];

type Files = Vec<(String, Vec<u8>)>;

/// What archives are made of: their files before they are packed, and the archives of all kinds.
struct Corpus {
    sysdumps: Vec<Files>,
    bugtools: Vec<Files>,
    bundles: Vec<Files>,
    whole: Vec<Vec<u8>>,
}

impl Corpus {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        let names = ["stale-datapath", "healthy", "datapath-programs-missing", "conntrack-full"];
        let folders: Vec<PathBuf> = names.iter().map(|name| root.join(name).join("bundle")).collect();
        let mut corpus = Self { sysdumps: Vec::new(), bugtools: Vec::new(), bundles: Vec::new(), whole: Vec::new() };
        for folder in &folders {
            for era in ERAS {
                corpus.sysdumps.push(sysdump(folder, era));
                for node in fs::read_dir(folder.join("nodes")).expect("nodes") {
                    let mut files = cmd(&node.expect("an entry").path(), era);
                    files
                        .push(("cmd/uname--a.md".to_owned(), b"Linux linz 6.12.30 #1 SMP x86_64 GNU/Linux\n".to_vec()));
                    files.sort();
                    corpus.bugtools.push(files);
                }
            }
            corpus.bundles.push(files_below(folder, folder));
        }
        let mut random = Random::new(0);
        for _ in 0..4 {
            for kind in KINDS {
                let files = corpus.files(kind, &mut random).clone();
                corpus.whole.push(pack(kind, &files, &mut random, false));
            }
        }
        corpus
    }

    fn files(&self, kind: Kind, random: &mut Random) -> &Files {
        random.one(match kind {
            Kind::Sysdump => &self.sysdumps,
            Kind::Bugtool { .. } => &self.bugtools,
            Kind::Bundle { .. } => &self.bundles,
        })
    }

    /// An archive with mistakes.
    fn input(&self, random: &mut Random) -> Vec<u8> {
        let kind = *random.one(&KINDS);
        let depth = random.below(4);
        let mut files = self.files(kind, random).clone();
        if depth == 0 {
            for _ in 0..=random.below(3) {
                let at = random.below(files.len());
                let other = random.one(&files).1.clone();
                let (name, text) = &mut files[at];
                match random.below(8) {
                    // Whoever makes a tar does not take such names; its headers get mistakes of their own.
                    0 if matches!(kind, Kind::Sysdump) => {
                        let bytes = changed(std::mem::take(name).into_bytes(), &other, random);
                        *name = String::from_utf8_lossy(&bytes).into_owned();
                    }
                    1 => *text = other,
                    _ => *text = changed(std::mem::take(text), &other, random),
                }
            }
        }
        let bytes = pack(kind, &files, random, depth == 1);
        if depth < 2 {
            return bytes;
        }
        let other = random.one(&self.whole);
        changed(bytes, other, random)
    }
}

fn files_below(folder: &Path, root: &Path) -> Files {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            out.extend(files_below(&path, root));
        } else {
            let name = path.strip_prefix(root).expect("below it").display().to_string();
            out.push((name, fs::read(&path).expect("a file")));
        }
    }
    out.sort();
    out
}

/// Packs the files; `wrong` puts mistakes into the headers of a tar, or the records of a zip.
fn pack(kind: Kind, files: &Files, random: &mut Random, wrong: bool) -> Vec<u8> {
    let (top, packed) = match kind {
        Kind::Sysdump => {
            let mut bytes = zip(files, |_, _| {});
            for _ in 0..if wrong { 1 + random.below(4) } else { 0 } {
                wrong_record(&mut bytes, random);
            }
            return bytes;
        }
        Kind::Bugtool { packed } => ("cilium-bugtool-20260606-120000.000+0000-UTC-1", packed),
        Kind::Bundle { packed } => ("kept", packed),
    };
    let mut bytes = tar(files, top);
    for _ in 0..if wrong { 1 + random.below(4) } else { 0 } {
        wrong_header(&mut bytes, random);
    }
    if !packed {
        return bytes;
    }
    // One gzip member or many, as a bundle has them.
    let cut = if random.below(2) == 0 { bytes.len() } else { 512 * (1 + random.below(40)) };
    bytes.chunks(cut.max(1)).flat_map(gzip).collect()
}

/// Sizes and offsets that somebody may have forgotten.
fn number(random: &mut Random) -> u64 {
    let near = random.next() % 5;
    let base = *random.one(&[0, 1, 30, 46, 512, 0xffff, 1 << 20, 0x7fff_ffff, 0xffff_ffff, 1 << 33, 1 << 62, u64::MAX]);
    match random.below(3) {
        0 => base,
        1 => base.wrapping_add(near).wrapping_sub(2),
        _ => random.next() >> random.below(64),
    }
}

/// A mistake in one field of a zip's records: the kind stands behind `PK`.
fn wrong_record(bytes: &mut [u8], random: &mut Random) {
    let marks: [(&[u8], usize); 3] = [(b"PK\x01\x02", 46), (b"PK\x03\x04", 30), (b"PK\x05\x06", 22)];
    let (mark, length) = *random.one(&marks);
    let places: Vec<usize> = bytes.windows(4).enumerate().filter(|(_, four)| *four == mark).map(|(at, _)| at).collect();
    if places.is_empty() {
        return;
    }
    let at = random.one(&places) + 4 + random.below(length - 4);
    let value = number(random).to_le_bytes();
    let size = *random.one(&[1, 2, 4, 8]);
    let end = (at + size).min(bytes.len());
    bytes[at.min(end)..end].copy_from_slice(&value[..end - at.min(end)]);
}

/// A mistake in one header of a tar, with the sum made right again.
fn wrong_header(bytes: &mut [u8], random: &mut Random) {
    let at = 512 * random.below(bytes.len() / 512);
    let Some(header) = bytes.get_mut(at..at + 512) else { return };
    match random.below(5) {
        // The size, in digits or in binary.
        0 => header[124..136].copy_from_slice(format!("{:011o}\0", number(random) & 0o77_777_777_777).as_bytes()),
        1 => {
            header[124..128].copy_from_slice(&[0x80, 0, 0, 0]);
            header[128..136].copy_from_slice(&number(random).to_be_bytes());
        }
        2 => header[156] = *random.one(b"01234567LKxgSDVMNA\0\xff"),
        3 => {
            let at = random.below(100);
            header[at] = *random.one(b"/.\0\x1bc\xff");
        }
        _ => {
            let at = random.below(512);
            header[at] = random.next().to_le_bytes()[0];
        }
    }
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// Some mistakes in bytes; pieces may come from others.
fn changed(mut bytes: Vec<u8>, other: &[u8], random: &mut Random) -> Vec<u8> {
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len());
        let most = bytes.len() - at;
        let long = 1 << random.below(14);
        let length = random.below(most.min(long) + 1);
        match random.below(9) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..at + length)),
            2 => {
                let piece = bytes[at..at + length].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            3 => {
                let from = random.below(other.len());
                let piece = other[from..].iter().take(length).copied();
                bytes.splice(at..at + length, piece);
            }
            4 => bytes[at..at + length].fill(*random.one(b"\0\xff \n0")),
            5 => {
                let value = number(random);
                let value = if random.below(2) == 0 { value.to_le_bytes() } else { value.to_be_bytes() };
                let size = most.min(*random.one(&[2, 4, 8]));
                bytes[at..at + size].copy_from_slice(&value[..size]);
            }
            _ if most > 0 => bytes[at] ^= 1 << random.below(8),
            _ => {}
        }
        bytes.truncate(MOST_INPUT);
    }
    bytes
}

/// A figure of the process, in KiB.
fn memory(figure: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(figure));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Reads one input. Says whether there was a report, or what is wrong with how it was read.
fn read(path: &Path, panics: &Mutex<Vec<String>>) -> Result<bool, String> {
    // From here on the highest figure is this input's.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let before = memory("VmRSS:");
    let begun = Instant::now();
    let report = panic::catch_unwind(AssertUnwindSafe(|| {
        let (report, _) = judged::judge(path);
        report.map(|report| {
            let style = table::Style { headers: true, color: false, width: Some(100), wide: true };
            (json::json(&report).is_ok(), table::render(&report, &style))
        })
    }));
    let (took, took_memory) = (begun.elapsed(), memory("VmHWM:").saturating_sub(before));
    if let Some(panic) = panics.lock().unwrap_or_else(PoisonError::into_inner).pop() {
        return Err(format!("it panicked: {panic}"));
    }
    if took > MOST_TIME {
        return Err(format!("it took {took:?}"));
    }
    if took_memory > MOST_MEMORY {
        return Err(format!("it took {} MiB", took_memory >> 10));
    }
    match report {
        Ok(Ok((_, table))) if table.chars().any(|c| c.is_control() && c != '\n') => {
            Err("the table has control characters".to_owned())
        }
        Ok(Ok((false, _))) => Err("the report can't be written as JSON".to_owned()),
        Ok(Err(why)) if why.is_empty() => Err("it says nothing".to_owned()),
        Ok(report) => Ok(report.is_ok()),
        Err(_) => Err("it panicked".to_owned()),
    }
}

#[test]
fn archives_with_mistakes_end_soon_in_little_memory_and_without_a_panic() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let number_of = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let whole = Duration::from_secs(number_of("STALEDP_FUZZ_SECONDS").unwrap_or(SECONDS));
    let only = number_of("STALEDP_FUZZ_SEED");
    let corpus = Corpus::new();
    let panics = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&panics);
    panic::set_hook(Box::new(move |panic| {
        eprintln!("{panic}");
        heard.lock().unwrap_or_else(PoisonError::into_inner).push(panic.to_string());
    }));

    // A hang would hold the test itself up: somebody else looks at the clock.
    std::thread::spawn(|| {
        let mut last = (u64::MAX, Instant::now());
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let seed = SEED.load(Ordering::Relaxed);
            if seed != last.0 {
                last = (seed, Instant::now());
            } else if last.1.elapsed() > 4 * MOST_TIME {
                eprintln!("the input of seed {seed} does not end");
                std::process::abort();
            }
        }
    });

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("archive");
    let begun = Instant::now();
    let (mut inputs, mut reports, mut slowest) = (0_u64, 0_u64, (Duration::ZERO, 0));
    let mut wrong = Vec::new();
    let mut seed =
        only.unwrap_or_else(|| if whole.as_secs() > SECONDS { u64::from(std::process::id()) << 32 } else { 0 });
    while begun.elapsed() < whole && wrong.len() < 10 {
        SEED.store(seed, Ordering::Relaxed);
        let input = corpus.input(&mut Random::new(seed));
        fs::write(&path, &input).expect("a file");
        let started = Instant::now();
        match read(&path, &panics) {
            Ok(report) => reports += u64::from(report),
            Err(what) => {
                let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{seed}"));
                fs::write(&kept, &input).expect("a file");
                wrong.push(format!("seed {seed}: {what}; the input is {}", kept.display()));
            }
        }
        slowest = slowest.max((started.elapsed(), seed));
        inputs += 1;
        seed += 1;
        if only.is_some() {
            break;
        }
    }
    drop(panic::take_hook());
    eprintln!(
        "{inputs} inputs, of which {reports} gave a report; the slowest took {:?} (seed {})",
        slowest.0, slowest.1
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(only.is_some() || inputs > 20, "only {inputs} inputs were tried");
}

#[test]
fn evidence_with_mistakes_is_read_soon_and_without_a_panic() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let seconds = std::env::var("STALEDP_FUZZ_SECONDS").ok().and_then(|value| value.parse().ok()).unwrap_or(2);
    let (begun, mut slowest, mut inputs) = (Instant::now(), Duration::ZERO, 0_u64);
    while begun.elapsed() < Duration::from_secs(seconds) {
        let mut random = Random::new(inputs);
        // Long enough that reading a text twice for each of its rows would be felt.
        let times = 1 << random.below(10);
        let text = random.one(&parsed::TEXTS).repeat(times);
        let other = *random.one(&parsed::TEXTS);
        let input = changed(text.into_bytes(), other.as_bytes(), &mut random);
        let started = Instant::now();
        parsed::read_all(&String::from_utf8_lossy(&input));
        slowest = slowest.max(started.elapsed());
        inputs += 1;
    }
    eprintln!("{inputs} texts; the slowest took {slowest:?}");
    assert!(slowest < MOST_TIME && inputs > 20, "{inputs} texts, the slowest took {slowest:?}");
}
