//! Why a credential is refused: in full for the log, in three words for the client.

use std::time::Duration;

use shapegate_core::code::{Code, Refusal};
use shapegate_core::credential::Credential;
use shapegate_core::json::JsonError;
use shapegate_core::shape_claims::ShapeClaimError;

/// Why a credential is refused. The text goes to the log; text of others in it is quoted and short.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum Fault {
    /// Something is against a token whose signature holds, so that it is known whose it is.
    #[error("{fault}")]
    Of {
        credential: Box<Credential>,
        fault: Box<Fault>,
    },
    #[error("several Authorization headers came")]
    SeveralHeaders,
    #[error("a cookie came in a request that may not use it: {0}")]
    CookieRefused(&'static str),
    #[error("the Authorization header is not `Bearer` with a token")]
    NotBearer,
    #[error("the credential came more than once, or several came")]
    SeveralCredentials,
    #[error("the credential is empty, too long, or of characters that no credential has")]
    CredentialForm,
    #[error("{0} knows nobody by this credential")]
    NobodysCredential(String),
    #[error("a bearer token came, and no issuer is configured")]
    NoMethod,
    #[error("a token of {0} bytes")]
    TooLong(usize),
    #[error("not three parts")]
    NotThreeParts,
    #[error("the {0} is not base64url")]
    NotBase64(&'static str),
    #[error("the header is not taken: {0}")]
    Header(JsonError),
    #[error("the header's {0:?} is missing, of a wrong type or out of bounds")]
    HeaderMember(&'static str),
    #[error("the algorithm {0:?} is not taken")]
    AlgorithmUnknown(String),
    #[error("the header has {0:?}, which asks for what is not done here")]
    HeaderExtension(&'static str),
    #[error("a token of the type {0:?} is not taken here")]
    TypeRefused(String),
    #[error("the claims are not taken: {0}")]
    Claims(JsonError),
    #[error("the claims are not an object")]
    ClaimsNotObject,
    #[error("the claim {0:?} is missing")]
    ClaimMissing(&'static str),
    #[error("the claim {0:?} is of a wrong type or out of bounds")]
    ClaimMalformed(&'static str),
    #[error("no issuer {0:?} is configured")]
    IssuerUnknown(String),
    #[error("issuer {issuer:?} has no {algorithm} key for the key id {kid:?}")]
    NoKey {
        issuer: String,
        algorithm: &'static str,
        kid: Option<String>,
    },
    #[error("there are no keys of issuer {0:?}: it could not be asked for them, or not for too long")]
    KeysMissing(String),
    #[error("issuer {0:?} has too many keys that would do; the token names none of them")]
    TooManyKeys(String),
    #[error("the signature is not one of issuer {0:?}")]
    SignatureWrong(String),
    #[error("the token is for another audience")]
    AudienceOther,
    #[error("the token was issued to another party")]
    PartyOther,
    #[error("the token does not hold yet (`nbf`)")]
    NotYet,
    #[error("the token was issued in the future (`iat`)")]
    IssuedLater,
    #[error("the token lasts longer than this issuer's may")]
    LastsTooLong,
    #[error("the key that signed the token is retired")]
    KeyRetired,
    #[error("the token has expired")]
    Expired,
    #[error("the claim for {name:?} is {has}; {wants} is expected")]
    ClaimType {
        name: String,
        has: &'static str,
        wants: &'static str,
    },
    #[error("the token signs no shape: {0}")]
    Shape(ShapeClaimError),
}

impl Fault {
    /// What the client is told when newer keys were waited for in vain: to come again.
    pub(crate) fn unavailable(&self, pause: Duration) -> Refusal {
        let text = "The keys of the token's issuer cannot be had now.";
        Refusal::new(Code::IdentityUnavailable, text)
            .with_detail(self.to_string())
            .with_retry_after(pause)
    }

    /// What the client is told: that its request is malformed, that its credential has expired, that it is
    /// not valid, or that it is and does not help. Nothing else, so that nobody can feel their way.
    pub(crate) fn refusal(&self) -> Refusal {
        if let Self::Of { credential, fault } = self {
            return fault.refusal().about(credential);
        }
        let (code, message) = match self {
            Self::SeveralHeaders => (Code::MalformedRequest, "Send one Authorization header."),
            Self::SeveralCredentials => (Code::MalformedRequest, "Send one credential."),
            Self::CookieRefused(_) => (
                Code::OriginNotAllowed,
                "Cookies are taken from the listed origins alone.",
            ),
            Self::Expired => (Code::TokenExpired, "The token has expired."),
            Self::ClaimType { .. } => (
                Code::Forbidden,
                "The token is valid, but a claim in it is not of the expected type.",
            ),
            Self::Shape(_) => (Code::Forbidden, "The token is valid, but it signs no shape."),
            _ => (Code::TokenInvalid, "The credential is not valid here."),
        };
        Refusal::new(code, message).with_detail(self.to_string())
    }
}

/// What the log quotes of a client's text, in characters.
const QUOTED_CHARS_MAX: usize = 64;

/// The beginning of a client's text. It is logged with `{:?}`, which escapes control characters.
pub(crate) fn quoted(text: &str) -> String {
    text.chars().take(QUOTED_CHARS_MAX).collect()
}
