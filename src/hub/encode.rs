//! Content codings of what is kept: a body is encoded once for all who ask, beside the requests.
//!
//! Whoever asks first for a kept answer in a coding gets it as it is, and has it encoded for those who ask next:
//! nobody waits for an encoder, and nothing is encoded that is asked for once.

use std::io::{self, Read, Write};
use std::slice;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL};
use shapegate_core::coding::Coding;
use tokio::sync::Semaphore;

use super::cache::Stored;
use super::metrics::HubMetrics;

/// The smallest body that is encoded, in bytes: below, one packet takes it either way.
pub const ENCODED_BYTES_MIN: usize = 1024;
/// Encoded bodies are written in pieces of so many bytes, between which a revocation is heeded.
const PIECE_BYTES: usize = 256 * 1024;
/// Encoders at work, at most, whatever the number of cores.
const TURNS_MAX: usize = 8;

/// zstd's own default: its window of 2 MiB is below the 8 MiB that browsers take (RFC 9659 §3).
const ZSTD_LEVEL: i32 = 3;
/// The quality at which brotli costs about what gzip does, and saves more.
const BR_QUALITY: i32 = 4;
/// zlib's own default.
const GZIP_LEVEL: u32 = 6;

/// A body in a coding.
pub struct Coded {
    /// The encoded body.
    pub body: Vec<Bytes>,
    /// Its length.
    pub length: usize,
}

impl Coded {
    fn of(bytes: Vec<u8>) -> Self {
        let length = bytes.len();
        // What the vector has to spare would be kept, too.
        let mut rest = Bytes::from(bytes.into_boxed_slice());
        let mut body = Vec::with_capacity(length.div_ceil(PIECE_BYTES));
        while !rest.is_empty() {
            body.push(rest.split_to(rest.len().min(PIECE_BYTES)));
        }
        Self { body, length }
    }
}

/// What one body was encoded to so far.
#[derive(Default)]
pub struct CodedBodies {
    /// A bit for each coding that was begun: it is done, under way, or not worth it.
    begun: AtomicU8,
    made: [OnceLock<Coded>; Coding::ALL.len()],
}

impl CodedBodies {
    /// The body in this coding, if it is made.
    pub fn get(&self, coding: Coding) -> Option<&Coded> {
        self.made.get(coding.index())?.get()
    }

    /// Bytes of all that is made.
    pub fn bytes(&self) -> usize {
        let made = self.made.iter().filter_map(OnceLock::get);
        made.map(|coded| coded.length).sum()
    }

    /// Whether this one is the first to begin.
    fn begin(&self, coding: Coding) -> bool {
        let bit = 1 << coding.index();
        self.begun.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }

    fn put_off(&self, coding: Coding) {
        self.begun.fetch_and(!(1 << coding.index()), Ordering::Relaxed);
    }

    fn made(&self, coding: Coding, coded: Coded) {
        if let Some(slot) = self.made.get(coding.index()) {
            // Whoever began is the only one who makes it.
            _ = slot.set(coded);
        }
    }
}

/// Encodes what is kept, a few at a time.
pub struct Encoder {
    offered: Vec<Coding>,
    turns: Arc<Semaphore>,
    turns_max: usize,
    metrics: HubMetrics,
}

impl Encoder {
    /// Offers these codings, of equals the first. Half of the cores encode at most.
    pub fn new(offered: Vec<Coding>, metrics: HubMetrics) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let turns_max = (cores / 2).clamp(1, TURNS_MAX);
        Self {
            offered,
            turns: Arc::new(Semaphore::new(turns_max)),
            turns_max,
            metrics,
        }
    }

    /// Whether anything is encoded.
    pub fn is_on(&self) -> bool {
        !self.offered.is_empty()
    }

    /// How many bodies are being encoded now.
    pub fn at_work(&self) -> usize {
        self.turns_max - self.turns.available_permits()
    }

    /// The coding in which whoever sends `headers` likes best to get a body that may be encoded.
    pub fn choose(&self, headers: &HeaderMap) -> Option<Coding> {
        let lines = headers.get_all(ACCEPT_ENCODING).iter();
        let coding = Coding::choose(&self.offered, lines.filter_map(|line| line.to_str().ok()))?;
        let cache_control = headers.get_all(CACHE_CONTROL).iter();
        let forbids = |line: &http::HeaderValue| line.to_str().is_ok_and(forbids_transforming);
        (!cache_control.into_iter().any(forbids)).then_some(coding)
    }

    /// Encodes a kept body for those who ask next, and says so by `done`; unless that was begun before, or as
    /// many are at work as may be.
    pub fn begin(&self, stored: &Stored, coding: Coding, done: impl FnOnce() + Send + 'static) {
        let coded = Arc::clone(&stored.coded);
        if !coded.begin(coding) {
            return;
        }
        let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() else {
            return coded.put_off(coding);
        };
        let (body, length) = (stored.body.clone(), stored.length);
        let encodings = self.metrics.encodings(coding).clone();
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            encodings.inc();
            match encode(&body, coding) {
                Ok(bytes) if bytes.len() < length => {
                    coded.made(coding, Coded::of(bytes));
                    done();
                }
                Ok(_) => {}
                Err(error) => log::warn!("a body cannot be encoded as {}: {error}", coding.as_str()),
            }
        });
    }
}

/// Whether a `cache-control` forbids that anybody changes the body (RFC 9111 §5.2.1.6, §5.2.2.6).
pub fn forbids_transforming(cache_control: &str) -> bool {
    let mut directives = cache_control.split(',').map(str::trim);
    directives.any(|directive| directive.eq_ignore_ascii_case("no-transform"))
}

fn encode(body: &[Bytes], coding: Coding) -> io::Result<Vec<u8>> {
    let out = Vec::new();
    match coding {
        Coding::Zstd => write_all(zstd::Encoder::new(out, ZSTD_LEVEL)?, body)?.finish(),
        Coding::Gzip => write_all(GzEncoder::new(out, Compression::new(GZIP_LEVEL)), body)?.finish(),
        Coding::Br => brotli(body, out),
    }
}

fn write_all<W: Write>(mut encoder: W, body: &[Bytes]) -> io::Result<W> {
    for piece in body {
        encoder.write_all(piece)?;
    }
    Ok(encoder)
}

/// Not by brotli's writer, which keeps to itself that it failed in the end.
fn brotli(body: &[Bytes], mut out: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut pieces = Pieces {
        next: body.iter(),
        piece: &[],
    };
    let params = brotli::enc::BrotliEncoderParams {
        quality: BR_QUALITY,
        ..Default::default()
    };
    brotli::BrotliCompress(&mut pieces, &mut out, &params)?;
    Ok(out)
}

struct Pieces<'a> {
    next: slice::Iter<'a, Bytes>,
    piece: &'a [u8],
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.next.next() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        self.piece.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(sizes: &[usize]) -> Vec<Bytes> {
        let piece = |size: &usize| Bytes::from((0..=250).cycle().take(*size).collect::<Vec<u8>>());
        sizes.iter().map(piece).collect()
    }

    #[test]
    fn every_coding_holds_the_whole_body_however_it_comes_apart() {
        for sizes in [&[][..], &[0, 0], &[1], &[100_000], &[0, 3, 70_000, 0, 1, 300_000]] {
            let (body, whole) = (pieces(sizes), pieces(sizes).concat());
            let coded = |coding| encode(&body, coding).unwrap();
            assert_eq!(zstd::decode_all(&*coded(Coding::Zstd)).unwrap(), whole);
            let mut plain = Vec::new();
            let gzip = coded(Coding::Gzip);
            flate2::read::GzDecoder::new(&*gzip)
                .read_to_end(&mut plain)
                .unwrap();
            assert_eq!(plain, whole);
            plain.clear();
            brotli::BrotliDecompress(&mut &*coded(Coding::Br), &mut plain).unwrap();
            assert_eq!(plain, whole);
        }
    }

    #[test]
    fn what_is_encoded_is_kept_in_pieces_and_counted() {
        let coded = Coded::of(vec![1; PIECE_BYTES + 5]);
        assert_eq!((coded.body.len(), coded.length), (2, PIECE_BYTES + 5));
        let bodies = CodedBodies::default();
        assert!(bodies.begin(Coding::Br));
        assert!(!bodies.begin(Coding::Br), "only once");
        bodies.put_off(Coding::Br);
        assert!(bodies.begin(Coding::Br), "unless it is put off");
        assert!(bodies.begin(Coding::Gzip));
        assert!(bodies.get(Coding::Br).is_none());
        bodies.made(Coding::Br, coded);
        assert_eq!(bodies.bytes(), PIECE_BYTES + 5);
        assert!(bodies.get(Coding::Br).is_some());
        assert!(bodies.get(Coding::Gzip).is_none());
    }

    #[test]
    fn a_cache_control_forbids_by_one_word() {
        assert!(forbids_transforming("public, max-age=5, No-Transform"));
        assert!(!forbids_transforming("public, max-age=5, x-no-transform"));
    }
}
