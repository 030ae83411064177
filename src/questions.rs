//! Questions to somebody beyond a network: one at a time about the same thing, few at once, none for ever.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use crate::breaker::{Breaker, PAUSE_MIN};
use crate::clock::Clock;

/// How much is asked at once, and how long an answer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuestionLimits {
    /// Questions that are being answered.
    pub concurrency_max: usize,
    /// Questions in all, those that wait for their turn included.
    pub waiting_max: usize,
    /// The longest for one, its turn included.
    pub timeout: Duration,
}

/// Why there is no answer. None of it says anything about what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// More questions wait than may.
    #[error("too many questions wait for an answer")]
    Busy,
    /// It has failed again and again, and is left alone for this long.
    #[error("left alone after repeated failures")]
    LeftAlone(Duration),
    /// No answer in time.
    #[error("no answer within {} ms", _0.as_millis())]
    TimedOut(Duration),
    /// It failed, and how.
    #[error("{0}")]
    Failed(Arc<str>),
}

impl Unanswered {
    /// How long to stay away.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::LeftAlone(pause) => (*pause).max(PAUSE_MIN),
            _ => PAUSE_MIN,
        }
    }
}

type Outcome<V> = Result<V, Unanswered>;

/// Asks somebody, and lets all who ask the same at one time share the answer. It remembers nothing.
pub struct Questions<K, V>(Arc<Inner<K, V>>);

struct Inner<K, V> {
    /// Who is asked, for the log.
    name: String,
    limits: QuestionLimits,
    under_way: Mutex<UnderWay<K, V>>,
    turns: Semaphore,
    breaker: Arc<Breaker>,
}

type UnderWay<K, V> = HashMap<K, watch::Receiver<Option<Outcome<V>>>>;

impl<K, V> Questions<K, V>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Nobody has asked yet. The name is for the log.
    #[must_use]
    pub fn new(name: impl Into<String>, limits: QuestionLimits) -> Self {
        Self(Arc::new(Inner {
            name: name.into(),
            limits,
            under_way: Mutex::default(),
            turns: Semaphore::new(limits.concurrency_max.max(1)),
            breaker: Arc::default(),
        }))
    }

    /// Asks, unless the same is being asked already; then that answer is waited for.
    ///
    /// The question goes on when whoever asked it first leaves: others may have joined, and whoever comes back
    /// finds what came of it. An error of the question is a failure of whoever is asked.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn ask<F>(&self, key: K, clock: &Arc<dyn Clock>, question: impl FnOnce() -> F) -> Outcome<V>
    where
        F: Future<Output = Result<V, String>> + Send + 'static,
    {
        let mut answer = self.join(key, clock, question)?;
        let came = match answer.wait_for(Option::is_some).await {
            Ok(came) => came.clone(),
            Err(_) => None,
        };
        came.unwrap_or_else(|| Err(Unanswered::Failed("the question was broken off".into())))
    }

    /// How many questions are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.0.table().len()
    }

    /// What keeps it from being asked while it fails again and again.
    #[must_use]
    pub fn breaker(&self) -> &Arc<Breaker> {
        &self.0.breaker
    }

    fn join<F>(
        &self,
        key: K,
        clock: &Arc<dyn Clock>,
        question: impl FnOnce() -> F,
    ) -> Result<watch::Receiver<Option<Outcome<V>>>, Unanswered>
    where
        F: Future<Output = Result<V, String>> + Send + 'static,
    {
        let mut table = self.0.table();
        if let Some(answer) = table.get(&key) {
            return Ok(answer.clone());
        }
        if table.len() >= self.0.limits.waiting_max {
            return Err(Unanswered::Busy);
        }
        let now = clock.now().monotonic;
        self.0.breaker.pass(now).map_err(Unanswered::LeftAlone)?;
        let (sender, answer) = watch::channel(None);
        table.insert(key.clone(), answer.clone());
        let entry = Entry {
            inner: Arc::clone(&self.0),
            key: Some(key),
            asked: false,
            told: false,
        };
        tokio::spawn(entry.run(Arc::clone(clock), question(), sender));
        Ok(answer)
    }
}

impl<K, V> Inner<K, V> {
    /// A panic while the lock was held left nothing half done.
    fn table(&self) -> MutexGuard<'_, UnderWay<K, V>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question's place among those under way; given up whatever happens.
struct Entry<K: Eq + Hash, V> {
    inner: Arc<Inner<K, V>>,
    key: Option<K>,
    /// Whether its turn came.
    asked: bool,
    /// Whether the breaker knows what came of it.
    told: bool,
}

impl<K: Eq + Hash, V: Clone> Entry<K, V> {
    async fn run(
        mut self,
        clock: Arc<dyn Clock>,
        question: impl Future<Output = Result<V, String>>,
        sender: watch::Sender<Option<Outcome<V>>>,
    ) {
        let timeout = self.inner.limits.timeout;
        let overdue = clock.sleep_until(clock.now().monotonic.plus(timeout));
        let inner = Arc::clone(&self.inner);
        let answer = async {
            // The semaphore is never closed.
            let _turn = inner.turns.acquire().await;
            self.asked = true;
            question.await.map_err(|detail| Unanswered::Failed(detail.into()))
        };
        let answered = tokio::select! {
            biased;
            () = overdue => None,
            outcome = answer => Some(outcome),
        };
        let outcome = match answered {
            Some(outcome) => outcome,
            None if self.asked => Err(Unanswered::TimedOut(timeout)),
            None => Err(Unanswered::Busy),
        };
        self.tell(&outcome, &*clock);
        // Whoever comes from now on asks anew, or finds what was remembered.
        self.leave();
        sender.send_replace(Some(outcome));
    }

    /// Tells the breaker what came of a question that was asked, and the log when it turns.
    fn tell(&mut self, outcome: &Outcome<V>, clock: &dyn Clock) {
        if !self.asked {
            return;
        }
        self.told = true;
        let Inner { name, breaker, .. } = &*self.inner;
        match outcome {
            Ok(_) if breaker.succeeded() => log::info!("{name}: answers again"),
            Ok(_) => {}
            Err(error) if breaker.failed(clock.now().monotonic) => {
                log::warn!("{name}: left alone for a while after repeated failures, the last one: {error}");
            }
            Err(_) => {}
        }
    }
}

impl<K: Eq + Hash, V> Entry<K, V> {
    fn leave(&mut self) {
        if let Some(key) = self.key.take() {
            self.inner.table().remove(&key);
        }
    }
}

impl<K: Eq + Hash, V> Drop for Entry<K, V> {
    fn drop(&mut self) {
        self.leave();
        if !self.told {
            self.inner.breaker.abandoned();
        }
    }
}

#[cfg(test)]
mod tests;
