//! Values of parameters, in Postgres' text form.

use std::fmt;
use std::sync::Arc;

use crate::limits;

/// Why a text is no value of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParameterError {
    /// Postgres has no NUL.
    #[error("a parameter contains a NUL character")]
    Nul,
    /// Too long.
    #[error("a parameter is longer than {} bytes", limits::PARAMETER_BYTES_MAX)]
    TooLong,
}

/// The value of one parameter, in Postgres' text form. Never NULL: Electric cannot pass it. Its `Debug` shows
/// only how long it is, because values may be personal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParameterText(Arc<str>);

impl ParameterText {
    /// Takes a value as it is.
    ///
    /// # Errors
    /// When it contains NUL or is too long.
    pub fn new(text: &str) -> Result<Self, ParameterError> {
        if text.len() > limits::PARAMETER_BYTES_MAX {
            return Err(ParameterError::TooLong);
        }
        if text.contains('\0') {
            return Err(ParameterError::Nul);
        }
        Ok(Self(text.into()))
    }

    /// Writes the array of these elements, `{}` when there are none.
    ///
    /// # Errors
    /// When an element contains NUL or the whole is too long.
    pub fn array<'a>(items: impl IntoIterator<Item = &'a str>) -> Result<Self, ParameterError> {
        let mut text = String::from("{");
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            push_element(&mut text, item);
            if text.len() > limits::PARAMETER_BYTES_MAX {
                return Err(ParameterError::TooLong);
            }
        }
        text.push('}');
        Self::new(&text)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Numbers and uuids stand as they are; whatever else could mean something to the array's syntax is quoted.
fn push_element(text: &mut String, item: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !item.is_empty() && item.chars().all(plain) && !item.eq_ignore_ascii_case("null") {
        text.push_str(item);
        return;
    }
    text.push('"');
    for c in item.chars() {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
}

impl fmt::Debug for ParameterText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParameterText({} bytes)", self.0.len())
    }
}
