//! Whatever a client sends, the upstream receives the server's own shape and nothing of the client's.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use shapegate_core::policy::ShapePolicy;
use shapegate_core::request::{Asked, Declared, Subset, Verb};

use super::support::{DEFINITION, base, definition_pairs, ignoring, pairs, secret, send_as, user};

/// What the client writes where it can; it must not arrive.
const CANARY: &str = "canary";

fn names() -> impl Strategy<Value = String> {
    let known = vec![
        "table",
        "where",
        "columns",
        "replica",
        "params[1]",
        "params[2]",
        "params[01]",
        "params[]",
        "params",
        "queryable_columns",
        "secret",
        "api_secret",
        "source_id",
        "database_id",
        "table[]",
        "subset[where]",
        "log",
        "cursor",
        "cache-buster",
        "expired_handle",
        "live",
        "live_sse",
        "experimental_live_sse",
        "handle",
        "offset",
        "Table",
        "subset__where",
        "subset__order_by",
        "subset__table",
        "experimental_compaction",
        "canary",
    ];
    prop_oneof![8 => proptest::sample::select(known).prop_map(String::from), 1 => "\\PC{0,12}"]
}

fn values() -> impl Strategy<Value = String> {
    let hostile = vec![
        "canary",
        "canary,id",
        "canary = 1",
        "canary = $1",
        "1=1) OR (1=1",
        "canary' OR '1'='1",
        "true",
        "false",
        "full",
        "default",
        "changes_only",
        "-1",
        "now",
        "0_0",
        "0_inf",
        "7",
        "",
        " ",
        "canary\u{0}",
        "canary&table=x",
        "id",
        "title",
        "todos",
        "\"canary\"",
        "public.canary",
        "canary--",
        "1-1",
    ];
    prop_oneof![8 => proptest::sample::select(hostile).prop_map(String::from), 1 => "\\PC{0,40}"]
}

fn encode(text: &str, raw: bool) -> String {
    if raw {
        text.replace(' ', "+")
    } else {
        utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
    }
}

prop_compose! {
    fn queries()(
        start in proptest::sample::select(vec!["offset=-1", "offset=now", "offset=0_0&handle=1-1", "handle=1-1&live=true&offset=3_inf", ""]),
        pairs in proptest::collection::vec((names(), values(), any::<(bool, bool)>()), 0..5),
    ) -> String {
        let mut query = start.to_owned();
        for (name, value, (raw_name, raw_value)) in pairs {
            query.push_str(&format!("&{}={}", encode(&name, raw_name), encode(&value, raw_value)));
        }
        query
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        values().prop_map(Into::into),
    ];
    let keys = proptest::sample::select(vec![
        "where",
        "params",
        "limit",
        "offset",
        "order_by",
        "where_expr",
        "order_by_expr",
        "subset",
        "table",
        "columns",
        "queryable_columns",
        "handle",
        "1",
        "2",
        "canary",
    ]);
    leaf.prop_recursive(3, 24, 5, move |inner| {
        prop_oneof![
            4 => proptest::collection::btree_map(keys.clone().prop_map(String::from), inner.clone(), 0..5)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            1 => proptest::collection::vec(inner, 0..4).prop_map(Into::into),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_query_changes_what_the_upstream_is_asked_for(
        query in queries(), verb in proptest::sample::select(vec![Verb::Get, Verb::Head, Verb::Delete])
    ) {
        // The most lenient shape: whatever can be dropped is dropped instead of refused.
        let policy = ShapePolicy::compile(ignoring()).unwrap();
        if let Ok(request) = send_as(&policy, &user("acme"), &base(), verb, &query, b"") {
            let sent = definition_pairs(&request);
            let sent = sent.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            prop_assert!(sent.eq(DEFINITION), "{query} became {}", request.target_with(None));
            let target = request.target_with(Some(&secret()));
            prop_assert!(target.starts_with("/v1/shape?") && target.ends_with("&secret=s3cr%26t%20canary"));
            prop_assert!(target.bytes().all(|b| b.is_ascii_alphanumeric() || b"/?&=%-._~".contains(&b)), "{target}");
            for (name, value) in pairs(request.target_with(None).as_str()) {
                let free = matches!(name.as_str(), "cache-buster" | "expired_handle" | "handle");
                prop_assert!(free || !value.contains(CANARY), "{name}={value}");
            }
        }
    }

    #[test]
    fn reading_a_query_never_fails_but_by_a_refusal(query in "[ -~]{0,80}|\\PC{0,40}|[a-z_=&%\\[\\]+0-9]{0,80}") {
        for verb in [Verb::Get, Verb::Head, Verb::Post, Verb::Delete] {
            if let Err(refusal) = Asked::parse(verb, &query, &Declared::default()) {
                prop_assert!(matches!(refusal.status(), 400 | 414));
            }
        }
    }

    #[test]
    fn no_body_becomes_anything_but_a_subset(body in json()) {
        if let Ok(subset) = Subset::parse_body(body.to_string().as_bytes()) {
            let rebuilt: serde_json::Value = serde_json::from_slice(&subset.to_body()).unwrap();
            let outer = rebuilt.as_object().unwrap();
            prop_assert!(outer.keys().eq(["subset"]));
            let allowed = ["where", "params", "limit", "offset", "order_by"];
            prop_assert!(outer["subset"].as_object().unwrap().keys().all(|key| allowed.contains(&key.as_str())));
            prop_assert!(!subset.filter().is_some_and(|filter| filter.text().contains('\'')), "{rebuilt}");
            prop_assert_eq!(Subset::parse_body(&subset.to_body()).unwrap().to_body(), subset.to_body());
        }
    }

    #[test]
    fn reading_a_body_never_fails_but_by_a_refusal(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Err(refusal) = Subset::parse_body(&body) {
            prop_assert_eq!(refusal.status(), 400);
        }
    }
}
