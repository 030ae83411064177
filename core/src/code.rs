//! The stable public error codes and what a refused request is told.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::credential::Credential;

/// Declares [`Code`] with its text, status and meaning side by side, so that none can be forgotten.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal;)+) => {
        /// Why a request was refused, in one stable word.
        ///
        /// Clients and dashboards may rely on [`Code::as_str`] and [`Code::status`]: a code keeps its
        /// text and its status for ever, new ones may be added.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $name,)+
        }

        impl Code {
            /// Every code, in the order of its status.
            pub const ALL: &'static [Code] = &[$(Code::$name,)+];

            /// The code as it stands in answers, logs and metrics: snake case, ASCII.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)+ }
            }

            /// The HTTP status that an answer with this code has.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Code::$name => $status,)+ }
            }
        }
    };
}

codes! {
    /// The request as a whole cannot be read: framing, headers, an undecodable query.
    MalformedRequest = "malformed_request", 400;
    /// A parameter's name or value is not in its grammar or over its limit.
    ParameterMalformed = "parameter_malformed", 400;
    /// A parameter that must be there is not.
    ParameterMissing = "parameter_missing", 400;
    /// A parameter was sent twice, in whatever spelling.
    ParameterDuplicate = "parameter_duplicate", 400;
    /// A parameter asks for something else than the server permits here.
    ParameterNotAllowed = "parameter_not_allowed", 400;
    /// A parameter that nobody knows, where the route is strict.
    ParameterUnknown = "parameter_unknown", 400;
    /// The body is not what this route takes.
    BodyMalformed = "body_malformed", 400;
    /// The request names no shape.
    ShapeMissing = "shape_missing", 400;
    /// Electric refused the request as invalid; its reasons are in the log alone.
    UpstreamRejected = "upstream_rejected", 400;
    /// No credential came.
    TokenMissing = "token_missing", 401;
    /// The credential is not valid here.
    TokenInvalid = "token_invalid", 401;
    /// The credential was valid once.
    TokenExpired = "token_expired", 401;
    /// The credential was revoked.
    TokenRevoked = "token_revoked", 401;
    /// Known, and not allowed.
    Forbidden = "forbidden", 403;
    /// A cookie came from a page whose origin is not listed.
    OriginNotAllowed = "origin_not_allowed", 403;
    /// Whoever asks, or the whole tenant, was shut out.
    Revoked = "revoked", 403;
    /// What the rules permit does not fit into a request to Electric.
    DefinitionTooLarge = "definition_too_large", 403;
    /// A rule failed while it was evaluated; that denies.
    DecisionFailed = "decision_failed", 403;
    /// No such route.
    NotFound = "not_found", 404;
    /// The route does not take this method.
    MethodNotAllowed = "method_not_allowed", 405;
    /// The client did not finish its request in time.
    RequestTimeout = "request_timeout", 408;
    /// The handle is not one of this shape: start again. Answered in Electric's own form.
    MustRefetch = "must_refetch", 409;
    /// The body is larger than this route takes.
    BodyTooLarge = "body_too_large", 413;
    /// The request target is longer than is taken.
    TargetTooLong = "target_too_long", 414;
    /// The body's content type or coding is not taken.
    MediaTypeUnsupported = "media_type_unsupported", 415;
    /// The connection was not opened for this host.
    MisdirectedRequest = "misdirected_request", 421;
    /// Too many requests, waits or new shapes.
    RateLimited = "rate_limited", 429;
    /// Too many headers, or too large ones.
    HeadersTooLarge = "headers_too_large", 431;
    /// A fault of the gateway itself.
    Internal = "internal", 500;
    /// Electric refuses the gateway itself, or is not there where it was configured.
    UpstreamMisconfigured = "upstream_misconfigured", 502;
    /// What answered is not Electric, or broke its protocol.
    UpstreamInvalid = "upstream_invalid", 502;
    /// The upstream sent a coding that it was not asked for.
    UpstreamEncoding = "upstream_encoding", 502;
    /// No connection to the upstream, or it broke.
    UpstreamUnreachable = "upstream_unreachable", 502;
    /// The upstream failed.
    UpstreamFailed = "upstream_failed", 502;
    /// The upstream is there and asks for patience.
    UpstreamUnavailable = "upstream_unavailable", 503;
    /// Whoever knows the users cannot be asked now.
    IdentityUnavailable = "identity_unavailable", 503;
    /// Whoever knows the permissions cannot be asked now.
    DecisionUnavailable = "decision_unavailable", 503;
    /// The tenant's configuration is refused, so that nothing can be decided for it.
    TenantUnavailable = "tenant_unavailable", 503;
    /// The gateway has more work than it can hold.
    Overloaded = "overloaded", 503;
    /// The gateway is going away.
    Draining = "draining", 503;
    /// The upstream did not answer in time.
    UpstreamTimeout = "upstream_timeout", 504;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a client is told, and what only the log is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// The stable code; it decides the status.
    pub code: Code,
    /// One sentence for the client. Never holds a secret, a policy text or upstream text.
    pub message: Cow<'static, str>,
    /// For the log alone.
    pub detail: Option<String>,
    /// Whose credential it is about, where a signature or whoever was asked has proven that: for logs and counters.
    pub credential: Option<Arc<Credential>>,
    /// How long the client should stay away: the `Retry-After` of 429 and 503.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal with its public sentence.
    #[must_use]
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            detail: None,
            credential: None,
            retry_after: None,
        }
    }

    /// The same, about a credential that is known to be somebody's.
    #[must_use]
    pub fn about(mut self, credential: &Credential) -> Self {
        self.credential = Some(Arc::new(credential.clone()));
        self
    }

    /// The same, with something that only the log is told.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same, with a `Retry-After`.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The HTTP status of the answer.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.code.status()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_has_a_text_of_its_own_in_snake_case() {
        let texts: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        assert!(
            texts
                .iter()
                .all(|text| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        );
    }

    #[test]
    fn every_code_is_an_error_status() {
        assert!(Code::ALL.iter().all(|code| (400..600).contains(&code.status())));
    }

    #[test]
    fn the_log_detail_is_not_in_what_is_displayed() {
        let refusal = Refusal::new(Code::Forbidden, "Not allowed.").with_detail("rule 3 of tenant acme");
        assert_eq!(refusal.to_string(), "forbidden: Not allowed.");
    }
}
