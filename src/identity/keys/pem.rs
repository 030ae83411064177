//! One public key in PEM.

use aws_lc_rs::rsa::PublicKey;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::errors::Error;

use super::super::algorithm::{Algorithm, Family};
use super::{Key, KeyError, bounded, point, rsa};

const BEGIN: &str = "-----BEGIN ";

/// Reads the one public key in `pem`.
pub(super) fn read(algorithm: Algorithm, pem: &[u8], kid: Option<&str>) -> Result<Key, KeyError> {
    let pem = bounded(pem)?;
    let label = only_label(pem)?;
    let decoding = match (algorithm.family(), label) {
        (Family::Rsa, "PUBLIC KEY" | "RSA PUBLIC KEY") => rsa_key(algorithm, pem),
        (Family::Ec, "PUBLIC KEY") => point_key(algorithm, DecodingKey::from_ec_pem(pem)),
        (Family::Ed, "PUBLIC KEY") => point_key(algorithm, DecodingKey::from_ed_pem(pem)),
        (_, "PUBLIC KEY" | "RSA PUBLIC KEY") => Err(KeyError::AlgorithmMismatch(algorithm)),
        (_, "CERTIFICATE") => Err(KeyError::Certificate),
        (_, private) if private.ends_with("PRIVATE KEY") => Err(KeyError::PrivateKey),
        _ => Err(KeyError::NotPem),
    }?;
    Key::new(algorithm, kid, decoding)
}

/// The label of the only block: a second one might be what the operator meant.
fn only_label(pem: &[u8]) -> Result<&str, KeyError> {
    let text = std::str::from_utf8(pem).map_err(|_| KeyError::NotPem)?;
    let mut blocks = text.split(BEGIN).skip(1);
    let (Some(block), None) = (blocks.next(), blocks.next()) else {
        return Err(KeyError::NotPem);
    };
    block
        .split_once("-----")
        .map(|(label, _)| label)
        .ok_or(KeyError::NotPem)
}

fn rsa_key(algorithm: Algorithm, pem: &[u8]) -> Result<DecodingKey, KeyError> {
    let read = DecodingKey::from_rsa_pem(pem).map_err(|_| KeyError::AlgorithmMismatch(algorithm))?;
    let der = read.try_get_as_bytes().map_err(|_| KeyError::Invalid)?;
    let public = PublicKey::from_der(der).map_err(|_| KeyError::Invalid)?;
    rsa::key(
        algorithm,
        public.modulus().big_endian_without_leading_zero(),
        public.exponent().big_endian_without_leading_zero(),
    )
}

fn point_key(algorithm: Algorithm, read: Result<DecodingKey, Error>) -> Result<DecodingKey, KeyError> {
    let read = read.map_err(|_| KeyError::AlgorithmMismatch(algorithm))?;
    point::key(algorithm, read.try_get_as_bytes().map_err(|_| KeyError::Invalid)?)
}
