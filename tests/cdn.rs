//! Real caches before and behind the gateway, configured as docs/cdn.md says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

#[path = "cdn/before.rs"]
mod before;
#[path = "cdn/behind.rs"]
mod behind;
#[path = "cdn/caches.rs"]
mod caches;
