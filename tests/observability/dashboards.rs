//! The dashboard and the alerts ask for metrics and labels that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::fake::{Fake, Say};
use crate::program::{Program, Setup};
use crate::support::token::{IDENTITY, member, token};

/// Labels that Prometheus gives every sample of a target.
const TARGET_LABELS: [&str; 2] = ["job", "instance"];

/// What an expression asks for of one metric: labels, and the values that it wants of them.
type Wanted = BTreeMap<String, Option<String>>;

/// The metrics of ours that an expression names, with their labels; a `by (…)` is about all of them.
fn wanted(expression: &str) -> Vec<(String, Wanted)> {
    let mut found = Vec::new();
    for (start, _) in expression.match_indices("shapegate_") {
        let rest = &expression[start..];
        let name: String = rest
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        let mut labels = Wanted::new();
        if let Some(inside) = rest[name.len()..].strip_prefix('{') {
            let inside = &inside[..inside.find('}').unwrap()];
            labels.extend(inside.split(',').map(matcher));
        }
        found.push((name, labels));
    }
    let grouped = expression.split(" by (").skip(1).flat_map(|part| {
        let list = &part[..part.find(')').unwrap()];
        list.split(',')
            .map(|label| label.trim().to_owned())
            .collect::<Vec<_>>()
    });
    let grouped: Vec<String> = grouped.collect();
    for (_, labels) in &mut found {
        for label in &grouped {
            labels.entry(label.clone()).or_insert(None);
        }
        labels.retain(|label, _| !TARGET_LABELS.contains(&label.as_str()));
    }
    found
}

/// `name="value"`, or another comparison, whose value need not be there.
fn matcher(text: &str) -> (String, Option<String>) {
    let (name, value) = text.split_once('=').unwrap();
    let equals = !name.ends_with('!') && !value.starts_with('~');
    let value = value.trim_start_matches('~').trim_matches('"');
    (
        name.trim_end_matches('!').to_owned(),
        equals.then(|| value.to_owned()),
    )
}

/// Every sample of a `/metrics`: its name and its labels.
fn samples(text: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let name: String = line.chars().take_while(|c| !matches!(c, '{' | ' ')).collect();
            let labels = line
                .split_once('{')
                .map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
            let pairs = labels.split("\",").filter(|pair| !pair.is_empty());
            let pairs = pairs.map(|pair| pair.split_once("=\"").unwrap());
            let labels = pairs.map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()));
            (name, labels.collect())
        })
        .collect()
}

/// What an expression asks for and no sample has.
fn missing(expression: &str, samples: &[(String, BTreeMap<String, String>)]) -> Vec<String> {
    let has = |labels: &BTreeMap<String, String>, wanted: &Wanted| {
        wanted
            .iter()
            .all(|(label, value)| match (labels.get(label), value) {
                (Some(has), Some(value)) => has == value,
                (has, None) => has.is_some(),
                (None, Some(_)) => false,
            })
    };
    let lacking = wanted(expression).into_iter().filter(|(name, wanted)| {
        !samples
            .iter()
            .any(|(sample, labels)| sample == name && has(labels, wanted))
    });
    lacking
        .map(|(name, wanted)| format!("{name} {wanted:?} of {expression}"))
        .collect()
}

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn dashboard_expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&text("docs/grafana/shapegate.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    let panels = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let queries = variables
        .iter()
        .filter(|variable| variable["name"] != "datasource");
    panels
        .chain(queries.map(|variable| variable["query"].as_str().unwrap().to_owned()))
        .collect()
}

fn alerts() -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(&text("docs/prometheus/alerts.yaml")).unwrap();
    file["groups"][0]["rules"].as_array().unwrap().clone()
}

fn config(authorizer: &Fake) -> String {
    format!(
        "{}
  - jwt:
      issuer: https://away.test
      audience: sync
      jwks_url: http://127.0.0.1:1/jwks
      insecure_allow_http: true
      insecure_allow_private_addresses: true
limits: {{ per_subject: {{ requests_per_minute: 5 }} }}
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    authorize: {{ http: {{ url: \"{}\", defaults: {{ ok: false }}, ttl: 30s }} }}
    rules: [ {{ when: decision.ok, rows: all }} ]
  items: {{ table: items, columns: all, access: public, rules: [{{ rows: all }}] }}
",
        IDENTITY.trim_end(),
        authorizer.url()
    )
}

/// A gateway that has seen a little of everything.
async fn busy(authorizer: &Fake) -> Program {
    let mut setup = Setup::new();
    setup.rest = config(authorizer);
    let program = setup.start().await;
    let users = "/api/shapes/users?offset=-1";
    // Denied by the authoriser, not answered by it, and past the subject's limit.
    for name in ["denied", "unanswered"] {
        program.get(users, Some(&token(json!({ "sub": name })))).await;
        authorizer.says(Say::Status(500, ""));
    }
    authorizer.says(Say::Json(json!({ "allow": true, "facts": { "ok": true } })));
    for number in 0..8 {
        let target = format!("{users}&{number}={number}");
        program.get(&target, Some(&member(1))).await;
    }
    program.get("/api/shapes/items?offset=-1", None).await;
    program.get(users, None).await;
    program
}

#[tokio::test]
async fn every_panel_and_every_alert_asks_for_what_a_busy_gateway_tells() {
    let authorizer = Fake::saying(Say::Json(json!({ "allow": false }))).await;
    let program = busy(&authorizer).await;
    // A request is counted when it is over, which its client may know first.
    program.until_metric("shapegate_requests_in_flight", 0.0).await;
    program
        .until_metric("shapegate_requests_total{class=\"5xx\"}", 1.0)
        .await;
    let metrics = program.admin("/metrics").await;
    assert_eq!(
        metrics.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let samples = samples(metrics.text());
    let mut expressions = dashboard_expressions();
    assert!(expressions.len() > 40, "{}", expressions.len());
    expressions.extend(
        alerts()
            .iter()
            .map(|alert| alert["expr"].as_str().unwrap().to_owned()),
    );
    let missing: Vec<String> = expressions
        .iter()
        .flat_map(|expression| missing(expression, &samples))
        .filter(|missing| !OF_OTHERS.iter().any(|name| missing.starts_with(name)))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}\n{}", metrics.text());
}

/// What a gateway without a cluster, and without a provider that it asks for identities, has nothing to tell of.
const OF_OTHERS: [&str; 3] = [
    "shapegate_cluster_up",
    "shapegate_identity_wait_seconds",
    "shapegate_identity_waits_total",
];

#[tokio::test]
async fn every_metric_that_there_is_is_documented_and_every_documented_one_is_there() {
    let authorizer = Fake::saying(Say::Json(json!({ "allow": false }))).await;
    let program = busy(&authorizer).await;
    let metrics = program.admin("/metrics").await;
    let lines = metrics
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let told: BTreeSet<&str> = lines.filter_map(|line| line.split(' ').next()).collect();
    let page = text("docs/metrics.md");
    let documented: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split(['`', '{']).next())
        .filter(|name| name.starts_with("shapegate_"))
        .collect();
    let undocumented: Vec<_> = told.difference(&documented).collect();
    assert!(undocumented.is_empty(), "{undocumented:?}");
    let absent: Vec<_> = documented.difference(&told).copied().collect();
    assert_eq!(absent, OF_OTHERS);
}

#[test]
fn every_alert_says_what_to_do() {
    let alerts = alerts();
    assert!(alerts.len() >= 10, "{}", alerts.len());
    let names: BTreeSet<&str> = alerts
        .iter()
        .map(|alert| alert["alert"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), alerts.len(), "each once");
    for alert in &alerts {
        for text in [
            &alert["annotations"]["summary"],
            &alert["annotations"]["action"],
            &alert["labels"]["severity"],
        ] {
            assert!(text.as_str().is_some_and(|text| !text.is_empty()), "{alert}");
        }
    }
}

#[test]
fn an_expression_that_asks_for_what_is_not_there_is_found_out() {
    let samples = samples("# TYPE shapegate_a counter\nshapegate_a{x=\"1\",y=\"b,c\"} 1\nshapegate_b 2\n");
    for good in [
        "sum by (x, instance) (rate(shapegate_a{x=\"1\",job=~\"j\"}[5m]))",
        "shapegate_b",
        "shapegate_a{x!=\"7\"}",
    ] {
        assert_eq!(missing(good, &samples), [""; 0], "{good}");
    }
    for bad in [
        "shapegate_c",
        "shapegate_a{x=\"2\"}",
        "shapegate_a{z=~\".*\"}",
        "sum by (x) (shapegate_b)",
        "shapegate_bb",
    ] {
        assert_eq!(missing(bad, &samples).len(), 1, "{bad}");
    }
}
