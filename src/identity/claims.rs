//! The registered claims (RFC 7519 §4.1): which must be there, and what they must say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use shapegate_core::credential::Credential;
use shapegate_core::time::{Now, UnixMillis};
use shapegate_core::value::Value;

use super::fault::Fault;

/// The members of a token's payload, or of any object.
pub(crate) type Claims = BTreeMap<Arc<str>, Value>;

/// How far the clocks of an issuer and ours may be apart.
pub const SKEW: Duration = Duration::from_secs(60);
/// Entries of an `aud` list; a longer one is refused.
pub const AUDIENCES_MAX: usize = 64;
/// Bytes of a `sub`; a longer one is refused.
pub const SUBJECT_BYTES_MAX: usize = 1024;
/// Tokens that one can be made from, as far as it says; further ones are not looked at.
pub(crate) const ORIGINS_MAX: usize = 4;
/// The last second of the year 9999. Beyond it lie dates in milliseconds, and tokens for ever.
const SECONDS_MAX: f64 = 253_402_300_799.0;

/// Whom a token must be meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudienceRule {
    /// `aud`, or one of its entries, is exactly one of these.
    Audience(Vec<String>),
    /// `azp` is exactly one of these; `aud` is not looked at.
    AuthorizedParties(Vec<String>),
    /// Any token of the issuer will do, also one made for another service. Insecure.
    InsecureAny,
}

impl AudienceRule {
    pub(crate) fn check(&self, claims: &Claims) -> Result<(), Fault> {
        match self {
            Self::InsecureAny => Ok(()),
            Self::AuthorizedParties(accepted) => {
                let party = text(claims, "azp")?.ok_or(Fault::ClaimMissing("azp"))?;
                if is_one_of(&party, accepted) {
                    Ok(())
                } else {
                    Err(Fault::PartyOther)
                }
            }
            Self::Audience(accepted) => check_audience(claims.get("aud"), accepted),
        }
    }
}

fn check_audience(audience: Option<&Value>, accepted: &[String]) -> Result<(), Fault> {
    let entries = match audience {
        None => return Err(Fault::ClaimMissing("aud")),
        Some(Value::List(entries)) if entries.len() <= AUDIENCES_MAX => entries.as_slice(),
        Some(one @ Value::String(_)) => std::slice::from_ref(one),
        Some(_) => return Err(Fault::ClaimMalformed("aud")),
    };
    if !entries.iter().all(|entry| entry.as_str().is_some()) {
        return Err(Fault::ClaimMalformed("aud"));
    }
    let ours = entries
        .iter()
        .filter_map(Value::as_str)
        .any(|entry| is_one_of(entry, accepted));
    if ours { Ok(()) } else { Err(Fault::AudienceOther) }
}

fn is_one_of(text: &str, accepted: &[String]) -> bool {
    accepted.iter().any(|one| one == text)
}

/// What an issuer's tokens must say about time and audience.
#[derive(Debug, PartialEq)]
pub(crate) struct ClaimRules {
    pub(crate) audience: AudienceRule,
    pub(crate) lifetime_max: Option<Duration>,
}

impl ClaimRules {
    /// Checks the registered claims and gives the first moment at which the token no longer holds.
    ///
    /// Expiry comes last: that is the one fault that a client is told, and it promises that a newer token
    /// of the same kind would do.
    pub(crate) fn check(&self, claims: &Claims, now: Now) -> Result<UnixMillis, Fault> {
        self.audience.check(claims)?;
        let expiry = date(claims, "exp")?.ok_or(Fault::ClaimMissing("exp"))?;
        let issued = date(claims, "iat")?;
        let soon = now.wall.plus(SKEW);
        if date(claims, "nbf")?.is_some_and(|begin| begin > soon) {
            return Err(Fault::NotYet);
        }
        if issued.is_some_and(|issued| issued > soon) {
            return Err(Fault::IssuedLater);
        }
        self.check_lifetime(issued.unwrap_or(soon), expiry)?;
        // The last moment of the leeway still counts.
        let end = expiry.plus(SKEW).plus(Duration::from_millis(1));
        if end <= now.wall {
            Err(Fault::Expired)
        } else {
            Ok(end)
        }
    }

    /// A token that does not say when it was issued is taken for issued now, which is the shortest that it
    /// can last.
    fn check_lifetime(&self, issued: UnixMillis, expiry: UnixMillis) -> Result<(), Fault> {
        match self.lifetime_max {
            Some(longest) if issued.until(expiry) > longest => Err(Fault::LastsTooLong),
            _ => Ok(()),
        }
    }
}

/// The subject: absent, or text of 1 to [`SUBJECT_BYTES_MAX`] bytes.
pub(crate) fn subject(claims: &Claims) -> Result<Option<Arc<str>>, Fault> {
    match text(claims, "sub")? {
        Some(subject) if !(1..=SUBJECT_BYTES_MAX).contains(&subject.len()) => {
            Err(Fault::ClaimMalformed("sub"))
        }
        subject => Ok(subject),
    }
}

/// What a token goes by besides its subject and its keys. `origin_jti` names what it was made from, several where
/// that was made from something, too.
pub(crate) fn credential(claims: &Claims) -> Credential {
    let own = claims.get("jti").and_then(id);
    let origins = match claims.get("origin_jti") {
        Some(Value::List(ids)) => ids.iter().take(ORIGINS_MAX).filter_map(id).collect(),
        other => Vec::from_iter(other.and_then(id)),
    };
    Credential {
        token_ids: own.into_iter().chain(origins).collect(),
        // It was checked to be a date if it is there.
        issued_at: date(claims, "iat").ok().flatten(),
        ..Credential::default()
    }
}

/// An id is text (RFC 7519 §4.1.7); some write whole numbers, which count as their digits.
fn id(value: &Value) -> Option<Arc<str>> {
    match value {
        Value::String(text) if !text.is_empty() => Some(Arc::clone(text)),
        Value::Int(number) => Some(number.to_string().into()),
        Value::UInt(number) => Some(number.to_string().into()),
        _ => None,
    }
}

/// The issuer that the token claims, which decides whose keys it is tried with.
pub(crate) fn issuer(claims: &Claims) -> Result<Arc<str>, Fault> {
    text(claims, "iss")?.ok_or(Fault::ClaimMissing("iss"))
}

fn text(claims: &Claims, name: &'static str) -> Result<Option<Arc<str>>, Fault> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(Arc::clone(text))),
        Some(_) => Err(Fault::ClaimMalformed(name)),
    }
}

/// A NumericDate (RFC 7519 §2): seconds since 1970, whole or with a fraction, until the year 9999.
/// Rounded down to a millisecond.
pub(crate) fn date(claims: &Claims, name: &'static str) -> Result<Option<UnixMillis>, Fault> {
    let seconds = match claims.get(name) {
        None => return Ok(None),
        Some(Value::Int(seconds)) => u64::try_from(*seconds).ok().map(Duration::from_secs),
        Some(Value::Float(seconds)) if (0.0..=SECONDS_MAX).contains(seconds) => {
            Duration::try_from_secs_f64(*seconds).ok()
        }
        Some(_) => None,
    };
    let in_range = seconds.filter(|seconds| seconds.as_secs_f64() <= SECONDS_MAX);
    let millis = in_range.and_then(|seconds| i64::try_from(seconds.as_millis()).ok());
    millis
        .map(|millis| Some(UnixMillis(millis)))
        .ok_or(Fault::ClaimMalformed(name))
}
