//! What of a request can carry a credential, and how it is taken out of it.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::fault::Fault;

/// Longest credential that is no JWT, in bytes: a session's cookie or token, an API key.
pub const CREDENTIAL_BYTES_MAX: usize = 4 * 1024;

/// The headers of one request that may carry a credential; what no method is configured to read is not seen.
///
/// Of `Authorization` alone it is known without a configuration that it carries one. `Proxy-Authorization`,
/// `X-Forwarded-Access-Token` and the like are a client's text as any other, and a token in the query is a
/// parameter that nobody knows.
#[derive(Debug, Clone, Copy)]
pub struct CredentialHeaders<'a> {
    authorization: Carried<'a>,
    all: Option<&'a HeaderMap>,
    cookies_refused: Option<&'static str>,
}

/// How often something came that may come once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carried<'a> {
    Nothing,
    One(&'a [u8]),
    Several,
}

impl<'a> Carried<'a> {
    fn of(mut values: impl Iterator<Item = &'a [u8]>) -> Self {
        match (values.next(), values.next()) {
            (None, _) => Self::Nothing,
            (Some(value), None) => Self::One(value),
            (Some(_), Some(_)) => Self::Several,
        }
    }
}

impl<'a> CredentialHeaders<'a> {
    /// From the values of all `Authorization` headers, in any order; no other carrier came.
    pub fn new(authorization: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self {
            authorization: Carried::of(authorization.into_iter()),
            all: None,
            cookies_refused: None,
        }
    }

    /// From a request's headers.
    pub fn of(headers: &'a HeaderMap) -> Self {
        let authorization = headers.get_all(header::AUTHORIZATION);
        Self {
            authorization: Carried::of(authorization.iter().map(HeaderValue::as_bytes)),
            all: Some(headers),
            cookies_refused: None,
        }
    }

    /// The same, with why cookies of this request are no credentials, if they are none.
    #[must_use]
    pub fn with_cookies_refused(self, why: Option<&'static str>) -> Self {
        Self {
            cookies_refused: why,
            ..self
        }
    }

    /// A cookie that is to be used as a credential.
    ///
    /// It is a fault and not as if it were not there: whoever sent it would otherwise be somebody else.
    pub(crate) fn credential_cookie(&self, name: &str) -> Result<Option<&'a [u8]>, Fault> {
        match (self.cookie(name), self.cookies_refused) {
            (Carried::Nothing, _) => Ok(None),
            (Carried::Several, _) => Err(Fault::SeveralCredentials),
            (Carried::One(_), Some(why)) => Err(Fault::CookieRefused(why)),
            (Carried::One(credential), None) => Ok(Some(credential)),
        }
    }

    /// The value of `Authorization`, whatever its scheme.
    pub(crate) fn authorization(&self) -> Carried<'a> {
        self.authorization
    }

    /// The value of another header, as it is.
    pub(crate) fn header(&self, name: &HeaderName) -> Carried<'a> {
        let Some(headers) = self.all else {
            return Carried::Nothing;
        };
        Carried::of(headers.get_all(name).iter().map(HeaderValue::as_bytes))
    }

    /// The value of a cookie, as it is (RFC 6265 §5.4). HTTP/2 may send each pair in a header of its own.
    ///
    /// Two of one name are told, and not the first of them taken: a page of a sibling host can put one before
    /// the application's own.
    pub(crate) fn cookie(&self, name: &str) -> Carried<'a> {
        let Some(headers) = self.all else {
            return Carried::Nothing;
        };
        let lines = headers.get_all(header::COOKIE).iter();
        let pairs = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b';'));
        Carried::of(pairs.filter_map(|pair| {
            let (found, value) = trimmed(pair).split_at_checked(name.len())?;
            let value = value.strip_prefix(b"=")?;
            (found == name.as_bytes()).then(|| trimmed(value))
        }))
    }

    /// The bearer token, or `None` when nothing was sent.
    ///
    /// Whatever else was sent is a fault and not `None`: a client that sends a credential wants it judged.
    pub(crate) fn bearer(&self) -> Result<Option<&'a [u8]>, Fault> {
        match self.authorization {
            Carried::Nothing => Ok(None),
            Carried::Several => Err(Fault::SeveralHeaders),
            Carried::One(value) => with_scheme(value, BEARER).map(Some).ok_or(Fault::NotBearer),
        }
    }
}

/// What carries a method's credential.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// `Authorization` with this scheme, which is compared without regard to case (RFC 9110 §11.1).
    Authorization {
        /// The scheme, such as `bearer`.
        scheme: String,
        /// What the credential begins with, where several methods share a scheme: `sk_`.
        prefix: Option<String>,
    },
    /// Another header, whose whole value is the credential.
    Header(HeaderName),
    /// A cookie of this exact name.
    Cookie(String),
}

impl Carrier {
    /// `Authorization: Bearer …`.
    #[must_use]
    pub fn bearer() -> Self {
        Self::Authorization {
            scheme: BEARER.to_owned(),
            prefix: None,
        }
    }
}

/// The scheme of tokens that need no proof beyond themselves (RFC 6750).
pub(crate) const BEARER: &str = "bearer";

/// `scheme 1*SP credential` (RFC 6750 §2.1), the scheme in any case (RFC 9110 §11.1).
///
/// White space around the whole is not part of a header's value (RFC 9110 §5.5), but only HTTP/1 readers
/// take it off.
pub(crate) fn with_scheme<'a>(value: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    let (scheme, rest) = trimmed(value).split_at_checked(wanted.len())?;
    let spaces = rest.iter().take_while(|&&byte| byte == b' ').count();
    let token = rest.get(spaces..)?;
    let well_formed = scheme.eq_ignore_ascii_case(wanted.as_bytes()) && spaces > 0 && !token.is_empty();
    well_formed.then_some(token)
}

fn trimmed(value: &[u8]) -> &[u8] {
    let is_ink = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = value.iter().position(is_ink).unwrap_or(value.len());
    let end = value.iter().rposition(is_ink).map_or(start, |last| last + 1);
    value.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_read_in_any_case_and_the_token_as_it_is() {
        for value in [
            "Bearer a.b.c",
            "bearer a.b.c",
            "BEARER a.b.c",
            "Bearer  a.b.c",
            " Bearer a.b.c \t",
        ] {
            assert_eq!(
                with_scheme(value.as_bytes(), BEARER),
                Some(&b"a.b.c"[..]),
                "{value:?}"
            );
        }
    }

    #[test]
    fn what_is_not_a_bearer_credential_is_none() {
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "Bearera.b.c",
            "Bearer\ta.b.c",
            "Basic a.b.c",
            "Bear a",
            "a.b.c",
        ] {
            assert_eq!(with_scheme(value.as_bytes(), BEARER), None, "{value:?}");
        }
    }

    #[test]
    fn a_token_with_more_after_it_is_not_cut() {
        assert_eq!(
            with_scheme(b"Bearer a.b.c, Bearer d.e.f", BEARER),
            Some(&b"a.b.c, Bearer d.e.f"[..])
        );
    }
}
