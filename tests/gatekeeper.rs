//! Shape-scoped tokens: minted by the rules, verified against what they sign.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

#[path = "gatekeeper/asking.rs"]
mod asking;
#[path = "gatekeeper/claims.rs"]
mod claims;
#[path = "gatekeeper/edge.rs"]
mod edge;
#[path = "gatekeeper/keys.rs"]
mod keys;
#[path = "gatekeeper/limits.rs"]
mod limits;
#[path = "gatekeeper/minting.rs"]
mod minting;
#[path = "gatekeeper/revocations.rs"]
mod revocations;
#[path = "gatekeeper/rotation.rs"]
mod rotation;
#[path = "gatekeeper/waits.rs"]
mod waits;
#[path = "gatekeeper/walkthrough.rs"]
mod walkthrough;
#[path = "gatekeeper/world.rs"]
mod world;
