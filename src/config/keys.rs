//! The `keys` of a JWT issuer: shared secrets, PEM files, JWK and JWKS files.

use super::files::NamedFile;
use super::problem::Problem;
use super::reading::{Reading, Section};
use super::source::{Span, Spanned};
use super::yaml::Node;
use crate::identity::{
    Algorithm, IdentityError, IdentityMethods, IdentitySources, IssuerError, IssuerSource, KeySource,
    MemoryLimits,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

pub(super) const KEY_HELP: &str = "write `{ alg: HS256, secret: { env: JWT_SECRET } }`, `{ alg: ES256, file: key.pem }` or `{ file: jwks.json }`";

#[derive(Clone, Copy)]
enum Encoding {
    Text,
    Base64,
    Base64Url,
}

/// One entry of `keys`.
pub(super) fn key(reading: &mut Reading<'_>, node: &Node) -> Option<Spanned<KeySource>> {
    let mut section = Section::open(reading, node, "keys")?;
    let algorithm = section
        .get(reading, "alg")
        .map(|entry| algorithm(reading, &entry.value));
    let kid = section
        .get(reading, "kid")
        .map(|entry| reading.text(&entry.value, "kid"));
    let secret = section.get(reading, "secret");
    let encoding = section.get(reading, "encoding").map(|entry| {
        let words = [
            ("text", Encoding::Text),
            ("base64", Encoding::Base64),
            ("base64url", Encoding::Base64Url),
        ];
        reading.choice(&entry.value, "encoding", &words)
    });
    let file = section.get(reading, "file");
    let symmetric = section
        .get(reading, "symmetric")
        .map(|entry| reading.boolean(&entry.value, "symmetric"));
    section.finish(reading);
    // What is written and wrong was told: nothing is built from the rest.
    let algorithm = algorithm.map_or(Some(None), |read| read.map(Some))?;
    let kid = kid.map_or(Some(None), |read| read.map(|kid| Some(kid.value)))?;
    let encoding = encoding.map_or(Some(None), |read| read.map(Some))?;
    let symmetric = symmetric.map_or(Some(None), |read| read.map(Some))?;
    let source = match (secret, file) {
        (Some(_), None) if symmetric.is_some() => refuse_extra(reading, node, "symmetric", "a key set")?,
        (Some(entry), None) => hmac(
            reading,
            &entry.value,
            algorithm,
            encoding.unwrap_or(Encoding::Text),
            kid,
        )?,
        (None, Some(_)) if encoding.is_some() => refuse_extra(reading, node, "encoding", "a secret")?,
        (None, Some(entry)) => {
            let file = reading.file(&entry.value, "file")?;
            of_file(reading, file, algorithm, kid, symmetric)?
        }
        _ => return reading.refuse(node.span, "a key has one of `secret` and `file`", KEY_HELP),
    };
    Some(Spanned::new(source, node.span))
}

fn refuse_extra(reading: &mut Reading<'_>, node: &Node, key: &str, of: &str) -> Option<KeySource> {
    reading.refuse(
        node.span,
        format!("`{key}` has a meaning only for {of}"),
        "remove it",
    )
}

fn algorithm(reading: &mut Reading<'_>, node: &Node) -> Option<Algorithm> {
    let words = Algorithm::ALL.map(|algorithm| (algorithm.as_str(), algorithm));
    reading.choice(node, "alg", &words)
}

fn hmac(
    reading: &mut Reading<'_>,
    node: &Node,
    algorithm: Option<Algorithm>,
    encoding: Encoding,
    kid: Option<String>,
) -> Option<KeySource> {
    let secret = reading.secret(node, "secret")?;
    let Some(algorithm) = algorithm else {
        return reading.refuse(node.span, "a shared secret needs its `alg`", "write `alg: HS256`");
    };
    let decoded = match encoding {
        Encoding::Text => Some(secret.text.clone().into_bytes()),
        Encoding::Base64 => STANDARD.decode(&secret.text).ok(),
        Encoding::Base64Url => URL_SAFE_NO_PAD.decode(secret.text.trim_end_matches('=')).ok(),
    };
    match decoded {
        Some(bytes) => Some(KeySource::Hmac {
            algorithm,
            secret: bytes,
            kid,
        }),
        None => reading.refuse(
            node.span,
            "the secret is not in that `encoding`",
            "check it, or write `encoding: text`",
        ),
    }
}

/// PEM or JSON: the content says.
fn of_file(
    reading: &mut Reading<'_>,
    file: NamedFile,
    algorithm: Option<Algorithm>,
    kid: Option<String>,
    symmetric: Option<bool>,
) -> Option<KeySource> {
    let text = String::from_utf8_lossy(&file.content.bytes);
    let json = text.trim_start().starts_with('{');
    let set =
        json && serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|json| json.get("keys").is_some());
    if symmetric == Some(true) {
        reading.warn_if_world_readable(&file);
    }
    let extra = if json && kid.is_some() {
        Some(("kid", "a PEM file or a secret: JSON keys have their own"))
    } else if set && algorithm.is_some() {
        Some(("alg", "a single key: the keys of a set have their own"))
    } else if !set && symmetric.is_some() {
        Some(("symmetric", "a key set"))
    } else {
        None
    };
    if let Some((key, of)) = extra {
        return reading.refuse(
            file.span,
            format!("`{key}` has a meaning only for {of}"),
            "remove it",
        );
    }
    let bytes = file.content.bytes;
    match (set, json, algorithm) {
        (true, ..) => Some(KeySource::Jwks {
            json: bytes,
            symmetric: symmetric.unwrap_or(false),
        }),
        (_, true, algorithm) => Some(KeySource::Jwk {
            algorithm,
            json: bytes,
        }),
        (_, _, Some(algorithm)) => Some(KeySource::Pem {
            algorithm,
            pem: bytes,
            kid,
        }),
        _ => reading.refuse(
            file.span,
            "a PEM key needs its `alg`",
            "write for example `alg: ES256`",
        ),
    }
}

/// Reads every key on its own, so that each fault is told at its own place, and then all together.
pub(super) fn check(
    reading: &mut Reading<'_>,
    source: IssuerSource,
    span: Span,
    keys: &[Spanned<KeySource>],
) -> Option<IssuerSource> {
    let mut right = true;
    for key in keys {
        let alone = IssuerSource {
            keys: vec![key.value.clone()],
            ..source.clone()
        };
        match trial(alone) {
            Ok(left_out) => reading
                .problems
                .extend(left_out.into_iter().map(|text| Problem::warning(key.span, text))),
            Err(IssuerError::Key { error, .. }) => {
                right = false;
                reading
                    .problems
                    .push(Problem::error(key.span, error.to_string()).help(KEY_HELP));
            }
            // Not about keys: told once, below.
            Err(_) => {}
        }
    }
    if !right {
        return None;
    }
    let together = IssuerSource {
        keys: keys.iter().map(|key| key.value.clone()).collect(),
        ..source
    };
    match trial(together.clone()) {
        Ok(_) => Some(together),
        Err(IssuerError::Key { place, error }) => {
            let span = keys.get(place).map_or(span, |key| key.span);
            reading.refuse(span, error.to_string(), "give each key a `kid` of its own")
        }
        Err(error) => reading.refuse(span, error.to_string(), "see `jwt` in docs/configuration.md"),
    }
}

/// Compiles an issuer and throws the result away, but for the keys that were left out.
fn trial(source: IssuerSource) -> Result<Vec<String>, IssuerError> {
    let memory = MemoryLimits {
        tokens_max: 1,
        bytes_max: 1,
    };
    let sources = IdentitySources {
        issuers: vec![source],
        memory,
        ..IdentitySources::default()
    };
    match IdentityMethods::compile(sources) {
        Ok((_, warnings)) => Ok(warnings
            .into_iter()
            .map(|warning| warning.warning.to_string())
            .collect()),
        Err(errors) => Err(errors
            .into_iter()
            .find_map(of_issuer)
            .unwrap_or(IssuerError::IssuerEmpty)),
    }
}

fn of_issuer(error: IdentityError) -> Option<IssuerError> {
    match error {
        IdentityError::Issuer { error, .. } => Some(error),
        _ => None,
    }
}
