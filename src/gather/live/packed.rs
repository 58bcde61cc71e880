//! A large table crosses the wire compressed, where the container has a shell and gzip.
//!
//! Two programs run then, and both exit statuses are kept: gzip's is the command's own, and the table's comes last on
//! standard error. Neither a status that is missing nor a compressed stream without its end is ever taken for a table.

use std::io::{self, Write};

use flate2::write::GzDecoder;

use super::bounded::{CommandEnd, HeldOutput};
use crate::base::answer::End;
use crate::base::failure::{Failure, FailureKind};
use crate::gather::live::kube::{Cluster, Exec};

/// Runs its arguments through gzip. A fixed text: what is run comes as arguments, which no shell reads. There is no
/// `pipefail` in dash and older BusyBox, so the first status takes a way of its own.
const SCRIPT: &str = "command -v gzip >/dev/null 2>&1 || exit 127; \
    { \"$@\"; printf '\\nstaledp: exit status %s\\n' \"$?\" >&2; } | gzip -1 -c";
/// What stands before the status on standard error.
const MARK: &str = "\nstaledp: exit status ";

/// Why this way is closed, and the plain one is to be taken.
pub(super) struct CannotPack(pub(super) String);

/// Runs a command whose output is compressed in the container and unpacked here, as it comes. `exec.most` bounds the
/// output on the wire, and again when unpacked.
///
/// # Errors
///
/// Says why the container could not do it, or gave no compressed output. Some output may have come even then.
pub(super) async fn run(
    cluster: &Cluster,
    exec: &Exec<'_>,
    out: &mut HeldOutput<'_>,
) -> Result<CommandEnd, CannotPack> {
    let argv = wrap(exec.argv);
    let mut unpack = Unpack::new(out, exec.most);
    let ended = cluster.exec(&Exec { argv: &argv, ..*exec }, &mut |chunk| unpack.take(chunk)).await;
    let (crossed, became, whole) = unpack.finish();
    tracing::info!("fetched compressed from {}: {crossed} bytes on the wire, {became} unpacked", exec.pod);
    let mut outcome = CommandEnd::from(ended);
    match &mut outcome.end {
        End::Exited(0) => {}
        End::Exited(code) => return Err(CannotPack(format!("the shell or gzip ended with exit code {code}"))),
        End::Failed(failure) if outcome.lacks_program => return Err(CannotPack(failure.message.clone())),
        End::Failed(failure) => {
            // A person asked for the plain command.
            failure.message = failure.message.replace(&argv.join(" "), &exec.argv.join(" "));
            return Ok(outcome);
        }
        End::NotGathered(_) => return Ok(outcome),
    }
    whole.map_err(|error| CannotPack(error.to_string()))?;
    let Some((code, stderr)) = status(&outcome.stderr) else {
        return Err(CannotPack("no exit status received from the command".to_owned()));
    };
    let lacks_program = matches!(code, 126 | 127);
    Ok(CommandEnd { end: End::Exited(code), stderr: stderr.to_owned(), lacks_program, unanswered: false })
}

/// The failure if the plain command can't be tried any more, because output was passed on already.
pub(super) fn broken(CannotPack(why): CannotPack, outcome_of: &[String]) -> CommandEnd {
    let message = format!("the compressed output of `{}` is incomplete: {why}", outcome_of.join(" "));
    CommandEnd::failed(Failure::new(FailureKind::Truncated, message))
}

fn wrap(argv: &[String]) -> Vec<String> {
    ["sh", "-c", SCRIPT, "sh"].into_iter().map(str::to_owned).chain(argv.iter().cloned()).collect()
}

/// The status of the first program, and what it had to say itself.
fn status(stderr: &str) -> Option<(i32, &str)> {
    let at = stderr.rfind(MARK)?;
    let code = stderr[at + MARK.len()..].strip_suffix('\n')?.parse().ok()?;
    Some((code, &stderr[..at]))
}

/// Unpacks a stream as it comes.
struct Unpack<'h, 'o> {
    decoder: GzDecoder<Unpacked<'h, 'o>>,
    crossed: u64,
    broken: Option<io::Error>,
}

/// Where unpacked bytes go, up to a limit.
struct Unpacked<'h, 'o> {
    out: &'h mut HeldOutput<'o>,
    became: u64,
    most: u64,
}

impl Write for Unpacked<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.became += bytes.len() as u64;
        if self.became > self.most {
            return Err(io::Error::other(format!("it exceeds {} MiB", self.most >> 20)));
        }
        self.out.take(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'h, 'o> Unpack<'h, 'o> {
    fn new(out: &'h mut HeldOutput<'o>, most: u64) -> Self {
        Self { decoder: GzDecoder::new(Unpacked { out, became: 0, most }), crossed: 0, broken: None }
    }

    fn take(&mut self, chunk: &[u8]) {
        self.crossed += chunk.len() as u64;
        if self.broken.is_none() {
            self.broken = self.decoder.write_all(chunk).err();
        }
    }

    /// The bytes that crossed, what they became, and whether that is all, by gzip's own checksum and length.
    fn finish(mut self) -> (u64, u64, io::Result<()>) {
        let whole = match self.broken {
            Some(why) => Err(why),
            None => self.decoder.try_finish(),
        };
        (self.crossed, self.decoder.get_ref().became, whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Output};

    /// Runs the script for real, with this machine's shell and gzip.
    fn in_shell(shell: &[&str], argv: &[&str]) -> Output {
        let argv: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
        let wrapped = wrap(&argv);
        Command::new(shell[0]).args(&shell[1..]).args(&wrapped[1..]).output().expect("a shell")
    }

    fn unpacked(packed: &[u8], piece: usize, most: u64) -> (Vec<u8>, io::Result<()>) {
        let mut seen = Vec::new();
        let mut sink = |chunk: &[u8]| seen.extend_from_slice(chunk);
        let mut held = HeldOutput::new(&mut sink);
        let mut unpack = Unpack::new(&mut held, most);
        packed.chunks(piece).for_each(|chunk| unpack.take(chunk));
        let (crossed, _, whole) = unpack.finish();
        assert_eq!(crossed, packed.len() as u64);
        held.release();
        (seen, whole)
    }

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn both_statuses_and_every_byte_come_back_from_a_real_shell() {
        let shells: [&[&str]; 3] = [&["sh"], &["bash"], &["busybox", "sh"]];
        for shell in shells.into_iter().filter(|shell| Command::new(shell[0]).arg("--help").output().is_ok()) {
            for code in [0, 3, 127] {
                let script = format!("echo out; printf err >&2; exit {code}");
                let output = in_shell(shell, &["sh", "-c", &script]);
                assert_eq!(output.status.code(), Some(0), "gzip's own, in {shell:?}");
                let stderr = String::from_utf8(output.stderr).unwrap();
                assert_eq!(status(&stderr), Some((code, "err")), "{shell:?}");
                let (seen, whole) = unpacked(&output.stdout, 7, 1 << 20);
                assert!(seen == b"out\n" && whole.is_ok(), "{shell:?}: {whole:?}");
            }
            let output = in_shell(shell, &["no-such-program"]);
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(status(&stderr).map(|(code, _)| code), Some(127), "{shell:?}");
            let hostile = "$(exit 9); `exit 9` \"' | exit 9";
            let output = in_shell(shell, &["printf", "%s", hostile]);
            assert_eq!(unpacked(&output.stdout, 99, 1 << 20).0, hostile.as_bytes(), "no shell reads the arguments");
        }
    }

    #[test]
    fn without_gzip_nothing_is_run() {
        let wrapped = wrap(&["echo".to_owned(), "ran".to_owned()]);
        let output = Command::new("/bin/sh").args(&wrapped[1..]).env("PATH", "/nowhere").output().unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(127), &b""[..]));
    }

    #[test]
    fn a_cut_anywhere_is_seen() {
        let text = "UDP OUT 10.0.0.1:1 -> 10.0.0.2:53 expires=5\n".repeat(300);
        let stream = packed(text.as_bytes());
        let (seen, whole) = unpacked(&stream, 13, 1 << 20);
        assert!(seen == text.into_bytes() && whole.is_ok(), "{whole:?}");
        for cut in 0..stream.len() {
            assert!(unpacked(&stream[..cut], 1000, 1 << 20).1.is_err(), "cut after {cut} of {} bytes", stream.len());
        }
    }

    #[test]
    fn garbage_a_wrong_byte_and_a_bomb_are_refused() {
        assert!(unpacked(b"UDP OUT 10.0.0.1:1 -> 10.0.0.2:53", 8, 1 << 20).1.is_err());
        let mut damaged = packed(b"some text");
        let checksum = damaged.len() - 6;
        damaged[checksum] ^= 1;
        assert!(unpacked(&damaged, 8, 1 << 20).1.is_err(), "the checksum");
        let more = [packed(b"some text"), b"more".to_vec()].concat();
        assert!(unpacked(&more, 8, 1 << 20).1.is_err(), "what follows the end");
        let (seen, whole) = unpacked(&packed(&vec![b'x'; 8 << 20]), 1 << 20, 1 << 20);
        assert!(whole.is_err_and(|why| why.to_string().contains("exceeds 1 MiB")));
        assert!(seen.len() <= 1 << 20, "what is beyond the limit goes nowhere");
    }

    #[test]
    fn a_status_counts_only_as_the_last_word() {
        assert_eq!(status("\nstaledp: exit status 0\n"), Some((0, "")));
        assert_eq!(
            status("a\nstaledp: exit status 1\n\nstaledp: exit status 2\n"),
            Some((2, "a\nstaledp: exit status 1\n"))
        );
        for lost in ["", "x", "\nstaledp: exit status \n", "\nstaledp: exit status 0", "\nstaledp: exit status 0\nx\n"]
        {
            assert_eq!(status(lost), None, "{lost:?}");
        }
    }
}
