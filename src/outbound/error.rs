//! Why there is no answer.

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

/// Why there is no answer. For the log: it may name addresses and certificates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// The client cannot be made.
    #[error("the client cannot be set up: {0}")]
    Setup(String),
    /// The URL is not asked.
    #[error("the URL is not asked: {0}")]
    Url(&'static str),
    /// The address is not the public Internet's.
    #[error("{0} is not a public address; `insecure_allow_private_addresses: true` connects all the same")]
    AddressRefused(IpAddr),
    /// Too many exchanges are under way, and too many wait.
    #[error("too many requests at once")]
    Busy,
    /// There is no connection: no such name, nobody there, or a certificate that is not trusted.
    #[error("not reached: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("no whole answer within {0:?}")]
    TimedOut(Duration),
    /// The answer is longer than allowed, in bytes.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
    /// The answer is compressed, though nobody asked for that.
    #[error("the answer is compressed")]
    Encoded,
    /// The answer is no HTTP, or breaks off.
    #[error("the answer is broken: {0}")]
    Broken(String),
}

impl From<reqwest::Error> for OutboundError {
    fn from(error: reqwest::Error) -> Self {
        // What went wrong is told without the URL, whose query may hold a secret.
        let error = error.without_url();
        if let Some(own) = own_error(&error) {
            return own;
        }
        if error.is_connect() || error.is_timeout() {
            Self::Unreachable(chain(&error))
        } else {
            Self::Broken(chain(&error))
        }
    }
}

/// The refusal of our own resolver, which libraries wrapped.
fn own_error(error: &(dyn Error + 'static)) -> Option<OutboundError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(own) = error.downcast_ref::<OutboundError>() {
            return Some(own.clone());
        }
        next = error.source();
    }
    None
}

/// An error with all its causes.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
