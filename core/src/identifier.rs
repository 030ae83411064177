//! Postgres identifiers as Electric reads and writes them.
//!
//! Electric looks tables and columns up by their exact name in `pg_class` and `pg_attribute`. What is not in
//! quotes is folded to lower case, in ASCII only; what is in quotes stands for itself, with `""` for one quote.
//! This reader accepts a subset of what Electric accepts, so that both always mean the same name: a line break
//! at the end, an odd run of quotes and control characters are refused here.

use std::fmt;
use std::sync::Arc;

use crate::limits;

mod columns;
mod table;

pub use columns::{ColumnSet, ColumnSetError};
pub use table::TableName;

/// Why a text is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentifierError {
    /// Nothing, or nothing between the quotes.
    #[error("a name is empty")]
    Empty,
    /// Postgres keeps no longer name.
    #[error("a name is longer than {} bytes", limits::IDENTIFIER_BYTES_MAX)]
    TooLong,
    /// A control character, NUL and line breaks included.
    #[error("a name contains a control character")]
    ControlCharacter,
    /// A character that a name holds only in double quotes.
    #[error("a name contains {0:?}, which must be written in double quotes")]
    NeedsQuotes(char),
    /// A quote that is neither first, last nor doubled.
    #[error("the double quotes of a name do not match; a quote inside is written twice")]
    Quotes,
    /// More than a schema and a table.
    #[error("a table has at most a schema and a name: schema.table")]
    TooManyParts,
}

/// A name as Postgres' catalogue has it: folded, without quotes, 1 to 63 bytes, no control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier(Arc<str>);

impl Identifier {
    /// Reads a name as a query writes it: `Items` is `items`, `"Items"` is `Items`.
    ///
    /// # Errors
    /// Whatever Electric would refuse, and what it would read in an unexpected way.
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        match text.strip_prefix('"') {
            Some(rest) => Self::exact(&unquote(rest)?),
            None => Self::folded(text),
        }
    }

    /// Takes a name exactly as the catalogue has it.
    ///
    /// # Errors
    /// When it is empty, too long, contains a control character, or has quotes where Electric misreads them.
    pub fn exact(name: &str) -> Result<Self, IdentifierError> {
        if name.is_empty() {
            return Err(IdentifierError::Empty);
        }
        if name.len() > limits::IDENTIFIER_BYTES_MAX {
            return Err(IdentifierError::TooLong);
        }
        if name.chars().any(char::is_control) {
            return Err(IdentifierError::ControlCharacter);
        }
        // Doubled and between the outer quotes these would be runs of three and more, which Electric misreads.
        if name.starts_with('"') || name.ends_with('"') || name.contains("\"\"") {
            return Err(IdentifierError::Quotes);
        }
        Ok(Self(name.into()))
    }

    fn folded(text: &str) -> Result<Self, IdentifierError> {
        for (index, c) in text.chars().enumerate() {
            let fits = if index == 0 { is_start(c) } else { is_part(c) };
            match fits {
                true => (),
                false if c == '"' => return Err(IdentifierError::Quotes),
                false if c.is_control() => return Err(IdentifierError::ControlCharacter),
                false => return Err(IdentifierError::NeedsQuotes(c)),
            }
        }
        Self::exact(&text.to_ascii_lowercase())
    }

    /// The name, folded and without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Always in quotes, whether it needs them or not.
impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('"', "\"\""))
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether an unquoted name may begin with this. A subset of both Electric's `\pL` and Postgres' lexer.
pub(crate) fn is_start(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

/// Whether an unquoted name may go on with this.
pub(crate) fn is_part(c: char) -> bool {
    is_start(c) || c.is_ascii_digit() || c == '$'
}

/// What follows an opening quote, up to the closing one, which must be the last character.
fn unquote(rest: &str) -> Result<String, IdentifierError> {
    let body = rest.strip_suffix('"').ok_or(IdentifierError::Quotes)?;
    let parts: Vec<&str> = body.split("\"\"").collect();
    if parts.iter().any(|part| part.contains('"')) {
        return Err(IdentifierError::Quotes);
    }
    Ok(parts.join("\""))
}

/// Splits at a separator outside of quotes, into at most `parts_max` parts.
fn split_outside_quotes(text: &str, separator: char, parts_max: usize) -> Option<Vec<&str>> {
    let mut quoted = false;
    let outside = |c: char| {
        quoted ^= c == '"';
        c == separator && !quoted
    };
    let parts: Vec<&str> = text.split(outside).take(parts_max.saturating_add(1)).collect();
    (parts.len() <= parts_max).then_some(parts)
}
