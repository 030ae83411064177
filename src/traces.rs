//! Traces: what a request did and waited for, as spans, told to a collector over OTLP.
//!
//! Whether a request is recorded is decided when it arrives. One that is not costs a draw and nothing else: no span,
//! no allocation, no lock. A span that has ended is put into a bounded queue; a thread of its own makes batches of
//! them and sends them, and no request ever waits for it. What is too much is dropped and counted.
//!
//! Spans name routes, tenants, shapes and rules. They hold no token, no claim, no subject, no raw path, no query and
//! no value of a filter.

mod collector;
mod context;
mod exporter;
mod ids;
mod message;
mod metrics;
mod recording;
mod settings;
mod span;

use std::net::IpAddr;
use std::sync::Arc;

use pingora_http::RequestHeader;

use self::exporter::Exporter;
use self::recording::Recording;
use crate::clock::Clock;
use crate::config::Network;

pub use collector::{CollectorError, OTLP_TRACES_PATH};
pub use context::{SpanContext, TRACEPARENT, TRACESTATE, tracestate};
pub use exporter::QUEUE_SPANS;
pub use ids::{Entropy, SpanId, TraceId};
pub use metrics::TraceMetrics;
pub use recording::{Ended, OpenSpan, Trace};
pub use settings::{CollectorSettings, SERVICE_NAME_DEFAULT, SampleRatio, TIMEOUT_DEFAULT, TracesSettings};
pub use span::Kind;

/// The traces of a process; none where they are off. Clones are the same.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<Tracer>>);

/// What every recorded request needs.
struct Tracer {
    exporter: Exporter,
    entropy: Entropy,
    clock: Arc<dyn Clock>,
    ratio: SampleRatio,
    /// Peers whose word that a trace is sampled is taken; none: nobody's is.
    believed: Vec<Network>,
}

/// A request that has just come.
pub struct Arriving<'a> {
    /// Its head.
    pub head: &'a RequestHeader,
    /// The other side of the connection.
    pub peer: Option<IpAddr>,
    /// Whether it came over TLS.
    pub tls: bool,
    /// The host that it names.
    pub host: Option<&'a str>,
}

impl Traces {
    /// Starts what `settings` ask for. Ids and samples are drawn from `entropy`; the sampled flag of a client is
    /// believed of `trusted_proxies` alone, and of these only if the settings say so.
    ///
    /// # Errors
    /// When the collector's certificates are none, or no thread can be started.
    pub fn start(
        settings: &TracesSettings,
        trusted_proxies: &[Network],
        entropy: Entropy,
        clock: Arc<dyn Clock>,
        metrics: TraceMetrics,
    ) -> Result<Self, CollectorError> {
        let exporter = Exporter::start(settings, &entropy, Arc::clone(&clock), metrics)?;
        let believes = settings.believes_trusted_proxies;
        Ok(Self(Some(Arc::new(Tracer {
            exporter,
            entropy,
            clock,
            ratio: settings.sample_ratio,
            believed: trusted_proxies.iter().filter(|_| believes).copied().collect(),
        }))))
    }

    /// The trace of a request that has just come: continued, where it brings the context of one.
    pub fn begin(&self, arriving: &Arriving<'_>) -> Trace {
        match &self.0 {
            None => Trace::Off,
            Some(tracer) if tracer.samples(arriving) => Recording::begin(tracer, arriving),
            Some(_) => Trace::Unrecorded,
        }
    }

    /// Waits until what is queued is sent, for a moment at most: before the process ends. Blocks.
    pub fn finish(&self) {
        if let Some(tracer) = &self.0 {
            tracer.exporter.finish();
        }
    }
}

impl Tracer {
    /// Whether to record a request. Of a trace id that a client chose nothing follows: a draw of our own decides.
    fn samples(&self, arriving: &Arriving<'_>) -> bool {
        let is_believed = |peer: IpAddr| self.believed.iter().any(|network| network.contains(peer));
        if arriving.peer.is_some_and(is_believed)
            && let Some(context) = SpanContext::of(&arriving.head.headers)
        {
            return context.sampled;
        }
        self.ratio.takes(self.entropy.draw())
    }
}

#[cfg(test)]
mod tests;
