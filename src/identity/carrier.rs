//! What of a request can carry a credential, and how it is taken out of it.

use super::fault::Fault;

/// The headers of one request that may carry a credential, as bytes; the rest of the request is not seen.
///
/// Only `Authorization` counts. `Proxy-Authorization`, `X-Forwarded-Access-Token` and the like are a
/// client's text as any other, and a token in the query is a parameter that nobody knows.
#[derive(Debug, Clone, Copy)]
pub struct CredentialHeaders<'a> {
    authorization: Carried<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Carried<'a> {
    Nothing,
    One(&'a [u8]),
    Several,
}

impl<'a> CredentialHeaders<'a> {
    /// From the values of all `Authorization` headers, in any order.
    pub fn new(authorization: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut values = authorization.into_iter();
        let authorization = match (values.next(), values.next()) {
            (None, _) => Carried::Nothing,
            (Some(value), None) => Carried::One(value),
            (Some(_), Some(_)) => Carried::Several,
        };
        Self { authorization }
    }

    /// The bearer token, or `None` when nothing was sent.
    ///
    /// Whatever else was sent is a fault and not `None`: a client that sends a credential wants it judged.
    pub(crate) fn bearer(&self) -> Result<Option<&'a [u8]>, Fault> {
        match self.authorization {
            Carried::Nothing => Ok(None),
            Carried::Several => Err(Fault::SeveralHeaders),
            Carried::One(value) => bearer(value).map(Some).ok_or(Fault::NotBearer),
        }
    }
}

const SCHEME: &[u8] = b"bearer";

/// `"Bearer" 1*SP token` (RFC 6750 §2.1), the scheme in any case (RFC 9110 §11.1).
///
/// White space around the whole is not part of a header's value (RFC 9110 §5.5), but only HTTP/1 readers
/// take it off.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = trimmed(value).split_at_checked(SCHEME.len())?;
    let spaces = rest.iter().take_while(|&&byte| byte == b' ').count();
    let token = rest.get(spaces..)?;
    let well_formed = scheme.eq_ignore_ascii_case(SCHEME) && spaces > 0 && !token.is_empty();
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
            assert_eq!(bearer(value.as_bytes()), Some(&b"a.b.c"[..]), "{value:?}");
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
            assert_eq!(bearer(value.as_bytes()), None, "{value:?}");
        }
    }

    #[test]
    fn a_token_with_more_after_it_is_not_cut() {
        assert_eq!(
            bearer(b"Bearer a.b.c, Bearer d.e.f"),
            Some(&b"a.b.c, Bearer d.e.f"[..])
        );
    }
}
