//! Cross-origin answers: computed a request at a time, put on every answer, never cached.
//!
//! Electric's own preflight grants neither `authorization` nor `content-type`, so preflights are answered here,
//! before anybody is asked who they are.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use pingora_http::ResponseHeader;

/// Header names that a preflight may ask for.
pub const REQUEST_HEADERS_MAX: usize = 32;

/// How long a browser may remember a preflight, in seconds.
const MAX_AGE_SECONDS: &str = "86400";

/// What a page may read of an answer besides the safelisted headers.
const EXPOSED: &str = "electric-cursor,electric-handle,electric-has-data,electric-offset,electric-schema,\
electric-up-to-date,electric-internal-known-error,electric-snapshot,retry-after,etag,x-request-id";

/// Which pages may read answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Every page; without credentials.
    Any,
    /// Those that match one of these.
    Listed(Vec<OriginPattern>),
}

/// An origin, or all origins one label below a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPattern {
    /// `https://app.example.com`, compared whole.
    Exact(String),
    /// `https://*.example.com`: exactly one label where the star stands.
    OneLabel {
        /// Up to the star: `https://`.
        before: String,
        /// From the star on: `.example.com`.
        after: String,
    },
}

impl OriginPattern {
    fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == origin,
            Self::OneLabel { before, after } => {
                let label = origin.strip_prefix(before.as_str()).and_then(|o| o.strip_suffix(after.as_str()));
                label.is_some_and(is_label)
            }
        }
    }
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// A tenant's cross-origin policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsPolicy {
    /// Which pages may read answers.
    pub origins: Origins,
    /// Whether requests with cookies may be read; only with listed origins.
    pub credentials: bool,
}

impl Default for CorsPolicy {
    fn default() -> Self {
        Self { origins: Origins::Any, credentials: false }
    }
}

/// What one request's answer grants to the page that asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorsGrant {
    allow_origin: Option<HeaderValue>,
    credentials: bool,
    varies: bool,
}

impl CorsPolicy {
    /// What an answer to a request with these headers grants.
    pub fn grant(&self, headers: &HeaderMap) -> CorsGrant {
        match &self.origins {
            Origins::Any => CorsGrant {
                allow_origin: Some(HeaderValue::from_static("*")),
                credentials: false,
                varies: false,
            },
            Origins::Listed(patterns) => {
                let allow_origin = only_origin(headers).filter(|origin| {
                    origin.to_str().is_ok_and(|text| patterns.iter().any(|pattern| pattern.matches(text)))
                });
                CorsGrant {
                    credentials: self.credentials && allow_origin.is_some(),
                    allow_origin: allow_origin.cloned(),
                    varies: true,
                }
            }
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
    ///
    /// # Errors
    /// When a value is not a header value: a fault of this file.
    pub fn write(&self, head: &mut ResponseHeader) -> pingora_core::Result<()> {
        let Some(origin) = &self.allow_origin else { return Ok(()) };
        head.insert_header(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin)?;
        head.insert_header(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED))?;
        if self.credentials {
            head.insert_header(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"))?;
        }
        Ok(())
    }

    /// Writes what a preflight may know: `methods`, and every header name asked for if all are names.
    ///
    /// # Errors
    /// As [`CorsGrant::write`].
    pub fn write_preflight(
        &self,
        head: &mut ResponseHeader,
        asked: &HeaderMap,
        methods: &str,
    ) -> pingora_core::Result<()> {
        self.write(head)?;
        if self.allow_origin.is_none() {
            return Ok(());
        }
        head.insert_header(header::ACCESS_CONTROL_ALLOW_METHODS, methods)?;
        head.insert_header(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_SECONDS))?;
        if let Some(names) = asked_names(asked) {
            head.insert_header(header::ACCESS_CONTROL_ALLOW_HEADERS, names)?;
        }
        Ok(())
    }
}

/// Whether a request is a preflight.
pub fn is_preflight(method: &http::Method, headers: &HeaderMap) -> bool {
    method == http::Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The header names that a preflight asks for, rewritten; `None` if there are none, too many, or one is not a name.
fn asked_names(headers: &HeaderMap) -> Option<String> {
    let mut names = Vec::new();
    for value in headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        for name in value.to_str().ok()?.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            names.push(HeaderName::from_bytes(name.as_bytes()).ok()?);
            if names.len() > REQUEST_HEADERS_MAX {
                return None;
            }
        }
    }
    let texts: Vec<&str> = names.iter().map(HeaderName::as_str).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn listed() -> CorsPolicy {
        let wildcard = OriginPattern::OneLabel { before: "https://".into(), after: ".acme.app".into() };
        CorsPolicy {
            origins: Origins::Listed(vec![OriginPattern::Exact("https://app.example.com".into()), wildcard]),
            credentials: true,
        }
    }

    fn answer(policy: &CorsPolicy, asked: &HeaderMap) -> HeaderMap {
        let mut head = ResponseHeader::build(204, None).unwrap();
        policy.grant(asked).write_preflight(&mut head, asked, "GET").unwrap();
        head.headers.clone()
    }

    #[test]
    fn any_origin_is_answered_with_a_star_and_no_credentials() {
        let head = answer(&CorsPolicy::default(), &headers(&[("origin", "https://a.example")]));
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
    fn a_wildcard_stands_for_exactly_one_label() {
        let policy = listed();
        let granted = |origin| answer(&policy, &headers(&[("origin", origin)])).contains_key("access-control-allow-origin");
        assert!(granted("https://pr-12.acme.app"));
        for origin in ["https://a.b.acme.app", "https://.acme.app", "http://a.acme.app", "https://acme.app",
            "https://evil.com/.acme.app", "https://a.acme.app.evil.com", "https://a.acme.app:8443", "null"] {
            assert!(!granted(origin), "{origin}");
        }
    }

    #[test]
    fn two_origins_are_none() {
        let asked = headers(&[("origin", "https://app.example.com"), ("origin", "https://app.example.com")]);
        assert!(answer(&listed(), &asked).is_empty());
    }

    #[test]
    fn every_syntactically_valid_header_name_is_granted_up_to_the_limit() {
        let policy = CorsPolicy::default();
        let names = |text: &str| {
            let asked = headers(&[("origin", "https://a"), ("access-control-request-headers", text)]);
            answer(&policy, &asked).get("access-control-allow-headers").cloned()
        };
        assert_eq!(names("Authorization, x-trace").unwrap(), "authorization,x-trace");
        assert_eq!(names("bad name"), None);
        assert_eq!(names(&vec!["x-a"; REQUEST_HEADERS_MAX].join(",")).map(|_| ()), Some(()));
        assert_eq!(names(&vec!["x-a"; REQUEST_HEADERS_MAX + 1].join(",")), None);
    }
}
