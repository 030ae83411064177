//! Traces: what a collector is told, what goes upstream, and that nobody notices a collector that fails.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

#[path = "traces/collector.rs"]
mod collector;
#[path = "traces/context.rs"]
mod context;
#[path = "traces/ends.rs"]
mod ends;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "authorizers/fake.rs"]
mod fake;
#[path = "traces/faults.rs"]
mod faults;
#[path = "traces/minting.rs"]
mod minting;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "operations/program.rs"]
mod program;
#[cfg(feature = "collector")]
#[path = "traces/real.rs"]
mod real;
#[path = "traces/spans.rs"]
mod spans;
#[path = "traces/tls.rs"]
mod tls;
#[path = "traces/world.rs"]
mod world;
