//! What `/metrics` says of what happened, number by number.

use std::collections::BTreeMap;
use std::sync::Arc;

use shapegate::clock::SystemClock;
use shapegate_origin::{Fault, Misbehaviour};

use crate::journal::SHAPES;
use crate::support::gateway::{Gateway, get, origin, request};
use crate::support::patience::{soon, until};
use crate::support::ports::free_address;
use crate::support::raw::Answer;
use crate::support::token::{IDENTITY, member};

const USERS: &str = "/api/shapes/users?offset=-1";
const ITEMS: &str = "/api/shapes/items?offset=-1";

/// Every sample of ours that is not zero, as it is written.
fn counted(gateway: &Gateway, metric: &str) -> BTreeMap<String, f64> {
    let text = gateway.state.metrics.render().unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("shapegate_"));
    let samples = lines.filter_map(|line| line.strip_prefix(metric)?.rsplit_once(' '));
    samples
        .filter(|(labels, _)| labels.is_empty() || labels.starts_with('{'))
        .map(|(labels, value)| (labels.to_owned(), value.parse().unwrap()))
        .filter(|(_, value)| *value != 0.0)
        .collect()
}

fn is<const N: usize>(samples: [(&str, f64); N]) -> BTreeMap<String, f64> {
    samples.map(|(labels, value)| (labels.to_owned(), value)).into()
}

async fn start(more: &str) -> Gateway {
    Gateway::start(&format!("{more}{IDENTITY}{SHAPES}")).await
}

/// Where a client stands that has read everything.
fn place(answer: &Answer) -> String {
    let header = |name| answer.header(name).unwrap();
    format!(
        "/api/shapes/items?offset={}&handle={}",
        header("electric-offset"),
        header("electric-handle")
    )
}

#[tokio::test]
async fn unknown_parameters_are_counted_one_by_one() {
    let gateway = start("").await;
    assert_eq!(counted(&gateway, "dropped_parameters_total"), is([]));
    for more in ["&utm_source=x&utm_medium=y", "&fbclid=1", ""] {
        assert_eq!(gateway.get(&format!("{ITEMS}{more}"), None).await.status, 200);
    }
    assert_eq!(counted(&gateway, "dropped_parameters_total"), is([("", 3.0)]));
}

#[tokio::test]
async fn what_the_hub_does_with_reads_and_what_electric_answers_is_counted() {
    let gateway = start("").await;
    let first = gateway.get(ITEMS, None).await;
    assert_eq!(gateway.get(ITEMS, None).await.status, 200);
    let poll = format!("{}&live=true", place(&first));
    let (mut one, mut two) = (gateway.connect().await, gateway.connect().await);
    for (client, count) in [(&mut one, 1), (&mut two, 2)] {
        client.send(get(&poll, None)).await;
        until("it waits", || gateway.state.metrics.held.get() == count).await;
    }
    assert_eq!(counted(&gateway, "held_polls"), is([("", 2.0)]));
    until("it is asked", || gateway.origin.waiting() == 1).await;
    assert_eq!(counted(&gateway, "hub_fetches"), is([("", 1.0)]));
    gateway
        .origin
        .insert(
            "items",
            serde_json::json!({ "id": "00000000-0000-4000-8000-000000000001", "value": "new" }),
        )
        .unwrap();
    for client in [&mut one, &mut two] {
        assert_eq!(soon(client.answer()).await.unwrap().status, 200);
    }
    until("nobody waits", || gateway.state.metrics.held.get() == 0).await;
    let asked = is([
        ("{outcome=\"hit\"}", 1.0),
        ("{outcome=\"joined\"}", 1.0),
        ("{outcome=\"miss\"}", 2.0),
    ]);
    assert_eq!(counted(&gateway, "hub_asked_total"), asked);
    assert_eq!(counted(&gateway, "hub_fetches_total"), is([("", 2.0)]));
    assert_eq!(
        counted(&gateway, "upstream_answers_total"),
        is([("{outcome=\"2xx\"}", 2.0)])
    );
    assert_eq!(
        counted(&gateway, "upstream_head_seconds_count"),
        is([("", 1.0)]),
        "who waits for news is not timed"
    );
}

#[tokio::test]
async fn every_way_in_which_electric_fails_is_counted_as_that() {
    let gateway = start("").await;
    let mut expected = BTreeMap::new();
    let busy = Fault::Status {
        status: 503,
        retry_after: None,
    };
    for (number, (fault, status, outcome)) in [
        (Fault::Unauthorized, 502, "4xx"),
        (Fault::FalseGzip, 200, "2xx"),
        (Fault::Gzip, 502, "encoded"),
        (Fault::HtmlPage, 502, "2xx"),
        (busy, 503, "5xx"),
    ]
    .into_iter()
    .enumerate()
    {
        gateway.origin.behave();
        gateway.origin.misbehave(Misbehaviour::always(fault));
        let target = format!("{ITEMS}&cache-buster={number}");
        let answer = gateway.get(&target, None).await;
        assert_eq!(answer.status, status, "{outcome}: {}", answer.text());
        *expected
            .entry(format!("{{outcome=\"{outcome}\"}}"))
            .or_insert(0.0) += 1.0;
        assert_eq!(counted(&gateway, "upstream_answers_total"), expected);
    }
}

#[tokio::test]
async fn an_electric_that_is_not_there_is_unreachable_by_every_way_to_it() {
    let url = format!("http://{}", free_address());
    let text = format!(
        "{IDENTITY}{}",
        SHAPES.replace("  items: {", "  items: { hub: off,")
    );
    let gateway = Gateway::before_url(origin(), url, &text, Arc::new(SystemClock)).await;
    let ways = [
        ("GET", USERS, Some(member(1))),
        ("GET", ITEMS, None),
        ("HEAD", ITEMS, None),
    ];
    for (count, (method, target, token)) in (1..).zip(ways) {
        let bytes = request(method, target, token.as_deref(), &[("connection", "close")], "");
        let mut client = gateway.connect().await;
        client.send(bytes).await;
        assert_eq!(
            soon(client.head()).await.unwrap().status,
            502,
            "{method} {target}"
        );
        let expected = is([("{outcome=\"unreachable\"}", f64::from(count))]);
        assert_eq!(
            counted(&gateway, "upstream_answers_total"),
            expected,
            "{method} {target}"
        );
    }
    assert_eq!(counted(&gateway, "upstream_head_seconds_count"), is([]));
}

#[tokio::test]
async fn a_shape_that_was_rotated_is_counted_where_electric_says_so_and_where_we_do() {
    let gateway = start("").await;
    let first = gateway.get(ITEMS, None).await;
    gateway.origin.rotate(Some("items")).unwrap();
    let answer = gateway.get(&place(&first), None).await;
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert_eq!(counted(&gateway, "hub_must_refetch_total"), is([("", 1.0)]));
    assert_eq!(
        counted(&gateway, "upstream_answers_total")["{outcome=\"4xx\"}"],
        1.0
    );
}

#[tokio::test]
async fn what_is_refused_for_a_limit_is_counted_by_whose_and_which() {
    let gateway = start(
        "limits: { per_subject: { requests_per_minute: 2 }, per_address: { requests_per_minute: 5 } }\n",
    )
    .await;
    let mut statuses = Vec::new();
    for number in 0..4 {
        let target = format!("{USERS}&cache-buster={number}");
        statuses.push(gateway.get(&target, Some(&member(1))).await.status);
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
    for _ in 0..3 {
        gateway.get(ITEMS, None).await;
    }
    let limited = counted(&gateway, "limited_total");
    assert_eq!(
        limited["{limit=\"requests_per_minute\",scope=\"subject\"}"], 2.0,
        "{limited:?}"
    );
    assert_eq!(
        limited["{limit=\"requests_per_minute\",scope=\"address\"}"], 2.0,
        "{limited:?}"
    );
    let refusals = counted(&gateway, "refusals_total");
    assert_eq!(refusals["{code=\"rate_limited\"}"], 4.0, "{refusals:?}");
}
