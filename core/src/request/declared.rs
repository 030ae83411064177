//! The query names that a route declares, and their types.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::limits::{DECLARED_NAME_BYTES_MAX, DECLARED_NAMES_MAX, DECLARED_TEXT_BYTES_MAX};
use crate::request::parse::is_reserved;

/// The type of a declared query name or of a path capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeclaredType {
    /// A UUID in its 36 characters; read in either case, lower case from then on.
    Uuid,
    /// A decimal 64-bit integer, without leading zeros.
    Int,
    /// Any text of 1 to 256 bytes without control characters.
    Text,
    /// `true` or `false`.
    Bool,
}

impl DeclaredType {
    /// The type of that name, as configurations spell it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "uuid" => Self::Uuid,
            "int" => Self::Int,
            "text" => Self::Text,
            "bool" => Self::Bool,
            _ => return None,
        })
    }

    /// Reads a decoded value; `None` when it is not of this type.
    #[must_use]
    pub fn read(self, text: &str) -> Option<Scalar> {
        match self {
            Self::Uuid => read_uuid(text),
            Self::Int => read_int(text),
            Self::Text => read_text(text),
            Self::Bool => match text {
                "true" => Some(Scalar::Bool(true)),
                "false" => Some(Scalar::Bool(false)),
                _ => None,
            },
        }
    }

    /// What a value of the type looks like, for sentences: "must be …".
    #[must_use]
    pub const fn expectation(self) -> &'static str {
        match self {
            Self::Uuid => "a UUID",
            Self::Int => "a decimal 64-bit integer",
            Self::Text => "a text of 1 to 256 bytes",
            Self::Bool => "true or false",
        }
    }
}

impl fmt::Display for DeclaredType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uuid => "uuid",
            Self::Int => "int",
            Self::Text => "text",
            Self::Bool => "bool",
        })
    }
}

fn read_uuid(text: &str) -> Option<Scalar> {
    let lawful = text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    lawful.then(|| Scalar::Uuid(text.to_ascii_lowercase().into()))
}

fn read_int(text: &str) -> Option<Scalar> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = text == "0"
        || digits
            .bytes()
            .next()
            .is_some_and(|first| first.is_ascii_digit() && first != b'0');
    if canonical {
        text.parse().ok().map(Scalar::Int)
    } else {
        None
    }
}

fn read_text(text: &str) -> Option<Scalar> {
    let fits = (1..=DECLARED_TEXT_BYTES_MAX).contains(&text.len());
    (fits && !text.chars().any(char::is_control)).then(|| Scalar::Text(text.into()))
}

/// A typed value from a request's query or path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scalar {
    /// A UUID, in lower case.
    Uuid(Arc<str>),
    /// An integer.
    Int(i64),
    /// A text.
    Text(Arc<str>),
    /// A truth value.
    Bool(bool),
}

/// Why names cannot be declared as they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeclaredError {
    /// The name belongs to the shape protocol.
    #[error("`{0}` belongs to the shape protocol and cannot be declared")]
    Reserved(String),
    /// The name is not one that a query string can carry unmistakably.
    #[error("`{0}` is no query name: 1 to 64 letters, digits, `_`, `-` or `.`")]
    Malformed(String),
    /// The name is declared twice.
    #[error("`{0}` is declared twice")]
    Twice(String),
    /// Too many names.
    #[error("at most {DECLARED_NAMES_MAX} query names may be declared")]
    TooMany,
}

/// The query names that an endpoint declares, and whether it refuses all others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Declared {
    names: Vec<(Arc<str>, DeclaredType)>,
    strict: bool,
}

impl Declared {
    /// Checks the declared names.
    ///
    /// # Errors
    ///
    /// When a name belongs to the protocol, cannot be a query name or stands twice, or when there are too many.
    pub fn new(
        names: impl IntoIterator<Item = (Arc<str>, DeclaredType)>,
        strict: bool,
    ) -> Result<Self, DeclaredError> {
        let names: Vec<_> = names.into_iter().take(DECLARED_NAMES_MAX + 1).collect();
        if names.len() > DECLARED_NAMES_MAX {
            return Err(DeclaredError::TooMany);
        }
        let mut seen = BTreeSet::new();
        for (name, _) in &names {
            check_name(name)?;
            if !seen.insert(name) {
                return Err(DeclaredError::Twice(name.to_string()));
            }
        }
        Ok(Self { names, strict })
    }

    /// The declared names and their types.
    pub fn names(&self) -> impl Iterator<Item = (&Arc<str>, DeclaredType)> {
        self.names.iter().map(|(name, kind)| (name, *kind))
    }

    /// Whether unknown names are refused.
    #[must_use]
    pub const fn is_strict(&self) -> bool {
        self.strict
    }

    /// Where a name stands among the declared ones, with its shared text and its type.
    pub(super) fn find(&self, name: &str) -> Option<(usize, &Arc<str>, DeclaredType)> {
        let found = self
            .names
            .iter()
            .enumerate()
            .find(|(_, (declared, _))| **declared == *name);
        found.map(|(index, (declared, kind))| (index, declared, *kind))
    }
}

fn check_name(name: &str) -> Result<(), DeclaredError> {
    if is_reserved(name) {
        return Err(DeclaredError::Reserved(name.to_owned()));
    }
    let lawful = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if !(1..=DECLARED_NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(lawful) {
        return Err(DeclaredError::Malformed(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_by_their_type_and_nothing_else() {
        let uuid = "0191B6A0-0000-7000-8000-00000000ABCD";
        assert_eq!(
            DeclaredType::Uuid.read(uuid),
            Some(Scalar::Uuid(uuid.to_lowercase().into()))
        );
        assert_eq!(DeclaredType::Int.read("-42"), Some(Scalar::Int(-42)));
        assert_eq!(
            DeclaredType::Int.read("9223372036854775807"),
            Some(Scalar::Int(i64::MAX))
        );
        assert_eq!(DeclaredType::Bool.read("true"), Some(Scalar::Bool(true)));
        assert_eq!(DeclaredType::Text.read("a b"), Some(Scalar::Text("a b".into())));
    }

    #[test]
    fn what_is_not_of_its_type_is_not_read() {
        for text in [
            "",
            "x",
            "0191b6a0000070008000000000000000abcd",
            "{0191b6a0-0000-7000-8000-00000000abcd}",
        ] {
            assert_eq!(DeclaredType::Uuid.read(text), None, "{text}");
        }
        for text in [
            "",
            "-",
            "-0",
            "01",
            "+1",
            "1.0",
            "1e3",
            " 1",
            "9223372036854775808",
            "0x1",
        ] {
            assert_eq!(DeclaredType::Int.read(text), None, "{text}");
        }
        for text in ["", "True", "1", "yes"] {
            assert_eq!(DeclaredType::Bool.read(text), None, "{text}");
        }
        for text in ["", "a\0", &"x".repeat(257)] {
            assert_eq!(DeclaredType::Text.read(text), None, "{text}");
        }
    }

    #[test]
    fn names_of_the_protocol_cannot_be_declared() {
        for name in [
            "table",
            "secret",
            "offset",
            "params[1]",
            "subset__where",
            "subset__new",
            "subset",
            "params",
        ] {
            let declared = Declared::new([(name.into(), DeclaredType::Text)], false);
            assert_eq!(declared, Err(DeclaredError::Reserved(name.into())));
        }
        let twice = [("a".into(), DeclaredType::Int), ("a".into(), DeclaredType::Int)];
        assert_eq!(Declared::new(twice, false), Err(DeclaredError::Twice("a".into())));
        assert!(matches!(
            Declared::new([("a[]".into(), DeclaredType::Int)], false),
            Err(DeclaredError::Malformed(_) | DeclaredError::Reserved(_))
        ));
    }
}
