//! Query strings as Plug decodes them: the last of duplicate names wins, brackets nest.
//!
//! Faithful on purpose: what a gateway must never let through is only a danger in tests
//! when the server behind it really reads it.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// Decodes a raw query string; `None` when a name or value is not UTF-8.
pub(crate) fn decode(raw: &str) -> Option<Map<String, Value>> {
    let mut decoded = Map::new();
    // From the end, keeping what is there: so the last pair of a name wins.
    for pair in raw.split('&').rev().filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = form_decoded(name)?;
        let value = Value::String(form_decoded(value)?);
        let (first, rest) = segments(&name);
        assign(&mut decoded, first, &rest, value);
    }
    Some(decoded)
}

fn form_decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

/// `a[b][c]` is `a`, then `b`, then `c`; anything else is one segment.
fn segments(name: &str) -> (&str, Vec<&str>) {
    match name.strip_suffix(']').and_then(|open| open.split_once('[')) {
        Some((first, rest)) => (first, rest.split("][").collect()),
        None => (name.strip_suffix(']').unwrap_or(name), Vec::new()),
    }
}

fn assign(into: &mut Map<String, Value>, name: &str, rest: &[&str], value: Value) {
    let slot = into.get_mut(name);
    match (rest, slot) {
        ([], None) => {
            into.insert(name.to_owned(), value);
        }
        (["", deeper @ ..], None) => {
            into.insert(name.to_owned(), Value::Array(vec![element(deeper, value)]));
        }
        (["", deeper @ ..], Some(Value::Array(list))) => list.insert(0, element(deeper, value)),
        ([next, deeper @ ..], None) => {
            let mut nested = Map::new();
            assign(&mut nested, next, deeper, value);
            into.insert(name.to_owned(), Value::Object(nested));
        }
        ([next, deeper @ ..], Some(Value::Object(nested))) if !next.is_empty() => {
            assign(nested, next, deeper, value);
        }
        _ => {}
    }
}

fn element(deeper: &[&str], value: Value) -> Value {
    match deeper {
        [] => value,
        [next, rest @ ..] => {
            let mut nested = Map::new();
            assign(&mut nested, next, rest, value);
            Value::Object(nested)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::decode;
    use serde_json::{Value, json};

    fn decoded(raw: &str) -> Value {
        Value::Object(decode(raw).unwrap())
    }

    #[test]
    fn the_last_of_duplicate_names_wins_whatever_its_form() {
        assert_eq!(decoded("table=a&table=b"), json!({"table": "b"}));
        assert_eq!(decoded("columns=a&columns[]=b"), json!({"columns": ["b"]}));
        assert_eq!(decoded("columns[]=b&columns=a"), json!({"columns": "a"}));
        assert_eq!(
            decoded("columns=id&columns[]=id&columns[]=ssn"),
            json!({"columns": ["id", "ssn"]})
        );
    }

    #[test]
    fn brackets_nest_after_decoding() {
        assert_eq!(
            decoded("params%5B1%5D=x&params[2]=y+z"),
            json!({"params": {"2": "y z", "1": "x"}})
        );
        assert_eq!(decoded("subset[where]=a"), json!({"subset": {"where": "a"}}));
        assert_eq!(decoded("table[]=x"), json!({"table": ["x"]}));
    }

    #[test]
    fn names_without_a_value_are_blank_and_empty_pairs_nothing() {
        assert_eq!(decoded("&&live&"), json!({"live": ""}));
        assert_eq!(decoded("a=%zz"), json!({"a": "%zz"}));
        assert!(decode("a=%ff").is_none());
    }
}
