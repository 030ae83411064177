//! HTTP/1.1 as a client of an upstream: what Electric speaks, strictly read, at the least cost.
//!
//! A request goes out in one write. While its answer is awaited no buffer is held; header and body are slices of
//! what was read. Pingora connects and speaks TLS; the connections that idle are kept in a [`pool`].

mod body;
mod connection;
mod head;
pub mod pool;

use body::Body;
pub use connection::Connection;
use head::AnswerHead;

use std::io;

/// Why an exchange with an upstream failed.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The connection ended before any of the answer had come.
    #[error("the connection was closed before an answer: {0}")]
    Unanswered(io::Error),
    /// The connection ended in the middle of an answer.
    #[error("the connection was closed in the middle of an answer: {0}")]
    Cut(io::Error),
    /// Nothing came, or nothing could be sent, for too long.
    #[error("{0} took too long")]
    TimedOut(&'static str),
    /// What came is not an answer in HTTP/1.1.
    #[error("not HTTP/1.1: {0}")]
    Invalid(&'static str),
}
