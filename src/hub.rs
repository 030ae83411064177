//! What is shared: fetches over an upstream, joined by all who are permitted the same.
//!
//! Pingora's proxying cannot be woken while it waits for an upstream, so what waits is fetched here, in a task
//! that belongs to nobody who waits: [`ask`] finds the fetch that others started, [`shared`] is what they read
//! together, [`fill`] asks the upstream. The last who leaves ends the fetch, which closes its connection, so an
//! upstream never holds a poll for clients that have left. What Electric allows to be kept stays in [`cache`]
//! for those who ask next, until it is no longer fresh or [`lineage`] knows that its shape was rotated.
//!
//! Nobody comes here before he is permitted, and what is shared is labelled for each client anew.

pub mod addresses;
pub mod answers;
pub mod ask;
pub mod cache;
pub mod encode;
pub mod fetch;
pub mod fill;
pub mod freshness;
pub mod head;
pub mod health;
pub mod keeping;
pub mod key;
pub mod lineage;
pub mod load;
pub mod metrics;
mod room;
pub mod shared;
pub mod stream;
pub mod underway;
pub mod upstream;
pub mod version;
pub mod wire;

pub use ask::{Given, Hub, Source, Wanted};
pub use encode::{Coded, Encoder};
pub use fetch::{Fetch, Fetched};
pub use head::Head;
pub use load::{Effort, LoadSettings, Loads, Seat};
pub use metrics::HubMetrics;
pub use upstream::{Upstream, UpstreamSettings};
