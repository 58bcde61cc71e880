//! A large file is read, or inflated, beside the pass over it: one thread fetches the next chunk while the other works
//! on the last. Memory stays at a few chunks, whatever the size.

use std::io::{self, Read};
use std::sync::mpsc;
use std::thread;

/// How much is read at once, in bytes: few hand-overs, and a chunk still fits the cache of a core.
const CHUNK: usize = 256 << 10;

/// How many chunks are on their way at most.
const CHUNKS: usize = 3;

/// Reads to the end and hands over every chunk, in order, on the thread of the caller. What is smaller than one chunk
/// needs no second thread.
///
/// # Errors
///
/// What the reader says, after all that it gave before; or what `each` says, and then nothing more is handed over.
pub fn read_ahead(mut from: impl Read + Send, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let first = fetch(&mut from, Vec::with_capacity(CHUNK));
    if first.ended() {
        return first.hand_to(&mut each).1;
    }
    let (fetched, arriving) = mpsc::sync_channel(CHUNKS);
    let (returned, spare) = mpsc::channel::<Vec<u8>>();
    thread::scope(move |scope| {
        scope.spawn(move || {
            // Either end hangs up where it is done, and the other follows.
            while let Ok(buffer) = spare.recv() {
                let next = fetch(&mut from, buffer);
                let last = next.ended();
                if fetched.send(next).is_err() || last {
                    return;
                }
            }
        });
        for _ in 1..CHUNKS {
            let _ = returned.send(Vec::with_capacity(CHUNK));
        }
        let mut next = first;
        loop {
            let last = next.ended();
            let (buffer, result) = next.hand_to(&mut each);
            if last || result.is_err() {
                return result;
            }
            let _ = returned.send(buffer);
            match arriving.recv() {
                Ok(chunk) => next = chunk,
                Err(_) => return Err(io::Error::other("the reader's thread ended early")),
            }
        }
    })
}

/// A chunk, and how reading it went.
struct Fetched {
    bytes: Vec<u8>,
    result: io::Result<()>,
}

impl Fetched {
    /// Nothing follows.
    fn ended(&self) -> bool {
        self.result.is_err() || self.bytes.len() < CHUNK
    }

    /// Hands the bytes over, then what came after them; gives the buffer back.
    fn hand_to(self, each: &mut impl FnMut(&[u8]) -> io::Result<()>) -> (Vec<u8>, io::Result<()>) {
        let Self { bytes, result } = self;
        let result = if bytes.is_empty() { result } else { each(&bytes).and(result) };
        (bytes, result)
    }
}

/// Fills a buffer, unless the end or an error comes first.
fn fetch(from: &mut impl Read, mut bytes: Vec<u8>) -> Fetched {
    bytes.clear();
    let result = from.take(CHUNK as u64).read_to_end(&mut bytes).map(|_| ());
    Fetched { bytes, result }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in uneven pieces, and then an error, if it has one.
    struct Pieces<'a> {
        bytes: &'a [u8],
        error: Option<io::Error>,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let many = (self.bytes.len() % 1009 + 1).min(self.bytes.len()).min(buffer.len());
            if many == 0
                && let Some(error) = self.error.take()
            {
                return Err(error);
            }
            buffer[..many].copy_from_slice(&self.bytes[..many]);
            self.bytes = &self.bytes[many..];
            Ok(many)
        }
    }

    fn bytes(many: usize) -> Vec<u8> {
        (0..=250_u8).cycle().take(many).collect()
    }

    fn read(bytes: &[u8], error: Option<io::Error>) -> (Vec<u8>, io::Result<()>) {
        let mut seen = Vec::new();
        let result = read_ahead(Pieces { bytes, error }, |chunk| {
            assert!(chunk.len() <= CHUNK && !chunk.is_empty());
            seen.extend_from_slice(chunk);
            Ok(())
        });
        (seen, result)
    }

    #[test]
    fn every_byte_arrives_once_and_in_order_whatever_the_size() {
        for many in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 9 * CHUNK + 7] {
            let bytes = bytes(many);
            let (seen, result) = read(&bytes, None);
            assert!(result.is_ok() && seen == bytes, "{many} bytes");
        }
    }

    #[test]
    fn an_error_comes_behind_what_was_read_before_it() {
        for many in [0, 5, CHUNK, 5 * CHUNK + 3] {
            let bytes = bytes(many);
            let (seen, result) = read(&bytes, Some(io::Error::other("torn")));
            assert_eq!(result.unwrap_err().to_string(), "torn", "{many} bytes");
            assert!(seen == bytes, "{many} bytes");
        }
    }

    #[test]
    fn whoever_has_had_enough_ends_it() {
        let bytes = bytes(20 * CHUNK);
        let mut chunks = 0;
        let result = read_ahead(&bytes[..], |_| {
            chunks += 1;
            if chunks == 3 { Err(io::Error::other("enough")) } else { Ok(()) }
        });
        assert_eq!((result.unwrap_err().to_string().as_str(), chunks), ("enough", 3));
    }
}
