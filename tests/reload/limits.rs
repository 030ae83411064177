//! Limits that change, and what was counted before.

use std::sync::Arc;
use std::time::Duration;

use shapegate::clock::ManualClock;
use shapegate_core::time::UnixMillis;

use crate::place::{Files, MAIN, USERS, get, of};
use crate::support::gateway::{Gateway, origin};
use crate::support::token;

fn with(per_minute: &str) -> String {
    format!("{MAIN}limits: {{ per_subject: {{ requests_per_minute: {per_minute} }} }}\n")
}

#[tokio::test]
async fn other_numbers_count_at_once_and_what_was_counted_still_counts() {
    let files = Files::two();
    files.write("shapegate.yaml", &with("3"));
    let clock = ManualClock::at(UnixMillis::from_seconds(token::now()));
    let (gateway, reloader) = Gateway::of_files(origin(), files.main(), Arc::new(clock.clone())).await;
    let request = get("acme.test", &format!("{USERS}?offset=-1"), &of("acme"));
    let status = async || gateway.connect().await.ask(request.clone()).await.status;
    for expected in [200, 200, 200, 429] {
        assert_eq!(status().await, expected);
    }
    // Twice as many a minute: nothing is forgotten, and the next one is due after ten seconds and not twenty.
    files.write("shapegate.yaml", &with("6"));
    reloader.look(true).await;
    assert_eq!(status().await, 429);
    clock.advance(Duration::from_secs(10));
    assert_eq!((status().await, status().await), (200, 429));
    files.write("shapegate.yaml", &with("none"));
    reloader.look(true).await;
    assert_eq!((status().await, status().await), (200, 200));
}
