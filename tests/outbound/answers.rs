//! What may be answered, and what becomes of it.

use std::time::Duration;

use bytes::Bytes;
use shapegate::clock::{ManualClock, SystemClock};
use shapegate::outbound::{Outbound, OutboundError, OutboundSettings};
use shapegate_core::time::UnixMillis;

use crate::support::patience::soon;
use crate::support::scripted::Scripted;

const ANSWER_BYTES_MAX: usize = 1024;

pub fn loopback() -> OutboundSettings {
    OutboundSettings {
        answer_bytes_max: ANSWER_BYTES_MAX,
        allow_private_addresses: true,
        allow_http: true,
        ..OutboundSettings::default()
    }
}

/// What a service's answer of these bytes, and nothing after them, amounts to.
async fn answered(bytes: impl AsRef<[u8]>) -> Result<http::Response<Bytes>, OutboundError> {
    let service = Scripted::start();
    let client = Outbound::new(&loopback()).unwrap();
    let url = service.url();
    let asking = client.get(&url, &SystemClock);
    let answering = async {
        let mut exchange = service.accept().await;
        exchange.request().await.unwrap();
        exchange.try_send(bytes).await;
    };
    soon(async { tokio::join!(asking, answering).0 }).await
}

#[tokio::test]
async fn an_answer_comes_whole_with_its_status_and_headers() {
    for status in ["200 OK", "404 Not Found", "500 Oh"] {
        let text = format!("HTTP/1.1 {status}\r\nx-one: two\r\ncontent-length: 2\r\n\r\n{{}}");
        let answer = answered(text).await.unwrap();
        assert_eq!(answer.status().as_str(), &status[..3]);
        assert_eq!(
            (answer.headers()["x-one"].as_bytes(), &answer.body()[..]),
            (&b"two"[..], &b"{}"[..])
        );
    }
}

#[tokio::test]
async fn a_request_says_who_asks_and_that_nothing_is_to_be_compressed() {
    let service = Scripted::start();
    let client = Outbound::new(&loopback()).unwrap();
    let url = format!("{}/keys?a=b", service.url());
    let asking = client.get(&url, &SystemClock);
    let answering = async {
        let mut exchange = service.accept().await;
        let head = exchange.request().await.unwrap();
        exchange.send("HTTP/1.1 204 No\r\n\r\n").await;
        head
    };
    let (answer, head) = soon(async { tokio::join!(asking, answering) }).await;
    assert_eq!(answer.unwrap().status(), 204);
    assert!(head.starts_with("GET /keys?a=b HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("accept-encoding: identity\r\n"), "{head}");
    assert!(head.contains("user-agent: shapegate/"), "{head}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_leads_nowhere() {
    for target in [
        "https://127.0.0.1:1/",
        "http://169.254.169.254/",
        "file:///etc/passwd",
        "//evil.test/",
        "/again",
    ] {
        let text = format!("HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(answered(text).await.unwrap().status(), 302, "{target}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_read_to_its_end() {
    let declared = "HTTP/1.1 200 OK\r\ncontent-length: 52428800\r\n\r\n";
    assert_eq!(
        answered(declared).await.err(),
        Some(OutboundError::TooLarge(ANSWER_BYTES_MAX))
    );
    let chunk = format!("400\r\n{}\r\n", "x".repeat(ANSWER_BYTES_MAX));
    let endless = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{chunk}");
    assert_eq!(
        answered(endless).await.err(),
        Some(OutboundError::TooLarge(ANSWER_BYTES_MAX))
    );
    let until_closed = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}",
        "x".repeat(2 * ANSWER_BYTES_MAX)
    );
    assert_eq!(
        answered(until_closed).await.err(),
        Some(OutboundError::TooLarge(ANSWER_BYTES_MAX))
    );
}

#[tokio::test]
async fn an_answer_of_exactly_the_allowed_length_is_taken() {
    let text = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 1024\r\n\r\n{}",
        "x".repeat(ANSWER_BYTES_MAX)
    );
    assert_eq!(answered(text).await.unwrap().body().len(), ANSWER_BYTES_MAX);
}

#[tokio::test]
async fn a_compressed_answer_is_not_unpacked() {
    for coding in ["gzip", "br", "zstd", "deflate", "identity, gzip"] {
        let text = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: 2\r\n\r\n{{}}");
        assert_eq!(
            answered(text).await.err(),
            Some(OutboundError::Encoded),
            "{coding}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_is_no_http_is_none() {
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nwh",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "220 smtp.test ESMTP\r\n",
        "",
    ] {
        let answer = answered(text).await;
        assert!(
            matches!(answer, Err(OutboundError::Broken(_))),
            "{text:?}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_header_without_an_end_is_not_read_for_ever() {
    let head = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(1024 * 1024));
    let answer = answered(head).await;
    assert!(matches!(answer, Err(OutboundError::Broken(_))), "{answer:?}");
}

/// A service that says `beginning` and then a byte whenever the clock is moved: none of it may take longer than allowed.
async fn too_slow(beginning: &str) {
    let clock = ManualClock::at(UnixMillis(0));
    let service = Scripted::start();
    let settings = OutboundSettings {
        timeout: Duration::from_secs(5),
        ..loopback()
    };
    let client = Outbound::new(&settings).unwrap();
    let url = service.url();
    let asking = client.get(&url, &clock);
    let answering = async {
        let mut exchange = service.accept().await;
        exchange.request().await.unwrap();
        exchange.send(beginning).await;
        for _ in 0..5 {
            exchange.try_send("x").await;
            clock.advance(Duration::from_secs(1));
        }
        exchange.closed().await;
    };
    let (answer, ()) = soon(async { tokio::join!(asking, answering) }).await;
    assert_eq!(
        answer.err(),
        Some(OutboundError::TimedOut(Duration::from_secs(5))),
        "{beginning:?}"
    );
}

#[tokio::test]
async fn who_says_a_byte_a_second_is_left() {
    too_slow("").await;
    too_slow("HTTP/1.1 200 OK\r\nx: ").await;
    too_slow("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
    too_slow("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n400\r\n").await;
}

#[tokio::test]
async fn no_more_than_allowed_are_asked_at_once_and_no_crowd_waits() {
    let service = Scripted::start();
    let clock = ManualClock::at(UnixMillis(0));
    let client = Outbound::new(&OutboundSettings {
        concurrency_max: 1,
        ..loopback()
    })
    .unwrap();
    let url = service.url();
    let mut asking: Vec<_> = (0..17).map(|_| Box::pin(client.get(&url, &clock))).collect();
    for one in &mut asking {
        assert!(futures_util::poll!(one).is_pending());
    }
    assert_eq!(
        soon(client.get(&url, &clock)).await.err(),
        Some(OutboundError::Busy),
        "an eighteenth"
    );
    let answering = async {
        for _ in 0..17 {
            let mut exchange = service.accept().await;
            exchange.request().await.unwrap();
            assert!(service.is_left_alone().await, "two at once");
            exchange
                .send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    };
    let (answers, ()) = soon(async { tokio::join!(futures_util::future::join_all(asking), answering) }).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}
