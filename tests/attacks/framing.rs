//! G: where one HTTP/1.1 request ends and the next begins.

use crate::support::gateway::{Gateway, get, request};
use crate::support::raw::Raw;
use crate::support::token::member;
use crate::world::{assert_clean, assert_refusal, assert_refused, assert_serves, start, users_with};

/// What an attacker hopes that is taken for a second request: one with a token of its own.
fn smuggled() -> String {
    get(
        "/api/shapes/users?offset=-1&cache-buster=smuggled",
        Some(&member(2)),
    )
}

fn head(method: &str, target: &str, framing: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nhost: gateway.test\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\n{framing}\r\n\r\n",
        member(1)
    )
}

const SUBSET: &str = r#"{"subset":{}}"#;
const SUBSETS: &str = "/api/shapes/subsets?offset=-1";

/// Asserts that exactly one answer comes, that it is a 400, that the connection closes after it, and that
/// nothing reached the upstream.
async fn assert_400_and_closed(gateway: &Gateway, bytes: &str, what: &str) {
    let mut connection = gateway.connect().await;
    connection.try_send(bytes).await;
    let answer = connection
        .answer()
        .await
        .unwrap_or_else(|| panic!("{what}: no answer"));
    assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    assert!(connection.answer().await.is_none(), "{what}: a second answer");
    gateway.received_nothing();
}

#[tokio::test]
async fn g1_a_request_whose_end_is_in_doubt_is_refused_and_its_connection_closed() {
    let gateway = start().await;
    let length = SUBSET.len();
    let framings = [
        format!("content-length: {length}\r\ntransfer-encoding: chunked"),
        format!("transfer-encoding: chunked\r\ncontent-length: {length}"),
        "transfer-encoding: chunked\r\nContent-Length: 0".to_owned(),
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked".to_owned(),
        "transfer-encoding: chunked\r\ntransfer-encoding: identity".to_owned(),
        "transfer-encoding: identity\r\ntransfer-encoding: chunked".to_owned(),
        "transfer-encoding: xchunked".to_owned(),
        "transfer-encoding: chunkedx".to_owned(),
        "transfer-encoding: chunked, identity".to_owned(),
        "transfer-encoding: identity, chunked".to_owned(),
        "transfer-encoding: gzip, chunked".to_owned(),
        "transfer-encoding: chunked;q=1".to_owned(),
        "transfer-encoding: \"chunked\"".to_owned(),
        "transfer-encoding: \u{b}chunked".to_owned(),
        "transfer-encoding: identity".to_owned(),
        "transfer-encoding:".to_owned(),
        "transfer-encoding : chunked".to_owned(),
        "transfer-encoding\t: chunked".to_owned(),
        " transfer-encoding: chunked".to_owned(),
        "x: y\r\n transfer-encoding: chunked".to_owned(),
        format!("content-length: {length}\r\ncontent-length: 0"),
        format!("content-length: {length}\r\ncontent-length: {length}"),
        format!("content-length: {length}, {length}"),
        format!("content-length: {length},0"),
        format!("content-length: +{length}"),
        format!("content-length: -{length}"),
        format!("content-length: 0x{length:x}"),
        format!("content-length: {length} {length}"),
        format!("content-length: {length}.0"),
        format!("content-length: {length};"),
        format!("content-length : {length}"),
        "content-length: 18446744073709551617".to_owned(),
        "content-length:".to_owned(),
    ];
    for framing in framings {
        for method in ["POST", "GET", "DELETE"] {
            let bytes = head(method, SUBSETS, &framing) + SUBSET + &smuggled();
            assert_400_and_closed(&gateway, &bytes, &format!("{method} {framing:?}")).await;
        }
    }
    assert_serves(&gateway, "afterwards").await;
}

#[tokio::test]
async fn g1_a_transfer_coding_in_http_1_0_is_refused() {
    let gateway = start().await;
    let head = head("POST", SUBSETS, "transfer-encoding: chunked").replace("HTTP/1.1", "HTTP/1.0");
    let bytes = format!("{head}d\r\n{SUBSET}\r\n0\r\n\r\n{}", smuggled());
    assert_400_and_closed(&gateway, &bytes, "HTTP/1.0").await;
}

#[tokio::test]
async fn g1_a_malformed_head_is_refused_and_its_connection_closed() {
    let gateway = start().await;
    let target = users_with("");
    let token = member(1);
    for head in [
        format!("GET {target} HTTP/1.1\r\nhost: a\r\nhost: b\r\nauthorization: Bearer {token}\r\n\r\n"),
        format!("GET {target} HTTP/1.1\r\nhost: a@b\r\nauthorization: Bearer {token}\r\n\r\n"),
        format!("GET {target} HTTP/1.1\r\nhost: a\r\nx\u{1}: b\r\nauthorization: Bearer {token}\r\n\r\n"),
        format!("GET {target} HTTP/1.1\r\nhost: a\r\nx: a\u{0}b\r\nauthorization: Bearer {token}\r\n\r\n"),
        format!("GET {target} HTTP/1.1\r\nhost: a\r\nx: a\rb\r\nauthorization: Bearer {token}\r\n\r\n"),
        format!("GET {target} HTTP/1.1\r\nhost: a\r\nno colon\r\nauthorization: Bearer {token}\r\n\r\n"),
        format!("GET {target} HTTP/3.0\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n"),
        format!("G@T {target} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n"),
    ] {
        let mut connection = gateway.connect().await;
        connection.try_send(head.clone() + &smuggled()).await;
        let answer = connection.answer().await;
        assert!(answer.is_none_or(|answer| answer.status == 400), "{head:?}");
        assert!(connection.answer().await.is_none(), "{head:?}: a second answer");
        gateway.received_nothing();
    }
}

#[tokio::test]
async fn g1_lawful_framing_is_taken() {
    let gateway = start().await;
    for framing in [
        format!("content-length: {}", SUBSET.len()),
        format!("content-length:   {}  ", SUBSET.len()),
        "Transfer-Encoding: Chunked".to_owned(),
    ] {
        let body = match framing.starts_with('T') {
            true => format!("d;ext=1\r\n{SUBSET}\r\n0\r\ntrailer: x\r\n\r\n"),
            false => SUBSET.to_owned(),
        };
        let mut connection = gateway.connect().await;
        let answer = connection.ask(head("POST", SUBSETS, &framing) + &body).await;
        // A subset without a limit is refused here: the body was read to its end, and judged.
        assert_refused(&gateway, &answer, 400, "parameter_not_allowed", &framing);
        let answer = connection.ask(get(&users_with(""), Some(&member(1)))).await;
        assert_clean(&gateway, &answer, "the next request");
    }
}

#[tokio::test]
async fn g1_a_malformed_chunked_body_is_refused() {
    let gateway = start().await;
    for body in [
        format!("xyz\r\n{SUBSET}\r\n0\r\n\r\n"),
        format!("0xd\r\n{SUBSET}\r\n0\r\n\r\n"),
        format!("+d\r\n{SUBSET}\r\n0\r\n\r\n"),
        format!("-1\r\n{SUBSET}\r\n0\r\n\r\n"),
        format!("fffffffffffffffff\r\n{SUBSET}\r\n0\r\n\r\n"),
        format!("d{SUBSET}\r\n0\r\n\r\n"),
        format!("d\r\n{SUBSET}X\r\n0\r\n\r\n"),
        format!("5\r\n{SUBSET}\r\n0\r\n\r\n"),
    ] {
        let mut connection = gateway.connect().await;
        connection
            .try_send(head("POST", SUBSETS, "transfer-encoding: chunked") + &body + &smuggled())
            .await;
        let answer = connection.answer().await;
        assert!(answer.is_none_or(|answer| answer.status == 400), "{body:?}");
        assert!(connection.answer().await.is_none(), "{body:?}: a second answer");
        gateway.received_nothing();
    }
}

/// Reads answers until the connection closes.
async fn all_answers(connection: &mut Raw) -> Vec<u16> {
    let mut statuses = Vec::new();
    while let Some(answer) = connection.answer().await {
        statuses.push(answer.status);
    }
    statuses
}

#[tokio::test]
async fn g2_an_upgrade_is_ignored_and_what_follows_it_is_not_passed_on() {
    let gateway = start().await;
    for upgrade in ["websocket", "h2c", "HTTP/2.0", "TLS/1.0"] {
        let extra = [
            ("upgrade", upgrade),
            ("connection", "upgrade, http2-settings"),
            ("http2-settings", "AAMAAABkAAQAoAAAAAIAAAAA"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
        ];
        let bytes = request("GET", &users_with(""), Some(&member(1)), &extra, "");
        let mut connection = gateway.connect().await;
        let answer = connection.ask(&bytes).await;
        assert_clean(&gateway, &answer, upgrade);
        let mut connection = gateway.connect().await;
        connection
            .send(bytes + "\x01\x02 not a request \x03\x04\r\n\r\n" + &smuggled())
            .await;
        let answer = connection.answer().await;
        assert!(answer.is_none_or(|answer| answer.status == 200), "{upgrade}");
        let received = gateway.origin.received();
        gateway.origin.forget_received();
        assert!(
            received.iter().all(|one| !one.target.contains("smuggled")),
            "{received:?}"
        );
        assert!(
            received
                .iter()
                .all(|one| one.body.is_empty() && one.header("upgrade").is_none())
        );
    }
}

#[tokio::test]
async fn g2_connect_is_no_way_through() {
    let gateway = start().await;
    let address = gateway.origin.address();
    for target in [format!("{address}"), "gateway.test:80".to_owned()] {
        let bytes = format!(
            "CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n{}",
            smuggled()
        );
        let mut connection = gateway.connect().await;
        connection.send(bytes).await;
        assert_eq!(all_answers(&mut connection).await, [405], "{target}");
        gateway.received_nothing();
    }
}

#[tokio::test]
async fn g3_a_body_that_was_not_read_never_becomes_the_next_request() {
    let gateway = start().await;
    let inner = smuggled();
    let with_length = |method: &str, target: &str, token: Option<&str>| {
        request(
            method,
            target,
            token,
            &[("content-type", "application/json")],
            &inner,
        )
    };
    for (bytes, what) in [
        (with_length("POST", SUBSETS, None), "nobody's POST"),
        (with_length("POST", "/nowhere", None), "no route"),
        (
            with_length("GET", &users_with(""), Some(&member(1))),
            "a GET with a body",
        ),
        (
            with_length("PUT", &users_with(""), Some(&member(1))),
            "no such method",
        ),
        (with_length("OPTIONS", &users_with(""), None), "OPTIONS"),
        (
            with_length("POST", SUBSETS, Some(&member(1))).replace("application/json", "text/plain"),
            "a media type",
        ),
    ] {
        let mut connection = gateway.connect().await;
        connection.send(bytes + &get("/second", None)).await;
        let first = connection.answer().await.unwrap();
        assert!((400..500).contains(&first.status), "{what}: {}", first.status);
        let second = connection.answer().await;
        assert!(
            second.is_none_or(|answer| answer.status == 404),
            "{what}: another second request"
        );
        assert!(connection.answer().await.is_none(), "{what}: a third answer");
        gateway.received_nothing();
    }
}

#[tokio::test]
async fn g3_requests_sent_ahead_are_each_judged_on_their_own_or_not_served() {
    let gateway = start().await;
    let bytes = get(&users_with(""), Some(&member(1))) + &get("/nowhere", None) + &get(&users_with(""), None);
    let mut connection = gateway.connect().await;
    connection.send(bytes).await;
    let answer = connection.answer().await.unwrap();
    assert_clean(&gateway, &answer, "the first");
    let rest = all_answers(&mut connection).await;
    assert!([404, 401].starts_with(&rest), "{rest:?}");
    gateway.received_nothing();
}

/// A live poll that the upstream holds, from a connection of its own.
async fn held_poll(gateway: &Gateway, along: &str) -> Raw {
    let first = gateway
        .connect()
        .await
        .ask(get(&users_with(""), Some(&member(1))))
        .await;
    let handle = first.header("electric-handle").unwrap();
    let offset = first.header("electric-offset").unwrap();
    let live = format!("/api/shapes/users?offset={offset}&handle={handle}&live=true");
    let mut connection = gateway.connect().await;
    connection.send(get(&live, Some(&member(1))) + along).await;
    while gateway.origin.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    gateway.origin.forget_received();
    connection
}

#[tokio::test]
async fn g3_bytes_that_come_during_a_wait_end_it_and_are_not_served() {
    let gateway = start().await;
    let mut connection = held_poll(&gateway, "").await;
    connection.send(smuggled()).await;
    assert!(all_answers(&mut connection).await.is_empty());
    gateway.received_nothing();
    while gateway.origin.waiting() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn g3_bytes_that_came_with_a_wait_are_not_served_after_it() {
    let gateway = start().await;
    let mut connection = held_poll(&gateway, &smuggled()).await;
    let row = serde_json::json!({ "id": 9, "name": "Eve", "org_id": 1 });
    gateway.origin.insert("users", row).unwrap();
    assert_eq!(all_answers(&mut connection).await, [200]);
    gateway.received_nothing();
}

#[tokio::test]
async fn keep_alive_survives_refusals() {
    let gateway = start().await;
    let mut connection = gateway.connect().await;
    for _ in 0..3 {
        for (target, token, status, code) in [
            (users_with(""), None, 401, "token_missing"),
            (users_with(""), Some("a.b.c".to_owned()), 401, "token_invalid"),
            ("/nowhere".to_owned(), None, 404, "not_found"),
            (
                users_with("&table=items"),
                Some(member(1)),
                400,
                "parameter_not_allowed",
            ),
            (
                "/orgs/2/users?offset=-1".to_owned(),
                Some(member(1)),
                403,
                "forbidden",
            ),
        ] {
            let answer = connection.ask(get(&target, token.as_deref())).await;
            assert_refused(&gateway, &answer, status, code, &target);
        }
        let answer = connection
            .ask(request("PUT", &users_with(""), Some(&member(1)), &[], ""))
            .await;
        assert_refusal(&answer, 405, "method_not_allowed", "PUT");
    }
    let answer = connection.ask(get(&users_with(""), Some(&member(1)))).await;
    assert_clean(&gateway, &answer, "at last");
}
