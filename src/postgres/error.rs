//! Why a question to a database has no answer.

use std::error::Error as _;

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

/// Why a question has no answer. The texts are for the log, and hold no value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The database is not there, has no connection left, or took too long.
    #[error("the database cannot be asked: {0}")]
    Unavailable(String),
    /// A parameter is none of the type that the query wants: `abc` where it has a `uuid`.
    #[error("a parameter is not of the type that the query wants: {0}")]
    Parameter(String),
    /// The query is not one that this database answers.
    #[error("the query fails: {0}")]
    Query(String),
    /// The answer is larger than is taken, or of a type that is not; or these parameters have none: a function
    /// raises an exception, a subquery gives several rows.
    #[error("the answer is not taken: {0}")]
    Answer(String),
}

impl From<PoolError> for QueryError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::from_server(&error),
            PoolError::Timeout(_) => Self::Unavailable("no connection in time".to_owned()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl QueryError {
    /// What the server or the connection said. The server's own text is told only for faults that cannot quote
    /// a value: a text that is no `uuid` would stand in it.
    pub(super) fn from_server(error: &tokio_postgres::Error) -> Self {
        let Some(state) = error.code() else {
            return Self::Unavailable(chain(error));
        };
        let code = state.code();
        let message = error.as_db_error().map_or("", |error| error.message());
        match class(state) {
            // Data exceptions, and what a domain refuses.
            "22" | "23" => Self::Parameter(code.to_owned()),
            "21" | "P0" => Self::Answer(code.to_owned()),
            "08" | "28" | "3D" | "53" | "55" | "57" | "58" => Self::Unavailable(format!("{code} {message}")),
            "0A" | "25" | "42" => Self::Query(format!("{code} {message}")),
            _ => Self::Query(code.to_owned()),
        }
    }
}

/// Whether another connection may do better at once: this one was closed from the other side, or its prepared
/// statement is no longer what it was.
pub(super) fn is_worth_a_second_try(error: &tokio_postgres::Error) -> bool {
    let stale = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        // After a column was changed: "cached plan must not change result type".
        SqlState::FEATURE_NOT_SUPPORTED,
        SqlState::INVALID_SQL_STATEMENT_NAME,
    ];
    match error.code() {
        Some(state) => stale.contains(state),
        None => error.is_closed() || error.source().is_some_and(|source| source.is::<std::io::Error>()),
    }
}

fn class(state: &SqlState) -> &str {
    state.code().get(..2).unwrap_or_default()
}

/// An error with its causes.
fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
