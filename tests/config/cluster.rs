use crate::support::{Given, accepted_in, and, load_in, refused_in};
use shapegate::config::{ClusterSettings, RedisPlace};
use std::time::Duration;

fn given() -> Given {
    Given::new()
        .variable("REDIS_URL", "rediss://app:redis-canary@redis.example:6380/3")
        .variable("REDIS_PASSWORD", "other-canary")
        .variable("NO_REDIS", "http://:redis-canary@redis")
        .variable("REDIS_USER", "redis://app@redis")
}

fn settings(redis: &str) -> ClusterSettings {
    let loaded = accepted_in(&and(&format!("cluster: {{ redis: {{ {redis} }} }}\n")), &given());
    loaded.config.server.cluster.unwrap()
}

fn complaint(cluster: &str) -> String {
    refused_in(&and(&format!("cluster: {cluster}\n")), &given())
}

#[test]
fn a_url_is_a_secret_and_everything_else_has_a_default() {
    let cluster = settings("url: { env: REDIS_URL }");
    assert_eq!(cluster.url.user.as_deref(), Some("app"));
    assert_eq!(cluster.url.password.as_deref(), Some("redis-canary"));
    let tls = RedisPlace::Tcp {
        host: "redis.example".to_owned(),
        port: 6380,
        tls: true,
    };
    assert_eq!((cluster.url.place.clone(), cluster.url.database), (tls, 3));
    assert_eq!(
        (cluster.prefix.as_str(), cluster.timeout),
        ("shapegate", Duration::from_millis(100))
    );
    assert!(cluster.ca.is_none() && !format!("{cluster:?}").contains("canary"));

    let cluster =
        settings("url: redis://redis, password: { env: REDIS_PASSWORD }, prefix: \"a:b\", timeout: 5ms");
    assert_eq!(cluster.url.password.as_deref(), Some("other-canary"));
    assert_eq!(
        (cluster.prefix.as_str(), cluster.timeout),
        ("a:b", Duration::from_millis(5))
    );
    assert!(accepted_in(&and(""), &given()).config.server.cluster.is_none());
}

#[test]
fn what_is_printed_has_the_defaults_and_no_secret_and_reads_back() {
    let text = and("cluster: { redis: { url: { env: REDIS_URL } } }\n");
    let printed = accepted_in(&text, &given()).print();
    assert!(
        printed.contains("env: REDIS_URL") && printed.contains("timeout: 100ms"),
        "{printed}"
    );
    assert!(
        printed.contains("prefix: \"shapegate\"") && !printed.contains("canary"),
        "{printed}"
    );
    assert_eq!(accepted_in(&printed, &given()).print(), printed);
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_without_the_secret() {
    for (cluster, message) in [
        ("{}", "`cluster` lacks the key `redis`"),
        ("{ redis: {} }", "`redis` lacks the key `url`"),
        (
            "{ redis: { url: redis://a:redis-canary@redis } }",
            "does not stay secret here",
        ),
        (
            "{ redis: { url: redis://redis-canary@redis } }",
            "does not stay secret here",
        ),
        (
            "{ redis: { url: { env: NO_REDIS } } }",
            "it begins with none of `redis://`",
        ),
        (
            "{ redis: { url: { env: REDIS_USER } } }",
            "a user without a password",
        ),
        ("{ redis: { url: { env: MISSING } } }", "MISSING is not set"),
        (
            "{ redis: { url: { env: REDIS_URL }, password: { env: REDIS_PASSWORD } } }",
            "the password is in `url` and in `password`",
        ),
        (
            "{ redis: { url: redis://redis, password: other-canary } }",
            "`password` is written in the configuration",
        ),
        ("{ redis: { url: redis://redis, ca: ca.pem } }", "cannot be read"),
        (
            "{ redis: { url: redis://redis, prefix: \"a b\" } }",
            "`prefix` cannot begin keys",
        ),
        (
            "{ redis: { url: redis://redis, prefix: \"{a}\" } }",
            "`prefix` cannot begin keys",
        ),
        (
            "{ redis: { url: redis://redis, timeout: 1ms } }",
            "`timeout` must be between 5ms and 10s",
        ),
        (
            "{ redis: { url: redis://redis, prefx: a } }",
            "unknown key `prefx`",
        ),
        (
            "{ redis: { url: redis://redis }, valkey: {} }",
            "unknown key `valkey`",
        ),
        ("off", "`cluster` must be a map of keys"),
    ] {
        let told = complaint(cluster);
        assert!(told.contains(message), "{cluster}: {told}");
        assert!(told.contains("/etc/shapegate.yaml:4:"), "{told}");
        assert!(
            !told.contains("redis-canary") || cluster.contains("redis-canary"),
            "{told}"
        );
    }
    assert!(complaint("").contains("`cluster` has no value"));
}

#[test]
fn revocations_in_clear_text_through_the_internet_are_warned_of() {
    let warnings = |url: &str| {
        let text = and(&format!("cluster: {{ redis: {{ url: \"{url}\" }} }}\n"));
        load_in(&text, &given()).unwrap().warnings.render()
    };
    assert!(warnings("redis://redis.example").contains("revocations travel to redis.example in clear text"));
    for quiet in [
        "redis://redis",
        "redis://10.0.0.7",
        "redis://redis.svc.cluster.local",
        "redis://localhost",
        "rediss://redis.example",
        "unix:///run/redis.sock",
    ] {
        assert_eq!(warnings(quiet), "", "{quiet}");
    }
}
