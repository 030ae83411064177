//! What rules decide: who gets which rows, what a client may ask, and what is refused at load.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value
)]

#[path = "policy/asking.rs"]
mod asking;
#[path = "policy/authorizers.rs"]
mod authorizers;
#[path = "policy/deciding.rs"]
mod deciding;
#[path = "policy/guards.rs"]
mod guards;
#[path = "policy/loading.rs"]
mod loading;
#[path = "policy/parameters.rs"]
mod parameters;
#[path = "policy/permitting.rs"]
mod permitting;
#[path = "policy/random.rs"]
mod random;
#[path = "policy/support.rs"]
mod support;
