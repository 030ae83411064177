//! Sets of columns: order, duplicates and quoting do not matter to Electric, so they do not exist here.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::{Identifier, IdentifierError, split_outside_quotes};
use crate::limits;

/// Why there is no such set of columns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnSetError {
    /// One of the names is not one.
    #[error("columns: {0}")]
    Identifier(#[from] IdentifierError),
    /// No column at all, which Electric would read as all of them.
    #[error("columns: no column is named")]
    Empty,
    /// More columns, or a longer text, than any table has.
    #[error(
        "columns: more than {} columns or {} bytes",
        limits::COLUMNS_MAX,
        limits::COLUMNS_TEXT_BYTES_MAX
    )]
    TooMany,
}

/// Columns in the order of their names, each once; never empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnSet(Arc<[Identifier]>);

impl ColumnSet {
    /// Reads a list separated by commas, as `columns` has it. There is no trimming: Electric does none.
    ///
    /// # Errors
    /// When a name is not one, or when there are none or too many.
    pub fn parse(text: &str) -> Result<Self, ColumnSetError> {
        if text.is_empty() {
            return Err(ColumnSetError::Empty);
        }
        if text.len() > limits::COLUMNS_TEXT_BYTES_MAX {
            return Err(ColumnSetError::TooMany);
        }
        let parts = split_outside_quotes(text, ',', limits::COLUMNS_MAX).ok_or(ColumnSetError::TooMany)?;
        let names = parts
            .into_iter()
            .map(Identifier::parse)
            .collect::<Result<BTreeSet<_>, _>>()?;
        Self::from_iter(names)
    }

    /// The set of these columns.
    ///
    /// # Errors
    /// When there are none or too many.
    // A set is never empty, so that this can fail; `FromIterator` cannot.
    #[allow(clippy::should_implement_trait)]
    pub fn from_iter(names: impl IntoIterator<Item = Identifier>) -> Result<Self, ColumnSetError> {
        let names: BTreeSet<Identifier> = names.into_iter().take(limits::COLUMNS_MAX + 1).collect();
        match names.len() {
            0 => Err(ColumnSetError::Empty),
            count if count > limits::COLUMNS_MAX => Err(ColumnSetError::TooMany),
            _ => Ok(Self(names.into_iter().collect())),
        }
    }

    /// Whether this column belongs to the set.
    #[must_use]
    pub fn contains(&self, name: &Identifier) -> bool {
        self.0.binary_search(name).is_ok()
    }

    /// Whether the other set has all columns of this one.
    #[must_use]
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.iter().all(|name| other.contains(name))
    }

    /// The columns, in the order of their names.
    pub fn iter(&self) -> std::slice::Iter<'_, Identifier> {
        self.0.iter()
    }

    /// How many there are; at least one.
    #[must_use]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<'a> IntoIterator for &'a ColumnSet {
    type Item = &'a Identifier;
    type IntoIter = std::slice::Iter<'a, Identifier>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// `"a","b"`, each always in quotes.
impl fmt::Display for ColumnSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{name}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ColumnSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
