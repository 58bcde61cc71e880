//! The two scripts that the program asks a container's shell to run: a command through gzip, and one after a list of
//! the tools that are there.

use std::io::Write as _;

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
