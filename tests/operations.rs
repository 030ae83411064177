//! The program as it is operated: starting, stopping, TLS, limits, and what operators see of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

#[path = "operations/admin.rs"]
mod admin;
#[path = "operations/connections.rs"]
mod connections;
#[path = "operations/faults.rs"]
mod faults;
#[path = "operations/health.rs"]
mod health;
#[path = "operations/keeping.rs"]
mod keeping;
#[path = "operations/limits.rs"]
mod limits;
#[path = "operations/manager.rs"]
mod manager;
#[path = "operations/program.rs"]
mod program;
#[path = "operations/readiness.rs"]
mod readiness;
#[path = "operations/reloading.rs"]
mod reloading;
#[path = "operations/revocations.rs"]
mod revocations;
#[path = "operations/starting.rs"]
mod starting;
#[path = "operations/stopping.rs"]
mod stopping;
#[path = "operations/tls.rs"]
mod tls;
#[path = "operations/upgrading.rs"]
mod upgrading;
