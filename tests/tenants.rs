//! Several tenants in one process: whose a request is, who belongs to whom, and what keeps them apart.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

#[path = "tenants/apart.rs"]
mod apart;
#[path = "tenants/choosing.rs"]
mod choosing;
#[path = "tenants/claims.rs"]
mod claims;
#[path = "tenants/loading.rs"]
mod loading;
#[path = "tenants/members.rs"]
mod members;
#[path = "tenants/place.rs"]
mod place;
