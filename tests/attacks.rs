//! What a gateway in front of Electric must withstand: an input a test, the answer that it must get, and what
//! the upstream received.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

#[path = "attacks/claims.rs"]
mod claims;
#[path = "attacks/cors.rs"]
mod cors;
#[path = "attacks/framing.rs"]
mod framing;
#[path = "attacks/hooks.rs"]
mod hooks;
#[path = "attacks/http2.rs"]
mod http2;
#[path = "attacks/limits.rs"]
mod limits;
#[path = "attacks/parameters.rs"]
mod parameters;
#[path = "attacks/paths.rs"]
mod paths;
#[path = "attacks/random.rs"]
mod random;
#[path = "attacks/secrets.rs"]
mod secrets;
#[path = "attacks/signature.rs"]
mod signature;
#[path = "attacks/subsets.rs"]
mod subsets;
mod support;
#[path = "attacks/transport.rs"]
mod transport;
#[path = "attacks/upstream.rs"]
mod upstream;
#[path = "attacks/world.rs"]
mod world;
