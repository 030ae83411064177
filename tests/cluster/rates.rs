//! Rates that gateways share.

use std::sync::Arc;

use serde_json::json;
use shapegate::breaker::PAUSE_MIN;
use shapegate::clock::ManualClock;
use shapegate_core::time::UnixMillis;

use crate::gateways::{TARGET, apart, asks, documented_user, metric, settings, together};
use crate::place::users;
use crate::support::gateway::{Gateway, origin};
use crate::support::redis::Redis;
use crate::support::token::{self, member, token};

fn text(redis: &Redis, limits: &str) -> String {
    let url = redis.url();
    format!(
        "limits: {{ {limits} }}\ncluster: {{ redis: {{ url: \"{url}\", timeout: 10s }} }}\n{}",
        users()
    )
}

/// A gateway on whose own clock nothing passes: what it refuses or not is Redis' doing alone.
async fn timeless(redis: &Redis, limits: &str) -> Gateway {
    let clock = ManualClock::at(UnixMillis::from_seconds(token::now()));
    let gateway = Gateway::before(origin(), &text(redis, limits), Arc::new(clock)).await;
    gateway.run_beside();
    together(&gateway).await;
    gateway
}

/// How often Redis was asked for a rate.
fn questions(gateway: &Gateway) -> f64 {
    let of = |outcome: &str| {
        let name = format!("shapegate_cluster_rates_total{{outcome=\"{outcome}\"}}");
        metric(gateway, &name).unwrap()
    };
    of("granted") + of("refused") + of("unanswered")
}

#[tokio::test]
async fn two_gateways_together_let_one_minutes_worth_through() {
    let redis = Redis::start().await;
    let limits = "per_subject: { requests_per_minute: 6, new_shapes_per_minute: none }";
    let gateways = [timeless(&redis, limits).await, timeless(&redis, limits).await];
    let began = redis.micros().await;
    let (mut served, mut refused) = (0, 0);
    for number in 0..24 {
        match asks(&gateways[number % 2], 1).await {
            (200, _) => served += 1,
            (429, code) => {
                assert_eq!(code, "rate_limited");
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    // One more every ten seconds, on a machine that takes so long.
    let more = (redis.micros().await - began).div_ceil(10_000_000);
    assert!(
        (6..=6 + more).contains(&served),
        "{served} of 24, {refused} refused"
    );
    for gateway in &gateways {
        assert_eq!(asks(gateway, 2).await.0, 200, "another subject");
    }
    let answer = gateways[0].get(TARGET, Some(&member(1))).await;
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn tenants_and_addresses_are_counted_together_as_well() {
    for scope in ["per_tenant", "per_address"] {
        let redis = Redis::start().await;
        let limits = format!("{scope}: {{ requests_per_minute: 2 }}");
        let (here, there) = (timeless(&redis, &limits).await, timeless(&redis, &limits).await);
        assert_eq!(
            (asks(&here, 1).await.0, asks(&there, 2).await.0),
            (200, 200),
            "{scope}"
        );
        assert_eq!(
            (asks(&here, 3).await.0, asks(&there, 4).await.0),
            (429, 429),
            "{scope}"
        );
    }
}

#[tokio::test]
async fn what_is_refused_here_asks_nobody_and_what_was_refused_is_remembered() {
    let redis = Redis::start().await;
    let limits = "per_subject: { requests_per_minute: 3, new_shapes_per_minute: none }";
    let (here, there) = (timeless(&redis, limits).await, timeless(&redis, limits).await);
    for number in 0..20 {
        assert_eq!(asks(&here, 1).await.0, if number < 3 { 200 } else { 429 });
    }
    assert!((questions(&here) - 3.0).abs() < 0.1, "{}", questions(&here));
    for _ in 0..20 {
        assert_eq!(asks(&there, 1).await.0, 429);
    }
    assert!((questions(&there) - 1.0).abs() < 0.1, "{}", questions(&there));
}

#[tokio::test]
async fn a_greater_rate_is_asked_for_by_the_second() {
    let redis = Redis::start().await;
    let here = timeless(
        &redis,
        "per_subject: { requests_per_minute: 600, new_shapes_per_minute: none }",
    )
    .await;
    for _ in 0..40 {
        assert_eq!(asks(&here, 1).await.0, 200);
    }
    assert!((questions(&here) - 4.0).abs() < 0.1, "{}", questions(&here));
}

#[tokio::test]
async fn nobody_is_asked_where_nothing_is_limited_or_nobody_else_could_know_who_asks() {
    let redis = Redis::start().await;
    let none =
        "per_subject: { new_shapes_per_minute: none, subsets_per_minute: none, mints_per_minute: none }";
    let here = timeless(&redis, none).await;
    for _ in 0..5 {
        assert_eq!(asks(&here, 1).await.0, 200);
    }
    assert!(questions(&here) < 0.1);
    let nameless = timeless(
        &redis,
        "per_subject: { requests_per_minute: 2, new_shapes_per_minute: none }",
    )
    .await;
    let token = token(json!({ "sub": null, "org_id": 1 }));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(nameless.get(TARGET, Some(&token)).await.status);
    }
    assert_eq!(statuses, [200, 200, 429], "counted here alone");
    assert!(questions(&nameless) < 0.1);
}

#[tokio::test]
async fn garbage_in_place_of_a_rate_counts_as_nothing_used_or_all_of_it() {
    let redis = Redis::start().await;
    let limits = "per_subject: { requests_per_minute: 2, new_shapes_per_minute: none }";
    let here = timeless(&redis, limits).await;
    assert_eq!(asks(&here, 1).await.0, 200);
    let keys: Vec<String> = redis.ask(&["KEYS", "shapegate:rate:*"]).await;
    let [key] = keys.as_slice() else {
        panic!("{keys:?}")
    };
    assert!(!key.contains("user"), "nobody's id is in it: {key}");
    for garbage in [
        &["SET", key, "x"][..],
        &["SET", key, "nan"],
        &["SET", key, "-inf"],
        &["SET", key, ""],
    ] {
        let () = redis.ask(garbage).await;
        let other = timeless(&redis, limits).await;
        assert_eq!(
            (asks(&other, 1).await.0, asks(&other, 1).await.0),
            (200, 200),
            "{garbage:?}"
        );
    }
    let () = redis.ask(&["DEL", key]).await;
    let _: i64 = redis.ask(&["LPUSH", key, "x"]).await;
    let other = timeless(&redis, limits).await;
    assert_eq!((asks(&other, 1).await.0, asks(&other, 1).await.0), (200, 200));
    for far in ["inf", "9e99", "99999999999999999999"] {
        let () = redis.ask(&["SET", key, far]).await;
        let other = timeless(&redis, limits).await;
        let answer = other.get(TARGET, Some(&member(1))).await;
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!(answer.status == 429 && seconds <= 30, "{far}: {seconds}");
    }
    let lasts: i64 = redis.ask(&["PTTL", key]).await;
    assert!(lasts < 60_001, "{lasts}");
}

#[tokio::test]
async fn without_redis_each_gateway_counts_for_itself() {
    let mut redis = Redis::start().await;
    let limits = "per_subject: { requests_per_minute: 2, new_shapes_per_minute: none }";
    let gateways = [
        Gateway::start(&text(&redis, limits)).await,
        Gateway::start(&text(&redis, limits)).await,
    ];
    for gateway in &gateways {
        gateway.run_beside();
        together(gateway).await;
    }
    redis.kill();
    for gateway in &gateways {
        apart(gateway).await;
        let mut served = 0;
        while asks(gateway, 1).await.0 == 200 {
            served += 1;
        }
        assert!(served >= 2, "{served}");
    }
}

#[tokio::test]
async fn a_redis_that_gives_no_rates_is_left_alone_and_told_of_and_nobody_is_refused_for_it() {
    let redis = Redis::start().await;
    // Whoever set up its user forgot the keys of rates.
    let line = documented_user();
    let forgetful = line.replace("~shapegate:*", "~shapegate:revocations ~shapegate:changes");
    assert_ne!(forgetful, line);
    let () = redis.ask(&forgetful.split(' ').collect::<Vec<_>>()).await;
    let clock = ManualClock::at(UnixMillis::from_seconds(token::now()));
    let limits = "limits: { per_subject: { requests_per_minute: 1000, new_shapes_per_minute: none } }";
    let text = format!("{limits}\n{}", users());
    let gateway = Gateway::before(origin(), &text, Arc::new(clock.clone())).await;
    gateway.run_beside();
    let url = format!("redis://shapegate:password@{}/1", redis.address);
    gateway.state.cluster.set(Some(settings(&url)));
    together(&gateway).await;
    for number in 1..=20 {
        assert_eq!(asks(&gateway, number).await.0, 200);
    }
    let rates = |outcome: &str| {
        metric(
            &gateway,
            &format!("shapegate_cluster_rates_total{{outcome=\"{outcome}\"}}"),
        )
        .unwrap()
    };
    assert!((rates("unanswered") - 5.0).abs() < 0.1, "{}", rates("unanswered"));
    assert!(
        (rates("left_alone") - 15.0).abs() < 0.1,
        "{}",
        rates("left_alone")
    );
    let stands = |state: &str| {
        gateway.state.metrics.breakers.take(&gateway.state);
        let name = format!("shapegate_breakers{{name=\"rates\",service=\"cluster\",state=\"{state}\"}}");
        metric(&gateway, &name)
    };
    assert_eq!((stands("open"), stands("half_open")), (Some(1.0), Some(0.0)));
    clock.advance(PAUSE_MIN);
    assert_eq!((stands("open"), stands("half_open")), (Some(0.0), Some(1.0)));
    let () = redis.ask(&line.split(' ').collect::<Vec<_>>()).await;
    assert_eq!(asks(&gateway, 99).await.0, 200);
    assert_eq!(stands("closed"), Some(1.0), "one trial brings it back");
}
