//! Several gateways and a real Redis: what they share, and what is left when it is away.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

#[path = "cluster/faults.rs"]
mod faults;
#[path = "cluster/garbage.rs"]
mod garbage;
#[path = "cluster/gateways.rs"]
mod gateways;
#[path = "cluster/keeping.rs"]
mod keeping;
#[allow(dead_code, reason = "shared with the tests of waits")]
#[path = "waits/place.rs"]
mod place;
#[allow(dead_code, reason = "shared with the tests of operations")]
#[path = "operations/program.rs"]
mod program;
#[path = "cluster/programs.rs"]
mod programs;
#[path = "cluster/rates.rs"]
mod rates;
#[path = "cluster/revocations.rs"]
mod revocations;
