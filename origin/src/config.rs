//! How an origin is set up.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::schema::Schema;

/// An origin's settings; the defaults are Electric's.
#[derive(Clone, Debug)]
pub struct OriginConfig {
    /// Where to listen; port 0 chooses a free one.
    pub listen: SocketAddr,
    /// What `secret` must be in the query; without it everything is open.
    pub secret: Option<String>,
    /// Whether `DELETE` is allowed.
    pub allow_deletion: bool,
    /// How many bytes of messages end a chunk.
    pub chunk_bytes: usize,
    /// How long a live request waits.
    pub long_poll: Duration,
    /// How long an event stream lasts.
    pub sse_life: Duration,
    /// After how much silence an event stream gets a comment.
    pub sse_keepalive: Duration,
    /// `max-age` of log reads, in seconds.
    pub cache_max_age: u32,
    /// `stale-while-revalidate` of log reads, in seconds.
    pub cache_stale_age: u32,
    /// After how many requests a connection is closed; 0 for never.
    pub requests_per_connection: u32,
    /// How many received requests are kept; 0 for none, as benches want it.
    pub received_max: usize,
    /// Tables and their first rows.
    pub schema: Schema,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
}

impl Default for OriginConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            secret: None,
            allow_deletion: false,
            chunk_bytes: 10 * 1024 * 1024,
            long_poll: Duration::from_secs(20),
            sse_life: Duration::from_secs(60),
            sse_keepalive: Duration::from_secs(21),
            cache_max_age: 60,
            cache_stale_age: 300,
            requests_per_connection: 50,
            received_max: 10_000,
            schema: Schema::demo(),
            clock: Arc::new(SystemClock),
        }
    }
}
