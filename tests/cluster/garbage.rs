//! Anything at all under our keys.

use shapegate::cluster::Told;

use crate::gateways::{
    apart, asks, denied, denies, gateway, metric, revoke, subject, take_back, together, two,
};
use crate::support::patience::{soon, until};
use crate::support::redis::Redis;

const RECORDS: &str = "shapegate:revocations";
const CHANGES: &str = "shapegate:changes";

/// The field of the one record.
async fn field(redis: &Redis) -> String {
    let fields: Vec<String> = redis.ask(&["HKEYS", RECORDS]).await;
    assert_eq!(fields.len(), 1);
    fields.into_iter().next().unwrap()
}

async fn record(redis: &Redis, field: &str) -> String {
    let record: Vec<u8> = redis.ask(&["HGET", RECORDS, field]).await;
    String::from_utf8_lossy(&record).into_owned()
}

/// Waits until a record denies somebody.
async fn mended(redis: &Redis, field: &str, whom: &str) {
    let looking = async {
        loop {
            let text = record(redis, field).await;
            let is_ours = text
                .split_once(" +{")
                .is_some_and(|(_, rest)| rest.contains(whom));
            if is_ours && serde_json::from_str::<serde_json::Value>(text.split_once('+').unwrap().1).is_ok() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    soon(looking).await;
}

#[tokio::test]
async fn garbage_in_place_of_a_record_is_put_right_and_revokes_nothing_less() {
    let redis = Redis::start().await;
    let (here, there) = two(&redis).await;
    revoke(&here, subject("user_of_1")).await;
    denies(&there, &["user_of_1"]).await;
    let field = field(&redis).await;
    let giant = "x".repeat(1_000_000);
    for garbage in [
        "",
        "x",
        "-1 -",
        "99999999999999999999 -",
        "1 -",
        "8000000000000000 +garbage",
        "8100000000000000 +{\"kind\":\"nobody\",\"value\":\"x\"}",
        "8200000000000000 +{\"kind\":\"subject\",\"value\":\"somebody else\"}",
        giant.as_str(),
        &format!("8300000000000000 +{giant}"),
    ] {
        let () = redis.ask(&["HSET", RECORDS, &field, garbage]).await;
        // Something else changes, so that it is looked at.
        let () = redis.ask(&["DEL", CHANGES]).await;
        mended(&redis, &field, "user_of_1").await;
        let later = gateway(&redis).await;
        for gateway in [&here, &there, &later] {
            assert_eq!(
                denied(gateway),
                ["user_of_1"],
                "{}",
                &garbage[..garbage.len().min(40)]
            );
            assert_eq!(asks(gateway, 1).await.0, 403);
        }
    }
    assert_eq!(take_back(&there, &subject("user_of_1")).await, (1, Told::ALL));
    denies(&here, &[]).await;
}

#[tokio::test]
async fn records_that_are_nobodys_are_passed_over_and_counted() {
    let redis = Redis::start().await;
    let here = gateway(&redis).await;
    revoke(&here, subject("user_of_1")).await;
    let field = field(&redis).await;
    let text = record(&redis, &field).await;
    let long = "f".repeat(100_000);
    let other = "A".repeat(43);
    for (field, value) in [
        ("hello", "world"),
        (long.as_str(), "1 -"),
        (other.as_str(), text.as_str()),
        ("\u{e9}", "1 +{}"),
        ("giant", &"x".repeat(2_000_000)),
    ] {
        let () = redis.ask(&["HSET", RECORDS, field, value]).await;
    }
    let there = gateway(&redis).await;
    assert_eq!(denied(&there), ["user_of_1"]);
    assert_eq!(metric(&there, "shapegate_cluster_unreadable"), Some(5.0));
    assert_eq!(revoke(&there, subject("user_of_2")).await, Told::ALL);
    denies(&here, &["user_of_1", "user_of_2"]).await;
    let left: i64 = redis.ask(&["HLEN", RECORDS]).await;
    assert_eq!(left, 7, "nobody removes what is not ours");
}

#[tokio::test]
async fn keys_of_another_type_leave_what_is_known_and_once_they_are_gone_all_is_written() {
    let redis = Redis::start().await;
    let (here, there) = two(&redis).await;
    revoke(&here, subject("user_of_1")).await;
    denies(&there, &["user_of_1"]).await;
    for key in [RECORDS, CHANGES] {
        let () = redis.ask(&["SET", key, "something else"]).await;
        apart(&here).await;
        apart(&there).await;
        for gateway in [&here, &there] {
            assert_eq!(denied(gateway), ["user_of_1"]);
            assert_eq!(asks(gateway, 1).await.0, 403);
        }
        assert_eq!(revoke(&here, subject(key)).await, Told::THIS_FOR_NOW);
        let () = redis.ask(&["DEL", key]).await;
        together(&here).await;
        together(&there).await;
        until("it is told", || denied(&there).contains(&key.to_owned())).await;
        take_back(&here, &subject(key)).await;
        denies(&there, &["user_of_1"]).await;
    }
}

#[tokio::test]
async fn changes_that_are_nobodys_change_nothing() {
    let redis = Redis::start().await;
    let (here, there) = two(&redis).await;
    revoke(&here, subject("user_of_1")).await;
    denies(&there, &["user_of_1"]).await;
    let field = field(&redis).await;
    let giant = "x".repeat(20 * 1024 * 1024);
    for (name, value) in [
        ("a", "b"),
        ("field", &field),
        ("record", "9 -"),
        ("giant", &giant),
    ] {
        let () = redis.ask(&["XADD", CHANGES, "*", name, value]).await;
    }
    // One that says truly where it stands, and lies about the rest.
    let last: Vec<redis::Value> = redis.ask(&["XREVRANGE", CHANGES, "+", "-", "COUNT", "1"]).await;
    assert_eq!(last.len(), 1);
    for gateway in [&here, &there] {
        assert_eq!(denied(gateway), ["user_of_1"]);
    }
    // Whoever has read the giant leaves Redis and comes back, now or in a moment.
    let telling = async {
        together(&there).await;
        while revoke(&there, subject("user_of_2")).await != Told::ALL {
            together(&there).await;
        }
    };
    soon(telling).await;
    denies(&here, &["user_of_1", "user_of_2"]).await;
    for gateway in [&here, &there] {
        together(gateway).await;
        denies(gateway, &["user_of_1", "user_of_2"]).await;
    }
}
