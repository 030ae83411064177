//! Compares an answer with a recorded one, and learns which of our ids stand for which recorded ones.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::replay::Recording;

pub(crate) struct Found {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// Recorded handles and offsets, and what they are here.
#[derive(Default)]
pub(crate) struct Mapping(BTreeMap<String, String>);

impl Mapping {
    /// The text with everything recorded replaced by what it is here.
    pub(crate) fn translated(&self, text: &str) -> String {
        let pairs = self.0.iter();
        pairs.fold(text.to_owned(), |text, (recorded, ours)| {
            text.replace(recorded, ours)
        })
    }

    /// Learns a pair; one that contradicts what was learned before is a difference.
    fn learn(&mut self, recorded: &str, ours: &str) -> Result<(), String> {
        let known = self
            .0
            .entry(recorded.to_owned())
            .or_insert_with(|| ours.to_owned());
        if known == ours {
            return Ok(());
        }
        Err(format!("{recorded} was {known} before and is {ours} now"))
    }
}

/// Present in both, compared by nothing but that.
const ONLY_PRESENT: [&str; 2] = ["date", "x-request-id"];

/// Members of JSON bodies that differ from run to run.
const VARYING: [&str; 8] = [
    "lsn",
    "txids",
    "xmin",
    "xmax",
    "snapshot_mark",
    "database_lsn",
    "global_last_seen_lsn",
    "details",
];

pub(crate) fn differences(recording: &Recording, found: &Found, mapping: &mut Mapping) -> Vec<String> {
    let recorded = &recording.response;
    let mut differences = Vec::new();
    if recorded.status != found.status {
        differences.push(format!(
            "status {} is {}: {}",
            recorded.status, found.status, found.body
        ));
        return differences;
    }
    let header = |name: &str| {
        let value = found.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    for (name, value) in &recorded.headers {
        let learned = match name.as_str() {
            "electric-handle" => mapping.learn(value, &header(name)),
            "electric-offset" if !value.starts_with("0_") => mapping.learn(value, &header(name)),
            _ => Ok(()),
        };
        differences.extend(learned.err());
    }
    let names: BTreeSet<&str> = recorded.headers.iter().map(|(name, _)| name.as_str()).collect();
    let ours: BTreeSet<&str> = found.headers.keys().map(|name| name.as_str()).collect();
    differences.extend(names.symmetric_difference(&ours).map(|name| {
        format!(
            "header {name} is in one answer only, recorded {}",
            names.contains(name)
        )
    }));
    for (name, value) in &recorded.headers {
        let wanted = mapping.translated(value);
        if !same_header(name, &wanted, &header(name)) {
            differences.push(format!("{name}: {wanted} is {}", header(name)));
        }
    }
    if body(&recorded.body) != body(&found.body) {
        differences.push(format!("body {} is {}", recorded.body, found.body));
    }
    differences
}

fn same_header(name: &str, wanted: &str, found: &str) -> bool {
    match name {
        name if ONLY_PRESENT.contains(&name) => !found.is_empty(),
        "electric-cursor" => !found.is_empty() && found.bytes().all(|byte| byte.is_ascii_digit()),
        "electric-schema" => json(wanted) == json(found),
        "etag" => {
            // The fourth part of an answer without changes is a clock's reading.
            let parts = |etag: &str| -> Vec<String> {
                etag.trim_matches('"').split(':').map(str::to_owned).collect()
            };
            let (wanted, found) = (parts(wanted), parts(found));
            wanted.len() == found.len() && wanted.iter().zip(&found).take(3).all(|(a, b)| a == b)
        }
        _ => wanted == found,
    }
}

/// A body as a list of what it holds: one JSON value, or events and comments, or plain text.
fn body(text: &str) -> Vec<Value> {
    if let Ok(value) = serde_json::from_str(text) {
        return vec![without_varying(value)];
    }
    let events = text.split("\n\n").filter(|event| !event.is_empty());
    let events = events.map(|event| match event.strip_prefix("data: ") {
        Some(data) => without_varying(json(data)),
        None => Value::String(event.to_owned()),
    });
    events.collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

fn without_varying(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(without_varying).collect(),
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, value)| {
                let value = match VARYING.contains(&name.as_str()) {
                    true => Value::String(format!("some {name}")),
                    false => without_varying(value),
                };
                (name, value)
            });
            members.collect()
        }
        other => other,
    }
}
