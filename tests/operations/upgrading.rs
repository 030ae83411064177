//! Changing the running process for another, under clients who must not notice.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::program::{Program, Setup, is_alive, run, upgrade_command};
use crate::stopping::waiting_target;
use crate::support::gateway::get;
use crate::support::many;
use crate::support::patience::{soon, until};
use crate::support::raw::{Answer, Raw};
use crate::support::token::member;

const TARGET: &str = "/api/shapes/users?offset=-1";

fn upgradable() -> Setup {
    let mut setup = Setup::new();
    let socket = setup.path("upgrade.sock");
    setup.server = format!(", upgrade_socket: \"{}\"", socket.display());
    setup
}

/// Clients of every kind, who fail at the first thing that they would complain about.
struct Load {
    over: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    clients: JoinSet<()>,
}

impl Load {
    fn start(program: &Program, poll: &str) -> Self {
        let mut load = Self {
            over: Arc::default(),
            answers: Arc::default(),
            clients: JoinSet::new(),
        };
        let token = member(1);
        let address = program.setup.address;
        for _ in 0..8 {
            load.repeat(
                get(TARGET, Some(&token)),
                move || Raw::connect(address),
                assert_whole,
            );
        }
        let admin = program.setup.admin;
        let probe = format!("GET /healthz HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
        load.repeat(
            probe,
            move || Raw::connect(admin),
            |answer| {
                assert_eq!((answer.status, answer.complete), (200, true));
            },
        );
        for _ in 0..4 {
            load.keep_alive(address, get(TARGET, Some(&token)));
        }
        for _ in 0..20 {
            load.repeat(
                get(poll, Some(&token)),
                move || Raw::connect(address),
                assert_nothing_new,
            );
            let stream = get(&format!("{poll}&live_sse=true"), Some(&token));
            load.repeat(
                stream,
                move || Raw::connect(address),
                |answer| {
                    assert_eq!((answer.status, answer.complete), (200, true));
                },
            );
        }
        load
    }

    /// Every request on a connection of its own: none may be refused, closed without an answer, or cut off.
    fn repeat<F, Connected>(&mut self, request: String, connect: F, check: fn(&Answer))
    where
        F: Fn() -> Connected + Send + 'static,
        Connected: Future<Output = Raw> + Send,
    {
        let (over, answers) = (Arc::clone(&self.over), Arc::clone(&self.answers));
        self.clients.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let mut client = connect().await;
                client.send(&request).await;
                check(&client.answer().await.expect("an answer on a new connection"));
                answers.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    /// As browsers do: the same connection until it is closed, announced or between two requests.
    fn keep_alive(&mut self, address: std::net::SocketAddr, request: String) {
        let (over, answers) = (Arc::clone(&self.over), Arc::clone(&self.answers));
        self.clients.spawn(async move {
            let mut client = Raw::connect(address).await;
            while !over.load(Ordering::Relaxed) {
                client.try_send(&request).await;
                let Some(answer) = client.answer().await else {
                    client = Raw::connect(address).await;
                    continue;
                };
                assert_whole(&answer);
                answers.fetch_add(1, Ordering::Relaxed);
                if answer.header("connection") == Some("close") {
                    client = Raw::connect(address).await;
                }
            }
        });
    }

    /// Until clients have had so many more answers.
    async fn go_on(&self, more: usize) {
        let enough = self.answers.load(Ordering::Relaxed) + more;
        until("clients are answered", || {
            self.answers.load(Ordering::Relaxed) >= enough
        })
        .await;
    }

    /// Ends them, and fails if any of them has.
    async fn end(mut self) {
        self.over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.clients.try_join_next() {
            ended.expect("a client without a complaint");
        }
        self.clients.abort_all();
        while let Some(ended) = self.clients.join_next().await {
            assert!(!ended.is_err_and(|error| error.is_panic()), "a client complained");
        }
    }
}

fn assert_whole(answer: &Answer) {
    assert_eq!((answer.status, answer.complete), (200, true), "{}", answer.text());
    assert!(answer.text().contains("Alice"), "{}", answer.text());
}

fn assert_nothing_new(answer: &Answer) {
    assert_eq!((answer.status, answer.complete), (200, true), "{}", answer.text());
    assert_eq!(answer.header("electric-up-to-date"), Some(""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgrades_under_load_refuse_nobody_and_cut_nothing_off() {
    let upgrades = many("SHAPEGATE_UPGRADES", 5);
    let mut program = upgradable().start().await;
    let poll = waiting_target(&program, &member(1)).await;
    let load = Load::start(&program, &poll);
    load.go_on(200).await;
    let mut processes = vec![program.id()];
    for _ in 0..upgrades {
        let id = program.upgrade(None).await.expect("an upgrade");
        processes.push(id);
        load.go_on(200).await;
    }
    load.end().await;
    for old in &processes[..upgrades] {
        until("the old process ends by itself", || !is_alive(*old)).await;
    }
    assert!(is_alive(program.serving()));
    let output = program.output();
    for word in ["panicked", "cut off", "Too many", "canary"] {
        assert!(!output.contains(word), "{word}: {output}");
    }
    program.signal("TERM");
    until("the last one ends, too", || !is_alive(program.serving())).await;
}

#[tokio::test]
async fn the_new_process_serves_the_new_configuration_and_the_old_one_what_it_has_begun() {
    let mut program = upgradable().start().await;
    let token = member(1);
    let poll = waiting_target(&program, &token).await;
    program.origin.misbehave(shapegate_origin::Misbehaviour::once(
        shapegate_origin::Fault::Slow { ms: 1000 },
    ));
    let mut begun = program.connect().await;
    let asked = program.origin.received().len();
    begun
        .send(get("/api/shapes/users?offset=-1&log=changes_only", Some(&token)))
        .await;
    until("it is under way", || program.origin.received().len() > asked).await;
    let mut waiting = program.connect().await;
    waiting.send(get(&poll, Some(&token))).await;
    program.until_metric("shapegate_held_polls", 1.0).await;

    let config = program.setup.path("shapegate.yaml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("\n  users:\n", "\n  people:\n")).unwrap();
    let first = program.id();
    let second = program.upgrade(None).await.unwrap();
    assert_ne!(first, second);

    let renamed = program.get("/api/shapes/people?offset=-1", Some(&token)).await;
    assert_eq!(renamed.status, 200, "{}", renamed.text());
    assert_eq!(program.get(TARGET, Some(&token)).await.status, 404);
    let answer = soon(waiting.answer()).await.unwrap();
    assert_nothing_new(&answer);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(waiting.is_closed().await, "the next poll finds the new process");
    let answer = soon(begun.answer()).await.unwrap();
    assert_eq!((answer.status, answer.complete), (200, true), "{}", answer.text());
    assert_eq!(program.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_request_on_a_kept_connection_is_served_by_the_old_process_and_the_next_by_the_new() {
    let mut program = upgradable().start().await;
    let token = member(1);
    let mut kept = program.connect().await;
    assert_eq!(soon(kept.ask(get(TARGET, Some(&token)))).await.status, 200);
    let mut silent = TcpStream::connect(program.setup.address).await.unwrap();
    program.upgrade(None).await.unwrap();
    let answer = soon(kept.ask(get(TARGET, Some(&token)))).await;
    assert_whole(&answer);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(kept.is_closed().await);
    // Accepted before, asked after.
    tokio::io::AsyncWriteExt::write_all(&mut silent, get(TARGET, Some(&token)).as_bytes())
        .await
        .unwrap();
    assert_whole(&soon(Raw::over(silent).answer()).await.unwrap());
    assert_eq!(program.ended().await.code(), Some(0));
}

/// A script in place of the new program.
fn script(setup: &Setup, text: &str) -> PathBuf {
    let path = setup.path("new-version");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

async fn assert_unharmed(program: &Program, id: u32) {
    assert_eq!(program.serving(), id);
    assert!(is_alive(id));
    assert_whole(&program.get(TARGET, Some(&member(1))).await);
    assert_eq!(program.admin("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_new_process_that_does_not_serve_changes_nothing_and_says_why() {
    let mut program = upgradable().start().await;
    let id = program.id();
    let mut kept = program.connect().await;
    for (new, why) in [
        (program.setup.path("nowhere"), "cannot be started"),
        (script(&program.setup, "exit 7"), "exit status: 7"),
        (PathBuf::from("/bin/false"), "exit status: 1"),
        (PathBuf::from("/etc/hostname"), "cannot be started"),
    ] {
        let told = program.upgrade(Some(&new)).await.unwrap_err();
        assert!(told.contains(why), "{why} in {told}");
        assert!(told.contains("the old process goes on serving"), "{told}");
        assert_unharmed(&program, id).await;
    }
    let liar = script(&program.setup, "head -c 20 >/dev/null; echo all is well >&0");
    let told = program.upgrade(Some(&liar)).await.unwrap_err();
    assert!(
        told.contains("all is well"),
        "only one word counts as ready: {told}"
    );
    assert_unharmed(&program, id).await;
    assert_whole(&soon(kept.ask(get(TARGET, Some(&member(1))))).await);
    // And after all of them, the real one.
    program.upgrade(None).await.unwrap();
    assert_whole(&program.get(TARGET, Some(&member(1))).await);
}

#[tokio::test]
async fn a_broken_configuration_is_told_to_whoever_asked_with_its_place() {
    let mut program = upgradable().start().await;
    let id = program.id();
    let config = program.setup.path("shapegate.yaml");
    let right = fs::read_to_string(&config).unwrap();
    fs::write(&config, right.replace("columns:", "colums:")).unwrap();
    let told = program.upgrade(None).await.unwrap_err();
    let line = right.lines().position(|line| line.contains("columns:")).unwrap() + 1;
    assert!(told.contains(&format!("shapegate.yaml:{line}:5")), "{told}");
    assert!(!told.contains("canary"), "{told}");
    assert_unharmed(&program, id).await;

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = taken.local_addr().unwrap().to_string();
    let admin = program.setup.admin.to_string();
    fs::write(&config, right.replace(&admin, &elsewhere)).unwrap();
    let told = program.upgrade(None).await.unwrap_err();
    assert!(
        told.contains(&elsewhere) && told.contains("cannot listen"),
        "{told}"
    );
    assert_unharmed(&program, id).await;

    fs::write(&config, &right).unwrap();
    program.upgrade(None).await.unwrap();
    assert_whole(&program.get(TARGET, Some(&member(1))).await);
}

#[tokio::test]
async fn a_new_process_that_hangs_is_ended_with_the_old_one() {
    let mut program = upgradable().start().await;
    let note = program.setup.path("id");
    let text = format!("echo $$ > {}; exec sleep 600", note.display());
    let hanging = script(&program.setup, &text);
    let mut command = upgrade_command(&program.setup.path("upgrade.sock"), Some(&hanging));
    let mut asking = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    let id = || {
        let text = fs::read_to_string(&note).unwrap_or_default();
        text.trim().parse::<u32>().ok()
    };
    until("it hangs", || id().is_some()).await;
    assert_whole(&program.get(TARGET, Some(&member(1))).await);
    program.signal("TERM");
    assert_eq!(program.ended().await.code(), Some(0));
    until("nobody is left behind", || !is_alive(id().unwrap())).await;
    assert!(!asking.wait().unwrap().success());
}

#[tokio::test]
async fn whoever_speaks_another_language_on_the_upgrade_socket_changes_nothing() {
    use std::io::{Read as _, Write as _};
    let program = upgradable().start().await;
    let socket = program.setup.path("upgrade.sock");
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "only for its owner");
    for (asked, why) in [
        ("", "unchanged"),
        ("{", "unchanged"),
        ("{\"binary\": null, \"arguments\": []}", "unknown field"),
        ("{\"binary\": \"bin/sh\"}", "no absolute path"),
        ("GET / HTTP/1.1\r\n\r\n", "unchanged"),
    ] {
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        stream.write_all(asked.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).unwrap();
        assert!(
            told.contains("unchanged") && told.contains(why),
            "{asked}: {told}"
        );
    }
    assert_unharmed(&program, program.id()).await;
}

#[test]
fn without_a_running_process_the_command_says_where_it_looked() {
    let output = upgrade_command(Path::new("/nowhere/upgrade.sock"), None)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("/nowhere/upgrade.sock") && told.contains("upgrade_socket"),
        "{told}"
    );
}

#[test]
fn times_that_make_no_sense_are_refused_with_their_place() {
    for (key, value) in [
        ("grace_period", "0s"),
        ("grace_period", "2h"),
        ("shutdown_delay", "90m"),
        ("shutdown_delay", "soon"),
    ] {
        let mut setup = Setup::new();
        setup.server = format!(", {key}: {value}");
        let config = setup.path("shapegate.yaml");
        fs::write(&config, setup.config("http://127.0.0.1:1")).unwrap();
        let output = run("check", &config);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("shapegate.yaml:1:") && told.contains(key), "{told}");
    }
}
