//! The compiled form of a filter, and its value over a row. `None` is SQL's `NULL`.

use std::cmp::Ordering;

use shapegate_core::clause::{BinaryOperator, Comparison, Test};

use super::literal;
use crate::datum::{Datum, Kind};
use crate::table::Row;

#[derive(Debug)]
pub(super) enum Node {
    Column {
        index: usize,
        kind: Kind,
        array: bool,
    },
    Constant(Option<Datum>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
    /// `IS NOT DISTINCT FROM`
    Same(Box<Node>, Box<Node>),
    Is(Box<Node>, Test),
    In(Box<Node>, Vec<Node>),
    Like {
        operand: Box<Node>,
        pattern: Box<Node>,
        ignore_case: bool,
    },
    /// `left op ANY (array)`
    Any(Comparison, Box<Node>, Box<Node>),
    /// `left op ALL (array)`
    All(Comparison, Box<Node>, Box<Node>),
    Array(Vec<Node>),
    Binary(BinaryOperator, Box<Node>, Box<Node>),
    Negative(Box<Node>),
    Lower(Box<Node>),
    Upper(Box<Node>),
    Coalesce(Vec<Node>),
    Cast(Kind, Box<Node>),
}

impl Node {
    /// The value as a condition.
    pub(super) fn truth(&self, row: &Row) -> Option<bool> {
        match self {
            Self::And(parts) => all(parts.iter().map(|part| part.truth(row))),
            Self::Or(parts) => any(parts.iter().map(|part| part.truth(row))),
            Self::Not(inner) => inner.truth(row).map(|value| !value),
            Self::Compare(comparison, left, right) => {
                compared(*comparison, &left.value(row)?, &right.value(row)?)
            }
            Self::Same(left, right) => Some(left.value(row) == right.value(row)),
            Self::Is(operand, test) => Some(operand.tested(*test, row)),
            Self::In(operand, items) => {
                let operand = operand.value(row)?;
                any(items.iter().map(|item| equal(&operand, item.value(row))))
            }
            Self::Like {
                operand,
                pattern,
                ignore_case,
            } => like(operand.value(row)?, pattern.value(row)?, *ignore_case),
            Self::Any(comparison, left, array) => {
                any(quantified(*comparison, left.value(row), array.value(row)?))
            }
            Self::All(comparison, left, array) => {
                all(quantified(*comparison, left.value(row), array.value(row)?))
            }
            _ => match self.value(row)? {
                Datum::Bool(value) => Some(value),
                _ => None,
            },
        }
    }

    fn value(&self, row: &Row) -> Option<Datum> {
        match self {
            Self::Column { index, kind, array } => {
                let text = row.get(*index)?.as_ref()?;
                if *array {
                    literal::array(*kind, text)
                } else {
                    kind.read(text)
                }
            }
            Self::Constant(value) => value.clone(),
            Self::Array(items) => Some(Datum::Array(items.iter().map(|item| item.value(row)).collect())),
            Self::Binary(operator, left, right) => binary(*operator, left.value(row)?, right.value(row)?),
            Self::Negative(operand) => match operand.value(row)? {
                Datum::Int(value) => value.checked_neg().map(Datum::Int),
                Datum::Float(value) => Some(Datum::Float(-value)),
                _ => None,
            },
            Self::Lower(operand) => Some(Datum::Text(text(operand.value(row)?)?.to_lowercase())),
            Self::Upper(operand) => Some(Datum::Text(text(operand.value(row)?)?.to_uppercase())),
            Self::Coalesce(parts) => parts.iter().find_map(|part| part.value(row)),
            Self::Cast(kind, operand) => kind.read(&shown(operand.value(row)?)?),
            _ => self.truth(row).map(Datum::Bool),
        }
    }

    fn tested(&self, test: Test, row: &Row) -> bool {
        match test {
            Test::Null => self.value(row).is_none(),
            Test::True => self.truth(row) == Some(true),
            Test::False => self.truth(row) == Some(false),
            Test::Unknown => self.truth(row).is_none(),
        }
    }
}

/// False wins over unknown, unknown over true.
fn all(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut so_far = Some(true);
    for part in parts {
        match part {
            Some(false) => return Some(false),
            Some(true) => {}
            None => so_far = None,
        }
    }
    so_far
}

/// True wins over unknown, unknown over false.
fn any(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    all(parts.map(|part| part.map(|value| !value))).map(|value| !value)
}

fn compared(comparison: Comparison, left: &Datum, right: &Datum) -> Option<bool> {
    let order = left.order(right)?;
    Some(match comparison {
        Comparison::Equal => order == Ordering::Equal,
        Comparison::NotEqual => order != Ordering::Equal,
        Comparison::Less => order == Ordering::Less,
        Comparison::LessOrEqual => order != Ordering::Greater,
        Comparison::Greater => order == Ordering::Greater,
        Comparison::GreaterOrEqual => order != Ordering::Less,
    })
}

fn equal(left: &Datum, right: Option<Datum>) -> Option<bool> {
    Some(left.order(&right?)? == Ordering::Equal)
}

fn quantified(
    comparison: Comparison,
    left: Option<Datum>,
    array: Datum,
) -> impl Iterator<Item = Option<bool>> {
    let items = match array {
        Datum::Array(items) => items,
        single => vec![Some(single)],
    };
    items
        .into_iter()
        .map(move |item| compared(comparison, left.as_ref()?, &item?))
}

fn binary(operator: BinaryOperator, left: Datum, right: Datum) -> Option<Datum> {
    match (operator, left, right) {
        (BinaryOperator::Add, Datum::Int(a), Datum::Int(b)) => a.checked_add(b).map(Datum::Int),
        (BinaryOperator::Subtract, Datum::Int(a), Datum::Int(b)) => a.checked_sub(b).map(Datum::Int),
        (BinaryOperator::Multiply, Datum::Int(a), Datum::Int(b)) => a.checked_mul(b).map(Datum::Int),
        (BinaryOperator::Divide, Datum::Int(a), Datum::Int(b)) => a.checked_div(b).map(Datum::Int),
        (BinaryOperator::Concatenate, Datum::Text(a), Datum::Text(b)) => Some(Datum::Text(a + &b)),
        (BinaryOperator::Contains, Datum::Array(a), Datum::Array(b)) => {
            Some(Datum::Bool(b.iter().all(|item| a.contains(item))))
        }
        (BinaryOperator::ContainedBy, Datum::Array(a), Datum::Array(b)) => {
            Some(Datum::Bool(a.iter().all(|item| b.contains(item))))
        }
        (BinaryOperator::Overlaps, Datum::Array(a), Datum::Array(b)) => {
            Some(Datum::Bool(a.iter().any(|item| b.contains(item))))
        }
        _ => None,
    }
}

fn like(operand: Datum, pattern: Datum, ignore_case: bool) -> Option<bool> {
    let (mut operand, mut pattern) = (text(operand)?, text(pattern)?);
    if ignore_case {
        operand = operand.to_lowercase();
        pattern = pattern.to_lowercase();
    }
    let operand: Vec<char> = operand.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    Some(matches(&operand, &pattern))
}

fn matches(operand: &[char], pattern: &[char]) -> bool {
    match (pattern, operand) {
        ([], rest) => rest.is_empty(),
        (['%', pattern @ ..], _) => {
            (0..=operand.len()).any(|start| matches(operand.get(start..).unwrap_or(&[]), pattern))
        }
        (['_', pattern @ ..], [_, operand @ ..]) => matches(operand, pattern),
        (['\\', wanted, pattern @ ..] | [wanted, pattern @ ..], [found, operand @ ..]) => {
            wanted == found && matches(operand, pattern)
        }
        _ => false,
    }
}

fn text(value: Datum) -> Option<String> {
    match value {
        Datum::Text(text) => Some(text),
        _ => None,
    }
}

fn shown(value: Datum) -> Option<String> {
    match value {
        Datum::Bool(value) => Some(value.to_string()),
        Datum::Int(value) => Some(value.to_string()),
        Datum::Float(value) => Some(value.to_string()),
        Datum::Text(text) => Some(text),
        Datum::Array(_) => None,
    }
}
