//! Metrics, readiness and status for operators.

pub mod listener;
pub mod metrics;
pub mod readiness;

pub use metrics::Metrics;
