//! Forward authentication as Caddy, Traefik and nginx speak it: a GET that describes the request in headers,
//! whose status decides.
//!
//! The URI is written from the route and from what was captured and declared. A client's own text would hold its
//! position in the log, so that no two requests were alike, and whatever else it chose to write there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use shapegate_core::code::{Code, Refusal};
use shapegate_core::value::Value;

use super::http::with_defaults;
use super::{Denial, FORBIDDEN, Found, Question, Reply, Tools};

/// Everything that RFC 3986 §2.3 does not call unreserved.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What is described, and what is taken from the answer. What is told is, in this order: the method, what the
/// path captured, what the query declares, and each header.
#[derive(Clone, Debug, PartialEq)]
pub struct ForwardAuth {
    /// `X-Forwarded-Proto`.
    pub proto: &'static str,
    /// `X-Forwarded-Host`.
    pub host: HeaderValue,
    /// The route's path, taken apart.
    pub path: Vec<PathPart>,
    /// The headers of the request that go along.
    pub headers: Vec<HeaderName>,
    /// The headers of the answer that become facts, and the names of these.
    pub facts: Vec<(HeaderName, Arc<str>)>,
    /// Facts that are put where the answer has none.
    pub defaults: BTreeMap<Arc<str>, Value>,
}

/// A segment of the route's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathPart {
    /// This.
    Literal(Box<str>),
    /// What was captured under this name.
    Capture(Arc<str>),
}

impl ForwardAuth {
    pub(super) fn question(&self, told: &[Value], tools: &Tools<'_>) -> Result<Question, Refusal> {
        let headers = self.headers(told).ok_or_else(|| {
            Refusal::new(Code::Forbidden, FORBIDDEN)
                .with_detail("the request cannot be described in headers, and that denies")
        })?;
        let exchange = tools.get(headers);
        let (facts, defaults) = (self.facts.clone(), self.defaults.clone());
        Ok(Box::pin(async move {
            let answer = exchange.send().await?;
            match answer.status().as_u16() {
                200..=299 => Ok(with_defaults(found(&facts, answer.headers())?, &defaults)),
                401 => Ok(Reply::Denied(Denial::Unauthenticated)),
                403 => Ok(Reply::Denied(Denial::Forbidden)),
                other => Err(format!("it answers {other}")),
            }
        }))
    }

    fn headers(&self, told: &[Value]) -> Option<HeaderMap> {
        let mut told = told.iter();
        let method = told.next()?.as_str()?;
        let uri = self.uri(told.next()?, told.next()?)?;
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-method", method.parse().ok()?);
        headers.insert("x-forwarded-proto", HeaderValue::from_static(self.proto));
        headers.insert("x-forwarded-host", self.host.clone());
        headers.insert("x-forwarded-uri", uri.parse().ok()?);
        for (name, value) in self.headers.iter().zip(told) {
            match value {
                Value::Null => {}
                value => {
                    let mut value: HeaderValue = value.as_str()?.parse().ok()?;
                    value.set_sensitive(true);
                    headers.insert(name, value);
                }
            }
        }
        Some(headers)
    }

    fn uri(&self, captured: &Value, declared: &Value) -> Option<String> {
        let mut uri = String::new();
        for part in &self.path {
            uri.push('/');
            match part {
                PathPart::Literal(text) => uri.push_str(text),
                PathPart::Capture(name) => uri.push_str(&escaped(captured.get(name)?)?),
            }
        }
        for (index, (name, value)) in declared.as_map()?.iter().enumerate() {
            let mark = if index == 0 { '?' } else { '&' };
            _ = write!(
                uri,
                "{mark}{}={}",
                utf8_percent_encode(name, ESCAPED),
                escaped(value)?
            );
        }
        Some(uri)
    }
}

fn escaped(value: &Value) -> Option<String> {
    Some(match value {
        Value::String(text) => utf8_percent_encode(text, ESCAPED).to_string(),
        Value::Int(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        _ => return None,
    })
}

/// The headers that were asked for, as text. One that came twice is none: nobody could tell which counts.
fn found(wanted: &[(HeaderName, Arc<str>)], headers: &HeaderMap) -> Result<Reply, String> {
    let mut facts = BTreeMap::new();
    for (header, name) in wanted {
        let mut values = headers.get_all(header).iter();
        match (values.next(), values.next()) {
            (None, _) => {}
            (Some(value), None) => {
                let text = value
                    .to_str()
                    .map_err(|_| format!("its header {header} is no text"))?;
                facts.insert(Arc::clone(name), Value::from(text));
            }
            (Some(_), Some(_)) => return Err(format!("its header {header} came twice")),
        }
    }
    Ok(Reply::Found(Found {
        facts,
        ..Found::default()
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn forward() -> ForwardAuth {
        ForwardAuth {
            proto: "https",
            host: HeaderValue::from_static("sync.example.com"),
            path: vec![
                PathPart::Literal("api".into()),
                PathPart::Capture("project".into()),
            ],
            headers: vec![http::header::COOKIE],
            facts: Vec::new(),
            defaults: BTreeMap::new(),
        }
    }

    fn map(members: &[(&str, Value)]) -> Value {
        Value::Map(
            members
                .iter()
                .map(|(name, value)| (Arc::from(*name), value.clone()))
                .collect(),
        )
    }

    #[test]
    fn the_uri_is_written_from_the_route_and_every_value_is_escaped() {
        let captured = map(&[("project", Value::from("../a b/%2e?x=1&y#z\r\nx: y"))]);
        let declared = map(&[("q", Value::from("a&b=c")), ("n", Value::Int(-7))]);
        assert_eq!(
            forward().uri(&captured, &declared).unwrap(),
            "/api/..%2Fa%20b%2F%252e%3Fx%3D1%26y%23z%0D%0Ax%3A%20y?n=-7&q=a%26b%3Dc"
        );
        assert_eq!(
            forward().uri(&map(&[]), &declared),
            None,
            "a capture that is not there"
        );
    }

    #[test]
    fn a_header_that_does_not_fit_into_one_denies() {
        let told = |cookie: Value| {
            let project = map(&[("project", Value::from("p"))]);
            forward().headers(&[Value::from("GET"), project, map(&[]), cookie])
        };
        assert_eq!(told(Value::from("a=b")).unwrap().get("cookie").unwrap(), "a=b");
        assert!(told(Value::Null).unwrap().get("cookie").is_none());
        assert!(told(Value::from("a\r\nx: y")).is_none());
        assert!(told(Value::Int(1)).is_none());
    }
}
