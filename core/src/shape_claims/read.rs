//! Reading a claim: strictly, because it was signed to mean one thing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{SignedShape, names};
use crate::clause::{Clause, Filter, ParameterText};
use crate::definition::{Columns, Replica, Rows};
use crate::identifier::{ColumnSet, TableName};
use crate::limits::{CLAUSE_TEXT_BYTES_MAX, COLUMNS_TEXT_BYTES_MAX, PARAMETERS_MAX};
use crate::request::parameter_number;
use crate::value::Value;

/// Why a claim signs no shape. The texts are for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeClaimError {
    /// There is no claim.
    #[error("the token has no `shape`")]
    Missing,
    /// It is no object.
    #[error("`shape` is {0}, not an object")]
    NotAnObject(&'static str),
    /// A member that is not known; what it would narrow is not known either.
    #[error("`shape` has an unknown member")]
    UnknownMember,
    /// No table.
    #[error("`shape` has no `table`")]
    TableMissing,
    /// A member of another type.
    #[error("`{0}` of `shape` is {1}")]
    WrongType(&'static str, &'static str),
    /// A name that is none, or that readers could differ about.
    #[error("`{0}` of `shape` is not a name that every reader takes for the same")]
    Name(&'static str),
    /// A member over its limit.
    #[error("`{0}` of `shape` is too large")]
    TooLarge(&'static str),
    /// A filter that cannot be read, or whose values do not fit it.
    #[error("`where` of `shape` cannot be used: {0}")]
    Filter(String),
    /// Values that are not `{"1": "…", "2": "…"}`.
    #[error("`params` of `shape` are not the texts of \"1\", \"2\" and so on")]
    Params,
    /// Something else than `default` and `full`.
    #[error("`replica` of `shape` is unknown")]
    Replica,
}

type Members = BTreeMap<Arc<str>, Value>;

const MEMBERS: [&str; 6] = ["namespace", "table", "where", "columns", "params", "replica"];

impl SignedShape {
    /// Reads the claim of a token whose signature holds; `None` where it has none.
    ///
    /// A member that is missing is `null`, which stands for `public`, all rows, all columns, no values; only
    /// `table` must be there.
    ///
    /// # Errors
    ///
    /// Whatever makes it no claim, or one that could be taken for different shapes.
    pub fn read(claim: Option<&Value>) -> Result<Self, ShapeClaimError> {
        let claim = claim.ok_or(ShapeClaimError::Missing)?;
        let members = claim
            .as_map()
            .ok_or_else(|| ShapeClaimError::NotAnObject(claim.kind()))?;
        if members.keys().any(|name| !MEMBERS.contains(&&**name)) {
            return Err(ShapeClaimError::UnknownMember);
        }
        Ok(Self {
            table: table(members)?,
            rows: rows(text(members, "where")?, &params(members)?)?,
            columns: columns(members)?,
            replica: replica(members)?,
        })
    }
}

/// The text of a member; `None` where it is missing or `null`.
fn text<'a>(members: &'a Members, name: &'static str) -> Result<Option<&'a str>, ShapeClaimError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(ShapeClaimError::WrongType(name, other.kind())),
    }
}

fn table(members: &Members) -> Result<TableName, ShapeClaimError> {
    let name = text(members, "table")?.ok_or(ShapeClaimError::TableMissing)?;
    let name = names::read(name).ok_or(ShapeClaimError::Name("table"))?;
    match text(members, "namespace")? {
        None => Ok(TableName::in_default_schema(name)),
        Some(schema) => names::read(schema)
            .map(|schema| TableName::new(schema, name))
            .ok_or(ShapeClaimError::Name("namespace")),
    }
}

/// A list of names, or its text with commas: the published API signs the one, its edge function compares the
/// other.
fn columns(members: &Members) -> Result<Columns, ShapeClaimError> {
    let set = match members.get("columns") {
        None | Some(Value::Null) => return Ok(Columns::All),
        Some(Value::String(list)) => column_text(list)?,
        Some(Value::List(list)) => {
            let names = list.iter().map(|name| names::read(name.as_str()?));
            let names: Option<Vec<_>> = names.collect();
            ColumnSet::from_iter(names.ok_or(ShapeClaimError::Name("columns"))?)
                .map_err(|_| ShapeClaimError::TooLarge("columns"))?
        }
        Some(other) => return Err(ShapeClaimError::WrongType("columns", other.kind())),
    };
    Ok(Columns::Only(set))
}

fn column_text(list: &str) -> Result<ColumnSet, ShapeClaimError> {
    if list.len() > COLUMNS_TEXT_BYTES_MAX {
        return Err(ShapeClaimError::TooLarge("columns"));
    }
    let set = ColumnSet::parse(list).map_err(|_| ShapeClaimError::Name("columns"))?;
    // What is not in quotes must be written as it is meant; nothing that is folded holds a capital.
    let outside_quotes = list.split('"').step_by(2);
    let folded = outside_quotes
        .flat_map(str::chars)
        .any(|c| c.is_ascii_uppercase());
    if folded {
        Err(ShapeClaimError::Name("columns"))
    } else {
        Ok(set)
    }
}

fn params(members: &Members) -> Result<BTreeMap<u16, &str>, ShapeClaimError> {
    let values = match members.get("params") {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Map(values)) => values,
        Some(other) => return Err(ShapeClaimError::WrongType("params", other.kind())),
    };
    if values.len() > usize::from(PARAMETERS_MAX) {
        return Err(ShapeClaimError::TooLarge("params"));
    }
    let read = values
        .iter()
        .map(|(key, value)| Some((parameter_number(key)?, value.as_str()?)));
    read.collect::<Option<_>>().ok_or(ShapeClaimError::Params)
}

/// The rows of a filter with these values, which must be numbered from 1 without holes.
pub(super) fn rows(filter: Option<&str>, params: &BTreeMap<u16, &str>) -> Result<Rows, ShapeClaimError> {
    let Some(text) = filter else {
        return if params.is_empty() {
            Ok(Rows::All)
        } else {
            Err(ShapeClaimError::Params)
        };
    };
    if text.len() > CLAUSE_TEXT_BYTES_MAX {
        return Err(ShapeClaimError::TooLarge("where"));
    }
    if !(1..)
        .zip(params.keys())
        .all(|(expected, index): (u16, _)| expected == *index)
    {
        return Err(ShapeClaimError::Params);
    }
    let unusable = |error: &dyn std::error::Error| ShapeClaimError::Filter(error.to_string());
    // Subqueries are read: a rule may have written them, and what was signed is what was permitted.
    let clause = Clause::read_policy(text).map_err(|error| unusable(&error))?;
    if params.is_empty() && Clause::read_policy("false").is_ok_and(|no_rows| no_rows == clause) {
        return Ok(Rows::None);
    }
    let values: Result<Vec<_>, _> = params.values().map(|value| ParameterText::new(value)).collect();
    Filter::new(clause, values.map_err(|error| unusable(&error))?)
        .map(Rows::Where)
        .map_err(|error| unusable(&error))
}

fn replica(members: &Members) -> Result<Option<Replica>, ShapeClaimError> {
    text(members, "replica")?
        .map(|word| Replica::named(word).ok_or(ShapeClaimError::Replica))
        .transpose()
}
