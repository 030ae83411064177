//! Stopping without losing anybody.

use shapegate_origin::{Fault, Misbehaviour};

use crate::program::{Program, Setup};
use crate::support::gateway::get;
use crate::support::patience::{soon, until};
use crate::support::raw::Raw;
use crate::support::token::member;

const TARGET: &str = "/api/shapes/users?offset=-1";

/// A target that waits.
pub async fn waiting_target(program: &Program, token: &str) -> String {
    let first = program.get(TARGET, Some(token)).await;
    let handle = first.header("electric-handle").unwrap();
    let offset = first.header("electric-offset").unwrap();
    format!("/api/shapes/users?offset={offset}&handle={handle}&live=true")
}

pub async fn waiters(program: &Program, target: &str, token: &str, count: usize) -> Vec<Raw> {
    let before = program.metric("shapegate_held_polls").await;
    let waiting = program.origin.waiting();
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = program.connect().await;
        client.send(get(target, Some(token))).await;
        clients.push(client);
    }
    let all = before + f64::from(u32::try_from(count).unwrap());
    program.until_metric("shapegate_held_polls", all).await;
    until("one waits for all", || program.origin.waiting() == waiting + 1).await;
    clients
}

#[tokio::test]
async fn sigterm_answers_every_wait_and_ends_the_program_with_0() {
    let mut program = Setup::new().start().await;
    let token = member(1);
    let poll = waiting_target(&program, &token).await;
    let mut polls = waiters(&program, &poll, &token, 50).await;
    let mut streams = waiters(&program, &format!("{poll}&live_sse=true"), &token, 10).await;
    let idle = program.connect().await;
    program.signal("TERM");
    for client in &mut polls {
        let answer = soon(client.answer()).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.complete);
        assert_eq!(answer.header("electric-up-to-date"), Some(""));
    }
    for client in &mut streams {
        let answer = soon(client.answer()).await.unwrap();
        assert_eq!((answer.status, answer.complete), (200, true));
    }
    // An idle connection keeps nobody.
    let status = program.ended().await;
    assert_eq!(status.code(), Some(0), "{}", program.output());
    assert!(!program.output().contains("panicked"), "{}", program.output());
    drop(idle);
}

#[tokio::test]
async fn while_it_finishes_a_snapshot_it_is_not_ready_and_takes_nothing_new() {
    let mut program = Setup::new().start().await;
    let token = member(1);
    program
        .origin
        .misbehave(Misbehaviour::once(Fault::Slow { ms: 1500 }));
    let (mut snapshot, mut kept) = (program.connect().await, program.connect().await);
    let preflight = soon(kept.ask("OPTIONS /api/shapes/users HTTP/1.1\r\nhost: x\r\n\r\n")).await;
    assert_ne!(preflight.header("connection"), Some("close"));
    snapshot.send(get(TARGET, Some(&token))).await;
    until("the snapshot is under way", || {
        program.origin.received().len() == 1
    })
    .await;
    program.signal("TERM");
    let unready = async { while program.admin("/readyz").await.status != 503 {} };
    soon(unready).await;
    until("nothing is accepted any more", || {
        std::net::TcpStream::connect(program.setup.address).is_err()
    })
    .await;
    let answer = soon(kept.ask(get(TARGET, Some(&token)))).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "draining"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(
        program.admin("/metrics").await.status,
        200,
        "operators still see it"
    );
    let answer = soon(snapshot.answer()).await.unwrap();
    assert_eq!((answer.status, answer.complete), (200, true));
    assert!(answer.text().contains("Alice"));
    assert_eq!(program.ended().await.code(), Some(0));
    assert_eq!(program.origin.received().len(), 1);
}

#[tokio::test]
async fn for_the_shutdown_delay_it_is_not_ready_and_still_serves_whoever_has_not_heard_of_it() {
    let mut setup = Setup::new();
    setup.server = ", shutdown_delay: 30m".to_owned();
    let mut program = setup.start().await;
    let token = member(1);
    let poll = waiting_target(&program, &token).await;
    let mut polls = waiters(&program, &poll, &token, 1).await;
    program.signal("TERM");
    let unready = async { while program.admin("/readyz").await.status != 503 {} };
    soon(unready).await;
    let answer = program.get(TARGET, Some(&token)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("connection"),
        Some("close"),
        "it finds another process next"
    );
    assert!(program.metric("shapegate_held_polls").await > 0.5, "waits go on");
    // Once more: whoever cannot wait ends it at once.
    program.signal("TERM");
    assert_eq!(program.ended().await.code(), Some(0));
    assert!(program.output().contains("cut off"), "{}", program.output());
    assert!(polls.remove(0).answer().await.is_none());
}

#[tokio::test]
async fn after_the_grace_period_what_is_left_is_cut_off_and_counted_in_the_log() {
    let mut setup = Setup::new();
    setup.server = ", grace_period: 1s".to_owned();
    let mut program = setup.start().await;
    program.origin.misbehave(Misbehaviour::once(Fault::Stall));
    let mut snapshot = program.connect().await;
    snapshot.send(get(TARGET, Some(&member(1)))).await;
    until("the snapshot is under way", || {
        program.origin.received().len() == 1
    })
    .await;
    program.signal("TERM");
    assert_eq!(program.ended().await.code(), Some(0));
    let output = program.output();
    assert!(
        output.contains("1 requests and 1 connections are cut off"),
        "{output}"
    );
}

#[tokio::test]
async fn thousands_of_waits_and_streams_are_all_answered_before_it_ends() {
    let count = crate::support::many("SHAPEGATE_STREAMS", 2_000);
    // Each client is a connection of this process, too.
    shapegate::process::open_files::raise_limit();
    let mut setup = Setup::new();
    setup.rest += "limits: { connections_per_address_max: 100000, per_subject: { held_polls: none } }\n";
    let mut program = setup.start().await;
    let token = member(1);
    let poll = waiting_target(&program, &token).await;
    let mut polls = waiters(&program, &poll, &token, count / 2).await;
    let mut streams = waiters(&program, &format!("{poll}&live_sse=true"), &token, count / 2).await;
    program.signal("TERM");
    for client in polls.iter_mut().chain(&mut streams) {
        let answer = soon(client.answer()).await.expect("an answer, not an end");
        assert_eq!((answer.status, answer.complete), (200, true), "{}", answer.text());
        assert!(client.is_closed().await, "it finds another process next");
    }
    assert_eq!(program.ended().await.code(), Some(0));
    assert!(!program.output().contains("cut off"), "{}", program.output());
}

#[tokio::test]
async fn sigint_ends_it_at_once() {
    let mut program = Setup::new().start().await;
    let token = member(1);
    program.origin.misbehave(Misbehaviour::once(Fault::Stall));
    let mut snapshot = program.connect().await;
    snapshot.send(get(TARGET, Some(&token))).await;
    until("the snapshot is under way", || {
        program.origin.received().len() == 1
    })
    .await;
    program.signal("INT");
    assert_eq!(program.ended().await.code(), Some(0));
}
