//! Answers before they become HTTP responses, and the headers that Electric puts on them.

use std::pin::Pin;

use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use futures_util::Stream;
use serde_json::{Value, json};

use crate::params::Errors;

pub(crate) const HANDLE: HeaderName = HeaderName::from_static("electric-handle");
pub(crate) const OFFSET: HeaderName = HeaderName::from_static("electric-offset");
pub(crate) const SCHEMA: HeaderName = HeaderName::from_static("electric-schema");
pub(crate) const CURSOR: HeaderName = HeaderName::from_static("electric-cursor");
pub(crate) const UP_TO_DATE: HeaderName = HeaderName::from_static("electric-up-to-date");
pub(crate) const HAS_DATA: HeaderName = HeaderName::from_static("electric-has-data");
pub(crate) const SNAPSHOT: HeaderName = HeaderName::from_static("electric-snapshot");
pub(crate) const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// A body, by how it is sent.
pub(crate) enum Content {
    /// With its length.
    Whole(Bytes),
    /// Chunked, a chunk a piece.
    Chunked(Vec<Bytes>),
    /// Chunked, as pieces come.
    Stream(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
}

impl Content {
    /// What is left for a `HEAD`: nothing, but a known length is still told.
    pub(crate) fn without_body(self, headers: &mut HeaderMap) -> Self {
        if let Self::Whole(bytes) = &self {
            headers.insert(header::CONTENT_LENGTH, bytes.len().into());
        }
        Self::Chunked(Vec::new())
    }
}

/// A status, headers, a body.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, content: Content) -> Self {
        Self {
            status,
            headers: HeaderMap::with_capacity(20),
            content,
        }
    }

    pub(crate) fn text(status: StatusCode, text: &'static str) -> Self {
        Self::new(status, Content::Whole(Bytes::from_static(text.as_bytes())))
    }

    /// JSON that is marked as such.
    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        Self::unmarked_json(status, body).with(header::CONTENT_TYPE, JSON)
    }

    /// JSON without a content type, as Electric's 401 is.
    pub(crate) fn unmarked_json(status: StatusCode, body: &Value) -> Self {
        Self::new(status, Content::Whole(body.to_string().into()))
    }

    /// A log or a part of it.
    pub(crate) fn log(content: Content) -> Self {
        Self::new(StatusCode::OK, content).with(header::CONTENT_TYPE, JSON)
    }

    /// 400, with Electric's words; 500 where Electric has none.
    pub(crate) fn invalid(errors: &Errors, method_is_cached: bool) -> Self {
        if errors.crash {
            let body = json!({"error": "Internal server error"});
            return Self::json(StatusCode::INTERNAL_SERVER_ERROR, &body);
        }
        let body = json!({"message": "Invalid request", "errors": errors.fields});
        Self::json(StatusCode::BAD_REQUEST, &body).uncached(method_is_cached)
    }

    /// 409: the shape is gone, or never was what the request says. A successor's handle may be told.
    pub(crate) fn must_refetch(handle: Option<&str>, method_is_cached: bool) -> Self {
        let body = json!([{"headers": {"control": "must-refetch"}}]);
        let answer = Self::json(StatusCode::CONFLICT, &body);
        let age = if handle.is_some() { 60 } else { 1 };
        let answer = match method_is_cached {
            true => answer.with_text(
                header::CACHE_CONTROL,
                &format!("public, max-age={age}, must-revalidate"),
            ),
            false => answer.with(header::CACHE_CONTROL, NO_CACHE),
        };
        match handle {
            Some(handle) => answer
                .with_text(header::ETAG, &format!("\"{handle}::\""))
                .with_text(HANDLE, handle),
            None => answer,
        }
    }

    /// Marks an error: not stored where `GET` might be, `no-cache` for other methods.
    pub(crate) fn uncached(self, method_is_cached: bool) -> Self {
        match method_is_cached {
            true => self
                .with(header::CACHE_CONTROL, NO_STORE)
                .with(SURROGATE_CONTROL, NO_STORE),
            false => self.with(header::CACHE_CONTROL, NO_CACHE),
        }
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(crate) fn with_static(self, name: HeaderName, value: &'static str) -> Self {
        self.with(name, HeaderValue::from_static(value))
    }

    /// Sets a header to a computed text; one that no header can carry is left out.
    pub(crate) fn with_text(self, name: HeaderName, value: &str) -> Self {
        match HeaderValue::from_str(value).or_else(|_| HeaderValue::from_bytes(value.as_bytes())) {
            Ok(value) => self.with(name, value),
            Err(_) => self,
        }
    }
}
