//! Cross-origin answers: computed a request at a time, put on every answer, never cached.
//!
//! Electric's own preflight grants neither `authorization` nor `content-type`, so preflights are answered here,
//! before anybody is asked who they are.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use shapegate_core::answer;

use crate::config::{Cors, Origins};

/// Header names that a preflight may ask for.
pub const REQUEST_HEADERS_MAX: usize = 32;

/// How long a browser may remember a preflight, in seconds.
const MAX_AGE_SECONDS: &str = "86400";

/// Made once: making it looks at every character.
static EXPOSED: HeaderValue = HeaderValue::from_static(answer::EXPOSED);

/// What one request's answer grants to the page that asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorsGrant {
    allow_origin: Option<HeaderValue>,
    credentials: bool,
    varies: bool,
}

impl CorsGrant {
    /// What an answer to a request with these headers grants.
    pub fn of(cors: &Cors, headers: &HeaderMap) -> Self {
        if cors.origins == Origins::Any {
            let star = HeaderValue::from_static("*");
            return Self {
                allow_origin: Some(star),
                credentials: false,
                varies: false,
            };
        }
        let granted = |origin: &&HeaderValue| origin.to_str().is_ok_and(|text| cors.origins.grant(text));
        let allow_origin = only_origin(headers).filter(granted).cloned();
        Self {
            credentials: cors.credentials && allow_origin.is_some(),
            allow_origin,
            varies: true,
        }
    }
}

/// The request's origin; two of them are none.
fn only_origin(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    origins.next().filter(|_| origins.next().is_none())
}

impl CorsGrant {
    /// Whether the answer depends on the request's `Origin`.
    pub fn varies(&self) -> bool {
        self.varies
    }

    /// Writes the grant on an answer.
    pub fn write(&self, headers: &mut HeaderMap) {
        let Some(origin) = &self.allow_origin else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED.clone());
        if self.credentials {
            let yes = HeaderValue::from_static("true");
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
    }

    /// Writes what a preflight may know: `methods`, and every header name asked for if all are names.
    pub fn write_preflight(&self, headers: &mut HeaderMap, asked: &HeaderMap, methods: &'static str) {
        self.write(headers);
        if self.allow_origin.is_none() {
            return;
        }
        let methods = HeaderValue::from_static(methods);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let max_age = HeaderValue::from_static(MAX_AGE_SECONDS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, max_age);
        if let Some(names) = asked_names(asked) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
        }
    }
}

/// Whether a request is a preflight.
pub fn is_preflight(method: &http::Method, headers: &HeaderMap) -> bool {
    method == http::Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The header names that a preflight asks for, rewritten; `None` if there are none, too many, or one is not a name.
fn asked_names(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut names = Vec::new();
    for value in headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        for name in value
            .to_str()
            .ok()?
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            names.push(HeaderName::from_bytes(name.as_bytes()).ok()?);
            if names.len() > REQUEST_HEADERS_MAX {
                return None;
            }
        }
    }
    let texts: Vec<&str> = names.iter().map(HeaderName::as_str).collect();
    HeaderValue::try_from(texts.join(","))
        .ok()
        .filter(|names| !names.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OriginPattern;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn listed() -> Cors {
        let patterns = ["https://app.example.com", "https://*.acme.app"];
        let patterns = patterns.map(|text| OriginPattern::parse(text).unwrap());
        Cors {
            origins: Origins::Listed(patterns.into()),
            credentials: true,
        }
    }

    fn answer(policy: &Cors, asked: &HeaderMap) -> HeaderMap {
        let mut head = HeaderMap::new();
        CorsGrant::of(policy, asked).write_preflight(&mut head, asked, "GET");
        head
    }

    #[test]
    fn any_origin_is_answered_with_a_star_and_no_credentials() {
        let head = answer(&Cors::default(), &headers(&[("origin", "https://a.example")]));
        assert_eq!(head["access-control-allow-origin"], "*");
        assert!(!head.contains_key("access-control-allow-credentials"));
    }

    #[test]
    fn a_listed_origin_is_reflected_with_credentials() {
        let head = answer(&listed(), &headers(&[("origin", "https://app.example.com")]));
        assert_eq!(head["access-control-allow-origin"], "https://app.example.com");
        assert_eq!(head["access-control-allow-credentials"], "true");
    }

    #[test]
    fn two_origins_are_none() {
        let asked = headers(&[
            ("origin", "https://app.example.com"),
            ("origin", "https://app.example.com"),
        ]);
        assert!(answer(&listed(), &asked).is_empty());
    }

    #[test]
    fn every_syntactically_valid_header_name_is_granted_up_to_the_limit() {
        let policy = Cors::default();
        let names = |text: &str| {
            let asked = headers(&[("origin", "https://a"), ("access-control-request-headers", text)]);
            answer(&policy, &asked)
                .get("access-control-allow-headers")
                .cloned()
        };
        assert_eq!(names("Authorization, x-trace").unwrap(), "authorization,x-trace");
        assert_eq!(names("bad name"), None);
        assert_eq!(
            names(&vec!["x-a"; REQUEST_HEADERS_MAX].join(",")).map(|_| ()),
            Some(())
        );
        assert_eq!(names(&vec!["x-a"; REQUEST_HEADERS_MAX + 1].join(",")), None);
    }
}
