//! The origin's own HTTP interface, below `/_origin`: writes, faults, and what was received.

use axum::http::StatusCode;
use axum::http::header;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Content};
use crate::inner::Inner;
use crate::misbehave::Misbehaviour;
use crate::serve::Asking;
use crate::store::Write;

pub(crate) const PREFIX: &str = "/_origin/";

type Answered = Result<Value, String>;

/// Answers a request below the prefix; a browser's page may ask from anywhere.
pub(crate) fn answer(inner: &Inner, asking: &Asking) -> Answer {
    let path = asking.path.strip_prefix(PREFIX).unwrap_or_default();
    let segments: Vec<&str> = path.split('/').collect();
    let answered = match (asking.method.as_str(), segments.as_slice()) {
        ("OPTIONS", _) => return open(Answer::text(StatusCode::NO_CONTENT, "")),
        ("POST" | "PATCH" | "DELETE", ["tables", table, "rows"]) => write(inner, asking, table),
        ("POST", ["rotate"]) => rotate(inner, asking),
        ("GET", ["received"]) => Ok(json!(inner.received.all())),
        ("DELETE", ["received"]) => {
            inner.received.clear();
            Ok(Value::Null)
        }
        ("POST", ["faults"]) => add_fault(inner, asking),
        ("DELETE", ["faults"]) => {
            inner.faults.clear();
            Ok(Value::Null)
        }
        ("GET", ["shapes"]) => Ok(json!(inner.store.shapes())),
        ("GET", ["waiting"]) => Ok(json!(inner.waiting_count())),
        _ => return open(Answer::text(StatusCode::NOT_FOUND, "Not found")),
    };
    open(match answered {
        Ok(Value::Null) => Answer::new(StatusCode::NO_CONTENT, Content::Whole(Vec::new().into())),
        Ok(body) => Answer::json(StatusCode::OK, &body),
        Err(message) => Answer::json(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "message": message })),
    })
}

fn open(answer: Answer) -> Answer {
    answer
        .with_static(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")
        .with_static(header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type")
        .with_static(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PATCH, DELETE")
        .with_static(header::CACHE_CONTROL, "no-store")
}

/// One row or a list of rows, written as one transaction.
fn write(inner: &Inner, asking: &Asking, table: &str) -> Answered {
    let table = percent_decode_str(table)
        .decode_utf8()
        .map_err(|error| error.to_string())?;
    let rows = match read(asking)? {
        Value::Array(rows) => rows,
        row => vec![row],
    };
    let as_write = |row: Value| match asking.method.as_str() {
        "POST" => Write::Upsert(row),
        "PATCH" => Write::Update(row.clone(), row),
        _ => Write::Delete(row),
    };
    let writes: Vec<Write> = rows.into_iter().map(as_write).collect();
    inner.store.write(&table, &writes).map(|()| Value::Null)
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Rotate {
    table: Option<String>,
}

fn rotate(inner: &Inner, asking: &Asking) -> Answered {
    let wanted = match asking.body.is_empty() {
        true => Rotate::default(),
        false => read(asking)?,
    };
    let rotated = inner.store.rotate(wanted.table.as_deref())?;
    Ok(json!({ "rotated": rotated }))
}

fn add_fault(inner: &Inner, asking: &Asking) -> Answered {
    let misbehaviour: Misbehaviour = read(asking)?;
    inner.faults.add(misbehaviour);
    Ok(Value::Null)
}

fn read<T: serde::de::DeserializeOwned>(asking: &Asking) -> Result<T, String> {
    serde_json::from_slice(&asking.body).map_err(|error| error.to_string())
}
