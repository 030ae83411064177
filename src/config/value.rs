//! Values whose type nobody declares: literals for rules, claims of a made-up user.
//!
//! Nothing is guessed that another YAML reader could read differently: `no`, `010` or `1.5` must be quoted.

use super::reading::{Leaf, Reading};
use super::yaml::{Kind, Node};
use shapegate_core::value::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Reading<'_> {
    /// A string, integer or boolean.
    pub(super) fn scalar_value(&mut self, node: &Node, name: &str) -> Option<Value> {
        let leaf = self.leaf(node, name)?;
        if leaf.quoted || leaf.variable.is_some() {
            if let Some((_, quoted)) = self.shown.resolved.get_mut(&leaf.span) {
                *quoted = true;
            }
            return Some(Value::String(leaf.text.into()));
        }
        match plain(&leaf.text) {
            Plain::Value(value) => Some(value),
            Plain::Ambiguous => self.refuse_ambiguous(&leaf),
        }
    }

    fn refuse_ambiguous<T>(&mut self, leaf: &Leaf) -> Option<T> {
        let message = format!("`{}` could be text, a number or a boolean", leaf.text);
        self.refuse(
            leaf.span,
            message,
            format!("for text write \"{}\" in quotes", leaf.text),
        )
    }

    /// A scalar, or a list or map of values.
    pub(super) fn value(&mut self, node: &Node, name: &str) -> Option<Value> {
        match &node.kind {
            Kind::Null => Some(Value::Null),
            Kind::List(_) => self
                .each(node, name, |reading, item| reading.value(item, name))
                .map(Value::List),
            Kind::Map(_) if node.get("env").is_none() => self.value_map(node, name).map(Value::Map),
            _ => self.scalar_value(node, name),
        }
    }

    /// A map of values.
    pub(super) fn value_map(&mut self, node: &Node, name: &str) -> Option<BTreeMap<Arc<str>, Value>> {
        let Kind::Map(entries) = &node.kind else {
            let message = format!("`{name}` must be a map, not {}", node.described());
            return self.refuse(node.span, message, "write `{ key: value }`");
        };
        let read: Vec<_> = entries
            .iter()
            .map(|entry| Some((entry.key.as_str().into(), self.value(&entry.value, &entry.key)?)))
            .collect();
        read.into_iter().collect()
    }
}

enum Plain {
    Value(Value),
    Ambiguous,
}

fn plain(text: &str) -> Plain {
    match text {
        "true" => return Plain::Value(Value::Bool(true)),
        "false" => return Plain::Value(Value::Bool(false)),
        _ => {}
    }
    if let Some(integer) = integer(text) {
        return Plain::Value(integer);
    }
    let word = text.to_ascii_lowercase();
    let yaml_boolean = matches!(
        word.as_str(),
        "yes" | "no" | "on" | "off" | "y" | "n" | "true" | "false"
    );
    let number_like = text.starts_with(|char: char| char.is_ascii_digit() || matches!(char, '+' | '-' | '.'))
        && text
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.' | '_' | ':'))
        && looks_numeric(text);
    if yaml_boolean || number_like {
        Plain::Ambiguous
    } else {
        Plain::Value(Value::String(text.into()))
    }
}

fn integer(text: &str) -> Option<Value> {
    match text.strip_prefix('-') {
        Some(digits) => {
            super::scalar::decimal(digits).filter(|value| *value > 0)?;
            text.parse().ok().map(Value::Int)
        }
        None => super::scalar::decimal(text)
            .map(|value| i64::try_from(value).map_or(Value::UInt(value), Value::Int)),
    }
}

/// Octal, hexadecimal, sexagesimal, with underscores, fractions, exponents, infinities: what some reader takes
/// for a number. A date or an id such as `7f3a-…` is none.
fn looks_numeric(text: &str) -> bool {
    let bare = text.trim_start_matches(['+', '-']);
    let radix = ["0x", "0o", "0b"]
        .iter()
        .any(|prefix| bare.to_ascii_lowercase().starts_with(prefix));
    let special = matches!(bare.to_ascii_lowercase().as_str(), ".inf" | ".nan");
    let digits = |char: char| char.is_ascii_digit() || matches!(char, '_' | '.' | ':');
    radix || special || bare.chars().all(digits) || text.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_keeps_its_type_and_what_is_ambiguous_is_refused() {
        let read = |text| match plain(text) {
            Plain::Value(value) => Some(value),
            Plain::Ambiguous => None,
        };
        assert_eq!(read("admin"), Some(Value::String("admin".into())));
        assert_eq!(read("42"), Some(Value::Int(42)));
        assert_eq!(read("-7"), Some(Value::Int(-7)));
        assert_eq!(read("18446744073709551615"), Some(Value::UInt(u64::MAX)));
        assert_eq!(read("true"), Some(Value::Bool(true)));
        assert_eq!(read("2026-11-01"), Some(Value::String("2026-11-01".into())));
        assert_eq!(read("7f3a-x"), Some(Value::String("7f3a-x".into())));
        for text in [
            "no", "Yes", "off", "010", "0x1F", "0o17", "1_000", "1.5", "1e3", "+1", "-0", ".inf", "12:30:45",
            "True",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
