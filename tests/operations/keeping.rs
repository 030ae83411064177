//! What operators revoked, kept for the processes that come after: killed, broken, full, upgraded.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::program::{Program, Setup, USERS, run};
use crate::revocations::{JSON, TARGET, TOKEN, ask, ask_at, post};
use crate::support::patience::{soon, until};
use crate::support::token::{IDENTITY, member};

/// A program that keeps what operators revoke.
fn setup() -> Setup {
    let mut setup = Setup::new();
    fs::write(setup.path("admin-token"), format!("{TOKEN}\n")).unwrap();
    setup.admin_more = ", token: { file: admin-token }".to_owned();
    setup.rest = format!("revocations: {{ state: revocations.json }}\n{IDENTITY}{USERS}");
    let socket = setup.path("upgrade.sock");
    setup.server = format!(", upgrade_socket: \"{}\"", socket.display());
    setup
}

fn file(program: &Program) -> PathBuf {
    program.setup.path("revocations.json")
}

fn in_file(program: &Program) -> Vec<String> {
    let content: Value = serde_json::from_slice(&fs::read(file(program)).unwrap()).unwrap();
    let list = content["revocations"].as_array().unwrap();
    let mut values: Vec<String> = list
        .iter()
        .map(|entry| entry["value"].as_str().unwrap().to_owned())
        .collect();
    values.sort();
    values
}

async fn revoke(program: &Program, subject: &str) -> Value {
    let answer = post(program, &format!(r#"{{"subject":"{subject}"}}"#)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn take_back(program: &Program, subject: &str) -> Value {
    let body = format!(r#"{{"subject":"{subject}"}}"#);
    let answer = ask(program, "DELETE", Some(TOKEN), JSON, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn listed(program: &Program) -> Vec<String> {
    let list = ask(program, "GET", Some(TOKEN), "", "").await.json();
    let list = list["admin"].as_array().unwrap().clone();
    let mut values: Vec<String> = list
        .iter()
        .map(|entry| entry["subject"].as_str().unwrap().to_owned())
        .collect();
    values.sort();
    values
}

#[tokio::test]
async fn what_an_operator_revoked_and_took_back_outlasts_a_kill() {
    let mut program = setup().start().await;
    assert_eq!(
        revoke(&program, "user_of_1").await,
        json!({"added": 1, "kept": true})
    );
    let mode = fs::metadata(file(&program)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    program.kill_and_start_again().await;
    assert_eq!(program.get(TARGET, Some(&member(1))).await.code(), "revoked");
    assert_eq!(program.get(TARGET, Some(&member(2))).await.status, 200);
    assert_eq!(listed(&program).await, ["user_of_1"]);
    let back = take_back(&program, "user_of_1").await;
    assert_eq!(back, json!({"removed": 1, "kept": true}));
    program.kill_and_start_again().await;
    assert_eq!(program.get(TARGET, Some(&member(1))).await.status, 200);
    assert!(in_file(&program).is_empty());
}

#[tokio::test]
async fn every_part_of_an_entry_is_kept_and_what_has_expired_is_forgotten() {
    let mut program = setup().start().await;
    let body = r#"[{"subject":"a b","tenant":"default","issuer":"acme","issued_before":"2026-01-02T03:04:05Z","expires":"2999-01-01T00:00:00Z","reason":"\"left\""},{"jti":"x","ttl":"1h"}]"#;
    assert_eq!(post(&program, body).await.json()["kept"], true);
    let before = ask(&program, "GET", Some(TOKEN), "", "").await.json();
    let text = fs::read_to_string(file(&program)).unwrap();
    let expired = r#"{"kind":"subject","value":"user_of_1","expires":1000},"#;
    let with_expired = text.replacen("[\n", &format!("[\n{expired}\n"), 1);
    assert_ne!(text, with_expired);
    fs::write(file(&program), with_expired).unwrap();
    program.kill_and_start_again().await;
    let mut after = ask(&program, "GET", Some(TOKEN), "", "").await.json();
    let mut before = before;
    for list in [&mut before, &mut after] {
        let list = list["admin"].as_array_mut().unwrap();
        list.sort_by_key(ToString::to_string);
    }
    assert_eq!(before, after);
    assert_eq!(in_file(&program), ["a b", "x"]);
    assert_eq!(program.get(TARGET, Some(&member(1))).await.status, 200);
}

#[tokio::test]
async fn what_a_killed_process_left_half_written_is_nobodys() {
    let mut program = setup().start().await;
    revoke(&program, "user_of_1").await;
    fs::write(
        program.setup.path("revocations.json.new"),
        "{\"version\": 1, \"revo",
    )
    .unwrap();
    program.kill_and_start_again().await;
    assert_eq!(listed(&program).await, ["user_of_1"]);
    assert_eq!(revoke(&program, "user_of_2").await["kept"], true);
    assert!(!program.setup.path("revocations.json.new").exists());
    assert_eq!(in_file(&program), ["user_of_1", "user_of_2"]);
}

#[tokio::test]
async fn whatever_moment_it_is_killed_in_what_was_said_to_be_kept_is() {
    let mut program = setup().start().await;
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..5 {
        let mut posting = JoinSet::new();
        for number in 0..24 {
            let (admin, name) = (program.setup.admin, format!("user_{round}_{number}"));
            posting.spawn(async move {
                let body = format!(r#"{{"subject":"{name}"}}"#);
                let answer = ask_at(admin, "POST", Some(TOKEN), JSON, &body).await?;
                (answer.json()["kept"] == true).then_some(name)
            });
        }
        // Killed while some are answered and others are not.
        for _ in 0..=round * 4 {
            acknowledged.extend(soon(posting.join_next()).await.unwrap().unwrap());
        }
        program.kill_and_start_again().await;
        while let Some(answered) = soon(posting.join_next()).await {
            acknowledged.extend(answered.unwrap());
        }
        let listed = listed(&program).await;
        for name in &acknowledged {
            assert!(listed.contains(name), "{name} is lost in round {round}");
        }
    }
    assert!(acknowledged.len() >= 40, "{}", acknowledged.len());
}

#[tokio::test]
async fn many_at_once_are_all_kept() {
    let program = setup().start().await;
    let mut posting = JoinSet::new();
    for number in 0..64 {
        let admin = program.setup.admin;
        posting.spawn(async move {
            let body = format!(r#"{{"subject":"user_{number:02}"}}"#);
            ask_at(admin, "POST", Some(TOKEN), JSON, &body)
                .await
                .unwrap()
                .json()
        });
    }
    while let Some(answer) = soon(posting.join_next()).await {
        assert_eq!(answer.unwrap()["kept"], true);
    }
    let names: Vec<String> = (0..64).map(|number| format!("user_{number:02}")).collect();
    assert_eq!(in_file(&program), names);
    assert_eq!(listed(&program).await, names);
}

#[test]
fn a_state_file_that_cannot_be_believed_keeps_the_process_from_starting() {
    let setup = setup();
    let config = setup.path("shapegate.yaml");
    fs::write(&config, setup.config("http://127.0.0.1:1")).unwrap();
    let state = setup.path("revocations.json");
    let good = r#"{"version": 1, "revocations": [{"kind":"subject","value":"a"}]}"#;
    for (text, said) in [
        ("", "EOF"),
        ("{", "EOF"),
        ("[]", "invalid length"),
        (&good[..good.len() - 3], "EOF"),
        (r#"{"version": 2, "revocations": []}"#, "is of version 2"),
        (
            r#"{"version": 1, "revocations": [{"kind":"nobody","value":"a"}]}"#,
            "unknown kind",
        ),
        (r#"{"version": 1, "revocations": [{"kind":"subject"}]}"#, "value"),
        (r#"{"version": 1, "revocations": [7]}"#, "expected"),
    ] {
        fs::write(&state, text).unwrap();
        let output = run("serve", &config);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}: {told}");
        for part in [
            said,
            "revocations.json",
            "Restore it from a backup",
            "revocations.state",
        ] {
            assert!(told.contains(part), "{part} for {text} in {told}");
        }
        assert_eq!(
            fs::read_to_string(&state).unwrap(),
            text,
            "it is left for whoever looks"
        );
    }
    fs::write(&state, good).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o666)).unwrap();
    let told = String::from_utf8(run("serve", &config).stderr).unwrap();
    assert!(told.contains("everybody may write it"), "{told}");
    fs::remove_file(&state).unwrap();
    fs::create_dir(&state).unwrap();
    let told = String::from_utf8(run("serve", &config).stderr).unwrap();
    assert!(told.contains("no regular file"), "{told}");

    let text = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        text.replace("state: revocations.json", "state: nowhere/revocations.json"),
    )
    .unwrap();
    let output = run("serve", &config);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("cannot open the folder") && told.contains("nowhere"),
        "{told}"
    );
}

const FAILED: &str = "shapegate_revocations_state_failed";

#[tokio::test]
async fn a_disk_that_is_full_is_told_of_and_what_was_revoked_holds_until_there_is_room() {
    let mut setup = setup();
    // Of every file that it writes, its log included.
    setup.file_bytes_max = Some(8 * 1024);
    setup
        .variables
        .push(("RUST_LOG", "error,shapegate::gateway::herald=info".to_owned()));
    let mut program = setup.start().await;
    assert_eq!(revoke(&program, "user_of_1").await["kept"], true);
    let kept = fs::read(file(&program)).unwrap();
    let many: Vec<String> = (0..400)
        .map(|number| format!(r#"{{"jti":"a-token-{number:04}"}}"#))
        .collect();
    let answer = post(
        &program,
        &format!(r#"[{{"subject":"user_of_2"}},{}]"#, many.join(",")),
    )
    .await;
    assert_eq!(answer.json(), json!({"added": 401, "kept": false}));
    assert_eq!(
        program.get(TARGET, Some(&member(2))).await.code(),
        "revoked",
        "in force"
    );
    program.until_metric(FAILED, 1.0).await;
    assert_eq!(fs::read(file(&program)).unwrap(), kept, "the file of before");
    assert!(
        program.output().contains("a restart would forget 401 changes"),
        "{}",
        program.output()
    );
    assert!(
        !program.setup.path("revocations.json.new").exists(),
        "it takes up no room"
    );

    let id = program.serving().to_string();
    let room = Command::new("prlimit")
        .args(["--fsize=unlimited", "--pid", &id])
        .status();
    assert!(room.unwrap().success());
    program.until_metric(FAILED, 0.0).await;
    assert_eq!(in_file(&program).len(), 402);
    program.setup.file_bytes_max = None;
    program.kill_and_start_again().await;
    assert_eq!(program.get(TARGET, Some(&member(2))).await.code(), "revoked");
}

#[tokio::test]
async fn a_file_that_vanishes_is_written_again_and_a_broken_one_is_left_for_whoever_looks() {
    let program = setup().start().await;
    revoke(&program, "user_of_1").await;
    fs::remove_file(file(&program)).unwrap();
    let written = async {
        while !file(&program).exists() {
            tokio::task::yield_now().await;
        }
    };
    soon(written).await;
    assert_eq!(in_file(&program), ["user_of_1"]);

    fs::write(file(&program), "broken").unwrap();
    program.until_metric(FAILED, 1.0).await;
    assert_eq!(revoke(&program, "user_of_2").await["kept"], false);
    assert_eq!(
        listed(&program).await,
        ["user_of_1", "user_of_2"],
        "in force all the same"
    );
    assert_eq!(fs::read_to_string(file(&program)).unwrap(), "broken");
    fs::remove_file(file(&program)).unwrap();
    program.until_metric(FAILED, 0.0).await;
    assert_eq!(in_file(&program), ["user_of_1", "user_of_2"]);
}

#[tokio::test]
async fn no_write_is_lost_while_one_process_takes_the_place_of_another() {
    let mut program = setup().start().await;
    revoke(&program, "user_of_1").await;
    let admin = program.setup.admin;
    let (over, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (ends, counted) = (Arc::clone(&over), Arc::clone(&count));
    let posting = tokio::spawn(async move {
        let mut kept = Vec::new();
        while !ends.load(Ordering::Relaxed) {
            let name = format!("user_{:04}", kept.len());
            let body = format!(r#"{{"subject":"{name}"}}"#);
            // What was not answered may be asked again: it is the same revocation.
            if let Some(answer) = ask_at(admin, "POST", Some(TOKEN), JSON, &body).await {
                assert_eq!(
                    (answer.status, answer.json()["kept"].as_bool()),
                    (200, Some(true))
                );
                kept.push(name);
                counted.store(kept.len(), Ordering::Relaxed);
            }
        }
        kept
    });
    for _ in 0..3 {
        program.upgrade(None).await.unwrap();
        let before = count.load(Ordering::Relaxed);
        until("some more are revoked", || {
            count.load(Ordering::Relaxed) > before + 5
        })
        .await;
    }
    over.store(true, Ordering::Relaxed);
    let mut kept = soon(posting).await.unwrap();
    kept.push("user_of_1".to_owned());
    kept.sort();
    assert_eq!(in_file(&program), kept);
    let known = async {
        while listed(&program).await != kept {
            tokio::task::yield_now().await;
        }
    };
    soon(known).await;
    assert_eq!(program.get(TARGET, Some(&member(1))).await.code(), "revoked");
}
