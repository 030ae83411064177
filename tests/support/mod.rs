//! What the tests of the gateway share.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    missing_docs,
    unreachable_pub
)]
pub mod gateway;
pub mod http2;
pub mod logs;
pub mod patience;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod raw;
pub mod redis;
pub mod revocation;
pub mod scripted;
pub mod token;

/// How many of something a test has: more before a release, by a variable.
pub fn many(variable: &str, usually: usize) -> usize {
    let said = std::env::var(variable).ok();
    said.map_or(usually, |said| {
        said.parse().unwrap_or_else(|_| panic!("{variable} is no number"))
    })
}
