//! Many small pieces of evidence in one exec: the agent's container runs one command after the other, and this file
//! separates their outputs.
//!
//! What reads the kernel's maps comes first. An agent that lets one command's time go by is asked one more, with 2 s, and then
//! no further one. What is recorded are the plain commands. Without a shell, or without `timeout`, they are asked one by one.

use std::io::{self, Read as _, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::{GzDecoder as GzUnpack, GzEncoder};

use super::dialect::Dialect;
use crate::base::answer::{Answer, End};
use crate::base::evidence::Evidence;
use crate::base::failure::{Failure, FailureKind};
use crate::gather::Sink;

/// Runs its arguments, each command behind how it is to be run, its limit in seconds and the number of its words, with a line
/// before and behind what each says. A fixed text: the words come as arguments, which no shell reads. `counters` stands for
/// a command that is harmless only where the agent does not preallocate its maps. It writes no file.
///
/// Each command leads a session of its own, where there is `setsid`. BusyBox's `timeout` ends the command alone: a child that
/// it leaves behind would hold the output open, so all that is left of the session is killed.
const SCRIPT: &str = r#"command -v timeout >/dev/null 2>&1 || exit 127
session=; if command -v setsid >/dev/null 2>&1; then session=setsid; fi
all() {
  k=0; silent=0
  while [ $# -gt 2 ]; do
    kind=$1; limit=$2; n=$3; shift 3; k=$((k+1)); i=1; words=
    while [ "$i" -le "$n" ]; do words="$words \"\${$i}\""; i=$((i+1)); done
    printf '\nstaledp: begin %s\n' "$k"; printf '\nstaledp: stderr %s\n' "$k" >&2
    run=yes
    if [ "$kind" = agent ] && [ "$silent" -gt 0 ]; then limit=2; fi
    if [ "$kind" = agent ] && [ "$silent" -gt 1 ]; then run=silent; fi
    if [ "$kind" = counters ] && [ "$(cat /tmp/cilium/config-map/preallocate-bpf-maps 2>/dev/null)" != false ]; then run=never; fi
    if [ "$run" = yes ]; then
      eval "exec $session timeout -k 1 $limit $words" </dev/null & leader=$!
      wait "$leader"; run=$?
      case "$session $run" in "setsid 124"|"setsid 137"|"setsid 143") kill -9 "-$leader" 2>/dev/null ;; esac
      case "$kind $run" in "agent 124"|"agent 137"|"agent 143") silent=$((silent+1)) ;; esac
    fi
    printf '\nstaledp: end %s %s %s\n' "$k" "$run" "$limit"
    shift "$n"
  done
}
pack=$1; shift
if [ "$pack" = gzip ] && command -v gzip >/dev/null 2>&1; then all "$@" | gzip -1 -c; else all "$@"; fi"#;
/// What stands before the number of a command whose output begins.
const BEGIN: &[u8] = b"\nstaledp: begin ";
/// What stands before the number of a command that ended, its exit code and the limit that it had, in seconds.
const FINISH: &[u8] = b"\nstaledp: end ";
/// What stands on standard error before the number of the command whose words follow.
const STDERR: &str = "\nstaledp: stderr ";
/// The longest line of ours, in bytes.
const LONGEST_LINE: usize = 64;
/// Output beyond this, in bytes, is kept compressed until it is read.
const PLAIN: usize = 256 << 10;
/// The most of all output together, in bytes.
pub(super) const MOST: u64 = 256 << 20;

/// How long a command that reads the kernel's maps may take, in seconds.
const KERNEL_S: u64 = 10;
/// How long the first command that needs an agent that answers may take, in seconds.
const AGENT_S: u64 = 3;
/// How long the next one may take after one that an agent did not answer in time, in seconds; as the script says.
pub(super) const AGENT_AGAIN_S: u64 = 2;
/// After so many that it did not answer in time, an agent is asked no further one; as the script says.
pub(super) const GIVEN_UP: u32 = 2;

/// How a command is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PackedKind {
    /// It needs no agent.
    Kernel,
    /// It asks the agent.
    Agent,
    /// It reads the drop counters of an agent that may preallocate its maps.
    Counters,
}

/// The evidence that is asked for together, in this order.
const PACKED: [Evidence; 17] = [
    Evidence::BpfMetrics,
    Evidence::BpfEndpointList,
    Evidence::IpcacheList,
    Evidence::LbList,
    Evidence::AttachedPrograms,
    Evidence::LinkList,
    Evidence::CgroupTree,
    Evidence::Mounts,
    Evidence::HostFirewall,
    Evidence::HostFirewallV6,
    Evidence::KernelBtf,
    Evidence::AgentConfig,
    Evidence::EndpointList,
    Evidence::AgentStatus,
    Evidence::MapGetLxc,
    Evidence::MapGetIpcache,
    Evidence::ConfigDrift,
];

/// Whether this is asked together with others.
pub(super) fn is_packed(evidence: Evidence) -> bool {
    PACKED.contains(&evidence)
}

/// Everything that is asked together.
pub(super) fn all() -> impl Iterator<Item = Evidence> {
    PACKED.into_iter()
}

/// Whether a command asks the agent itself, so that one that hangs lets it hang, too.
pub(super) const fn needs_agent(evidence: Evidence) -> bool {
    matches!(
        evidence,
        Evidence::EndpointList
            | Evidence::AgentStatus
            | Evidence::MapGetLxc
            | Evidence::MapGetIpcache
            | Evidence::ConfigDrift
            | Evidence::ServiceList
    )
}

/// Why the drop counters of some agents are left alone.
pub(super) const HARMFUL: &str = "reading the drop counters would replace the kernel's table of them: Cilium 1.18 does so \
                                  where the agent preallocates its maps";

/// Why an agent that hangs is asked no further command.
pub(super) const SILENT: &str = "not asked: the agent did not answer two other commands in time";

const fn kind(evidence: Evidence, counters_are_harmless: bool) -> PackedKind {
    match evidence {
        Evidence::BpfMetrics if !counters_are_harmless => PackedKind::Counters,
        _ if needs_agent(evidence) => PackedKind::Agent,
        _ => PackedKind::Kernel,
    }
}

/// The whole command. `counters_are_harmless` says that the release is known to only read them.
pub(super) fn argv(dialect: Dialect, compress: bool, counters_are_harmless: bool) -> Vec<String> {
    let mut argv: Vec<String> = ["sh", "-c", SCRIPT, "sh"].map(str::to_owned).to_vec();
    argv.push(if compress { "gzip" } else { "plain" }.to_owned());
    for evidence in PACKED {
        let words = dialect.argv(evidence);
        let (kind, limit) = match kind(evidence, counters_are_harmless) {
            PackedKind::Kernel => ("kernel", KERNEL_S),
            PackedKind::Agent => ("agent", AGENT_S),
            PackedKind::Counters => ("counters", KERNEL_S),
        };
        argv.extend([kind.to_owned(), limit.to_string(), words.len().to_string()]);
        argv.extend(words);
    }
    argv
}

/// What one of the commands said.
#[derive(Debug)]
pub(super) struct PackedAnswer {
    /// How it ended, with its standard error.
    pub(super) answer: Answer,
    output: Output,
}

/// An output that waits to be read.
#[derive(Debug)]
enum Output {
    Plain(Vec<u8>),
    Compressed(Vec<u8>),
}

impl PackedAnswer {
    /// The same failure for a command of which nothing came.
    pub(super) fn failed(argv: Vec<String>, failure: Failure) -> Self {
        let answer = Answer { argv, end: End::Failed(failure), ..Answer::not_gathered("") };
        Self { answer, output: Output::Plain(Vec::new()) }
    }

    /// Hands the output to `out`, piece by piece.
    pub(super) fn pour(&self, out: Sink<'_>) {
        match &self.output {
            Output::Plain(bytes) => out(bytes),
            Output::Compressed(bytes) => {
                let mut unpack = GzDecoder::new(bytes.as_slice());
                let mut piece = vec![0; PLAIN];
                while let Ok(length @ 1..) = unpack.read(&mut piece) {
                    out(piece.get(..length).unwrap_or_default());
                }
            }
        }
    }
}

/// Takes the stream apart as it comes, whether it is compressed or not.
pub(super) struct Unpacker {
    form: Form,
}

enum Form {
    /// Not known before its first bytes.
    Unknown(Vec<u8>),
    Plain(Splitter),
    Gzip(Box<GzUnpack<Splitter>>),
    /// It cannot be read further.
    Broken(Splitter),
}

impl Unpacker {
    pub(super) const fn new() -> Self {
        Self { form: Form::Unknown(Vec::new()) }
    }

    pub(super) fn take(&mut self, chunk: &[u8]) {
        self.form = match std::mem::replace(&mut self.form, Form::Unknown(Vec::new())) {
            Form::Unknown(mut early) => {
                early.extend_from_slice(chunk);
                match early.as_slice() {
                    [0x1f, 0x8b, ..] => gunzip(Box::new(GzUnpack::new(Splitter::default())), &early),
                    [_, _, ..] => {
                        let mut splitter = Splitter::default();
                        splitter.feed(&early);
                        Form::Plain(splitter)
                    }
                    _ => Form::Unknown(early),
                }
            }
            Form::Plain(mut splitter) => {
                splitter.feed(chunk);
                Form::Plain(splitter)
            }
            Form::Gzip(unpack) => gunzip(unpack, chunk),
            Form::Broken(splitter) => Form::Broken(splitter),
        };
    }

    /// What the commands said of which all came, by their place in the pack, counted from 1.
    fn finish(self) -> Vec<(usize, String, Output)> {
        match self.form {
            Form::Unknown(_) => Vec::new(),
            Form::Plain(splitter) | Form::Broken(splitter) => splitter.done,
            Form::Gzip(mut unpack) => {
                let _ = unpack.try_finish();
                std::mem::take(&mut unpack.get_mut().done)
            }
        }
    }

    /// The answers by evidence; those that did not come whole are left out.
    pub(super) fn answers(self, dialect: Dialect, stderr: &str) -> Vec<(Evidence, PackedAnswer)> {
        let words = stderr_by_place(stderr);
        let done = self.finish().into_iter().filter_map(|(place, code, output)| {
            let evidence = *PACKED.get(place.checked_sub(1)?)?;
            let argv = dialect.argv(evidence);
            let end = end_of(&code, &argv)?;
            let said = words.iter().find(|(at, _)| *at == place).map(|(_, text)| (*text).to_owned());
            let answer = Answer { argv, end, stderr: said.unwrap_or_default(), ..Answer::not_gathered("") };
            Some((evidence, PackedAnswer { answer, output }))
        });
        done.collect()
    }
}

fn gunzip(mut unpack: Box<GzUnpack<Splitter>>, chunk: &[u8]) -> Form {
    match unpack.write_all(chunk) {
        Ok(()) => Form::Gzip(unpack),
        Err(error) => {
            tracing::debug!("the pack of evidence is not readable: {error}");
            Form::Broken(std::mem::take(unpack.get_mut()))
        }
    }
}

/// What an exit code, or a word of ours in its place, means; behind it stands the limit.
fn end_of(said: &str, argv: &[String]) -> Option<End> {
    let late = |why: String| End::Failed(Failure::new(FailureKind::Timeout, why));
    let (code, limit) = said.split_once(' ')?;
    let limit: u64 = limit.parse().ok()?;
    Some(match code {
        "never" => End::NotGathered(HARMFUL.to_owned()),
        "silent" => late(SILENT.to_owned()),
        "124" | "137" | "143" => late(format!("`{}` did not end within {limit}s", argv.join(" "))),
        code => End::Exited(code.parse().ok()?),
    })
}

/// Standard error, by the place of the command that wrote it.
fn stderr_by_place(stderr: &str) -> Vec<(usize, &str)> {
    let parts = stderr.split(STDERR).skip(1).filter_map(|part| part.split_once('\n'));
    parts.filter_map(|(place, text)| Some((place.parse().ok()?, text))).collect()
}

/// Splits the stream at our own lines. Holds one output, and the few bytes that may be the beginning of such a line.
#[derive(Default)]
struct Splitter {
    /// Which command's output comes, and what came of it.
    open: Option<(usize, Gathered)>,
    /// Bytes that are not sorted yet.
    rest: Vec<u8>,
    done: Vec<(usize, String, Output)>,
    all: u64,
}

impl Write for Splitter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.all += bytes.len() as u64;
        if self.all > MOST {
            return Err(io::Error::other(format!("it is longer than {} MiB", MOST >> 20)));
        }
        self.feed(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Splitter {
    fn feed(&mut self, chunk: &[u8]) {
        self.rest.extend_from_slice(chunk);
        while self.step() {}
    }

    /// Sorts up to the next line of ours; false where more has to come first.
    fn step(&mut self) -> bool {
        let mark = if self.open.is_some() { FINISH } else { BEGIN };
        let Some(at) = memchr::memmem::find(&self.rest, mark) else {
            // Its end may be the beginning of our line.
            let sure = self.rest.len().saturating_sub(mark.len());
            self.pass(sure);
            return false;
        };
        let behind = self.rest.get(at + mark.len()..).unwrap_or_default();
        let Some(length) = memchr::memchr(b'\n', behind) else {
            if behind.len() > LONGEST_LINE {
                self.pass(at + 1);
                return true;
            }
            self.pass(at);
            return false;
        };
        let line = String::from_utf8_lossy(behind.get(..length).unwrap_or_default()).into_owned();
        let ours = match &self.open {
            Some((place, _)) => line.strip_prefix(&format!("{place} ")).map(|code| (*place, Some(code.to_owned()))),
            None => line.parse().ok().map(|place| (place, None)),
        };
        let Some((place, code)) = ours else {
            self.pass(at + 1);
            return true;
        };
        self.pass(at);
        self.rest.drain(..=(mark.len() + length));
        match (code, self.open.take()) {
            (Some(code), Some((_, gathered))) => self.done.push((place, code, gathered.finish())),
            _ => self.open = Some((place, Gathered::default())),
        }
        true
    }

    /// Passes on so many bytes.
    fn pass(&mut self, length: usize) {
        let passed = self.rest.drain(..length.min(self.rest.len()));
        if let Some((_, gathered)) = &mut self.open {
            gathered.add(passed.as_slice());
        }
    }
}

/// An output as it comes: plain while it is small.
#[derive(Default)]
struct Gathered {
    plain: Vec<u8>,
    compressed: Option<GzEncoder<Vec<u8>>>,
}

impl Gathered {
    fn add(&mut self, bytes: &[u8]) {
        if let Some(encoder) = &mut self.compressed {
            // Writing to memory does not fail.
            let _ = encoder.write_all(bytes);
            return;
        }
        self.plain.extend_from_slice(bytes);
        if self.plain.len() > PLAIN {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            let _ = encoder.write_all(&self.plain);
            self.plain = Vec::new();
            self.compressed = Some(encoder);
        }
    }

    fn finish(self) -> Output {
        match self.compressed {
            Some(encoder) => Output::Compressed(encoder.finish().unwrap_or_default()),
            None => Output::Plain(self.plain),
        }
    }
}

#[cfg(test)]
#[path = "pack/tests.rs"]
mod tests;
