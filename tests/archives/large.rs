//! Archives that are large, or say that they are: how much of them is read, and how much memory that takes.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::eras::gist;
use crate::judged::judge;
use crate::made::{ERAS, cmd, gzip, sysdump, tar, zip};
use crate::run::{Outcome, staledp};
use crate::{diagnose, files_of, fixture, run};

/// The most memory that any archive may take, in MiB. The program alone takes some more unoptimized.
const MOST_MEMORY: u64 = 96;

/// What must hold for an archive that is nothing but large: an end, no panic, and little memory.
#[track_caller]
fn bounded(name: &str, path: &Path) -> (Value, String) {
    let Outcome { code, stdout, stderr, peak_kib, .. } = run(path);
    assert!(matches!(code, Some(0..=5)) && !stderr.contains("panicked"), "{name}: {code:?} {stderr}");
    let memory = peak_kib.expect("its memory") >> 10;
    assert!(memory <= MOST_MEMORY, "{name}: {memory} MiB");
    (serde_json::from_str(&stdout).unwrap_or_default(), stderr)
}

/// Writes a bugtool archive of one node as gzip, with a dump of this size that is much like a real one.
fn large_bugtool(size: usize) -> Vec<u8> {
    let line = "TCP OUT 10.42.1.17:50123 -> 93.184.215.14:443 expires=821456 Packets=0 Bytes=0 RxFlagsSeen=0x1b \
                LastRxReport=813400 TxFlagsSeen=0x1b LastTxReport=813400 Flags=0x0013 [ RxClosing TxClosing SeenNonSyn ] \
                RevNAT=0 SourceSecurityID=35631 BackendID=0 NatPort=0 \n";
    let folder = fixture("stale-datapath").join("nodes/linz");
    let mut files = cmd(&folder, ERAS[1]);
    for (name, text) in &mut files {
        if name.contains("bpf-ct-list-global.md") {
            *text = line.repeat(size / line.len()).into_bytes();
        }
    }
    let nat = "TCP OUT 10.42.1.17:50123 -> 93.184.215.14:443 XLATE_SRC 192.168.1.5:50123 Created=12sec ago NeedsCT=1\n";
    files.push(("cmd/cilium-dbg-bpf-nat-list.md".to_owned(), nat.repeat(size / 2 / nat.len()).into_bytes()));
    files.push(("cmd/uname--a.md".to_owned(), b"Linux linz 6.12.30 #1 SMP x86_64 GNU/Linux\n".to_vec()));
    files.sort();
    gzip(&tar(&files, "cilium-bugtool-20260606-120000.000+0000-UTC-1"))
}

#[test]
fn no_archive_is_read_more_than_twice_and_one_in_a_sysdump_once() {
    let keep = tempfile::tempdir().expect("a folder");
    let path = keep.path().join("archive");
    // Larger than what is kept of it.
    let bugtool = large_bugtool(12 << 20);
    fs::write(&path, &bugtool).expect("a file");
    let (report, read) = judge(&path);
    assert_eq!(report.expect("a report").nodes.len(), 1);
    let length = bugtool.len() as u64;
    assert!((length..2 * length + 4096).contains(&read), "{read} bytes of {length}");

    let bundle = fixture("stale-datapath");
    let mut members = sysdump(&bundle, ERAS[4]);
    let nested = |name: &str| name.ends_with(".tar.gz");
    for (_, bytes) in members.iter_mut().filter(|(name, _)| nested(name)) {
        bytes.clone_from(&bugtool);
    }
    let nodes = members.iter().filter(|(name, _)| nested(name)).count();
    fs::write(&path, zip(&members, |_, _| {})).expect("a file");
    let (report, read) = judge(&path);
    assert_eq!(report.expect("a report").nodes.len(), nodes);
    // Once for its sum as it lies there, and once to unpack it.
    let length = fs::metadata(&path).expect("the file").len();
    assert!((length..2 * length).contains(&read), "{read} bytes of {length}");
}

#[test]
fn a_bundle_in_one_file_is_read_where_its_files_begin() {
    let keep = tempfile::tempdir().expect("a folder");
    let path = keep.path().join("kept.tar.gz");
    let from = fixture("2026-06-06-prusik");
    let to = path.display().to_string();
    staledp(["diagnose", "-q", "--save", &to, "--from", &from.display().to_string()]).run();
    let (code, report, _) = diagnose(&from);
    let (again, reread, stderr) = diagnose(&path);
    assert_eq!((again, gist(&reread)), (code, gist(&report)), "{stderr}");
    let (report, read) = judge(&path);
    assert_eq!(report.expect("a report").nodes.len(), 3);
    let length = fs::metadata(&path).expect("the file").len();
    assert!(read <= length + 4096, "all of it is small, and kept: {read} bytes of {length}");
}

#[test]
fn bundle_packed_by_hand_is_read_twice_in_any_node_order() {
    let keep = tempfile::tempdir().expect("a folder");
    let path = keep.path().join("kept.tar.gz");
    let bundle = fixture("2026-06-06-prusik");
    let mut files = files_of(&bundle);
    let dump: Vec<u8> = {
        let mut random = 1_u32;
        // Nothing that a compressor finds again, so that the file is as long as its dumps.
        std::iter::repeat_with(|| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random.to_be_bytes()[0]
        })
        .take(5 << 20)
        .collect()
    };
    for (_, text) in files.iter_mut().filter(|(name, _)| name.ends_with("/ct-list.out.gz")) {
        text.clone_from(&dump);
    }
    for order in [["brno", "prusik", "vienna"], ["vienna", "brno", "prusik"], ["prusik", "vienna", "brno"]] {
        files.sort_by_key(|(name, _)| order.iter().position(|node| name.contains(node)));
        fs::write(&path, gzip(&tar(&files, "kept"))).expect("a file");
        let (report, read) = judge(&path);
        assert_eq!(report.expect("a report").nodes.len(), 3);
        let length = fs::metadata(&path).expect("the file").len();
        assert!((length..2 * length + 4096).contains(&read), "{order:?}: {read} bytes of {length}");
    }
}

/// Packs a folder's content with the system's zip; false where there is none.
fn zip_of(folder: &Path, args: &[&str], to: &Path) -> bool {
    let done = Command::new("zip").arg("-q").args(args).arg("-r").arg(to).arg(".").current_dir(folder).output();
    let Ok(done) = done else {
        eprintln!("skipped: there is no zip program");
        return false;
    };
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    true
}

#[test]
fn zips_of_the_system_s_program_are_read_and_those_with_64_bit_fields_too() {
    let keep = tempfile::tempdir().expect("a folder");
    let members = sysdump(&fixture("stale-datapath"), ERAS[0]);
    let ours = keep.path().join("ours.zip");
    fs::write(&ours, zip(&members, |_, _| {})).expect("a file");
    let (right, report, _) = diagnose(&ours);
    assert_eq!(report["nodes"].as_array().map(Vec::len), Some(2));
    let folder = keep.path().join("sysdump");
    for (name, text) in &members {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    for (number, args) in [&["-6"][..], &["-0"], &["-fz"], &["-fz", "-0"], &["-fd"]].iter().enumerate() {
        let theirs = keep.path().join(format!("{number}.zip"));
        if zip_of(&folder, args, &theirs) {
            let (code, same, stderr) = diagnose(&theirs);
            assert_eq!((code, gist(&same)), (right, gist(&report)), "{args:?} {stderr}");
        }
    }
}

/// A zip whose members lie behind a hole of this size, all of it with 64-bit fields.
fn zip64(members: &[(String, Vec<u8>)], hole: u64, others: u64, to: &Path) {
    let plain = zip(members, |_, record| {
        let at = u64::from(u32::from_le_bytes(record[42..46].try_into().expect("four bytes")));
        let sizes =
            [24, 20].map(|at| u64::from(u32::from_le_bytes(record[at..at + 4].try_into().expect("four bytes"))));
        record[20..28].fill(0xff);
        record[42..46].fill(0xff);
        record[30..32].copy_from_slice(&28_u16.to_le_bytes());
        record.extend_from_slice(&[1, 0, 24, 0]);
        for value in [sizes[0], sizes[1], at + hole] {
            record.extend_from_slice(&value.to_le_bytes());
        }
    });
    let end = plain.len() - 22;
    let directory = u32::from_le_bytes(plain[end + 16..end + 20].try_into().expect("four bytes"));
    let (contents, records) = plain[..end].split_at(directory as usize);
    let mut file = File::create(to).expect("a file");
    // The hole is a member that nobody wants.
    file.write_all(b"PK\x03\x04").expect("a file");
    io::Seek::seek(&mut file, io::SeekFrom::Start(hole)).expect("a hole");
    let mut file = io::BufWriter::new(file);
    let mut write = |bytes: &[u8]| file.write_all(bytes).expect("a file");
    write(contents);
    write(records);
    let mut other = b"PK\x01\x02".to_vec();
    other.resize(46, 0);
    other[28] = 9;
    let mut size = records.len() as u64;
    for number in 0..others {
        write(&other);
        write(format!("x{number:08}").as_bytes());
        size += 55;
    }
    let at = hole + contents.len() as u64;
    let count = members.len() as u64 + others;
    let mut record = b"PK\x06\x06".to_vec();
    record.extend_from_slice(&44_u64.to_le_bytes());
    record.resize(24, 0);
    for value in [count, count, size, at] {
        record.extend_from_slice(&value.to_le_bytes());
    }
    write(&record);
    write(b"PK\x06\x07\0\0\0\0");
    write(&(at + size).to_le_bytes());
    write(&[1, 0, 0, 0]);
    write(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0");
    file.flush().expect("a file");
}

#[test]
fn what_lies_behind_4_gib_and_among_a_million_others_is_found() {
    let keep = tempfile::tempdir().expect("a folder");
    let path = keep.path().join("sysdump");
    let members = sysdump(&fixture("stale-datapath"), ERAS[3]);
    zip64(&members, 5 << 30, 1_000_000, &path);
    let (report, stderr) = bounded("a million members", &path);
    let plain = keep.path().join("plain");
    fs::write(&plain, zip(&members, |_, _| {})).expect("a file");
    assert_eq!(gist(&report), gist(&diagnose(&plain).1), "{stderr}");
    assert_eq!(report["nodes"].as_array().map(Vec::len), Some(2));
}

#[test]
fn too_many_members_and_too_long_names_are_refused() {
    let keep = tempfile::tempdir().expect("a folder");
    let path = keep.path().join("archive");
    let members = sysdump(&fixture("stale-datapath"), ERAS[3]);
    zip64(&members, 0, 2_000_001, &path);
    let (_, words) = bounded("two million members", &path);
    assert!(words.contains("more than any sysdump"), "{words}");

    let long = |number: usize| {
        (format!("cilium-bugtool-{number}{}/cmd/cilium-service-list.md", "x".repeat(60_000)), Vec::new())
    };
    fs::write(&path, zip(&(0..300).map(long).collect::<Vec<_>>(), |_, _| {})).expect("a file");
    let (_, words) = bounded("long names in a zip", &path);
    assert!(words.contains("more members of the wanted names"), "{words}");

    let long = |number: usize| (format!("{number}{}/cmd/cilium-service-list.md", "x".repeat(3_000)), Vec::new());
    fs::write(&path, gzip(&tar(&(0..3_000).map(long).collect::<Vec<_>>(), "x"))).expect("a file");
    let (report, _) = bounded("long names in a tar", &path);
    let words = report.to_string();
    assert!(words.contains("more files of the wanted names"), "{words}");

    // Half a million files as a thousand gzip members of the same files.
    let files: Vec<_> = (0..1_000).map(|number| (format!("{number}"), Vec::new())).collect();
    let tar = tar(&files, "x");
    fs::write(&path, gzip(&tar[..tar.len() - 1024]).repeat(501)).expect("a file");
    let (_, words) = bounded("half a million files in a tar", &path);
    assert!(words.contains("more than 500000 files"), "{words}");
}

#[test]
fn reading_an_archive_can_be_interrupted() {
    let keep = tempfile::tempdir().expect("a folder");
    let path = keep.path().join("bugtool");
    // A dump of 2 GB that takes a minute: the same line in gzip members that are alike.
    let mut header = tar::Header::new_gnu();
    header.set_size(2 << 30);
    header.set_path("x/cmd/cilium-dbg-bpf-ct-list-global.md").expect("a path");
    header.set_cksum();
    let line = "TCP OUT 10.42.1.17:50123 -> 93.184.215.14:443 expires=821456 Packets=0 Bytes=0 RxFlagsSeen=0x1b \n";
    let lines = gzip(line.repeat((8 << 20) / line.len()).as_bytes());
    fs::write(&path, [gzip(header.as_bytes()), lines.repeat(300)].concat()).expect("a file");
    let from = path.display().to_string();

    let late = staledp(["diagnose", "-o", "json", "--timeout", "2s", "--from", &from]).run();
    let reason = late.report().check("(unnamed)", "external-conntrack")["reason"].to_string();
    assert!(reason.contains("timed out after 2s"), "{reason}");

    let running = staledp(["diagnose", "-o", "json", "--from", &from]).start();
    std::thread::sleep(std::time::Duration::from_secs(4));
    running.interrupt();
    let interrupted = running.wait();
    assert_eq!(interrupted.code, Some(130), "{}", interrupted.stderr);
    assert!(interrupted.elapsed < std::time::Duration::from_secs(20), "{:?}", interrupted.elapsed);
}

#[test]
fn what_lies_twice_costs_no_more_than_twice() {
    let keep = tempfile::tempdir().expect("a folder");
    let path = keep.path().join("kept");
    let mut files = files_of(&fixture("stale-datapath"));
    files.extend((0..45_000).map(|number| (format!("nodes/linz/{number}.json"), Vec::new())));
    let tar = tar(&files, "kept");
    fs::write(&path, gzip(&tar[..tar.len() - 1024]).repeat(2)).expect("a file");
    let outcome = run(&path);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert!(outcome.elapsed < std::time::Duration::from_secs(20), "{:?}", outcome.elapsed);
}

/// So many blanks, packed.
fn blanks(mut encoder: GzEncoder<Vec<u8>>, size: u64) -> GzEncoder<Vec<u8>> {
    io::copy(&mut io::repeat(b' ').take(size), &mut encoder).expect("a Vec takes all");
    encoder
}

#[test]
fn bombs_cost_no_memory_and_end() {
    /// A line that never ends.
    const SIZE: u64 = 256 << 20;
    let keep = tempfile::tempdir().expect("a folder");
    let path = keep.path().join("bomb");
    let packed = blanks(GzEncoder::new(Vec::new(), Compression::fast()), SIZE).finish().expect("a Vec takes all");

    // Within a bundle, as an output that is packed once more, and as a list.
    let bundle = fixture("stale-datapath");
    let mut files = files_of(&bundle);
    for (_, text) in files.iter_mut().filter(|(name, _)| name.ends_with("ct-list.out.gz")) {
        text.clone_from(&packed);
    }
    fs::write(&path, gzip(&tar(&files, "kept"))).expect("a file");
    bounded("an output of a bundle", &path);

    // A tar whose one file is all blanks: alone, and in a sysdump.
    let mut header = tar::Header::new_gnu();
    header.set_size(SIZE);
    header.set_path("x/cmd/cilium-dbg-bpf-ct-list-global.md").expect("a path");
    header.set_cksum();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(header.as_bytes()).expect("a Vec takes all");
    let mut encoder = blanks(encoder, SIZE);
    encoder.write_all(&[0; 1024]).expect("a Vec takes all");
    let bugtool = encoder.finish().expect("a Vec takes all");
    fs::write(&path, &bugtool).expect("a file");
    bounded("a bugtool archive", &path);
    let mut members = sysdump(&bundle, ERAS[4]);
    for (_, bytes) in members.iter_mut().filter(|(name, _)| name.ends_with(".tar.gz")) {
        bytes.clone_from(&bugtool);
    }
    fs::write(&path, zip(&members, |_, _| {})).expect("a file");
    bounded("a tar in a sysdump", &path);

    // Members of a sysdump: a dump, and a list that has no end.
    let mut members = sysdump(&bundle, ERAS[1]);
    for (name, text) in &mut members {
        if name.contains("bpf-ct-list-global.md") || name.contains("k8s-events") {
            *text = vec![b' '; 64 << 20];
        }
    }
    fs::write(&path, zip(&members, |_, _| {})).expect("a file");
    bounded("members of a sysdump", &path);
}
