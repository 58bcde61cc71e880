//! The pack in real shells, and its stream cut in every place.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output as Ran};

use super::*;

/// Runs these commands as the pack does: kind, limit and words of each.
fn packed(shell: &[&str], form: &str, commands: &[(&str, &str, &[&str])]) -> Ran {
    let mut argv = vec!["-c", SCRIPT, "sh", form];
    let lengths: Vec<String> = commands.iter().map(|(.., words)| words.len().to_string()).collect();
    for ((kind, limit, words), length) in commands.iter().zip(&lengths) {
        argv.extend([*kind, *limit, length.as_str()]);
        argv.extend(*words);
    }
    Command::new(shell[0]).args(&shell[1..]).args(&argv).output().expect("a shell")
}

fn shells() -> impl Iterator<Item = &'static [&'static str]> {
    let shells: [&[&str]; 4] = [&["sh"], &["bash"], &["dash"], &["busybox", "sh"]];
    shells.into_iter().filter(|shell| Command::new(shell[0]).arg("--help").output().is_ok())
}

fn text(output: &Output) -> String {
    let mut all = Vec::new();
    let answer = PackedAnswer { answer: Answer::not_gathered(""), output: copy(output) };
    answer.pour(&mut |chunk| all.extend_from_slice(chunk));
    String::from_utf8_lossy(&all).into_owned()
}

fn copy(output: &Output) -> Output {
    match output {
        Output::Plain(bytes) => Output::Plain(bytes.clone()),
        Output::Compressed(bytes) => Output::Compressed(bytes.clone()),
    }
}

fn split(stdout: &[u8], piece: usize) -> Vec<(usize, String, String)> {
    let mut unpacker = Unpacker::new();
    stdout.chunks(piece).for_each(|chunk| unpacker.take(chunk));
    unpacker.finish().into_iter().map(|(place, code, output)| (place, code, text(&output))).collect()
}

#[test]
fn each_command_keeps_its_output_its_words_and_its_exit_code() {
    let hostile = "$(exit 9); `exit 9` \"' | exit 9";
    for shell in shells() {
        for form in ["gzip", "plain"] {
            let ran = packed(
                shell,
                form,
                &[
                    ("kernel", "5", &["printf", "%s", hostile]),
                    ("kernel", "5", &["sh", "-c", "echo out; echo err >&2; exit 3"]),
                    (
                        "agent",
                        "5",
                        &["printf", "%s %s %s %s %s %s %s %s %s", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
                    ),
                    ("kernel", "5", &["no-such-program"]),
                    ("counters", "5", &["echo", "never run here"]),
                ],
            );
            assert_eq!(ran.status.code(), Some(0), "{shell:?}");
            for piece in [1, 7, 1 << 20] {
                let parts = split(&ran.stdout, piece);
                let codes: Vec<&str> = parts.iter().map(|(_, code, _)| code.as_str()).collect();
                assert_eq!(codes, ["0 5", "3 5", "0 5", "127 5", "never 5"], "{shell:?} {form}");
                let outputs: Vec<&str> = parts.iter().map(|(.., output)| output.as_str()).collect();
                assert_eq!(outputs, [hostile, "out\n", "1 2 3 4 5 6 7 8 9", "", ""], "{shell:?} {form} {piece}");
            }
            let stderr = String::from_utf8(ran.stderr).expect("text");
            let words = stderr_by_place(&stderr);
            assert_eq!(words.iter().find(|(place, _)| *place == 2).map(|(_, text)| *text), Some("err\n"), "{shell:?}");
        }
    }
}

#[test]
fn an_agent_that_hangs_costs_two_commands_and_the_kernel_is_asked_all_the_same() {
    let Some(shell) = shells().next() else { return };
    let clock = std::time::Instant::now();
    let commands: [(&str, &str, &[&str]); 5] = [
        ("agent", "1", &["sleep", "30"]),
        ("agent", "9", &["sleep", "30"]),
        ("agent", "9", &["echo", "not asked"]),
        ("kernel", "9", &["echo", "asked"]),
        ("agent", "9", &["echo", "not asked"]),
    ];
    let parts = split(&packed(shell, "plain", &commands).stdout, 1 << 20);
    let codes: Vec<&str> = parts.iter().map(|(_, code, _)| code.as_str()).collect();
    assert_eq!(codes, ["124 1", "124 2", "silent 2", "0 9", "silent 2"]);
    assert_eq!(parts[3].2, "asked\n");
    assert!(clock.elapsed().as_secs_f64() < 8.0, "1 s and 2 s, and the kills: {:?}", clock.elapsed());
}

#[test]
fn a_child_that_a_command_leaves_behind_does_not_hold_up_the_pack() {
    for shell in shells() {
        for form in ["gzip", "plain"] {
            // A `timeout` that ends the command alone, as BusyBox has it.
            let home = tempfile::tempdir().expect("a folder");
            let alone = home.path().join("timeout");
            fs::write(&alone, "#!/bin/sh\nshift 3; \"$@\" & sleep 1; kill $!; exit 143\n").expect("a script");
            fs::set_permissions(&alone, fs::Permissions::from_mode(0o755)).expect("a mode");
            let path = format!("{}:{}", home.path().display(), std::env::var("PATH").expect("a path"));
            let argv = ["-c", SCRIPT, "sh", form, "agent", "1", "3", "sh", "-c", "echo before; sleep 60; echo behind"];
            let clock = std::time::Instant::now();
            let mut command = Command::new(shell[0]);
            let ran = command.args(&shell[1..]).args(argv).env("PATH", path).output().expect("a shell");
            assert!(clock.elapsed().as_secs() < 30, "{shell:?} {form}: {:?}", clock.elapsed());
            assert_eq!(
                split(&ran.stdout, 1 << 20),
                [(1, "143 1".to_owned(), "before\n".to_owned())],
                "{shell:?} {form}"
            );
        }
    }
}

#[test]
fn script_gives_an_agent_up_as_single_commands_do() {
    assert!(SCRIPT.contains(&format!("[ \"$silent\" -gt 0 ]; then limit={AGENT_AGAIN_S};")));
    assert!(SCRIPT.contains(&format!("[ \"$silent\" -gt {} ]; then run=silent;", GIVEN_UP - 1)));
}

#[test]
fn without_timeout_nothing_is_run() {
    let argv = ["-c", SCRIPT, "sh", "plain", "kernel", "5", "1", "ls"];
    let ran = Command::new("/bin/sh").args(argv).env("PATH", "/nowhere").output().expect("a shell");
    assert_eq!((ran.status.code(), ran.stdout.len()), (Some(127), 0));
}

#[test]
fn what_did_not_come_whole_is_left_out() {
    let stream =
        b"\nstaledp: begin 1\nfirst\n\nstaledp: end 1 0\n\nstaledp: begin 2\nsecond\n\nstaledp: end 2 0\n".as_slice();
    for cut in 0..=stream.len() {
        let parts = split(&stream[..cut], 5);
        let texts: Vec<&str> = parts.iter().map(|(.., text)| text.as_str()).collect();
        let whole: &[&str] = match cut {
            _ if cut == stream.len() => &["first\n", "second\n"],
            42.. => &["first\n"],
            _ => &[],
        };
        assert_eq!(texts, whole, "cut after {cut} bytes");
    }
}

#[test]
fn an_output_that_looks_like_our_lines_does_not_end_before_its_own() {
    let inner = "\nstaledp: end 2 0\nstaledp: begin 7\n\nstaledp: end x\n";
    let stream = format!("\nstaledp: begin 1\n{inner}\nstaledp: end 1 5\n");
    assert_eq!(split(stream.as_bytes(), 3), [(1, "5".to_owned(), inner.to_owned())]);
}

#[test]
fn a_large_output_waits_compressed_and_comes_back_whole() {
    let row = "10.9.1.7/32   identity=7011 encryptkey=0 tunnelendpoint=0.0.0.0\n";
    let large = row.repeat(40_000);
    let stream = format!("\nstaledp: begin 1\n{large}\nstaledp: end 1 0\n");
    let mut unpacker = Unpacker::new();
    stream.as_bytes().chunks(50_000).for_each(|chunk| unpacker.take(chunk));
    let parts = unpacker.finish();
    let held = match &parts[0].2 {
        Output::Plain(bytes) | Output::Compressed(bytes) => bytes.len(),
    };
    assert!(held * 4 < large.len(), "{held} of {} bytes are held", large.len());
    assert!(text(&parts[0].2) == large);
}

#[test]
fn the_request_stays_short_enough_for_every_proxy() {
    let argv = argv(Dialect::default(), true, false);
    let encoded: usize =
        argv.iter().flat_map(|word| word.bytes()).map(|b| if b.is_ascii_alphanumeric() { 1 } else { 3 }).sum();
    assert!(encoded + argv.len() * "&command=".len() < 7_000, "{encoded} bytes");
}

#[test]
fn exit_codes_and_our_own_words_become_ends() {
    let words = ["cilium-dbg".to_owned(), "x".to_owned()];
    assert_eq!(end_of("3 10", &words), Some(End::Exited(3)));
    for said in ["what 3", "3", "124 soon"] {
        assert_eq!(end_of(said, &words), None);
    }
    for (said, says) in [("124 2", "`cilium-dbg x` did not end within 2s"), ("silent 2", "not asked")] {
        let Some(End::Failed(failure)) = end_of(said, &words) else { panic!("{said}") };
        assert!(failure.kind == FailureKind::Timeout && failure.message.starts_with(says), "{failure:?}");
    }
    assert!(matches!(end_of("never 10", &words), Some(End::NotGathered(_))));
}
