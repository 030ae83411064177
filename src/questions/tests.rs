#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::atomic::{AtomicUsize, Ordering};

use shapegate_core::time::UnixMillis;
use tokio::sync::Notify;

use super::*;
use crate::breaker::FAILURES_MAX;
use crate::clock::ManualClock;

const TIMEOUT: Duration = Duration::from_secs(3);

/// Somebody who answers when told to.
struct Somebody {
    clock: ManualClock,
    shared: Arc<dyn Clock>,
    questions: Arc<Questions<u32, u32>>,
    asked: Arc<AtomicUsize>,
    go: Arc<Notify>,
}

impl Somebody {
    fn new(concurrency_max: usize, waiting_max: usize) -> Self {
        let clock = ManualClock::at(UnixMillis(0));
        let limits = QuestionLimits {
            concurrency_max,
            waiting_max,
            timeout: TIMEOUT,
        };
        Self {
            shared: Arc::new(clock.clone()),
            clock,
            questions: Arc::new(Questions::new("somebody", limits)),
            asked: Arc::default(),
            go: Arc::default(),
        }
    }

    /// Asks, to be answered with ten times the key.
    fn ask(&self, key: u32) -> tokio::task::JoinHandle<Outcome<u32>> {
        let (questions, clock) = (Arc::clone(&self.questions), Arc::clone(&self.shared));
        let (asked, go) = (Arc::clone(&self.asked), Arc::clone(&self.go));
        tokio::spawn(async move {
            let question = move || async move {
                asked.fetch_add(1, Ordering::SeqCst);
                go.notified().await;
                Ok(key * 10)
            };
            questions.ask(key, &clock, question).await
        })
    }

    async fn fail(&self) -> Outcome<u32> {
        let failing = || async { Err("it is broken".to_owned()) };
        self.questions.ask(0, &self.shared, failing).await
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Lets every task run until it waits.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn those_who_ask_the_same_share_one_question_and_later_ones_ask_anew() {
    let somebody = Somebody::new(8, 8);
    let asking: Vec<_> = (0..5).map(|_| somebody.ask(7)).collect();
    let other = somebody.ask(8);
    settle().await;
    assert_eq!((somebody.asked(), somebody.questions.under_way()), (2, 2));
    somebody.go.notify_waiters();
    for one in asking {
        assert_eq!(one.await.unwrap(), Ok(70));
    }
    assert_eq!(other.await.unwrap(), Ok(80));
    assert_eq!(somebody.questions.under_way(), 0);
    let again = somebody.ask(7);
    settle().await;
    assert_eq!(somebody.asked(), 3);
    somebody.go.notify_waiters();
    assert_eq!(again.await.unwrap(), Ok(70));
}

#[tokio::test]
async fn the_question_goes_on_when_the_first_one_leaves() {
    let somebody = Somebody::new(8, 8);
    let first = somebody.ask(7);
    settle().await;
    let second = somebody.ask(7);
    settle().await;
    first.abort();
    settle().await;
    somebody.go.notify_waiters();
    assert_eq!(second.await.unwrap(), Ok(70));
    assert_eq!(somebody.asked(), 1);
}

#[tokio::test]
async fn no_more_are_asked_at_once_and_no_more_wait_than_may() {
    let somebody = Somebody::new(2, 3);
    let asking: Vec<_> = (0..3).map(|key| somebody.ask(key)).collect();
    settle().await;
    assert_eq!((somebody.asked(), somebody.questions.under_way()), (2, 3));
    assert_eq!(somebody.ask(9).await.unwrap(), Err(Unanswered::Busy));
    let joining = somebody.ask(0);
    settle().await;
    while somebody.questions.under_way() > 0 {
        somebody.go.notify_waiters();
        settle().await;
    }
    for (key, one) in asking.into_iter().enumerate() {
        assert_eq!(one.await.unwrap().unwrap() as usize, key * 10);
    }
    assert_eq!(joining.await.unwrap(), Ok(0), "whoever joins takes no place");
}

#[tokio::test]
async fn a_question_without_an_answer_is_given_up_and_makes_room() {
    let somebody = Somebody::new(1, 8);
    let (first, second) = (somebody.ask(1), somebody.ask(2));
    somebody.clock.until_asleep(2).await;
    settle().await;
    somebody.clock.advance(TIMEOUT);
    assert_eq!(first.await.unwrap(), Err(Unanswered::TimedOut(TIMEOUT)));
    assert_eq!(
        second.await.unwrap(),
        Err(Unanswered::Busy),
        "its turn never came"
    );
    assert_eq!((somebody.asked(), somebody.questions.under_way()), (1, 0));
    let third = somebody.ask(3);
    settle().await;
    somebody.go.notify_waiters();
    assert_eq!(third.await.unwrap(), Ok(30));
}

#[tokio::test]
async fn after_failures_in_a_row_nobody_is_asked_until_one_trial_succeeds() {
    let somebody = Somebody::new(8, 8);
    for _ in 0..FAILURES_MAX {
        assert_eq!(
            somebody.fail().await,
            Err(Unanswered::Failed("it is broken".into()))
        );
    }
    let refused = somebody.ask(1).await.unwrap().unwrap_err();
    assert_eq!(refused, Unanswered::LeftAlone(PAUSE_MIN));
    assert_eq!(refused.retry_after(), PAUSE_MIN);
    assert_eq!(somebody.asked(), 0);
    somebody.clock.advance(PAUSE_MIN);
    let trial = somebody.ask(2);
    settle().await;
    assert!(somebody.ask(3).await.unwrap().is_err(), "one at a time");
    let joining = somebody.ask(2);
    settle().await;
    somebody.go.notify_waiters();
    assert_eq!((trial.await.unwrap(), joining.await.unwrap()), (Ok(20), Ok(20)));
    let after = somebody.ask(4);
    settle().await;
    somebody.go.notify_waiters();
    assert_eq!(after.await.unwrap(), Ok(40));
}

#[tokio::test]
async fn a_question_that_panics_leaves_no_trace() {
    let somebody = Somebody::new(1, 8);
    let panicking = || async { panic!("a fault of ours") };
    let broken = somebody.questions.ask(1, &somebody.shared, panicking).await;
    assert!(matches!(broken, Err(Unanswered::Failed(_))), "{broken:?}");
    let after = somebody.ask(1);
    settle().await;
    somebody.go.notify_waiters();
    assert_eq!(after.await.unwrap(), Ok(10));
}
