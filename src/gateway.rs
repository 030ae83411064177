//! Pingora's side: the proxy service, the connection wrapper, answers.
//!
//! [`requests`] takes a connection from request to request. Each passes [`admit`], which ends in a permit or a
//! refusal. Reads of a log are then served by [`held`] through the hub, where [`park`] puts away who waits, or
//! fetched by [`own`] where nothing is shared; the rest by Pingora's proxying through the hooks of [`service`]. All
//! answer through [`answer`], the only writer of headers to a client.

pub mod accepting;
pub mod admit;
pub mod answer;
pub mod background;
pub mod body;
mod choose;
pub mod connection;
pub mod context;
pub mod cors;
pub mod decisions;
pub mod departure;
pub mod drain;
pub mod explain;
pub mod framing;
pub mod held;
pub mod herald;
mod overload;
pub mod own;
pub mod pages;
pub mod park;
pub mod request_id;
pub mod requests;
mod resolving;
pub mod server;
pub mod service;
pub mod state;
pub mod tls;
pub mod told;

pub use server::{ServeError, run, run_fleet, run_with};
pub use state::State;
