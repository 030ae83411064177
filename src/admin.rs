//! Metrics, readiness and status for operators, and what they may change.

pub mod breakers;
pub mod decisions;
pub mod listener;
pub mod loops;
pub mod metrics;
mod page;
mod pages;
pub mod readiness;
mod revocations;
mod series;
mod status;
mod token;

pub use metrics::Metrics;
pub use series::MetricsSettings;
pub use token::AdminToken;
