//! A gateway that tells a collector of every request, unless a test has it otherwise.

use std::sync::Arc;

use shapegate::clock::{Clock, SystemClock};
use shapegate_origin::Origin;

use crate::collector::{Collector, Told};
use crate::support::gateway::{Gateway, origin, request};
use crate::support::patience::until;
use crate::support::raw::Answer;
use crate::support::token::IDENTITY;

/// Members see their organisation; items are everybody's, under a path that captures.
pub const SHAPES: &str = r#"
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    rules:
      - { when: '"admin" in user.roles', rows: all }
      - { when: user.org_id != 0, rows: { where: '"org_id" = $1', params: [user.org_id] } }
  items:
    path: /api/boards/{board:text}/items
    table: items
    columns: all
    access: public
    rules: [{ rows: all }]
"#;
pub const USERS: &str = "/api/shapes/users?offset=-1";
pub const ITEMS: &str = "/api/boards/canary-board/items?offset=-1";

pub struct World {
    pub gateway: Gateway,
    pub collector: Collector,
}

impl World {
    /// Everything is recorded.
    pub async fn start() -> Self {
        Self::with("sample_ratio: 1", "").await
    }

    /// With these keys below `traces` and these lines beside it.
    pub async fn with(traces: &str, more: &str) -> Self {
        Self::of(
            traces,
            &format!("{more}{IDENTITY}{SHAPES}"),
            Arc::new(SystemClock),
        )
        .await
    }

    /// With `rest` after `traces`.
    pub async fn of(traces: &str, rest: &str, clock: Arc<dyn Clock>) -> Self {
        Self::before(origin(), traces, rest, clock).await
    }

    /// With a collector that is there already, and these keys beside its URL.
    pub async fn telling(collector: Collector, otlp: &str, clock: Arc<dyn Clock>) -> Self {
        let traces = traces_with(&collector.url(), otlp, "sample_ratio: 1");
        let origin = origin();
        let url = origin.url();
        let rest = format!("{traces}{IDENTITY}{SHAPES}");
        let gateway = Gateway::before_url(origin, url, &rest, clock).await;
        Self { gateway, collector }
    }

    async fn before(origin: Origin, traces: &str, rest: &str, clock: Arc<dyn Clock>) -> Self {
        let url = origin.url();
        let collector = Collector::start().await;
        let rest = format!("{}{rest}", traces_to(&collector.url(), traces));
        let gateway = Gateway::before_url(origin, url, &rest, clock).await;
        Self { gateway, collector }
    }

    /// Before an upstream that is somewhere else.
    pub async fn before_url(url: String, traces: &str) -> Self {
        let collector = Collector::start().await;
        let rest = format!("{}{IDENTITY}{SHAPES}", traces_to(&collector.url(), traces));
        let gateway = Gateway::before_url(origin(), url, &rest, Arc::new(SystemClock)).await;
        Self { gateway, collector }
    }

    pub async fn get(&self, target: &str, token: Option<&str>) -> Answer {
        self.gateway.get(target, token).await
    }

    pub async fn get_with(&self, target: &str, token: Option<&str>, headers: &[(&str, &str)]) -> Answer {
        let bytes = request("GET", target, token, headers, "");
        self.gateway.connect().await.ask(bytes).await
    }

    /// Waits until all that has begun is over.
    pub async fn rest(&self) {
        let metrics = &self.gateway.state.metrics;
        until("nothing is under way", || {
            metrics.in_flight.get() == 0 && metrics.hub.fetches.get() == 0
        })
        .await;
    }

    /// Has the end of the process send what is queued.
    pub async fn finish(&self) {
        self.rest().await;
        let traces = self.gateway.state.traces.clone();
        tokio::task::spawn_blocking(move || traces.finish())
            .await
            .unwrap();
    }

    /// All spans of everything that was asked, by when they began.
    pub async fn spans(&self) -> Vec<Told> {
        self.finish().await;
        let mut spans = self.collector.spans();
        spans.sort_by_key(|span| span.start);
        spans
    }

    /// The `traceparent` of the one request that the stand-in received.
    pub fn received_traceparent(&self) -> String {
        let received = self.gateway.received_one();
        received.header("traceparent").unwrap().to_owned()
    }

    /// How many spans came to this.
    pub fn counted(&self, outcome: &str) -> u64 {
        self.metric(&format!("shapegate_trace_spans_total{{outcome=\"{outcome}\"}} "))
    }

    /// How many exports came to this.
    pub fn exports_counted(&self, outcome: &str) -> u64 {
        self.metric(&format!(
            "shapegate_trace_exports_total{{outcome=\"{outcome}\"}} "
        ))
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.gateway.state.metrics.render().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}"))
            .parse()
            .unwrap()
    }
}

fn traces_to(url: &str, more: &str) -> String {
    traces_with(url, "", more)
}

fn traces_with(url: &str, otlp: &str, more: &str) -> String {
    format!("traces: {{ otlp: {{ url: '{url}', {otlp} }}, {more} }}\n")
}

/// The only span of a kind.
pub fn only<'s>(spans: &'s [Told], kind: &str) -> &'s Told {
    let mut of_kind = spans.iter().filter(|span| span.kind == kind);
    let one = of_kind
        .next()
        .unwrap_or_else(|| panic!("no {kind} in {spans:#?}"));
    assert!(of_kind.next().is_none(), "several {kind} in {spans:#?}");
    one
}

/// The only span of a name.
pub fn named<'s>(spans: &'s [Told], name: &str) -> &'s Told {
    let mut with_name = spans.iter().filter(|span| span.name == name);
    let one = with_name
        .next()
        .unwrap_or_else(|| panic!("no {name} in {spans:#?}"));
    assert!(with_name.next().is_none(), "several {name} in {spans:#?}");
    one
}
