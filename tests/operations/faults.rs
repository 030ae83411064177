//! Faults of the process and of the machine under it.

use std::fs::OpenOptions;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use shapegate::clock::{Clock, ManualClock, Sleep, SystemClock};
use shapegate_core::time::{Monotonic, Now, UnixMillis};
use shapegate_origin::{Fault, Misbehaviour, Origin, OriginConfig, Schema};

use crate::program::{Setup, USERS, command, signal};
use crate::stopping::{waiters, waiting_target};
use crate::support::gateway::{ELECTRIC_SECRET, Gateway, get, origin};
use crate::support::patience::{settled, soon, until};
use crate::support::raw::Raw;
use crate::support::token::{IDENTITY, member, now, token as signed};

const TARGET: &str = "/api/shapes/users?offset=-1";

/// So few that clients can use them up, and a part is kept for the gateway itself.
const OPEN_FILES: u32 = 160;
/// What is left for clients then.
const CONNECTIONS: usize = 96;

#[tokio::test]
async fn without_files_left_for_more_clients_those_who_are_there_are_served_and_it_recovers() {
    let mut setup = Setup::new();
    setup.open_files = Some(OPEN_FILES);
    let program = setup.start().await;
    assert!(
        program.output().contains("only 96 are taken"),
        "{}",
        program.output()
    );
    let token = member(1);
    let poll = waiting_target(&program, &token).await;
    let mut clients = waiters(&program, &poll, &token, CONNECTIONS).await;
    for _ in 0..CONNECTIONS {
        let mut one_too_many = program.connect().await;
        one_too_many.try_send(get(TARGET, Some(&token))).await;
        assert!(
            soon(one_too_many.answer()).await.is_none(),
            "closed at once, not kept waiting"
        );
    }
    assert_eq!(
        program.admin("/readyz").await.status,
        200,
        "operators are not shut out"
    );
    program
        .origin
        .insert("users", json!({ "id": 9, "name": "Eve", "org_id": 1 }))
        .unwrap();
    for client in &mut clients {
        let answer = soon(client.answer()).await.unwrap();
        assert!(answer.text().contains("Eve"), "{}", answer.text());
    }
    drop(clients);
    until_served(&program).await;
}

/// A connection is given back a moment after its client has gone.
async fn until_served(program: &crate::program::Program) {
    let token = member(1);
    let trying = async {
        loop {
            let mut client = program.connect().await;
            client.try_send(get(TARGET, Some(&token))).await;
            if client.answer().await.is_some_and(|answer| answer.status == 200) {
                return;
            }
        }
    };
    soon(trying).await;
}

#[tokio::test]
async fn without_files_left_for_upstreams_requests_fail_one_by_one_and_it_recovers() {
    let mut setup = Setup::new();
    setup.open_files = Some(OPEN_FILES);
    let program = setup.start().await;
    // Each asks for rows of his own and so needs a connection upstream, where nothing is ever answered.
    program.origin.misbehave(Misbehaviour::always(Fault::Stall));
    let mut clients = Vec::new();
    for org in 0..i64::try_from(CONNECTIONS).unwrap() {
        let mut client = program.connect().await;
        client.send(get(TARGET, Some(&member(1000 + org)))).await;
        clients.push(client);
    }
    let arrived = settled(|| program.origin.received().len()).await;
    assert!((20..CONNECTIONS).contains(&arrived), "{arrived} went upstream");
    let mut refused = 0;
    for mut client in clients.drain(..).rev().take(CONNECTIONS - arrived) {
        // Whoever has no answer yet is waiting for one upstream.
        let answer = tokio::time::timeout(std::time::Duration::from_millis(200), client.answer());
        if let Ok(Some(answer)) = answer.await {
            assert!((500..600).contains(&answer.status), "{}", answer.text());
            assert!(answer.complete);
            refused += 1;
        }
    }
    assert!(refused > 0, "some were told");
    program.origin.behave();
    until_served(&program).await;
    let output = program.output();
    assert!(!output.contains("panicked"), "{output}");
}

#[test]
fn with_a_full_disk_under_its_log_and_nowhere_to_write_it_serves() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let setup = Setup::new();
        let origin = origin();
        let config = setup.path("shapegate.yaml");
        std::fs::write(&config, setup.config(&origin.url())).unwrap();
        let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut child = command("serve", &config)
            .env("RUST_LOG", "trace")
            .current_dir("/proc")
            .stdin(Stdio::null())
            .stdout(full())
            .stderr(full())
            .spawn()
            .unwrap();
        until("it listens", || {
            std::net::TcpStream::connect(setup.address).is_ok()
        })
        .await;
        for _ in 0..20 {
            let mut client = Raw::connect(setup.address).await;
            let answer = soon(client.ask(get(TARGET, Some(&member(1))))).await;
            assert_eq!(answer.status, 200);
            let refused = soon(client.ask(get(TARGET, None))).await;
            assert_eq!(refused.status, 401);
        }
        assert!(child.try_wait().unwrap().is_none(), "it runs");
        signal(child.id(), "INT");
        until("it ends", || child.try_wait().unwrap().is_some()).await;
    });
}

/// A clock that fails once, when told to.
struct Faulty {
    armed: Arc<AtomicBool>,
}

impl Clock for Faulty {
    fn now(&self) -> Now {
        assert!(!self.armed.swap(false, Ordering::SeqCst), "a fault of the clock");
        SystemClock.now()
    }

    fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        SystemClock.sleep_until(deadline)
    }
}

#[tokio::test]
async fn a_panic_in_one_request_is_its_500_and_nobody_elses() {
    let armed = Arc::new(AtomicBool::new(false));
    let clock = Arc::new(Faulty {
        armed: Arc::clone(&armed),
    });
    let gateway = Gateway::before(origin(), &format!("{IDENTITY}{USERS}"), clock).await;
    let token = member(1);
    let (mut unlucky, mut other) = (gateway.connect().await, gateway.connect().await);
    for client in [&mut unlucky, &mut other] {
        assert_eq!(soon(client.ask(get(TARGET, Some(&token)))).await.status, 200);
    }
    armed.store(true, Ordering::SeqCst);
    let answer = soon(unlucky.ask(get(TARGET, Some(&token)))).await;
    assert_eq!((answer.status, answer.code().as_str()), (500, "internal"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert!(!answer.text().contains("clock"), "{}", answer.text());
    assert!(soon(unlucky.is_closed()).await);
    assert!(!armed.load(Ordering::SeqCst));
    assert_eq!(soon(other.ask(get(TARGET, Some(&token)))).await.status, 200);
    assert_eq!(gateway.get(TARGET, Some(&token)).await.status, 200);
    until("nothing is left in flight", || {
        gateway.state.metrics.in_flight.get() == 0
    })
    .await;
}

#[tokio::test]
async fn r17_a_clock_that_jumps_anywhere_and_back_harms_nobody() {
    const HOUR: i64 = 3600;
    let clock = ManualClock::at(UnixMillis::from_seconds(now()));
    let config = format!("{IDENTITY}{USERS}");
    let gateway = Gateway::before(origin(), &config, Arc::new(clock.clone())).await;
    gateway.run_beside();
    // Whoever is known, and whoever comes only after the jump.
    let known = member(1);
    let synced = gateway.get(TARGET, Some(&known)).await;
    assert_eq!(synced.status, 200);
    let handle = synced.header("electric-handle").unwrap();
    let poll = |offset: &str| format!("/api/shapes/users?offset={offset}&handle={handle}&live=true");
    let mut offset = synced.header("electric-offset").unwrap().to_owned();
    for (number, seconds) in [
        now() - HOUR,
        now() + HOUR,
        0,
        -HOUR,
        i64::MIN / 1000,
        i64::MAX / 1000,
        now() + 1_000_000 * HOUR,
    ]
    .into_iter()
    .enumerate()
    {
        let mut waiting = gateway.connect().await;
        waiting.send(get(&poll(&offset), Some(&known))).await;
        until("it waits", || gateway.state.metrics.held.get() == 1).await;
        clock.set_wall(UnixMillis::from_seconds(seconds));
        clock.advance(std::time::Duration::from_millis(1));
        let stranger = signed(json!({ "sub": format!("user_{number}"), "org_id": 1 }));
        for token in [&known, &stranger] {
            let answer = soon(gateway.get(TARGET, Some(token))).await;
            let right: &[u16] = if seconds > now() { &[401] } else { &[200, 401] };
            assert!(
                right.contains(&answer.status) && answer.complete,
                "{seconds}: {} {}",
                answer.status,
                answer.text()
            );
        }
        assert!(gateway.state.metrics.render().is_ok());
        // Back again: it is as before. The wait may have ended, as waits do, and misses nothing.
        clock.set_wall(UnixMillis::from_seconds(now()));
        let name = format!("Eve {number}");
        let row = json!({ "id": 100 + number, "name": &name, "org_id": 1 });
        gateway.origin.insert("users", row).unwrap();
        loop {
            let answer = soon(waiting.answer()).await.unwrap();
            assert_eq!((answer.status, answer.complete), (200, true), "{}", answer.text());
            offset = answer.header("electric-offset").unwrap().to_owned();
            if answer.text().contains(&name) {
                break;
            }
            waiting.send(get(&poll(&offset), Some(&known))).await;
        }
        let again = soon(gateway.get(TARGET, Some(&known))).await;
        assert_eq!(again.status, 200, "{seconds}: {}", again.text());
    }
}

fn electric(listen: std::net::SocketAddr) -> std::io::Result<Origin> {
    Origin::start(OriginConfig {
        listen,
        secret: Some(ELECTRIC_SECRET.to_owned()),
        schema: Schema::recordings(),
        ..OriginConfig::default()
    })
}

#[tokio::test]
async fn electric_restarts_under_a_thousand_polls_and_all_find_back_without_a_storm() {
    shapegate::process::open_files::raise_limit();
    let first = electric("127.0.0.1:0".parse().unwrap()).unwrap();
    let (address, url) = (first.address(), first.url());
    let clock = Arc::new(SystemClock);
    let gateway = Gateway::before_url(origin(), url, &format!("{IDENTITY}{USERS}"), clock).await;
    let token = member(1);
    let synced = gateway.get(TARGET, Some(&token)).await;
    let poll = format!(
        "/api/shapes/users?offset={}&handle={}&live=true",
        synced.header("electric-offset").unwrap(),
        synced.header("electric-handle").unwrap()
    );
    let mut clients = Vec::new();
    for user in 0..1000 {
        let mut client = gateway.connect().await;
        let token = signed(json!({ "sub": format!("user_{user}"), "org_id": 1 }));
        client.send(get(&poll, Some(&token))).await;
        clients.push((client, token));
    }
    until("all wait", || gateway.state.metrics.held.get() == 1000).await;
    until("one waits for all", || first.waiting() == 1).await;
    drop(first);
    for (client, _) in &mut clients {
        let answer = soon(client.answer()).await.expect("an answer, not an end");
        assert!((502..=503).contains(&answer.status), "{}", answer.text());
        assert!(answer.complete);
    }
    let mut second = None;
    until("its port is free again", || {
        second = electric(address).ok();
        second.is_some()
    })
    .await;
    let second = second.unwrap();
    // All at once, as clients do that were all told at once: first where they stood, which this Electric has never
    // heard of, then anew.
    for (target, status) in [(poll.as_str(), 409), (TARGET, 200)] {
        for (client, token) in &mut clients {
            client.send(get(target, Some(token))).await;
        }
        for (client, _) in &mut clients {
            let answer = soon(client.answer()).await.unwrap();
            assert_eq!(
                (answer.status, answer.complete),
                (status, true),
                "{}",
                answer.text()
            );
        }
    }
    let asked = second.received().len();
    assert!(
        (1..=20).contains(&asked),
        "two thousand requests, and {asked} went upstream"
    );
}
