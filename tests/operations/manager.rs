//! The service manager's side: told what happens, and sockets that it opened before.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use crate::program::{Setup, command, is_alive, signal};
use crate::support::gateway::{get, origin};
use crate::support::patience::{soon, until};
use crate::support::raw::Raw;
use crate::support::token::member;

const TARGET: &str = "/api/shapes/users?offset=-1";

/// What the service manager would hear.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn of(setup: &mut Setup) -> Self {
        let path = setup.path("notify.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        setup
            .variables
            .push(("NOTIFY_SOCKET", path.display().to_string()));
        Self {
            socket,
            heard: Vec::new(),
        }
    }

    async fn until_heard(&mut self, line: &str) {
        until(line, || {
            let mut message = [0; 4096];
            while let Ok(length) = self.socket.recv(&mut message) {
                let text = String::from_utf8(message[..length].to_vec()).unwrap();
                self.heard.extend(text.lines().map(ToOwned::to_owned));
            }
            self.heard.iter().any(|heard| heard == line)
        })
        .await;
    }
}

#[tokio::test]
async fn it_is_told_when_the_process_is_ready_lives_and_stops() {
    let mut setup = Setup::new();
    let mut manager = Manager::of(&mut setup);
    setup.variables.push(("WATCHDOG_USEC", "200000".to_owned()));
    let mut program = setup.start().await;
    manager.until_heard("READY=1").await;
    manager.until_heard("WATCHDOG=1").await;
    assert_eq!(manager.heard[0], "READY=1", "{:?}", manager.heard);
    // From the first connection on, it is those threads that must live.
    assert_eq!(program.get(TARGET, Some(&member(1))).await.status, 200);
    manager.heard.clear();
    manager.until_heard("WATCHDOG=1").await;
    manager.heard.clear();
    manager.until_heard("WATCHDOG=1").await;
    assert!(!manager.heard.iter().any(|line| line.starts_with("STOPPING")));
    program.signal("TERM");
    manager.until_heard("STOPPING=1").await;
    assert_eq!(program.ended().await.code(), Some(0));
}

#[tokio::test]
async fn another_process_watchdog_and_a_broken_socket_keep_it_from_nothing() {
    let mut setup = Setup::new();
    let mut manager = Manager::of(&mut setup);
    setup.variables.push(("WATCHDOG_USEC", "20000".to_owned()));
    setup.variables.push(("WATCHDOG_PID", "1".to_owned()));
    let program = setup.start().await;
    manager.until_heard("READY=1").await;
    assert_eq!(program.get(TARGET, Some(&member(1))).await.status, 200);
    assert!(!manager.heard.iter().any(|line| line.starts_with("WATCHDOG")));

    let mut setup = Setup::new();
    let nowhere = setup.path("nobody.sock").display().to_string();
    setup.variables.push(("NOTIFY_SOCKET", nowhere));
    let program = setup.start().await;
    assert_eq!(program.get(TARGET, Some(&member(1))).await.status, 200);
}

#[tokio::test]
async fn after_an_upgrade_the_service_is_the_new_process() {
    let mut setup = Setup::new();
    let mut manager = Manager::of(&mut setup);
    setup.variables.push(("WATCHDOG_USEC", "200000".to_owned()));
    // As systemd sets it for RuntimeDirectory=: the upgrade socket is there without a key.
    let folder = setup.folder.path().display().to_string();
    setup.variables.push(("RUNTIME_DIRECTORY", folder));
    let mut program = setup.start().await;
    manager.until_heard("READY=1").await;
    let id = program.upgrade(None).await.unwrap();
    manager.until_heard(&format!("MAINPID={id}")).await;
    assert_eq!(program.ended().await.code(), Some(0));
    assert!(
        !manager.heard.iter().any(|line| line == "STOPPING=1"),
        "the service goes on"
    );
    manager.heard.clear();
    manager.until_heard("WATCHDOG=1").await;
    assert!(is_alive(id));
    program.signal("TERM");
    manager.until_heard("STOPPING=1").await;
    until("it ends", || !is_alive(id)).await;
}

/// The program as a service manager starts it: `listener` is its third descriptor.
fn activated(listener: TcpListener, config: &std::path::Path) -> Command {
    let plain = command("serve", config);
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\" 3<&0 </dev/null",
    ]);
    shell.arg(plain.get_program()).args(plain.get_args());
    shell.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.stdin(Stdio::from(OwnedFd::from(listener)));
    shell
}

#[tokio::test]
async fn it_serves_on_a_socket_that_was_open_before_it_and_clients_wait_for_it() {
    let origin = origin();
    let mut setup = Setup::new();
    let listener = TcpListener::bind(setup.address).unwrap();
    // A client that was there first.
    let mut early = Raw::connect(setup.address).await;
    early.send(get(TARGET, Some(&member(1)))).await;
    setup.server = format!(", upgrade_socket: \"{}\"", setup.path("upgrade.sock").display());
    let config = setup.path("shapegate.yaml");
    fs::write(&config, setup.config(&origin.url())).unwrap();
    let kept = listener.try_clone().unwrap();
    let mut child = activated(listener, &config).spawn().unwrap();
    let answer = soon(early.answer()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    signal(child.id(), "TERM");
    until("it ends", || child.try_wait().unwrap().is_some()).await;
    // The service manager's own is still open: the next one is waited for as well.
    let mut next = Raw::connect(setup.address).await;
    next.send(get(TARGET, Some(&member(1)))).await;
    let mut child = activated(kept, &config).spawn().unwrap();
    assert_eq!(soon(next.answer()).await.unwrap().status, 200);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_socket_that_no_listen_asks_for_is_refused_with_both_names() {
    let setup = Setup::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let config = setup.path("shapegate.yaml");
    fs::write(&config, setup.config("http://127.0.0.1:1")).unwrap();
    let output = activated(listener, &config).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(&address) && told.contains("listen"), "{told}");
}
