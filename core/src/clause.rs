//! SQL filters as a tree of our own: read, checked, printed; never handled as text.
//!
//! A text is cut into tokens by a lexer of ours, which knows only what Postgres and every other reader agree
//! on. `sqlparser` arranges the tokens, its tree is converted into [`Expression`] node by node, and what is
//! not known is refused. Postgres' precedence is checked on the way: where it could read a text differently,
//! brackets are demanded. What goes out is printed from our tree, with every name in quotes and every
//! operation in brackets.

use std::fmt;
use std::sync::{Arc, LazyLock};

mod error;
mod expression;
mod filter;
mod lexer;
mod parameter;
mod print;
mod read;

pub use error::{ClauseError, ClauseProblem, Place};
pub use expression::{
    BinaryOperator, Comparison, Expression, Function, Literal, Quantifier, Scalar, Subquery, Subscript, Test,
    Type, UnaryOperator,
};
pub use filter::{Filter, FilterError};
pub use parameter::{ParameterError, ParameterText};

use crate::identifier::Identifier;
use crate::interner::Interner;
use read::Author;

/// A filter, still without values for its parameters. Its `Display` is the canonical text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Clause(Arc<Expression>);

/// What policies state is stated by many.
static READ: LazyLock<Interner<Expression>> = LazyLock::new(Interner::default);

impl Clause {
    /// Reads a filter that a policy states: subqueries are allowed.
    ///
    /// # Errors
    /// When the text is not, in whole, a filter that both Postgres and Electric read as we do.
    pub fn read_policy(text: &str) -> Result<Self, ClauseError> {
        READ.find_or_make(text, |_| true, || read::read(text, Author::Policy))
            .map(Self)
    }

    /// Reads a filter that a client asks for: no subqueries, and no `NULL` as a value.
    ///
    /// # Errors
    /// As for a policy's.
    pub fn read_client(text: &str) -> Result<Self, ClauseError> {
        read::read(text, Author::Client).map(Self::of)
    }

    fn of(expression: Expression) -> Self {
        Self(Arc::new(expression))
    }

    /// The tree.
    #[must_use]
    pub fn expression(&self) -> &Expression {
        &self.0
    }

    /// The highest number of a parameter; 0 when there is none.
    #[must_use]
    pub fn parameters_max(&self) -> u16 {
        let mut highest = 0;
        self.0.each(&mut |node| {
            if let Expression::Parameter(number) = node {
                highest = highest.max(*number);
            }
        });
        highest
    }

    /// The columns of the filtered table that the filter reads, as often as it does. Those of the tables of
    /// subqueries are not among them.
    pub fn columns(&self) -> impl Iterator<Item = &Identifier> {
        let mut found = Vec::new();
        outer_columns(&self.0, &mut found);
        found.into_iter()
    }
}

fn outer_columns<'a>(expression: &'a Expression, found: &mut Vec<&'a Identifier>) {
    match expression {
        Expression::Column(name) => found.push(name),
        Expression::InSubquery { columns, .. } => found.extend(columns),
        other => other
            .children()
            .into_iter()
            .for_each(|child| outer_columns(child, found)),
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_policies_state_in_the_same_words_is_read_once() {
        let read = |text| Clause::read_policy(text).unwrap();
        let one = read("only_here = $1 AND kind = 'a'");
        assert!(Arc::ptr_eq(&one.0, &read("only_here = $1 AND kind = 'a'").0));
        assert!(!Arc::ptr_eq(&one.0, &read("only_here = $1 AND kind = 'b'").0));
    }
}
