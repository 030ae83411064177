//! What operators see: logs, metrics, the status page, and that no secret is in any of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

#[path = "observability/canaries.rs"]
mod canaries;
#[path = "observability/counted.rs"]
mod counted;
#[path = "observability/dashboards.rs"]
mod dashboards;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "authorizers/fake.rs"]
mod fake;
#[path = "observability/fields.rs"]
mod fields;
#[path = "observability/journal.rs"]
mod journal;
#[path = "observability/logs.rs"]
mod logs;
#[path = "observability/metrics.rs"]
mod metrics;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "operations/program.rs"]
mod program;
#[path = "observability/secrets.rs"]
mod secrets;
#[path = "observability/status.rs"]
mod status;
