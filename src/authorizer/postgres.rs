//! A query of the operator's own: no row denies, and the columns of one row are facts.

use std::sync::Arc;

use shapegate_core::code::{Code, Refusal};
use shapegate_core::value::Value;

use super::{Denial, FORBIDDEN, Found, Question, Reply};
use crate::clock::Clock;
use crate::postgres::{Postgres, PostgresSettings, QueryError, Row};

/// The most parameters of a query.
pub const PARAMETERS_MAX: usize = 16;
/// Rows of an answer. With a second one nobody could say which of them is meant.
const ROWS_MAX: usize = 1;

/// A query, and the database that it is asked of.
#[derive(Clone, Debug, PartialEq)]
pub struct PostgresAuthorizer {
    /// The database, and how much may be asked of it.
    pub database: PostgresSettings,
    /// The operator's text. What is told fills `$1`, `$2`, … in its order, and nothing else.
    pub query: Arc<str>,
}

impl PostgresAuthorizer {
    pub(super) fn question(
        &self,
        told: &[Value],
        pool: &Arc<Postgres>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Question, Refusal> {
        if let Some((place, fault)) = told.iter().enumerate().find_map(missing) {
            let detail = format!("params[{place}] {fault}, and that denies");
            return Err(Refusal::new(Code::Forbidden, FORBIDDEN).with_detail(detail));
        }
        let (pool, clock) = (Arc::clone(pool), Arc::clone(clock));
        let (query, told) = (Arc::clone(&self.query), told.to_vec());
        Ok(Box::pin(async move {
            reply(pool.rows(&query, &told, ROWS_MAX, &*clock).await, &pool)
        }))
    }
}

/// What stands for a value that is not there: two of them must never be found equal, whatever the query does
/// with its parameters.
fn missing((place, value): (usize, &Value)) -> Option<(usize, &'static str)> {
    let fault = match value {
        Value::Null => "is null",
        Value::String(text) if text.is_empty() => "is an empty string",
        Value::List(items) if items.iter().any(|item| *item == Value::from("")) => {
            "has an empty string in it"
        }
        _ => return None,
    };
    Some((place, fault))
}

/// What cannot be an answer to this question says nothing about the database, and must not have it left alone.
fn reply(rows: Result<Vec<Row>, QueryError>, pool: &Postgres) -> Result<Reply, String> {
    match rows {
        Ok(rows) => Ok(match rows.into_iter().next() {
            None => Reply::Denied(Denial::Forbidden),
            Some(facts) => Reply::Found(Found {
                facts,
                ..Found::default()
            }),
        }),
        // A text that is no `uuid` is in no row either.
        Err(QueryError::Parameter(_)) => Ok(Reply::Denied(Denial::Malformed)),
        Err(error @ QueryError::Answer(_)) => {
            log::error!("{pool}: a query of `authorize` denies: {error}");
            Ok(Reply::Denied(Denial::Unusable))
        }
        Err(error) => Err(error.to_string()),
    }
}
