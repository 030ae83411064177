//! The path at which tokens are minted: its last segment is a table.

use shapegate_core::code::{Code, Refusal};
use shapegate_core::identifier::TableName;
use shapegate_core::limits::TABLE_TEXT_BYTES_MAX;
use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::config::{PathError, PathPattern};

/// What stands for the table.
pub const TABLE_CAPTURE: &str = "{table}";

/// Such as `/gatekeeper/{table}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MintPath {
    /// Everything before the table, the slash included.
    prefix: Box<str>,
    pattern: PathPattern,
}

impl MintPath {
    /// Reads a path whose last segment is `{table}`; `None` where it is not.
    ///
    /// # Errors
    /// As for any path.
    pub fn parse(text: &str) -> Result<Option<Self>, PathError> {
        let Some(prefix) = text
            .strip_suffix(TABLE_CAPTURE)
            .filter(|prefix| prefix.ends_with('/'))
        else {
            return Ok(None);
        };
        let pattern = PathPattern::parse(&format!("{prefix}{{table:text}}"))?;
        let only = pattern.names().count() == 1;
        Ok(only.then(|| Self {
            prefix: prefix.into(),
            pattern,
        }))
    }

    /// The paths that it takes, in as far as other routes could take them too.
    pub fn pattern(&self) -> &PathPattern {
        &self.pattern
    }

    /// The raw last segment, if the path is one of these. A quoted name has its quotes escaped: `%22Items%22`.
    pub fn table<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(&*self.prefix)?;
        let unreserved = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | '%');
        let one_segment = !rest.is_empty() && rest.chars().all(unreserved);
        (one_segment && !matches!(rest, "." | "..")).then_some(rest)
    }
}

impl std::fmt::Display for MintPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{TABLE_CAPTURE}", self.prefix)
    }
}

/// The table that a raw segment names, decoded once.
///
/// # Errors
/// 400 when it names none.
pub fn table_of(segment: &str) -> Result<TableName, Refusal> {
    let malformed =
        |what: String| Refusal::new(Code::ParameterMalformed, format!("The table in the path {what}."));
    let escapes = segment.split('%').skip(1);
    let lawful = |escape: &str| {
        escape
            .get(..2)
            .is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    if !escapes.into_iter().all(lawful) {
        return Err(malformed("holds a malformed percent escape".to_owned()));
    }
    let text: Cow<'_, str> = percent_decode_str(segment)
        .decode_utf8()
        .map_err(|_| malformed("is not valid UTF-8".to_owned()))?;
    if text.len() > TABLE_TEXT_BYTES_MAX {
        return Err(malformed(format!("is longer than {TABLE_TEXT_BYTES_MAX} bytes")));
    }
    TableName::parse(&text).map_err(|error| malformed(format!("cannot be read: {error}")))
}
