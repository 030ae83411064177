//! What a configuration may say, what it is told when it is wrong, and what it becomes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests fail by panicking"
)]

#[path = "config/support.rs"]
mod support;

#[path = "config/authorize.rs"]
mod authorize;
#[path = "config/bombs.rs"]
mod bombs;
#[path = "config/cluster.rs"]
mod cluster;
#[path = "config/command.rs"]
mod command;
#[path = "config/examples.rs"]
mod examples;
#[path = "config/gatekeeper.rs"]
mod gatekeeper;
#[path = "config/limits.rs"]
mod limits;
#[path = "config/merge.rs"]
mod merge;
#[path = "config/messages.rs"]
mod messages;
#[path = "config/operators.rs"]
mod operators;
#[path = "config/refused.rs"]
mod refused;
#[path = "config/routes.rs"]
mod routes;
#[path = "config/schema.rs"]
mod schema;
#[path = "config/secrets.rs"]
mod secrets;
#[path = "config/seeing.rs"]
mod seeing;
#[path = "config/tls.rs"]
mod tls;
#[path = "config/tracing.rs"]
mod tracing;
#[path = "config/warned.rs"]
mod warned;
