//! Where a request ends, read strictly: what Pingora would put right, another server might read otherwise.
//!
//! Pingora refuses most ambiguous framing itself. What it repairs instead is refused here: both a length and a
//! transfer coding, a repeated length, codings besides `chunked`, a fragment in the target.

use http::header::{self, HeaderMap, HeaderValue};
use pingora_core::protocols::http::ServerSession;
use shapegate_core::code::{Code, Refusal};

/// Refuses a request that two servers could cut differently. Its connection must not be used again.
///
/// # Errors
/// 400.
pub fn check(session: &ServerSession) -> Result<(), Refusal> {
    let headers = &session.req_header().headers;
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        let digits = length.as_bytes().iter().all(u8::is_ascii_digit) && !length.is_empty();
        refuse_unless(
            digits && lengths.next().is_none(),
            "content-length is not one number",
        )?;
    }
    // Pingora has removed the length where there is a coding, too, and the fragment; HTTP/2 has neither form.
    let Some(h1) = session.as_http1() else {
        return Ok(());
    };
    let raw = h1.get_headers_raw_bytes();
    let mut lines = raw.split(|&byte| byte == b'\n');
    let request_line = lines.next().unwrap_or_default();
    refuse_unless(!request_line.contains(&b'#'), "the target has a fragment")?;
    if headers.contains_key(header::TRANSFER_ENCODING) {
        refuse_unless(
            is_chunked_alone(headers),
            "transfer-encoding is not chunked alone",
        )?;
        refuse_unless(!lines.any(is_length), "content-length beside transfer-encoding")?;
    }
    Ok(())
}

fn is_chunked_alone(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let first = codings.next().map(HeaderValue::as_bytes);
    first.is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")) && codings.next().is_none()
}

fn is_length(line: &[u8]) -> bool {
    let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
    name.eq_ignore_ascii_case(header::CONTENT_LENGTH.as_str().as_bytes())
}

fn refuse_unless(holds: bool, detail: &'static str) -> Result<(), Refusal> {
    if holds {
        return Ok(());
    }
    let text = "It cannot be told for certain what this request asks and where it ends.";
    Err(Refusal::new(Code::MalformedRequest, text).with_detail(detail))
}
