//! `DELETE`, where it is allowed: a definition, a definition with its handle, or a handle alone.

use axum::http::StatusCode;
use axum::http::header;
use serde_json::{Map, Value, json};

use super::Asking;
use crate::answer::{Answer, HAS_DATA};
use crate::inner::Inner;
use crate::params::{Asked, Doomed, Errors};

const MISMATCH: &str = "The specified shape definition and handle do not match. Please ensure the \
    shape definition is correct or omit the shape handle from the request to obtain a new one.";

pub(super) fn answer(inner: &Inner, asking: &Asking, query: &Map<String, Value>) -> Answer {
    if !inner.config.allow_deletion {
        return message(StatusCode::METHOD_NOT_ALLOWED, "DELETE not allowed");
    }
    let handle = Doomed::read(query)
        .map_err(|errors| Box::new(Answer::invalid(&errors, asking.is_cached())))
        .and_then(|doomed| match doomed {
            Doomed::Handle(handle) => Ok(handle),
            Doomed::Shape(asked, handle) => of_definition(inner, &asked, handle),
        });
    match handle {
        Err(refusal) => *refusal,
        Ok(handle) if inner.store.drop_shape(&handle) => deleted(),
        Ok(_) => message(StatusCode::NOT_FOUND, "No existing shape found"),
    }
}

fn of_definition(inner: &Inner, asked: &Asked, handle: Option<String>) -> Result<String, Box<Answer>> {
    let invalid = |errors: Errors| Box::new(Answer::invalid(&errors, false));
    let definition = inner.store.define(asked).map_err(invalid)?;
    let shape = inner.store.by_definition(&definition);
    let shape = shape.ok_or_else(|| Box::new(message(StatusCode::NOT_FOUND, "No existing shape found")))?;
    match handle {
        Some(handle) if handle != shape.handle => Err(Box::new(message(StatusCode::BAD_REQUEST, MISMATCH))),
        _ => Ok(shape.handle.clone()),
    }
}

fn deleted() -> Answer {
    Answer::log(crate::answer::Content::Whole(bytes::Bytes::new()))
        .with_status(StatusCode::ACCEPTED)
        .with_static(header::CACHE_CONTROL, "no-cache")
        .with_static(HAS_DATA, "true")
}

fn message(status: StatusCode, text: &str) -> Answer {
    Answer::json(status, &json!({ "message": text })).uncached(false)
}
