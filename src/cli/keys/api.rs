//! `shapegate keys hash` and `shapegate keys api-key`: keys that programs send.

use std::io::{self, Read};

use clap::Args;

use crate::identity::CREDENTIAL_BYTES_MAX;
use crate::identity::api_keys::{KeyHash, generate};

/// Longest prefix of a key, in bytes.
const PREFIX_BYTES_MAX: usize = 32;

#[derive(Debug, Args)]
pub(in crate::cli) struct ApiKeyArguments {
    /// What the log is to call it.
    #[arg(long, value_name = "NAME", value_parser = word)]
    name: String,
    /// What it begins with, for people and for scanners of leaked secrets.
    #[arg(long, value_name = "TEXT", default_value = "sk_", value_parser = word)]
    prefix: String,
}

/// Letters, digits, `-` and `_`.
fn word(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let right = !text.is_empty() && text.len() <= PREFIX_BYTES_MAX && text.bytes().all(plain);
    let wrong = || format!("1 to {PREFIX_BYTES_MAX} letters, digits, `-` and `_`");
    right.then(|| text.to_owned()).ok_or_else(wrong)
}

/// Why there is no key or hash.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum ApiKeyError {
    #[error("standard input cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("pipe one key into this, of 1 to {CREDENTIAL_BYTES_MAX} visible ASCII characters on one line")]
    NoKey,
    #[error("the machine has no entropy: {0}")]
    Entropy(getrandom::Error),
}

/// The hash of the key on standard input: an argument would be seen by every account of the machine.
pub(super) fn hash() -> Result<String, ApiKeyError> {
    let mut read = Vec::new();
    let most = u64::try_from(CREDENTIAL_BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(3);
    io::stdin().lock().take(most).read_to_end(&mut read)?;
    let key = read
        .strip_suffix(b"\n")
        .map_or(read.as_slice(), |key| key.strip_suffix(b"\r").unwrap_or(key));
    let visible = key.iter().all(|byte| (0x21..=0x7e).contains(byte));
    if key.is_empty() || key.len() > CREDENTIAL_BYTES_MAX || !visible {
        return Err(ApiKeyError::NoKey);
    }
    Ok(format!("{}\n", KeyHash::of(key)))
}

/// A new key, and the lines for the file of keys.
pub(super) fn make(arguments: &ApiKeyArguments) -> Result<(String, String), ApiKeyError> {
    let key = generate(&arguments.prefix).map_err(ApiKeyError::Entropy)?;
    let (name, hash) = (&arguments.name, KeyHash::of(key.as_bytes()));
    let line =
        format!("Add to the file of `api_keys`:\n\n  - {{ name: {name}, hash: {hash}, subject: {name} }}\n");
    Ok((format!("{key}\n"), line))
}
