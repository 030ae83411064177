//! E10 to E14: subsets, whichever way they come, go up as a body of ours.

use shapegate_origin::Received;

use crate::support::gateway::{Gateway, request};
use crate::support::raw::{Answer, Raw};
use crate::support::token::member;
use crate::world::{ask, assert_refused, clean_target, clean_target_at, post, start, warm_up};

const TARGET: &str = "/api/shapes/subsets?offset=-1";
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

async fn post_json(gateway: &Gateway, body: &str) -> Answer {
    post(gateway, TARGET, &JSON, body).await
}

/// The one request upstream, which must be the server's shape with a body of ours.
fn received_subset(gateway: &Gateway) -> Received {
    let received = gateway.received_one();
    assert_eq!(received.method, "POST");
    assert_eq!(received.target, clean_target());
    let mut names: Vec<_> = received.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "accept-encoding",
            "content-length",
            "content-type",
            "host",
            "x-request-id"
        ]
    );
    let length = received.body.len().to_string();
    assert_eq!(received.header("content-length"), Some(&*length));
    received
}

const REBUILT: &str = r#"{"subset":{"where":"(\"name\" = $1)","params":{"1":"Alice"},"limit":5,"offset":0,"order_by":"\"id\" ASC"}}"#;

#[tokio::test]
async fn e10_a_subset_is_rebuilt_whichever_way_it_comes() {
    let gateway = start().await;
    warm_up(&gateway).await;
    let query = "&subset__where=name='Alice'&subset__limit=5&subset__offset=0&subset__order_by=id";
    let answer = ask(&gateway, &format!("{TARGET}{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let by_query = received_subset(&gateway).body;
    let body = r#"{"subset":{"where":"name = $1","params":{"1":"Alice"},"limit":5,"offset":0,"order_by":"id","where_expr":{"x":1},"order_by_expr":[]}}"#;
    let answer = post_json(&gateway, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("Alice") && !answer.text().contains("Bob"));
    assert_eq!(received_subset(&gateway).body, by_query);
    assert_eq!(std::str::from_utf8(&by_query).unwrap(), REBUILT);
}

#[tokio::test]
async fn e10_a_hidden_column_cannot_be_guessed_at() {
    let gateway = start().await;
    for part in [
        "where=ssn%20LIKE%20'1%25'",
        "where=lower(ssn)='1'",
        "order_by=ssn",
        "where=id=1%20OR%20email%20IS%20NULL",
    ] {
        let limit = if part.starts_with("order") {
            ""
        } else {
            "&subset__order_by=id"
        };
        let answer = ask(
            &gateway,
            &format!("{TARGET}&subset__{part}&subset__limit=5{limit}"),
        )
        .await;
        assert_refused(&gateway, &answer, 400, "parameter_not_allowed", part);
    }
}

#[tokio::test]
async fn e10_were_it_to_reach_the_upstream_it_would_be_refused_there() {
    let gateway = start().await;
    warm_up(&gateway).await;
    let answer = post_json(&gateway, r#"{"subset":{"limit":5,"order_by":"id"}}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let target = received_subset(&gateway).target;
    let body = r#"{"subset":{"where":"ssn LIKE '1%'","limit":5,"order_by":"id"}}"#;
    let bytes = request("POST", &target, None, &[("connection", "close")], body);
    let answer = Raw::connect(gateway.origin.address()).await.ask(bytes).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(!answer.text().contains("111"), "{}", answer.text());
}

#[tokio::test]
async fn e12_e13_a_body_with_anything_but_a_subset_is_refused() {
    let gateway = start().await;
    for body in [
        r#"{"table":"items"}"#,
        r#"{"subset":{"limit":5,"order_by":"id"},"table":"items"}"#,
        r#"{"subset":{"where":"true"},"where":"true","params":{},"columns":["ssn"],"table":"items"}"#,
        r#"{"subset":{"limit":5,"order_by":"id"},"offset":"-1"}"#,
        r#"{"subset":{"limit":5,"order_by":"id","table":"items"}}"#,
        r#"{"subset":{"limit":5,"order_by":"id","secret":"x"}}"#,
        r#"{"limit":5,"order_by":"id","columns":["ssn"]}"#,
        r#"{"secret":"guess","limit":5,"order_by":"id"}"#,
        r#"{"queryable_columns":"ssn","limit":5,"order_by":"id"}"#,
        r#"{"subset":{"subset":{"limit":5}}}"#,
        r#"{"SUBSET":{"limit":5,"order_by":"id"}}"#,
    ] {
        let answer = post_json(&gateway, body).await;
        assert_refused(&gateway, &answer, 400, "body_malformed", body);
    }
}

#[tokio::test]
async fn e14_a_body_that_two_parsers_could_read_differently_is_refused() {
    let gateway = start().await;
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_inside = format!(r#"{{"subset":{{"where_expr":{deep},"limit":5,"order_by":"id"}}}}"#);
    for body in [
        r#"{"where":"id=1","where":"true","limit":5,"order_by":"id"}"#,
        r#"{"subset":{"limit":5,"order_by":"id"},"subset":{}}"#,
        r#"{"subset":{"params":{"1":"a","1":"b"},"where":"name=$1","limit":5,"order_by":"id"}}"#,
        r#"{"subset":{"wh\u0065re":"true","where":"id=1","limit":5,"order_by":"id"}}"#,
        "\u{feff}{\"subset\":{\"limit\":5,\"order_by\":\"id\"}}",
        "{\"subset\":{\"limit\":5,\"order_by\":\"id\"}}\u{0}",
        "{\"subset\":{\"where\":\"a\u{0}b\",\"limit\":5,\"order_by\":\"id\"}}",
        r#"{"subset":{"limit":NaN,"order_by":"id"}}"#,
        r#"{"subset":{"limit":Infinity,"order_by":"id"}}"#,
        r#"{"subset":{"limit":1e0,"order_by":"id"}}"#,
        r#"{"subset":{"limit":05,"order_by":"id"}}"#,
        r#"{"subset":{"limit":5,"order_by":"id"}} {"subset":{}}"#,
        r#"{"subset":{"limit":5,"order_by":"id"}}]"#,
        r#"{"subset":{"limit":5,"order_by":"id",}}"#,
        r#"{"subset":{"limit":5/*,*/,"order_by":"id"}}"#,
        r#"{'subset':{}}"#,
        r#"[{"subset":{}}]"#,
        r#""subset""#,
        "null",
        "{}",
        r#"{"subset":null}"#,
        r#"{"subset":[]}"#,
        r#"{"subset":"{}"}"#,
        &deep,
        &deep_inside,
    ] {
        let answer = post_json(&gateway, body).await;
        let shown: String = body.chars().take(60).collect();
        assert_refused(&gateway, &answer, 400, &answer.code(), &shown);
    }
}

#[tokio::test]
async fn e14_a_body_in_another_encoding_is_refused() {
    let gateway = start().await;
    let text = r#"{"subset":{"limit":5,"order_by":"id"}}"#;
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin = b"{\"subset\":{\"where\":\"name='\xe9'\",\"limit\":5,\"order_by\":\"id\"}}".to_vec();
    for body in [utf16, latin] {
        let mut bytes = request("POST", TARGET, Some(&member(1)), &JSON, "").into_bytes();
        bytes.truncate(bytes.len() - 2);
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(&body);
        let answer = gateway.connect().await.ask(bytes).await;
        assert_refused(&gateway, &answer, 400, "body_malformed", "another encoding");
    }
}

#[tokio::test]
async fn e14_another_media_type_or_coding_is_refused_before_the_body_is_read() {
    let gateway = start().await;
    warm_up(&gateway).await;
    let body = r#"{"subset":{"limit":5,"order_by":"id"}}"#;
    for headers in [
        vec![],
        vec![("content-type", "text/plain")],
        vec![("content-type", "application/x-www-form-urlencoded")],
        vec![("content-type", "multipart/form-data; boundary=x")],
        vec![("content-type", "application/json; charset=utf-16")],
        vec![("content-type", "application/jsonp")],
        vec![("content-type", "application/json, text/plain")],
        vec![
            ("content-type", "application/json"),
            ("content-type", "text/plain"),
        ],
        vec![("content-type", "application/json"), ("content-encoding", "gzip")],
        vec![
            ("content-type", "application/json"),
            ("content-encoding", "identity, gzip"),
        ],
    ] {
        let answer = post(&gateway, TARGET, &headers, body).await;
        assert_refused(
            &gateway,
            &answer,
            415,
            "media_type_unsupported",
            &format!("{headers:?}"),
        );
    }
    for media_type in ["application/json", "Application/JSON; Charset=UTF-8"] {
        let answer = post(&gateway, TARGET, &[("content-type", media_type)], body).await;
        assert_eq!(answer.status, 200, "{media_type}");
        received_subset(&gateway);
    }
}

#[tokio::test]
async fn e14_a_body_over_the_limit_is_refused_by_its_length_or_by_its_bytes() {
    let gateway = start().await;
    let large = "a".repeat(65 * 1024);
    let head = request(
        "POST",
        TARGET,
        Some(&member(1)),
        &[
            ("content-type", "application/json"),
            ("content-length", "10485760"),
        ],
        "",
    );
    let answer = gateway.connect().await.ask(head).await;
    assert_refused(&gateway, &answer, 413, "body_too_large", "10 MiB announced");
    let head = request(
        "POST",
        TARGET,
        Some(&member(1)),
        &[
            ("content-type", "application/json"),
            ("transfer-encoding", "chunked"),
        ],
        "",
    );
    let mut connection = gateway.connect().await;
    connection.send(head).await;
    connection
        .try_send(format!("{:x}\r\n{large}\r\n", large.len()))
        .await;
    let answer = connection.answer().await.unwrap();
    assert_refused(&gateway, &answer, 413, "body_too_large", "sent without a length");
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn e14_nobodys_body_is_asked_for() {
    let gateway = start().await;
    let headers = [
        ("content-type", "application/json"),
        ("expect", "100-continue"),
        ("content-length", "20"),
    ];
    let head = request("POST", TARGET, None, &headers, "");
    let mut connection = gateway.connect().await;
    connection.send(head).await;
    let first = connection.head_even_if_informational().await.unwrap();
    assert_eq!(first.status, 401);
    gateway.received_nothing();
}

#[tokio::test]
async fn a_subset_without_permission_or_over_its_limit_is_refused() {
    let gateway = start().await;
    let answer = ask(
        &gateway,
        "/api/shapes/users?offset=-1&subset__limit=5&subset__order_by=id",
    )
    .await;
    assert_refused(&gateway, &answer, 400, "parameter_not_allowed", "no subsets here");
    for body in [
        r#"{"subset":{}}"#,
        r#"{"subset":{"limit":11,"order_by":"id"}}"#,
        r#"{"subset":{"where":"id=1"}}"#,
        r#"{"subset":{"offset":5,"order_by":"id"}}"#,
    ] {
        let answer = post_json(&gateway, body).await;
        assert_refused(&gateway, &answer, 400, "parameter_not_allowed", body);
    }
    for body in [
        r#"{"subset":{"limit":0,"order_by":"id"}}"#,
        r#"{"subset":{"limit":-1,"order_by":"id"}}"#,
        r#"{"subset":{"limit":5}}"#,
        r#"{"subset":{"limit":5,"order_by":"id; DROP TABLE users"}}"#,
        r#"{"subset":{"limit":5,"order_by":"(SELECT 1)"}}"#,
        r#"{"subset":{"limit":5,"order_by":"id","where":"id IN (SELECT 1)"}}"#,
        r#"{"subset":{"limit":5,"order_by":"id","where":"true) OR (true"}}"#,
        r#"{"subset":{"limit":5,"order_by":"id","where":"name=$1"}}"#,
        r#"{"subset":{"limit":5,"order_by":"id","where":"name=$1","params":{"2":"x"}}}"#,
        r#"{"subset":{"limit":5,"order_by":"id","params":{"1":"x"}}}"#,
    ] {
        let answer = post_json(&gateway, body).await;
        assert_refused(&gateway, &answer, 400, &answer.code(), body);
    }
}

#[tokio::test]
async fn a_subset_in_query_and_body_at_once_is_refused() {
    let gateway = start().await;
    warm_up(&gateway).await;
    let target = format!("{TARGET}&subset__limit=5&subset__order_by=id");
    let answer = post(
        &gateway,
        &target,
        &JSON,
        r#"{"subset":{"limit":1,"order_by":"id"}}"#,
    )
    .await;
    assert_refused(&gateway, &answer, 400, "body_malformed", "both");
    let answer = ask(
        &gateway,
        &format!("{TARGET}&subset__limit=5&subset__order_by=id&live=true"),
    )
    .await;
    assert_refused(&gateway, &answer, 400, "parameter_malformed", "live");
    let at = clean_target_at("offset=now");
    let answer = ask(
        &gateway,
        "/api/shapes/subsets?offset=now&subset__limit=5&subset__order_by=id",
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(gateway.received_one().target, at);
}
