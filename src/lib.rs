//! shapegate: an authorising gateway for Electric. ARCHITECTURE.md maps the code.
pub mod admin;
pub mod breaker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod gatekeeper;
pub mod gateway;
pub mod hub;
pub mod identity;
pub mod limits;
pub mod logging;
pub mod outbound;
pub mod process;
pub mod questions;
pub mod tenant;
