//! The header of an answer, and what it says of the body and the connection.

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, Version};
use pingora_http::ResponseHeader;

use super::{Body, WireError};

/// Longest header of an answer, in bytes.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most fields of a header.
const FIELDS_MAX: usize = 128;

/// An answer's header, read.
#[derive(Debug)]
pub struct AnswerHead {
    /// Status and fields.
    pub head: ResponseHeader,
    /// The body that follows.
    pub body: Body,
    /// Whether the connection may be used again after it.
    pub keeps: bool,
}

impl AnswerHead {
    /// Takes a header off the start of what has come; `None` while there is more of it to come. Interim answers are
    /// skipped.
    ///
    /// # Errors
    /// When it is none, or frames a body in a way that two readers could take differently (RFC 9112, 6.3).
    pub fn take(come: &mut Bytes, bodyless: bool) -> Result<Option<Self>, WireError> {
        loop {
            let Some((length, version, status, headers)) = parse(come)? else {
                return Ok(None);
            };
            come.advance(length);
            match status {
                StatusCode::SWITCHING_PROTOCOLS => return Err(WireError::Invalid("a change of protocol")),
                interim if interim.is_informational() => {}
                _ => return Self::new(version, status, headers, bodyless).map(Some),
            }
        }
    }

    fn new(
        version: Version,
        status: StatusCode,
        headers: HeaderMap,
        bodyless: bool,
    ) -> Result<Self, WireError> {
        let body = if bodyless || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            Body::ended()
        } else {
            framing(&headers)?
        };
        let keeps = keeps(version, &headers) && !body.ends_with_connection();
        let (mut parts, ()) = http::Response::new(()).into_parts();
        (parts.status, parts.version, parts.headers) = (status, version, headers);
        Ok(Self {
            head: ResponseHeader::from(parts),
            body,
            keeps,
        })
    }
}

type Parsed = (usize, Version, StatusCode, HeaderMap);

fn parse(come: &Bytes) -> Result<Option<Parsed>, WireError> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut answer = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut answer, come, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD_BYTES_MAX => {
            let version = match answer.version {
                Some(0) => Version::HTTP_10,
                _ => Version::HTTP_11,
            };
            let status = StatusCode::from_u16(answer.code.unwrap_or_default());
            let status = status.map_err(|_| WireError::Invalid("no status"))?;
            Ok(Some((length, version, status, headers(come, answer.headers)?)))
        }
        Ok(httparse::Status::Partial) if come.len() <= HEAD_BYTES_MAX => Ok(None),
        Ok(_) => Err(WireError::Invalid("a header of more than 64 KiB")),
        Err(httparse::Error::TooManyHeaders) => Err(WireError::Invalid("more than 128 header fields")),
        Err(_) => Err(WireError::Invalid("a malformed header")),
    }
}

/// Values are slices of what came.
fn headers(come: &Bytes, fields: &[httparse::Header<'_>]) -> Result<HeaderMap, WireError> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_maybe_shared(come.slice_ref(field.value));
        match (name, value) {
            (Ok(name), Ok(value)) => headers.append(name, value),
            _ => return Err(WireError::Invalid("a malformed header field")),
        };
    }
    Ok(headers)
}

/// How the body is framed.
fn framing(headers: &HeaderMap) -> Result<Body, WireError> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    match (codings.next(), lengths.next()) {
        (None, None) => Ok(Body::until_close()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => match codings.next() {
            None => Ok(Body::chunked()),
            Some(_) => Err(WireError::Invalid("several transfer codings")),
        },
        (Some(_), None) => Err(WireError::Invalid("a transfer coding that is not chunked")),
        (Some(_), Some(_)) => Err(WireError::Invalid("a length and a transfer coding")),
        (None, Some(length)) if lengths.all(|other| other == length) => {
            let length = digits(length).ok_or(WireError::Invalid("a length that is no number"))?;
            Ok(Body::of_length(length))
        }
        (None, Some(_)) => Err(WireError::Invalid("several lengths")),
    }
}

/// A number of nothing but digits.
fn digits(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// Whether the connection stays open after the answer (RFC 9112, 9.3).
fn keeps(version: Version, headers: &HeaderMap) -> bool {
    let said = |wanted: &str| {
        let values = headers.get_all(header::CONNECTION).iter();
        let mut options = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        options.any(|option| option.trim().eq_ignore_ascii_case(wanted))
    };
    !said("close") && (version == Version::HTTP_11 || said("keep-alive"))
}

#[cfg(test)]
mod tests;
