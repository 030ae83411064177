//! The thread that makes batches of spans and sends them, and the queue before it.

use std::sync::mpsc::{Receiver as Ends, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span as Message;
use prost::Message as _;
use shapegate_core::time::Monotonic;
use tokio::sync::{mpsc, watch};

use super::collector::{Collector, CollectorError, Outcome, RETRY_AFTER_MAX};
use super::ids::Entropy;
use super::message;
use super::metrics::TraceMetrics;
use super::settings::TracesSettings;
use super::span::Span;
use crate::clock::Clock;

/// Spans that may wait to be sent. Above that they are dropped and counted.
pub const QUEUE_SPANS: usize = 2048;
/// The most spans of an export.
const BATCH_SPANS_MAX: usize = 512;
/// How large an export is before no span is added, in bytes.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// How long a span waits for others to be sent with.
const BATCH_DELAY: Duration = Duration::from_secs(5);
/// How often an export is tried.
const ATTEMPTS_MAX: u32 = 4;
/// The pause before the second attempt; it doubles.
const BACKOFF: Duration = Duration::from_secs(1);
/// How long the end of a process waits for its last spans.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);
/// How often trouble with the collector is told.
const TOLD_INTERVAL: Duration = Duration::from_secs(60);

/// The queue before the thread.
pub(super) struct Exporter {
    queue: mpsc::Sender<Span>,
    ending: watch::Sender<bool>,
    ended: Mutex<Ends<()>>,
    metrics: TraceMetrics,
}

impl Exporter {
    /// Starts the thread, which ends with this.
    pub(super) fn start(
        settings: &TracesSettings,
        entropy: &Entropy,
        clock: Arc<dyn Clock>,
        metrics: TraceMetrics,
    ) -> Result<Self, CollectorError> {
        let (queue, spans) = mpsc::channel(QUEUE_SPANS);
        let (ending, told) = watch::channel(false);
        let (ends, ended) = sync_channel(1);
        let worker = Worker {
            collector: Collector::new(&settings.collector)?,
            resource: message::resource(settings, entropy),
            jitter: Entropy::seeded(entropy.draw()),
            spans,
            ending: told,
            clock,
            metrics: metrics.clone(),
            told: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("traces".to_owned())
            .spawn(move || run(&runtime, worker, ends))?;
        Ok(Self {
            queue,
            ending,
            ended: Mutex::new(ended),
            metrics,
        })
    }

    /// Queues a span, or drops it.
    pub(super) fn add(&self, span: Span) {
        match self.queue.try_send(span) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => self.metrics.queue_full.inc(),
            Err(mpsc::error::TrySendError::Closed(_)) => self.metrics.at_end.inc(),
        }
    }

    /// Waits until what is queued is sent, for `FINISH_TIMEOUT` at most. Nothing is sent after that.
    pub(super) fn finish(&self) {
        self.ending.send_replace(true);
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever cannot take them in that time is not waited for; the other end is dropped when all is sent.
        _ = ended.recv_timeout(FINISH_TIMEOUT);
    }
}

fn run(runtime: &tokio::runtime::Runtime, worker: Worker, ends: SyncSender<()>) {
    runtime.block_on(worker.run());
    drop(ends);
}

/// Spans that are sent together.
#[derive(Default)]
struct Batch {
    spans: Vec<Message>,
    bytes: usize,
    /// When it is sent, however few they are.
    due: Option<Monotonic>,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.spans.len() >= BATCH_SPANS_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    fn add(&mut self, span: Span) {
        let message = message::message(span);
        self.bytes += message.encoded_len();
        self.spans.push(message);
    }

    /// Gathers until there are enough, or the first has waited long enough.
    async fn fill(&mut self, spans: &mut mpsc::Receiver<Span>, clock: &dyn Clock) {
        while !self.is_full() {
            let due = self.due;
            let overdue = async {
                match due {
                    Some(due) => clock.sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let span = tokio::select! {
                biased;
                span = spans.recv() => span,
                () = overdue => return,
            };
            match span {
                Some(span) => self.add(span),
                // The queue is gone, and with it whoever would tell that this is the end.
                None => std::future::pending().await,
            }
            self.due
                .get_or_insert_with(|| clock.now().monotonic.plus(BATCH_DELAY));
        }
    }

    /// Gathers what is there.
    fn fill_now(&mut self, spans: &mut mpsc::Receiver<Span>) {
        while !self.is_full() {
            let Ok(span) = spans.try_recv() else { return };
            self.add(span);
        }
    }

    /// As it is sent, with the number of its spans.
    fn pack(self, resource: &Resource) -> Parcel {
        Parcel {
            count: self.spans.len() as u64,
            body: message::export(resource, self.spans),
        }
    }
}

/// A batch as it is sent.
struct Parcel {
    count: u64,
    body: Bytes,
}

/// What the thread does.
struct Worker {
    collector: Collector,
    resource: Resource,
    jitter: Entropy,
    spans: mpsc::Receiver<Span>,
    ending: watch::Receiver<bool>,
    clock: Arc<dyn Clock>,
    metrics: TraceMetrics,
    /// When trouble was told last.
    told: Option<Monotonic>,
}

impl Worker {
    async fn run(mut self) {
        let mut batch = Batch::default();
        loop {
            tokio::select! {
                biased;
                () = begun(&mut self.ending) => break,
                () = batch.fill(&mut self.spans, &*self.clock) => {}
            }
            let parcel = std::mem::take(&mut batch).pack(&self.resource);
            self.deliver(&parcel).await;
        }
        self.flush(batch).await;
    }

    /// Sends what there is, as long as that works and time is left.
    async fn flush(mut self, mut batch: Batch) {
        let clock = Arc::clone(&self.clock);
        let mut over = clock.sleep_until(clock.now().monotonic.plus(FINISH_TIMEOUT));
        // What comes from now on is not waited for.
        self.spans.close();
        let mut works = true;
        loop {
            batch.fill_now(&mut self.spans);
            let parcel = std::mem::take(&mut batch).pack(&self.resource);
            if parcel.count == 0 {
                return;
            }
            if works {
                let delivered = tokio::select! {
                    delivered = self.deliver(&parcel) => Some(delivered),
                    () = &mut over => None,
                };
                works = delivered == Some(true);
                if delivered.is_some() {
                    continue;
                }
            }
            self.metrics.at_end.inc_by(parcel.count);
        }
    }

    /// Sends until it is taken or refused, or there were attempts enough; whether somebody was there.
    async fn deliver(&mut self, parcel: &Parcel) -> bool {
        let mut attempt = 1;
        loop {
            match self.collector.send(&parcel.body, &self.clock).await {
                Outcome::Taken { rejected, said } => {
                    self.taken(parcel, rejected, said);
                    return true;
                }
                Outcome::Refused(why) => {
                    self.metrics.refusals.inc();
                    self.metrics.refused.inc_by(parcel.count);
                    self.complain(&format!("{why}; {} spans are lost", parcel.count));
                    return true;
                }
                Outcome::Later(why, pause) => {
                    self.metrics.failures.inc();
                    if attempt == ATTEMPTS_MAX || *self.ending.borrow() {
                        self.metrics.unanswered.inc_by(parcel.count);
                        self.complain(&format!("{why}; {} spans are lost", parcel.count));
                        return false;
                    }
                    self.complain(&why);
                    self.pause(pause.unwrap_or_else(|| self.backoff(attempt))).await;
                    attempt += 1;
                }
            }
        }
    }

    fn taken(&mut self, parcel: &Parcel, rejected: u64, said: Option<String>) {
        let rejected = rejected.min(parcel.count);
        self.metrics.taken.inc();
        self.metrics.refused.inc_by(rejected);
        self.metrics.exported.inc_by(parcel.count - rejected);
        let said = said.unwrap_or_default();
        match (rejected, said.is_empty()) {
            (0, true) => {}
            (0, false) => self.complain(&format!("it says: {said}")),
            (rejected, _) => self.complain(&format!("{rejected} spans are refused: {said}")),
        }
    }

    /// Between half of it and all of it, so that several gateways do not come at once.
    fn backoff(&self, attempt: u32) -> Duration {
        let whole = BACKOFF
            .saturating_mul(1 << attempt.saturating_sub(1))
            .min(RETRY_AFTER_MAX);
        let parts = u32::try_from(self.jitter.draw() % 1024).unwrap_or_default();
        whole / 2 + whole / 2 * parts / 1024
    }

    async fn pause(&mut self, pause: Duration) {
        let over = self.clock.sleep_until(self.clock.now().monotonic.plus(pause));
        tokio::select! {
            biased;
            () = begun(&mut self.ending) => {}
            () = over => {}
        }
    }

    /// Tells of trouble, not too often.
    fn complain(&mut self, what: &str) {
        let now = self.clock.now().monotonic;
        if self.told.is_none_or(|told| told.until(now) >= TOLD_INTERVAL) {
            self.told = Some(now);
            log::warn!("the collector of traces: {what}");
        }
    }
}

/// Resolves once the end has begun, or nobody could say so any more.
async fn begun(ending: &mut watch::Receiver<bool>) {
    _ = ending.wait_for(|ending| *ending).await;
}
