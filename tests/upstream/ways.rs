//! The ways that a request goes upstream: proxied, shared, awaited, and with a body.

use serde_json::json;

use crate::support::gateway::{Gateway, get, request};
use crate::support::patience::soon;
use crate::support::raw::{Answer, Raw};
use crate::support::token::{IDENTITY, member};

const SHAPES: &str = r#"
limits: { hub_bytes_max: 0KiB, per_subject: { new_shapes_per_minute: none } }
shapes:
  proxied:
    table: users
    hub: off
    columns: [id, name, org_id]
    rules:
      - when: user.org_id != 0
        rows: { where: '"org_id" = $1', params: [user.org_id] }
  users:
    table: users
    columns: [id, name, org_id]
    client: { subset: { limit_max: 100 } }
    rules:
      - when: user.org_id != 0
        rows: { where: '"org_id" = $1', params: [user.org_id] }
"#;

/// The body of a subset query.
const SUBSET: &str = r#"{"subset":{"limit":10,"order_by":"id"}}"#;

pub fn shapes() -> String {
    format!("{IDENTITY}{SHAPES}")
}

/// How a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A snapshot, through Pingora's proxying.
    Finite,
    /// A snapshot, through the hub.
    Shared,
    /// A long poll, fetched and awaited.
    Live,
    /// A subset, by POST.
    Subset,
}

pub const WAYS: [Way; 4] = [Way::Finite, Way::Shared, Way::Live, Way::Subset];

/// A gateway before a stand-in that would answer each way at once, and a client of org 1.
pub struct Scene {
    pub gateway: Gateway,
    pub token: String,
    handle: String,
}

impl Scene {
    pub async fn new() -> Self {
        Self::of(Gateway::start(&shapes()).await).await
    }

    pub async fn of(gateway: Gateway) -> Self {
        let token = member(1);
        let first = gateway.get("/api/shapes/users?offset=-1", Some(&token)).await;
        assert_eq!(first.status, 200, "{}", first.text());
        // Behind this row, a poll has something to tell at once.
        let row = json!({ "id": 9, "name": "Eve", "org_id": 1 });
        gateway.origin.insert("users", row).unwrap();
        let scene = Self {
            handle: first.header("electric-handle").unwrap().to_owned(),
            gateway,
            token,
        };
        // The first subset asks the upstream for its version.
        scene.assert_well(Way::Subset).await;
        scene.gateway.origin.forget_received();
        scene
    }

    /// The bytes of a request.
    pub fn request(&self, way: Way) -> String {
        bytes(way, &self.handle, &self.token)
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, way: Way) -> Answer {
        let mut client = self.gateway.connect().await;
        self.ask_on(&mut client, way).await
    }

    pub async fn ask_on(&self, client: &mut Raw, way: Way) -> Answer {
        soon(client.ask(self.request(way))).await
    }

    /// Asks on `client`, or on a new connection where the last answer said that this one closes.
    pub async fn ask_again(&self, client: &mut Raw, way: Way) -> Answer {
        let answer = self.ask_on(client, way).await;
        if answer.header("connection") == Some("close") {
            assert!(soon(client.is_closed()).await, "{way:?}");
            *client = self.gateway.connect().await;
        }
        answer
    }

    /// Asserts that all is well again: what was wrong with an answer stays with that answer.
    pub async fn assert_well(&self, way: Way) {
        assert_eve(&self.ask(way).await, way);
    }
}

/// A request of a way, for a position of the shape `handle`.
pub fn bytes(way: Way, handle: &str, token: &str) -> String {
    match way {
        Way::Finite => get("/api/shapes/proxied?offset=-1", Some(token)),
        Way::Shared => get("/api/shapes/users?offset=-1", Some(token)),
        Way::Live => {
            let target = format!("/api/shapes/users?offset=0_inf&handle={handle}&live=true");
            get(&target, Some(token))
        }
        Way::Subset => request(
            "POST",
            "/api/shapes/users?offset=now",
            Some(token),
            &[("content-type", "application/json")],
            SUBSET,
        ),
    }
}

/// Asserts that an answer is whole and good.
pub fn assert_eve(answer: &Answer, way: Way) {
    assert_eq!(answer.status, 200, "{way:?}: {}", answer.text());
    assert!(answer.complete, "{way:?}");
    answer.json();
    let snapshot = matches!(way, Way::Finite | Way::Shared);
    let wanted = if snapshot { "Alice" } else { "Eve" };
    assert!(answer.text().contains(wanted), "{way:?}: {}", answer.text());
}

/// Asserts that an answer is an error of the gateway's own, whole, readable for pages, and without a trace of
/// a shape.
pub fn assert_refused(answer: &Answer, status: u16, code: &str, way: Way) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{way:?}");
    assert!(answer.complete, "{way:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert!(answer.header("x-request-id").is_some());
    let electric = answer
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("electric-"));
    assert_eq!(electric.count(), 0, "{way:?}: {:?}", answer.headers);
}
