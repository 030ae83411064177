//! Lines of a configuration as they may be shown: without secrets that somebody wrote into them.

use std::borrow::Cow;

/// Keys after which a secret may stand, rightly or not.
const KEYS: [&str; 7] = [
    "secret",
    "token",
    "password",
    "client_secret",
    "insecure_value",
    "api_key",
    "authorization",
];
/// What a secret may be taken from, which is none itself.
const SOURCES: [&str; 4] = ["env", "file", "credential", "insecure_value"];
/// What stands for the rest of a line.
const HIDDEN: &str = "…";

/// A line up to the first secret in it.
pub(super) fn discreet(line: &str) -> Cow<'_, str> {
    let starts = KEYS.into_iter().filter_map(|key| secret_after(line, key));
    match starts.min().and_then(|start| line.get(..start)) {
        Some(shown) => Cow::Owned(format!("{shown}{HIDDEN}")),
        None => Cow::Borrowed(line),
    }
}

/// Where a value of `key` begins that is not taken from elsewhere.
fn secret_after(line: &str, key: &str) -> Option<usize> {
    let places = line.match_indices(key).filter(|(at, _)| begins_word(line, *at));
    places
        .filter_map(|(at, _)| value_at(line, at + key.len()))
        .find(|start| line.get(*start..).is_some_and(|value| is_written(key, value)))
}

fn begins_word(line: &str, at: usize) -> bool {
    let before = line.get(..at).and_then(|before| before.chars().next_back());
    !before.is_some_and(|char| char.is_alphanumeric() || matches!(char, '_' | '-'))
}

/// Where the value begins of a key that ends at `end`, if it is one.
fn value_at(line: &str, end: usize) -> Option<usize> {
    let rest = line.get(end..)?;
    let rest = rest.trim_start_matches(['"', '\'']).trim_start();
    let value = rest.strip_prefix(':')?.trim_start();
    Some(line.len() - value.len())
}

/// Whether a value is there and may be a secret itself.
fn is_written(key: &str, value: &str) -> bool {
    if key == "insecure_value" {
        return !value.is_empty();
    }
    match value.strip_prefix('{') {
        // A name that is misspelled may well have a secret beside it.
        Some(inside) => !SOURCES
            .iter()
            .any(|source| inside.trim_start().starts_with(source)),
        None => !value.is_empty() && !value.starts_with('#'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_is_written_in_a_line_is_not_shown() {
        for line in [
            "secret: canary",
            "  secret: 'canary'",
            "keys: [ { alg: HS256, secret: { insecure_value: canary } } ]",
            "  insecure_value: canary",
            "electric: { url: http://a, secret: { insecure_vale: canary } }",
            "electric: { url: http://a, \"secret\": canary }",
            "secret:canary-token: { secret: canary",
            "admin: { token: canary, listen: 127.0.0.1:1 }",
        ] {
            let shown = discreet(line);
            assert!(!shown.contains("canary") && shown.ends_with('…'), "{shown}");
        }
    }

    #[test]
    fn everything_else_is() {
        for line in [
            "electric: { url: http://a, secret: { env: ELECTRIC_SECRET } }",
            "secret:",
            "secret: # below",
            "secret: {file: a.txt}",
            "token_type: at+jwt",
            "mint: { keys: [ { alg: ES256, file: key.pem } ] }",
            "my_secret: x",
            "- when: user.token == \"x\"",
        ] {
            assert_eq!(discreet(line), line);
        }
    }
}
