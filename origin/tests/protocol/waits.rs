//! Long polls and event streams, and what ends them.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;

use super::{get, handle, origin, until_waiting, user};

const SHAPE: &str = "table=users&where=org_id%3D1";

#[tokio::test]
async fn rows_move_in_and_out_of_a_shape_by_updates() {
    let origin = origin(|config| config.long_poll = Duration::from_secs(20));
    let handle = handle(&origin, SHAPE).await;
    let mut offset = "0_inf".to_owned();
    let key = json!({"id": 3});
    for (org_id, operation) in [(1, "insert"), (1, "update"), (2, "delete")] {
        let query = format!("{SHAPE}&offset={offset}&handle={handle}&live=true");
        let (answer, ()) = tokio::join!(get(&origin, &query), async {
            until_waiting(&origin, 1).await;
            let set = json!({"org_id": org_id, "name": operation});
            origin.update("users", key.clone(), set).unwrap();
        });
        assert_eq!(answer.json()[0]["headers"]["operation"], operation);
        offset = answer.header("electric-offset").unwrap().to_owned();
    }
    // What is outside of a shape is no news to it.
    origin.update("users", key, json!({"name": "unseen"})).unwrap();
    let answer = get(&origin, &format!("{SHAPE}&offset={offset}&handle={handle}")).await;
    assert_eq!(answer.json()[0]["headers"]["control"], "up-to-date");
}

#[tokio::test]
async fn a_rotation_ends_a_long_poll_with_409_and_the_next_request_learns_the_new_handle() {
    let origin = origin(|config| config.long_poll = Duration::from_secs(20));
    let old = handle(&origin, SHAPE).await;
    let query = format!("{SHAPE}&offset=0_inf&handle={old}&live=true");
    let (answer, ()) = tokio::join!(get(&origin, &query), async {
        until_waiting(&origin, 1).await;
        assert_eq!(origin.rotate(Some("users")), Ok(1));
    });
    assert_eq!(answer.status, 409);
    assert_eq!(
        answer.header("cache-control"),
        Some("public, max-age=1, must-revalidate")
    );
    assert_eq!(answer.header("electric-handle"), None);
    let answer = get(&origin, &query).await;
    assert_eq!(answer.status, 409);
    assert_eq!(
        answer.header("cache-control"),
        Some("public, max-age=60, must-revalidate")
    );
    assert_eq!(
        answer.header("electric-handle"),
        Some(&*handle(&origin, SHAPE).await)
    );
}

#[tokio::test]
async fn a_rotation_just_ends_an_event_stream() {
    let origin = origin(|_| {});
    let old = handle(&origin, SHAPE).await;
    let query = format!("{SHAPE}&offset=0_inf&handle={old}&live=true&live_sse=true");
    let (answer, ()) = tokio::join!(get(&origin, &query), async {
        until_waiting(&origin, 1).await;
        origin.rotate(None).unwrap();
    });
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
}

#[tokio::test]
async fn an_event_stream_ends_after_its_life_and_comments_on_silence() {
    let origin = origin(|config| {
        config.sse_keepalive = Duration::from_millis(60);
        config.sse_life = Duration::from_millis(200);
    });
    let handle = handle(&origin, SHAPE).await;
    let query = format!("{SHAPE}&offset=0_inf&handle={handle}&live=true&live_sse=true");
    let answer = get(&origin, &query).await;
    assert!(answer.body.starts_with(": keep-alive\n\n"), "{}", answer.body);
    assert_eq!(answer.body.replace(": keep-alive\n\n", ""), "");
}

#[tokio::test]
async fn an_event_stream_with_news_gives_them_and_ends() {
    let origin = origin(|_| {});
    let handle = handle(&origin, SHAPE).await;
    origin.insert("users", user(9, "Ida", 1)).unwrap();
    let query = format!("{SHAPE}&offset=0_inf&handle={handle}&live=true&live_sse=true");
    let answer = get(&origin, &query).await;
    assert_eq!(answer.body.matches("data: ").count(), 2);
    assert!(answer.body.contains("Ida") && answer.body.contains("up-to-date"));
}

#[tokio::test]
async fn a_client_that_leaves_waits_no_longer() {
    let origin = origin(|config| config.long_poll = Duration::from_secs(20));
    let handle = handle(&origin, SHAPE).await;
    for sse in ["", "&live_sse=true"] {
        let query = format!("{SHAPE}&offset=0_inf&handle={handle}&live=true{sse}");
        let url = format!("{}/v1/shape?{query}", origin.url());
        let client = tokio::spawn(async move {
            let mut body = reqwest::get(url).await.unwrap().bytes_stream();
            while body.next().await.is_some() {}
        });
        until_waiting(&origin, 1).await;
        client.abort();
        until_waiting(&origin, 0).await;
    }
}

#[tokio::test]
async fn an_offset_beyond_the_end_is_refused_after_half_a_long_poll() {
    let origin = origin(|_| {});
    let handle = handle(&origin, SHAPE).await;
    let answer = get(&origin, &format!("{SHAPE}&offset=99999999999_0&handle={handle}")).await;
    assert_eq!(answer.status, 400);
    let errors = json!({"offset": ["out of bounds for this shape"]});
    assert_eq!(answer.json()["errors"], errors);
}

#[tokio::test]
async fn cursors_agree_within_a_window_and_escape_when_they_come_back() {
    let origin = origin(|config| config.long_poll = Duration::from_secs(2));
    let handle = handle(&origin, SHAPE).await;
    let query = format!("{SHAPE}&offset=0_inf&handle={handle}&live=true");
    let far = u64::MAX / 2;
    let with_cursor = format!("{query}&cursor={far}");
    let (first, second, back) = tokio::join!(
        get(&origin, &query),
        get(&origin, &query),
        get(&origin, &with_cursor)
    );
    let cursor =
        |answer: &super::Answer| -> u64 { answer.header("electric-cursor").unwrap().parse().unwrap() };
    // Two requests at a window's edge may be one window apart.
    assert!(cursor(&first).abs_diff(cursor(&second)) <= 2);
    assert!(cursor(&back) > far);
    assert_ne!(first.header("etag"), second.header("etag"));
}

#[tokio::test]
async fn dropping_the_origin_closes_what_waits() {
    let origin = origin(|config| config.long_poll = Duration::from_secs(20));
    let handle = handle(&origin, SHAPE).await;
    let url = format!(
        "{}/v1/shape?{SHAPE}&offset=0_inf&handle={handle}&live=true",
        origin.url()
    );
    let client = tokio::spawn(async move { reqwest::get(url).await });
    until_waiting(&origin, 1).await;
    drop(origin);
    assert!(client.await.unwrap().is_err());
}
