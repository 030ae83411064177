//! Names in claims: quoted where they must be, and read only where every reader means the same by them.

use crate::identifier::{ColumnSet, Identifier, TableName};

/// The schema that stands for itself where none is named.
pub(super) const SCHEMA_DEFAULT: &str = "public";

/// The shortest spelling of a name that means it to everybody.
pub(super) fn spelled(name: &Identifier) -> String {
    if is_plain(name.as_str()) {
        name.as_str().to_owned()
    } else {
        name.to_string()
    }
}

/// Whether a name means the same with quotes and without, to Electric and to Postgres.
fn is_plain(name: &str) -> bool {
    let start = |c: char| c.is_ascii_lowercase() || c == '_';
    name.starts_with(start) && name.chars().all(|c| start(c) || c.is_ascii_digit())
}

/// A name of a claim; `None` when it is none, or when readers could differ about it.
pub(super) fn read(text: &str) -> Option<Identifier> {
    let name = Identifier::parse(text).ok()?;
    let certain = text.starts_with('"') || text == name.as_str();
    certain.then_some(name)
}

/// A table as a request names it: `items`, `app.items`, `"Items"`.
#[must_use]
pub fn table_text(table: &TableName) -> String {
    match table.schema().as_str() {
        SCHEMA_DEFAULT => spelled(table.name()),
        _ => format!("{}.{}", spelled(table.schema()), spelled(table.name())),
    }
}

/// Columns as a request names them: `id,title,"Due"`.
#[must_use]
pub fn column_list(columns: &ColumnSet) -> String {
    let names: Vec<String> = columns.iter().map(spelled).collect();
    names.join(",")
}
