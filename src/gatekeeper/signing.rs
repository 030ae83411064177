//! One key that signs tokens: read once, bound to one algorithm.

use std::fmt;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use shapegate_core::time::UnixMillis;

use crate::identity::{Algorithm, KeySource, SHAPE_TOKEN_TYPE, is_kid};

/// Bits of an RSA key, at least.
const RSA_BITS_MIN: usize = 2048;
/// Bytes of a point's coordinate on P-256.
const COORDINATE_BYTES: usize = 32;

/// What tokens are signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// ECDSA on P-256: small, and verified everywhere.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSA, for validators that know nothing else.
    Rs256,
    /// A shared secret: whoever verifies can sign.
    Hs256,
}

impl SigningAlgorithm {
    /// All of them, the preferred one first.
    pub const ALL: [Self; 4] = [Self::Es256, Self::EdDsa, Self::Rs256, Self::Hs256];

    /// Its registered name.
    pub const fn as_str(self) -> &'static str {
        self.verifying().as_str()
    }

    /// The same, as verifying has it.
    pub const fn verifying(self) -> Algorithm {
        match self {
            Self::Es256 => Algorithm::ES256,
            Self::EdDsa => Algorithm::EdDSA,
            Self::Rs256 => Algorithm::RS256,
            Self::Hs256 => Algorithm::HS256,
        }
    }
}

/// A key as the configuration gives it.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKeySource {
    /// What it signs with.
    pub algorithm: SigningAlgorithm,
    /// PKCS #8 in DER, or the shared secret.
    pub material: Vec<u8>,
    /// Its name. Without one, a public key is named by its thumbprint.
    pub kid: Option<String>,
    /// The moment from which it signs; `None` for the first key.
    pub from: Option<UnixMillis>,
    /// The moment until which what it signed is taken; `None` for as long as it is there.
    pub until: Option<UnixMillis>,
}

impl fmt::Debug for SigningKeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeySource")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// Why a key cannot sign. No message holds key material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum SigningKeyError {
    #[error("this is no private key for {} (PKCS #8 in PEM, not encrypted)", .0.as_str())]
    Rejected(SigningAlgorithm),
    #[error(
        "a secret for HS256 has at least 32 bytes, this one has {0}; `openssl rand -base64 32` makes one"
    )]
    SecretTooShort(usize),
    #[error("an RSA key has 2048 to 8192 bits")]
    RsaSize,
    #[error("a key's `kid` has 1 to 256 bytes and no control characters")]
    Kid,
    #[error("the key cannot be used")]
    Unusable,
}

enum Signer {
    Es256(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
    Rs256(Box<RsaKeyPair>),
    Hs256(Box<hmac::Key>),
}

/// A key, ready to sign.
pub struct SigningKey {
    signer: Signer,
    algorithm: SigningAlgorithm,
    kid: Option<Box<str>>,
    /// The header of all its tokens in base64url, with the dot after it.
    header: Box<str>,
    /// As a JWK; none for a secret.
    public: Option<Box<str>>,
    pub(super) from: Option<UnixMillis>,
    pub(super) until: Option<UnixMillis>,
}

impl SigningKey {
    pub(super) fn read(source: &SigningKeySource) -> Result<Self, SigningKeyError> {
        let signer = Signer::read(source)?;
        let members = signer.public_members()?;
        let kid = match &source.kid {
            Some(kid) if !is_kid(kid) => return Err(SigningKeyError::Kid),
            Some(kid) => Some(kid.clone()),
            None => members.as_deref().map(thumbprint),
        };
        let algorithm = source.algorithm;
        Ok(Self {
            header: header(algorithm, kid.as_deref()),
            public: members.map(|members| public_jwk(&members, algorithm, kid.as_deref())),
            signer,
            algorithm,
            kid: kid.map(Into::into),
            from: source.from,
            until: source.until,
        })
    }

    /// Its name.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Its public half as a JWK; `None` for a shared secret.
    pub fn public(&self) -> Option<&str> {
        self.public.as_deref()
    }

    /// What its tokens are verified with.
    pub(super) fn verifying(&self, source: &SigningKeySource) -> KeySource {
        match &self.public {
            Some(jwk) => KeySource::Jwk {
                algorithm: Some(self.algorithm.verifying()),
                json: jwk.as_bytes().to_vec(),
            },
            None => KeySource::Hmac {
                algorithm: Algorithm::HS256,
                secret: source.material.clone(),
                kid: source.kid.clone(),
            },
        }
    }

    /// The token whose payload is `claims`, JSON.
    pub(super) fn token(&self, claims: &[u8]) -> Result<String, SigningKeyError> {
        let mut token = String::with_capacity(self.header.len() + claims.len() * 4 / 3 + 96);
        token.push_str(&self.header);
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.signer.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

impl Signer {
    fn read(source: &SigningKeySource) -> Result<Self, SigningKeyError> {
        let (algorithm, material) = (source.algorithm, source.material.as_slice());
        let rejected = |_| SigningKeyError::Rejected(algorithm);
        Ok(match algorithm {
            SigningAlgorithm::Es256 => Self::Es256(Box::new(
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, material).map_err(rejected)?,
            )),
            SigningAlgorithm::EdDsa => Self::Ed25519(Box::new(
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(material).map_err(rejected)?,
            )),
            SigningAlgorithm::Rs256 => {
                let pair = RsaKeyPair::from_pkcs8(material).map_err(rejected)?;
                if pair.public_modulus_len() * 8 < RSA_BITS_MIN {
                    return Err(SigningKeyError::RsaSize);
                }
                Self::Rs256(Box::new(pair))
            }
            SigningAlgorithm::Hs256 if material.len() < Algorithm::HS256.secret_bytes_min() => {
                return Err(SigningKeyError::SecretTooShort(material.len()));
            }
            SigningAlgorithm::Hs256 => Self::Hs256(Box::new(hmac::Key::new(hmac::HMAC_SHA256, material))),
        })
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningKeyError> {
        let random = SystemRandom::new();
        let failed = |_| SigningKeyError::Unusable;
        match self {
            Self::Es256(pair) => pair
                .sign(&random, message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(failed),
            Self::Ed25519(pair) => pair
                .try_sign(message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(failed),
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map(|()| signature)
                    .map_err(failed)
            }
            Self::Hs256(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
        }
    }

    /// The members that RFC 7638 names, in its order and without white space, inside of their braces.
    fn public_members(&self) -> Result<Option<String>, SigningKeyError> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        Ok(Some(match self {
            Self::Es256(pair) => {
                let point = pair.public_key().as_ref();
                let coordinates = point.get(1..).filter(|both| both.len() == 2 * COORDINATE_BYTES);
                let (x, y) = coordinates
                    .and_then(|both| both.split_at_checked(COORDINATE_BYTES))
                    .ok_or(SigningKeyError::Unusable)?;
                format!(
                    r#""crv":"P-256","kty":"EC","x":"{}","y":"{}""#,
                    encode(x),
                    encode(y)
                )
            }
            Self::Ed25519(pair) => {
                let x = encode(pair.public_key().as_ref());
                format!(r#""crv":"Ed25519","kty":"OKP","x":"{x}""#)
            }
            Self::Rs256(pair) => {
                let public = pair.public_key();
                let n = encode(public.modulus().big_endian_without_leading_zero());
                let e = encode(public.exponent().big_endian_without_leading_zero());
                format!(r#""e":"{e}","kty":"RSA","n":"{n}""#)
            }
            Self::Hs256(_) => return Ok(None),
        }))
    }
}

/// RFC 7638, with SHA-256.
fn thumbprint(members: &str) -> String {
    let hash = digest::digest(&digest::SHA256, format!("{{{members}}}").as_bytes());
    URL_SAFE_NO_PAD.encode(hash)
}

fn public_jwk(members: &str, algorithm: SigningAlgorithm, kid: Option<&str>) -> Box<str> {
    let kid = kid.map_or_else(String::new, |kid| format!(r#","kid":{}"#, quoted(kid)));
    format!(r#"{{{members},"alg":"{}","use":"sig"{kid}}}"#, algorithm.as_str()).into()
}

fn header(algorithm: SigningAlgorithm, kid: Option<&str>) -> Box<str> {
    let kid = kid.map_or_else(String::new, |kid| format!(r#","kid":{}"#, quoted(kid)));
    let json = format!(
        r#"{{"alg":"{}","typ":"{SHAPE_TOKEN_TYPE}"{kid}}}"#,
        algorithm.as_str()
    );
    format!("{}.", URL_SAFE_NO_PAD.encode(json)).into()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A fresh private key: PKCS #8 in DER, or 32 random bytes.
///
/// # Errors
/// When the machine gives no random bytes.
pub fn generate_private_key(algorithm: SigningAlgorithm) -> Result<Vec<u8>, SigningKeyError> {
    let random = SystemRandom::new();
    let failed = |_| SigningKeyError::Unusable;
    match algorithm {
        SigningAlgorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map(|document| document.as_ref().to_vec())
            .map_err(failed),
        SigningAlgorithm::EdDsa => Ed25519KeyPair::generate_pkcs8v1(&random)
            .map(|document| document.as_ref().to_vec())
            .map_err(failed),
        SigningAlgorithm::Rs256 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa3072).map_err(failed)?;
            pair.as_der()
                .map(|document| document.as_ref().to_vec())
                .map_err(failed)
        }
        SigningAlgorithm::Hs256 => {
            let mut secret = vec![0; 32];
            aws_lc_rs::rand::fill(&mut secret).map_err(failed)?;
            Ok(secret)
        }
    }
}
