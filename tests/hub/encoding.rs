//! Kept answers in content codings: encoded once for all, decoded here by decoders that are not the encoders'.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shapegate_core::coding::Coding;

use crate::kept::{ELECTRICS_LOG, ELECTRICS_START, answered, good, scripted, scripted_with};
use crate::place::{unshared, users};
use crate::support::gateway::{Gateway, request};
use crate::support::patience::{soon, until};
use crate::support::raw::Answer;
use crate::support::scripted::{SSE_HEAD, Scripted};
use crate::support::token::{IDENTITY, member};

const START: &str = "/api/shapes/users?offset=-1";

/// Rows of which no two are the same, some 60 KiB of them.
fn rows(of: &str) -> String {
    let row = |n: u32| {
        let name = n.wrapping_mul(2_654_435_761);
        format!(
            r#"{{"key":"users/{n}","value":{{"id":"{n}","name":"{of} {name}"}},"headers":{{"operation":"insert"}}}}"#
        )
    };
    format!("[{}]", (0..600).map(row).collect::<Vec<_>>().join(","))
}

fn decoded(answer: &Answer) -> String {
    let body = match answer.header("content-encoding") {
        None => answer.body.clone(),
        Some("zstd") => {
            let mut plain = Vec::new();
            let mut decoder = ruzstd::decoding::StreamingDecoder::new(answer.body.as_slice()).unwrap();
            decoder.read_to_end(&mut plain).unwrap();
            plain
        }
        Some("br") => {
            let mut plain = Vec::new();
            brotli::BrotliDecompress(&mut answer.body.as_slice(), &mut plain).unwrap();
            plain
        }
        Some("gzip") => gunzip(&answer.body),
        Some(other) => panic!("{other}"),
    };
    String::from_utf8(body).unwrap()
}

/// By the machine's own gzip.
fn gunzip(coded: &[u8]) -> Vec<u8> {
    let mut command = Command::new("gzip");
    let child = command.arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = child.spawn().expect("gzip, which every system has");
    child.stdin.take().unwrap().write_all(coded).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

async fn ask(gateway: &Gateway, target: &str, token: Option<&str>, headers: &[(&str, &str)]) -> Answer {
    soon(
        gateway
            .connect()
            .await
            .ask(request("GET", target, token, headers, "")),
    )
    .await
}

/// Asks until what is kept has been encoded.
async fn coded(gateway: &Gateway, target: &str, accepted: &str) -> Answer {
    let asking = async {
        loop {
            let answer = ask(
                gateway,
                target,
                Some(&member(1)),
                &[("accept-encoding", accepted)],
            )
            .await;
            assert_eq!((answer.status, answer.complete), (200, true));
            if answer.header("content-encoding").is_some() {
                return answer;
            }
        }
    };
    soon(asking).await
}

fn encodings(gateway: &Gateway) -> [u64; 3] {
    Coding::ALL.map(|coding| gateway.state.metrics.hub.encodings(coding).get())
}

#[tokio::test]
async fn what_is_kept_is_encoded_once_in_each_coding_and_means_the_same_in_all_of_them() {
    let (gateway, upstream, _clock) = scripted().await;
    let whole = rows("one");
    let (first, asked) = answered(&gateway, &upstream, START, &good("1-1", ELECTRICS_START, &whole)).await;
    assert!(!asked.contains("accept-encoding: gzip"), "{asked}");
    let etag = first.header("etag").unwrap();
    for (index, coding) in Coding::ALL.into_iter().enumerate() {
        let before = gateway.state.metrics.hub.bytes.get();
        let plain = ask(
            &gateway,
            START,
            Some(&member(1)),
            &[("accept-encoding", coding.as_str())],
        )
        .await;
        assert_eq!(
            plain.header("content-encoding"),
            None,
            "who asks first does not wait for it"
        );
        assert_eq!(plain.text(), whole);
        for _ in 0..20 {
            let answer = coded(&gateway, START, coding.as_str()).await;
            assert_eq!(answer.header("content-encoding"), Some(coding.as_str()));
            assert_eq!(
                answer.header("content-length"),
                Some(answer.body.len().to_string().as_str())
            );
            assert_eq!(answer.header("transfer-encoding"), None);
            assert_eq!(answer.header("vary"), Some("authorization, accept-encoding"));
            assert_eq!(answer.header("etag"), Some(format!("W/{etag}").as_str()));
            assert_eq!(answer.header("electric-handle"), Some("1-1"));
            assert!(answer.body.len() < whole.len() / 3);
            assert_eq!(decoded(&answer), whole);
            let after = gateway.state.metrics.hub.bytes.get();
            assert_eq!(
                after - before,
                i64::try_from(answer.body.len()).unwrap(),
                "and is in the budget"
            );
        }
        assert_eq!(encodings(&gateway)[index], 1);
        assert_eq!(gateway.state.metrics.hub.encoded(coding).get(), 20);
    }
    // Those who like none get it as it came.
    for accepted in ["identity", "deflate", "gzip;q=0", ""] {
        let answer = ask(
            &gateway,
            START,
            Some(&member(1)),
            &[("accept-encoding", accepted)],
        )
        .await;
        assert_eq!(answer.header("content-encoding"), None, "{accepted}");
        assert_eq!(answer.header("etag"), Some(etag));
        assert_eq!(answer.header("vary"), Some("authorization, accept-encoding"));
        assert_eq!(answer.text(), whole);
    }
    assert_eq!(gateway.state.metrics.hub.fetches_total.get(), 1);
    assert_eq!(encodings(&gateway), [1, 1, 1]);
}

#[tokio::test]
async fn a_client_gets_the_coding_that_it_likes_best() {
    let (gateway, upstream, _clock) = scripted().await;
    answered(
        &gateway,
        &upstream,
        START,
        &good("1-1", ELECTRICS_START, &rows("one")),
    )
    .await;
    for (accepted, chosen) in [
        ("gzip, deflate, br, zstd", "zstd"),
        ("br;q=1.0, gzip;q=0.9, *;q=0.1", "br"),
        ("gzip, zstd;q=0.9", "gzip"),
        ("x-gzip", "gzip"),
        ("identity;q=0, *", "zstd"),
    ] {
        let answer = coded(&gateway, START, accepted).await;
        assert_eq!(answer.header("content-encoding"), Some(chosen), "{accepted}");
    }
}

#[tokio::test]
async fn two_codings_of_one_body_are_named_by_one_tag_and_any_of_them_is_304() {
    let (gateway, upstream, _clock) = scripted().await;
    let whole = rows("one");
    let (first, _) = answered(&gateway, &upstream, START, &good("1-1", ELECTRICS_START, &whole)).await;
    let strong = first.header("etag").unwrap().to_owned();
    let weak = coded(&gateway, START, "br")
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    assert_eq!(weak, format!("W/{strong}"));
    for accepted in ["br", "gzip", "identity"] {
        for tag in [&strong, &weak] {
            let headers = [("accept-encoding", accepted), ("if-none-match", tag.as_str())];
            let answer = ask(&gateway, START, Some(&member(1)), &headers).await;
            assert_eq!((answer.status, answer.body.len()), (304, 0), "{accepted} {tag}");
            assert_eq!(
                answer.header("etag"),
                Some(tag.as_str()),
                "a cache finds what it is about"
            );
            assert_eq!(answer.header("content-encoding"), None);
            assert_eq!(answer.header("vary"), Some("authorization, accept-encoding"));
        }
    }
}

/// What is no longer fresh is confirmed by its strong tag; whoever asked gets it as those do who ask afterwards.
#[tokio::test]
async fn what_has_just_been_confirmed_goes_out_in_the_coding_that_was_made_of_it() {
    let (gateway, upstream, clock) = scripted().await;
    let whole = rows("one");
    let (first, _) = answered(&gateway, &upstream, START, &good("1-1", ELECTRICS_START, &whole)).await;
    let strong = first.header("etag").unwrap().to_owned();
    let weak = format!("W/{strong}");
    coded(&gateway, START, "br").await;
    clock.advance(Duration::from_secs(61));

    // All of these wait for one 304.
    let own = member(1);
    let other = "\"1-1:-1:9_9\"";
    let clients = [
        [("accept-encoding", "br"), ("x-a", "")],
        [("accept-encoding", "identity"), ("x-a", "")],
        [("accept-encoding", "gzip;q=0.5, br;q=0.4"), ("x-a", "")],
        [("accept-encoding", "br"), ("if-none-match", weak.as_str())],
        [("accept-encoding", "br"), ("if-none-match", other)],
        [("accept-encoding", "br"), ("cache-control", "no-transform")],
    ];
    let asking = clients
        .each_ref()
        .map(|headers| ask(&gateway, START, Some(&own), headers));
    let confirming = async {
        let (mut exchange, asked) = soon(upstream.asked()).await;
        assert!(asked.contains(&format!("if-none-match: {strong}\r\n")), "{asked}");
        until("all have joined", || gateway.state.metrics.hub.joined.get() == 5).await;
        let same = format!("HTTP/1.1 304 Not Modified\r\n{ELECTRICS_START}etag: {strong}\r\n\r\n");
        exchange.send(same).await;
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(asking), confirming);
    let told = |answer: &Answer| {
        let header = |name| answer.header(name).unwrap_or("-").to_owned();
        assert_eq!(answer.header("vary"), Some("authorization, accept-encoding"));
        (answer.status, header("content-encoding"), header("etag"))
    };
    let expected = [
        (200, "br", &weak),
        (200, "-", &strong),
        (200, "-", &strong),
        (304, "-", &weak),
        (200, "br", &weak),
        (200, "-", &strong),
    ];
    for (answer, (status, coding, etag)) in answers.iter().zip(expected) {
        assert_eq!(
            told(answer),
            (status, coding.to_owned(), etag.clone()),
            "{answer:?}"
        );
        let body = if status == 304 { "" } else { whole.as_str() };
        assert_eq!(decoded(answer), body);
        let length = (status == 200).then(|| answer.body.len().to_string());
        assert_eq!(answer.header("content-length"), length.as_deref());
    }
    assert_eq!(answers[0].header("cache-status"), Some("shapegate; fwd=stale"));

    // Nothing was encoded twice, and what one of them liked better is made for those who ask next.
    let next = ask(&gateway, START, Some(&member(1)), &[("accept-encoding", "br")]).await;
    assert_eq!(next.header("content-encoding"), Some("br"), "at once");
    coded(&gateway, START, "gzip").await;
    assert_eq!(encodings(&gateway), [0, 1, 1]);
    assert_eq!(gateway.state.metrics.hub.fetches_total.get(), 2);
}

#[tokio::test]
async fn a_new_incarnation_is_encoded_anew_and_the_old_coding_is_gone() {
    let (gateway, upstream, _clock) = scripted().await;
    answered(
        &gateway,
        &upstream,
        START,
        &good("1-1", ELECTRICS_START, &rows("old")),
    )
    .await;
    assert!(decoded(&coded(&gateway, START, "gzip").await).contains("old"));
    let past = format!("{START}&cache-buster=1-a");
    answered(&gateway, &upstream, &past, &good("1-2", ELECTRICS_START, "[]")).await;
    answered(
        &gateway,
        &upstream,
        START,
        &good("1-2", ELECTRICS_START, &rows("new")),
    )
    .await;
    for _ in 0..3 {
        assert!(decoded(&coded(&gateway, START, "gzip").await).contains("new"));
    }
    assert_eq!(encodings(&gateway), [0, 0, 2]);
}

#[tokio::test]
async fn nobody_gets_the_coded_rows_of_another() {
    let (gateway, upstream, _clock) = scripted().await;
    for org in [1, 2] {
        let target = START.to_owned();
        let client = async { ask(&gateway, &target, Some(&member(org)), &[]).await };
        let upstreams = async {
            let (mut exchange, _) = soon(upstream.asked()).await;
            exchange
                .send(good(
                    &format!("{org}-1"),
                    ELECTRICS_START,
                    &rows(&format!("of {org}")),
                ))
                .await;
        };
        tokio::join!(client, upstreams);
    }
    let codings = ["zstd", "br", "gzip"].into_iter().cycle();
    for (turn, coding) in (0..200).zip(codings) {
        let (mine, other) = (turn % 2 + 1, 2 - turn % 2);
        let answer = ask(
            &gateway,
            START,
            Some(&member(mine)),
            &[("accept-encoding", coding)],
        )
        .await;
        let text = decoded(&answer);
        assert!(
            text.contains(&format!("of {mine}")) && !text.contains(&format!("of {other}")),
            "{turn}"
        );
    }
    until("all are made", || encodings(&gateway) == [2, 2, 2]).await;
    assert_eq!(
        ask(&gateway, START, None, &[("accept-encoding", "br")])
            .await
            .status,
        401
    );
}

/// Asserts that what is kept of this answer is never encoded, whoever asks.
async fn stays_plain(upstream_answer: &str, headers: &[(&str, &str)]) {
    let (gateway, upstream, _clock) = scripted().await;
    answered(&gateway, &upstream, START, upstream_answer).await;
    for _ in 0..5 {
        let answer = ask(&gateway, START, Some(&member(1)), headers).await;
        assert_eq!(answer.header("content-encoding"), None, "{headers:?}");
    }
    assert_eq!(gateway.state.metrics.hub.hits.get(), 5);
    assert_eq!(encodings(&gateway), [0, 0, 0]);
}

#[tokio::test]
async fn small_bodies_and_those_that_nobody_may_change_stay_as_they_are() {
    let gzip = ("accept-encoding", "gzip");
    stays_plain(&good("1-1", ELECTRICS_START, &"1".repeat(1023)), &[gzip]).await;
    let forbidden = "cache-control: public, max-age=60, no-transform\r\n";
    stays_plain(&good("1-1", forbidden, &rows("one")), &[gzip]).await;
    let plain = good("1-1", ELECTRICS_START, &rows("one"));
    stays_plain(&plain, &[gzip, ("cache-control", "no-transform")]).await;
    stays_plain(&plain, &[("accept-encoding", "gzip;q=0, deflate")]).await;
    stays_plain(&plain, &[]).await;
}

#[tokio::test]
async fn what_grows_by_a_coding_is_tried_once_and_sent_as_it_is() {
    let (gateway, upstream, _clock) = scripted().await;
    let mut state = 1_u32;
    let mut noise = String::new();
    while noise.len() < 1500 {
        // xorshift: all of ASCII but what ends a line, which no coding makes much of.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        noise.push(char::from_u32(0x20 + state % 0x5f).unwrap());
    }
    answered(&gateway, &upstream, START, &good("1-1", ELECTRICS_START, &noise)).await;
    let headers = [("accept-encoding", "gzip")];
    ask(&gateway, START, Some(&member(1)), &headers).await;
    until("it is tried", || encodings(&gateway) == [0, 0, 1]).await;
    for _ in 0..10 {
        let answer = ask(&gateway, START, Some(&member(1)), &headers).await;
        assert_eq!(decoded(&answer), noise);
    }
    assert_eq!(encodings(&gateway), [0, 0, 1]);
}

#[tokio::test]
async fn an_operator_may_choose_codings_or_none() {
    for (encode, accepted, expected) in [
        ("[gzip]", "zstd, br, gzip;q=0.1", Some("gzip")),
        ("[br, zstd]", "zstd, br", Some("br")),
        ("off", "zstd, br, gzip", None),
    ] {
        let rest = format!("server: {{ encode: {encode} }}\n{}", users());
        let (gateway, upstream, _clock) = scripted_with(&rest).await;
        answered(
            &gateway,
            &upstream,
            START,
            &good("1-1", ELECTRICS_START, &rows("one")),
        )
        .await;
        match expected {
            Some(name) => {
                let answer = coded(&gateway, START, accepted).await;
                assert_eq!(answer.header("content-encoding"), Some(name));
            }
            None => {
                for _ in 0..5 {
                    let answer = ask(
                        &gateway,
                        START,
                        Some(&member(1)),
                        &[("accept-encoding", accepted)],
                    )
                    .await;
                    assert_eq!(answer.header("content-encoding"), None);
                    assert_eq!(answer.header("vary"), Some("authorization"));
                }
            }
        }
    }
}

#[tokio::test]
async fn only_what_may_come_in_a_coding_says_that_it_varies() {
    let (gateway, upstream, _clock) = scripted_with(&unshared()).await;
    let (answer, _) = answered(
        &gateway,
        &upstream,
        START,
        &good("1-1", ELECTRICS_START, &rows("x")),
    )
    .await;
    assert_eq!(answer.header("vary"), Some("authorization"), "hub: off");

    let (gateway, upstream, _clock) = scripted().await;
    let mut client = gateway.connect().await;
    let events = "/api/shapes/users?offset=0_0&handle=1-1&live=true&live_sse=true";
    client
        .send(request(
            "GET",
            events,
            Some(&member(1)),
            &[("accept-encoding", "gzip")],
            "",
        ))
        .await;
    let (mut exchange, _) = soon(upstream.asked()).await;
    exchange.send(SSE_HEAD).await;
    let head = soon(client.head()).await.unwrap();
    assert_eq!(
        (head.header("vary"), head.header("content-encoding")),
        (Some("authorization"), None)
    );

    let log = "/api/shapes/users?offset=0_0&handle=1-1";
    let gone = format!(
        "HTTP/1.1 409 Conflict\r\ncontent-type: application/json\r\nelectric-handle: 1-2\r\n\
         cache-control: public, max-age=60, must-revalidate\r\ncontent-length: 2000\r\n\r\n{}",
        " ".repeat(2000)
    );
    answered(&gateway, &upstream, log, &gone).await;
    for _ in 0..3 {
        let answer = ask(&gateway, log, Some(&member(1)), &[("accept-encoding", "gzip")]).await;
        assert_eq!((answer.status, answer.header("content-encoding")), (409, None));
        assert_eq!(answer.header("vary"), Some("authorization"));
    }
    assert_eq!(encodings(&gateway), [0, 0, 0]);
    // A HEAD is as the GET that it asks about may be.
    let bytes = request(
        "HEAD",
        START,
        Some(&member(1)),
        &[("accept-encoding", "gzip")],
        "",
    );
    client = gateway.connect().await;
    client.send(bytes).await;
    let (mut exchange, _) = soon(upstream.asked()).await;
    let whole = good("1-2", ELECTRICS_START, &rows("one"));
    exchange
        .send(whole.split_inclusive("\r\n\r\n").next().unwrap())
        .await;
    let head = soon(client.head()).await.unwrap();
    assert_eq!(head.header("vary"), Some("authorization, accept-encoding"));
    assert_eq!(head.header("content-encoding"), None);
}

#[tokio::test]
async fn a_public_route_keeps_electrics_cache_control_and_varies_by_the_coding_alone() {
    let shapes =
        "\nshapes:\n  users: { table: users, columns: all, access: public, rules: [ { rows: all } ] }\n";
    let (gateway, upstream, _clock) = scripted_with(&format!("{IDENTITY}{shapes}")).await;
    let log = "/api/shapes/users?offset=0_0&handle=1-1";
    answered(
        &gateway,
        &upstream,
        log,
        &good("1-1", ELECTRICS_LOG, &rows("one")),
    )
    .await;
    let answer = coded(&gateway, log, "br").await;
    assert_eq!(answer.header("vary"), Some("accept-encoding"));
    let electrics = Some("public, max-age=60, stale-while-revalidate=300");
    assert_eq!(answer.header("cache-control"), electrics);
    assert!(answer.header("age").is_some());
}

/// Answers every request with many rows, and once the shape is `rotated` that it is.
async fn answers_all(upstream: Scripted, rotated: Arc<AtomicBool>) {
    loop {
        let (mut exchange, asked) = upstream.asked().await;
        let answer = if rotated.load(Ordering::SeqCst) {
            "HTTP/1.1 409 x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n[]".to_owned()
        } else {
            good(
                "1-1",
                ELECTRICS_LOG,
                &rows(asked.split_whitespace().nth(1).unwrap()),
            )
        };
        exchange.send(answer).await;
    }
}

#[tokio::test]
async fn codings_are_evicted_with_their_answer_and_never_exceed_the_budget() {
    const BUDGET: i64 = 1024 * 1024;
    let rest = format!("limits: {{ hub_bytes_max: 1MiB }}\n{}", users());
    let (gateway, upstream, _clock) = scripted_with(&rest).await;
    let rotated = Arc::new(AtomicBool::new(false));
    let answering = tokio::spawn(answers_all(upstream, Arc::clone(&rotated)));
    let targets: Vec<_> = (0..60)
        .map(|n| format!("/api/shapes/users?offset={n}_0&handle=1-1"))
        .collect();
    for target in &targets {
        for coding in ["identity", "gzip", "br", "gzip"] {
            let answer = ask(&gateway, target, Some(&member(1)), &[("accept-encoding", coding)]).await;
            assert_eq!(answer.status, 200);
            assert!(gateway.state.metrics.hub.bytes.get() <= BUDGET);
        }
    }
    until("nothing is being encoded", || gateway.state.hub.encoding() == 0).await;
    let (kept, bytes) = (gateway.state.hub.kept(), gateway.state.metrics.hub.bytes.get());
    assert!(
        bytes <= BUDGET && kept > 0 && kept < targets.len(),
        "{bytes} {kept}"
    );
    assert!(encodings(&gateway)[2] > 0);
    // A rotation ends all of it.
    rotated.store(true, Ordering::SeqCst);
    let poll = format!("{}&live=true", targets[0]);
    for target in std::iter::once(&poll).chain(&targets) {
        let answer = ask(&gateway, target, Some(&member(1)), &[("accept-encoding", "gzip")]).await;
        assert_eq!(answer.status, 409, "{target}");
    }
    assert_eq!(
        (gateway.state.hub.kept(), gateway.state.metrics.hub.bytes.get()),
        (0, 0)
    );
    answering.abort();
}
