//! Authorisers: what they are asked, what their answers do, and what happens when they do not answer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

#[path = "authorizers/answers.rs"]
mod answers;
#[path = "authorizers/breakers.rs"]
mod breakers;
#[path = "authorizers/fake.rs"]
mod fake;
#[path = "authorizers/faults.rs"]
mod faults;
#[path = "authorizers/forwarding.rs"]
mod forwarding;
#[path = "authorizers/messages.rs"]
mod messages;
#[path = "authorizers/minting.rs"]
mod minting;
#[path = "authorizers/postgres.rs"]
mod postgres;
#[path = "authorizers/reloading.rs"]
mod reloading;
#[path = "authorizers/remembering.rs"]
mod remembering;
#[cfg(feature = "authorization_servers")]
#[path = "authorizers/servers.rs"]
mod servers;
#[path = "authorizers/waits.rs"]
mod waits;
#[path = "authorizers/world.rs"]
mod world;
