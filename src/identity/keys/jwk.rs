//! JSON Web Keys and sets of them (RFC 7517, RFC 7518 §6, RFC 8037 §2).

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use shapegate_core::json::{self, JsonLimits};
use shapegate_core::value::Value;

use super::super::algorithm::Algorithm;
use super::{JWKS_KEYS_MAX, KEY_FILE_BYTES_MAX, Key, KeyError, KeyWarning, bounded, point, rsa};

type Members = BTreeMap<Arc<str>, Value>;

/// Certificate chains and their like make sets large, and they are skipped.
const LIMITS: JsonLimits = JsonLimits {
    bytes_max: KEY_FILE_BYTES_MAX,
    depth_max: 4,
    values_max: 4096,
};
/// Members that only a private key has.
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

/// Reads one JWK; `given` is the algorithm that the configuration names.
pub(super) fn read(given: Option<Algorithm>, bytes: &[u8]) -> Result<Key, KeyError> {
    let value = parse(bytes)?;
    let jwk = members(&value)?;
    if text(jwk, "kty")? == "oct" && given.is_none() {
        return Err(KeyError::AlgorithmMissing);
    }
    key(jwk, given)
}

/// Reads a set; what cannot be used is left out and told about.
pub(super) fn read_set(
    place: usize,
    bytes: &[u8],
    symmetric: bool,
) -> Result<(Vec<Key>, Vec<KeyWarning>), KeyError> {
    let value = parse(bytes)?;
    let Some(Value::List(entries)) = members(&value)?.get("keys") else {
        return Err(KeyError::Member("keys"));
    };
    if entries.len() > JWKS_KEYS_MAX {
        return Err(KeyError::TooManyKeys(entries.len()));
    }
    let (mut keys, mut warnings) = (Vec::new(), Vec::new());
    for (index, entry) in entries.iter().enumerate() {
        match set_key(entry, symmetric) {
            Ok(key) => keys.push(key),
            // Whoever keeps secrets knows them all: nothing there is for others.
            Err(error) if symmetric => return Err(error),
            Err(error) => warnings.push(KeyWarning { place, index, error }),
        }
    }
    if keys.is_empty() {
        Err(KeyError::NoKeys)
    } else {
        Ok((keys, warnings))
    }
}

fn set_key(entry: &Value, symmetric: bool) -> Result<Key, KeyError> {
    let jwk = members(entry)?;
    match (text(jwk, "kty")? == "oct", symmetric) {
        (true, false) => Err(KeyError::SecretInPublicSet),
        (false, true) => Err(KeyError::PublicInSecretSet),
        _ => key(jwk, None),
    }
}

fn key(jwk: &Members, given: Option<Algorithm>) -> Result<Key, KeyError> {
    check_use(jwk)?;
    let kid = optional_text(jwk, "kid")?;
    let named = optional_text(jwk, "alg")?.map(named_algorithm).transpose()?;
    let algorithm = match (named, given) {
        (Some(named), Some(given)) if named != given => return Err(KeyError::AlgorithmMismatch(given)),
        (named, given) => named.or(given),
    };
    match text(jwk, "kty")? {
        "oct" => {
            let secret = number(jwk, "k")?;
            Key::hmac(algorithm.ok_or(KeyError::AlgorithmMissing)?, &secret, kid)
        }
        _ if PRIVATE.iter().any(|name| jwk.contains_key(*name)) => Err(KeyError::PrivateKey),
        "RSA" => rsa_key(jwk, algorithm.unwrap_or(Algorithm::RS256), kid),
        "EC" => ec_key(jwk, algorithm, kid),
        "OKP" => ed_key(jwk, algorithm, kid),
        other => Err(KeyError::TypeUnknown(shortened(other))),
    }
}

fn rsa_key(jwk: &Members, algorithm: Algorithm, kid: Option<&str>) -> Result<Key, KeyError> {
    Key::new(
        algorithm,
        kid,
        rsa::key(algorithm, &number(jwk, "n")?, &number(jwk, "e")?)?,
    )
}

fn ec_key(jwk: &Members, algorithm: Option<Algorithm>, kid: Option<&str>) -> Result<Key, KeyError> {
    let of_curve = match text(jwk, "crv")? {
        "P-256" => Algorithm::ES256,
        "P-384" => Algorithm::ES384,
        other => return Err(KeyError::CurveUnknown(shortened(other))),
    };
    let (x, y) = (coordinate(jwk, "x", of_curve)?, coordinate(jwk, "y", of_curve)?);
    pointed(algorithm, of_curve, &point::uncompressed(&x, &y), kid)
}

fn ed_key(jwk: &Members, algorithm: Option<Algorithm>, kid: Option<&str>) -> Result<Key, KeyError> {
    match text(jwk, "crv")? {
        "Ed25519" => pointed(algorithm, Algorithm::EdDSA, &number(jwk, "x")?, kid),
        other => Err(KeyError::CurveUnknown(shortened(other))),
    }
}

fn pointed(
    algorithm: Option<Algorithm>,
    of_curve: Algorithm,
    at: &[u8],
    kid: Option<&str>,
) -> Result<Key, KeyError> {
    match algorithm {
        Some(other) if other != of_curve => Err(KeyError::AlgorithmMismatch(other)),
        _ => {
            let decoding: DecodingKey = point::key(of_curve, at)?;
            Key::new(of_curve, kid, decoding)
        }
    }
}

/// A coordinate has the full length of its curve, leading zeros included (RFC 7518 §6.2.1.2).
fn coordinate(jwk: &Members, name: &'static str, curve: Algorithm) -> Result<Vec<u8>, KeyError> {
    let bytes = number(jwk, name)?;
    if curve.coordinate_bytes() == Some(bytes.len()) {
        Ok(bytes)
    } else {
        Err(KeyError::Base64(name))
    }
}

/// `use` and `key_ops`, where they are there, must allow to verify signatures.
fn check_use(jwk: &Members) -> Result<(), KeyError> {
    if optional_text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(KeyError::NotForSignatures);
    }
    let verifies = |operation: &Value| matches!(operation, Value::String(name) if &**name == "verify");
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Value::List(operations)) if operations.iter().any(verifies) => Ok(()),
        Some(Value::List(_)) => Err(KeyError::NotForVerifying),
        Some(_) => Err(KeyError::Member("key_ops")),
    }
}

fn named_algorithm(name: &str) -> Result<Algorithm, KeyError> {
    Algorithm::parse(name).ok_or_else(|| KeyError::AlgorithmUnknown(shortened(name)))
}

fn parse(bytes: &[u8]) -> Result<Value, KeyError> {
    json::parse(bounded(bytes)?, LIMITS).map_err(KeyError::Json)
}

fn members(value: &Value) -> Result<&Members, KeyError> {
    match value {
        Value::Map(members) => Ok(members),
        _ => Err(KeyError::Member("kty")),
    }
}

fn text<'a>(jwk: &'a Members, name: &'static str) -> Result<&'a str, KeyError> {
    optional_text(jwk, name)?.ok_or(KeyError::Member(name))
}

fn optional_text<'a>(jwk: &'a Members, name: &'static str) -> Result<Option<&'a str>, KeyError> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(KeyError::Member(name)),
    }
}

/// A number or a secret: base64url without padding, unused bits zero.
fn number(jwk: &Members, name: &'static str) -> Result<Vec<u8>, KeyError> {
    URL_SAFE_NO_PAD
        .decode(text(jwk, name)?)
        .map_err(|_| KeyError::Base64(name))
}

/// What a message quotes of somebody else's text.
fn shortened(text: &str) -> String {
    text.chars().take(32).collect()
}
