//! Postgres' text form of arrays.

use crate::datum::{Datum, Kind};

/// Reads `{a,"b c",NULL}` with elements of a type; `None` when it is no such array.
pub(super) fn array(kind: Kind, text: &str) -> Option<Datum> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    if inner.trim().is_empty() {
        return Some(Datum::Array(Vec::new()));
    }
    let mut items = Vec::new();
    let mut letters = inner.chars().peekable();
    loop {
        let element = element(&mut letters)?;
        items.push(match element {
            None => None,
            Some(text) => Some(kind.read(&text)?),
        });
        match letters.next() {
            None => return Some(Datum::Array(items)),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

type Letters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// One element, up to its comma: `Some(None)` is `NULL`.
fn element(letters: &mut Letters<'_>) -> Option<Option<String>> {
    while letters.next_if(|c| c.is_whitespace()).is_some() {}
    if letters.next_if_eq(&'"').is_some() {
        let text = quoted(letters)?;
        while letters.next_if(|c| c.is_whitespace()).is_some() {}
        return Some(Some(text));
    }
    let mut text = String::new();
    while let Some(c) = letters.next_if(|c| *c != ',') {
        match c {
            '{' | '}' | '"' => return None,
            '\\' => text.push(letters.next()?),
            c => text.push(c),
        }
    }
    let text = text.trim_end();
    if text.is_empty() {
        return None;
    }
    let null = text.eq_ignore_ascii_case("null");
    Some((!null).then(|| text.to_owned()))
}

fn quoted(letters: &mut Letters<'_>) -> Option<String> {
    let mut text = String::new();
    loop {
        match letters.next()? {
            '"' => return Some(text),
            '\\' => text.push(letters.next()?),
            c => text.push(c),
        }
    }
}
