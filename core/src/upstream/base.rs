//! Where an upstream is, and the secret that it asks for.

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;

use super::encode;
use crate::limits::SOURCE_ID_BYTES_MAX;

/// Electric's one route.
const SHAPE_PATH: &str = "/v1/shape";

/// Electric's API secret. No display form, and a debug form without it; overwritten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// `&secret=…`, encoded.
    suffix: String,
}

impl Secret {
    /// Takes a secret; `None` when it is blank, which Electric would not tell from no secret.
    #[must_use]
    pub fn new(secret: &str) -> Option<Self> {
        if secret.trim().is_empty() {
            return None;
        }
        // Escaped, a byte takes three at most; without room for that, growing would leave copies behind.
        let mut suffix = String::with_capacity("&secret=".len() + 3 * secret.len());
        suffix.push('&');
        encode::pair(&mut suffix, "secret", secret);
        Some(Self { suffix })
    }

    pub(super) fn suffix(&self) -> &str {
        &self.suffix
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.suffix).into_bytes();
        bytes.fill(0);
        black_box(&bytes);
    }
}

/// Why an upstream cannot be addressed so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaseError {
    /// The path before `/v1/shape`.
    #[error(
        "the path must be empty, or begin with `/`, not end with it, and hold letters, digits and -._~/ alone"
    )]
    Path,
    /// The source.
    #[error("source_id must have 1 to {SOURCE_ID_BYTES_MAX} bytes and no control characters")]
    SourceId,
}

/// The constant parts of every request to one upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UpstreamBase {
    path: Arc<str>,
    source: Arc<str>,
    secret_bytes: usize,
}

impl UpstreamBase {
    /// Checks and encodes what an upstream's URL holds before `/v1/shape`, and its source.
    ///
    /// The secret is not kept: only its length counts, because it takes room in the request line.
    ///
    /// # Errors
    ///
    /// When the path or the source cannot be sent as they are.
    pub fn new(
        path_prefix: &str,
        source_id: Option<&str>,
        secret: Option<&Secret>,
    ) -> Result<Self, BaseError> {
        check_path(path_prefix)?;
        Ok(Self {
            path: format!("{path_prefix}{SHAPE_PATH}").into(),
            source: source_id
                .map(encode_source)
                .transpose()?
                .unwrap_or_default()
                .into(),
            secret_bytes: secret.map_or(0, |secret| secret.suffix().len()),
        })
    }

    /// The path of the shape route.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// `&source_id=…`, or nothing.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Bytes of the path, its `?`, the source and the secret.
    pub(super) fn constant_bytes(&self) -> usize {
        self.path.len() + 1 + self.source.len() + self.secret_bytes
    }
}

fn check_path(path: &str) -> Result<(), BaseError> {
    let lawful = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let segment = |text: &str| !matches!(text, "" | "." | "..") && text.bytes().all(lawful);
    let fits = match path.strip_prefix('/') {
        Some(rest) => rest.split('/').all(segment),
        None => path.is_empty(),
    };
    if fits { Ok(()) } else { Err(BaseError::Path) }
}

fn encode_source(id: &str) -> Result<String, BaseError> {
    if id.trim().is_empty() || id.len() > SOURCE_ID_BYTES_MAX || id.chars().any(char::is_control) {
        return Err(BaseError::SourceId);
    }
    let mut source = String::from("&");
    encode::pair(&mut source, "source_id", id);
    Ok(source)
}
