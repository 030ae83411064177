//! Files that change while the gateway serves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

#[path = "reload/broken.rs"]
mod broken;
#[path = "reload/files.rs"]
mod files;
#[path = "reload/forgetting.rs"]
mod forgetting;
#[path = "reload/limits.rs"]
mod limits;
#[path = "reload/place.rs"]
mod place;
#[path = "reload/tenants.rs"]
mod tenants;
#[path = "reload/tokens.rs"]
mod tokens;
#[path = "reload/waits.rs"]
mod waits;
