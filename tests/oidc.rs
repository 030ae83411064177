//! Keys that issuers publish: found, fetched, changed, and withheld.
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

#[allow(dead_code, reason = "these tests need the keys alone")]
#[path = "identity/support.rs"]
mod signing;

#[path = "oidc/cookies.rs"]
mod cookies;
#[path = "oidc/faults.rs"]
mod faults;
#[path = "oidc/outage.rs"]
mod outage;
#[path = "oidc/presets.rs"]
mod presets;
#[path = "oidc/provider.rs"]
mod provider;
#[path = "oidc/reloading.rs"]
mod reloading;
#[path = "oidc/rotation.rs"]
mod rotation;
#[path = "oidc/shapes.rs"]
mod shapes;
#[path = "oidc/unknown.rs"]
mod unknown;
#[path = "oidc/world.rs"]
mod world;
