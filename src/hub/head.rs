//! An answer's header as all who get it have it in common: judged once, labelled a client at a time.

use std::time::Duration;

use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use pingora_http::ResponseHeader;
use shapegate_core::answer::{HeaderRule, header_rule};
use shapegate_core::time::Monotonic;

/// The header of an answer that may be passed on: what a client never gets is not in it.
#[derive(Debug)]
pub struct Head {
    status: StatusCode,
    fields: Vec<(HeaderName, HeaderValue, HeaderRule)>,
    cache_control: Option<HeaderValue>,
    came: Monotonic,
    /// How old it was when it came.
    age: Duration,
}

impl Head {
    /// What may be passed on of an upstream's header that came at `now`.
    pub fn of(upstream: &ResponseHeader, now: Monotonic) -> Self {
        let fields = upstream.headers.iter().filter_map(|(name, value)| {
            let rule = header_rule(name.as_str());
            (rule != HeaderRule::Drop).then(|| (name.clone(), value.clone(), rule))
        });
        Self {
            status: upstream.status,
            fields: fields.collect(),
            cache_control: upstream.headers.get(header::CACHE_CONTROL).cloned(),
            came: now,
            age: age(&upstream.headers),
        }
    }

    /// This header, confirmed by a 304 that came at `now`.
    pub fn confirmed(&self, upstream: &ResponseHeader, now: Monotonic) -> Self {
        let said = upstream.headers.get(header::CACHE_CONTROL);
        Self {
            status: self.status,
            fields: self.fields.clone(),
            cache_control: said.or(self.cache_control.as_ref()).cloned(),
            came: now,
            age: age(&upstream.headers),
        }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What goes to a client, and how.
    pub fn fields(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue, HeaderRule)> {
        self.fields.iter().map(|(name, value, rule)| (name, value, *rule))
    }

    /// The upstream's own `cache-control`.
    pub fn cache_control(&self) -> Option<&str> {
        self.cache_control.as_ref()?.to_str().ok()
    }

    /// The upstream's entity tag.
    pub fn etag(&self) -> Option<&HeaderValue> {
        self.fields
            .iter()
            .find_map(|(name, value, _)| (name == header::ETAG).then_some(value))
    }

    /// How old it is, as far as the upstream says.
    pub fn age(&self, now: Monotonic) -> Duration {
        self.age.saturating_add(now.0.saturating_sub(self.came.0))
    }

    /// Until when it is fresh that is fresh for so long since it was made.
    pub fn fresh_until(&self, fresh_for: Duration) -> Monotonic {
        Monotonic(self.came.0.saturating_add(fresh_for.saturating_sub(self.age)))
    }

    /// Whether a condition with the upstream's tags names this answer.
    pub fn is_named_by(&self, if_none_match: Option<&HeaderValue>) -> bool {
        let asked = if_none_match.and_then(|asked| asked.to_str().ok());
        let etag = self.etag().and_then(|etag| etag.to_str().ok());
        match (asked, etag) {
            (Some(asked), Some(etag)) => asked.split(", ").any(|tag| tag == etag),
            _ => false,
        }
    }
}

/// How old an answer was when it came: another cache may lie between.
fn age(headers: &HeaderMap) -> Duration {
    let age = headers.get(header::AGE).and_then(|value| value.to_str().ok());
    let seconds = age.and_then(|text| text.parse().ok()).unwrap_or_default();
    Duration::from_secs(seconds)
}
