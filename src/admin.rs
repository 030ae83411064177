//! Metrics, readiness and status for operators, and what they may change.

pub mod listener;
pub mod metrics;
mod page;
mod pages;
pub mod readiness;
mod revocations;
mod token;

pub use metrics::Metrics;
pub use token::AdminToken;
