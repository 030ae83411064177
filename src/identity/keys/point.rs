//! Public keys that are points on a curve.

use aws_lc_rs::signature::ParsedPublicKey;
use jsonwebtoken::DecodingKey;

use super::super::algorithm::{Algorithm, Family};
use super::KeyError;

/// The byte before an uncompressed point (SEC 1 §2.3.3); the only form that is taken.
const UNCOMPRESSED: u8 = 4;
const ED25519_BYTES: usize = 32;

/// The key at this point: uncompressed SEC 1 for ECDSA, the 32 bytes of RFC 8032 for Ed25519.
pub(super) fn key(algorithm: Algorithm, point: &[u8]) -> Result<DecodingKey, KeyError> {
    let check = algorithm
        .point_check()
        .ok_or(KeyError::AlgorithmMismatch(algorithm))?;
    if !has_form(algorithm, point) {
        return Err(KeyError::AlgorithmMismatch(algorithm));
    }
    ParsedPublicKey::new(check, point).map_err(|_| KeyError::Invalid)?;
    Ok(match algorithm.family() {
        Family::Ed => DecodingKey::from_ed_der(point),
        _ => DecodingKey::from_ec_der(point),
    })
}

/// The length decides the curve here, so that what the library would also take (a whole SPKI) is not.
fn has_form(algorithm: Algorithm, point: &[u8]) -> bool {
    match algorithm.coordinate_bytes() {
        Some(bytes) => point.len() == 1 + 2 * bytes && point.first() == Some(&UNCOMPRESSED),
        None => point.len() == ED25519_BYTES,
    }
}

/// The uncompressed point of two coordinates.
pub(super) fn uncompressed(x: &[u8], y: &[u8]) -> Vec<u8> {
    [&[UNCOMPRESSED], x, y].concat()
}
