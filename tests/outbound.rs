//! The gateway's own requests to services beside it, and what those services may do to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::large_futures,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests fail by panicking"
)]

#[path = "support/mod.rs"]
mod support;

#[path = "outbound/addresses.rs"]
mod addresses;
#[path = "outbound/answers.rs"]
mod answers;
#[path = "outbound/certificates.rs"]
mod certificates;
