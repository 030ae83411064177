//! The `shape` claim: read strictly, written canonically, compared exactly.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "shape_claims/comparing.rs"]
mod comparing;
#[path = "shape_claims/minting.rs"]
mod minting;
#[path = "shape_claims/reading.rs"]
mod reading;
#[path = "shape_claims/support.rs"]
mod support;
