//! A gateway that asks somebody, in which time stands still until it is told to move.

use std::sync::Arc;

use serde_json::json;
use shapegate::clock::ManualClock;
use shapegate_core::time::UnixMillis;

use crate::fake::{Fake, Say};
use crate::support::gateway::{Gateway, origin};
use crate::support::raw::Answer;
use crate::support::token::{self, IDENTITY};

pub const PATH: &str = "/api/shapes/users";
pub const FIRST: &str = "/api/shapes/users?offset=-1";

pub struct World {
    pub gateway: Gateway,
    pub clock: ManualClock,
    pub fake: Fake,
}

/// A shape whose rows depend on what is found out.
pub fn shape(authorize: &str, rules: &str) -> String {
    format!(
        "{IDENTITY}
limits: {{ hub_bytes_max: 0KiB }}
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    authorize: {authorize}
    rules: {rules}
"
    )
}

/// Everybody gets everything, as far as the rules are concerned.
pub const ALL: &str = "[{ rows: all }]";

impl World {
    /// A shape that asks a service by our JSON.
    pub async fn http(say: Say, more: &str, rules: &str) -> Self {
        let fake = Fake::saying(say).await;
        let authorize = format!("{{ http: {{ url: '{}/decide'{more} }} }}", fake.url());
        Self::of(fake, &shape(&authorize, rules)).await
    }

    /// A gateway with that configuration after `electric`.
    pub async fn of(fake: Fake, text: &str) -> Self {
        let clock = ManualClock::at(UnixMillis::from_seconds(token::now()));
        let gateway = Gateway::before(origin(), text, Arc::new(clock.clone())).await;
        Self { gateway, clock, fake }
    }

    /// The first read of the shape by that user.
    pub async fn first(&self, user: &str) -> Answer {
        self.gateway.get(FIRST, Some(user)).await
    }

    /// The names in the first read of the shape.
    pub async fn names(&self, user: &str) -> Vec<String> {
        names(&self.first(user).await)
    }
}

pub fn names(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let messages = answer.json();
    let rows = messages.as_array().unwrap().iter();
    let names = rows.filter_map(|message| message["value"]["name"].as_str());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    names
}

/// A parameter of a target, decoded as Electric does.
pub fn parameter(target: &str, name: &str) -> String {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced)
            .decode_utf8()
            .unwrap()
            .into_owned()
    };
    let (_, query) = target.split_once('?').unwrap();
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(known, _)| decode(known) == name);
    decode(found.unwrap_or_else(|| panic!("no {name} in {target}")).1)
}

/// A parameter of the one request that went upstream.
pub fn sent(world: &World, name: &str) -> String {
    parameter(&world.gateway.received_one().target, name)
}

/// Somebody of the first organisation, whose token lasts longer than any test's time.
pub fn bob() -> String {
    token::token(json!({ "sub": "bob", "org_id": 1, "exp": token::now() + 80_000 }))
}

pub fn allow() -> Say {
    Say::Json(json!({ "allow": true }))
}

pub fn deny() -> Say {
    Say::Json(json!({ "allow": false }))
}

/// Asserts a refusal by its status and code.
pub fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (status, code),
        "{}",
        answer.text()
    );
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

/// Asserts that nobody could be asked.
pub fn unavailable(answer: &Answer) {
    refused(answer, 503, "decision_unavailable");
    let after: u64 = answer
        .header("retry-after")
        .expect("when to come back")
        .parse()
        .unwrap();
    assert!((1..=30).contains(&after), "{after}");
}
