//! Casts of single parameters: blank means absent, the wrong type "is invalid".

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Errors, SubsetAsked};
use crate::identifier;

const INVALID: &str = "is invalid";

/// A string; blank and `null` are absent.
pub(super) fn text(given: &Map<String, Value>, field: &str, errors: &mut Errors) -> Option<String> {
    match present(given, field)? {
        Value::String(text) => Some(text.clone()),
        _ => {
            errors.add(field, INVALID);
            None
        }
    }
}

/// A list of columns: comma-separated identifiers, or a list that is taken as it is.
pub(super) fn columns(given: &Map<String, Value>, field: &str, errors: &mut Errors) -> Option<Vec<String>> {
    let read = match present(given, field)? {
        Value::String(text) => identifier::columns(text),
        Value::Array(items) if !items.is_empty() => items.iter().map(raw_column).collect(),
        _ => Err(INVALID.to_owned()),
    };
    read.map_err(|message| errors.add(field, message)).ok()
}

fn raw_column(item: &Value) -> Result<String, String> {
    match item.as_str() {
        Some("") => Err("Invalid zero-length identifier".to_owned()),
        Some(name) => Ok(name.to_owned()),
        None => Err(INVALID.to_owned()),
    }
}

/// Whether the second of two words is given; the first is the default.
pub(super) fn choice(
    given: &Map<String, Value>,
    field: &str,
    [default, other]: [&str; 2],
    errors: &mut Errors,
) -> bool {
    let Some(value) = present(given, field) else {
        return false;
    };
    if value != default && value != other {
        errors.add(field, INVALID);
    }
    value == other
}

/// `params[n]`: a map of strings, nothing else.
pub(super) fn params(given: &Map<String, Value>, errors: &mut Errors) -> BTreeMap<String, String> {
    let Some(value) = present(given, "params") else {
        return BTreeMap::new();
    };
    let cast = value.as_object().and_then(|map| {
        let pairs = map.iter();
        pairs
            .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect()
    });
    cast.unwrap_or_else(|| {
        errors.add("params", INVALID);
        BTreeMap::new()
    })
}

/// `live_sse` as `live` is read; without it the deprecated name, as a boolean.
pub(super) fn sse(given: &Map<String, Value>, errors: &mut Errors) -> bool {
    if let Some(value) = given.get("live_sse") {
        return value != "false";
    }
    match given.get("experimental_live_sse") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(value)) => *value,
        Some(Value::String(text)) => match text.as_str() {
            "true" | "1" => true,
            "false" | "0" | "" => false,
            _ => invalid_sse(errors),
        },
        Some(_) => invalid_sse(errors),
    }
}

fn invalid_sse(errors: &mut Errors) -> bool {
    errors.add("live_sse", INVALID);
    false
}

/// The subset's own fields.
pub(super) fn subset(value: &Value) -> Result<SubsetAsked, Errors> {
    let Some(given) = value.as_object() else {
        return Err(Errors::of("subset", INVALID));
    };
    fields_of_subset(given).map_err(|errors| errors.under("subset"))
}

fn fields_of_subset(given: &Map<String, Value>) -> Result<SubsetAsked, Errors> {
    let mut errors = Errors::default();
    let asked = SubsetAsked {
        filter: text(given, "where", &mut errors),
        params: loose_params(given, &mut errors),
        limit: integer(given, "limit", 1, "must be greater than 0", &mut errors),
        offset: integer(
            given,
            "offset",
            0,
            "must be greater than or equal to 0",
            &mut errors,
        ),
        order_by: text(given, "order_by", &mut errors),
    };
    let cut = asked.limit.is_some() || asked.offset.is_some();
    if cut && asked.order_by.is_none() && !errors.fields.contains_key("order_by") {
        let message = "order_by is required when limit or offset is present";
        errors.add("order_by", message);
    }
    errors.check()?;
    Ok(asked)
}

fn integer(
    given: &Map<String, Value>,
    field: &str,
    least: i64,
    too_small: &str,
    errors: &mut Errors,
) -> Option<usize> {
    let number = match present(given, field)? {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    };
    match number {
        None => errors.add(field, INVALID),
        Some(number) if number < least => errors.add(field, too_small),
        Some(number) => return usize::try_from(number).ok(),
    }
    None
}

/// A subset's parameters: a map, or the JSON text of one; whatever the values are becomes text.
fn loose_params(given: &Map<String, Value>, errors: &mut Errors) -> BTreeMap<String, String> {
    let map = match present(given, "params") {
        None => return BTreeMap::new(),
        Some(Value::Object(map)) => Some(map.clone()),
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(Value::Object(map)) => Some(map),
            Ok(_) => return loose_error(errors, "params must be a JSON object"),
            Err(_) => return loose_error(errors, "params must be valid JSON"),
        },
        Some(_) => None,
    };
    match map {
        Some(map) => map
            .into_iter()
            .map(|(name, value)| (name, as_text(value)))
            .collect(),
        None => loose_error(errors, INVALID),
    }
}

fn loose_error(errors: &mut Errors, message: &str) -> BTreeMap<String, String> {
    errors.add("params", message);
    BTreeMap::new()
}

fn as_text(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn present<'a>(given: &'a Map<String, Value>, field: &str) -> Option<&'a Value> {
    given.get(field).filter(|value| match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        _ => true,
    })
}
