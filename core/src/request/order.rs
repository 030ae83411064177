//! A subset's `order_by`: columns, directions and nothing else.

use std::fmt;

use crate::code::Refusal;
use crate::identifier::Identifier;
use crate::limits::{ORDER_BY_TERMS_MAX, ORDER_BY_TEXT_BYTES_MAX};
use crate::request::definition::{bounded, refuse};
use crate::request::parse::malformed;

/// Which way a column is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// Where nulls come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Nulls {
    /// Before everything else.
    First,
    /// After everything else.
    Last,
}

/// One column of an `order_by`. Displays as SQL, the column quoted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OrderTerm {
    /// The column.
    pub column: Identifier,
    /// Which way.
    pub direction: Direction,
    /// Where nulls come, if it is said.
    pub nulls: Option<Nulls>,
}

impl fmt::Display for OrderTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.column)?;
        f.write_str(match self.direction {
            Direction::Ascending => " ASC",
            Direction::Descending => " DESC",
        })?;
        f.write_str(match self.nulls {
            None => "",
            Some(Nulls::First) => " NULLS FIRST",
            Some(Nulls::Last) => " NULLS LAST",
        })
    }
}

/// Reads `column [ASC|DESC] [NULLS FIRST|LAST], …`.
pub(super) fn parse(name: &str, text: &str) -> Result<Vec<OrderTerm>, Refusal> {
    bounded(name, text, ORDER_BY_TEXT_BYTES_MAX)?;
    let parts = split_at_commas(text);
    if parts.len() > ORDER_BY_TERMS_MAX {
        return Err(malformed(
            name,
            &format!("a list of at most {ORDER_BY_TERMS_MAX} columns"),
        ));
    }
    parts.into_iter().map(|part| parse_term(name, part)).collect()
}

fn split_at_commas(text: &str) -> Vec<&str> {
    let mut quoted = false;
    text.split(|c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .take(ORDER_BY_TERMS_MAX + 1)
    .collect()
}

fn parse_term(name: &str, part: &str) -> Result<OrderTerm, Refusal> {
    let part = part.trim_matches(is_space);
    let (column, rest) = part.split_at_checked(column_end(part)).unwrap_or((part, ""));
    let column = Identifier::parse(column).map_err(|error| refuse(name, &error))?;
    let words: Vec<String> = rest
        .split(is_space)
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_uppercase)
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (direction, words) = match words.as_slice() {
        ["ASC", words @ ..] => (Direction::Ascending, words),
        ["DESC", words @ ..] => (Direction::Descending, words),
        words => (Direction::Ascending, words),
    };
    let nulls = match words {
        [] => None,
        ["NULLS", "FIRST"] => Some(Nulls::First),
        ["NULLS", "LAST"] => Some(Nulls::Last),
        _ => return Err(malformed(name, "a list of column [ASC|DESC] [NULLS FIRST|LAST]")),
    };
    Ok(OrderTerm {
        column,
        direction,
        nulls,
    })
}

/// Where the column's name ends: at a space, or, once it began with a quote, after the quote that closes it.
fn column_end(part: &str) -> usize {
    let mut quoted = false;
    let end = part.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        is_space(*c) && !quoted
    });
    end.map_or(part.len(), |(index, _)| index)
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &str) -> String {
        let terms = parse("order_by", text).unwrap();
        terms
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    }

    #[test]
    fn columns_and_directions_are_printed_in_one_form() {
        assert_eq!(printed("Name"), r#""name" ASC"#);
        assert_eq!(
            printed(" a desc ,\n\"B c\" NULLS last"),
            r#""a" DESC, "B c" ASC NULLS LAST"#
        );
        assert_eq!(
            printed(r#""x,"" y" Desc Nulls First"#),
            r#""x,"" y" DESC NULLS FIRST"#
        );
    }

    #[test]
    fn whatever_is_no_column_with_a_direction_is_refused() {
        for text in [
            "",
            ",",
            "a,",
            "1",
            "a.b",
            "lower(a)",
            "a; drop table b",
            "a USING >",
            "a ASC DESC",
            "a NULLS",
            "a --x",
            "(select 1)",
            "a NULLS FIRST LAST",
            "'a'",
            "$1",
            "\"a",
            "\"a\"b\" desc",
            "a\u{a0}desc",
            "a COLLATE \"C\"",
        ] {
            assert!(parse("order_by", text).is_err(), "{text}");
        }
        assert!(parse("order_by", &vec!["a"; 33].join(",")).is_err());
    }
}
