//! The access log and the decision log: a line of JSON each, made and written by a thread of its own.
//!
//! No request waits for a line: what the thread cannot keep up with is dropped and counted. Lines say who asked for
//! what and what became of it; they hold no token, no claim besides subject and issuer, no value of a filter and no
//! value of a query.

mod line;
mod throttle;
mod writer;

use std::io;

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use shapegate_core::time::Monotonic;

pub use line::{Access, AskedFor, Decision, Line, PATH_CHARS_MAX, Request, Verdict, detail, start_of};
pub use throttle::Throttle;
pub use writer::{Destination, QUEUE_LINES, Writer};

/// Where lines go; none: that log is off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalSettings {
    /// A line a request.
    pub access: Option<Destination>,
    /// A line a decision.
    pub decisions: Option<Destination>,
}

/// What is counted of the logs. Clones count into the same.
#[derive(Clone, Debug)]
pub struct JournalMetrics {
    dropped: IntCounterVec,
    /// Lines that did not fit into the queue.
    pub queue_full: IntCounter,
    /// Lines that could not be written.
    pub failed: IntCounter,
    /// Lines of denials that were left out because there were too many of one kind.
    pub throttled: IntCounter,
}

impl JournalMetrics {
    /// Everything at zero.
    ///
    /// # Errors
    /// When a name is malformed: a fault of this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let opts = Opts::new(
            "log_lines_dropped_total",
            "Lines of logs that were not written, by why.",
        );
        let dropped = IntCounterVec::new(opts.namespace("shapegate"), &["why"])?;
        let of = |why: &str| dropped.with_label_values(&[why]);
        Ok(Self {
            queue_full: of("queue_full"),
            failed: of("failed"),
            throttled: of("throttled"),
            dropped,
        })
    }

    /// Lines that were lost: those left out on purpose aside.
    pub fn lost(&self) -> u64 {
        self.queue_full.get() + self.failed.get()
    }

    /// Shows all of it in `registry`.
    ///
    /// # Errors
    /// When a name is taken: a fault of this file.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.dropped.clone()))
    }
}

/// Both logs.
pub struct Journal {
    access: Option<Writer>,
    decisions: Option<Writer>,
    denials: Throttle,
    /// How many refusals of one kind are told on standard error.
    pub refusals: Throttle,
    metrics: JournalMetrics,
}

impl Journal {
    /// Opens what the settings name. Two logs that go to one place share one thread.
    ///
    /// # Errors
    /// When a file cannot be opened.
    pub fn open(settings: &JournalSettings, metrics: JournalMetrics) -> io::Result<Self> {
        let open = |destination: &Destination| Writer::start(destination, metrics.clone());
        let access = settings.access.as_ref().map(open).transpose()?;
        let decisions = match &settings.decisions {
            same if *same == settings.access => access.clone(),
            other => other.as_ref().map(open).transpose()?,
        };
        Ok(Self {
            access,
            decisions,
            denials: Throttle::default(),
            refusals: Throttle::default(),
            metrics,
        })
    }

    /// Whether anything is written at all.
    pub fn is_on(&self) -> bool {
        self.access.is_some() || self.decisions.is_some()
    }

    /// Whether there is an access log.
    pub fn writes_access(&self) -> bool {
        self.access.is_some()
    }

    /// Whether there is a decision log.
    pub fn writes_decisions(&self) -> bool {
        self.decisions.is_some()
    }

    /// Writes a request's line.
    pub fn access(&self, line: Access) {
        if let Some(writer) = &self.access {
            writer.write(Line::Access(line));
        }
    }

    /// Writes a decision's line. Of denials of one kind at one tenant only so many a second are written, and the
    /// next one says how many were not.
    pub fn decision(&self, mut line: Decision, now: Monotonic) {
        let Some(writer) = &self.decisions else { return };
        if let Verdict::Deny { code: Some(code), .. } = &line.verdict {
            match self.denials.admit(line.request.tenant.as_ref(), *code, now) {
                Some(suppressed) => line.suppressed = suppressed,
                None => return self.metrics.throttled.inc(),
            }
        }
        writer.write(Line::Decision(line));
    }

    /// Waits until what is queued is written, for a moment at most: before the process ends.
    pub fn finish(&self) {
        for writer in [&self.access, &self.decisions].into_iter().flatten() {
            writer.finish();
        }
    }
}
