//! Table names, always with their schema.

use std::fmt;

use super::{Identifier, IdentifierError, split_outside_quotes};

/// The schema that Electric means when none is named. It has no search path.
const SCHEMA_DEFAULT: &str = "public";

/// A table with its schema, `public` unless it was named.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    schema: Identifier,
    name: Identifier,
}

impl TableName {
    /// Reads `items`, `public.items` or `"Other"."Items"`.
    ///
    /// # Errors
    /// When a part is no identifier, or when there are more than two.
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        let parts = split_outside_quotes(text, '.', 2).ok_or(IdentifierError::TooManyParts)?;
        match parts.as_slice() {
            [name] => Ok(Self::in_default_schema(Identifier::parse(name)?)),
            [schema, name] => Ok(Self::new(Identifier::parse(schema)?, Identifier::parse(name)?)),
            _ => Err(IdentifierError::TooManyParts),
        }
    }

    /// A table in a schema.
    #[must_use]
    pub fn new(schema: Identifier, name: Identifier) -> Self {
        Self { schema, name }
    }

    /// A table in `public`.
    #[must_use]
    pub fn in_default_schema(name: Identifier) -> Self {
        Self::new(Identifier(SCHEMA_DEFAULT.into()), name)
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Identifier {
        &self.schema
    }

    /// The table's name inside its schema.
    #[must_use]
    pub fn name(&self) -> &Identifier {
        &self.name
    }
}

/// `"schema"."table"`, both always in quotes.
impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

impl fmt::Debug for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
