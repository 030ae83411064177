//! Rows that tell whose they are, and what an answer makes of them.

use std::collections::BTreeMap;

use serde_json::Value;

/// What a column holds besides saying whose it is: rows that do not fit into a packet.
const PADDING_BYTES: usize = 1500;
/// Ids of an organisation are so far from those of the next.
const IDS_APART: i64 = 1_000_000;

/// Ids and what the rows say.
pub type Rows = BTreeMap<i64, String>;

pub fn id(org: i64, number: i64) -> i64 {
    org * IDS_APART + number
}

/// What a row says at a version of it.
pub fn text(org: i64, version: u64) -> String {
    format!("{} version {version} {}", prefix(org), "x".repeat(PADDING_BYTES))
}

fn prefix(org: i64) -> String {
    format!("of organisation {org};")
}

pub fn of_org(all: &Rows, org: i64) -> Rows {
    let range = id(org, 0)..id(org + 1, 0);
    all.range(range).map(|(id, text)| (*id, text.clone())).collect()
}

/// Makes of `rows` what the messages of an answer say, and fails if any of them is of another organisation.
pub fn apply(rows: &mut Rows, org: i64, messages: &[Value]) {
    for message in messages {
        assert_is_of(org, message);
        let (Some(key), headers) = (message["key"].as_str(), &message["headers"]) else {
            continue;
        };
        let id = id_of(key);
        match headers["operation"].as_str() {
            Some("insert" | "update") => {
                if let Some(text) = message["value"]["text"].as_str() {
                    rows.insert(id, text.to_owned());
                }
            }
            Some("delete") => {
                rows.remove(&id);
            }
            other => panic!("{other:?} in {message}"),
        }
    }
}

/// Fails if a message is of another organisation's row, in whatever place it says so.
pub fn assert_is_of(org: i64, message: &Value) {
    let Some(key) = message["key"].as_str() else {
        assert!(message["headers"].is_object(), "{message}");
        return;
    };
    assert_eq!(id_of(key) / IDS_APART, org, "{key} for organisation {org}");
    let value = &message["value"];
    if let Some(of) = value["org_id"].as_str() {
        assert_eq!(of, org.to_string(), "{key}");
    }
    if let Some(text) = value["text"].as_str() {
        assert!(text.starts_with(&prefix(org)), "{key} says {text:.40}");
        assert!(text.len() > PADDING_BYTES, "{key} is cut off");
    }
}

/// The id in `"public"."notes"/"3000001"`.
fn id_of(key: &str) -> i64 {
    let id = key.rsplit('/').next().expect("a key");
    id.trim_matches('"')
        .parse()
        .unwrap_or_else(|_| panic!("no id in {key}"))
}

/// The messages of the whole events of a stream, which stay in `text` as far as they are not whole.
pub fn events(text: &mut String) -> Vec<Value> {
    let Some(end) = text.rfind("\n\n") else {
        return Vec::new();
    };
    let rest = text.split_off(end + 2);
    let whole = std::mem::replace(text, rest);
    let data = whole.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data:.80}")))
        .collect()
}
