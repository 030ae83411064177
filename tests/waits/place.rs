//! A client that stands somewhere in a log and waits there.

use std::sync::Arc;

use serde_json::Value;
use shapegate::clock::ManualClock;
use shapegate_core::time::UnixMillis;

use crate::support::gateway::{Gateway, get, origin};
use crate::support::patience::{soon, until};
use crate::support::raw::{Answer, Raw};
use crate::support::token::{self, IDENTITY};

/// Members see their organisation, admins everything.
pub const USERS: &str = r#"
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    rules:
      - when: '"admin" in user.roles'
        rows: all
      - when: user.org_id != 0
        rows: { where: '"org_id" = $1', params: [user.org_id] }
"#;

const PATH: &str = "/api/shapes/users";

pub fn users() -> String {
    format!("{IDENTITY}{USERS}")
}

/// The same, and every wait has a request of its own.
pub fn unshared() -> String {
    users().replace("    table: users\n", "    table: users\n    hub: off\n")
}

/// A gateway whose time stands still at the moment at which tokens are signed.
pub async fn timeless() -> (Gateway, ManualClock) {
    let clock = ManualClock::at(UnixMillis::from_seconds(token::now()));
    let gateway = Gateway::before(origin(), &users(), Arc::new(clock.clone())).await;
    (gateway, clock)
}

/// Where a client stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub handle: String,
    pub offset: String,
    pub cursor: Option<String>,
}

impl Place {
    pub fn after(answer: &Answer) -> Self {
        let header = |name| answer.header(name).map(str::to_owned);
        Self {
            handle: header("electric-handle").expect("a handle"),
            offset: header("electric-offset").expect("an offset"),
            cursor: header("electric-cursor"),
        }
    }

    pub fn poll(&self) -> String {
        let cursor = self.cursor.as_ref().map(|cursor| format!("&cursor={cursor}"));
        format!(
            "{PATH}?handle={}&offset={}&live=true{}",
            self.handle,
            self.offset,
            cursor.unwrap_or_default()
        )
    }

    pub fn events(&self) -> String {
        format!("{}&live_sse=true", self.poll())
    }
}

/// Reads the log from its start to its end.
pub async fn synced(gateway: &Gateway, token: &str) -> Place {
    let first = gateway.get(&format!("{PATH}?offset=-1"), Some(token)).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let mut place = Place::after(&first);
    let mut up_to_date = first.header("electric-up-to-date").is_some();
    while !up_to_date {
        let target = format!("{PATH}?offset={}&handle={}", place.offset, place.handle);
        let next = gateway.get(&target, Some(token)).await;
        place = Place::after(&next);
        up_to_date = next.header("electric-up-to-date").is_some();
    }
    gateway.origin.forget_received();
    place
}

/// A poll that has reached the stand-in and waits there.
pub async fn polling(gateway: &Gateway, place: &Place, token: &str) -> Raw {
    waiting(gateway, &place.poll(), token).await
}

/// A stream of events that has begun.
pub async fn streaming(gateway: &Gateway, place: &Place, token: &str) -> Raw {
    let mut client = waiting(gateway, &place.events(), token).await;
    let head = soon(client.head()).await.expect("a header");
    assert_eq!(
        (head.status, head.header("content-type")),
        (200, Some("text/event-stream"))
    );
    client
}

async fn waiting(gateway: &Gateway, target: &str, token: &str) -> Raw {
    let before = gateway.state.metrics.held.get();
    let mut client = gateway.connect().await;
    client.send(get(target, Some(token))).await;
    // What others wait for already is not asked for once more.
    until("the stand-in holds the request", || {
        let underway = gateway.state.hub.underway().max(1);
        gateway.state.metrics.held.get() > before && gateway.origin.waiting() >= underway
    })
    .await;
    client
}

/// The messages of an answer without its closing control message: operation and value.
pub fn operations(answer: &Answer) -> Vec<(String, Value)> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.complete);
    let messages = answer.json();
    let rows = messages.as_array().unwrap().iter();
    rows.filter_map(|message| {
        let operation = message["headers"]["operation"].as_str()?;
        Some((operation.to_owned(), message["value"].clone()))
    })
    .collect()
}

/// Asserts that an answer is what Electric sends when a poll times out: nothing new, stand where you stand.
pub fn assert_nothing_new(answer: &Answer, place: &Place) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.complete);
    assert_eq!(answer.header("electric-handle"), Some(place.handle.as_str()));
    assert_eq!(answer.header("electric-offset"), Some(place.offset.as_str()));
    assert_eq!(answer.header("electric-up-to-date"), Some(""));
    assert_eq!(
        answer.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    let cursor = answer.header("electric-cursor").expect("a cursor");
    assert_ne!(
        Some(cursor),
        place.cursor.as_deref(),
        "the same URL again could be answered by a cache"
    );
    let messages = answer.json();
    let messages = messages.as_array().unwrap();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(messages[0]["headers"]["control"], "up-to-date");
}

/// Waits until the gateway's gauge of waits shows `count`.
pub async fn held(gateway: &Gateway, count: i64) {
    until("the gauge of waits", || gateway.state.metrics.held.get() == count).await;
}
