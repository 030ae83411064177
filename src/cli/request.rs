//! A request as commands are told it.

use crate::gateway::explain::Question;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use shapegate_core::json::{self, JsonLimits};
use shapegate_core::value::Value;
use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::sync::Arc;

/// Longest line that is read from standard input, in bytes: above any token.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// The members of a JSON object.
pub(super) type Members = BTreeMap<Arc<str>, Value>;

/// A request for a path, or for a URL, whose host then chooses the tenant. Without an `offset` it is one from the
/// beginning.
///
/// # Errors
/// What is wrong with it, for people.
pub(super) fn question(method: &str, url: &str) -> Result<Question, String> {
    let method: Method = method.parse().map_err(|_| format!("{method:?} is no method"))?;
    let (host, target) = match url.split_once("://") {
        Some(("http" | "https", rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            (Some(host), format!("/{path}"))
        }
        _ if url.starts_with('/') => (None, url.to_owned()),
        _ => {
            return Err(format!(
                "{url:?} is neither a path, as /api/shapes/users, nor a URL"
            ));
        }
    };
    let mut question = Question {
        target: with_offset(&method, target),
        method,
        headers: HeaderMap::new(),
        body: Vec::new(),
        claims: None,
        decision: None,
    };
    if let Some(host) = host {
        add_header(&mut question, "host", host)?;
    }
    Ok(question)
}

fn with_offset(method: &Method, target: String) -> String {
    let query = target.split_once('?').map(|(_, query)| query);
    let names = query.into_iter().flat_map(|query| query.split('&'));
    let mut names = names.filter_map(|pair| pair.split('=').next());
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match query {
        _ if !reads || names.any(|name| name == "offset") => target,
        Some("") => target + "offset=-1",
        Some(_) => target + "&offset=-1",
        None => target + "?offset=-1",
    }
}

/// Adds a header.
///
/// # Errors
/// When it is none.
pub(super) fn add_header(question: &mut Question, name: &str, value: &str) -> Result<(), String> {
    let wrong = || format!("{name:?} is no header");
    let name: HeaderName = name.trim().parse().map_err(|_| wrong())?;
    let mut value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
    value.set_sensitive(true);
    question.headers.append(name, value);
    Ok(())
}

/// Adds a bearer token.
///
/// # Errors
/// When no header could carry it.
pub(super) fn add_token(question: &mut Question, token: &str) -> Result<(), String> {
    let value = format!("Bearer {}", token.trim());
    add_header(question, header::AUTHORIZATION.as_str(), &value).map_err(|_| "that is no token".to_owned())
}

/// A JSON object, read as claims are.
///
/// # Errors
/// When it is none.
pub(super) fn object(what: &str, text: &str) -> Result<Members, String> {
    match json::parse(text.as_bytes(), JsonLimits::CLAIMS) {
        Ok(Value::Map(members)) => Ok(members),
        Ok(_) => Err(format!("{what}: a JSON object is wanted")),
        Err(error) => Err(format!("{what}: {error}")),
    }
}

/// What an argument says; `-` stands for standard input, which no other account of the machine sees.
///
/// # Errors
/// When that cannot be read.
pub(super) fn secret_argument(text: &str) -> Result<String, String> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    let mut read = String::new();
    io::stdin()
        .lock()
        .take(LINE_BYTES_MAX)
        .read_to_string(&mut read)
        .map_err(|error| format!("standard input cannot be read: {error}"))?;
    Ok(read.trim().to_owned())
}
