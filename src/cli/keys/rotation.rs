//! The `keys` of a configuration with one more: each overlaps with the next by the longest life of a token.

use crate::config::{KeyOrigin, MintSetting, SigningKeySetting, TenantConfig, moment_text};
use crate::gatekeeper::{SIGNING_KEYS_MAX, SigningAlgorithm};
use crate::identity::SKEW;
use shapegate_core::time::UnixMillis;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// A change of keys.
pub(super) struct Rotation {
    pub(super) now: UnixMillis,
    /// When the next key takes over.
    pub(super) from: UnixMillis,
    pub(super) ttl_max: Duration,
}

/// Why the keys cannot be rotated.
#[derive(Debug, thiserror::Error)]
pub(super) enum RotationError {
    #[error("a key of the configuration has no `kid`: give it one first, which new tokens will carry")]
    Unnamed,
    #[error("there is a key {0:?} already: give the next one another name with --kid")]
    Taken(String),
    #[error("a key that is already there takes over only at {0}: rotate after that")]
    Waiting(String),
    #[error("there are {SIGNING_KEYS_MAX} keys, which are as many as there may be")]
    Full,
}

/// The longest that a token lives.
pub(super) fn longest_ttl(config: &TenantConfig, mint: &MintSetting) -> Duration {
    let rules = config.shapes.iter().flat_map(|shape| &shape.settings.rules);
    let ttls = rules.filter_map(|rule| rule.ttl.as_ref()).map(|ttl| ttl.value);
    ttls.fold(mint.ttl, Duration::max)
}

/// A key as the configuration has it, without `from` and `until`.
pub(super) fn line(algorithm: SigningAlgorithm, file: &Path, kid: Option<&str>) -> String {
    let file = quoted(&file.display().to_string());
    let origin = match algorithm {
        SigningAlgorithm::Hs256 => format!("secret: {{ file: {file} }}"),
        _ => format!("file: {file}"),
    };
    let kid = kid.map_or_else(String::new, |kid| format!(", kid: {}", quoted(kid)));
    format!("{{ alg: {}, {origin}{kid} }}", algorithm.as_str())
}

impl Rotation {
    /// A name for the next key: the day on which it takes over.
    pub(super) fn kid(&self) -> String {
        moment_text(self.from).chars().take("2026-11-30".len()).collect()
    }

    /// The `keys` to write: those that still matter, and the next one.
    pub(super) fn keys(
        &self,
        known: &[SigningKeySetting],
        algorithm: SigningAlgorithm,
        file: &Path,
        kid: &str,
    ) -> Result<String, RotationError> {
        let mut kept: Vec<&SigningKeySetting> = known
            .iter()
            .filter(|key| key.source.until.is_none_or(|until| self.now < until))
            .collect();
        kept.sort_by_key(|key| key.source.from);
        self.check(&kept, kid)?;
        let end = self
            .from
            .plus(self.ttl_max)
            .plus(SKEW)
            .plus(Duration::from_secs(1));
        let mut text = String::from("keys:\n");
        for (index, key) in kept.iter().enumerate() {
            let is_last = index + 1 == kept.len();
            let from = key.source.from.filter(|_| index > 0);
            let until = if is_last { Some(end) } else { key.source.until };
            push(&mut text, &known_line(key), from, until);
        }
        let next = line(algorithm, file, Some(kid));
        push(
            &mut text,
            next.trim_start_matches("{ ").trim_end_matches(" }"),
            Some(self.from),
            None,
        );
        Ok(text)
    }

    fn check(&self, kept: &[&SigningKeySetting], kid: &str) -> Result<(), RotationError> {
        if kept.iter().any(|key| key.source.kid.is_none()) {
            return Err(RotationError::Unnamed);
        }
        if kept.iter().any(|key| key.source.kid.as_deref() == Some(kid)) {
            return Err(RotationError::Taken(kid.to_owned()));
        }
        if let Some(later) = kept
            .iter()
            .filter_map(|key| key.source.from)
            .find(|from| *from > self.now)
        {
            return Err(RotationError::Waiting(moment_text(later)));
        }
        if kept.len() >= SIGNING_KEYS_MAX {
            return Err(RotationError::Full);
        }
        Ok(())
    }
}

fn push(text: &mut String, key: &str, from: Option<UnixMillis>, until: Option<UnixMillis>) {
    let moment = |name: &str, moment: UnixMillis| format!(", {name}: {}", quoted(&moment_text(moment)));
    let from = from.map_or_else(String::new, |from| moment("from", from));
    let until = until.map_or_else(String::new, |until| moment("until", until));
    _ = writeln!(text, "  - {{ {key}{from}{until} }}");
}

fn known_line(key: &SigningKeySetting) -> String {
    let algorithm = key.source.algorithm.as_str();
    let origin = match &key.origin {
        KeyOrigin::File(file) => format!("file: {}", quoted(file)),
        KeyOrigin::Credential(name) => format!("credential: {}", quoted(name)),
        KeyOrigin::Secret(secret) => format!("secret: {{ {secret} }}"),
    };
    let kid = quoted(key.source.kid.as_deref().unwrap_or_default());
    format!("alg: {algorithm}, {origin}, kid: {kid}")
}

/// A JSON string, which is YAML too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
