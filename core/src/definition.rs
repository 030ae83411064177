//! The canonical shape definition: one type for rules, tokens, keys and logs.

use std::fmt;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::clause::Filter;
use crate::identifier::{ColumnSet, TableName};

/// Which rows of a table belong to a shape.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Rows {
    /// All of them.
    All,
    /// None: a genuine shape that is empty, asked for as `where=false`.
    None,
    /// Those that the filter holds for.
    Where(Filter),
}

/// Which columns belong to a shape.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Columns {
    /// All, named nowhere. Another shape than all of them named.
    All,
    /// These; subsets may filter and order by these, too, and by no others.
    Only(ColumnSet),
}

/// How much of a changed row the log repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Replica {
    /// The key and what changed.
    #[default]
    Default,
    /// The whole row, and what it was before.
    Full,
}

impl Replica {
    /// The value of that name, as the protocol spells it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "default" => Some(Self::Default),
            "full" => Some(Self::Full),
            _ => None,
        }
    }

    /// The protocol's spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Full => "full",
        }
    }
}

/// Whether a shape's log begins with a snapshot of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Log {
    /// It does.
    #[default]
    Full,
    /// It holds changes only; rows come by subsets.
    ChangesOnly,
}

impl Log {
    /// The value of that name, as the protocol spells it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "full" => Some(Self::Full),
            "changes_only" => Some(Self::ChangesOnly),
            _ => None,
        }
    }

    /// The protocol's spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ChangesOnly => "changes_only",
        }
    }
}

/// THE definition of a shape: what a rule allows, a token signs, shared fetches are keyed by and logs tell.
///
/// Two definitions are equal when they ask Electric for the same shape in the same words. Logs get its
/// `Display` and `Serialize` forms, which count the filter's values without showing them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ShapeDefinition {
    table: TableName,
    rows: Rows,
    columns: Columns,
    replica: Replica,
    log: Log,
}

impl ShapeDefinition {
    /// A definition of these parts.
    #[must_use]
    pub const fn new(table: TableName, rows: Rows, columns: Columns, replica: Replica, log: Log) -> Self {
        Self {
            table,
            rows,
            columns,
            replica,
            log,
        }
    }

    /// The table.
    #[must_use]
    pub const fn table(&self) -> &TableName {
        &self.table
    }

    /// Its rows.
    #[must_use]
    pub const fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Its columns.
    #[must_use]
    pub const fn columns(&self) -> &Columns {
        &self.columns
    }

    /// How much of a changed row the log repeats.
    #[must_use]
    pub const fn replica(&self) -> Replica {
        self.replica
    }

    /// Whether the log begins with a snapshot.
    #[must_use]
    pub const fn log(&self) -> Log {
        self.log
    }

    /// The definition as bytes for digests and keys: every part with its length before it, so that two
    /// different definitions never give the same bytes. Meant to be hashed, not to be read.
    #[must_use]
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut parts = Parts::default();
        parts.add(self.table.schema().as_str());
        parts.add(self.table.name().as_str());
        self.add_rows(&mut parts);
        match &self.columns {
            Columns::All => parts.mark(b'*'),
            Columns::Only(columns) => {
                parts.mark(b'c');
                parts.add_all(columns.iter().map(crate::identifier::Identifier::as_str));
            }
        }
        parts.add(self.replica.as_str());
        parts.add(self.log.as_str());
        parts.0
    }

    fn add_rows(&self, parts: &mut Parts) {
        match &self.rows {
            Rows::All => parts.mark(b'*'),
            Rows::None => parts.mark(b'0'),
            Rows::Where(filter) => {
                parts.mark(b'w');
                parts.add(filter.text());
                parts.add_all(
                    filter
                        .parameters()
                        .iter()
                        .map(crate::clause::ParameterText::as_str),
                );
            }
        }
    }

    /// The definition with the values of its filter, for who may see them (`explain`, a log that says so).
    #[must_use]
    pub const fn with_values(&self) -> WithValues<'_> {
        WithValues(self)
    }
}

/// Length-prefixed parts, one after the other.
#[derive(Default)]
struct Parts(Vec<u8>);

impl Parts {
    fn mark(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn add(&mut self, text: &str) {
        self.0.extend_from_slice(&(text.len() as u64).to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn add_all<'a>(&mut self, texts: impl Iterator<Item = &'a str>) {
        let before = self.0.len();
        self.0.extend_from_slice(&[0; 8]);
        let mut count = 0_u64;
        for text in texts {
            self.add(text);
            count = count.saturating_add(1);
        }
        if let Some(slot) = self.0.get_mut(before..before + 8) {
            slot.copy_from_slice(&count.to_be_bytes());
        }
    }
}

impl fmt::Display for ShapeDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.table)?;
        match &self.columns {
            Columns::All => {}
            Columns::Only(columns) => write!(f, " ({columns})")?,
        }
        match &self.rows {
            Rows::All => {}
            Rows::None => f.write_str(" where false")?,
            Rows::Where(filter) => {
                write!(
                    f,
                    " where {} [{} values]",
                    filter.text(),
                    filter.parameters().len()
                )?;
            }
        }
        if self.replica != Replica::Default {
            write!(f, " replica {}", self.replica.as_str())?;
        }
        if self.log != Log::Full {
            write!(f, " log {}", self.log.as_str())?;
        }
        Ok(())
    }
}

impl Serialize for ShapeDefinition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self, false, serializer)
    }
}

/// A definition that serializes with its filter's values.
#[derive(Debug, Clone, Copy)]
pub struct WithValues<'a>(&'a ShapeDefinition);

impl Serialize for WithValues<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self.0, true, serializer)
    }
}

fn serialize<S: Serializer>(
    definition: &ShapeDefinition,
    values: bool,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut out = serializer.serialize_struct("ShapeDefinition", 6)?;
    out.serialize_field("table", &definition.table.to_string())?;
    match &definition.rows {
        Rows::All => out.serialize_field("rows", "all")?,
        Rows::None => out.serialize_field("rows", "none")?,
        Rows::Where(filter) => {
            out.serialize_field("where", filter.text())?;
            let texts = || {
                filter
                    .parameters()
                    .iter()
                    .map(crate::clause::ParameterText::as_str)
            };
            if values {
                out.serialize_field("params", &texts().collect::<Vec<_>>())?;
            } else {
                out.serialize_field("params_count", &texts().count())?;
            }
        }
    }
    match &definition.columns {
        Columns::All => out.serialize_field("columns", "all")?,
        Columns::Only(columns) => out.serialize_field("columns", &columns.to_string())?,
    }
    out.serialize_field("replica", definition.replica.as_str())?;
    out.serialize_field("log", definition.log.as_str())?;
    out.end()
}
