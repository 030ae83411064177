//! Whether a `content-encoding` that nobody asked for is true.

use crate::limits::ENCODING_PROBE_BYTES;

/// What a body's first bytes say about its `content-encoding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EncodingVerdict {
    /// Not enough bytes yet.
    NeedsMore,
    /// The body is plain: the header goes, and `content-length` with it, which may be that of an encoded body.
    Plain,
    /// The body is encoded: 502.
    Encoded,
    /// Nobody can tell: 502.
    Unclear,
}

/// Judges a body by its first bytes: `first` is what has come so far, `ended` whether that is all.
///
/// gzip and zstd begin with magic numbers. brotli and deflate do not, and a brotli body may well begin with
/// the byte of `[`; so plain is only what begins like JSON or like an event stream and is text for
/// [`ENCODING_PROBE_BYTES`] bytes.
#[must_use]
pub fn encoding_verdict(first: &[u8], ended: bool) -> EncodingVerdict {
    if first.starts_with(&[0x1f, 0x8b]) || first.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return EncodingVerdict::Encoded;
    }
    if first.len() < ENCODING_PROBE_BYTES && !ended {
        return EncodingVerdict::NeedsMore;
    }
    let probe = first.get(..ENCODING_PROBE_BYTES).unwrap_or(first);
    let is_text = probe
        .iter()
        .all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e));
    if is_text && (probe.is_empty() || begins_as_json(probe) || begins_as_events(probe)) {
        EncodingVerdict::Plain
    } else {
        EncodingVerdict::Unclear
    }
}

fn begins_as_json(probe: &[u8]) -> bool {
    let mut bytes = probe.iter().filter(|byte| !byte.is_ascii_whitespace());
    match (bytes.next(), bytes.next()) {
        (Some(b'['), Some(second)) => matches!(second, b'{' | b']'),
        (Some(b'{'), Some(second)) => matches!(second, b'"' | b'}'),
        _ => false,
    }
}

fn begins_as_events(probe: &[u8]) -> bool {
    probe.starts_with(b"data:") || probe.starts_with(b": ")
}
