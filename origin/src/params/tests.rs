use serde_json::{Map, Value, json};

use super::{Errors, Params, merged};
use crate::query;

fn read(query: &str, body: Value) -> Result<Params, Errors> {
    let Value::Object(body) = body else {
        unreachable!("tests give objects")
    };
    Params::read(&merged(query::decode(query).unwrap(), body))
}

fn errors(query: &str) -> Value {
    Value::Object(read(query, json!({})).unwrap_err().fields)
}

#[test]
fn a_body_overrides_what_the_query_has_set() {
    let params = read(
        "table=users&offset=-1&where=org_id%3D1&columns=id&queryable_columns=id&params[1]=1",
        json!({"subset": {}, "table": "memberships", "where": null, "columns": null,
               "queryable_columns": null, "params": {}}),
    )
    .unwrap();
    assert_eq!(params.asked.table, "memberships");
    assert_eq!(params.asked.filter, None);
    assert_eq!(params.asked.columns, None);
    assert_eq!(params.asked.queryable, None);
    assert!(params.asked.params.is_empty());
    assert!(params.subset().unwrap().is_some());
}

#[test]
fn a_flat_body_overrides_all_but_the_names_that_a_subset_has() {
    let params = read(
        "table=users&offset=-1&where=org_id%3D1",
        json!({"limit": 1, "order_by": "id", "where": "true", "table": "items", "replica": "full"}),
    )
    .unwrap();
    assert_eq!(params.asked.table, "items");
    assert!(params.asked.full_replica);
    assert_eq!(params.asked.filter.as_deref(), Some("org_id=1"));
    let subset = params.subset().unwrap().unwrap();
    assert_eq!(subset.filter.as_deref(), Some("true"));
    assert_eq!(subset.limit, Some(1));
}

#[test]
fn blank_means_absent_and_presence_of_any_subset_key_a_subset() {
    let params = read("table=users&offset=-1&where=%20&columns=", json!({})).unwrap();
    assert_eq!(params.asked.filter, None);
    assert_eq!(params.asked.columns, None);
    assert_eq!(params.subset().unwrap(), None);
    let params = read("table=users&offset=-1&subset__where=", json!({})).unwrap();
    assert_eq!(params.subset().unwrap().unwrap().filter, None);
}

#[test]
fn a_nested_subset_replaces_the_prefixed_names() {
    let query = "table=users&offset=-1&subset[where]=a&subset__order_by=id";
    let subset = read(query, json!({})).unwrap().subset().unwrap().unwrap();
    assert_eq!(subset.filter.as_deref(), Some("a"));
    assert_eq!(subset.order_by, None);
}

#[test]
fn live_is_true_unless_it_says_false() {
    for (value, live) in [
        ("true", true),
        ("", true),
        ("0", true),
        ("False", true),
        ("false", false),
    ] {
        let query = format!("table=users&offset=0_0&handle=h&live={value}");
        assert_eq!(read(&query, json!({})).unwrap().live, live, "{value}");
    }
    assert!(
        read("table=users&offset=0_0&handle=h", json!({"live": false}))
            .unwrap()
            .live
    );
}

#[test]
fn what_a_400_names_depends_on_the_order_of_checks() {
    assert_eq!(errors(""), json!({"offset": ["can't be blank"]}));
    assert_eq!(errors("offset=-1"), json!({"table": ["can't be blank"]}));
    assert_eq!(errors("offset=-1&table[]=x"), json!({"table": ["is invalid"]}));
    assert_eq!(
        errors("replica=x&log=y&params=z&columns=a%20b"),
        json!({"columns": ["Invalid unquoted identifier contains special characters: a b"],
               "replica": ["is invalid"], "log": ["is invalid"], "params": ["is invalid"],
               "offset": ["can't be blank"]})
    );
    assert_eq!(
        errors("offset=now&table=users&live"),
        json!({"live": ["can't be true when offset is 'now'"]})
    );
}

#[test]
fn handles_are_dropped_where_a_log_begins() {
    let params = read("table=users&offset=-1&handle=x", json!({})).unwrap();
    assert_eq!(params.handle, None);
}

#[test]
fn subset_parameters_become_text_whatever_they_are() {
    let body = json!({"where": "a = $1", "params": {"1": 5, "2": null, "3": true}});
    let subset = read("table=users&offset=-1", body)
        .unwrap()
        .subset()
        .unwrap()
        .unwrap();
    let texts: Vec<_> = subset.params.values().map(String::as_str).collect();
    assert_eq!(texts, ["5", "", "true"]);
    let text = Map::from_iter([("params".to_owned(), json!("{\"1\":\"x\"}"))]);
    let subset = read("table=users&offset=-1", json!({"subset": text})).unwrap();
    assert_eq!(subset.subset().unwrap().unwrap().params["1"], "x");
}
