//! Stopping without losing anybody.

use shapegate_origin::{Fault, Misbehaviour};

use crate::program::{Program, Setup};
use crate::support::gateway::get;
use crate::support::patience::{soon, until};
use crate::support::raw::Raw;
use crate::support::token::member;

const TARGET: &str = "/api/shapes/users?offset=-1";

/// A target that waits.
async fn waiting_target(program: &Program, token: &str) -> String {
    let first = program.get(TARGET, Some(token)).await;
    let handle = first.header("electric-handle").unwrap();
    let offset = first.header("electric-offset").unwrap();
    format!("/api/shapes/users?offset={offset}&handle={handle}&live=true")
}

async fn waiters(program: &Program, target: &str, token: &str, count: usize) -> Vec<Raw> {
    let before = program.origin.waiting();
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = program.connect().await;
        client.send(get(target, Some(token))).await;
        clients.push(client);
    }
    until("all wait", || program.origin.waiting() == before + count).await;
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
    let mut snapshot = program.connect().await;
    snapshot.send(get(TARGET, Some(&token))).await;
    until("the snapshot is under way", || {
        program.origin.received().len() == 1
    })
    .await;
    program.signal("TERM");
    let unready = async { while program.admin("/readyz").await.status != 503 {} };
    soon(unready).await;
    let answer = program.get(TARGET, Some(&token)).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "draining"));
    assert_eq!(answer.header("connection"), Some("close"));
    let answer = soon(snapshot.answer()).await.unwrap();
    assert_eq!((answer.status, answer.complete), (200, true));
    assert!(answer.text().contains("Alice"));
    assert_eq!(program.ended().await.code(), Some(0));
    assert_eq!(program.origin.received().len(), 1);
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
