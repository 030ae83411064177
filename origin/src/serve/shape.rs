//! A shape request: its body, its parameters, its shape; then the log or a subset of it.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{Asking, log, subset};
use crate::answer::Answer;
use crate::definition::Definition;
use crate::inner::Inner;
use crate::params::{Errors, Params, merged};
use crate::shape::Shape;

pub(super) async fn answer(inner: &Arc<Inner>, asking: &Asking, query: Map<String, Value>) -> Answer {
    let body = match body(asking) {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    // The cursor is read from the query only, whatever a body says.
    let cursor = query.get("cursor").and_then(Value::as_str).map(str::to_owned);
    let resolved = resolve(inner, asking, &merged(query, body));
    match resolved {
        Err(refusal) => *refusal,
        Ok(Resolved {
            params,
            shape,
            subset,
        }) => match subset {
            Some(subset) => subset::answer(inner, &params, &shape, &subset),
            None => log::answer(inner, asking, &params, &shape, cursor.as_deref()).await,
        },
    }
}

/// The body of a `POST`, whatever its content type says; other methods' bodies are not read.
fn body(asking: &Asking) -> Result<Map<String, Value>, Box<Answer>> {
    if asking.method != Method::POST || asking.body.is_empty() {
        return Ok(Map::new());
    }
    let refusal = |body: Value| Err(Box::new(Answer::json(StatusCode::BAD_REQUEST, &body)));
    match serde_json::from_slice(&asking.body) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => refusal(json!({"error": "Request body must be a JSON object"})),
        Err(error) => refusal(json!({
            "error": "Invalid JSON in request body",
            "details": unexpected(&asking.body, &error),
        })),
    }
}

/// The JSON error in the words of Electric's decoder.
fn unexpected(body: &[u8], error: &serde_json::Error) -> String {
    let place = error.column().saturating_sub(1);
    match body.get(place) {
        Some(byte) if error.line() == 1 && !error.is_eof() => {
            let shown = char::from(*byte);
            format!("unexpected byte at position {place}: 0x{byte:02X} (\"{shown}\")")
        }
        _ => format!("unexpected end of input at position {}", body.len()),
    }
}

struct Resolved {
    params: Params,
    shape: Arc<Shape>,
    subset: Option<crate::definition::Subset>,
}

fn resolve(inner: &Inner, asking: &Asking, given: &Map<String, Value>) -> Result<Resolved, Box<Answer>> {
    let invalid = |errors: Errors| Box::new(Answer::invalid(&errors, asking.is_cached()));
    let params = Params::read(given).map_err(invalid)?;
    let definition = inner.store.define(&params.asked).map_err(invalid)?;
    let subset = params.subset().map_err(invalid)?;
    let subset = subset.map(|asked| definition.subset(&asked)).transpose();
    let subset = subset.map_err(invalid)?;
    let shape = find(inner, asking, params.handle.as_deref(), &definition)?;
    Ok(Resolved {
        params,
        shape,
        subset,
    })
}

/// A handle finds its shape if the hashes agree; otherwise the definition's own shape, new if need
/// be, is where a 409 sends the client.
fn find(
    inner: &Inner,
    asking: &Asking,
    handle: Option<&str>,
    definition: &Arc<Definition>,
) -> Result<Arc<Shape>, Box<Answer>> {
    let Some(handle) = handle else {
        return Ok(inner.store.get_or_create(definition));
    };
    inner.store.by_handle(handle, definition).ok_or_else(|| {
        let successor = inner.store.get_or_create(definition);
        Box::new(Answer::must_refetch(Some(&successor.handle), asking.is_cached()))
    })
}
