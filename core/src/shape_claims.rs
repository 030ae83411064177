//! The `shape` claim of a token: one definition, signed.
//!
//! Its published form is `{"namespace": null, "table": "items", "where": null, "columns": null}`, to which ours
//! adds `params` and `replica`. It is read strictly and written in one canonical form, in which a name is quoted
//! only where it must be, so that validators that compare texts see the texts that they know.
//!
//! Whatever two readers could take for different shapes is no claim: `"table": "Items"` is `items` to Electric
//! and the table `Items` to a client library that quotes it, so that it must be written `"\"Items\""`.
//!
//! Only [`SignedShape::allow`] turns a claim into something that may be asked of the upstream, and what it gives
//! is built from the claim alone.

mod compare;
mod names;
mod read;
mod write;

pub use compare::{Mismatch, Unsigned};
pub use names::{column_list, table_text};
pub use read::ShapeClaimError;

use crate::definition::{Columns, Replica, Rows, ShapeDefinition};
use crate::identifier::TableName;

/// A definition as a token's `shape` claim has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedShape {
    table: TableName,
    rows: Rows,
    columns: Columns,
    /// `None` where the claim says nothing, as the published form does.
    replica: Option<Replica>,
}

impl SignedShape {
    /// The claim that signs this definition. Which log is read is not signed.
    #[must_use]
    pub fn of(definition: &ShapeDefinition) -> Self {
        Self {
            table: definition.table().clone(),
            rows: definition.rows().clone(),
            columns: definition.columns().clone(),
            replica: Some(definition.replica()),
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

    /// How much of a changed row the log repeats, where the claim says it.
    #[must_use]
    pub const fn replica(&self) -> Option<Replica> {
        self.replica
    }

    /// The filter's text, as the claim has it.
    #[must_use]
    pub fn where_text(&self) -> Option<&str> {
        match &self.rows {
            Rows::All => None,
            Rows::None => Some("false"),
            Rows::Where(filter) => Some(filter.text()),
        }
    }

    /// The filter's values by number, as the claim has them.
    pub fn params(&self) -> impl Iterator<Item = (u16, &str)> {
        let values = match &self.rows {
            Rows::Where(filter) => filter.parameters(),
            Rows::All | Rows::None => &[],
        };
        (1..).zip(values.iter().map(crate::clause::ParameterText::as_str))
    }

    /// Whether the filter has values beside its text.
    #[must_use]
    pub fn has_params(&self) -> bool {
        self.params().next().is_some()
    }

    /// The table with its schema, unless that is `public`: what a request says as `table`.
    #[must_use]
    pub fn table_text(&self) -> String {
        table_text(&self.table)
    }

    /// The columns as a request says them; `None` for all.
    #[must_use]
    pub fn columns_text(&self) -> Option<String> {
        match &self.columns {
            Columns::All => None,
            Columns::Only(columns) => Some(column_list(columns)),
        }
    }
}
