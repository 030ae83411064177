//! G8 to G10: HTTP/2 as no client speaks it.

use bytes::Bytes;

use crate::support::gateway::Gateway;
use crate::support::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, Outcome, RST_STREAM, WINDOW_UPDATE,
    ask, block,
};
use crate::support::patience::until;
use crate::support::process::Program;
use crate::support::raw::Answer;
use crate::support::token::member;
use crate::world::{assert_clean, assert_refusal, config, start_http2, users_with};
use tokio::net::TcpStream;

const ENHANCE_YOUR_CALM: u32 = 11;

fn fields<'a>(target: &'a str, authorization: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "gateway.test"),
        (":path", target),
        ("authorization", authorization),
    ]
}

async fn plain(gateway: &Gateway) -> Answer {
    let request = http::Request::get(format!("http://gateway.test{}", users_with("")))
        .header("authorization", format!("Bearer {}", member(1)))
        .body(())
        .unwrap();
    ask(TcpStream::connect(gateway.address).await.unwrap(), request, None).await
}

#[tokio::test]
async fn g8_a_request_by_hand_is_served_so_that_refusals_mean_something() {
    let gateway = start_http2().await;
    let (target, bearer) = (users_with(""), format!("Bearer {}", member(1)));
    let mut frames = Frames::connect(gateway.address).await;
    assert!(frames.request(1, &fields(&target, &bearer)).await);
    assert_eq!(frames.outcome(1).await, Outcome::Status(200));
    assert!(frames.request(3, &fields(&target, "Bearer x")).await);
    assert_eq!(frames.outcome(3).await, Outcome::Status(401));
    assert_eq!(gateway.received_one().target, crate::world::clean_target());
    assert_clean(&gateway, &plain(&gateway).await, "by a client");
}

type Fields<'a> = Vec<(&'a str, &'a str)>;

/// A lawful request, spoilt in one way each.
fn spoilt<'a>(lawful: &Fields<'a>) -> Vec<(Fields<'a>, &'static str)> {
    let with = |more: (&'static str, &'static str)| {
        let mut fields = lawful.clone();
        fields.push(more);
        fields
    };
    let replaced = |name: &str, value: &'static str| {
        let replace = |&(known, old): &(&'a str, &'a str)| (known, if known == name { value } else { old });
        lawful.iter().map(replace).collect::<Vec<_>>()
    };
    let without = |name: &str| {
        lawful
            .iter()
            .copied()
            .filter(|field| field.0 != name)
            .collect::<Vec<_>>()
    };
    let mut pseudo_last = lawful.clone();
    pseudo_last.rotate_left(1);
    vec![
        (
            with((":path", "/api/shapes/users?offset=now")),
            "two paths, one late",
        ),
        (with((":method", "DELETE")), "two methods"),
        (with((":authority", "evil.example")), "two authorities"),
        (
            [&lawful[..4], &[(":path", "/other")], &lawful[4..]].concat(),
            "two paths",
        ),
        (pseudo_last, "a pseudo-header after a header"),
        (with((":unknown", "x")), "an unknown pseudo-header"),
        (with((":status", "200")), "a pseudo-header of responses"),
        (without(":path"), "no path"),
        (without(":method"), "no method"),
        (without(":scheme"), "no scheme"),
        (replaced(":path", ""), "an empty path"),
        (replaced(":path", "api/shapes/users?offset=-1"), "a relative path"),
        (replaced(":path", "/api/shapes/users ?offset=-1"), "a space"),
        (
            replaced(":path", "/api/shapes/users?offset=-1\r\nx: y"),
            "a line break",
        ),
        (replaced(":path", "/api/shapes/users?offset=-1\0"), "a NUL"),
        (replaced(":method", "G ET"), "a method with a space"),
        (replaced(":authority", "a@gateway.test"), "user information"),
        (with(("host", "evil.example")), "host and authority differ"),
        (with(("Upper-Case", "x")), "an upper-case name"),
        (with(("x", "a\r\ny: b")), "a line break in a value"),
        (with(("connection", "keep-alive")), "a connection header"),
        (with(("transfer-encoding", "chunked")), "a transfer coding"),
        (with(("upgrade", "websocket")), "an upgrade"),
        (with(("content-length", "5")), "a length without a body"),
        (with(("te", "gzip")), "another te"),
    ]
}

#[tokio::test]
async fn g8_malformed_header_blocks_are_refused() {
    let gateway = start_http2().await;
    let (target, bearer) = (users_with(""), format!("Bearer {}", member(1)));
    for (fields, what) in spoilt(&fields(&target, &bearer)) {
        let mut frames = Frames::connect(gateway.address).await;
        assert!(frames.request(1, &fields).await);
        let outcome = frames.outcome(1).await;
        assert!(
            outcome.is_refusal() || outcome == Outcome::Status(404),
            "{what}: {outcome:?}"
        );
        gateway.received_nothing();
    }
    assert_clean(&gateway, &plain(&gateway).await, "afterwards");
}

#[tokio::test]
async fn g8_a_fragment_in_a_path_reaches_nobody() {
    let gateway = start_http2().await;
    let bearer = format!("Bearer {}", member(1));
    for (target, status) in [
        ("/api/shapes/users?offset=-1#&where=true", 200),
        ("/api/shapes/users#?offset=-1", 400),
    ] {
        let mut frames = Frames::connect(gateway.address).await;
        assert!(frames.request(1, &fields(target, &bearer)).await);
        let outcome = frames.outcome(1).await;
        // The HTTP/2 library cuts it off before anybody sees it.
        assert!(
            outcome == Outcome::Status(status) || outcome.is_refusal(),
            "{target}: {outcome:?}"
        );
        for received in gateway.origin.received() {
            assert_eq!(received.target, crate::world::clean_target());
        }
        gateway.origin.forget_received();
    }
}

#[tokio::test]
async fn g8_frames_that_break_the_protocol_end_the_connection() {
    let gateway = start_http2().await;
    let (target, bearer) = (users_with(""), format!("Bearer {}", member(1)));
    let request = block(&fields(&target, &bearer));
    for (kind, flags, stream, payload, what) in [
        (
            HEADERS,
            END_STREAM | END_HEADERS,
            0,
            request.clone(),
            "a request on stream 0",
        ),
        (
            HEADERS,
            END_STREAM | END_HEADERS,
            2,
            request.clone(),
            "a request on an even stream",
        ),
        (DATA, END_STREAM, 1, b"x".to_vec(), "data before a request"),
        (
            CONTINUATION,
            END_HEADERS,
            1,
            request.clone(),
            "a continuation of nothing",
        ),
        (
            HEADERS,
            END_STREAM | END_HEADERS,
            1,
            vec![0xff; 20],
            "an undecodable block",
        ),
        (RST_STREAM, 0, 1, vec![0, 0, 0, 8], "a reset of an idle stream"),
    ] {
        let mut frames = Frames::connect(gateway.address).await;
        frames.send(kind, flags, stream, &payload).await;
        let outcome = frames.outcome(u32::MAX).await;
        assert!(
            matches!(outcome, Outcome::GoAway(1..) | Outcome::Closed),
            "{what}: {outcome:?}"
        );
        gateway.received_nothing();
    }
}

#[tokio::test]
async fn g9_a_certificate_name_decides_nothing_about_who_is_served() {
    let program = Program::start(&config()).await;
    for (name, host) in [("localhost", "other.example"), ("other.example", "localhost")] {
        let request = http::Request::get(format!("https://{host}{}", users_with("")))
            .header("authorization", format!("Bearer {}", member(1)))
            .body(())
            .unwrap();
        let answer = ask(program.tls(name, b"h2").await, request, None::<Bytes>).await;
        assert_eq!(answer.status, 200, "{name} {host}: {}", answer.text());
        let received = program.origin.received();
        program.origin.forget_received();
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].target, crate::world::clean_target());
    }
    let request = http::Request::get(format!("https://localhost{}", users_with("")))
        .body(())
        .unwrap();
    let answer = ask(program.tls("localhost", b"h2").await, request, None::<Bytes>).await;
    assert_refusal(&answer, 401, "token_missing", "nobody");
}

/// Requests in flight come back to none: nothing that was reset or abandoned is kept.
async fn until_idle(gateway: &Gateway) {
    until("no request is in flight", || {
        gateway.state.metrics.in_flight.get() == 0
    })
    .await;
    until("nothing waits upstream", || gateway.origin.waiting() == 0).await;
}

#[tokio::test]
async fn g10_rapid_resets_end_the_connection_and_leave_nothing() {
    let gateway = start_http2().await;
    let bearer = format!("Bearer {}", member(1));
    let request = block(&fields(
        "/api/shapes/users?offset=0_0&handle=1-1&live=true",
        &bearer,
    ));
    let mut frames = Frames::connect(gateway.address).await;
    let mut sent = 0;
    for stream in (1..20_000).step_by(2) {
        let open = frames
            .send(HEADERS, END_STREAM | END_HEADERS, stream, &request)
            .await
            && frames.send(RST_STREAM, 0, stream, &[0, 0, 0, 8]).await;
        if !open {
            break;
        }
        sent += 1;
    }
    let outcome = frames.outcome(u32::MAX).await;
    assert!(
        matches!(outcome, Outcome::GoAway(ENHANCE_YOUR_CALM) | Outcome::Closed),
        "{outcome:?}"
    );
    until_idle(&gateway).await;
    let received = gateway.origin.received().len();
    assert!(received < 1000, "{sent} resets made {received} requests upstream");
    gateway.origin.forget_received();
    assert_clean(&gateway, &plain(&gateway).await, "afterwards");
}

#[tokio::test]
async fn g10_resets_that_the_server_is_made_to_send_end_the_connection_too() {
    let gateway = start_http2().await;
    let bearer = format!("Bearer {}", member(1));
    let request = block(&fields("/nowhere", &bearer));
    let mut frames = Frames::connect(gateway.address).await;
    for stream in (1..20_000).step_by(2) {
        let open = frames.send(HEADERS, END_HEADERS, stream, &request).await
            && frames.send(WINDOW_UPDATE, 0, stream, &[0; 4]).await;
        if !open {
            break;
        }
    }
    loop {
        match frames.next().await {
            Some((GOAWAY, ..)) | None => break,
            Some(_) => {}
        }
    }
    until_idle(&gateway).await;
    gateway.received_nothing();
    assert_clean(&gateway, &plain(&gateway).await, "afterwards");
}

#[tokio::test]
async fn g10_a_flood_of_continuations_ends_the_connection() {
    let gateway = start_http2().await;
    let mut frames = Frames::connect(gateway.address).await;
    frames
        .send(HEADERS, END_STREAM, 1, &block(&[(":method", "GET")]))
        .await;
    let piece = block(&[("x", &"y".repeat(1000))]);
    let mut sent = 0;
    while sent < 10_000 && frames.send(CONTINUATION, 0, 1, &piece).await {
        sent += 1;
    }
    assert!(sent < 10_000, "ten megabytes of headers were taken");
    gateway.received_nothing();
    assert_clean(&gateway, &plain(&gateway).await, "afterwards");
}

#[tokio::test]
async fn g10_a_flood_of_empty_data_is_one_bad_request() {
    let gateway = start_http2().await;
    let bearer = format!("Bearer {}", member(1));
    let mut request = fields("/api/shapes/subsets?offset=-1", &bearer);
    request[0].1 = "POST";
    request.push(("content-type", "application/json"));
    let mut frames = Frames::connect(gateway.address).await;
    frames.send(HEADERS, END_HEADERS, 1, &block(&request)).await;
    for _ in 0..5_000 {
        if !frames.send(DATA, 0, 1, &[]).await {
            break;
        }
    }
    frames.send(DATA, END_STREAM, 1, &[]).await;
    let outcome = frames.outcome(1).await;
    assert!(
        matches!(
            outcome,
            Outcome::Status(400) | Outcome::GoAway(_) | Outcome::Closed
        ),
        "{outcome:?}"
    );
    until_idle(&gateway).await;
    gateway.received_nothing();
}
