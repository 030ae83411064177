//! Sends the recorded requests, with the writes that were made while they waited.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use shapegate_origin::Origin;

use crate::compare::{self, Found, Mapping};

/// How long any recorded exchange may take here.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
pub(crate) struct Recording {
    pub(crate) name: String,
    request: Request,
    pub(crate) response: Recorded,
    sql_during: Option<Sql>,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Recorded {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

#[derive(Deserialize)]
struct Sql {
    sql: Statements,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Statements {
    One(String),
    Several(Vec<String>),
}

impl Sql {
    fn statements(&self) -> Vec<&str> {
        match &self.sql {
            Statements::One(statement) => vec![statement],
            Statements::Several(statements) => statements.iter().map(String::as_str).collect(),
        }
    }
}

pub(crate) struct Replay {
    origin: Origin,
    client: Client,
    mapping: Mapping,
}

impl Replay {
    pub(crate) fn of(origin: Origin) -> Self {
        Self {
            origin,
            client: Client::new(),
            mapping: Mapping::default(),
        }
    }

    /// Replays a file; what is listed must differ, everything else must not.
    pub(crate) async fn run(mut self, recordings: &str, differing: &[&str]) {
        let recordings: Vec<Recording> = serde_json::from_str(recordings).unwrap();
        let mut problems = Vec::new();
        for recording in &recordings {
            let found = self.ask(recording).await;
            let differences = compare::differences(recording, &found, &mut self.mapping);
            let listed = differing.contains(&recording.name.as_str());
            match (listed, differences.is_empty()) {
                (false, false) => problems.push(format!("{}: {differences:#?}", recording.name)),
                (true, true) => problems.push(format!("{} is replayed: unlist it", recording.name)),
                _ => {}
            }
        }
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }

    async fn ask(&self, recording: &Recording) -> Found {
        let request = self.request(&recording.request);
        let events = recording.response.body.matches("\n\n").count();
        let asked = tokio::spawn(async move { found(request.send().await.unwrap(), events).await });
        if let Some(sql) = &recording.sql_during {
            while self.origin.waiting() == 0 && !asked.is_finished() {
                tokio::task::yield_now().await;
            }
            for statement in sql.statements() {
                execute(&self.origin, statement);
            }
        }
        let found = tokio::time::timeout(PATIENCE, asked).await;
        found
            .unwrap_or_else(|_| panic!("{} hangs", recording.name))
            .unwrap()
    }

    fn request(&self, recorded: &Request) -> RequestBuilder {
        let method = Method::from_bytes(recorded.method.as_bytes()).unwrap();
        let target = self.mapping.translated(&recorded.target);
        let mut request = self
            .client
            .request(method, format!("{}{target}", self.origin.url()));
        for (name, value) in &recorded.headers {
            request = request.header(name, self.mapping.translated(value));
        }
        match &recorded.body {
            Some(body) => request.body(body.clone()),
            None => request,
        }
    }
}

/// Reads an answer: to its end, or to as many events as were recorded before the client hung up.
async fn found(response: Response, events: usize) -> Found {
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let is_stream = headers
        .get("content-type")
        .is_some_and(|value| value == "text/event-stream");
    let mut body = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        body.extend_from_slice(&piece.unwrap());
        let text = String::from_utf8_lossy(&body);
        if is_stream && text.matches("\n\n").count() >= events {
            break;
        }
    }
    Found {
        status,
        headers,
        body: String::from_utf8(body).unwrap(),
    }
}

/// The statements of the recordings, as writes.
fn execute(origin: &Origin, statement: &str) {
    let user = |id: i32, name: &str, org_id: i32, email: &str, ssn: &str| {
        let row = json!({"id": id, "name": name, "org_id": org_id, "email": email, "ssn": ssn});
        origin.insert("users", row)
    };
    let update = |id: i32, set: Value| origin.update("users", json!({ "id": id }), set);
    let written = match statement {
        "INSERT INTO users VALUES (10,'Erin',1,'erin@example.com','555')" => {
            user(10, "Erin", 1, "erin@example.com", "555")
        }
        "INSERT INTO users VALUES (11,'Frank',2,'f@example.com','666')" => {
            user(11, "Frank", 2, "f@example.com", "666")
        }
        "INSERT INTO users VALUES (12,'Grace',1,'g@example.com','777')" => {
            user(12, "Grace", 1, "g@example.com", "777")
        }
        "UPDATE users SET name='Erin B' WHERE id=10" => update(10, json!({"name": "Erin B"})),
        "UPDATE users SET org_id=2 WHERE id=10" => update(10, json!({"org_id": 2})),
        "UPDATE users SET name='Alice B' WHERE id=1" => update(1, json!({"name": "Alice B"})),
        "DELETE FROM users WHERE id=2" => origin.delete("users", json!({"id": 2})),
        "INSERT INTO memberships VALUES (4,1,'member')" => origin.insert(
            "memberships",
            json!({"user_id": 4, "org_id": 1, "role": "member"}),
        ),
        "DELETE FROM memberships WHERE user_id=4 AND org_id=2" => {
            origin.delete("memberships", json!({"user_id": 4, "org_id": 2}))
        }
        other => panic!("a statement that no one has translated: {other}"),
    };
    written.unwrap();
}
