//! Questions to an operator's Postgres: bounded, read-only, typed.
//!
//! A query is the operator's text, prepared by the server as it stands. Values go in as parameters and in no
//! other way; each is sent as text, and the server reads it by the parameter's type. What comes back is read
//! by the type of its column into the values that rules compute with, exactly or not at all.
//!
//! Every transaction is read-only by the session's default, and every statement has a time limit that the
//! server itself keeps. A connection on which a question was given up is closed, never reused.

mod answer;
mod date;
mod error;
mod listen;
mod numeric;
mod parameter;
mod pool;
mod pools;
mod tls;
mod url;

pub use error::QueryError;
pub use listen::{Notice, Notices};
pub use pool::{Postgres, PostgresSettings, Row};
pub use pools::Pools;
pub use url::{PostgresUrl, PostgresUrlError};

/// Connections of one pool, where nothing else is said.
pub const POOL_SIZE_DEFAULT: usize = 8;
/// Most connections of one pool.
pub const POOL_SIZE_MAX: usize = 64;
