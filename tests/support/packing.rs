//! The scripts that the program asks a container's shell to run: a command through gzip, one after a list of the tools that
//! are there, and many commands one after the other.

use std::io::Write as _;
use std::time::Duration;

use super::world::{End, ExecReply, Output};

/// What the agent's container has to compress with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Packing {
    /// A shell and gzip.
    #[default]
    Gzip,
    /// A shell alone.
    NoGzip,
    /// Not even a shell.
    NoShell,
    /// A gzip that breaks off after this many bytes, and says that all went well.
    Cut(usize),
    /// Something called gzip that passes on what it gets.
    Passes,
    /// A gzip that is killed after all its output.
    Killed,
}

/// The command behind `sh -c '… | gzip -1 -c' sh …`.
pub(crate) fn packed(argv: &[String]) -> Option<&[String]> {
    match argv {
        [sh, c, script, _, rest @ ..] if sh == "sh" && c == "-c" && script.ends_with("| gzip -1 -c") => Some(rest),
        _ => None,
    }
}

/// The tools that are looked for, and the command behind `sh -c 'for tool in …; do …' sh timeout 8 …`.
pub(crate) fn after_list(argv: &[String]) -> Option<(Vec<&str>, &[String])> {
    match argv {
        [sh, c, script, _, rest @ ..] if sh == "sh" && c == "-c" => {
            let (tools, _) = script.strip_prefix("for tool in ")?.split_once(';')?;
            Some((tools.split(' ').collect(), rest))
        }
        _ => None,
    }
}

/// What the shell answers that has these tools, where the command itself answers so.
pub(crate) fn reply_after_list(tools: &[&str], mut reply: ExecReply) -> ExecReply {
    let mut stderr: Vec<u8> = tools.iter().flat_map(|tool| format!("staledp: has {tool}\n").into_bytes()).collect();
    stderr.extend(b"staledp: has no more\n");
    stderr.extend(reply.stderr.pieces(1 << 20).flatten());
    reply.stderr = Output::Bytes(stderr.into());
    if matches!(reply.end, End::MissingBinary) {
        reply.end = End::Exit(127);
    }
    reply
}

/// One command of many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InPack {
    /// `kernel`, `agent` or `counters`.
    pub(crate) kind: String,
    /// Its limit.
    pub(crate) limit: Duration,
    /// The plain command.
    pub(crate) argv: Vec<String>,
}

/// The commands behind `sh -c 'command -v timeout …' sh gzip …`, and whether they are compressed.
pub(crate) fn pack(argv: &[String]) -> Option<(bool, Vec<InPack>)> {
    let [sh, c, script, _, form, rest @ ..] = argv else { return None };
    if sh != "sh" || c != "-c" || !script.contains("staledp: begin") {
        return None;
    }
    let mut commands = Vec::new();
    let mut rest = rest;
    while let [kind, limit, words, behind @ ..] = rest {
        let words: usize = words.parse().expect("a number of words");
        let (argv, behind) = behind.split_at(words);
        let limit = Duration::from_secs(limit.parse().expect("a limit"));
        commands.push(InPack { kind: kind.clone(), limit, argv: argv.to_vec() });
        rest = behind;
    }
    Some((form == "gzip", commands))
}

/// What the shell says that runs many commands, where each by itself answers so. One that hangs is ended by its bound; after
/// an agent that hangs twice no further command of the agent's is run.
pub(crate) fn reply_to_pack(
    packing: Packing,
    (compress, commands): (bool, Vec<InPack>),
    plain: impl Fn(&[String]) -> ExecReply,
) -> ExecReply {
    if packing == Packing::NoShell {
        return ExecReply::missing();
    }
    let (mut stdout, mut stderr, mut delay, mut silent) = (Vec::new(), Vec::new(), Duration::ZERO, 0);
    for (place, InPack { kind, limit, argv }) in (1..).zip(commands) {
        stdout.extend(format!("\nstaledp: begin {place}\n").bytes());
        stderr.extend(format!("\nstaledp: stderr {place}\n").bytes());
        let limit = if kind == "agent" && silent > 0 { Duration::from_secs(2) } else { limit };
        let code = if kind == "agent" && silent > 1 {
            "silent".to_owned()
        } else if kind == "counters" {
            "never".to_owned()
        } else {
            let reply = plain(&argv);
            let hangs = matches!(reply.end, End::Silence | End::NoHandshake) || reply.delay >= limit;
            delay += if hangs { limit } else { reply.delay };
            if hangs {
                silent += usize::from(kind == "agent");
                "124".to_owned()
            } else {
                stdout.extend(reply.stdout.pieces(1 << 20).flatten());
                stderr.extend(reply.stderr.pieces(1 << 20).flatten());
                match reply.end {
                    End::Exit(code) => code.to_string(),
                    End::MissingBinary => "127".to_owned(),
                    _ => "126".to_owned(),
                }
            }
        };
        stdout.extend(format!("\nstaledp: end {place} {code} {}\n", limit.as_secs()).bytes());
    }
    if compress && !matches!(packing, Packing::NoGzip | Packing::Passes) {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&stdout).expect("memory takes it");
        stdout = encoder.finish().expect("memory takes it");
        if let Packing::Cut(length) = packing {
            stdout.truncate(length);
        }
    }
    let code = if packing == Packing::Killed { 137 } else { 0 };
    let mut reply = ExecReply::ends(Output::Bytes(stdout.into()), End::Exit(code));
    reply.stderr = Output::Bytes(stderr.into());
    reply.delay = delay;
    reply
}

/// What the shell answers where the command itself answers so.
pub(crate) fn reply(packing: Packing, plain: impl FnOnce() -> ExecReply) -> ExecReply {
    match packing {
        Packing::NoShell => return ExecReply::missing(),
        Packing::NoGzip => return ExecReply::fails(127, ""),
        _ => {}
    }
    let mut reply = plain();
    let code = match reply.end {
        End::Exit(code) => code,
        End::MissingBinary => 127,
        _ => 0,
    };
    let mut stderr: Vec<u8> = reply.stderr.pieces(1 << 20).flatten().collect();
    if matches!(reply.end, End::Exit(_) | End::MissingBinary) {
        stderr.extend(format!("\nstaledp: exit status {code}\n").bytes());
        reply.end = End::Exit(if packing == Packing::Killed { 137 } else { 0 });
    }
    reply.stderr = Output::Bytes(stderr.into());
    if packing == Packing::Passes {
        return reply;
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for piece in reply.stdout.pieces(1 << 20) {
        encoder.write_all(&piece).expect("memory takes it");
    }
    let mut bytes = encoder.finish().expect("memory takes it");
    if let Packing::Cut(length) = packing {
        bytes.truncate(length);
    }
    reply.stdout = Output::Bytes(bytes.into());
    reply
}
