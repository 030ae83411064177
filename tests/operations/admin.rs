//! What operators and probes see.

use std::os::unix::fs::PermissionsExt;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::program::{Program, Setup, free_address};
use crate::support::patience::{soon, until};
use crate::support::raw::{Answer, Raw};
use crate::support::token::member;

async fn ask(address: std::net::SocketAddr, request: &str) -> Answer {
    soon(Raw::connect(address).await.ask(request)).await
}

#[tokio::test]
async fn liveness_readiness_and_metrics_are_told() {
    let program = Setup::new().start().await;
    let healthz = program.admin("/healthz").await;
    assert_eq!((healthz.status, healthz.text()), (200, "ok\n"));
    let readyz = program.admin("/readyz").await;
    assert_eq!((readyz.status, readyz.text()), (200, "ready\n"));
    program.get("/api/shapes/users?offset=-1", Some(&member(1))).await;
    program.get("/api/shapes/users?offset=-1", None).await;
    // A request is counted when it is over, which its client may know first.
    for class in ["2xx", "4xx"] {
        let counted = format!("shapegate_requests_total{{class=\"{class}\"}}");
        program.until_metric(&counted, 1.0).await;
    }
    program.until_metric("shapegate_requests_in_flight", 0.0).await;
    let metrics = program.admin("/metrics").await;
    assert_eq!(metrics.status, 200);
    for line in [
        "shapegate_requests_total{class=\"2xx\"} 1",
        "shapegate_refusals_total{code=\"token_missing\"} 1",
        "shapegate_held_polls 0",
        "shapegate_requests_in_flight 0",
    ] {
        assert!(metrics.text().contains(line), "{line} in {}", metrics.text());
    }
    assert_eq!(program.admin("/else").await.status, 404);
}

#[tokio::test]
async fn nothing_of_it_is_on_the_public_listener() {
    let program = Setup::new().start().await;
    for path in ["/healthz", "/readyz", "/metrics", "/admin", "/status"] {
        let answer = program.get(path, None).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "not_found"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_page_in_the_operators_browser_is_refused() {
    let program = Setup::new().start().await;
    let admin = program.setup.admin;
    for headers in [
        // A page that posts or fetches across origins.
        format!("host: {admin}\r\norigin: https://evil.example"),
        format!("host: {admin}\r\norigin: null"),
        format!("host: {admin}\r\norigin: http://{admin}"),
        // A page whose own name was made to resolve here.
        "host: evil.example".to_owned(),
        format!("host: evil.example:{}", admin.port()),
        "host: localhost.evil.example".to_owned(),
        "host: 127.0.0.1.evil.example".to_owned(),
        "host: ".to_owned(),
        format!("host: {admin}\r\nhost: evil.example"),
        format!("host: evil.example\r\nhost: {admin}"),
    ] {
        for path in ["/metrics", "/readyz", "/healthz"] {
            let request = format!("GET {path} HTTP/1.1\r\n{headers}\r\n\r\n");
            assert!(is_refused(admin, &request).await, "{headers:?}");
        }
    }
    let absolute = "GET http://evil.example/metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert!(is_refused(admin, absolute).await);
}

/// Whether a request is refused, or not even taken for one.
async fn is_refused(address: std::net::SocketAddr, request: &str) -> bool {
    let mut client = Raw::connect(address).await;
    client.send(request).await;
    let answer = soon(client.answer()).await;
    answer.is_none_or(|answer| matches!(answer.status, 400 | 403) && !answer.text().contains("shapegate_"))
}

#[tokio::test]
async fn this_machines_own_names_are_served() {
    let program = Setup::new().start().await;
    let admin = program.setup.admin;
    for host in [
        "localhost".to_owned(),
        format!("localhost:{}", admin.port()),
        admin.to_string(),
        "127.0.0.1".to_owned(),
        format!("[::1]:{}", admin.port()),
    ] {
        let answer = ask(admin, &format!("GET /readyz HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
        assert_eq!(answer.status, 200, "{host}");
    }
    let none = ask(admin, "GET /readyz HTTP/1.0\r\n\r\n").await;
    assert_eq!(none.status, 200);
}

#[tokio::test]
async fn nothing_can_be_changed_there() {
    let program = Setup::new().start().await;
    let admin = program.setup.admin;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let request = format!("{method} /metrics HTTP/1.1\r\nhost: {admin}\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(ask(admin, &request).await.status, 405, "{method}");
    }
}

#[tokio::test]
async fn a_head_has_no_body_and_the_connection_goes_on() {
    let program = Setup::new().start().await;
    let admin = program.setup.admin;
    let mut client = Raw::connect(admin).await;
    client
        .send(format!("HEAD /metrics HTTP/1.1\r\nhost: {admin}\r\n\r\n"))
        .await;
    assert_eq!(soon(client.head()).await.unwrap().status, 200);
    let next = format!("GET /healthz HTTP/1.1\r\nhost: {admin}\r\n\r\n");
    assert_eq!(soon(client.ask(next)).await.text(), "ok\n");
}

async fn with_health() -> (Program, std::net::SocketAddr) {
    let health = free_address();
    let mut setup = Setup::new();
    setup.rest = format!("health: {{ listen: \"{health}\" }}\n{}", setup.rest);
    let program = setup.start().await;
    until("the health listener listens", || {
        std::net::TcpStream::connect(health).is_ok()
    })
    .await;
    (program, health)
}

#[tokio::test]
async fn the_health_listener_serves_balancers_whatever_they_call_it() {
    let (program, health) = with_health().await;
    for host in ["gateway.internal", "10.0.0.7:8081", "localhost"] {
        for path in ["/healthz", "/readyz", "/metrics"] {
            let answer = ask(health, &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
            assert_eq!(answer.status, 200, "{host}{path}");
        }
    }
    let page = "GET /metrics HTTP/1.1\r\nhost: gateway.internal\r\norigin: https://evil.example\r\n\r\n";
    assert_eq!(ask(health, page).await.status, 403);
    assert_eq!(program.admin("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_unix_socket_is_for_its_owner_alone() {
    let setup = Setup::new();
    let socket = setup.path("admin.sock");
    let origin = crate::support::gateway::origin();
    let listen = format!("admin: {{ listen: \"unix:{}\" }}", socket.display());
    let tcp = format!("admin: {{ listen: \"{}\" }}", setup.admin);
    let health = format!("health: {{ listen: \"{}\" }}", setup.admin);
    let text = setup
        .config(&origin.url())
        .replace(&tcp, &format!("{listen}\n{health}"));
    let _program = setup.start_with(origin, &text).await;
    until("the socket is there", || socket.exists()).await;
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut stream = UnixStream::connect(&socket).await.unwrap();
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0; 12];
    soon(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}
