//! A collector that is slow, down or wrong: no request notices, and what is lost is counted.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message as _;
use shapegate::clock::{Clock, ManualClock};
use shapegate::traces::QUEUE_SPANS;
use shapegate_core::time::UnixMillis;

use crate::collector::Say;
use crate::support::gateway::{Gateway, get};
use crate::support::patience::{soon, until};
use crate::support::ports::free_address;
use crate::support::token::{self, IDENTITY, member};
use crate::world::{SHAPES, USERS, World};

/// Beyond the delay of a batch.
const LATER: Duration = Duration::from_secs(6);
/// How many spans are sent at once.
const BATCH: usize = 512;

/// A world in which time stands still.
async fn timeless() -> (World, ManualClock) {
    let clock = ManualClock::at(UnixMillis::from_seconds(token::now()));
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let world = World::of("sample_ratio: 1", &format!("{IDENTITY}{SHAPES}"), shared).await;
    (world, clock)
}

/// Asks so often for what is not there, on one connection: a span each.
async fn many(world: &World, count: usize) {
    let mut client = world.gateway.connect().await;
    for _ in 0..count {
        assert_eq!(soon(client.ask(get("/nowhere", None))).await.status, 404);
    }
    world.rest().await;
}

/// Moves time on until something holds, as if it passed.
async fn passing(clock: &ManualClock, what: &str, mut holds: impl FnMut() -> bool) {
    until(what, || {
        let is_so = holds();
        if !is_so {
            clock.advance(Duration::from_millis(100));
        }
        is_so
    })
    .await;
}

#[tokio::test]
async fn spans_are_sent_together_when_there_are_enough_or_the_first_has_waited() {
    let (world, clock) = timeless().await;
    many(&world, BATCH + 3).await;
    until("a whole batch is sent", || world.collector.count() == 1).await;
    assert_eq!(world.collector.spans().len(), BATCH);
    passing(&clock, "the rest is sent", || world.collector.count() == 2).await;
    assert_eq!(world.collector.spans().len(), BATCH + 3);
    until("they are counted", || world.counted("exported") == 515).await;
    assert_eq!(world.exports_counted("taken"), 2);
}

#[tokio::test]
async fn a_collector_that_is_not_there_is_noticed_by_nobody_but_the_metrics() {
    let nobody = free_address();
    let traces = format!("traces: {{ otlp: {{ url: 'http://{nobody}' }}, sample_ratio: 1 }}\n");
    let clock = ManualClock::at(UnixMillis::from_seconds(token::now()));
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let origin = crate::support::gateway::origin();
    let gateway = Gateway::before(origin, &format!("{traces}{IDENTITY}{SHAPES}"), shared).await;
    let metric = |outcome: &str| {
        let text = gateway.state.metrics.render().unwrap();
        let name = format!("shapegate_trace_{outcome} ");
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(&*name).map(str::to_owned));
        value
            .unwrap_or_else(|| panic!("no {name}"))
            .parse::<u64>()
            .unwrap()
    };
    assert_eq!(gateway.get(USERS, Some(&member(1))).await.status, 200);
    assert_eq!(gateway.get(USERS, None).await.status, 401);
    passing(&clock, "they are given up", || {
        metric("spans_total{outcome=\"unanswered\"}") == 3
    })
    .await;
    assert_eq!(metric("exports_total{outcome=\"failed\"}"), 4);
    assert_eq!(gateway.get(USERS, Some(&member(1))).await.status, 200);
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_nothing_up_and_the_queue_is_bounded() {
    let (world, _clock) = timeless().await;
    world.collector.says(vec![Say::Nothing]);
    many(&world, BATCH).await;
    until("an export is under way", || world.collector.count() == 1).await;
    many(&world, QUEUE_SPANS + 100).await;
    assert_eq!(world.counted("queue_full"), 100);
    assert_eq!(world.get(USERS, Some(&member(1))).await.status, 200);
    assert_eq!(world.collector.count(), 1, "one at a time");
}

#[tokio::test]
async fn what_a_collector_takes_later_is_sent_again_and_lost_by_nobody() {
    for first in [
        Say::Status(429, "retry-after: 7\r\n"),
        Say::Status(503, ""),
        Say::Status(502, "retry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\n"),
        Say::Status(504, "retry-after: 99999999999\r\n"),
        Say::Close,
    ] {
        let (world, clock) = timeless().await;
        world.collector.says(vec![first, Say::Body(Vec::new())]);
        many(&world, 2).await;
        passing(&clock, "it is sent again", || world.collector.count() == 2).await;
        until("they are counted", || world.counted("exported") == 2).await;
        let exports = world.collector.exports();
        assert_eq!(exports[0].body, exports[1].body);
        assert_eq!(
            (world.exports_counted("failed"), world.exports_counted("taken")),
            (1, 1)
        );
        assert_eq!((world.counted("unanswered"), world.counted("refused")), (0, 0));
    }
}

#[tokio::test]
async fn a_collector_that_asks_for_a_pause_is_given_it() {
    let (world, clock) = timeless().await;
    world.collector.says(vec![
        Say::Status(429, "retry-after: 20\r\n"),
        Say::Body(Vec::new()),
    ]);
    many(&world, BATCH).await;
    until("it was refused", || world.exports_counted("failed") == 1).await;
    until("it is left alone", || clock.sleepers() > 0).await;
    clock.advance(Duration::from_secs(19));
    assert_eq!(world.collector.count(), 1);
    passing(&clock, "it is sent again", || world.collector.count() == 2).await;
    assert!(clock.now().monotonic.0 >= Duration::from_secs(20));
}

#[tokio::test]
async fn what_a_collector_refuses_is_not_sent_again() {
    for status in [400, 401, 404, 413, 500, 302] {
        let (world, clock) = timeless().await;
        world
            .collector
            .says(vec![Say::Status(status, "location: http://127.0.0.1:1/\r\n")]);
        many(&world, 2).await;
        passing(&clock, "it is refused", || world.counted("refused") == 2).await;
        clock.advance(LATER * 10);
        assert_eq!(
            (world.collector.count(), world.exports_counted("refused")),
            (1, 1),
            "{status}"
        );
        // The next ones are tried all the same.
        world.collector.says(vec![Say::Body(Vec::new())]);
        many(&world, 1).await;
        passing(&clock, "the next one is taken", || world.counted("exported") == 1).await;
    }
}

#[tokio::test]
async fn what_a_collector_takes_in_part_is_counted_in_part_and_garbage_is_an_answer() {
    let partial = |rejected_spans, error_message: &str| {
        let partial_success = Some(ExportTracePartialSuccess {
            rejected_spans,
            error_message: error_message.to_owned(),
        });
        Say::Body(ExportTraceServiceResponse { partial_success }.encode_to_vec())
    };
    for (answer, exported, refused) in [
        (partial(2, "too old"), 1, 2),
        (partial(0, "warned"), 3, 0),
        (partial(99, "more than there were"), 0, 3),
        (partial(-5, ""), 3, 0),
        (Say::Body(b"<html>a captive portal</html>".to_vec()), 3, 0),
    ] {
        let (world, clock) = timeless().await;
        world.collector.says(vec![answer]);
        many(&world, 3).await;
        passing(&clock, "it is taken", || world.exports_counted("taken") == 1).await;
        assert_eq!(
            (world.counted("exported"), world.counted("refused")),
            (exported, refused)
        );
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_not_read_to_its_end() {
    let (world, clock) = timeless().await;
    world
        .collector
        .says(vec![Say::Body(vec![0; 1024 * 1024]), Say::Body(Vec::new())]);
    many(&world, 1).await;
    passing(&clock, "it is refused", || world.counted("refused") == 1).await;
}
