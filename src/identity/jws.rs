//! A signed token taken apart: compact serialisation only (RFC 7515 §7.1).

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use shapegate_core::json::{self, JsonLimits};
use shapegate_core::value::Value;

use super::algorithm::Algorithm;
use super::fault::{Fault, quoted};
use super::keys::is_kid;

/// Bytes of a whole token; a longer one is refused before anything of it is read.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a token's header in base64url. Some carry certificate chains.
pub const HEADER_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a token's `typ`.
const TYPE_BYTES_MAX: usize = 64;

/// A token in its three parts, the header read. Nothing of it is to be believed yet.
#[derive(Debug)]
pub(crate) struct Jws<'a> {
    pub(crate) header: Header,
    /// What the signature is over.
    pub(crate) signed: &'a [u8],
    /// The payload in base64url.
    payload: &'a [u8],
    /// In base64url.
    pub(crate) signature: &'a str,
}

/// What of a header is read. `jwk`, `jku`, `x5u` and `x5c` are not: keys come from the configuration.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<Arc<str>>,
    pub(crate) kind: Option<Arc<str>>,
}

impl<'a> Jws<'a> {
    /// Takes a token apart and reads its header.
    pub(crate) fn read(token: &'a [u8]) -> Result<Self, Fault> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Fault::TooLong(token.len()));
        }
        let [header, payload, signature] = three_parts(token)?;
        if header.len() > HEADER_BYTES_MAX {
            return Err(Fault::HeaderMember("length"));
        }
        let signed = token
            .get(..header.len() + 1 + payload.len())
            .ok_or(Fault::NotThreeParts)?;
        let signature = std::str::from_utf8(signature).map_err(|_| Fault::NotBase64("signature"))?;
        let header = Header::read(&decode(header, "header")?)?;
        Ok(Self {
            header,
            signed,
            payload,
            signature,
        })
    }

    /// The payload's bytes.
    pub(crate) fn payload(&self) -> Result<Vec<u8>, Fault> {
        decode(self.payload, "payload")
    }
}

fn three_parts(token: &[u8]) -> Result<[&[u8]; 3], Fault> {
    let mut parts = token.split(|&byte| byte == b'.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(header), Some(payload), Some(signature), None) => Ok([header, payload, signature]),
        _ => Err(Fault::NotThreeParts),
    }
}

/// Base64url without padding or white space, and with its unused bits zero: one text for one value.
fn decode(part: &[u8], name: &'static str) -> Result<Vec<u8>, Fault> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Fault::NotBase64(name))
}

impl Header {
    fn read(json: &[u8]) -> Result<Self, Fault> {
        let value = json::parse(json, JsonLimits::CLAIMS).map_err(Fault::Header)?;
        let members = value.as_map().ok_or(Fault::HeaderMember("alg"))?;
        // `crit` names what must be understood, and none of it is; `b64` changes what is signed (RFC 7797).
        for extension in ["crit", "b64"] {
            if members.contains_key(extension) {
                return Err(Fault::HeaderExtension(extension));
            }
        }
        let name = text(members, "alg")?.ok_or(Fault::HeaderMember("alg"))?;
        let algorithm = Algorithm::parse(&name).ok_or_else(|| Fault::AlgorithmUnknown(quoted(&name)))?;
        let kid = text(members, "kid")?;
        if kid.as_deref().is_some_and(|kid| !is_kid(kid)) {
            return Err(Fault::HeaderMember("kid"));
        }
        let kind = text(members, "typ")?;
        if kind.as_deref().is_some_and(|kind| kind.len() > TYPE_BYTES_MAX) {
            return Err(Fault::HeaderMember("typ"));
        }
        Ok(Self { algorithm, kid, kind })
    }
}

fn text(members: &BTreeMap<Arc<str>, Value>, name: &'static str) -> Result<Option<Arc<str>>, Fault> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(Arc::clone(text))),
        Some(_) => Err(Fault::HeaderMember(name)),
    }
}
