//! No secret and no token in an answer, a log line, a metric or anything that the program prints.

use bytes::Bytes;
use serde_json::json;
use shapegate_origin::{Fault, Misbehaviour};

use crate::support::gateway::{ELECTRIC_SECRET, Gateway, JWT_SECRET, get, request};
use crate::support::http2;
use crate::support::logs;
use crate::support::process::Program;
use crate::support::raw::{Answer, Raw};
use crate::support::token::{member, now, token};
use crate::world::{config, start, users_with};

/// Part of every token of these tests: nobody else has this subject.
const SUBJECT: &str = "canary-subject-of-the-secret-tests";

/// Asks in every way that ends differently; every answer, and every token that was sent.
async fn everything(gateway: &Gateway) -> (Vec<Answer>, Vec<String>) {
    let good = token(json!({ "sub": SUBJECT, "org_id": 1 }));
    let expired = token(json!({ "sub": SUBJECT, "org_id": 1, "exp": now() - 120 }));
    let nobody = token(json!({ "sub": SUBJECT }));
    let forged = format!("{good}x");
    let mut answers = Vec::new();
    for token in [&good, &expired, &nobody, &forged] {
        for target in [
            users_with(""),
            users_with(&format!("&secret={ELECTRIC_SECRET}")),
            users_with(&format!("&access_token={token}")),
            users_with("&table=items"),
            "/api/shapes/broken?offset=-1".to_owned(),
            "/api/shapes/users?offset=0_0&handle=1-1&live=true".to_owned(),
            "/api/shapes/subsets?offset=-1&subset__limit=1&subset__order_by=id".to_owned(),
            "/nowhere".to_owned(),
        ] {
            answers.push(gateway.get(&target, Some(token)).await);
        }
    }
    for fault in [
        Fault::Unauthorized,
        Fault::HtmlPage,
        Fault::MissingHeaders,
        Fault::Gzip,
        Fault::Status {
            status: 503,
            retry_after: Some(1),
        },
    ] {
        gateway.origin.misbehave(Misbehaviour::once(fault));
        answers.push(gateway.get(&users_with(""), Some(&good)).await);
    }
    let malformed = get(&users_with(""), Some(&good)).replace("host: gateway.test", "host: a\r\nhost: b");
    answers.push(gateway.connect().await.ask(malformed).await);
    let body = [("content-type", "application/json")];
    let post = request("POST", "/api/shapes/subsets?offset=-1", Some(&good), &body, "{");
    answers.push(gateway.connect().await.ask(post).await);
    (answers, vec![good, expired, nobody, forged])
}

/// What may be nowhere: the secrets, and the parts of tokens that make them credentials.
fn canaries(tokens: &[String]) -> Vec<String> {
    let mut canaries = vec![
        ELECTRIC_SECRET.to_owned(),
        JWT_SECRET.to_owned(),
        SUBJECT.to_owned(),
    ];
    canaries.extend(
        tokens
            .iter()
            .map(|token| token.rsplit('.').next().unwrap().to_owned()),
    );
    canaries
}

fn assert_none(text: &str, canaries: &[String], what: &str) {
    for canary in canaries {
        assert!(!text.contains(canary.as_str()), "{what} holds {canary}: {text}");
    }
}

#[tokio::test]
async fn no_secret_is_in_an_answer_a_log_line_or_a_metric() {
    let gateway = start().await;
    let (answers, tokens) = everything(&gateway).await;
    let canaries = canaries(&tokens);
    for answer in &answers {
        assert_none(&format!("{:?}", answer.headers), &canaries, "a header");
        assert_none(&String::from_utf8_lossy(&answer.body), &canaries, "a body");
    }
    let lines = logs::lines();
    assert!(
        lines.iter().any(|line| line.contains("token_invalid")),
        "the log is looked at"
    );
    for line in &lines {
        assert_none(line, &canaries, "a log line");
    }
    let metrics = gateway.state.metrics.render().unwrap();
    assert!(metrics.contains("token_invalid"), "{metrics}");
    assert_none(&metrics, &canaries, "a metric");
}

#[tokio::test]
async fn no_secret_is_printed_by_the_program_however_much_it_is_asked_to_log() {
    let program = Program::start(&config()).await;
    let good = token(json!({ "sub": SUBJECT, "org_id": 1 }));
    for (token, target) in [
        (&good, users_with("")),
        (&good, users_with(&format!("&secret={ELECTRIC_SECRET}"))),
        (&format!("{good}x"), users_with("")),
    ] {
        let request = http::Request::get(format!("https://localhost{target}"))
            .header("authorization", format!("Bearer {token}"))
            .body(())
            .unwrap();
        http2::ask(program.tls("localhost", b"h2").await, request, None::<Bytes>).await;
    }
    let question = get("/metrics", None).replace("gateway.test", "localhost");
    let metrics = Raw::connect(program.admin).await.ask(question).await;
    assert_eq!(metrics.status, 200);
    let canaries = canaries(&[good]);
    assert_none(metrics.text(), &canaries, "a metric");
    let output = program.output();
    assert!(output.contains("token_invalid"), "the log is looked at: {output}");
    assert_none(&output, &canaries, "the output");
    assert_eq!(program.origin.received().len(), 1);
}

#[tokio::test]
async fn the_admin_listener_refuses_pages() {
    let program = Program::start(&config()).await;
    for (path, headers) in [
        ("/metrics", vec![("origin", "https://evil.example")]),
        ("/metrics", vec![("origin", "null")]),
    ] {
        let bytes = request("GET", path, Some(&member(1)), &headers, "").replace("gateway.test", "localhost");
        let answer = Raw::connect(program.admin).await.ask(bytes).await;
        assert_eq!(answer.status, 403, "{path} {headers:?}");
    }
}
