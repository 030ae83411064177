//! `gatekeeper.mint.keys`: private keys, named and never written here.

use super::super::moment::moment;
use super::super::reading::{Reading, Section};
use super::super::secret::SecretOrigin;
use super::super::source::Span;
use super::super::yaml::Node;
use crate::gatekeeper::{SigningAlgorithm, SigningKeySource};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

pub(super) const KEYS_HELP: &str = "write `keys: [ { alg: ES256, file: gatekeeper.pem, kid: \"2026-11\" } ]`; `shapegate keys generate` makes one";

/// A key and where it is written.
#[derive(Clone, Debug)]
pub struct SigningKeySetting {
    /// The key.
    pub source: SigningKeySource,
    /// What names it, to be printed.
    pub origin: KeyOrigin,
    /// Where it is written.
    pub span: Span,
}

/// What names a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOrigin {
    /// A file, as written.
    File(String),
    /// A systemd credential.
    Credential(String),
    /// A shared secret, named so: `env: NAME`.
    Secret(String),
}

pub(super) fn key(reading: &mut Reading<'_>, node: &Node) -> Option<SigningKeySetting> {
    let mut section = Section::open(reading, node, "keys")?;
    let algorithm = section
        .require(reading, "alg", "write `alg: ES256`")
        .and_then(|entry| {
            let words = SigningAlgorithm::ALL.map(|algorithm| (algorithm.as_str(), algorithm));
            reading.choice(&entry.value, "alg", &words)
        });
    let kid = section
        .get(reading, "kid")
        .map(|entry| reading.text(&entry.value, "kid"));
    let from = section.get(reading, "from").map(|entry| moment(reading, entry));
    let until = section.get(reading, "until").map(|entry| moment(reading, entry));
    let named = ["file", "credential", "secret"].map(|key| section.get(reading, key));
    section.finish(reading);
    let algorithm = algorithm?;
    let (material, origin) = match (algorithm, named) {
        (SigningAlgorithm::Hs256, [None, None, Some(entry)]) => {
            let secret = reading.secret(&entry.value, "secret")?;
            let origin = KeyOrigin::Secret(secret_name(&secret.origin));
            (secret.text.into_bytes(), origin)
        }
        (SigningAlgorithm::Hs256, _) => {
            let help = "write `{ alg: HS256, secret: { env: GATEKEEPER_SECRET } }`";
            return reading.refuse(node.span, "an HS256 key has a `secret`", help);
        }
        (_, [Some(entry), None, None]) => of_file(reading, &entry.value)?,
        (_, [None, Some(entry), None]) => of_credential(reading, &entry.value)?,
        _ => {
            let message = "a private key has one of `file` and `credential`";
            return reading.refuse(node.span, message, KEYS_HELP);
        }
    };
    Some(SigningKeySetting {
        source: SigningKeySource {
            algorithm,
            material,
            kid: kid.map_or(Some(None), |read| read.map(|kid| Some(kid.value)))?,
            from: from.map_or(Some(None), |read| read.map(Some))?,
            until: until.map_or(Some(None), |read| read.map(Some))?,
        },
        origin,
        span: node.span,
    })
}

fn secret_name(origin: &SecretOrigin) -> String {
    match origin {
        SecretOrigin::Variable(name) => format!("env: {name}"),
        SecretOrigin::File(path) => format!("file: {}", serde_json::Value::from(path.as_str())),
        SecretOrigin::Credential(name) => format!("credential: {name}"),
        SecretOrigin::Written => "insecure_value: …".to_owned(),
    }
}

fn of_file(reading: &mut Reading<'_>, node: &Node) -> Option<(Vec<u8>, KeyOrigin)> {
    let written = reading.text(node, "file")?;
    let file = reading.file(node, "file")?;
    reading.warn_if_world_readable(&file);
    let der = pkcs8(reading, &file.content.bytes, file.span)?;
    Some((der, KeyOrigin::File(written.value)))
}

fn of_credential(reading: &mut Reading<'_>, node: &Node) -> Option<(Vec<u8>, KeyOrigin)> {
    let file = reading.credential_file(node)?;
    let der = pkcs8(reading, &file.content.bytes, file.span)?;
    let name = file
        .path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Some((der, KeyOrigin::Credential(name)))
}

fn pkcs8(reading: &mut Reading<'_>, pem: &[u8], span: Span) -> Option<Vec<u8>> {
    match PrivateKeyDer::from_pem_slice(pem) {
        Ok(PrivateKeyDer::Pkcs8(der)) => Some(der.secret_pkcs8_der().to_vec()),
        Ok(_) => reading.refuse(
            span,
            "the private key is not in PKCS #8 form",
            "convert it: `openssl pkcs8 -topk8 -nocrypt -in old.pem -out new.pem`",
        ),
        Err(_) => reading.refuse(
            span,
            "there is no private key in that file",
            "it must be PEM: `-----BEGIN PRIVATE KEY-----` …, not encrypted",
        ),
    }
}
