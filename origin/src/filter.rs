//! `where` texts compiled against a table, and evaluated over its rows with SQL's three values.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use shapegate_core::clause::{Clause, ClauseError, ClauseProblem};

use crate::params::Errors;
use crate::schema::Table;
use crate::table::Row;

mod compile;
mod evaluate;
mod literal;
#[cfg(test)]
mod tests;

use compile::Compiler;
use evaluate::Node;

/// Electric parses the text behind these words, and counts the places of syntax errors from them.
const PARSED_BEHIND: usize = "SELECT 1 WHERE ".len();

/// A filter over one table's rows.
#[derive(Debug)]
pub(crate) struct Filter {
    root: Node,
    /// What makes two filters the same one: the canonical text with its values.
    pub(crate) canonical: String,
}

impl Filter {
    /// Compiles a text with its parameters; `visible` are the columns it may name.
    pub(crate) fn compile(
        text: &str,
        params: &BTreeMap<String, String>,
        table: &Table,
        visible: &[usize],
    ) -> Result<Self, Errors> {
        let clause = Clause::read_policy(text).map_err(|error| unreadable(text, &error))?;
        check_names(params)?;
        let compiler = Compiler {
            text,
            params,
            table,
            visible,
        };
        let root = compiler
            .condition(clause.expression())
            .map_err(|message| Errors::of("where", message))?;
        let mut canonical = clause.to_string();
        for number in 1..=clause.parameters_max() {
            let value = params.get(&number.to_string());
            let _ = write!(canonical, "|{value:?}");
        }
        Ok(Self { root, canonical })
    }

    /// Whether the row is in: true, not false and not unknown.
    pub(crate) fn holds(&self, row: &Row) -> bool {
        self.root.truth(row) == Some(true)
    }
}

/// Parameters must be named `1..n`; more of them than are used is fine.
fn check_names(params: &BTreeMap<String, String>) -> Result<(), Errors> {
    let numbers: Option<Vec<u64>> = params.keys().map(|name| name.parse().ok()).collect();
    let Some(mut numbers) = numbers else {
        let message = "Parameters can only use numbers as keys";
        return Err(Errors::of("params", message));
    };
    numbers.sort_unstable();
    if numbers.into_iter().eq(1..=params.len() as u64) {
        return Ok(());
    }
    let message = "Parameters must be numbered sequentially, starting from 1";
    Err(Errors::of("params", message))
}

fn unreadable(text: &str, error: &ClauseError) -> Errors {
    if error.problem == ClauseProblem::NumberNeedsParameter {
        return Errors::crash();
    }
    let place = error.place.filter(|place| place.line == 1);
    let index = place
        .and_then(|place| usize::try_from(place.column.saturating_sub(1)).ok())
        .filter(|index| *index < text.len());
    let message = match (index, &error.problem) {
        (None, ClauseProblem::Unreadable) => {
            let end = PARSED_BEHIND + text.len();
            format!("At location {end}: syntax error at end of input")
        }
        (index, _) => {
            let place = PARSED_BEHIND + index.unwrap_or(0);
            format!("At location {place}: syntax error: {}", error.problem)
        }
    };
    Errors::of("where", message)
}
