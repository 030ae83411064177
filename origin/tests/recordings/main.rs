//! What a real Electric 1.7.12 was asked and answered is asked of the stand-in and compared:
//! status, headers, bodies; ids, times and sequence numbers only for their shape.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod compare;
mod replay;

use std::time::Duration;

use serde_json::json;
use shapegate_origin::{Origin, OriginConfig, Schema};

use replay::Replay;

/// What the stand-in cannot do: subqueries. This list may only become shorter.
const NOT_REPLAYED: [&str; 4] = [
    "subquery-initial",
    "subquery-catch-up",
    "subquery-live-move-in",
    "subquery-live-move-out",
];

fn origin(change: impl FnOnce(&mut OriginConfig)) -> Origin {
    let mut config = OriginConfig {
        schema: Schema::recordings(),
        long_poll: Duration::from_millis(1500),
        sse_keepalive: Duration::from_millis(300),
        ..OriginConfig::default()
    };
    change(&mut config);
    Origin::start(config).unwrap()
}

#[tokio::test]
async fn the_shape_api_answers_as_recorded() {
    let recordings = include_str!("shape-api.json");
    Replay::of(origin(|_| {})).run(recordings, &NOT_REPLAYED).await;
}

#[tokio::test]
async fn the_secret_is_asked_for_as_recorded() {
    let with_secret = origin(|config| config.secret = Some("electric-real-secret".to_owned()));
    Replay::of(with_secret)
        .run(include_str!("secret.json"), &[])
        .await;
}

#[tokio::test]
async fn chunks_and_deletion_are_as_recorded() {
    let chunked = origin(|config| {
        config.chunk_bytes = 10_000;
        config.allow_deletion = true;
        config.cache_max_age = 1;
        config.cache_stale_age = 3;
    });
    for id in 1..=80 {
        chunked
            .insert("big", json!({"id": id, "payload": "x".repeat(400)}))
            .unwrap();
    }
    Replay::of(chunked)
        .run(include_str!("chunks-and-deletion.json"), &[])
        .await;
}
