//! Why a request is answered as it is: the way of [`admit`](super::admit), told step by step and without serving.
//!
//! Each step is taken by what takes it for requests. What depends on more than the configuration and the request is
//! left out: limits, revocations, what Electric says.

mod report;
mod steps;

pub use report::{Report, Step, Verdict};

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderMap, Method};
use shapegate_core::value::Value;

use crate::authorizer;
use crate::clock::Clock;
use crate::tenant::Snapshot;
use steps::Telling;

/// A request to be explained.
#[derive(Clone, Debug)]
pub struct Question {
    /// Its method.
    pub method: Method,
    /// Path and query, as they are sent.
    pub target: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// The claims of whoever asks, in place of a credential.
    pub claims: Option<BTreeMap<Arc<str>, Value>>,
    /// What authorisers find out, in place of asking them.
    pub decision: Option<BTreeMap<Arc<str>, Value>>,
}

/// Explains requests.
pub struct Explainer<'a> {
    /// What they are decided with.
    pub snapshot: &'a Snapshot,
    /// The time.
    pub clock: &'a Arc<dyn Clock>,
    /// With what others are asked who know more: issuers, providers, authorisers. Without it nobody is.
    pub live: Option<&'a authorizer::Asking>,
}

impl Explainer<'_> {
    /// Follows a request as far as it gets.
    pub async fn explain(&self, question: &Question) -> Report {
        let mut telling = Telling::new(self, question);
        let verdict = telling.follow().await.unwrap_or_else(|stopped| stopped);
        telling.report(verdict)
    }
}
