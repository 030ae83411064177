//! What waits: long polls and event streams, and everything that may end them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

#[path = "waits/changes.rs"]
mod changes;
#[path = "waits/draining.rs"]
mod draining;
#[path = "waits/expiry.rs"]
mod expiry;
#[path = "waits/leaving.rs"]
mod leaving;
#[path = "waits/place.rs"]
mod place;
#[path = "waits/polls.rs"]
mod polls;
#[path = "waits/pressure.rs"]
mod pressure;
#[path = "waits/revocations.rs"]
mod revocations;
#[path = "waits/revoked_reads.rs"]
mod revoked_reads;
#[path = "waits/streams.rs"]
mod streams;
