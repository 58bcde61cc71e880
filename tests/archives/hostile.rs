//! Archives that somebody made to do harm.

use std::fs;

use crate::made::{ERAS, cmd, gzip, sysdump, tar, zip};
use crate::{diagnose, fixture};

/// Every hostile archive ends with exit code 5 or with a report that does not call anything stale or healthy.
#[track_caller]
pub(crate) fn harmless(name: &str, bytes: &[u8]) -> String {
    let keep = tempfile::tempdir().expect("a folder");
    let path = keep.path().join("archive");
    fs::write(&path, bytes).expect("a file");
    let (code, report, stderr) = diagnose(&path);
    assert!(matches!(code, Some(3..=5)), "{name}: {code:?} {stderr} {report:#}");
    assert!(!stderr.contains("panicked"), "{name}: {stderr}");
    stderr
}

#[test]
fn hostile_zips_are_refused_or_bounded() {
    let bundle = fixture("stale-datapath");
    let members = sysdump(&bundle, ERAS[1]);
    let put = |record: &mut Vec<u8>, at: usize, value: u32| record[at..at + 4].copy_from_slice(&value.to_le_bytes());
    let whole = zip(&members, |_, _| {});

    let words = harmless("encrypted", &zip(&members, |_, record| record[8] |= 1));
    assert!(words.contains("encrypted"), "{words}");
    let words = harmless("overlapping", &zip(&members, |_, record| put(record, 42, 0)));
    assert!(words.contains("overlap"), "{words}");
    let words = harmless("another method", &zip(&members, |_, record| record[10] = 14));
    assert!(words.contains("method"), "{words}");
    let mut twice = members.clone();
    twice.extend(members.clone());
    let words = harmless("doubled", &zip(&twice, |_, _| {}));
    assert!(words.contains("two members"), "{words}");
    harmless("sizes too large", &zip(&members, |_, record| put(record, 24, u32::MAX - 1)));
    harmless("sizes too small", &zip(&members, |_, record| put(record, 24, 1)));
    harmless("wrong sums", &zip(&members, |_, record| record[16] ^= 1));
    harmless("cut", &whole[..whole.len() / 2]);
    harmless("cut in the directory", &whole[..whole.len() - 40]);
    harmless("no sysdump", &zip(&[("a.txt".to_owned(), b"x".to_vec())], |_, _| {}));
    let outside: Vec<_> =
        ["../../etc/passwd", "/etc/passwd", "..\\x", "cmd/", ""].map(|n| (n.to_owned(), vec![1])).into();
    harmless("names that lead outside", &zip(&outside, |_, _| {}));
}

#[test]
fn hostile_tars_are_refused_or_bounded() {
    let bundle = fixture("stale-datapath").join("nodes");
    let folder = fs::read_dir(&bundle).expect("nodes").next().expect("a node").expect("an entry").path();
    let files = cmd(&folder, ERAS[1]);
    let whole = tar(&files, "x");
    harmless("cut", &gzip(&whole)[..2000]);
    harmless("cut plain", &whole[..700]);
    harmless("no bugtool", &gzip(&tar(&[("a".to_owned(), vec![1])], "x")));

    let special = |kind: tar::EntryType, size: u64, text: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_path("cmd/cilium-dbg-bpf-ct-list-global.md").expect("a path");
        header.set_cksum();
        let mut out = header.as_bytes().to_vec();
        out.extend_from_slice(text);
        out.resize(out.len().next_multiple_of(512), 0);
        out
    };
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Char, tar::EntryType::GNUSparse] {
        harmless("a link or device", &special(kind, 0, b""));
    }
    let long = vec![b'a'; 64 << 20];
    let words = harmless("a name of 64 MiB", &gzip(&special(tar::EntryType::GNULongName, long.len() as u64, &long)));
    assert!(words.contains("longer than any file name"), "{words}");
    for size in [u64::MAX >> 3, u64::MAX - 1000, u64::MAX] {
        harmless("a size of the moon", &special(tar::EntryType::Regular, size, b"x"));
    }
}
