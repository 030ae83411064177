//! What is shared among those who are permitted the same, and what never is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

#[path = "hub/caching.rs"]
mod caching;
#[path = "hub/collapse.rs"]
mod collapse;
#[path = "hub/crowds.rs"]
mod crowds;
#[path = "hub/encoding.rs"]
mod encoding;
#[path = "hub/events.rs"]
mod events;
#[path = "hub/kept.rs"]
mod kept;
#[path = "hub/limits.rs"]
mod limits;
#[path = "hub/overload.rs"]
mod overload;
#[path = "waits/place.rs"]
#[allow(dead_code, reason = "shared with the tests of waits")]
mod place;
#[path = "hub/rotation.rs"]
mod rotation;
#[path = "hub/slow.rs"]
mod slow;
#[path = "hub/streams.rs"]
mod streams;
