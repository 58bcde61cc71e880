//! Standard output that nobody reads.

use std::fs;
use std::io::{self, PipeReader, Write as _};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A pipe that is full, for a program's standard output, and its other end: while that is held, the program waits.
pub(crate) fn full_pipe() -> (io::PipeWriter, PipeReader) {
    let (reader, writer) = io::pipe().expect("a pipe");
    let mut fill = writer.try_clone().expect("a pipe can be shared");
    // However much a pipe holds here, this thread ends in waiting; with the reader it ends.
    std::thread::spawn(move || while fill.write_all(&[b'#'; 4096]).is_ok() {});
    std::thread::sleep(Duration::from_millis(100));
    (writer, reader)
}

/// Waits until the program handles SIGINT and SIGTERM itself.
#[track_caller]
pub(crate) fn wait_until_it_handles_signals(child: &Child) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let handles = || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default();
        // Bit n - 1 is signal n: 2 and 15.
        u64::from_str_radix(caught.trim(), 16).is_ok_and(|caught| caught & 0x4002 == 0x4002)
    };
    while !handles() {
        assert!(Instant::now() < deadline, "it does not handle signals");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal, by its name.
#[track_caller]
pub(crate) fn send(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "the signal was sent");
}

/// Waits for the end; the exit code, and how long it took. A program that hangs is killed.
#[track_caller]
pub(crate) fn end(child: &mut Child, patience: Duration) -> (Option<i32>, Duration) {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("the program can be waited for") {
            return (status.code(), begun.elapsed());
        }
        if begun.elapsed() > patience {
            let _ = child.kill();
            let _ = child.wait();
            panic!("it did not end within {patience:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
