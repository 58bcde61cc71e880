//! Runs the real program, under a deadline: a test that hangs tells nobody anything.

#[path = "schema.rs"]
mod schema;

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How often the program is looked at: its peak memory can only be read while it runs.
const GLANCE: Duration = Duration::from_millis(3);

/// A run that is being prepared.
#[derive(Debug)]
pub(crate) struct Run {
    command: Command,
    deadline: Duration,
    /// The program's home; it ends with the run.
    home: tempfile::TempDir,
}

/// A run that goes on.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stdout: Pipe,
    stderr: Pipe,
    begin: Instant,
    deadline: Duration,
    command: String,
    _home: tempfile::TempDir,
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The exit code; none after a signal.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
    /// How long it took.
    pub(crate) elapsed: Duration,
    /// The most memory it held, in KiB, as last seen while it ran; none where the system does not say.
    pub(crate) peak_kib: Option<u64>,
}

/// A run of the program with these arguments, in an empty environment and with an empty home.
pub(crate) fn staledp<I: IntoIterator<Item: AsRef<str>>>(args: I) -> Run {
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_staledp"));
    for arg in args {
        command.arg(arg.as_ref());
    }
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home.path())
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Run { command, deadline: Duration::from_secs(60), home }
}

impl Run {
    /// With an environment variable.
    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.command.env(key, value);
        self
    }

    /// With a deadline other than a minute.
    pub(crate) fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Starts it.
    pub(crate) fn start(mut self) -> Running {
        let mut child = self.command.spawn().expect("the program starts");
        let stdout = drain(child.stdout.take());
        let stderr = drain(child.stderr.take());
        Running {
            child,
            stdout,
            stderr,
            begin: Instant::now(),
            deadline: self.deadline,
            command: format!("{:?}", self.command),
            _home: self.home,
        }
    }

    /// Starts it with this as standard output, and without a deadline.
    pub(crate) fn into_pipe(mut self, pipe: std::io::PipeWriter) -> (Child, tempfile::TempDir) {
        let mut child = self.command.stdout(pipe).spawn().expect("the program starts");
        drop(drain(child.stderr.take()));
        (child, self.home)
    }

    /// Starts it with standard output in the caller's hands, and without a deadline.
    pub(crate) fn by_hand(mut self) -> (Child, tempfile::TempDir) {
        let mut child = self.command.spawn().expect("the program starts");
        drop(drain(child.stderr.take()));
        (child, self.home)
    }

    /// Starts it and waits for its end.
    pub(crate) fn run(self) -> Outcome {
        self.start().wait()
    }
}

impl Running {
    /// Interrupts it, as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal was sent");
    }

    /// Asks it to end, as Kubernetes does.
    pub(crate) fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal was sent");
    }

    /// Kills it, as nothing can be caught.
    pub(crate) fn kill(&self) {
        let sent = Command::new("kill").args(["-KILL", &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal was sent");
    }

    /// What it has said on standard error so far.
    pub(crate) fn so_far(&self) -> String {
        self.stderr.so_far()
    }

    /// Waits until it has said this on standard error, however its lines are folded; panics when that takes too long.
    pub(crate) fn wait_until_it_says(&self, patience: Duration, words: &str) {
        let deadline = Instant::now() + patience;
        while !unfolded(&self.stderr.so_far()).contains(words) {
            assert!(Instant::now() < deadline, "it did not say {words:?}, but:\n{}", self.stderr.so_far());
            std::thread::sleep(GLANCE);
        }
    }

    /// Waits for its end; kills it and panics when the deadline passes.
    pub(crate) fn wait(mut self) -> Outcome {
        let mut peak_kib = None;
        let status = loop {
            // Before the look at its end: the last glance is then as late as can be.
            peak_kib = peak_memory(self.child.id()).max(peak_kib);
            if let Some(status) = self.child.try_wait().expect("the program can be waited for") {
                break status;
            }
            if self.begin.elapsed() > self.deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                let (stdout, stderr) = (self.stdout.end(), self.stderr.end());
                panic!(
                    "{} hangs: it did not end within {:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}",
                    self.command, self.deadline,
                );
            }
            std::thread::sleep(GLANCE);
        };
        let elapsed = self.begin.elapsed();
        let (stdout, stderr) = (self.stdout.end(), self.stderr.end());
        Outcome { code: status.code(), stdout, stderr, elapsed, peak_kib }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that gave up must not leave its program behind; for one that has ended these are errors.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Outcome {
    /// Panics with all that was said unless it ended with this code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "the exit code\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// Standard output as a JSON report; one of a diagnosis or a gate must be by the published schema.
    #[track_caller]
    pub(crate) fn report(&self) -> Report {
        let report: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("no JSON on standard output: {error}\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr)
        });
        if report["schema"] == staledp::report::SCHEMA || report["schema"] == staledp::report::gate::SCHEMA {
            schema::check(&report);
        }
        Report(report)
    }
}

/// A JSON report.
#[derive(Debug)]
pub(crate) struct Report(pub(crate) Value);

impl Report {
    /// A node's entry.
    #[track_caller]
    pub(crate) fn node(&self, name: &str) -> &Value {
        let nodes = self.0["nodes"].as_array().expect("nodes");
        nodes.iter().find(|node| node["node"] == name).unwrap_or_else(|| panic!("no {name} in {:#}", self.0))
    }

    /// The code of a node's verdict.
    #[track_caller]
    pub(crate) fn code(&self, node: &str) -> &str {
        self.node(node)["verdict"]["code"].as_str().expect("a code")
    }

    /// A node's check.
    #[track_caller]
    pub(crate) fn check(&self, node: &str, id: &str) -> &Value {
        let checks = self.node(node)["checks"].as_array().expect("checks");
        checks.iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("no {id} in {:#}", self.0))
    }
}

/// Text on one line, with single spaces.
pub(crate) fn unfolded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What comes out of a pipe, read as it comes.
#[derive(Debug, Default)]
struct Pipe {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Pipe {
    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// All of it.
    fn end(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the pipe was read");
        }
        self.so_far()
    }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> Pipe {
    let Some(mut pipe) = pipe else { return Pipe::default() };
    let bytes = Arc::<Mutex<Vec<u8>>>::default();
    let reader = std::thread::spawn({
        let bytes = Arc::clone(&bytes);
        move || {
            let mut piece = vec![0; 64 << 10];
            while let Ok(length @ 1..) = pipe.read(&mut piece) {
                bytes.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..length]);
            }
        }
    });
    Pipe { bytes, reader: Some(reader) }
}

fn peak_memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
