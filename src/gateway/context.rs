//! What a request carries through Pingora's hooks.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use shapegate_core::answer::rejected;
use shapegate_core::code::{Code, Refusal};
use shapegate_core::credential::Credential;
use shapegate_core::limits::ERROR_BODY_BYTES_MAX;

use super::admit::Admitted;
use super::cors::CorsGrant;
use super::told::Told;
use crate::admin::Metrics;
use crate::hub::Seat;
use crate::traces::OpenSpan;

/// How far a request has come. Only a permitted one is ever given a peer.
#[derive(Default)]
pub enum Stage {
    /// Nothing decided.
    #[default]
    Fresh,
    /// Permitted, with the only request that may go upstream for it.
    Permitted(Box<Admitted>),
    /// Answered here; nothing may go upstream any more.
    Answered,
    /// Put away to wait, with the context that it had: this one is nobody's.
    Parked,
}

/// An error that takes the place of an upstream's body, of which it keeps the start for the log.
pub struct Replacement {
    refusal: Refusal,
    start: Vec<u8>,
}

impl Replacement {
    /// Tells `refusal` instead of a body.
    pub fn of(refusal: Refusal) -> Self {
        Self {
            refusal,
            start: Vec::new(),
        }
    }

    /// Notes a piece of the body.
    pub fn note(&mut self, piece: &Bytes) {
        let room = ERROR_BODY_BYTES_MAX.saturating_sub(self.start.len());
        self.start.extend(piece.iter().take(room));
    }

    /// The refusal, with what the body says of it.
    pub fn refusal(self) -> Refusal {
        match self.refusal.code {
            Code::UpstreamRejected => rejected(&self.start),
            _ => self.refusal,
        }
    }
}

/// A request's context. What few requests come to is in boxes: those who wait keep it.
pub struct RequestContext {
    /// How far it has come.
    pub stage: Stage,
    /// Its id.
    pub request_id: HeaderValue,
    /// The address that it counts for, where addresses count.
    pub address: Option<IpAddr>,
    /// What its answer grants to the page that asked.
    pub cors: CorsGrant,
    /// Why an upstream's answer is not passed on.
    pub refusal: Option<Box<Refusal>>,
    /// What replaces an upstream's body.
    pub replacement: Option<Box<Replacement>>,
    /// What whoever asks goes by.
    pub credential: Option<Arc<Credential>>,
    /// The epoch of revocations in which it came.
    pub epoch: u64,
    /// What logs and metrics are told of it.
    pub told: Told,
    /// Whether the answer must be fetched again by the way that looks at its first bytes.
    pub refetch: bool,
    /// Its place among the requests at the upstream.
    pub seat: Option<Seat>,
    /// The request that Pingora sends upstream for it, while that lasts.
    pub upstream_span: OpenSpan,
    metrics: Arc<Metrics>,
}

impl RequestContext {
    /// A context, counted in the gauge of requests in flight until it is dropped.
    pub fn new(request_id: HeaderValue, metrics: Arc<Metrics>) -> Self {
        metrics.in_flight.inc();
        Self {
            stage: Stage::Fresh,
            request_id,
            address: None,
            cors: CorsGrant::default(),
            refusal: None,
            replacement: None,
            credential: None,
            epoch: 0,
            told: Told::default(),
            refetch: false,
            seat: None,
            upstream_span: OpenSpan::default(),
            metrics,
        }
    }

    /// Takes the context away, and leaves one that is nobody's.
    pub fn park(&mut self) -> Self {
        let mut nobodys = Self::new(self.request_id.clone(), Arc::clone(&self.metrics));
        nobodys.stage = Stage::Parked;
        std::mem::replace(self, nobodys)
    }

    /// What was permitted, if it was.
    pub fn permitted(&self) -> Option<&Admitted> {
        match &self.stage {
            Stage::Permitted(admitted) => Some(admitted),
            Stage::Fresh | Stage::Answered | Stage::Parked => None,
        }
    }
}

impl Drop for RequestContext {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
    }
}
