//! Keys made on the spot, tokens written as text, and one way to ask.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair};
use aws_lc_rs::{encoding, hmac};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value as Json, json};
use shapegate::identity::{
    Algorithm, AudienceRule, CredentialHeaders, IdentityMethods, IdentitySources, IssuerSource, KeySource,
};
use shapegate_core::code::{Code, Refusal};
use shapegate_core::identity::Identity;
use shapegate_core::time::{Monotonic, Now, UnixMillis};

pub(crate) const ISSUER: &str = "https://acme.example/";
pub(crate) const AUDIENCE: &str = "sync";
pub(crate) const NOW_SECONDS: i64 = 1_700_000_000;

pub(crate) fn now() -> Now {
    later(Duration::ZERO)
}

pub(crate) fn later(by: Duration) -> Now {
    let start = Monotonic(Duration::from_secs(1_000));
    Now {
        wall: UnixMillis::from_seconds(NOW_SECONDS).plus(by),
        monotonic: start.plus(by),
    }
}

/// A private key together with the one algorithm that it signs with.
pub(crate) struct Signer {
    pub(crate) algorithm: Algorithm,
    secret: Secret,
}

enum Secret {
    Hmac(Vec<u8>),
    Rsa(Arc<RsaKeyPair>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

static RSA: LazyLock<Arc<RsaKeyPair>> = LazyLock::new(generate_rsa);
static OTHER_RSA: LazyLock<Arc<RsaKeyPair>> = LazyLock::new(generate_rsa);

fn generate_rsa() -> Arc<RsaKeyPair> {
    Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
}

/// A new key; RSA keys are one a process, because they take long to make.
pub(crate) fn signer(algorithm: Algorithm) -> Signer {
    use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512};
    let secret = match algorithm {
        HS256 | HS384 | HS512 => Secret::Hmac(random(64)),
        ES256 => Secret::Ec(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
        ES384 => Secret::Ec(EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()),
        EdDSA => Secret::Ed(Ed25519KeyPair::generate().unwrap()),
        _ => Secret::Rsa(Arc::clone(&RSA)),
    };
    Signer { algorithm, secret }
}

/// An RSA key that no issuer here has.
pub(crate) fn strange_rsa(algorithm: Algorithm) -> Signer {
    Signer {
        algorithm,
        secret: Secret::Rsa(Arc::clone(&OTHER_RSA)),
    }
}

pub(crate) fn hmac_signer(algorithm: Algorithm, secret: &[u8]) -> Signer {
    Signer {
        algorithm,
        secret: Secret::Hmac(secret.to_vec()),
    }
}

pub(crate) fn random(bytes: usize) -> Vec<u8> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).unwrap();
    random
}

impl Signer {
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.secret {
            Secret::Hmac(secret) => hmac::sign(&self.hmac_key(secret), message).as_ref().to_vec(),
            Secret::Ec(pair) => pair
                .sign(&SystemRandom::new(), message)
                .unwrap()
                .as_ref()
                .to_vec(),
            Secret::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Secret::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(self.rsa_encoding(), &SystemRandom::new(), message, &mut signature)
                    .unwrap();
                signature
            }
        }
    }

    fn hmac_key(&self, secret: &[u8]) -> hmac::Key {
        let algorithm = match self.algorithm {
            Algorithm::HS384 => hmac::HMAC_SHA384,
            Algorithm::HS512 => hmac::HMAC_SHA512,
            _ => hmac::HMAC_SHA256,
        };
        hmac::Key::new(algorithm, secret)
    }

    fn rsa_encoding(&self) -> &'static dyn RsaEncoding {
        match self.algorithm {
            Algorithm::RS384 => &signature::RSA_PKCS1_SHA384,
            Algorithm::RS512 => &signature::RSA_PKCS1_SHA512,
            Algorithm::PS256 => &signature::RSA_PSS_SHA256,
            Algorithm::PS384 => &signature::RSA_PSS_SHA384,
            Algorithm::PS512 => &signature::RSA_PSS_SHA512,
            _ => &signature::RSA_PKCS1_SHA256,
        }
    }

    /// The public half as a JWK (or the secret, for HMAC), with `alg` and without `kid`.
    pub(crate) fn jwk(&self) -> Json {
        let mut jwk = match &self.secret {
            Secret::Hmac(secret) => json!({ "kty": "oct", "k": base64url(secret) }),
            Secret::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key().as_ref()) })
            }
            Secret::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({ "kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y) })
            }
            Secret::Rsa(pair) => {
                let public = pair.public_key();
                let n = public.modulus().big_endian_without_leading_zero();
                let e = public.exponent().big_endian_without_leading_zero();
                json!({ "kty": "RSA", "n": base64url(n), "e": base64url(e) })
            }
        };
        jwk["alg"] = self.algorithm.as_str().into();
        jwk
    }

    pub(crate) fn jwk_with(&self, more: &Json) -> Json {
        let mut jwk = self.jwk();
        let members = more.as_object().unwrap().clone();
        jwk.as_object_mut().unwrap().extend(members);
        jwk
    }

    /// The public half as SPKI.
    pub(crate) fn spki(&self) -> Vec<u8> {
        let der: encoding::PublicKeyX509Der<'_> = match &self.secret {
            Secret::Hmac(_) => panic!("no public half"),
            Secret::Ec(pair) => pair.public_key().as_der().unwrap(),
            Secret::Ed(pair) => pair.public_key().as_der().unwrap(),
            Secret::Rsa(pair) => pair.public_key().as_der().unwrap(),
        };
        der.as_ref().to_vec()
    }

    /// The public half of an RSA key as PKCS #1.
    pub(crate) fn pkcs1(&self) -> Vec<u8> {
        match &self.secret {
            Secret::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            _ => panic!("not an RSA key"),
        }
    }

    pub(crate) fn pem(&self) -> String {
        pem("PUBLIC KEY", &self.spki())
    }

    pub(crate) fn source(&self) -> KeySource {
        KeySource::Jwk {
            algorithm: Some(self.algorithm),
            json: self.jwk().to_string().into_bytes(),
        }
    }

    /// A token of this header and these claims, exactly as written.
    pub(crate) fn token_of(&self, header: &str, claims: &str) -> String {
        let signed = format!(
            "{}.{}",
            base64url(header.as_bytes()),
            base64url(claims.as_bytes())
        );
        let signature = base64url(&self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    pub(crate) fn token(&self, claims: &Json) -> String {
        self.token_of(&header(self.algorithm.as_str()), &claims.to_string())
    }
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn from_base64url(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

pub(crate) fn header(algorithm: &str) -> String {
    json!({ "alg": algorithm, "typ": "JWT" }).to_string()
}

/// Claims that every issuer here takes.
pub(crate) fn good_claims() -> Json {
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": NOW_SECONDS + 300, "iat": NOW_SECONDS })
}

/// The good claims with one set.
pub(crate) fn claims_with(name: &str, value: impl Into<Json>) -> Json {
    let mut claims = good_claims();
    claims[name] = value.into();
    claims
}

/// The good claims without one.
pub(crate) fn claims_without(name: &str) -> Json {
    let mut claims = good_claims();
    claims.as_object_mut().unwrap().remove(name).unwrap();
    claims
}

/// The good claims as text, one of them (which must be there) with a value as written.
pub(crate) fn claims_text(name: &str, value: &str) -> String {
    let marked = claims_with(name, "PLACE").to_string();
    assert!(marked.contains("\"PLACE\""));
    marked.replace("\"PLACE\"", value)
}

pub(crate) fn issuer(keys: Vec<KeySource>) -> IssuerSource {
    IssuerSource {
        issuer: ISSUER.to_owned(),
        keys,
        audience: AudienceRule::Audience(vec![AUDIENCE.to_owned()]),
        lifetime_max: None,
        token_type: None,
        claims: Vec::new(),
    }
}

pub(crate) fn methods(issuers: Vec<IssuerSource>) -> IdentityMethods {
    let sources = IdentitySources {
        issuers,
        ..IdentitySources::default()
    };
    IdentityMethods::compile(sources)
        .map_err(|errors| format!("{errors:?}"))
        .unwrap()
        .0
}

/// Methods that take what this signer signs.
pub(crate) fn methods_of(signer: &Signer) -> IdentityMethods {
    methods(vec![issuer(vec![signer.source()])])
}

pub(crate) fn ask_at(methods: &IdentityMethods, token: &str, now: Now) -> Result<Arc<Identity>, Refusal> {
    let value = format!("Bearer {token}");
    let headers = CredentialHeaders::new([value.as_bytes()]);
    methods
        .authenticate(&headers, now)
        .map(|asked| asked.known().expect("a token came"))
}

pub(crate) fn ask(methods: &IdentityMethods, token: &str) -> Result<Arc<Identity>, Refusal> {
    ask_at(methods, token, now())
}

/// The code of the refusal, `None` when there is an identity.
pub(crate) fn verdict(methods: &IdentityMethods, token: &str) -> Option<Code> {
    ask(methods, token).err().map(|refusal| refusal.code)
}

#[track_caller]
pub(crate) fn assert_invalid(methods: &IdentityMethods, token: &str, what: &str) {
    assert_eq!(verdict(methods, token), Some(Code::TokenInvalid), "{what}");
    assert_eq!(
        methods.tokens_remembered(),
        0,
        "{what}: nothing of it is remembered"
    );
}

/// One signer, one issuer with it, and whether this claim is taken.
pub(crate) struct Bench {
    pub(crate) signer: Signer,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            signer: signer(Algorithm::HS256),
        }
    }

    pub(crate) fn source(&self) -> IssuerSource {
        issuer(vec![self.signer.source()])
    }

    pub(crate) fn verdict(&self, claims: &Json) -> Option<Code> {
        verdict(&methods_of(&self.signer), &self.signer.token(claims))
    }

    pub(crate) fn verdict_of_text(&self, claim: &str, value: &str) -> Option<Code> {
        let token = self.signer.token_of(&header("HS256"), &claims_text(claim, value));
        verdict(&methods_of(&self.signer), &token)
    }

    pub(crate) fn verdict_by(&self, source: IssuerSource, claims: &Json) -> Option<Code> {
        verdict(&methods(vec![source]), &self.signer.token(claims))
    }
}

pub(crate) fn token_with_header(signer: &Signer, header: &Json) -> String {
    signer.token_of(&header.to_string(), &good_claims().to_string())
}

pub(crate) fn jwks(keys: &[Json]) -> KeySource {
    KeySource::Jwks {
        json: json!({ "keys": keys }).to_string().into_bytes(),
        symmetric: false,
    }
}

pub(crate) fn pem_source(algorithm: Algorithm, pem: &str) -> KeySource {
    KeySource::Pem {
        algorithm,
        pem: pem.as_bytes().to_vec(),
        kid: None,
    }
}

pub(crate) fn token_with_kid(signer: &Signer, kid: &Json) -> String {
    let header = json!({ "alg": signer.algorithm.as_str(), "kid": kid });
    signer.token_of(&header.to_string(), &good_claims().to_string())
}
