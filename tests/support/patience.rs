//! Waiting for what happens elsewhere: by looking again, never by sleeping for a guessed time.

use std::future::Future;
use std::time::Duration;

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// Looks until `holds`, and fails when it never does.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let looking = async {
        while !holds() {
            pause().await;
        }
    };
    if tokio::time::timeout(PATIENCE, looking).await.is_err() {
        panic!("it never happened: {what}");
    }
}

/// What a future gives, which must not take long.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("an end in time")
}

/// Looks at a growing number until it has stood still for half a second.
pub async fn settled(mut count: impl FnMut() -> usize) -> usize {
    let (mut last, mut still) = (count(), 0);
    while still < 250 {
        pause().await;
        let now = count();
        still = if now == last { still + 1 } else { 0 };
        last = now;
    }
    last
}

#[allow(clippy::disallowed_methods, reason = "between two looks")]
async fn pause() {
    tokio::time::sleep(PAUSE).await;
}
