//! Forty junk headers, a query and a body through every hook: the bytes that arrive upstream are the server's.

use std::sync::Arc;

use shapegate::clock::SystemClock;

use crate::support::gateway::{Gateway, origin, request};
use crate::support::raw::Answer;
use crate::support::scripted::{Exchange, GOOD_HEAD, SSE_HEAD, Scripted};
use crate::support::token::member;
use crate::world::{clean_target, clean_target_at, config};

/// Every kind of header that a client or a proxy before us may send.
fn junk() -> Vec<(String, String)> {
    let fixed = [
        ("accept", "text/html"),
        ("accept-encoding", "gzip, br, zstd"),
        ("accept-language", "en"),
        ("cache-control", "no-cache"),
        ("pragma", "no-cache"),
        ("connection", "keep-alive, host, accept, x-request-id"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("trailer", "x"),
        ("cookie", "session=client-text"),
        ("origin", "https://app.example"),
        ("referer", "https://app.example/?client-text"),
        ("range", "bytes=0-"),
        ("if-match", "\"client-text\""),
        ("if-none-match", "\"client-text\""),
        ("if-range", "\"client-text\""),
        ("if-modified-since", "Mon, 01 Jan 2024 00:00:00 GMT"),
        ("user-agent", "client-text"),
        ("via", "1.1 client-text"),
        ("forwarded", "for=client-text"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x_forwarded_for", "203.0.113.9"),
        ("x.forwarded.for", "203.0.113.9"),
        ("x-forwarded-host", "client-text"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "203.0.113.9"),
        ("x-request-id", "client-text-client-text-client-text"),
        ("electric-handle", "client-text"),
        ("electric-secret", "client-text"),
        ("traceparent", "client-text"),
        ("tracestate", "client=text"),
        ("baggage", "client=text"),
        ("proxy-authorization", "Bearer client-text"),
        ("upgrade-insecure-requests", "1"),
    ];
    let fixed = fixed
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let made = (0..10).map(|n| (format!("x-junk-{n}"), format!("client-text-{n}")));
    fixed.chain(made).collect()
}

/// A request with all the junk, and one more parameter that nobody knows.
fn junked(method: &str, target: &str, more: &[(&str, &str)], body: &str) -> String {
    let junk = junk();
    assert!(junk.len() >= 40);
    let mut headers: Vec<_> = junk.iter().map(|(name, value)| (&**name, &**value)).collect();
    headers.extend_from_slice(more);
    request(
        method,
        &format!("{target}&junk=client-text"),
        Some(&member(1)),
        &headers,
        body,
    )
}

struct Before {
    gateway: Gateway,
    upstream: Scripted,
}

impl Before {
    async fn start() -> Self {
        let upstream = Scripted::start();
        let gateway = Gateway::before_url(origin(), upstream.url(), &config(), Arc::new(SystemClock)).await;
        Self { gateway, upstream }
    }

    /// Sends `bytes`, and gives what arrived upstream, the request's id replaced, with the answer to `reply`.
    async fn passes(&self, bytes: String, reply: &str) -> (String, Answer) {
        let mut client = self.gateway.connect().await;
        client.send(bytes).await;
        let (mut exchange, head) = self.upstream.asked().await;
        let rest = String::from_utf8(exchange.rest().await).unwrap();
        answer_well(&mut exchange, reply).await;
        let answer = client.answer().await.unwrap();
        (without_id(&head) + &rest, answer)
    }

    /// What must arrive, with the headers in their order on the wire.
    fn expected(&self, method: &str, target: &str, accept: &str, more: &str, body: &str) -> String {
        let host = self.upstream.address;
        format!(
            "{method} {target} HTTP/1.1\r\nhost: {host}\r\naccept: {accept}\r\naccept-encoding: identity\r\n\
             x-request-id: ID\r\n{more}\r\n{body}"
        )
    }
}

async fn answer_well(exchange: &mut Exchange, head: &str) {
    exchange.send(head).await;
    exchange.send("2\r\n[]\r\n0\r\n\r\n").await;
}

/// Names in lower case: Pingora writes some with capitals, which are the same.
fn with_lower_names(head: &str) -> String {
    let lines = head
        .split("\r\n")
        .enumerate()
        .map(|(at, line)| match line.split_once(": ") {
            Some((name, value)) if at > 0 => format!("{}: {value}", name.to_ascii_lowercase()),
            _ => line.to_owned(),
        });
    lines.collect::<Vec<_>>().join("\r\n")
}

/// The id is ours and differs a request: 32 hexadecimal digits.
fn without_id(head: &str) -> String {
    let head = with_lower_names(head);
    let start = head.find("x-request-id: ").expect("an id") + "x-request-id: ".len();
    let id = &head[start..start + 32];
    assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    assert!(head[start + 32..].starts_with("\r\n"));
    head.replace(id, "ID")
}

const JSON: &str = "application/json";
const BODY: &str =
    r#"{"subset":{"where":"(\"name\" = $1)","params":{"1":"Bob"},"limit":5,"order_by":"\"id\" ASC"}}"#;

fn body_headers() -> String {
    format!(
        "content-type: application/json\r\ncontent-length: {}\r\n",
        BODY.len()
    )
}

#[tokio::test]
async fn of_a_finite_get_only_the_servers_bytes_arrive() {
    // Through the hub, and through Pingora's proxying.
    for shape in ["users", "proxied"] {
        let before = Before::start().await;
        let bytes = junked("GET", &format!("/api/shapes/{shape}?offset=-1"), &[], "");
        let (arrived, answer) = before.passes(bytes, GOOD_HEAD).await;
        assert_eq!(
            arrived,
            before.expected("GET", &clean_target(), JSON, "", ""),
            "{shape}"
        );
        assert_eq!((answer.status, answer.text()), (200, "[]"), "{shape}");
    }
}

#[tokio::test]
async fn of_a_head_only_the_servers_bytes_arrive() {
    let before = Before::start().await;
    let mut client = before.gateway.connect().await;
    client
        .send(junked("HEAD", "/api/shapes/users?offset=-1", &[], ""))
        .await;
    let (mut exchange, head) = before.upstream.asked().await;
    assert_eq!(
        without_id(&head),
        before.expected("HEAD", &clean_target(), JSON, "", "")
    );
    exchange.send(GOOD_HEAD).await;
    assert_eq!(client.head().await.unwrap().status, 200);
}

#[tokio::test]
async fn of_a_subset_by_get_only_a_rebuilt_body_arrives() {
    let before = Before::start().await;
    let target = "/api/shapes/subsets?offset=-1&subset__where=name='Bob'&subset__limit=5&subset__order_by=id&subset__where_expr=client-text";
    let (arrived, answer) = before.passes(junked("GET", target, &[], ""), GOOD_HEAD).await;
    assert_eq!(
        arrived,
        before.expected("POST", &clean_target(), JSON, &body_headers(), BODY)
    );
    assert_eq!((answer.status, answer.text()), (200, "[]"));
}

#[tokio::test]
async fn of_a_subset_by_post_only_a_rebuilt_body_arrives() {
    for framing in [None, Some(("transfer-encoding", "chunked"))] {
        let before = Before::start().await;
        let body = r#"{ "subset" : { "order_by":"id", "limit":5, "where_expr":["client-text"], "where":"name = 'Bob'" } }"#;
        let media_type = ("content-type", "application/json; charset=UTF-8");
        let target = "/api/shapes/subsets?offset=-1";
        let bytes = match framing {
            None => junked("POST", target, &[media_type], body),
            Some(chunked) => {
                let head = junked("POST", target, &[media_type, chunked], "");
                format!("{head}{:x}\r\n{body}\r\n0\r\nclient: text\r\n\r\n", body.len())
            }
        };
        let (arrived, answer) = before.passes(bytes, GOOD_HEAD).await;
        assert_eq!(
            arrived,
            before.expected("POST", &clean_target(), JSON, &body_headers(), BODY)
        );
        assert_eq!((answer.status, answer.text()), (200, "[]"));
    }
}

#[tokio::test]
async fn of_a_large_body_only_a_rebuilt_one_arrives() {
    let before = Before::start().await;
    let padding = "x".repeat(60 * 1024);
    let body = format!(
        r#"{{"subset":{{"where_expr":"{padding}","order_by":"id","limit":5,"where":"name='Bob'"}}}}"#
    );
    let bytes = junked(
        "POST",
        "/api/shapes/subsets?offset=-1",
        &[("content-type", JSON)],
        &body,
    );
    let (arrived, _) = before.passes(bytes, GOOD_HEAD).await;
    assert_eq!(
        arrived,
        before.expected("POST", &clean_target(), JSON, &body_headers(), BODY)
    );
}

#[tokio::test]
async fn of_a_live_poll_only_the_servers_bytes_arrive() {
    let before = Before::start().await;
    let target = "/api/shapes/users?live=true&cursor=07&handle=1-2&offset=00_1";
    let (arrived, answer) = before.passes(junked("GET", target, &[], ""), GOOD_HEAD).await;
    let expected =
        clean_target_at("offset=0_1").replace("&log=full", "&cursor=7&handle=1-2&live=true&log=full");
    assert_eq!(arrived, before.expected("GET", &expected, JSON, "", ""));
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn of_a_stream_of_events_only_the_servers_bytes_arrive() {
    let before = Before::start().await;
    let target = "/api/shapes/users?live_sse=true&live=true&handle=1-2&offset=0_1";
    let (arrived, answer) = before.passes(junked("GET", target, &[], ""), SSE_HEAD).await;
    let expected =
        clean_target_at("offset=0_1").replace("&log=full", "&handle=1-2&live=true&live_sse=true&log=full");
    assert_eq!(
        arrived,
        before.expected("GET", &expected, "text/event-stream", "", "")
    );
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn what_a_client_nominates_as_hop_by_hop_takes_nothing_of_ours_away() {
    let before = Before::start().await;
    for nominated in [
        "host",
        "accept",
        "accept-encoding",
        "x-request-id",
        "content-length, content-type",
        "authorization",
        "close, te",
    ] {
        let bytes = request(
            "GET",
            "/api/shapes/users?offset=-1",
            Some(&member(1)),
            &[("connection", nominated), ("te", "trailers")],
            "",
        );
        let (arrived, _) = before.passes(bytes, GOOD_HEAD).await;
        assert_eq!(
            arrived,
            before.expected("GET", &clean_target(), JSON, "", ""),
            "{nominated}"
        );
    }
}
