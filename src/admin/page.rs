//! What can be asked for, and how it is answered.

use http::{HeaderValue, Method, Response, StatusCode, header};

/// What Prometheus expects (`docs/instrumenting/exposition_formats`).
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// Whether the process lives.
    Healthz,
    /// Whether it takes requests.
    Readyz,
    /// Prometheus' metrics.
    Metrics,
    /// How the process stands, for people.
    Status,
    /// What is revoked.
    Revocations,
}

impl Page {
    pub(super) const ALL: [Self; 5] = [
        Self::Healthz,
        Self::Readyz,
        Self::Metrics,
        Self::Status,
        Self::Revocations,
    ];

    pub(super) fn of(path: &str) -> Option<Self> {
        // What a browser asks for that was told the address alone.
        let path = if path == "/" { Self::Status.path() } else { path };
        Self::ALL.into_iter().find(|page| page.path() == path)
    }

    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Healthz => "/healthz",
            Self::Readyz => "/readyz",
            Self::Metrics => "/metrics",
            Self::Status => "/status",
            Self::Revocations => "/revocations",
        }
    }

    pub(super) fn methods(self) -> &'static [Method] {
        match self {
            Self::Revocations => &[Method::GET, Method::POST, Method::DELETE],
            Self::Healthz | Self::Readyz | Self::Metrics | Self::Status => &[Method::GET, Method::HEAD],
        }
    }

    /// Whether it shows nobody's name and changes nothing.
    pub(super) const fn is_for_probes(self) -> bool {
        matches!(self, Self::Healthz | Self::Readyz | Self::Metrics)
    }

    /// Whether it changes something, or names users.
    pub(super) const fn needs_token(self) -> bool {
        matches!(self, Self::Revocations)
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    kind: &'static str,
    body: Vec<u8>,
    extra: Vec<(header::HeaderName, HeaderValue)>,
}

impl Reply {
    pub(super) fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self::of(status, "text/plain; charset=utf-8", body.into().into_bytes())
    }

    pub(super) fn json(status: StatusCode, body: &serde_json::Value) -> Self {
        Self::of(status, "application/json", format!("{body}\n").into_bytes())
    }

    /// Prometheus' text format.
    pub(super) fn metrics(body: String) -> Self {
        Self::of(StatusCode::OK, METRICS_TYPE, body.into_bytes())
    }

    pub(super) fn html(body: String) -> Self {
        Self::of(StatusCode::OK, "text/html; charset=utf-8", body.into_bytes())
    }

    /// The same with one more header.
    pub(super) fn with(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.extra.push((name, value));
        self
    }

    fn of(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Self {
        Self {
            status,
            kind,
            body,
            extra: Vec::new(),
        }
    }

    pub(super) fn not_allowed(methods: &[Method]) -> Self {
        let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        let allow = HeaderValue::from_str(&names.join(", ")).ok();
        Self {
            extra: allow.map(|allow| (header::ALLOW, allow)).into_iter().collect(),
            ..Self::text(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("{} only\n", names.join(", ")),
            )
        }
    }

    pub(super) fn unauthorized() -> Self {
        Self {
            extra: vec![(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))],
            ..Self::text(
                StatusCode::UNAUTHORIZED,
                "send the admin token: Authorization: Bearer …\n",
            )
        }
    }

    pub(super) fn response(self, bodyless: bool) -> Response<Vec<u8>> {
        let length = HeaderValue::from(self.body.len());
        let mut response = Response::new(if bodyless { Vec::new() } else { self.body });
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, length);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        headers.extend(self.extra);
        response
    }
}
