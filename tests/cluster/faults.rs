//! Redis away, empty, silent, or closed to us.

use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use shapegate::admin::readiness::readiness;
use shapegate::clock::SystemClock;
use shapegate::cluster::{Standing, Told};
use tokio::net::TcpListener;

use crate::gateways::{
    TARGET, apart, asks, cluster, denied, denies, documented_user, gateway, metric, revoke, settings,
    subject, take_back, together, two,
};
use crate::place::users;
use crate::support::gateway::{Gateway, origin};
use crate::support::logs;
use crate::support::patience::{soon, until};
use crate::support::redis::Redis;
use crate::support::token::member;

#[tokio::test]
async fn redis_killed_leaves_both_serving_and_what_is_known_holds_and_goes_back_to_an_empty_one() {
    let mut redis = Redis::start().await;
    let (here, there) = two(&redis).await;
    revoke(&here, subject("user_of_1")).await;
    denies(&there, &["user_of_1"]).await;
    assert_eq!(metric(&here, "shapegate_cluster_up"), Some(1.0));

    redis.kill();
    for gateway in [&here, &there] {
        apart(gateway).await;
        assert_eq!(asks(gateway, 1).await, (403, "revoked".to_owned()));
        assert_eq!(asks(gateway, 2).await.0, 200);
        assert_eq!(metric(gateway, "shapegate_cluster_up"), Some(0.0));
        let (status, text) = readiness(&gateway.state, None);
        assert_eq!(status, 200);
        assert!(
            text.starts_with("ready\n") && text.contains("the cluster cannot be reached"),
            "{text}"
        );
    }
    assert_eq!(revoke(&here, subject("user_of_2")).await, Told::THIS_FOR_NOW);
    assert_eq!(asks(&here, 2).await.0, 403);
    assert_eq!(asks(&there, 2).await.0, 200, "nobody could tell it");
    assert_eq!(metric(&here, "shapegate_cluster_unwritten"), Some(1.0));
    assert_eq!(
        take_back(&there, &subject("user_of_1")).await,
        (1, Told::THIS_FOR_NOW)
    );

    redis.resume().await;
    for gateway in [&here, &there] {
        together(gateway).await;
        denies(gateway, &["user_of_2"]).await;
        assert_eq!(
            asks(gateway, 1).await.0,
            200,
            "what was taken back is not brought back"
        );
        assert_eq!(asks(gateway, 2).await.0, 403);
        assert_eq!(readiness(&gateway.state, None).1, "ready\n");
    }
    until("all is written", || {
        metric(&here, "shapegate_cluster_unwritten") == Some(0.0)
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_starts_without_redis_serves_and_shares_once_it_comes() {
    let mut redis = Redis::start().await;
    redis.kill();
    let text = format!("{}{}", cluster(&redis), users());
    let gateway = Gateway::start(&text).await;
    gateway.state.cluster.catch_up().await;
    gateway.run_beside();
    assert_eq!(asks(&gateway, 1).await.0, 200);
    assert_eq!(revoke(&gateway, subject("user_of_1")).await, Told::THIS_FOR_NOW);
    assert_eq!(asks(&gateway, 1).await.0, 403);
    redis.resume().await;
    together(&gateway).await;
    let records: i64 = redis.ask(&["HLEN", "shapegate:revocations"]).await;
    assert_eq!(records, 1);
}

#[tokio::test]
async fn a_redis_that_is_emptied_is_filled_again() {
    let redis = Redis::start().await;
    let (here, there) = two(&redis).await;
    revoke(&here, subject("user_of_1")).await;
    revoke(&here, subject("user_of_2")).await;
    denies(&there, &["user_of_1", "user_of_2"]).await;
    for emptying in [
        &["FLUSHALL"][..],
        &["DEL", "shapegate:revocations"],
        &["DEL", "shapegate:changes"],
    ] {
        let () = redis.ask(emptying).await;
        let filling = async {
            while redis.ask::<i64>(&["HLEN", "shapegate:revocations"]).await < 2 {
                tokio::task::yield_now().await;
            }
        };
        soon(filling).await;
        for gateway in [&here, &there] {
            assert_eq!(denied(gateway), ["user_of_1", "user_of_2"], "{emptying:?}");
            assert_eq!(gateway.state.cluster.standing(), Standing::Together);
        }
    }
    assert_eq!(revoke(&there, subject("user_of_3")).await, Told::ALL);
    denies(&here, &["user_of_1", "user_of_2", "user_of_3"]).await;
}

#[tokio::test]
async fn an_older_copy_of_the_list_revokes_nothing_less() {
    let redis = Redis::start().await;
    let (here, there) = two(&redis).await;
    revoke(&here, subject("user_of_1")).await;
    denies(&there, &["user_of_1"]).await;
    let () = redis.ask(&["COPY", "shapegate:revocations", "old"]).await;
    take_back(&here, &subject("user_of_1")).await;
    revoke(&here, subject("user_of_2")).await;
    denies(&there, &["user_of_2"]).await;
    // What a replica has that becomes the primary before it has everything.
    let () = redis
        .ask(&["COPY", "old", "shapegate:revocations", "REPLACE"])
        .await;
    let mending = async {
        while redis.ask::<i64>(&["HLEN", "shapegate:revocations"]).await < 2 {
            tokio::task::yield_now().await;
        }
    };
    soon(mending).await;
    let later = gateway(&redis).await;
    for gateway in [&here, &there, &later] {
        denies(gateway, &["user_of_2"]).await;
    }
}

#[tokio::test]
async fn a_redis_that_takes_connections_and_never_answers_keeps_nobody_waiting_for_long() {
    let redis = Redis::start().await;
    let limited = |url: &str| {
        let limits = "limits: { per_subject: { requests_per_minute: 100000 } }\n";
        format!(
            "{limits}cluster: {{ redis: {{ url: \"{url}\", timeout: 5ms }} }}\n{}",
            users()
        )
    };
    let gateway = Gateway::start(&limited(&redis.url())).await;
    gateway.run_beside();
    together(&gateway).await;
    redis.freeze(true);
    for _ in 0..50 {
        assert_eq!(asks(&gateway, 1).await.0, 200);
    }
    let unanswered = metric(&gateway, "shapegate_cluster_rates_total{outcome=\"unanswered\"}").unwrap();
    assert!(
        unanswered <= 10.0,
        "after a few failures nobody is asked: {unanswered}"
    );
    apart(&gateway).await;
    assert_eq!(asks(&gateway, 1).await.0, 200);
    redis.freeze(false);
    together(&gateway).await;

    // One that says nothing from the start.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let gateway = Gateway::start(&limited(&url)).await;
    gateway.run_beside();
    assert_eq!(asks(&gateway, 1).await.0, 200);
    assert_eq!(revoke(&gateway, subject("user_of_1")).await, Told::THIS_FOR_NOW);
    assert_eq!(asks(&gateway, 1).await.0, 403);
}

#[tokio::test]
async fn a_wrong_password_is_told_without_it_and_a_right_one_works() {
    logs::keep();
    let redis = Redis::with(&[], Some("right-redis-canary")).await;
    let with = |password: &str| format!("redis://:{password}@{}", redis.address);
    let gateway = Gateway::start(&users()).await;
    gateway.run_beside();
    gateway
        .state
        .cluster
        .set(Some(settings(&with("wrong-redis-canary"))));
    until("it is told", || {
        logs::lines().iter().any(|line| {
            line.starts_with("ERROR")
                && line.contains(&redis.address.to_string())
                && line.contains("cannot be used")
        })
    })
    .await;
    assert_eq!(asks(&gateway, 1).await.0, 200);
    gateway
        .state
        .cluster
        .set(Some(settings(&with("right-redis-canary"))));
    together(&gateway).await;
    let shown = format!("{:?}{}", logs::lines(), gateway.state.metrics.render().unwrap());
    assert!(!shown.contains("redis-canary"), "no password is shown");
    assert!(!format!("{:?}", settings(&with("right-redis-canary"))).contains("redis-canary"));
}

#[tokio::test]
async fn what_speaks_something_else_is_no_redis_and_crashes_nothing() {
    for nonsense in [
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n",
        "*2147483647\r\n",
        "$9999999999999999999\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        "-ERR \u{1b}[31m no\r\n-ERR no\r\n-ERR no\r\n-LOADING\r\n",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let (met, mut asked) = tokio::sync::watch::channel(0);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                use tokio::io::AsyncWriteExt as _;
                drop(stream.write_all(nonsense.repeat(4).as_bytes()).await);
                met.send_modify(|count| *count += 1);
                tokio::spawn(async move {
                    let mut rest = Vec::new();
                    use tokio::io::AsyncReadExt as _;
                    drop(stream.read_to_end(&mut rest).await);
                });
            }
        });
        let text = format!("cluster: {{ redis: {{ url: \"{url}\" }} }}\n{}", users());
        let gateway = Gateway::start(&text).await;
        gateway.run_beside();
        soon(asked.wait_for(|count| *count >= 1)).await.unwrap();
        assert_eq!(asks(&gateway, 1).await.0, 200, "{nonsense:?}");
        assert_eq!(gateway.state.cluster.standing(), Standing::Apart, "{nonsense:?}");
    }
}

#[tokio::test]
async fn a_connection_by_tls_is_made_to_who_has_the_right_certificate_alone() {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (ca, certificate, key) = (
        write("ca.pem", &authority.pem()),
        write("cert.pem", &certificate.pem()),
        write("key.pem", &key.serialize_pem()),
    );
    let port = crate::support::ports::free_address().port().to_string();
    let tls = [
        "--tls-port",
        &port,
        "--tls-auth-clients",
        "no",
        "--tls-ca-cert-file",
        &ca,
    ];
    let files = ["--tls-cert-file", &certificate, "--tls-key-file", &key];
    let _redis = Redis::with(&[&tls[..], &files[..]].concat(), None).await;

    let text = |host: &str, more: &str| {
        format!(
            "cluster: {{ redis: {{ url: \"rediss://{host}:{port}\"{more} }} }}\n{}",
            users()
        )
    };
    let trusting = format!(", ca: {ca}");
    let right = Gateway::start(&text("localhost", &trusting)).await;
    right.run_beside();
    together(&right).await;
    assert_eq!(revoke(&right, subject("user_of_1")).await, Told::ALL);
    for wrong in [text("127.0.0.1", &trusting), text("localhost", "")] {
        let gateway = Gateway::before(origin(), &wrong, Arc::new(SystemClock)).await;
        gateway.state.cluster.catch_up().await;
        assert_eq!(denied(&gateway), [""; 0], "nothing is read from whoever that is");
        assert_eq!(gateway.get(TARGET, Some(&member(1))).await.status, 200);
    }
}

#[tokio::test]
async fn a_user_who_may_do_what_is_documented_and_no_more_is_enough() {
    let redis = Redis::start().await;
    let line = documented_user();
    let words: Vec<&str> = line.split(' ').collect();
    let () = redis.ask(&words).await;
    let text = format!(
        "limits: {{ per_subject: {{ requests_per_minute: 2 }} }}\n{}",
        users()
    );
    let gateway = Gateway::start(&text).await;
    gateway.run_beside();
    let url = format!("redis://shapegate:password@{}/1", redis.address);
    gateway.state.cluster.set(Some(settings(&url)));
    together(&gateway).await;
    assert_eq!(revoke(&gateway, subject("a")).await, Told::ALL);
    assert_eq!(take_back(&gateway, &subject("a")).await, (1, Told::ALL));
    assert_eq!(asks(&gateway, 1).await.0, 200);
    assert_eq!(
        metric(&gateway, "shapegate_cluster_rates_total{outcome=\"unanswered\"}"),
        Some(0.0)
    );
    assert!(metric(&gateway, "shapegate_cluster_rates_total{outcome=\"granted\"}") >= Some(1.0));
}

#[tokio::test]
async fn a_unix_socket_does_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("redis.sock").display().to_string();
    let _redis = Redis::with(&["--unixsocket", &socket], None).await;
    let text = format!(
        "cluster: {{ redis: {{ url: \"unix://{socket}\" }} }}\n{}",
        users()
    );
    let gateway = Gateway::start(&text).await;
    gateway.run_beside();
    together(&gateway).await;
    assert_eq!(revoke(&gateway, subject("user_of_1")).await, Told::ALL);
}
