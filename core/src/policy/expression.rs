//! A CEL expression: compiled and proven harmless at load, evaluated by reference.
mod readings;

use std::sync::{Arc, LazyLock};

use cel::IdedExpr;
use cel::common::value::CowVal;
use cel::parser::Parser;
use cel::{Context, ExecutionError, Value};

use super::check::{Checker, Reads, Vocabulary};
use super::error::Fault;
use super::guard::Known;
use crate::interner::Interner;
use crate::limits;

pub use readings::Reading;

/// An expression that passed every check at load.
#[derive(Debug)]
pub(super) struct Expression {
    parsed: Arc<Parsed>,
    reads: Reads,
}

#[derive(Debug)]
struct Parsed {
    text: Box<str>,
    tree: IdedExpr,
}

/// A parser of the whole language takes its time, and rules are much alike.
static PARSED: LazyLock<Interner<Parsed>> = LazyLock::new(Interner::default);

/// The text parsed, once for all who have it.
fn parsed(text: &str) -> Result<Arc<Parsed>, Fault> {
    PARSED.find_or_make(text, |_| true, || parse(text))
}

fn parse(text: &str) -> Result<Parsed, Fault> {
    let tree = Parser::new().parse(text).map_err(|errors| {
        let first = errors
            .errors
            .first()
            .map_or_else(String::new, |error| error.msg.clone());
        Fault::new(
            format!("not a CEL expression: {first}"),
            "see https://cel.dev for the language",
        )
    })?;
    Ok(Parsed {
        text: text.into(),
        tree,
    })
}

impl Expression {
    /// Parses and checks; `known` is what is there whenever this is evaluated.
    pub(super) fn compile(text: &str, vocabulary: &Vocabulary, known: &Known) -> Result<Self, Fault> {
        if text.len() > limits::EXPRESSION_BYTES_MAX {
            let message = format!("an expression has at most {} bytes", limits::EXPRESSION_BYTES_MAX);
            return Err(Fault::new(message, "split it into several rules"));
        }
        let parsed = parsed(text)?;
        let reads = Checker::new(vocabulary).check(&parsed.tree, known)?;
        Ok(Self { parsed, reads })
    }

    /// What is there once this was found to be true.
    pub(super) fn known_if_true(&self) -> Known {
        Known::when(&self.parsed.tree, true)
    }

    pub(super) fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Evaluates without copying what the context lends.
    pub(super) fn evaluate<'e, 'v>(&'e self, context: &'e Context<'_, 'v>) -> Result<CowVal<'e, 'v>, String> {
        Value::resolve_val(&self.parsed.tree, context).map_err(|error| self.explain(&error))
    }

    /// Says why an evaluation failed without the values that it failed over: those are claims and headers, and
    /// the log is no place for them.
    fn explain(&self, error: &ExecutionError) -> String {
        match error {
            ExecutionError::NoSuchKey(key) if self.parsed.text.contains(key.as_str()) => {
                format!("there is no {key:?}")
            }
            ExecutionError::NoSuchKey(_) => "there is no such member".to_owned(),
            ExecutionError::NoSuchOverload(mismatch) => mismatch.to_string(),
            ExecutionError::UnexpectedType { got, want } => format!("a {got} where a {want} is wanted"),
            ExecutionError::Overflow(..) => "a number is out of range".to_owned(),
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
                "division by zero".to_owned()
            }
            ExecutionError::IndexOutOfBounds(_) => "an index is out of bounds".to_owned(),
            ExecutionError::UndeclaredReference(name) => format!("nothing is called {name:?}"),
            ExecutionError::FunctionError { function, .. } => format!("{function}() failed"),
            _ => "values of kinds that do not go together".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_text_is_parsed_once_whoever_has_it() {
        let text = "has(user.only_here) && user.only_here == 1";
        let (one, other) = (parsed(text).unwrap(), parsed(text).unwrap());
        assert!(Arc::ptr_eq(&one, &other));
        assert!(!Arc::ptr_eq(&one, &parsed("has(user.only_here)").unwrap()));
    }
}
