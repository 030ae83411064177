//! What is shared: fetches over an upstream, joined by all who are permitted the same.
//!
//! Pingora's proxying cannot be woken while it waits for an upstream, so what waits is fetched here, in a task
//! that belongs to nobody who waits: [`ask`] finds the fetch that others started, [`shared`] is what they read
//! together, [`fill`] asks the upstream. The last who leaves ends the fetch, which closes its connection, so an
//! upstream never holds a poll for clients that have left.

pub mod addresses;
pub mod ask;
pub mod fetch;
pub mod fill;
pub mod head;
pub mod health;
pub mod key;
pub mod metrics;
pub mod shared;
pub mod stream;
pub mod underway;
pub mod upstream;
pub mod version;

pub use ask::{Hub, Wanted};
pub use fetch::{Fetch, Fetched};
pub use head::Head;
pub use metrics::HubMetrics;
pub use upstream::{Upstream, UpstreamSettings};
