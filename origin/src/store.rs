//! The database and its shapes: every write goes through here, to the tables and to the logs.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::clock::Clock;
use crate::definition::{Definition, Order, Subset, no_such_table};
use crate::identifier;
use crate::lock::Lock;
use crate::message::{self, Transaction};
use crate::params::{Asked, Errors};
use crate::schema::{Relation, Schema};
use crate::shape::Shape;
use crate::table::{Change, Row, Rows};

/// Definitions that are remembered by what was asked, so that a request need not parse again.
const KNOWN_MAX: usize = 10_000;

/// Where the log sequence begins, and how far each transaction moves it.
const FIRST_LSN: u64 = 29_002_368;
const LSN_STEP: u64 = 144;
const FIRST_TXID: u64 = 759;

/// One row's change, in the JSON form of rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// A new row, or a new version of the row that has its key.
    Upsert(Value),
    /// A new row; its key must be new.
    Insert(Value),
    /// The row that has this key gets these columns.
    Update(Value, Value),
    /// The row that has this key goes.
    Delete(Value),
}

#[derive(Debug)]
pub(crate) struct Store {
    state: Lock<State>,
    chunk_bytes: usize,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct State {
    tables: HashMap<Relation, Rows>,
    by_handle: HashMap<String, Arc<Shape>>,
    by_identity: HashMap<String, Arc<Shape>>,
    known: HashMap<Asked, Arc<Definition>>,
    lsn: u64,
    txid: u64,
    last_handle_micros: u128,
}

impl Store {
    /// # Errors
    /// When one of the schema's rows does not fit its table.
    pub(crate) fn new(schema: Schema, chunk_bytes: usize, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let mut tables = HashMap::new();
        for (table, first_rows) in schema.tables {
            let mut rows = Rows::new(Arc::clone(&table));
            for row in first_rows {
                rows.insert(&row)?;
            }
            tables.insert(table.relation.clone(), rows);
        }
        let state = Lock::new(State {
            tables,
            by_handle: HashMap::new(),
            by_identity: HashMap::new(),
            known: HashMap::new(),
            lsn: FIRST_LSN,
            txid: FIRST_TXID,
            last_handle_micros: 0,
        });
        Ok(Self {
            state,
            chunk_bytes,
            clock,
        })
    }

    /// The definition that is asked for, checked.
    pub(crate) fn define(&self, asked: &Asked) -> Result<Arc<Definition>, Errors> {
        self.state.with(|state| {
            if let Some(known) = state.known.get(asked) {
                return Ok(Arc::clone(known));
            }
            let relation =
                identifier::relation(&asked.table).map_err(|message| Errors::of("table", message))?;
            let rows = state.tables.get(&relation);
            let rows = rows.ok_or_else(|| no_such_table(&relation))?;
            let definition = Arc::new(Definition::of(asked, &rows.table)?);
            if state.known.len() >= KNOWN_MAX {
                state.known.clear();
            }
            state.known.insert(asked.clone(), Arc::clone(&definition));
            Ok(definition)
        })
    }

    /// The shape of a handle, if its hash is the definition's: all that Electric compares.
    pub(crate) fn by_handle(&self, handle: &str, definition: &Definition) -> Option<Arc<Shape>> {
        let shape = self.state.with(|state| state.by_handle.get(handle).cloned());
        shape.filter(|shape| shape.definition.hash == definition.hash)
    }

    pub(crate) fn by_definition(&self, definition: &Definition) -> Option<Arc<Shape>> {
        self.state
            .with(|state| state.by_identity.get(&definition.identity).cloned())
    }

    /// The shape of a definition, made now if need be.
    pub(crate) fn get_or_create(&self, definition: &Arc<Definition>) -> Arc<Shape> {
        self.state.with(|state| {
            if let Some(shape) = state.by_identity.get(&definition.identity) {
                return Arc::clone(shape);
            }
            let handle = state.new_handle(definition, self.clock.since_epoch().as_micros());
            let shape = Arc::new(state.snapshot(handle.clone(), definition, self.chunk_bytes));
            state.by_handle.insert(handle, Arc::clone(&shape));
            state
                .by_identity
                .insert(definition.identity.clone(), Arc::clone(&shape));
            shape
        })
    }

    /// Ends a shape; false when there is none of the handle.
    pub(crate) fn drop_shape(&self, handle: &str) -> bool {
        let shape = self.state.with(|state| {
            let shape = state.by_handle.remove(handle)?;
            state.by_identity.remove(&shape.definition.identity)
        });
        shape.inspect(|shape| shape.end()).is_some()
    }

    /// Ends every shape of a table, or of all; says how many there were.
    pub(crate) fn rotate(&self, table: Option<&str>) -> Result<usize, String> {
        let wanted = table.map(identifier::relation).transpose()?;
        let handles: Vec<String> = self.state.with(|state| {
            let shapes = state.by_handle.values();
            let rotated = shapes.filter(|shape| {
                let relation = &shape.definition.table.relation;
                wanted.as_ref().is_none_or(|wanted| wanted == relation)
            });
            rotated.map(|shape| shape.handle.clone()).collect()
        });
        Ok(handles.iter().filter(|handle| self.drop_shape(handle)).count())
    }

    /// Every shape with its definition, for people.
    pub(crate) fn shapes(&self) -> Vec<Value> {
        let described =
            |shape: &Arc<Shape>| json!({"handle": shape.handle, "definition": shape.definition.identity});
        self.state
            .with(|state| state.by_handle.values().map(described).collect())
    }

    /// Writes to one table as one transaction: all of it or nothing.
    pub(crate) fn write(&self, table: &str, writes: &[Write]) -> Result<(), String> {
        let relation = identifier::relation(table)?;
        self.state.with(|state| state.write(&relation, writes))
    }

    pub(crate) fn lsn(&self) -> u64 {
        self.state.with(|state| state.lsn)
    }

    /// The JSON of a subset: what the database itself holds now, not what the log says.
    pub(crate) fn subset(&self, definition: &Definition, subset: &Subset, mark: u64) -> String {
        let (rows, lsn, txid) = self.state.with(|state| {
            let rows = state.tables.get(&definition.table.relation);
            let rows: Vec<Row> = rows.into_iter().flat_map(Rows::iter).cloned().collect();
            (rows, state.lsn, state.txid)
        });
        let inside = |row: &Row| {
            definition.contains(row) && subset.filter.as_ref().is_none_or(|filter| filter.holds(row))
        };
        let mut rows: Vec<Row> = rows.into_iter().filter(inside).collect();
        rows.sort_by(|a, b| ordering(definition, &subset.order, a, b));
        let limit = subset.limit.unwrap_or(usize::MAX);
        let cut = rows.iter().skip(subset.offset).take(limit);
        let data: Vec<Value> = cut
            .map(|row| message::snapshot_row(definition, row, Some(mark)))
            .collect();
        let metadata = json!({
            "snapshot_mark": mark,
            "database_lsn": lsn.to_string(),
            "xip_list": [],
            "xmax": txid.to_string(),
            "xmin": txid.to_string(),
        });
        format!("{{\"metadata\":{metadata}, \"data\": {}}}", Value::Array(data))
    }
}

impl State {
    fn new_handle(&mut self, definition: &Definition, now_micros: u128) -> String {
        self.last_handle_micros = now_micros.max(self.last_handle_micros + 1);
        format!("{}-{}", definition.hash, self.last_handle_micros)
    }

    fn snapshot(&self, handle: String, definition: &Arc<Definition>, chunk_bytes: usize) -> Shape {
        let table = self.tables.get(&definition.table.relation);
        let rows = table
            .into_iter()
            .flat_map(Rows::iter)
            .filter(|row| !definition.changes_only && definition.contains(row));
        let rows = rows.map(|row| message::snapshot_row(definition, row, None));
        let messages = rows.chain([message::snapshot_end(self.txid)]);
        let texts = messages.map(|message| message.to_string());
        Shape::new(handle, Arc::clone(definition), texts, chunk_bytes)
    }

    fn write(&mut self, relation: &Relation, writes: &[Write]) -> Result<(), String> {
        let rows = self.tables.get_mut(relation);
        let rows = rows.ok_or_else(|| format!("there is no table {relation}"))?;
        let mut changes: Vec<Change> = Vec::with_capacity(writes.len());
        for write in writes {
            match write.apply(rows) {
                Ok(change) => changes.push(change),
                Err(message) => {
                    changes.into_iter().rev().for_each(|change| rows.undo(change));
                    return Err(message);
                }
            }
        }
        self.lsn += LSN_STEP;
        let transaction = Transaction {
            lsn: self.lsn,
            txid: self.txid,
        };
        self.txid += 1;
        let shapes = self.by_handle.values();
        for shape in shapes.filter(|shape| shape.definition.table.relation == *relation) {
            let definition = &shape.definition;
            shape.append(message::of_transaction(definition, &changes, transaction));
        }
        Ok(())
    }
}

impl Write {
    fn apply(&self, rows: &mut Rows) -> Result<Change, String> {
        match self {
            Self::Upsert(row) => rows.upsert(row),
            Self::Insert(row) => rows.insert(row),
            Self::Update(key, set) => rows.update(key, set),
            Self::Delete(key) => rows.delete(key),
        }
    }
}

fn ordering(definition: &Definition, order: &[Order], a: &Row, b: &Row) -> std::cmp::Ordering {
    let mut terms = order.iter().map(|term| term.compare(definition, a, b));
    terms
        .find(|found| found.is_ne())
        .unwrap_or(std::cmp::Ordering::Equal)
}

impl Order {
    fn compare(&self, definition: &Definition, a: &Row, b: &Row) -> std::cmp::Ordering {
        let column = definition.table.columns.get(self.index);
        let datum = |row: &Row| column?.kind.read(row.get(self.index)?.as_ref()?);
        let (found, nulls) = match (datum(a), datum(b)) {
            (Some(a), Some(b)) => (a.order(&b).unwrap_or(std::cmp::Ordering::Equal), false),
            (a, b) => (a.is_none().cmp(&b.is_none()), true),
        };
        match if nulls { self.nulls_first } else { self.descending } {
            true => found.reverse(),
            false => found,
        }
    }
}
