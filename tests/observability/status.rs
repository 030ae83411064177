//! The status page of the admin listener.

use std::fs;
use std::net::SocketAddr;

use serde_json::json;

use crate::program::{Setup, free_address};
use crate::support::gateway::{get, origin};
use crate::support::patience::{soon, until};
use crate::support::raw::{Answer, Raw};
use crate::support::token::{IDENTITY, member};

async fn ask(address: SocketAddr, request: &str) -> Answer {
    soon(Raw::connect(address).await.ask(request)).await
}

#[tokio::test]
async fn it_tells_how_the_process_stands_without_loading_or_running_anything() {
    let program = Setup::new().start().await;
    let page = program.admin("/status").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert!(
        policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    for (name, value) in [
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(page.header(name), Some(value));
    }
    let host = program.origin.address().to_string();
    for said in [
        "<span class=\"good\">ready</span>",
        "<td>default</td>",
        "all requests",
        &format!("{host} <span class=\"good\">active</span>"),
        "everything is served as the files say",
        "tenants: 1 served, 0 as before, 0 not at all",
    ] {
        assert!(page.text().contains(said), "{said} in {}", page.text());
    }
    assert!(
        !page.text().contains("<script") && !page.text().contains("{{"),
        "{}",
        page.text()
    );
    assert_eq!(program.admin("/").await.status, 200);
    let received = program.origin.received();
    assert!(!received.is_empty());
    for asked in received {
        assert_eq!(
            asked.target, "/v1/health",
            "only its health is asked for, without the secret"
        );
    }
}

#[tokio::test]
async fn who_waits_is_counted_on_it_and_an_electric_that_is_away_is_seen() {
    let program = Setup::new().start().await;
    let token = member(1);
    let snapshot = program.get("/api/shapes/users?offset=-1", Some(&token)).await;
    let handle = snapshot.header("electric-handle").unwrap();
    let offset = snapshot.header("electric-offset").unwrap();
    let mut client = program.connect().await;
    let target = format!("/api/shapes/users?offset={offset}&handle={handle}&live=true");
    client.send(get(&target, Some(&token))).await;
    until("it waits", || program.origin.waiting() == 1).await;
    let held = "<dt>held polls and streams</dt><dd>1</dd>";
    assert!(program.admin("/status").await.text().contains(held));

    let setup = Setup::new();
    let text = setup.config(&format!("http://{}", free_address()));
    let alone = setup.start_with(origin(), &text).await;
    let page = alone.admin("/status").await;
    assert!(
        page.text().contains("<span class=\"bad\">does not answer</span>"),
        "{}",
        page.text()
    );
}

#[tokio::test]
async fn insecure_switches_and_refused_files_are_on_it() {
    let mut setup = Setup::new();
    setup.rest = setup.rest.replace(
        "identity:\n",
        "identity:\n  - insecure_dev_user: { sub: dev, org_id: 1 }\n",
    );
    let config = setup.path("shapegate.yaml");
    let program = setup.start().await;
    let page = program.admin("/status").await;
    assert!(
        page.text()
            .contains("default: insecure_dev_user: everybody without a credential"),
        "{}",
        page.text()
    );
    assert!(!page.text().contains("last refused"), "{}", page.text());

    let before = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{before}\nunknown: canary\n")).unwrap();
    program.signal("HUP");
    program.until_metric("shapegate_reload_current", 0.0).await;
    let page = program.admin("/status").await;
    let line = before.lines().count() + 2;
    assert!(
        page.text().contains(&format!("shapegate.yaml:{line}:1")),
        "{}",
        page.text()
    );
    assert!(page.text().contains("some of the files are refused") && !page.text().contains("canary"));

    let secure = before.replace("  - insecure_dev_user: { sub: dev, org_id: 1 }\n", "");
    fs::write(&config, secure).unwrap();
    program.signal("HUP");
    program.until_metric("shapegate_reload_current", 1.0).await;
    let page = program.admin("/status").await;
    assert!(!page.text().contains("insecure_dev_user"), "{}", page.text());
    assert!(page.text().contains("last refused at"), "{}", page.text());
}

#[tokio::test]
async fn many_tenants_are_shown_some_at_a_time_and_each_on_its_own() {
    let mut setup = Setup::new();
    let mut tenants = String::from("tenants:\n");
    let origin = origin();
    for number in 0..60 {
        tenants += &format!(
            "  t{number:02}: {{ hosts: [ t{number:02}.test ], electric: {{ url: '{}', secret: {{ env: ELECTRIC_SECRET }} }}, \
             shapes: {{ items: {{ table: items, columns: all, access: public, rules: [ {{ rows: all }} ] }} }} }}\n",
            origin.url()
        );
    }
    setup.rest = tenants;
    let text = setup.config("");
    let text = text
        .lines()
        .filter(|line| !line.starts_with("electric:"))
        .map(|line| format!("{line}\n"));
    let text: String = text.collect();
    let program = setup.start_with(origin, &text).await;
    let page = program.admin("/status").await;
    let rows = |page: &Answer| page.text().matches("<tr><td>").count();
    assert_eq!(rows(&page), 25, "{}", page.text());
    assert!(page.text().contains("25 of 60") && page.text().contains("href=\"/status?from=t25\""));
    let last = program.admin("/status?from=t50").await;
    assert_eq!(rows(&last), 10);
    assert!(!last.text().contains(">more<"));
    let one = program.admin("/status?tenant=t07").await;
    assert!(
        rows(&one) == 1 && one.text().contains("t07.test"),
        "{}",
        one.text()
    );
    let none = program.admin("/status?tenant=%3Cscript%3E").await;
    assert!(
        rows(&none) == 0 && !none.text().contains("<script"),
        "{}",
        none.text()
    );
}

#[tokio::test]
async fn only_operators_of_this_machine_see_it() {
    let health = free_address();
    let mut setup = Setup::new();
    setup.rest = format!(
        "health: {{ listen: \"{health}\" }}\n{IDENTITY}{}",
        crate::program::USERS
    );
    let program = setup.start().await;
    until("the health listener listens", || {
        std::net::TcpStream::connect(health).is_ok()
    })
    .await;
    let admin = program.setup.admin;
    for headers in [
        "host: evil.example".to_owned(),
        format!("host: {admin}\r\norigin: https://evil.example"),
        format!("host: {admin}\r\nhost: evil.example"),
    ] {
        let request = format!("GET /status HTTP/1.1\r\n{headers}\r\n\r\n");
        let mut client = Raw::connect(admin).await;
        client.send(request).await;
        let answer = soon(client.answer()).await;
        assert!(
            answer.is_none_or(|answer| matches!(answer.status, 400 | 403)),
            "{headers}"
        );
    }
    let probe = ask(health, &format!("GET /status HTTP/1.1\r\nhost: {health}\r\n\r\n")).await;
    assert_eq!(probe.status, 404);
    assert!(!probe.text().contains("/status"), "{}", probe.text());
    for method in ["POST", "PUT", "DELETE"] {
        let request = format!("{method} /status HTTP/1.1\r\nhost: {admin}\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(ask(admin, &request).await.status, 405, "{method}");
    }
    assert_eq!(
        json!(program.get("/status", None).await.code()),
        json!("not_found")
    );
}
