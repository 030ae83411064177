//! Metrics, readiness and status for operators.
