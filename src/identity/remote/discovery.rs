//! OpenID Connect Discovery 1.0: from an issuer to where its keys are.

use bytes::Bytes;
use http::{Response, StatusCode};
use shapegate_core::json::{self, JsonLimits};
use shapegate_core::value::Value;

use super::super::fault::quoted;
use super::super::keys::KEY_FILE_BYTES_MAX;
use super::error::RemoteError;
use super::source::{KeyLocation, RemoteSource};
use crate::clock::Clock;
use crate::outbound::Outbound;

const WELL_KNOWN: &str = "/.well-known/openid-configuration";
const LIMITS: JsonLimits = JsonLimits {
    bytes_max: KEY_FILE_BYTES_MAX,
    depth_max: 8,
    values_max: 4096,
};

/// Where the keys are.
pub(super) async fn keys_url(
    issuer: &str,
    source: &RemoteSource,
    outbound: &Outbound,
    clock: &dyn Clock,
) -> Result<String, RemoteError> {
    let url = match &source.location {
        KeyLocation::Jwks(url) => return Ok(url.clone()),
        KeyLocation::Discovery(url) => url.clone(),
        // A slash at the end is not doubled (§4.1).
        KeyLocation::Issuer => format!("{}{WELL_KNOWN}", issuer.strip_suffix('/').unwrap_or(issuer)),
    };
    read(issuer, &body(outbound.get(&url, clock).await?)?)
}

/// The body of a good answer. What it says of its content type is not looked at: providers differ.
pub(super) fn body(answer: Response<Bytes>) -> Result<Vec<u8>, RemoteError> {
    match answer.status() {
        StatusCode::OK => Ok(answer.into_body().into()),
        other => Err(RemoteError::Status(other.as_u16())),
    }
}

/// `jwks_uri` of a document that is this issuer's, to the letter (§4.3).
fn read(issuer: &str, document: &[u8]) -> Result<String, RemoteError> {
    let Value::Map(members) = json::parse(document, LIMITS).map_err(RemoteError::Document)? else {
        return Err(RemoteError::Member("issuer"));
    };
    let text = |name| {
        let value = members.get(name).and_then(Value::as_str);
        value.ok_or(RemoteError::Member(name))
    };
    let named = text("issuer")?;
    if named != issuer {
        return Err(RemoteError::IssuerOther(quoted(named)));
    }
    text("jwks_uri").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://idp.test/tenant";

    fn uri(issuer: &str) -> Result<String, RemoteError> {
        let document = format!(r#"{{"issuer":"{issuer}","jwks_uri":"https://keys.test/set","x":{{}}}}"#);
        read(ISSUER, document.as_bytes())
    }

    #[test]
    fn b12_a_document_of_another_issuer_leads_to_no_keys() {
        assert_eq!(uri(ISSUER).unwrap(), "https://keys.test/set");
        for other in [
            "https://idp.test/tenant/",
            "https://idp.test/Tenant",
            "https://IDP.test/tenant",
            "http://idp.test/tenant",
            "https://idp.test:443/tenant",
            "https://evil.test/tenant",
            "https://idp.test",
            "",
        ] {
            assert!(matches!(uri(other), Err(RemoteError::IssuerOther(_))), "{other}");
        }
    }

    #[test]
    fn what_is_no_discovery_document_leads_to_no_keys() {
        for document in [
            "",
            "<html>",
            "[]",
            "null",
            "{}",
            r#"{"issuer":"https://idp.test/tenant"}"#,
            r#"{"issuer":["https://idp.test/tenant"],"jwks_uri":"https://keys.test"}"#,
            r#"{"issuer":"https://idp.test/tenant","jwks_uri":7}"#,
            r#"{"issuer":"https://evil.test","issuer":"https://idp.test/tenant","jwks_uri":"https://keys.test"}"#,
        ] {
            assert!(read(ISSUER, document.as_bytes()).is_err(), "{document}");
        }
    }
}
