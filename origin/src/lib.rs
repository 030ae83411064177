//! A stand-in for Electric: its HTTP protocol over typed tables in memory, for demos, tests and benches.
//!
//! It answers as Electric 1.7.12 does: snapshots, chunks, catch-up, long polls, server-sent events,
//! subsets, 304, 400 and 409, with Electric's headers, and with Electric's traps (blank parameters
//! mean absent, the last duplicate wins, a POST body overrides the query), so that what is proven
//! against it holds against the real one. What it cannot do are subqueries.
//!
//! ```
//! use serde_json::json;
//! use shapegate_origin::{Origin, OriginConfig};
//!
//! let origin = Origin::start(OriginConfig::default())?;
//! origin.insert("items", json!({"id": 9, "org_id": 1, "title": "Sweep", "done": false}))?;
//! assert!(origin.url().starts_with("http://127.0.0.1:"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod body;
mod clock;
mod config;
mod datum;
mod definition;
mod filter;
mod identifier;
mod inner;
mod lock;
mod message;
mod misbehave;
mod offset;
mod origin;
mod params;
mod query;
mod received;
mod schema;
mod serve;
mod shape;
mod store;
mod table;
mod write_api;

pub use clock::{Clock, SystemClock};
pub use config::OriginConfig;
pub use misbehave::{Fault, Misbehaviour};
pub use origin::Origin;
pub use received::Received;
pub use schema::Schema;
pub use store::Write;
