//! What waits: fetches over an upstream, ended by answer, client, permission or drain.
//!
//! Pingora's proxying cannot be woken while it waits for an upstream, so long polls and SSE never go through
//! it: they are fetched here and awaited by the request. A fetch that is dropped closes its connection, so an
//! upstream never holds a poll for a client that has left.

pub mod addresses;
pub mod fetch;
pub mod health;
pub mod upstream;
pub mod version;

pub use fetch::{Fetch, Fetched};
pub use upstream::{Upstream, UpstreamSettings};
