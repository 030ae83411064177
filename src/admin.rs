//! Metrics, readiness and status for operators.

pub mod listener;
pub mod metrics;

pub use metrics::Metrics;
