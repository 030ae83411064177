//! Faults on demand: what a gateway must survive of a server behind it.

use std::io::Write;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{self, HeaderName};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Deserialize;
use serde_json::json;

use crate::answer::{Answer, Content};
use crate::body::Cut;
use crate::clock;
use crate::lock::Lock;

/// One way to misbehave.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Fault {
    /// The right answer, so many milliseconds late.
    Slow {
        /// How late.
        ms: u64,
    },
    /// The right headers and the beginning of the right body; then the connection closes.
    CutOff {
        /// How much of the body is sent.
        after_bytes: usize,
    },
    /// The right headers and the beginning of the right body; then nothing, for ever.
    StallBody {
        /// How much of the body is sent.
        after_bytes: usize,
    },
    /// No answer, for ever.
    Stall,
    /// Another status with a JSON message, such as a 500 or a 503.
    Status {
        /// The status.
        status: u16,
        /// The `retry-after` header, in seconds.
        #[serde(default)]
        retry_after: Option<u32>,
    },
    /// Electric's 401, as if the secret were wrong.
    Unauthorized,
    /// The right answer without a single `electric-*` header.
    MissingHeaders,
    /// 200 and a web page: a captive portal, or another server altogether.
    HtmlPage,
    /// The right answer, really compressed, whatever the request accepts. Streams are left alone.
    Gzip,
    /// The right answer, uncompressed, that says it is compressed.
    FalseGzip,
    /// The right answer with one header more, or another one.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
}

/// When to misbehave, and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Misbehaviour {
    /// What to do.
    #[serde(flatten)]
    pub fault: Fault,
    /// For how many requests; for all without a number.
    #[serde(default)]
    pub times: Option<u32>,
    /// Only for requests whose target contains this text.
    #[serde(default)]
    pub only: Option<String>,
}

impl Misbehaviour {
    /// Misbehaves for every request.
    #[must_use]
    pub fn always(fault: Fault) -> Self {
        Self {
            fault,
            times: None,
            only: None,
        }
    }

    /// Misbehaves for the next request.
    #[must_use]
    pub fn once(fault: Fault) -> Self {
        Self {
            times: Some(1),
            ..Self::always(fault)
        }
    }

    /// Restricts it to requests whose target contains a text, such as `live=true`.
    #[must_use]
    pub fn only(mut self, part_of_target: &str) -> Self {
        self.only = Some(part_of_target.to_owned());
        self
    }
}

/// What is planned, first things first.
#[derive(Debug, Default)]
pub(crate) struct Faults(Lock<Vec<Misbehaviour>>);

impl Faults {
    pub(crate) fn add(&self, misbehaviour: Misbehaviour) {
        self.0.with(|planned| planned.push(misbehaviour));
    }

    pub(crate) fn clear(&self) {
        self.0.with(Vec::clear);
    }

    /// The fault of a request, if there is one for it.
    pub(crate) fn take(&self, path: &str, query: &str) -> Option<Fault> {
        self.0.with(|planned| {
            let matches = |misbehaviour: &Misbehaviour| {
                let only = misbehaviour.only.as_deref();
                only.is_none_or(|part| path.contains(part) || query.contains(part))
            };
            let index = planned.iter().position(matches)?;
            let found = planned.get_mut(index)?;
            let fault = found.fault.clone();
            if let Some(times) = &mut found.times {
                *times = times.saturating_sub(1);
            }
            planned.retain(|misbehaviour| misbehaviour.times != Some(0));
            Some(fault)
        })
    }
}

/// What is answered instead of the right answer; with `None` that one is given, perhaps later.
pub(crate) async fn instead(fault: &Fault) -> Option<Answer> {
    match fault {
        Fault::Slow { ms } => {
            clock::after(Duration::from_millis(*ms)).await;
            None
        }
        Fault::Stall => std::future::pending().await,
        Fault::Status { status, retry_after } => Some(other_status(*status, *retry_after)),
        Fault::Unauthorized => {
            let body = json!({"message": "Unauthorized - Invalid API secret"});
            Some(Answer::unmarked_json(StatusCode::UNAUTHORIZED, &body))
        }
        Fault::HtmlPage => {
            let page = Answer::text(StatusCode::OK, "<!doctype html><title>Welcome</title>");
            Some(page.with_static(header::CONTENT_TYPE, "text/html"))
        }
        _ => None,
    }
}

fn other_status(status: u16, retry_after: Option<u32>) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({"message": status.canonical_reason().unwrap_or("misbehaving")});
    let answer = Answer::json(status, &body).uncached(true);
    match retry_after {
        Some(seconds) => answer.with_text(header::RETRY_AFTER, &seconds.to_string()),
        None => answer,
    }
}

/// What becomes of an answer, and where its body breaks.
pub(crate) fn afterwards(mut answer: Answer, fault: Fault) -> (Answer, Option<Cut>) {
    match fault {
        Fault::MissingHeaders => {
            let names: Vec<HeaderName> = answer.headers.keys().cloned().collect();
            for name in names.iter().filter(|name| name.as_str().starts_with("electric-")) {
                answer.headers.remove(name);
            }
        }
        Fault::Gzip => answer = compressed(answer),
        Fault::FalseGzip => answer = answer.with_static(header::CONTENT_ENCODING, "gzip"),
        Fault::Header { name, value } => {
            if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
                answer = answer.with_text(name, &value);
            }
        }
        Fault::CutOff { after_bytes } => return broken(answer, Cut::Close(after_bytes)),
        Fault::StallBody { after_bytes } => return broken(answer, Cut::Stall(after_bytes)),
        _ => {}
    }
    (answer, None)
}

/// A body that is cut off still promises its full length.
fn broken(answer: Answer, cut: Cut) -> (Answer, Option<Cut>) {
    let promised = match &answer.content {
        Content::Whole(bytes) => Some(bytes.len().to_string()),
        _ => None,
    };
    match promised {
        Some(length) => (answer.with_text(header::CONTENT_LENGTH, &length), Some(cut)),
        None => (answer, Some(cut)),
    }
}

fn compressed(mut answer: Answer) -> Answer {
    answer.content = match answer.content {
        Content::Whole(bytes) => Content::Whole(gzip(&[bytes])),
        Content::Chunked(pieces) => Content::Chunked(vec![gzip(&pieces)]),
        stream @ Content::Stream(_) => {
            answer.content = stream;
            return answer;
        }
    };
    answer.with_static(header::CONTENT_ENCODING, "gzip")
}

fn gzip(pieces: &[Bytes]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for piece in pieces {
        // Writing into memory cannot fail.
        let _ = encoder.write_all(piece);
    }
    encoder.finish().unwrap_or_default().into()
}
