//! What a shape is: table, filter, columns and forms, checked against the schema.

use std::sync::Arc;

use crate::filter::Filter;
use crate::identifier;
use crate::params::{Asked, Errors, SubsetAsked};
use crate::schema::{Relation, Table};
use crate::table::Row;

/// A handle's hash has as many bits as Erlang's `phash2` gives: few enough to collide on purpose.
const HASH_MASK: u32 = (1 << 27) - 1;

/// A shape's definition.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) table: Arc<Table>,
    /// Columns that are synced, by name.
    pub(crate) selected: Vec<usize>,
    pub(crate) filter: Option<Filter>,
    pub(crate) full_replica: bool,
    pub(crate) changes_only: bool,
    /// The value of `electric-schema`.
    pub(crate) schema: String,
    /// Equal for equal shapes only.
    pub(crate) identity: String,
    /// What a handle is checked by.
    pub(crate) hash: u32,
    /// Columns that a subset may name: a permission, no part of the identity.
    queryable: Vec<usize>,
}

impl Definition {
    pub(crate) fn of(asked: &Asked, table: &Arc<Table>) -> Result<Self, Errors> {
        let queryable = queryable(asked, table)?;
        let selected = selected(asked, table, queryable.as_deref())?;
        let every: Vec<usize> = (0..table.columns.len()).collect();
        let filter = asked.filter.as_deref();
        let filter = filter
            .map(|text| Filter::compile(text, &asked.params, table, &every))
            .transpose()?;
        let selects_all = asked.columns.is_none() && asked.queryable.is_none();
        let identity = format!(
            "{}|{selected:?}|{selects_all}|{}|{}|{:?}",
            table.relation,
            asked.full_replica,
            asked.changes_only,
            filter.as_ref().map(|filter| &filter.canonical),
        );
        Ok(Self {
            schema: table.described(&selected),
            hash: hash(&identity),
            table: Arc::clone(table),
            selected,
            filter,
            full_replica: asked.full_replica,
            changes_only: asked.changes_only,
            identity,
            queryable: queryable.unwrap_or(every),
        })
    }

    /// Whether the row belongs to the shape.
    pub(crate) fn contains(&self, row: &Row) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.holds(row))
    }

    /// Checks a subset's clauses against what may be named in them.
    pub(crate) fn subset(&self, asked: &SubsetAsked) -> Result<Subset, Errors> {
        let order = asked.order_by.as_deref();
        let order = order.map(|text| self.order(text)).transpose();
        let order = order.map_err(|message| Errors::of("order_by", message).under("subset"))?;
        let filter = asked
            .filter
            .as_deref()
            .map(|text| Filter::compile(text, &asked.params, &self.table, &self.queryable))
            .transpose()
            .map_err(|errors| errors.under("subset"))?;
        Ok(Subset {
            filter,
            order: order.unwrap_or_default(),
            limit: asked.limit,
            offset: asked.offset.unwrap_or(0),
        })
    }

    fn order(&self, text: &str) -> Result<Vec<Order>, String> {
        text.split(',').map(|term| self.order_term(term)).collect()
    }

    fn order_term(&self, term: &str) -> Result<Order, String> {
        let (name, direction) = split_term(term.trim());
        let name = identifier::identifier(name)?;
        let index = self.table.index_of(&name);
        let index = index
            .filter(|index| self.queryable.contains(index))
            .ok_or_else(|| format!("At location 0: unknown reference {name}"))?;
        let words = direction.to_ascii_lowercase();
        let words: Vec<&str> = words.split_whitespace().collect();
        let (descending, nulls) = match words.as_slice() {
            [] | ["asc"] => (false, None),
            ["desc"] => (true, None),
            ["nulls", place] | ["asc", "nulls", place] => (false, Some(*place)),
            ["desc", "nulls", place] => (true, Some(*place)),
            _ => return Err(format!("syntax error at or near \"{direction}\"")),
        };
        Ok(Order {
            index,
            descending,
            nulls_first: nulls.map_or(descending, |place| place == "first"),
        })
    }
}

/// A subset request's clauses, compiled.
#[derive(Debug)]
pub(crate) struct Subset {
    pub(crate) filter: Option<Filter>,
    pub(crate) order: Vec<Order>,
    pub(crate) limit: Option<usize>,
    pub(crate) offset: usize,
}

/// One term of an `ORDER BY`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) index: usize,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

/// The answer to a table that is not there.
pub(crate) fn no_such_table(relation: &Relation) -> Errors {
    let message = format!(
        "Table {relation} does not exist. If the table name contains capitals or special \
         characters you must quote it."
    );
    Errors::of("table", message)
}

fn queryable(asked: &Asked, table: &Table) -> Result<Option<Vec<usize>>, Errors> {
    let Some(names) = &asked.queryable else {
        return Ok(None);
    };
    let missing = missing_key(names, table);
    let unknown = unknown(names, |name| table.index_of(name).is_some());
    let message = if !missing.is_empty() {
        format!("The list of queryable columns must include all primary key columns, missing: {missing}")
    } else if !unknown.is_empty() {
        format!("The following queryable columns are not found on the table: {unknown}")
    } else {
        return Ok(Some(sorted(names, table)));
    };
    Err(Errors::of("queryable_columns", message))
}

fn selected(asked: &Asked, table: &Table, queryable: Option<&[usize]>) -> Result<Vec<usize>, Errors> {
    let every: Vec<usize> = (0..table.columns.len()).collect();
    let selectable = queryable.unwrap_or(&every);
    let Some(names) = &asked.columns else {
        let names: Vec<_> = selectable
            .iter()
            .map(|index| table.name_of(*index).to_owned())
            .collect();
        return Ok(sorted(&names, table));
    };
    let missing = missing_key(names, table);
    let unknown = unknown(names, |name| {
        table
            .index_of(name)
            .is_some_and(|index| selectable.contains(&index))
    });
    let message = if !missing.is_empty() {
        format!("The list of columns must include all primary key columns, missing: {missing}")
    } else if !unknown.is_empty() {
        format!("The following columns are not found on the table: {unknown}")
    } else {
        return Ok(sorted(names, table));
    };
    Err(Errors::of("columns", message))
}

fn missing_key(names: &[String], table: &Table) -> String {
    let key = table.key.iter().map(|index| table.name_of(*index));
    let missing: Vec<&str> = key
        .filter(|name| !names.iter().any(|given| given == name))
        .collect();
    missing.join(", ")
}

fn unknown(names: &[String], known: impl Fn(&str) -> bool) -> String {
    let unknown: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !known(name))
        .collect();
    unknown.join(", ")
}

/// Indexes of the columns, ordered by name, each once.
fn sorted(names: &[String], table: &Table) -> Vec<usize> {
    let mut names: Vec<&String> = names.iter().collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter_map(|name| table.index_of(name))
        .collect()
}

fn split_term(term: &str) -> (&str, &str) {
    let mut inside = false;
    let end = term.find(|c: char| {
        inside ^= c == '"';
        c.is_whitespace() && !inside
    });
    end.and_then(|end| term.split_at_checked(end))
        .unwrap_or((term, ""))
}

/// FNV-1a, cut to the bits that a handle has.
fn hash(text: &str) -> u32 {
    let mut hash: u32 = 0x811c_9dc5;
    for byte in text.bytes() {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    hash & HASH_MASK
}
