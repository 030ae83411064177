//! One export to the collector, and what its answer means (OTLP 1.7, OTLP/HTTP).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, Uri};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;

use super::settings::CollectorSettings;
use crate::clock::Clock;
use crate::outbound::{Outbound, OutboundError, OutboundSettings};

/// What is added to the collector's URL.
pub const OTLP_TRACES_PATH: &str = "/v1/traces";
/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How much of what a collector says is logged, in characters.
const SAID_CHARS_MAX: usize = 256;
/// The longest that a collector may ask to be left alone.
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// Why there can be no traces.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// The collector cannot be asked at all.
    #[error("traces cannot be exported: {0}")]
    Client(#[from] OutboundError),
    /// The URL makes no request.
    #[error("traces cannot be exported: the URL is none")]
    Url,
    /// There is no thread for it.
    #[error("traces cannot be exported: {0}")]
    Thread(#[from] std::io::Error),
}

/// What became of an export.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was taken, but for so many spans. The collector may have said something.
    Taken { rejected: u64, said: Option<String> },
    /// It was not, and will not be.
    Refused(String),
    /// It may be taken later: then, where the collector said when.
    Later(String, Option<Duration>),
}

/// The collector.
pub(super) struct Collector {
    client: Outbound,
    uri: Uri,
    headers: HeaderMap,
}

impl Collector {
    pub(super) fn new(settings: &CollectorSettings) -> Result<Self, CollectorError> {
        let client = Outbound::new(&OutboundSettings {
            timeout: settings.timeout,
            answer_bytes_max: ANSWER_BYTES_MAX,
            concurrency_max: 1,
            // Its address is the operator's word, and most collectors are beside the gateway.
            allow_private_addresses: true,
            allow_http: true,
            authorities: settings.authorities.clone(),
        })?;
        let uri = format!("{}{OTLP_TRACES_PATH}", settings.url.trim_end_matches('/'));
        let mut headers = settings.headers.clone();
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        headers.insert(CONTENT_TYPE, protobuf);
        Ok(Self {
            client,
            uri: uri.parse().map_err(|_| CollectorError::Url)?,
            headers,
        })
    }

    pub(super) async fn send(&self, body: &Bytes, clock: &Arc<dyn Clock>) -> Outcome {
        let mut request = Request::new(body.clone());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        match self.client.send(request, &**clock).await {
            Ok(answer) => of_answer(&answer),
            Err(error @ (OutboundError::TooLarge(_) | OutboundError::Encoded)) => {
                Outcome::Refused(error.to_string())
            }
            Err(error) => Outcome::Later(error.to_string(), None),
        }
    }
}

/// Only what the specification calls retryable is tried again.
fn of_answer(answer: &Response<Bytes>) -> Outcome {
    let status = answer.status().as_u16();
    match status {
        200..=299 => taken(answer.body()),
        429 | 502..=504 => Outcome::Later(format!("it answers {status}"), retry_after(answer.headers())),
        _ => Outcome::Refused(format!("it answers {status}")),
    }
}

/// A success may be partial. What is no answer of a collector is a success all the same: its status says so.
fn taken(body: &Bytes) -> Outcome {
    let Ok(answer) = ExportTraceServiceResponse::decode(body.clone()) else {
        let said = Some("an answer that is none of a collector's".to_owned());
        return Outcome::Taken { rejected: 0, said };
    };
    let partial = answer.partial_success.unwrap_or_default();
    let said = Some(partial.error_message).filter(|said| !said.is_empty());
    Outcome::Taken {
        rejected: u64::try_from(partial.rejected_spans).unwrap_or(0),
        said: said.map(|said| said.escape_debug().take(SAID_CHARS_MAX).collect()),
    }
}

/// In seconds; a date is not looked at.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

    fn answered(status: u16, headers: &[(&str, &str)], body: Vec<u8>) -> Outcome {
        let mut answer = Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        of_answer(&answer.body(body.into()).unwrap())
    }

    fn partial(rejected_spans: i64, error_message: &str) -> Vec<u8> {
        let partial_success = Some(ExportTracePartialSuccess {
            rejected_spans,
            error_message: error_message.to_owned(),
        });
        ExportTraceServiceResponse { partial_success }.encode_to_vec()
    }

    fn taken(rejected: u64, said: Option<&str>) -> Outcome {
        let said = said.map(str::to_owned);
        Outcome::Taken { rejected, said }
    }

    #[test]
    fn a_success_may_be_partial_and_may_say_something() {
        assert_eq!(answered(200, &[], Vec::new()), taken(0, None));
        assert_eq!(answered(202, &[], partial(0, "")), taken(0, None));
        assert_eq!(answered(200, &[], partial(3, "")), taken(3, None));
        assert_eq!(answered(200, &[], partial(0, "old")), taken(0, Some("old")));
        assert_eq!(
            answered(200, &[], partial(-1, "a\nb\u{1b}[2J")),
            taken(0, Some("a\\nb\\u{1b}[2J"))
        );
        let Outcome::Taken { said, .. } = answered(200, &[], partial(1, &"x".repeat(10_000))) else {
            panic!("taken");
        };
        assert_eq!(said.unwrap().len(), SAID_CHARS_MAX);
    }

    #[test]
    fn garbage_with_a_good_status_is_taken_and_told() {
        let body = b"<html>welcome</html>".to_vec();
        let said = "an answer that is none of a collector's";
        assert_eq!(answered(200, &[], body), taken(0, Some(said)));
    }

    #[test]
    fn only_what_is_retryable_is_tried_again() {
        for status in [429, 502, 503, 504] {
            let later = Outcome::Later(format!("it answers {status}"), None);
            assert_eq!(answered(status, &[], Vec::new()), later);
        }
        for status in [301, 307, 400, 401, 403, 404, 413, 500, 501] {
            let refused = Outcome::Refused(format!("it answers {status}"));
            assert_eq!(answered(status, &[("retry-after", "1")], Vec::new()), refused);
        }
    }

    #[test]
    fn a_collector_is_left_alone_as_long_as_it_asks_for_and_no_longer_than_that_makes_sense() {
        for (said, seconds) in [
            ("7", Some(7)),
            ("0", Some(0)),
            ("31536000", Some(30)),
            ("Wed, 21 Oct 2026 07:28:00 GMT", None),
            ("-1", None),
            ("99999999999999999999999", None),
        ] {
            let later = Outcome::Later("it answers 503".into(), seconds.map(Duration::from_secs));
            assert_eq!(
                answered(503, &[("retry-after", said)], Vec::new()),
                later,
                "{said}"
            );
        }
    }
}
