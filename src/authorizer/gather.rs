//! Asking all authorisers of a shape at once, or remembering what they said.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use shapegate_core::code::{Code, Refusal};
use shapegate_core::policy::{Facts, Finding};
use shapegate_core::time::{Now, Until};
use shapegate_core::value::Value;

use super::key::Key;
use super::memory::{MEMORY_BYTES_MAX, Memory};
use super::metrics::{AuthorizerMetrics, Outcome};
use super::{Authorizer, Authorizers, Denial, FORBIDDEN, Reply, TTL_MIN, Terms};
use crate::clock::Clock;
use crate::questions::Unanswered;
use crate::traces::Trace;

/// What authorisers are asked with, whatever the shape: one a process.
pub struct Asking {
    clock: Arc<dyn Clock>,
    memory: Arc<Memory>,
    metrics: AuthorizerMetrics,
}

/// Whether what was said before will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It will, as long as it holds.
    Remembered,
    /// A yes must be given now; a no that was given before still holds.
    Now,
}

/// What an authoriser said, and how long that holds.
#[derive(Debug)]
pub(super) struct Remembered {
    said: Result<Finding, Denial>,
    pub(super) until: Until,
    /// What it takes up, about.
    pub(super) bytes: usize,
}

impl Asking {
    /// Nothing is remembered yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, metrics: AuthorizerMetrics) -> Self {
        Self {
            clock,
            memory: Arc::new(Memory::new(MEMORY_BYTES_MAX)),
            metrics,
        }
    }
}

impl Authorizers {
    /// Asks all of them at once, each what it is told. The first that says no decides.
    ///
    /// # Errors
    /// 403 or 401 when one says no, 503 when one does not say anything.
    pub async fn gather(
        &self,
        asking: &Asking,
        told: &[Vec<Value>],
        freshness: Freshness,
        trace: &Trace,
    ) -> Result<Facts, Refusal> {
        let each = self.0.iter().zip(told).enumerate();
        let mut answers: FuturesUnordered<_> = each
            .map(|(place, (one, told))| async move { (place, one.ask(asking, told, freshness, trace).await) })
            .collect();
        let mut findings: Vec<Option<Arc<Remembered>>> = vec![None; self.0.len()];
        let mut unanswered = None;
        while let Some((place, answer)) = answers.next().await {
            match answer {
                Ok(remembered) => {
                    if let Some(slot) = findings.get_mut(place) {
                        *slot = Some(remembered);
                    }
                }
                Err(refusal) if refusal.code == Code::DecisionUnavailable => unanswered = Some(refusal),
                // Whatever the others say, it is no.
                Err(refusal) => return Err(refusal),
            }
        }
        if let Some(refusal) = unanswered {
            return Err(refusal);
        }
        let names = self.0.iter().map(|one| one.settings.name.as_ref());
        let found = names.zip(&findings).filter_map(|(name, remembered)| {
            let finding = remembered.as_ref()?.said.as_ref().ok()?;
            Some((name, finding))
        });
        Ok(Facts::gathered(found))
    }
}

impl Authorizer {
    /// What it says: a finding, or the refusal that follows from it.
    async fn ask(
        &self,
        asking: &Asking,
        told: &[Value],
        freshness: Freshness,
        trace: &Trace,
    ) -> Result<Arc<Remembered>, Refusal> {
        let key = Key::of(self.number, told);
        let metrics = asking.metrics.of(self.label());
        let known = asking.memory.get(&key, asking.clock.now());
        let usable = known.filter(|known| freshness == Freshness::Remembered || known.said.is_err());
        let remembered = match usable {
            Some(remembered) => {
                metrics.hit();
                remembered
            }
            None => {
                metrics.miss();
                let mut span = trace.part("authorize");
                span.set_with("shapegate.authorizer", || self.label().to_owned());
                let asked = self.ask_now(asking, key, told).await;
                span.end_with(asked.as_ref().err());
                asked?
            }
        };
        match &remembered.said {
            Ok(_) => Ok(remembered),
            Err(denial) => Err(self.denied(*denial)),
        }
    }

    async fn ask_now(&self, asking: &Asking, key: Key, told: &[Value]) -> Result<Arc<Remembered>, Refusal> {
        let clock = &asking.clock;
        let metrics = asking.metrics.of(self.label());
        let question = self.backend.question(told, clock)?;
        let Terms { ttl, deny_ttl, .. } = self.settings.terms;
        let own_clock = Arc::clone(clock);
        let (counted, memory) = (metrics.clone(), Arc::clone(&asking.memory));
        let asked = self.questions.ask(key, clock, move || async move {
            let began = own_clock.now();
            let reply = question.await;
            counted.answered(&reply, began.monotonic.until(own_clock.now().monotonic));
            // What was true when it was asked is true for its time from then on, however long the answer took.
            let remembered = Arc::new(Remembered::of(reply?, ttl, deny_ttl, began));
            memory.put(key, &remembered);
            Ok(remembered)
        });
        asked.await.map_err(|unanswered| {
            metrics.unanswered(&unanswered);
            self.unavailable(&unanswered)
        })
    }

    fn denied(&self, denial: Denial) -> Refusal {
        let refusal = match denial {
            Denial::Unusable => Refusal::new(
                Code::DecisionFailed,
                "What was found out about you cannot be used, and that denies.",
            ),
            Denial::Forbidden | Denial::Malformed => Refusal::new(Code::Forbidden, FORBIDDEN),
            Denial::Unauthenticated => {
                Refusal::new(Code::TokenInvalid, "The credential is not accepted here.")
            }
            Denial::TooLarge => Refusal::new(
                Code::DefinitionTooLarge,
                "What you may sync does not fit into a request: the rule should select by a membership \
                 subquery (IN (SELECT …)) instead of a list.",
            ),
        };
        let why = match denial {
            Denial::Unusable => "gives no answer that could be used",
            Denial::Malformed => "calls the question malformed",
            Denial::TooLarge => "gives more ids than its `limit`",
            Denial::Forbidden | Denial::Unauthenticated => "says no",
        };
        refusal.with_detail(format!("{} {why}", self.place))
    }

    fn unavailable(&self, unanswered: &Unanswered) -> Refusal {
        let text = "Whoever knows what you may sync cannot be asked now.";
        Refusal::new(Code::DecisionUnavailable, text)
            .with_retry_after(unanswered.retry_after())
            .with_detail(format!("{}: {unanswered}", self.place))
    }
}

impl Remembered {
    /// An answer may hold less long than the configuration allows, and not longer.
    fn of(reply: Reply, ttl: Duration, deny_ttl: Duration, asked: Now) -> Self {
        match reply {
            Reply::Denied(denial) => Self {
                said: Err(denial),
                until: Until::after(asked, deny_ttl),
                bytes: 0,
            },
            Reply::Found(found) => {
                let longest = if found.refuses { deny_ttl } else { ttl };
                let lasts = found.ttl.map_or(longest, |own| own.clamp(TTL_MIN, longest));
                let until = Until::after(asked, lasts);
                Self {
                    bytes: found.bytes(),
                    said: Ok(Finding {
                        facts: found.facts,
                        filter: found.filter,
                        columns: found.columns,
                        until,
                    }),
                    until,
                }
            }
        }
    }
}

impl super::Found {
    /// What it takes up in memory, about.
    fn bytes(&self) -> usize {
        let facts: usize = self
            .facts
            .iter()
            .map(|(name, value)| name.len() + size(value))
            .sum();
        let filter = self.filter.as_ref().map_or(0, |filter| {
            // The text, and a tree that is several times as large.
            let values: usize = filter.parameters().iter().map(|value| value.as_str().len()).sum();
            filter.text().len() * 8 + values
        });
        let columns = self
            .columns
            .as_ref()
            .map_or(0, |columns| columns.iter().count() * 64);
        facts + filter + columns
    }
}

fn size(value: &Value) -> usize {
    const VALUE_BYTES: usize = 48;
    VALUE_BYTES
        + match value {
            Value::String(text) => text.len(),
            Value::List(items) => items.iter().map(size).sum(),
            Value::Map(members) => members.iter().map(|(name, value)| name.len() + size(value)).sum(),
            _ => 0,
        }
}

impl Outcome {
    pub(super) fn of(reply: &Result<Reply, String>) -> Self {
        match reply {
            Ok(Reply::Found(found)) if !found.refuses => Self::Allowed,
            Ok(_) => Self::Denied,
            Err(_) => Self::Failed,
        }
    }
}
