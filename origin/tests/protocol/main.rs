//! What the recordings do not show: traps, waits, writes and faults.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod faults;
mod traps;
mod waits;
mod writes;

use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use shapegate_origin::{Origin, OriginConfig, Schema};

/// An origin over the tables of the recordings, with short waits.
fn origin(change: impl FnOnce(&mut OriginConfig)) -> Origin {
    let mut config = OriginConfig {
        schema: Schema::recordings(),
        long_poll: Duration::from_millis(400),
        ..OriginConfig::default()
    };
    change(&mut config);
    Origin::start(config).unwrap()
}

/// An answer, read to its end.
struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: String,
}

impl Answer {
    async fn of(response: reqwest::Response) -> Self {
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await.unwrap(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// The rows' `value`s, or those of messages.
    fn values(&self) -> Vec<Value> {
        let body = self.json();
        let items = body.get("data").unwrap_or(&body).as_array().unwrap().clone();
        items
            .into_iter()
            .filter_map(|item| item.get("value").cloned())
            .collect()
    }
}

async fn get(origin: &Origin, query: &str) -> Answer {
    let url = format!("{}/v1/shape?{query}", origin.url());
    Answer::of(Client::new().get(url).send().await.unwrap()).await
}

async fn post(origin: &Origin, query: &str, body: Value) -> Answer {
    let url = format!("{}/v1/shape?{query}", origin.url());
    Answer::of(Client::new().post(url).json(&body).send().await.unwrap()).await
}

/// A shape's handle.
async fn handle(origin: &Origin, definition: &str) -> String {
    let answer = get(origin, &format!("{definition}&offset=-1")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.header("electric-handle").unwrap().to_owned()
}

async fn until_waiting(origin: &Origin, count: usize) {
    while origin.waiting() != count {
        tokio::task::yield_now().await;
    }
}

fn user(id: i32, name: &str, org_id: i32) -> Value {
    json!({"id": id, "name": name, "org_id": org_id})
}
