//! The access log and the decision log.

use std::fs;

use serde_json::{Value, json};
use shapegate::journal::QUEUE_LINES;
use shapegate::revocation::{Kind, Source};

use crate::journal::{Logged, SHAPES, lines};
use crate::program::Setup;
use crate::support::gateway::{Gateway, get};
use crate::support::patience::{soon, until};
use crate::support::raw::Raw;
use crate::support::revocation::entry;
use crate::support::token::{IDENTITY, ISSUER, member, now, token};

/// A line without what differs from run to run.
fn steady(mut line: Value) -> Value {
    for name in [
        "time",
        "request_id",
        "duration_ms",
        "first_byte_ms",
        "duration_us",
        "until",
    ] {
        line.as_object_mut().unwrap().remove(name);
    }
    line
}

#[tokio::test]
async fn a_request_is_told_with_who_asked_for_what_and_what_became_of_it() {
    let logged = Logged::start("").await;
    let target = "/api/shapes/users?offset=-1&where=name%20%3D%20'canary'";
    let answer = logged.gateway.get(target, Some(&member(1))).await;
    assert_eq!(answer.status, 200);
    let access = logged.line("access").await;
    assert_eq!(access["request_id"], answer.header("x-request-id").unwrap());
    let (first, whole) = (access["first_byte_ms"].as_u64(), access["duration_ms"].as_u64());
    assert!(first.unwrap() <= whole.unwrap(), "{access}");
    assert!(access["time"].as_str().unwrap().ends_with('Z'), "{access}");
    let who = json!({ "tenant": "default", "shape": "users", "issuer": ISSUER, "subject": "user_of_1",
        "address": "127.0.0.1", "method": "GET", "path": "/api/shapes/users" });
    let mut expected = json!({ "log": "access", "status": 200, "bytes": answer.body.len(), "hub": "miss",
        "upstream_status": 200 });
    merge(&mut expected, &who);
    assert_eq!(steady(access), expected);

    let decision = logged.line("decisions").await;
    assert_eq!(decision["request_id"], answer.header("x-request-id").unwrap());
    let mut expected = json!({ "log": "decision", "decision": "allow", "rule": "rules[1]",
        "asked": { "where": r#"("name" = $1)"# },
        "permitted": { "table": r#""public"."users""#, "columns": r#""id","name","org_id""#,
            "where": r#"(("org_id" = $1) AND ("name" = $2))"#, "params_count": 2,
            "replica": "default", "log": "full" } });
    merge(&mut expected, &who);
    assert!(decision["until"].as_str().unwrap().ends_with('Z'), "{decision}");
    assert!(decision["duration_us"].as_u64().is_some(), "{decision}");
    assert_eq!(steady(decision), expected);
}

fn merge(into: &mut Value, more: &Value) {
    let more = more.as_object().unwrap().clone();
    into.as_object_mut().unwrap().extend(more);
}

#[tokio::test]
async fn a_token_that_verifies_and_is_refused_is_somebodys_and_a_forged_one_nobodys() {
    let logged = Logged::start("").await;
    let expired = token(json!({ "sub": "ann", "exp": now() - 300, "iat": now() - 600 }));
    let misdirected = token(json!({ "sub": "bob", "aud": "elsewhere" }));
    let forged = format!("{}x", token(json!({ "sub": "ann" })));
    for (token, reason) in [
        (&expired, "token_expired"),
        (&misdirected, "token_invalid"),
        (&forged, "token_invalid"),
    ] {
        let answer = logged
            .gateway
            .get("/api/shapes/users?offset=-1", Some(token))
            .await;
        assert_eq!((answer.status, answer.code().as_str()), (401, reason));
        assert!(!answer.text().contains("ann") && !answer.text().contains("bob"));
    }
    for log in ["decisions", "access"] {
        let lines = logged.lines(log, 3).await;
        let subjects: Vec<_> = lines.iter().map(|line| line["subject"].as_str()).collect();
        assert_eq!(subjects, [Some("ann"), Some("bob"), None], "{log}");
        assert_eq!(lines[0]["issuer"], ISSUER);
    }
}

/// So many polls of a member that wait.
async fn waiting(logged: &Logged, count: i64) -> Vec<Raw> {
    let token = member(1);
    let first = logged
        .gateway
        .get("/api/shapes/users?offset=-1", Some(&token))
        .await;
    let of = |name: &str| first.header(name).unwrap().to_owned();
    let (handle, offset) = (of("electric-handle"), of("electric-offset"));
    let poll = format!("/api/shapes/users?handle={handle}&offset={offset}&live=true");
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = logged.gateway.connect().await;
        client.send(get(&poll, Some(&token))).await;
        clients.push(client);
    }
    until("they wait", || logged.gateway.state.metrics.held.get() == count).await;
    clients
}

#[tokio::test]
async fn a_wait_that_is_judged_anew_has_a_line_when_it_comes_out_otherwise_and_only_then() {
    let text = format!("{IDENTITY}{SHAPES}");
    for (change, reason, detail) in [
        (
            text.replace("columns: [id, name, org_id]", "columns: [id, org_id]"),
            "permission_changed",
            Some("another definition"),
        ),
        (
            text.replace("user.org_id != 0", "user.org_id == 2"),
            "forbidden",
            Some("no rule holds"),
        ),
        (text.replace("  users:", "  people:"), "not_found", None),
    ] {
        let logged = Logged::start("").await;
        let mut clients = waiting(&logged, 1).await;
        // Judged anew, and permitted the same.
        logged.gateway.reload(&text);
        logged.gateway.reload(&change);
        let answer = soon(clients[0].answer()).await.unwrap();
        assert_eq!(
            (answer.status, answer.header("electric-up-to-date")),
            (200, Some(""))
        );
        let lines = logged.lines("decisions", 3).await;
        assert_eq!(lines.len(), 3, "{lines:#?}");
        let line = &lines[2];
        assert_eq!(line["rejudged"], true, "{line}");
        assert_eq!(line["decision"], "deny");
        assert_eq!(line["reason"], reason, "{line}");
        if let Some(detail) = detail {
            assert_eq!(line["detail"], detail, "{line}");
        }
        assert_eq!(line["subject"], "user_of_1");
        assert_eq!(line["request_id"], lines[1]["request_id"]);
        assert!(lines[1].get("rejudged").is_none(), "{}", lines[1]);
    }
}

#[tokio::test]
async fn many_waits_that_end_together_do_not_flood_the_log() {
    let logged = Logged::start("").await;
    let mut clients = waiting(&logged, 60).await;
    let state = &logged.gateway.state;
    let entry = entry(Kind::Subject, "user_of_1");
    let now = state.clock.now().wall;
    state.revocations.add(Source::Admin, vec![entry], now).unwrap();
    for client in &mut clients {
        let answer = soon(client.answer()).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let throttled = "shapegate_log_lines_dropped_total{why=\"throttled\"} ";
    let dropped = || {
        let text = state.metrics.render().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(throttled));
        line.map_or(0, |count| count.parse().unwrap())
    };
    // The snapshot, the polls, and of those that ended twenty a second.
    until("every line is written or left out", || {
        let text = fs::read_to_string(logged.path("decisions")).unwrap();
        text.lines().count() + dropped() == 1 + 60 + 60
    })
    .await;
    assert!(dropped() >= 20, "{}", dropped());
    let lines = logged.lines("decisions", 1).await;
    let ended: Vec<_> = lines.iter().filter(|line| line["rejudged"] == true).collect();
    assert!(
        !ended.is_empty() && ended.iter().all(|line| line["reason"] == "revoked"),
        "{ended:#?}"
    );
}

#[tokio::test]
async fn a_denial_is_told_with_its_reason_and_what_only_the_log_is_told() {
    let logged = Logged::start("").await;
    for (token, status, reason) in [
        (Some(token(json!({ "sub": "nobody" }))), 403, "forbidden"),
        (Some("no.to.ken".to_owned()), 401, "token_invalid"),
        (None, 401, "token_missing"),
    ] {
        let target = "/api/shapes/users?offset=-1";
        let answer = logged.gateway.get(target, token.as_deref()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, reason));
    }
    let decisions = logged.lines("decisions", 3).await;
    let told: Vec<_> = decisions
        .iter()
        .map(|line| {
            (
                line["decision"].as_str().unwrap(),
                line["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("deny", "forbidden"),
            ("deny", "token_invalid"),
            ("deny", "token_missing")
        ]
    );
    assert_eq!(decisions[0]["detail"], "no rule holds");
    assert_eq!(decisions[0]["subject"], "nobody");
    assert!(
        decisions[1].get("subject").is_none(),
        "nobody has verified who that is"
    );
    let access = logged.lines("access", 3).await;
    let told: Vec<_> = access
        .iter()
        .map(|line| (line["status"].as_u64().unwrap(), line["code"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [(403, "forbidden"), (401, "token_invalid"), (401, "token_missing")]
    );
}

#[tokio::test]
async fn what_the_hub_had_and_what_found_no_route_is_told() {
    let logged = Logged::start("").await;
    for target in [
        "/api/shapes/items?offset=-1",
        "/api/shapes/items?offset=-1",
        "/elsewhere?token=canary",
    ] {
        logged.gateway.get(target, None).await;
    }
    let access = logged.lines("access", 3).await;
    assert_eq!(
        (&access[0]["hub"], &access[0]["upstream_status"]),
        (&json!("miss"), &json!(200))
    );
    assert_eq!(
        (&access[1]["hub"], access[1].get("upstream_status")),
        (&json!("hit"), None)
    );
    assert_eq!(
        (&access[2]["status"], &access[2]["path"]),
        (&json!(404), &json!("/elsewhere"))
    );
    let decisions = logged.lines("decisions", 3).await;
    assert_eq!(decisions[2]["reason"], "not_found");
    let all = format!("{access:?}{decisions:?}");
    assert!(!all.contains("canary"), "{all}");
}

#[tokio::test]
async fn who_waits_is_told_when_the_wait_is_over_even_if_it_left() {
    let logged = Logged::start("").await;
    let snapshot = logged.gateway.get("/api/shapes/items?offset=-1", None).await;
    let handle = snapshot.header("electric-handle").unwrap();
    let offset = snapshot.header("electric-offset").unwrap();
    let target = format!("/api/shapes/items?offset={offset}&handle={handle}&live=true");
    let mut leaves = logged.gateway.connect().await;
    leaves.send(get(&target, None)).await;
    until("it waits", || logged.gateway.origin.waiting() == 1).await;
    assert_eq!(logged.lines("access", 1).await.len(), 1, "not before it is over");
    assert_eq!(
        logged.lines("decisions", 2).await.len(),
        2,
        "it is decided before it waits"
    );
    drop(leaves);
    let left = logged.lines("access", 2).await.remove(1);
    assert_eq!((&left["status"], &left["bytes"]), (&json!(null), &json!(0)));
    until("it left", || logged.gateway.origin.waiting() == 0).await;
    let mut stays = logged.gateway.connect().await;
    stays.send(get(&target, None)).await;
    until("it waits", || logged.gateway.origin.waiting() == 1).await;
    logged
        .gateway
        .origin
        .insert(
            "items",
            json!({ "id": "00000000-0000-4000-8000-0000000000ff", "value": "new" }),
        )
        .unwrap();
    let answer = soon(stays.answer()).await.unwrap();
    let stayed = logged.lines("access", 3).await.remove(2);
    assert_eq!(
        (&stayed["status"], &stayed["bytes"], &stayed["hub"]),
        (&json!(200), &json!(answer.body.len()), &json!("miss"))
    );
}

#[tokio::test]
async fn r16_a_flood_of_bad_tokens_fills_no_disk_and_is_counted() {
    const REQUESTS: u64 = 1_000;
    let logged = Logged::start("").await;
    let mut client = logged.gateway.connect().await;
    for _ in 0..REQUESTS {
        let answer = client
            .ask(get("/api/shapes/users?offset=-1", Some("no.to.ken")))
            .await;
        assert_eq!(answer.status, 401);
    }
    // What comes of another kind is told beside it.
    assert_eq!(
        logged
            .gateway
            .get("/api/shapes/users?offset=-1", None)
            .await
            .status,
        401
    );
    let told = |line: &Value| line["reason"] == "token_missing";
    until("the other kind is told", || {
        let text = fs::read_to_string(logged.path("decisions")).unwrap();
        text.lines()
            .any(|line| told(&serde_json::from_str(line).unwrap()))
    })
    .await;
    let lines = logged.lines("decisions", 1).await;
    let throttled = logged.gateway.state.metrics.journal.throttled.get();
    assert_eq!(u64::try_from(lines.len()).unwrap() + throttled, REQUESTS + 1);
    assert!(
        throttled > REQUESTS / 2,
        "{throttled} of {REQUESTS} were left out"
    );
    let suppressed: u64 = lines.iter().filter_map(|line| line["suppressed"].as_u64()).sum();
    assert!(suppressed <= throttled, "{suppressed} of {throttled}");
}

#[tokio::test]
async fn r18_a_full_disk_stops_nobody_and_is_counted() {
    let rest = "logs: { access: { file: /dev/full }, decisions: { file: /dev/full } }\n";
    let gateway = Gateway::start(&format!("{rest}{IDENTITY}{}", crate::journal::SHAPES)).await;
    for _ in 0..3 {
        assert_eq!(gateway.get("/api/shapes/items?offset=-1", None).await.status, 200);
    }
    let failed = || gateway.state.metrics.journal.failed.get();
    until("six lines are lost", || failed() == 6).await;
    assert_eq!(gateway.state.metrics.journal.queue_full.get(), 0);
}

#[tokio::test]
async fn r18_a_reader_that_stalls_stops_nobody_and_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    // Held open, and never read.
    let _reader = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let rest = format!("logs: {{ access: {{ file: \"{}\" }} }}\n", pipe.display());
    let gateway = Gateway::start(&format!("{rest}{IDENTITY}{}", crate::journal::SHAPES)).await;
    let mut client = gateway.connect().await;
    let dropped = || gateway.state.metrics.journal.queue_full.get();
    let mut asked = 0;
    while dropped() == 0 {
        let answer = soon(client.ask(get("/nowhere", None))).await;
        assert_eq!(answer.status, 404);
        asked += 1;
        assert!(asked < 2 * QUEUE_LINES, "the queue has an end");
    }
    assert_eq!(
        soon(gateway.get("/api/shapes/items?offset=-1", None))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn nothing_is_written_unless_it_is_asked_for() {
    let program = Setup::new().start().await;
    let before = program.output();
    assert_eq!(
        program
            .get("/api/shapes/users?offset=-1", Some(&member(1)))
            .await
            .status,
        200
    );
    program
        .until_metric("shapegate_requests_total{class=\"2xx\"}", 1.0)
        .await;
    assert_eq!(program.output(), before);
}

#[tokio::test]
async fn logrotate_loses_no_line_and_the_last_ones_are_written_before_the_end() {
    let mut setup = Setup::new();
    let (log, old) = (setup.path("access.log"), setup.path("access.log.1"));
    setup.rest = format!("logs: {{ access: {{ file: access.log }} }}\n{}", setup.rest);
    let mut program = setup.start().await;
    program.get("/one", None).await;
    lines(&log, 1).await;
    fs::rename(&log, &old).unwrap();
    program.signal("HUP");
    program.get("/two", None).await;
    let after = lines(&log, 1).await;
    assert_eq!(after[0]["path"], "/two");
    assert_eq!(lines(&old, 1).await.len(), 1);
    for number in 0..100 {
        program.get(&format!("/{number}"), None).await;
    }
    program.signal("TERM");
    assert!(program.ended().await.success());
    assert_eq!(lines(&log, 101).await.len(), 101);
}

#[tokio::test]
async fn both_logs_may_go_where_the_program_prints() {
    let mut setup = Setup::new();
    setup.rest = format!("logs: {{ access: stdout, decisions: stderr }}\n{}", setup.rest);
    let program = setup.start().await;
    program.get("/api/shapes/users?offset=-1", Some(&member(1))).await;
    for log in ["access", "decision"] {
        let begin = format!("{{\"log\":\"{log}\",");
        until("the line", || {
            program.output().lines().any(|line| line.starts_with(&begin))
        })
        .await;
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_opened_is_told_at_start() {
    let setup = Setup::new();
    let config = setup.path("shapegate.yaml");
    let text = format!(
        "logs: {{ access: {{ file: missing/access.log }} }}\n{}",
        setup.config("http://127.0.0.1:1")
    );
    fs::write(&config, text).unwrap();
    let output = tokio::task::spawn_blocking(move || crate::program::run("serve", &config));
    let output = soon(output).await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        said.contains("missing/access.log") && said.contains("No such file"),
        "{said}"
    );
}
