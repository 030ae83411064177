//! Random queries and bodies through the real gateway: no text of a client's reaches the shape upstream.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use shapegate_origin::Received;

use crate::support::gateway::Gateway;
use crate::world::{ask, clean_target, post, start, warm_up};

/// Requests of one run.
const CASES: u32 = 300;

/// Marks text that came from a client.
const MARK: &str = "evil";

fn name() -> impl Strategy<Value = String> {
    let names = [
        "table",
        "where",
        "columns",
        "replica",
        "log",
        "offset",
        "handle",
        "live",
        "cursor",
        "params[1]",
        "params[2]",
        "params%5B1%5D",
        "secret",
        "api_secret",
        "queryable_columns",
        "source_id",
        "subset__where",
        "subset__params",
        "subset__limit",
        "subset__order_by",
        "expired_handle",
        "cache-buster",
        "where[]",
        "t%61ble",
        "Table",
        "x",
        "",
    ];
    prop_oneof![4 => select(names.to_vec()).prop_map(str::to_owned), 1 => "[a-z_%\\[\\]]{0,12}"]
}

fn value() -> impl Strategy<Value = String> {
    let values = [
        "evil",
        "users",
        "public.evil",
        "evil%3D1",
        "id,evil",
        "evil%20OR%20true",
        "1%29%20OR%20%28evil",
        "true",
        "-1",
        "0_0",
        "1-1",
        "1",
        "2",
        "%22evil%22",
        "'evil'",
        "name%3D'evil'",
        "evil%26secret%3Dx",
        "evil%23",
        "full",
        "%7B%221%22%3A%22evil%22%7D",
        "id",
        "evil%0d%0a",
        "",
        "%",
        "evil%25",
        "evil%2500",
    ];
    prop_oneof![4 => select(values.to_vec()).prop_map(str::to_owned), 1 => "[ -~]{0,12}".prop_map(|text| text.replace(['#', ' '], ""))]
}

fn query() -> impl Strategy<Value = String> {
    vec((name(), value()), 0..5).prop_map(|pairs| {
        let pairs = pairs.into_iter().map(|(name, value)| format!("&{name}={value}"));
        pairs.collect()
    })
}

fn body() -> impl Strategy<Value = String> {
    let keys = [
        "where",
        "params",
        "limit",
        "offset",
        "order_by",
        "table",
        "columns",
        "secret",
        "subset",
        "where_expr",
    ];
    let values = [
        "\"evil\"",
        "\"name = 'evil'\"",
        "\"id = 1\"",
        "{\"1\":\"evil\"}",
        "5",
        "0",
        "\"id\"",
        "\"id DESC\"",
        "null",
        "[]",
        "{}",
        "\"id; evil\"",
        "\"name = $1\"",
        "true",
        "\"ssn = 'evil'\"",
        "\"(name)\"",
    ];
    let members = vec((select(keys.to_vec()), select(values.to_vec())), 0..5);
    (members, any::<bool>()).prop_map(|(members, wrapped)| {
        let members: Vec<_> = members
            .into_iter()
            .map(|(key, value)| format!("\"{key}\":{value}"))
            .collect();
        let inner = format!("{{{}}}", members.join(","));
        if wrapped {
            format!("{{\"subset\":{inner}}}")
        } else {
            inner
        }
    })
}

/// The shape's part of a target: all but position and log mode.
fn shape_of(target: &str) -> Vec<&str> {
    const POSITION: [&str; 7] = [
        "cache-buster=",
        "cursor=",
        "expired_handle=",
        "handle=",
        "live",
        "log=",
        "offset=",
    ];
    let (path, query) = target.split_once('?').expect("a query");
    let pairs = query
        .split('&')
        .filter(|pair| !POSITION.iter().any(|name| pair.starts_with(name)));
    std::iter::once(path).chain(pairs).collect()
}

/// Holds what arrived against the server's own shape.
fn check(received: &[Received]) -> Result<(), TestCaseError> {
    let clean = clean_target();
    for one in received {
        prop_assert_eq!(shape_of(&one.target), shape_of(&clean));
        if one.body.is_empty() {
            continue;
        }
        let body: serde_json::Value = serde_json::from_slice(&one.body).expect("our own JSON");
        let outer: Vec<_> = body.as_object().expect("an object").keys().collect();
        prop_assert_eq!(outer, ["subset"]);
        let inner = body["subset"].as_object().expect("an object");
        for (key, value) in inner {
            let known = ["where", "params", "limit", "offset", "order_by"];
            prop_assert!(known.contains(&key.as_str()), "{}", key);
            // A client's words are values, or columns of the shape; never text of a filter or an order.
            prop_assert!(key == "params" || !value.to_string().contains(MARK), "{}", body);
        }
    }
    Ok(())
}

fn run<S: Strategy<Value = (String, Option<String>)>>(strategy: &S) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let gateway: Gateway = runtime.block_on(async {
        let gateway = start().await;
        warm_up(&gateway).await;
        gateway
    });
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(strategy, |(target, body)| {
        gateway.origin.forget_received();
        let status = runtime.block_on(async {
            match &body {
                None => ask(&gateway, &target).await.status,
                Some(body) => {
                    post(&gateway, &target, &[("content-type", "application/json")], body)
                        .await
                        .status
                }
            }
        });
        prop_assert!(status < 500, "{} for {}", status, target);
        check(&gateway.origin.received())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

#[test]
fn no_random_query_changes_the_shape() {
    let routes = select(vec!["users", "strict", "ignoring", "subsets"]);
    run(&(routes, query()).prop_map(|(route, query)| (format!("/api/shapes/{route}?offset=-1{query}"), None)));
}

#[test]
fn no_random_body_changes_the_shape() {
    let target = "/api/shapes/subsets?offset=-1".to_owned();
    run(&body().prop_map(move |body| (target.clone(), Some(body))));
}
