//! The keys that credentials are checked with: read once, each bound to one algorithm.
//!
//! A token never says how it is to be checked. Each key has exactly one [`Algorithm`], from the
//! configuration or from the key itself, and a token that names another is not tried against it.
//!
//! - A shared secret is at least as long as its hash, never below 32 bytes.
//! - A PEM holds one public key: `PUBLIC KEY` (SPKI) or `RSA PUBLIC KEY` (PKCS #1). Certificates are
//!   refused, because nobody would look at their validity; private keys, because they do not belong here.
//! - A JWK's `use`, `key_ops` and `alg` are respected. Without `alg`, an elliptic key has the algorithm of
//!   its curve and an RSA key RS256, as OpenID Connect has it. A JWK with private members is refused.
//! - In a JWKS, what cannot be used is left out with a [`KeyWarning`], as RFC 7517 §5 wants; a set without
//!   any usable key, or with two keys of one `kid` and algorithm, is refused. Shared secrets (`oct`) count
//!   only in a set that was declared symmetric, which holds nothing else and of which nothing is left out:
//!   a published set of public keys can therefore never bring a secret in.
//! - RSA has 2048 to 8192 bits and an odd exponent of at least 3; keys with the fingerprint of
//!   CVE-2017-15361 are refused. Points lie on their curve.

mod jwk;
mod pem;
mod point;
mod published;
mod ring;
mod rsa;
mod standing;

use std::fmt;

use jsonwebtoken::{DecodingKey, DecodingKeyKind};
use shapegate_core::json::JsonError;

use super::algorithm::{Algorithm, Family};
use super::remote::RemoteSource;

pub(crate) use published::Published;
pub(crate) use ring::KeyRing;
pub(crate) use standing::Standing;

/// Keys in one JWKS; a larger set is refused.
pub const JWKS_KEYS_MAX: usize = 64;
/// Bytes of one JWK, JWKS or PEM; a larger one is refused.
pub const KEY_FILE_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a key's `kid`; a longer one is refused, in a key as in a token.
pub const KID_BYTES_MAX: usize = 256;

/// A key, or several, as the configuration gives them.
#[derive(Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A shared secret.
    Hmac {
        /// One of HS256, HS384 and HS512.
        algorithm: Algorithm,
        /// The secret's bytes, decoded from whatever they were written in.
        secret: Vec<u8>,
        /// The name that tokens call it by; without one it is tried for every token of its algorithm.
        kid: Option<String>,
    },
    /// A public key in PEM.
    Pem {
        /// Any but the HMAC ones; it must suit the key.
        algorithm: Algorithm,
        /// The file's bytes.
        pem: Vec<u8>,
        /// As for a shared secret.
        kid: Option<String>,
    },
    /// One JWK.
    Jwk {
        /// Must be given for a shared secret; otherwise it may be, and must then be that of the key.
        algorithm: Option<Algorithm>,
        /// The file's bytes.
        json: Vec<u8>,
    },
    /// A set of JWKs.
    Jwks {
        /// The file's bytes.
        json: Vec<u8>,
        /// Whether it is a set of shared secrets rather than of public keys.
        symmetric: bool,
    },
    /// The set that the issuer publishes. An issuer that has one has no other keys.
    Remote(RemoteSource),
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, algorithm) = match self {
            Self::Hmac { algorithm, .. } => ("Hmac", Some(*algorithm)),
            Self::Pem { algorithm, .. } => ("Pem", Some(*algorithm)),
            Self::Jwk { algorithm, .. } => ("Jwk", *algorithm),
            Self::Jwks { .. } => ("Jwks", None),
            Self::Remote(source) => return source.fmt(f),
        };
        f.debug_struct(kind)
            .field("algorithm", &algorithm)
            .finish_non_exhaustive()
    }
}

/// Why a key is refused. No message holds key material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum KeyError {
    #[error(
        "a secret for {algorithm} has at least {min} bytes, this one has {has}; `openssl rand -base64 {min}` makes one"
    )]
    SecretTooShort {
        algorithm: Algorithm,
        min: usize,
        has: usize,
    },
    #[error("{0} does not suit this kind of key")]
    AlgorithmMismatch(Algorithm),
    #[error(
        "the algorithm {0:?} is not taken; one of HS256/384/512, RS256/384/512, PS256/384/512, ES256, ES384, EdDSA is"
    )]
    AlgorithmUnknown(String),
    #[error("a shared secret in a JWK needs its algorithm in the configuration: HS256, HS384 or HS512")]
    AlgorithmMissing,
    #[error("a key file of {0} bytes is more than {KEY_FILE_BYTES_MAX}")]
    TooLarge(usize),
    #[error("not one PEM block of a public key")]
    NotPem,
    #[error("this PEM is a certificate; give its key: `openssl x509 -in cert.pem -pubkey -noout`")]
    Certificate,
    #[error("this is a private key; give the public one")]
    PrivateKey,
    #[error("not a JSON Web Key: {0}")]
    Json(JsonError),
    #[error("not a JSON Web Key: the member {0:?} is missing or of a wrong type")]
    Member(&'static str),
    #[error("not a JSON Web Key: {0:?} is not base64url of the right length")]
    Base64(&'static str),
    #[error("the key type {0:?} is not taken")]
    TypeUnknown(String),
    #[error("the curve {0:?} is not taken here; P-256, P-384 and Ed25519 are")]
    CurveUnknown(String),
    #[error("the key is not for signatures (`use`)")]
    NotForSignatures,
    #[error("the key is not for verifying (`key_ops`)")]
    NotForVerifying,
    #[error("a key's `kid` has 1 to {KID_BYTES_MAX} bytes and no control characters")]
    Kid,
    #[error("an RSA key has 2048 to 8192 bits, this one has {0}")]
    RsaSize(usize),
    #[error("an RSA exponent is odd, at least 3 and at most 33 bits long")]
    RsaExponent,
    #[error("this RSA key was made by a library that makes weak ones (CVE-2017-15361)")]
    RsaWeak,
    #[error("the public key is not valid for its algorithm")]
    Invalid,
    #[error("a shared secret does not belong in a set of public keys")]
    SecretInPublicSet,
    #[error("a public key does not belong in a set of shared secrets")]
    PublicInSecretSet,
    #[error("a set has at most {JWKS_KEYS_MAX} keys, this one has {0}")]
    TooManyKeys(usize),
    #[error("two keys have the `kid` {0:?} and one algorithm")]
    DuplicateKid(String),
    #[error("keys that an issuer publishes exclude keys that are given here")]
    RemoteAndGiven,
    #[error("the client that would fetch the keys is not to be had: {0}")]
    Client(String),
    #[error("there is no key that could be used")]
    NoKeys,
}

/// A key of a set that was left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key {index} of the set is not used: {error}")]
pub struct KeyWarning {
    /// The place of its [`KeySource`] at the issuer, from 0.
    pub place: usize,
    /// Its place in the set, from 0.
    pub index: usize,
    /// Why.
    pub error: KeyError,
}

/// One key, ready to verify.
pub(crate) struct Key {
    algorithm: Algorithm,
    pub(crate) kid: Option<Box<str>>,
    decoding: DecodingKey,
}

impl Key {
    /// Whether `signature`, in base64url, is this key's over `signed`.
    pub(crate) fn verifies(&self, signed: &[u8], signature: &str) -> bool {
        jsonwebtoken::crypto::verify(signature, signed, &self.decoding, self.algorithm.library())
            .unwrap_or(false)
    }

    /// Whether this is the same key under the same name.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.kid == other.kid && self.has_material_of(other)
    }

    fn has_material_of(&self, other: &Self) -> bool {
        use DecodingKeyKind::{RsaModulusExponent, SecretOrDer};
        match (self.decoding.kind(), other.decoding.kind()) {
            (SecretOrDer(one), SecretOrDer(other)) => one == other,
            (
                RsaModulusExponent { n, e },
                RsaModulusExponent {
                    n: other_n,
                    e: other_e,
                },
            ) => n == other_n && e == other_e,
            _ => false,
        }
    }

    fn hmac(algorithm: Algorithm, secret: &[u8], kid: Option<&str>) -> Result<Self, KeyError> {
        if algorithm.family() != Family::Hmac {
            return Err(KeyError::AlgorithmMismatch(algorithm));
        }
        let min = algorithm.secret_bytes_min();
        if secret.len() < min {
            return Err(KeyError::SecretTooShort {
                algorithm,
                min,
                has: secret.len(),
            });
        }
        Self::new(algorithm, kid, DecodingKey::from_secret(secret))
    }

    fn new(algorithm: Algorithm, kid: Option<&str>, decoding: DecodingKey) -> Result<Self, KeyError> {
        match kid {
            Some(kid) if !is_kid(kid) => Err(KeyError::Kid),
            _ => Ok(Self {
                algorithm,
                kid: kid.map(Into::into),
                decoding,
            }),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// Whether this may be the name of a key, in a key as in a token.
pub(crate) fn is_kid(kid: &str) -> bool {
    (1..=KID_BYTES_MAX).contains(&kid.len()) && !kid.chars().any(char::is_control)
}

fn bounded(bytes: &[u8]) -> Result<&[u8], KeyError> {
    if bytes.len() > KEY_FILE_BYTES_MAX {
        Err(KeyError::TooLarge(bytes.len()))
    } else {
        Ok(bytes)
    }
}
