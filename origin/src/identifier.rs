//! Identifiers and table names as Electric reads them, with its lenience and its messages.

use crate::schema::Relation;

/// The longest identifier, in characters (Electric counts graphemes).
const LENGTH_MAX: usize = 63;

/// Reads one identifier: unquoted ones are folded to lower case.
pub(crate) fn identifier(text: &str) -> Result<String, String> {
    let quoted = text.len() > 1 && text.starts_with('"') && text.ends_with('"');
    let name = match text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        Some(inner) if quoted => delimited(inner)?,
        _ => unquoted(text)?,
    };
    if name.chars().count() > LENGTH_MAX {
        return Err(format!("Identifier is too long (max length is {LENGTH_MAX})"));
    }
    Ok(name)
}

/// Reads `table` or `schema.table`; no schema is `public`.
pub(crate) fn relation(text: &str) -> Result<Relation, String> {
    let parts = split_outside_quotes(text, '.');
    match parts.as_slice() {
        [name] => Ok(Relation::new("public", &identifier(name)?)),
        [schema, name] => Ok(Relation::new(&identifier(schema)?, &identifier(name)?)),
        _ => Err(format!(
            "Invalid relation identifier, too many delimiters: {text}"
        )),
    }
}

/// Reads a comma-separated list of identifiers.
pub(crate) fn columns(text: &str) -> Result<Vec<String>, String> {
    split_outside_quotes(text, ',')
        .into_iter()
        .map(identifier)
        .collect()
}

fn delimited(inner: &str) -> Result<String, String> {
    if inner.is_empty() {
        return Err("Invalid zero-length delimited identifier".to_owned());
    }
    if has_lone_quote(inner) {
        return Err(format!("Invalid identifier with unescaped quote: {inner}"));
    }
    Ok(inner.replace("\"\"", "\""))
}

/// A quote with no quote beside it; longer odd runs pass, as they do in Electric.
fn has_lone_quote(inner: &str) -> bool {
    let bytes = inner.as_bytes();
    let quote_at = |index: Option<usize>| index.and_then(|i| bytes.get(i)) == Some(&b'"');
    (0..bytes.len())
        .any(|index| quote_at(Some(index)) && !quote_at(index.checked_sub(1)) && !quote_at(Some(index + 1)))
}

fn unquoted(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("Invalid zero-length delimited identifier".to_owned());
    }
    // The trailing newline that Electric's pattern lets through.
    let body = text.strip_suffix('\n').unwrap_or(text);
    let mut letters = body.chars();
    let starts = letters
        .next()
        .is_some_and(|first| first.is_alphabetic() || first == '_');
    if starts && letters.all(|c| c.is_alphanumeric() || c == '_' || c == '$') {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!(
        "Invalid unquoted identifier contains special characters: {text}"
    ))
}

fn split_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let mut inside = false;
    text.split(|c| {
        inside ^= c == '"';
        c == separator && !inside
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::{columns, identifier, relation};

    #[test]
    fn identifiers_fold_unless_quoted() {
        assert_eq!(identifier("FooBar").unwrap(), "foobar");
        assert_eq!(identifier(r#""Foo""Bar""#).unwrap(), r#"Foo"Bar"#);
        assert_eq!(identifier(r#"" ""#).unwrap(), " ");
        assert!(identifier(r#""Foo"Bar""#).is_err());
        assert!(identifier(r#""""#).is_err());
        assert!(identifier("").is_err());
        assert!(identifier(&"a".repeat(64)).is_err());
    }

    #[test]
    fn tables_split_at_dots_outside_quotes() {
        assert_eq!(
            relation("USERS").unwrap(),
            relation(r#""public"."users""#).unwrap()
        );
        assert_eq!(
            relation(r#""foo.woah".bar"#).unwrap().to_string(),
            r#""foo.woah"."bar""#
        );
        assert!(relation("a.b.c").is_err());
    }

    #[test]
    fn columns_split_at_commas_outside_quotes() {
        assert_eq!(columns(r#"id,"a,b",Name"#).unwrap(), ["id", "a,b", "name"]);
        assert!(columns("id,").is_err());
    }
}
