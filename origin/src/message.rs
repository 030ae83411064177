//! The messages of a shape's log, as JSON text.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::definition::Definition;
use crate::offset::Offset;
use crate::table::{Change, Row, row_key};

/// A message with its place in the log.
pub(crate) struct Message {
    pub(crate) offset: Offset,
    pub(crate) json: Bytes,
}

/// The transaction that a change belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Transaction {
    pub(crate) lsn: u64,
    pub(crate) txid: u64,
}

/// A row of a snapshot.
pub(crate) fn snapshot_row(definition: &Definition, row: &Row, mark: Option<u64>) -> Value {
    let relation = &definition.table.relation;
    let mut headers = json!({
        "relation": [relation.schema, relation.name],
        "operation": "insert",
    });
    if let (Some(mark), Some(headers)) = (mark, headers.as_object_mut()) {
        headers.insert("snapshot_mark".to_owned(), json!(mark));
    }
    json!({
        "key": row_key(&definition.table, row),
        "value": cells(definition, row, |_| true),
        "headers": headers,
    })
}

/// The end of a snapshot.
pub(crate) fn snapshot_end(txid: u64) -> Value {
    json!({"headers": {
        "control": "snapshot-end",
        "xip_list": [],
        "xmax": txid.to_string(),
        "xmin": txid.to_string(),
    }})
}

/// The end of the log, for now.
pub(crate) fn up_to_date(lsn: u64) -> Bytes {
    let message = json!({"headers": {
        "control": "up-to-date",
        "global_last_seen_lsn": lsn.to_string(),
    }});
    message.to_string().into()
}

/// What the changes of one transaction are to a shape: rows that enter by an update are inserted,
/// rows that leave by one are deleted.
pub(crate) fn of_transaction(
    definition: &Definition,
    changes: &[Change],
    transaction: Transaction,
) -> Vec<Message> {
    let mut drafts = Vec::new();
    for (position, change) in (0u64..).step_by(2).zip(changes) {
        drafts.extend(of_change(definition, change, position));
    }
    let last = drafts.len();
    let finished = drafts
        .into_iter()
        .zip(1..)
        .map(|(draft, number)| draft.finish(definition, transaction, number == last));
    finished.collect()
}

/// A message without what its transaction adds.
struct Draft {
    operation: &'static str,
    key: String,
    value: Map<String, Value>,
    old_value: Option<Map<String, Value>>,
    key_change: Option<(&'static str, String)>,
    position: u64,
}

impl Draft {
    fn finish(self, definition: &Definition, transaction: Transaction, last: bool) -> Message {
        let relation = &definition.table.relation;
        let mut headers = Map::new();
        let mut head = |name: &str, value: Value| headers.insert(name.to_owned(), value);
        if last {
            head("last", json!(true));
        }
        head("relation", json!([relation.schema, relation.name]));
        head("operation", json!(self.operation));
        if let Some((name, key)) = self.key_change {
            head(name, json!(key));
        }
        head("lsn", json!(transaction.lsn.to_string()));
        head("op_position", json!(self.position));
        head("txids", json!([transaction.txid]));
        let mut message = json!({"value": self.value, "key": self.key, "headers": headers});
        if let (Some(old), Some(message)) = (self.old_value, message.as_object_mut()) {
            message.insert("old_value".to_owned(), Value::Object(old));
        }
        Message {
            offset: Offset::new(transaction.lsn, self.position),
            json: message.to_string().into(),
        }
    }
}

fn of_change(definition: &Definition, change: &Change, position: u64) -> Vec<Draft> {
    let inside = |row: &Option<Row>| row.clone().filter(|row| definition.contains(row));
    match (inside(&change.before), inside(&change.after)) {
        (None, None) => Vec::new(),
        (None, Some(after)) => vec![insert(definition, &after, position)],
        (Some(before), None) => vec![delete(definition, &before, position)],
        (Some(before), Some(after)) => update(definition, &before, &after, position),
    }
}

fn insert(definition: &Definition, row: &Row, position: u64) -> Draft {
    Draft {
        operation: "insert",
        key: row_key(&definition.table, row),
        value: cells(definition, row, |_| true),
        old_value: None,
        key_change: None,
        position,
    }
}

fn delete(definition: &Definition, row: &Row, position: u64) -> Draft {
    let key = &definition.table.key;
    let wanted = |index: usize| definition.full_replica || key.contains(&index);
    Draft {
        operation: "delete",
        value: cells(definition, row, wanted),
        ..insert(definition, row, position)
    }
}

fn update(definition: &Definition, before: &Row, after: &Row, position: u64) -> Vec<Draft> {
    let changed = |index: usize| before.get(index) != after.get(index);
    if !definition.selected.iter().any(|index| changed(*index)) {
        return Vec::new();
    }
    let keys = (
        row_key(&definition.table, before),
        row_key(&definition.table, after),
    );
    if keys.0 != keys.1 {
        let mut left = delete(definition, before, position);
        left.key_change = Some(("key_change_to", keys.1));
        let mut entered = insert(definition, after, position + 1);
        entered.key_change = Some(("key_change_from", keys.0));
        return vec![left, entered];
    }
    let key = &definition.table.key;
    let wanted = |index: usize| definition.full_replica || key.contains(&index) || changed(index);
    vec![Draft {
        operation: "update",
        value: cells(definition, after, wanted),
        old_value: definition
            .full_replica
            .then(|| cells(definition, before, changed)),
        ..insert(definition, after, position)
    }]
}

fn cells(definition: &Definition, row: &Row, wanted: impl Fn(usize) -> bool) -> Map<String, Value> {
    let indexes = definition.selected.iter().copied().filter(|index| wanted(*index));
    let cell = |index: usize| {
        let text = row.get(index).and_then(Option::as_deref);
        let value = text.map_or(Value::Null, |text| Value::String(text.to_owned()));
        (definition.table.name_of(index).to_owned(), value)
    };
    indexes.map(cell).collect()
}
