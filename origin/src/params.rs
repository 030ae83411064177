//! A shape request's parameters: merged from query and body, cast and checked as Electric does it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::identifier;
use crate::offset::From;

mod cast;
mod merge;

pub(crate) use merge::merged;

/// What is wrong, by field: the `errors` of a 400.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Errors {
    pub(crate) fields: Map<String, Value>,
    /// Electric fails on such a request instead of refusing it.
    pub(crate) crash: bool,
}

impl Errors {
    pub(crate) fn of(field: &str, message: impl Into<String>) -> Self {
        let mut errors = Self::default();
        errors.add(field, message);
        errors
    }

    pub(crate) fn crash() -> Self {
        Self {
            crash: true,
            ..Self::default()
        }
    }

    /// The same errors, below a field.
    pub(crate) fn under(self, field: &str) -> Self {
        let mut outer = Map::new();
        outer.insert(field.to_owned(), Value::Object(self.fields));
        Self {
            fields: outer,
            ..self
        }
    }

    fn add(&mut self, field: &str, message: impl Into<String>) {
        self.fields.insert(field.to_owned(), json!([message.into()]));
    }

    fn check(self) -> Result<(), Self> {
        if self.fields.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// The part of a request that says which shape it is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    pub(crate) table: String,
    pub(crate) filter: Option<String>,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) columns: Option<Vec<String>>,
    pub(crate) queryable: Option<Vec<String>>,
    pub(crate) full_replica: bool,
    pub(crate) changes_only: bool,
}

/// A view on the shape's rows, asked of the database itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SubsetAsked {
    pub(crate) filter: Option<String>,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) limit: Option<usize>,
    pub(crate) offset: Option<usize>,
    pub(crate) order_by: Option<String>,
}

/// A shape request, cast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Params {
    pub(crate) from: From,
    pub(crate) handle: Option<String>,
    pub(crate) live: bool,
    pub(crate) sse: bool,
    pub(crate) asked: Asked,
    /// Still uncast: Electric looks at it only once the shape is known to be valid.
    subset: Option<Value>,
}

impl Params {
    /// Casts merged parameters, in Electric's order, which decides what a 400 names.
    pub(crate) fn read(given: &Map<String, Value>) -> Result<Self, Errors> {
        let mut errors = Errors::default();
        let fields = Fields::cast(given, &mut errors);
        let live = given.get("live").is_some_and(|live| live != "false");
        let sse = cast::sse(given, &mut errors);
        if fields.offset.is_none() && !errors.fields.contains_key("offset") {
            errors.add("offset", "can't be blank");
        }
        errors.check()?;
        let from = From::read(fields.offset.as_deref().unwrap_or_default())
            .ok_or_else(|| Errors::of("offset", "has invalid format"))?;
        let handle = checked_handle(from, fields.handle.clone())?;
        check_live(from, live, sse)?;
        Ok(Self {
            from,
            handle,
            live,
            sse: live && sse,
            asked: fields.asked()?,
            subset: given.get("subset").filter(|value| !value.is_null()).cloned(),
        })
    }

    /// Whether a subset is asked for rather than the log.
    pub(crate) fn subset(&self) -> Result<Option<SubsetAsked>, Errors> {
        self.subset.as_ref().map(cast::subset).transpose()
    }
}

/// What a `DELETE` names.
pub(crate) enum Doomed {
    /// A definition, and perhaps the handle that it must have.
    Shape(Asked, Option<String>),
    /// A handle alone.
    Handle(String),
}

impl Doomed {
    pub(crate) fn read(given: &Map<String, Value>) -> Result<Self, Errors> {
        let mut errors = Errors::default();
        let fields = Fields::cast(given, &mut errors);
        errors.check()?;
        let handle = fields.handle.clone();
        if fields.table.is_some() {
            return Ok(Self::Shape(fields.asked()?, handle));
        }
        handle
            .map(Self::Handle)
            .ok_or_else(|| Errors::of("handle", "can't be blank when shape definition is missing"))
    }
}

#[derive(Default)]
struct Fields {
    table: Option<String>,
    offset: Option<String>,
    handle: Option<String>,
    filter: Option<String>,
    columns: Option<Vec<String>>,
    queryable: Option<Vec<String>>,
    full_replica: bool,
    changes_only: bool,
    params: BTreeMap<String, String>,
}

impl Fields {
    fn cast(given: &Map<String, Value>, errors: &mut Errors) -> Self {
        Self {
            table: cast::text(given, "table", errors),
            offset: cast::text(given, "offset", errors),
            handle: cast::text(given, "handle", errors),
            filter: cast::text(given, "where", errors),
            columns: cast::columns(given, "columns", errors),
            queryable: cast::columns(given, "queryable_columns", errors),
            full_replica: cast::choice(given, "replica", ["default", "full"], errors),
            changes_only: cast::choice(given, "log", ["full", "changes_only"], errors),
            params: cast::params(given, errors),
        }
    }

    fn asked(self) -> Result<Asked, Errors> {
        let table = self.table.ok_or_else(|| Errors::of("table", "can't be blank"))?;
        // Both spellings of a malformed name are told before the table is looked for.
        identifier::relation(&table).map_err(|message| Errors::of("table", message))?;
        Ok(Asked {
            table,
            filter: self.filter,
            params: self.params,
            columns: self.columns,
            queryable: self.queryable,
            full_replica: self.full_replica,
            changes_only: self.changes_only,
        })
    }
}

fn checked_handle(from: From, handle: Option<String>) -> Result<Option<String>, Errors> {
    match from {
        From::Beginning | From::Now => Ok(None),
        From::After(_) if handle.is_none() => Err(Errors::of("handle", "can't be blank when offset != -1")),
        From::After(_) => Ok(handle),
    }
}

fn check_live(from: From, live: bool, sse: bool) -> Result<(), Errors> {
    match from {
        From::Beginning if live => Err(Errors::of("live", "can't be true when offset == -1")),
        From::Now if live => Err(Errors::of("live", "can't be true when offset is 'now'")),
        _ if sse && !live => {
            let message = "can't be true unless live is also true";
            Err(Errors::of("live_sse", message))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
