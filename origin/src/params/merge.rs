//! How a POST body is laid over the query.

use serde_json::{Map, Value};

/// Body keys that go under `subset` when the body has no `subset` of its own.
const SUBSET_KEYS: [&str; 7] = [
    "where",
    "order_by",
    "limit",
    "offset",
    "params",
    "where_expr",
    "order_by_expr",
];

/// Folds `subset__*` and lays the body over the query: the body wins, for every name but `secret`,
/// which was checked in the query before. A gateway that forwards a client's body hands over
/// whatever the body names; tests prove that ours does not, so this does what Electric does.
pub(crate) fn merged(query: Map<String, Value>, body: Map<String, Value>) -> Map<String, Value> {
    let mut merged = folded(query);
    if body.get("subset").is_some_and(Value::is_object) {
        return with_subset_of_body(merged, body);
    }
    let (of_subset, other): (Map<_, _>, Map<_, _>) = body
        .into_iter()
        .partition(|(name, _)| SUBSET_KEYS.contains(&name.as_str()));
    merged.extend(other);
    if !of_subset.is_empty() {
        lay_over_subset(&mut merged, of_subset);
    }
    merged
}

fn with_subset_of_body(mut merged: Map<String, Value>, mut body: Map<String, Value>) -> Map<String, Value> {
    let of_subset = match body.remove("subset") {
        Some(Value::Object(subset)) => subset,
        _ => Map::new(),
    };
    merged.extend(body);
    lay_over_subset(&mut merged, of_subset);
    merged
}

fn lay_over_subset(merged: &mut Map<String, Value>, of_body: Map<String, Value>) {
    let mut subset = match merged.remove("subset") {
        Some(Value::Object(subset)) => subset,
        _ => Map::new(),
    };
    subset.extend(of_body);
    merged.insert("subset".to_owned(), Value::Object(subset));
}

/// `subset__where` becomes `subset.where`; a nested `subset[…]` of the query wins over all of them.
fn folded(query: Map<String, Value>) -> Map<String, Value> {
    let mut subset = Map::new();
    let mut rest = Map::new();
    for (name, value) in query {
        match name.strip_prefix("subset__") {
            Some(field) => subset.insert(field.to_owned(), value),
            None => rest.insert(name, value),
        };
    }
    if !subset.is_empty() {
        rest.entry("subset").or_insert(Value::Object(subset));
    }
    rest
}
