//! Rows in memory, in the order in which Postgres' heap would give them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::schema::{Column, Table};

/// A row's cells as Electric's text, in the table's column order.
pub(crate) type Row = Arc<[Option<Arc<str>>]>;

/// One row's change: what it was and what it has become.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) before: Option<Row>,
    pub(crate) after: Option<Row>,
}

/// A table's rows. An update puts the row's new version last, as a heap does.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) table: Arc<Table>,
    heap: BTreeMap<u64, Row>,
    places: HashMap<String, u64>,
    next_place: u64,
}

impl Rows {
    pub(crate) fn new(table: Arc<Table>) -> Self {
        Self {
            table,
            heap: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Row> {
        self.heap.values()
    }

    /// Inserts the row, or replaces the row of the same key.
    pub(crate) fn upsert(&mut self, given: &Value) -> Result<Change, String> {
        let row = self.complete(given, None)?;
        let before = self.take(&self.key_of(&row));
        Ok(self.put(before, row))
    }

    /// Inserts the row; its key must be new.
    pub(crate) fn insert(&mut self, given: &Value) -> Result<Change, String> {
        let row = self.complete(given, None)?;
        if self.places.contains_key(&self.key_of(&row)) {
            return Err(format!("{} has this key already", self.table.relation));
        }
        Ok(self.put(None, row))
    }

    /// Changes the given columns of the row that has the given key.
    pub(crate) fn update(&mut self, key: &Value, set: &Value) -> Result<Change, String> {
        let place = self.find(key)?;
        let old = self.heap.get(&place).cloned().ok_or("no such row")?;
        let row = self.complete(set, Some(&old))?;
        let new_key = self.key_of(&row);
        if self.places.get(&new_key).is_some_and(|taken| *taken != place) {
            return Err(format!("{} has this key already", self.table.relation));
        }
        let before = self.take(&self.key_of(&old));
        Ok(self.put(before, row))
    }

    /// Removes the row that has the given key.
    pub(crate) fn delete(&mut self, key: &Value) -> Result<Change, String> {
        let place = self.find(key)?;
        let before = self.heap.remove(&place);
        if let Some(row) = &before {
            self.places.remove(&self.key_of(row));
        }
        Ok(Change { before, after: None })
    }

    /// Takes a change back.
    pub(crate) fn undo(&mut self, change: Change) {
        if let Some(row) = change.after {
            let key = self.key_of(&row);
            self.take(&key);
        }
        if let Some(row) = change.before {
            self.put(None, row);
        }
    }

    /// The heap place of the row whose key columns are given.
    fn find(&self, key: &Value) -> Result<u64, String> {
        let given = object(key)?;
        let cells = self.table.key.iter().map(|index| {
            let column = self.table.columns.get(*index)?;
            cell(column, given.get(&column.name)?).ok().flatten()
        });
        let wanted = key_of_cells(&self.table, cells);
        let place = self.places.get(&wanted).copied();
        place.ok_or_else(|| format!("{} has no row of this key", self.table.relation))
    }

    fn take(&mut self, key: &str) -> Option<Row> {
        let place = self.places.remove(key)?;
        self.heap.remove(&place)
    }

    fn put(&mut self, before: Option<Row>, row: Row) -> Change {
        self.places.insert(self.key_of(&row), self.next_place);
        self.heap.insert(self.next_place, Arc::clone(&row));
        self.next_place += 1;
        Change {
            before,
            after: Some(row),
        }
    }

    fn complete(&self, given: &Value, old: Option<&Row>) -> Result<Row, String> {
        let given = object(given)?;
        if let Some(unknown) = given.keys().find(|name| self.table.index_of(name).is_none()) {
            return Err(format!("{} has no column {unknown}", self.table.relation));
        }
        let cells = self.table.columns.iter().enumerate().map(|(index, column)| {
            match (given.get(&column.name), old.and_then(|row| row.get(index))) {
                (Some(value), _) => cell(column, value),
                (None, Some(kept)) => Ok(kept.clone()),
                (None, None) => cell(column, &Value::Null),
            }
        });
        cells.collect()
    }

    /// The row's key as the log spells it.
    pub(crate) fn key_of(&self, row: &Row) -> String {
        row_key(&self.table, row)
    }
}

/// A row's key: the table, then the key's cells.
pub(crate) fn row_key(table: &Table, row: &Row) -> String {
    let cells = table.key.iter().map(|index| row.get(*index).cloned().flatten());
    key_of_cells(table, cells)
}

fn key_of_cells(table: &Table, cells: impl Iterator<Item = Option<Arc<str>>>) -> String {
    let mut key = table.relation.key_prefix();
    for cell in cells {
        match cell {
            Some(text) => {
                key.push_str("/\"");
                key.push_str(&text.replace('/', "//"));
                key.push('"');
            }
            None => key.push_str("/_"),
        }
    }
    key
}

fn object(value: &Value) -> Result<&Map<String, Value>, String> {
    value
        .as_object()
        .ok_or_else(|| "a row is a JSON object".to_owned())
}

fn cell(column: &Column, value: &Value) -> Result<Option<Arc<str>>, String> {
    let text = match value {
        Value::Null if column.required => return Err(format!("{} may not be null", column.name)),
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if column.array {
        return Ok(Some(text.into()));
    }
    let rendered = column.kind.rendered(&text);
    rendered
        .map(|text| Some(text.into()))
        .ok_or_else(|| format!("{text} is no {}", column.kind.name()))
}

#[cfg(test)]
mod tests {
    use super::Rows;
    use crate::schema::Schema;
    use serde_json::json;

    fn users() -> Rows {
        let schema = Schema::recordings();
        let (table, rows) = schema.tables.into_iter().next().unwrap();
        let mut users = Rows::new(table);
        for row in rows {
            users.insert(&row).unwrap();
        }
        users
    }

    fn ids(rows: &Rows) -> Vec<String> {
        rows.iter()
            .map(|row| row[0].as_ref().unwrap().to_string())
            .collect()
    }

    #[test]
    fn an_updated_row_moves_to_the_end_as_in_a_heap() {
        let mut users = users();
        users.update(&json!({"id": 1}), &json!({"name": "A"})).unwrap();
        assert_eq!(ids(&users), ["2", "3", "4", "1"]);
    }

    #[test]
    fn writes_that_break_the_schema_are_refused_and_change_nothing() {
        let mut users = users();
        assert!(users.insert(&json!({"id": 1, "name": "x", "org_id": 1})).is_err());
        assert!(users.insert(&json!({"id": 9, "org_id": 1})).is_err());
        assert!(
            users
                .insert(&json!({"id": "x", "name": "x", "org_id": 1}))
                .is_err()
        );
        assert!(
            users
                .insert(&json!({"id": 9, "name": "x", "org_id": 1, "nope": 1}))
                .is_err()
        );
        assert!(users.update(&json!({"id": 1}), &json!({"id": 2})).is_err());
        assert!(users.delete(&json!({"id": 9})).is_err());
        assert_eq!(ids(&users), ["1", "2", "3", "4"]);
    }
}
