//! What proves who we are to others, and what proves who asks: in no answer, log line, metric or print.

use std::fmt::Write as _;
use std::fs;

use super::{SHAPES, ask};
use crate::support::gateway::{Gateway, printed};
use crate::support::logs;
use crate::support::patience::soon;
use crate::support::scripted::Scripted;

const CANARY: &str = "canary-of-the-session-tests";

/// Whoever is asked refuses, breaks off or makes no sense.
const ANSWERS: [&str; 4] = [
    "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
    "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n{",
    "",
];

/// Everything that has a secret, before somebody who answers badly.
fn configuration(url: &str, folder: &std::path::Path) -> String {
    let secret = folder.join("secret");
    fs::write(&secret, format!("{CANARY}-client-secret")).unwrap();
    let database = folder.join("database");
    // Nobody listens on port 1.
    fs::write(
        &database,
        format!("postgres://app:{CANARY}-password@127.0.0.1:1/app"),
    )
    .unwrap();
    let (secret, database) = (secret.display(), database.display());
    let shapes = SHAPES.replace(
        "    rules:\n",
        &format!(
            "    authorize:\n      http: {{ http: {{ url: '{url}/decide', token: {{ file: {secret} }}, headers: [cookie] }} }}\n      \
             database: {{ postgres: {{ url: {{ file: {database} }}, query: select $1, params: [user.id] }} }}\n    rules:\n"
        ),
    );
    format!(
        "identity:
  - session: {{ url: '{url}/session', from: {{ cookie: session }}, subject: id }}
  - postgres: {{ url: {{ file: {database} }}, from: {{ header: x-session }}, hash: none, query: select $1 as sub }}
  - introspection: {{ url: '{url}/introspect', client_id: gateway, client_secret: {{ file: {secret} }}, audience: sync }}
  - insecure_dev_user: {{ sub: dev, org_id: 1 }}
{shapes}"
    )
}

#[tokio::test]
async fn no_secret_and_no_credential_is_in_an_answer_a_log_line_a_metric_or_a_print() {
    logs::keep();
    let folder = tempfile::tempdir().unwrap();
    let mut shown = String::new();
    for answer in ANSWERS {
        let asked = Scripted::start();
        let text = configuration(&asked.url(), folder.path());
        let gateway = Gateway::start(&text).await;
        let answering = async {
            loop {
                let mut exchange = asked.accept().await;
                exchange.request().await;
                exchange.try_send(answer).await;
            }
        };
        let asking = async {
            for (name, value) in [
                ("cookie", format!("session={CANARY}-cookie")),
                ("x-session", format!("{CANARY}-header")),
                ("authorization", format!("Bearer {CANARY}-token")),
                ("accept", "nobody's".to_owned()),
            ] {
                let answer = soon(ask(&gateway, &[(name, &value)])).await;
                assert!(answer.status >= 400, "{name}: {}", answer.status);
                writeln!(shown, "{:?}\n{}", answer.headers, answer.text()).unwrap();
            }
        };
        tokio::select! {
            () = answering => unreachable!("it goes on"),
            () = asking => {}
        }
        gateway.received_nothing();
        let metrics = gateway.state.metrics.render().unwrap();
        assert!(metrics.contains("shapegate_identity_waits_total"), "{metrics}");
        shown += &metrics;
        shown += &printed(&text);
    }
    let lines = logs::lines().join("\n");
    assert!(lines.contains("introspection"), "the log is looked at:\n{lines}");
    shown += &lines;
    assert!(!shown.contains(CANARY), "{shown}");
}
