//! Ids of objects and subjects: values that are joined by us, and that cannot end where we did not end them.

use std::sync::Arc;

use shapegate_core::code::{Code, Refusal};
use shapegate_core::value::Value;

use super::FORBIDDEN;

/// The longest id, in bytes: what both `OpenFGA` (256 with its type) and `SpiceDB` (1,024) take.
const ID_BYTES_MAX: usize = 200;
/// What stands between the parts of an id. No part has it in itself.
const JOINER: &str = "/";

/// An object that is asked about: its type is the configuration's, its id is made of what was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSetting {
    /// Its type.
    pub kind: Arc<str>,
    /// How many of the values that are told make up its id.
    pub parts: usize,
}

/// Who is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectSetting {
    /// The object that stands for them.
    pub object: ObjectSetting,
    /// All who have this relation to that object, instead of itself.
    pub relation: Option<Arc<str>>,
}

/// Takes the values of one id from those that are told, and joins them.
///
/// # Errors
/// 403 for a value that could be read as more than one part, as a wildcard, or that is none.
pub(super) fn take_id(
    object: &ObjectSetting,
    told: &mut std::slice::Iter<'_, Value>,
) -> Result<String, Refusal> {
    let parts = told
        .by_ref()
        .take(object.parts)
        .map(part)
        .collect::<Result<Vec<_>, _>>();
    let id = parts.map_err(|fault| denied(object, fault))?.join(JOINER);
    if id.len() > ID_BYTES_MAX {
        return Err(denied(object, "is too long"));
    }
    if id.is_empty() {
        return Err(denied(object, "is empty"));
    }
    Ok(id)
}

/// Only what is one word in every notation: `type:id#relation@user`, paths of ids, and `*` for everybody.
fn part(value: &Value) -> Result<String, &'static str> {
    let text = match value {
        Value::String(text) => text.to_string(),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Null => return Err("is null"),
        _ => return Err("is neither text nor an integer"),
    };
    let separates =
        |char: char| matches!(char, ':' | '#' | '@' | '/' | '*') || char.is_whitespace() || char.is_control();
    if text.is_empty() {
        return Err("is empty");
    }
    if text.contains(separates) {
        return Err("has one of `:`, `#`, `@`, `/`, `*`, a space or a control character in it");
    }
    Ok(text)
}

/// The value itself is somebody's claim, and stays out of the log.
fn denied(object: &ObjectSetting, fault: &str) -> Refusal {
    Refusal::new(Code::Forbidden, FORBIDDEN)
        .with_detail(format!("the id of a {} {fault}, and that denies", object.kind))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn id(values: &[Value]) -> Option<String> {
        let object = ObjectSetting {
            kind: "project".into(),
            parts: values.len(),
        };
        take_id(&object, &mut values.iter()).ok()
    }

    #[test]
    fn parts_are_joined_and_each_object_takes_its_own() {
        let told = [Value::from("acme"), Value::Int(7), Value::from("bob")];
        let mut told = told.iter();
        let object = |parts| ObjectSetting {
            kind: "x".into(),
            parts,
        };
        assert_eq!(take_id(&object(2), &mut told).unwrap(), "acme/7");
        assert_eq!(take_id(&object(1), &mut told).unwrap(), "bob");
        assert!(take_id(&object(1), &mut told).is_err(), "nothing is left");
    }

    #[test]
    fn whatever_separates_or_stands_for_everybody_denies() {
        for text in [
            "", "*", "a*", "a:b", "a#b", "a@b", "a/b", "../x", "a b", "a\tb", "a\nb", "a\0b", "a\u{a0}b",
            "a\u{85}b", "user:*", "\u{2028}",
        ] {
            assert_eq!(id(&[Value::from(text)]), None, "{text:?}");
            assert_eq!(id(&[Value::from("ok"), Value::from(text)]), None, "{text:?}");
        }
        for value in [
            Value::Null,
            Value::Bool(true),
            Value::Float(1.0),
            Value::List(vec![]),
        ] {
            assert_eq!(id(&[value]), None);
        }
        assert_eq!(id(&[]), None);
        assert_eq!(id(&[Value::from("x".repeat(201).as_str())]), None);
    }

    #[test]
    fn ids_as_they_are_in_use_pass() {
        for text in [
            "auth0|6523",
            "6f1c1b9e-9a0b-4d8e-9c49-0d6f4f3a3f52",
            "user_2abc",
            "a.b-c=d+e",
            "日本",
        ] {
            assert_eq!(id(&[Value::from(text)]).as_deref(), Some(text));
        }
        assert_eq!(id(&[Value::UInt(u64::MAX)]).unwrap(), "18446744073709551615");
    }
}
