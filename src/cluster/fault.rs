//! What is wrong with the Redis that gateways share.

use std::time::Duration;

use redis::{ErrorKind, RedisError};

/// Characters of a server's own words that are shown.
const WORDS_MAX: usize = 200;

/// Why it cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It cannot be connected to, or the connection has ended.
    #[error("{0}")]
    Connection(String),
    /// No answer in time.
    #[error("no answer within {} ms", _0.as_millis())]
    TimedOut(Duration),
    /// It refuses, in its own words.
    #[error("it refuses: {0}")]
    Refused(String),
    /// It speaks something else.
    #[error("its answer is none that Redis gives")]
    Answer,
    /// There are more records than may be.
    #[error("there are more records under `{0}` than may be: something else writes there")]
    TooMany(String),
    /// A key belongs to somebody else.
    #[error("the key `{0}` holds something else than changes; delete it, or choose another `prefix`")]
    Foreign(String),
    /// There is no room for a record.
    #[error("there is no room under `{0}` for another record: something else writes there")]
    NoRoom(String),
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Io => Self::Connection(error.to_string()),
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Self::Answer,
            // The crate's own words hold no password; what a server says is quoted.
            _ => {
                let words = [error.code(), error.detail()].map(Option::unwrap_or_default);
                let words: String = words.join(" ").trim().chars().take(WORDS_MAX).collect();
                Self::Refused(format!("{words:?}"))
            }
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Connection(error.to_string())
    }
}
