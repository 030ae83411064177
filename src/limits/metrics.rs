//! What was refused for a limit.

use prometheus::{IntCounterVec, Opts, Registry};

use super::settings::Scope;

/// What was refused for a limit. Clones count into the same.
#[derive(Clone, Debug)]
pub struct LimitMetrics(IntCounterVec);

impl LimitMetrics {
    /// Everything at zero.
    ///
    /// # Errors
    /// When a name is malformed: a fault of this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let opts = Opts::new("limited_total", "Requests refused for a limit.").namespace("shapegate");
        IntCounterVec::new(opts, &["scope", "limit"]).map(Self)
    }

    /// Shows it in `registry`.
    ///
    /// # Errors
    /// When a name is taken: a fault of this file.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.0.clone()))
    }

    pub(super) fn limited(&self, scope: Scope, limit: &str) {
        self.0.with_label_values(&[scope.as_str(), limit]).inc();
    }

    /// How often `limit` was met in `scope`.
    pub fn count(&self, scope: Scope, limit: &str) -> u64 {
        self.0.with_label_values(&[scope.as_str(), limit]).get()
    }
}
