//! TLS by name, HTTP/2 over it, and the development certificate.

use std::fs;
use std::time::Duration;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use reqwest::{Certificate, Client, Version};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::program::{Program, Setup};
use crate::support::patience::{soon, until};
use crate::support::token::member;

const TARGET: &str = "/api/shapes/users?offset=-1";

/// A certificate that its own client trusts, in files.
pub fn certificate(setup: &Setup, file: &str, names: &[&str]) -> Certificate {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let CertifiedKey { cert, signing_key }: CertifiedKey<KeyPair> =
        generate_simple_self_signed(names).unwrap();
    fs::write(setup.path(&format!("{file}.pem")), cert.pem()).unwrap();
    let key = setup.path(&format!("{file}.key"));
    fs::write(&key, signing_key.serialize_pem()).unwrap();
    let owner_only = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
    fs::set_permissions(&key, owner_only).unwrap();
    Certificate::from_pem(cert.pem().as_bytes()).unwrap()
}

/// A program with two certificates, and what clients trust.
async fn with_two() -> (Program, Certificate, Certificate) {
    let mut setup = Setup::new();
    let first = certificate(&setup, "a", &["a.test", "*.wild.test"]);
    let second = certificate(&setup, "b", &["b.test"]);
    setup.server = ", tls: { certificates: [ { certificate: a.pem, key: a.key }, \
                    { certificate: b.pem, key: b.key } ] }"
        .to_owned();
    (setup.start().await, first, second)
}

/// A client that trusts one certificate, and finds every name at the program.
pub fn client(program: &Program, trusted: &Certificate, names: &[&str], http1: bool) -> Client {
    shapegate::identity::install_crypto();
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut builder = Client::builder()
        .no_proxy()
        .use_rustls_tls()
        .tls_built_in_root_certs(false)
        .add_root_certificate(trusted.clone())
        .timeout(Duration::from_secs(30));
    for name in names {
        builder = builder.resolve(name, program.setup.address);
    }
    if http1 {
        builder = builder.http1_only();
    }
    builder.build().unwrap()
}

pub fn url(program: &Program, name: &str, target: &str) -> String {
    format!("https://{name}:{}{target}", program.setup.address.port())
}

#[tokio::test]
async fn each_name_gets_its_own_certificate() {
    let (program, first, second) = with_two().await;
    let names = ["a.test", "x.wild.test", "b.test", "B.TEST", "deep.x.wild.test"];
    let by_first = client(&program, &first, &names, false);
    let by_second = client(&program, &second, &names, false);
    for (name, of_first, of_second) in [
        ("a.test", true, false),
        ("x.wild.test", true, false),
        ("b.test", false, true),
    ] {
        let url = url(&program, name, "/nowhere");
        assert_eq!(by_first.get(&url).send().await.is_ok(), of_first, "{name}");
        assert_eq!(by_second.get(&url).send().await.is_ok(), of_second, "{name}");
    }
    // A wildcard covers one label.
    let deep = url(&program, "deep.x.wild.test", "/nowhere");
    assert!(by_first.get(&deep).send().await.is_err());
}

#[tokio::test]
async fn plain_http_on_a_tls_port_gets_no_answer() {
    let (program, _, _) = with_two().await;
    let mut tcp = tokio::net::TcpStream::connect(program.setup.address)
        .await
        .unwrap();
    let request = format!("GET {TARGET} HTTP/1.1\r\nhost: a.test\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A TLS alert, or nothing at all; then the end.
    soon(tcp.read_to_end(&mut answer)).await.unwrap_or_default();
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert_eq!(program.origin.received(), []);
}

#[tokio::test]
async fn http_2_and_http_1_are_spoken_over_tls() {
    let (program, first, _) = with_two().await;
    let token = member(1);
    for (http1, version) in [(false, Version::HTTP_2), (true, Version::HTTP_11)] {
        let client = client(&program, &first, &["a.test"], http1);
        let url = url(&program, "a.test", TARGET);
        let answer = client.get(&url).bearer_auth(&token).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        assert!(answer.headers().contains_key("electric-handle"));
        assert_eq!(answer.headers()["vary"], "authorization, accept-encoding");
        assert!(answer.text().await.unwrap().contains("Alice"));
        let refused = client.get(&url).send().await.unwrap();
        assert_eq!((refused.status().as_u16(), refused.version()), (401, version));
    }
}

/// A target that waits.
async fn waiting_url(program: &Program, client: &Client, token: &str) -> String {
    let first = client
        .get(url(program, "a.test", TARGET))
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    let header = |name: &str| first.headers()[name].to_str().unwrap().to_owned();
    let (handle, offset) = (header("electric-handle"), header("electric-offset"));
    let target = format!("/api/shapes/users?offset={offset}&handle={handle}&live=true");
    url(program, "a.test", &target)
}

#[tokio::test]
async fn many_polls_share_one_http_2_connection_and_are_answered() {
    let (program, first, _) = with_two().await;
    let token = member(1);
    let client = client(&program, &first, &["a.test"], false);
    let url = waiting_url(&program, &client, &token).await;
    let polls: Vec<_> = (0..20)
        .map(|_| tokio::spawn(client.get(&url).bearer_auth(&token).send()))
        .collect();
    program.until_metric("shapegate_held_polls", 20.0).await;
    until("one waits for all", || program.origin.waiting() == 1).await;
    let row = json!({ "id": 9, "name": "Eve", "org_id": 1 });
    program.origin.insert("users", row).unwrap();
    for poll in polls {
        let answer = soon(poll).await.unwrap().unwrap();
        assert_eq!(answer.version(), Version::HTTP_2);
        assert!(answer.text().await.unwrap().contains("Eve"));
    }
    program.until_metric("shapegate_held_polls", 0.0).await;
}

#[tokio::test]
async fn a_stream_that_is_reset_ends_its_poll_alone() {
    let (program, first, _) = with_two().await;
    let token = member(1);
    let client = client(&program, &first, &["a.test"], false);
    let url = waiting_url(&program, &client, &token).await;
    let stays = tokio::spawn(client.get(&url).bearer_auth(&token).send());
    until("one waits", || program.origin.waiting() == 1).await;
    let leaves = tokio::spawn(client.get(&url).bearer_auth(&token).send());
    program.until_metric("shapegate_held_polls", 2.0).await;
    leaves.abort();
    program.until_metric("shapegate_held_polls", 1.0).await;
    let row = json!({ "id": 9, "name": "Eve", "org_id": 1 });
    program.origin.insert("users", row).unwrap();
    let answer = soon(stays).await.unwrap().unwrap();
    assert!(answer.text().await.unwrap().contains("Eve"));
}

#[tokio::test]
async fn events_come_one_by_one_over_http_2() {
    let (program, first, _) = with_two().await;
    let token = member(1);
    let client = client(&program, &first, &["a.test"], false);
    let url = waiting_url(&program, &client, &token).await + "&live_sse=true";
    let mut answer = client.get(&url).bearer_auth(&token).send().await.unwrap();
    assert_eq!(answer.version(), Version::HTTP_2);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    for id in 10..13 {
        let row = json!({ "id": id, "name": "New", "org_id": 1 });
        program.origin.insert("users", row).unwrap();
        let event = soon(answer.chunk()).await.unwrap().unwrap();
        let event = String::from_utf8(event.to_vec()).unwrap();
        assert!(event.contains(&format!("\"id\":\"{id}\"")), "{event}");
    }
    assert_eq!(program.origin.waiting(), 1);
    drop(answer);
    until("the stream ends upstream", || program.origin.waiting() == 0).await;
}

#[tokio::test]
async fn sigterm_ends_waits_over_http_2_too() {
    let (mut program, first, _) = with_two().await;
    let token = member(1);
    let client = client(&program, &first, &["a.test"], false);
    let url = waiting_url(&program, &client, &token).await;
    let poll = tokio::spawn(client.get(&url).bearer_auth(&token).send());
    until("it waits", || program.origin.waiting() == 1).await;
    program.signal("TERM");
    let answer = soon(poll).await.unwrap().unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert!(answer.headers().contains_key("electric-up-to-date"));
    assert!(answer.text().await.unwrap().contains("up-to-date"));
    assert_eq!(program.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_development_certificate_is_made_at_start_and_warned_of() {
    let mut setup = Setup::new();
    setup.server = ", tls: { insecure_self_signed: localhost }".to_owned();
    let program = setup.start().await;
    assert!(
        program.output().contains("insecure_self_signed"),
        "{}",
        program.output()
    );
    shapegate::identity::install_crypto();
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = Client::builder()
        .no_proxy()
        .use_rustls_tls()
        .danger_accept_invalid_certs(true)
        .resolve("localhost", program.setup.address)
        .build()
        .unwrap();
    let answer = client
        .get(url(&program, "localhost", TARGET))
        .bearer_auth(member(1))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, Version::HTTP_2)
    );
    let distrusting = Client::builder()
        .no_proxy()
        .use_rustls_tls()
        .tls_built_in_root_certs(false);
    let distrusting = distrusting
        .resolve("localhost", program.setup.address)
        .build()
        .unwrap();
    let url = url(&program, "localhost", TARGET);
    assert!(distrusting.get(url).send().await.is_err());
}
