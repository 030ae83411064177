//! What is asked of Redis, and its answers taken apart. Nothing in them is believed to be what was written.

use std::sync::LazyLock;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Script, ScriptInvocation, Value};

use super::connection::{Connection, within};
use super::fault::Fault;
use super::ledger::RECORDS_MAX;
use super::record::{Field, RECORD_BYTES_MAX, Record};
use crate::clock::Clock;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long Redis may wait for a change.
const BLOCK: Duration = Duration::from_secs(1);
/// Changes in one answer.
const CHANGES_MAX: usize = 100;
/// Changes that are kept for gateways that are behind; who is further behind reads the whole list.
const CHANGES_KEPT: usize = 10_000;
/// Records in one answer, about.
const PAGE: usize = 500;
/// Bytes of a field: those that are longer are nobody's.
const FIELD_BYTES_MAX: usize = 64;

static LOOK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("look.lua")));
static PAGE_OF: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("page.lua")));
static WRITE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("write.lua")));
static PURGE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("purge.lua")));
static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take.lua")));

/// What all keys are called.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The hash of the records.
    pub records: String,
    /// The stream of the changes.
    pub changes: String,
    /// What the keys of rates begin with.
    pub rates: String,
}

impl Keys {
    /// Those that begin with `prefix`.
    pub fn of(prefix: &str) -> Self {
        Self {
            records: format!("{prefix}:revocations"),
            changes: format!("{prefix}:changes"),
            rates: format!("{prefix}:rate:"),
        }
    }
}

/// Where the list stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The last change: an id of the stream.
    pub last: String,
    /// How many records there are.
    pub records: i64,
}

/// Something that was written or removed.
#[derive(Clone, Debug)]
pub struct Change {
    /// The change before it.
    pub after: String,
    /// Where the list stands with it.
    pub place: Place,
    /// What was written; none where something was removed, or what was written is unreadable.
    pub record: Option<(Field, Record)>,
}

/// A page of the records.
#[derive(Debug, Default)]
pub struct Page {
    /// Where the next one begins; 0 at the end.
    pub cursor: String,
    /// Each as it is written there.
    pub records: Vec<(Field, Record)>,
    /// Fields whose records are unreadable, with the moment that they claim to be of.
    pub unreadable: Vec<(Field, i64)>,
    /// How many more are nothing of ours.
    pub foreign: usize,
}

/// What became of a record that was to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there.
    Written,
    /// Another one counts.
    Outdone(Record),
    /// Something unreadable claims to be later, of this moment.
    Unreadable(i64),
}

/// A connection, and what is asked on it.
pub struct Store {
    connection: Connection,
    keys: Keys,
}

impl Store {
    pub fn new(connection: Connection, keys: Keys) -> Self {
        Self { connection, keys }
    }

    /// To ask for rates with.
    pub fn asked(&self) -> MultiplexedConnection {
        self.connection.asked()
    }

    /// The names of the keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whether anybody answers.
    pub async fn ping(&self, clock: &dyn Clock) -> Result<(), Fault> {
        let mut connection = self.asked();
        let pinging = async {
            let answer: Value = redis::cmd("PING").query_async(&mut connection).await?;
            drop(answer);
            Ok(())
        };
        within(ANSWER_TIMEOUT, clock, pinging).await
    }

    /// Where the list stands.
    pub async fn look(&self, clock: &dyn Clock) -> Result<Place, Fault> {
        let mut script = LOOK.key(&self.keys.records);
        script.key(&self.keys.changes);
        match items(self.run(script, clock).await?)?.as_slice() {
            [last, Value::Int(records)] => Ok(Place {
                last: text(last).ok_or(Fault::Answer)?,
                records: *records,
            }),
            _ => Err(Fault::Answer),
        }
    }

    /// Some of the records.
    pub async fn page(&self, cursor: &str, clock: &dyn Clock) -> Result<Page, Fault> {
        let mut script = PAGE_OF.key(&self.keys.records);
        script
            .arg(cursor)
            .arg(PAGE)
            .arg(FIELD_BYTES_MAX)
            .arg(RECORD_BYTES_MAX);
        let parts = items(self.run(script, clock).await?)?;
        let [cursor, Value::Int(left_out), Value::Array(flat)] = parts.as_slice() else {
            return Err(Fault::Answer);
        };
        let mut page = Page {
            cursor: text(cursor).ok_or(Fault::Answer)?,
            foreign: usize::try_from(*left_out).unwrap_or_default(),
            ..Page::default()
        };
        for pair in flat.chunks_exact(2) {
            if let [field, record] = pair {
                page.take(bytes(field), bytes(record));
            }
        }
        Ok(page)
    }

    /// The changes after a place; where there are none, `waiting` for one.
    pub async fn changes(&self, last: &str, waiting: bool, clock: &dyn Clock) -> Result<Vec<Change>, Fault> {
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(CHANGES_MAX);
        let mut limit = ANSWER_TIMEOUT;
        if waiting {
            let millis = u64::try_from(BLOCK.as_millis()).unwrap_or(u64::MAX);
            command.arg("BLOCK").arg(millis);
            limit += BLOCK;
        }
        command.arg("STREAMS").arg(&self.keys.changes).arg(last);
        let mut connection = self.asked();
        let reading = async { Ok(command.query_async::<Value>(&mut connection).await?) };
        changes_of(within(limit, clock, reading).await?).ok_or(Fault::Answer)
    }

    /// Writes records, each unless there is a later one.
    pub async fn write(&self, records: &[(Field, Record)], clock: &dyn Clock) -> Result<Vec<Outcome>, Fault> {
        let mut script = WRITE.key(&self.keys.records);
        script.key(&self.keys.changes);
        script.arg(CHANGES_KEPT).arg(RECORDS_MAX).arg(RECORD_BYTES_MAX);
        for (field, record) in records {
            script.arg(field.as_str()).arg(record.write());
        }
        let answers = items(self.run(script, clock).await?)?;
        if answers.len() != records.len() {
            return Err(Fault::Answer);
        }
        let outcome = |((field, _), answer): (&(Field, Record), Value)| match answer {
            Value::Int(1) => Ok(Outcome::Written),
            Value::Int(_) => Err(Fault::NoRoom(self.keys.records.clone())),
            Value::BulkString(known) => match Record::read(field, &known) {
                Some(record) => Ok(Outcome::Outdone(record)),
                None => super::record::moment(&known)
                    .map(Outcome::Unreadable)
                    .ok_or(Fault::Answer),
            },
            _ => Err(Fault::Answer),
        };
        records.iter().zip(answers).map(outcome).collect()
    }

    /// Removes records, each where it is still that one.
    pub async fn purge(&self, records: &[(Field, Record)], clock: &dyn Clock) -> Result<(), Fault> {
        let mut script = PURGE.key(&self.keys.records);
        script.key(&self.keys.changes).arg(CHANGES_KEPT);
        for (field, record) in records {
            script.arg(field.as_str()).arg(record.write());
        }
        self.run(script, clock).await.map(drop)
    }

    async fn run(&self, script: ScriptInvocation<'_>, clock: &dyn Clock) -> Result<Value, Fault> {
        let mut connection = self.asked();
        let running = async { Ok(script.invoke_async::<Value>(&mut connection).await?) };
        within(ANSWER_TIMEOUT, clock, running).await
    }
}

/// Takes some of a rate: how many were granted, and how long to stay away where none was.
pub async fn take(
    mut connection: MultiplexedConnection,
    key: &str,
    per_minute: u32,
    wanted: u32,
) -> Result<(u32, Duration), Fault> {
    let mut script = TAKE.key(key);
    script.arg(per_minute).arg(wanted);
    let answer = items(script.invoke_async::<Value>(&mut connection).await?)?;
    let [Value::Int(granted), Value::Int(micros)] = answer.as_slice() else {
        return Err(Fault::Answer);
    };
    let granted = u32::try_from(*granted).map_err(|_| Fault::Answer)?.min(wanted);
    let pause = Duration::from_micros(u64::try_from(*micros).map_err(|_| Fault::Answer)?);
    Ok((granted, pause.min(Duration::from_secs(60))))
}

impl Page {
    fn take(&mut self, field: Option<&[u8]>, record: Option<&[u8]>) {
        let (Some(field), Some(text)) = (field.and_then(Field::read), record) else {
            self.foreign += 1;
            return;
        };
        match Record::read(&field, text) {
            Some(record) => self.records.push((field, record)),
            None => {
                let at = super::record::moment(text).unwrap_or_default();
                self.unreadable.push((field, at));
            }
        }
    }
}

/// `[[key, [[id, [name, value, …]], …]]]`, or nothing.
fn changes_of(answer: Value) -> Option<Vec<Change>> {
    let streams = match answer {
        Value::Nil => return Some(Vec::new()),
        Value::Array(streams) => streams,
        _ => return None,
    };
    let [Value::Array(stream)] = streams.as_slice() else {
        return None;
    };
    let [_, Value::Array(changes)] = stream.as_slice() else {
        return None;
    };
    changes.iter().map(change_of).collect()
}

/// One that is none of ours leads to nowhere: then the whole list is read.
fn change_of(change: &Value) -> Option<Change> {
    let Value::Array(parts) = change else { return None };
    let [id, members] = parts.as_slice() else {
        return None;
    };
    let members = match members {
        Value::Array(members) => members.as_slice(),
        _ => &[],
    };
    let member = |name: &str| {
        let mut pairs = members.chunks_exact(2);
        pairs.find_map(|pair| match pair {
            [key, value] if bytes(key) == Some(name.as_bytes()) => bytes(value),
            _ => None,
        })
    };
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
    let record = member("field").and_then(Field::read).and_then(|field| {
        let record = Record::read(&field, member("record")?)?;
        Some((field, record))
    });
    Some(Change {
        after: member("after")
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .unwrap_or_default(),
        place: Place {
            last: text(id)?,
            records: member("records").and_then(number).unwrap_or(-1),
        },
        record,
    })
}

fn items(answer: Value) -> Result<Vec<Value>, Fault> {
    match answer {
        Value::Array(items) => Ok(items),
        _ => Err(Fault::Answer),
    }
}

fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    Some(std::str::from_utf8(bytes(value)?).ok()?.to_owned())
}
