//! The commands that answer and end, as they are typed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

#[path = "commands/program.rs"]
mod program;

#[path = "commands/explaining.rs"]
mod explaining;
#[path = "commands/manuals.rs"]
mod manuals;
#[path = "commands/policies.rs"]
mod policies;
#[path = "commands/tokens.rs"]
mod tokens;
