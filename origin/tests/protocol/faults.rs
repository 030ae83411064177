//! Misbehaviour on demand.

use std::io::Read;
use std::time::Duration;

use serde_json::json;
use shapegate_origin::{Fault, Misbehaviour, Origin};

use super::{get, origin};

const QUERY: &str = "table=users&offset=-1";

async fn raw(origin: &Origin) -> reqwest::Response {
    reqwest::get(format!("{}/v1/shape?{QUERY}", origin.url()))
        .await
        .unwrap()
}

#[tokio::test]
async fn faults_happen_as_often_as_planned_and_where() {
    let origin = origin(|_| {});
    let fault = Fault::Status {
        status: 503,
        retry_after: Some(7),
    };
    origin.misbehave(
        Misbehaviour {
            times: Some(2),
            ..Misbehaviour::always(fault)
        }
        .only("table=users"),
    );
    assert_eq!(get(&origin, "table=items&offset=-1").await.status, 200);
    let answer = get(&origin, QUERY).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("7")));
    assert_eq!(get(&origin, QUERY).await.status, 503);
    assert_eq!(get(&origin, QUERY).await.status, 200);
    assert_eq!(origin.received().len(), 4);
}

#[tokio::test]
async fn a_body_is_cut_off_or_stalls_after_its_headers() {
    let origin = origin(|_| {});
    origin.misbehave(Misbehaviour::once(Fault::CutOff { after_bytes: 10 }));
    let response = raw(&origin).await;
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.is_err());
    origin.misbehave(Misbehaviour::once(Fault::StallBody { after_bytes: 10 }));
    let mut response = raw(&origin).await;
    assert_eq!(response.chunk().await.unwrap().unwrap().len(), 10);
    let rest = tokio::time::timeout(Duration::from_millis(100), response.chunk()).await;
    assert!(rest.is_err());
}

#[tokio::test]
async fn gzip_is_real_or_a_lie() {
    let origin = origin(|_| {});
    let right = raw(&origin).await.bytes().await.unwrap();
    origin.misbehave(Misbehaviour::once(Fault::Gzip));
    let response = raw(&origin).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let body = response.bytes().await.unwrap();
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&body[..])
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, right);
    origin.misbehave(Misbehaviour::once(Fault::FalseGzip));
    let response = raw(&origin).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert_eq!(response.bytes().await.unwrap(), right);
}

#[tokio::test]
async fn answers_of_other_servers_are_given() {
    let origin = origin(|_| {});
    origin.misbehave(Misbehaviour::once(Fault::HtmlPage));
    let page = get(&origin, QUERY).await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html"))
    );
    origin.misbehave(Misbehaviour::once(Fault::MissingHeaders));
    let bare = get(&origin, QUERY).await;
    assert_eq!((bare.status, bare.header("electric-handle")), (200, None));
    assert_eq!(bare.values().len(), 4);
    origin.misbehave(Misbehaviour::once(Fault::Unauthorized));
    assert_eq!(get(&origin, QUERY).await.status, 401);
    let cookie = Fault::Header {
        name: "set-cookie".to_owned(),
        value: "a=b".to_owned(),
    };
    origin.misbehave(Misbehaviour::once(cookie));
    assert_eq!(get(&origin, QUERY).await.header("set-cookie"), Some("a=b"));
}

#[tokio::test]
async fn answers_are_late_or_never_come() {
    let origin = origin(|_| {});
    origin.misbehave(Misbehaviour::once(Fault::Slow { ms: 50 }));
    let impatient = tokio::time::timeout(Duration::from_millis(20), get(&origin, QUERY)).await;
    assert!(impatient.is_err());
    origin.misbehave(Misbehaviour::always(Fault::Stall));
    let never = tokio::time::timeout(Duration::from_millis(100), get(&origin, QUERY)).await;
    assert!(never.is_err());
    origin.behave();
    assert_eq!(get(&origin, QUERY).await.status, 200);
}

#[tokio::test]
async fn faults_are_planned_over_http() {
    let origin = origin(|_| {});
    let url = format!("{}/_origin/faults", origin.url());
    let client = reqwest::Client::new();
    let plan = json!({"fault": "status", "status": 500, "times": 1, "only": "offset=-1"});
    assert_eq!(client.post(&url).json(&plan).send().await.unwrap().status(), 204);
    assert_eq!(get(&origin, QUERY).await.status, 500);
    assert_eq!(get(&origin, QUERY).await.status, 200);
    let nonsense = json!({"fault": "explode"});
    assert_eq!(
        client.post(&url).json(&nonsense).send().await.unwrap().status(),
        422
    );
}
