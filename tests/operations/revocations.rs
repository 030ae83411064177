//! Revocations as operators write them: to the admin listener, and into a watched file.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;

use tokio::net::TcpStream;

use crate::program::{Program, Setup, USERS};
use crate::support::gateway::get;
use crate::support::patience::soon;
use crate::support::raw::{Answer, Raw};
use crate::support::token::{IDENTITY, member};

pub const TOKEN: &str = "the-admin-token-of-the-tests-canary";
pub const TARGET: &str = "/api/shapes/users?offset=-1";

/// A program whose operators have a token.
async fn program(more: &str) -> Program {
    let mut setup = Setup::new();
    fs::write(setup.path("admin-token"), format!("{TOKEN}\n")).unwrap();
    setup.admin_more = ", token: { file: admin-token }".to_owned();
    setup.rest = format!("{more}{IDENTITY}{USERS}");
    setup.start().await
}

pub async fn ask(program: &Program, method: &str, token: Option<&str>, headers: &str, body: &str) -> Answer {
    let answer = ask_at(program.setup.admin, method, token, headers, body).await;
    answer.expect("an answer")
}

/// The same of a process that may be killed meanwhile.
pub async fn ask_at(
    admin: SocketAddr,
    method: &str,
    token: Option<&str>,
    headers: &str,
    body: &str,
) -> Option<Answer> {
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n"));
    let request = format!(
        "{method} /revocations HTTP/1.1\r\nhost: localhost\r\n{}{headers}content-length: {}\r\n\r\n{body}",
        token.unwrap_or_default(),
        body.len()
    );
    let mut client = Raw::over(TcpStream::connect(admin).await.ok()?);
    client.try_send(request).await;
    soon(client.answer()).await
}

pub const JSON: &str = "content-type: application/json\r\n";

pub async fn post(program: &Program, body: &str) -> Answer {
    ask(program, "POST", Some(TOKEN), JSON, body).await
}

/// A poll of a member that waits.
async fn waiting(program: &Program, token: &str) -> Raw {
    let first = program.get(TARGET, Some(token)).await;
    let (handle, offset) = (
        first.header("electric-handle").unwrap(),
        first.header("electric-offset").unwrap(),
    );
    let mut client = program.connect().await;
    let poll = format!("/api/shapes/users?handle={handle}&offset={offset}&live=true");
    client.send(get(&poll, Some(token))).await;
    program.until_metric("shapegate_held_polls ", 1.0).await;
    client
}

#[tokio::test]
async fn an_operator_revokes_and_takes_back_and_open_polls_end() {
    let program = program("").await;
    let token = member(1);
    let mut client = waiting(&program, &token).await;
    let answer = post(
        &program,
        r#"{ "subject": "user_of_1", "reason": "laptop stolen", "ttl": "1h" }"#,
    )
    .await;
    assert_eq!((answer.status, answer.json()["added"].as_u64()), (200, Some(1)));
    let early = soon(client.answer()).await.unwrap();
    assert_eq!(
        (early.status, early.header("electric-up-to-date")),
        (200, Some(""))
    );
    assert_eq!(program.get(TARGET, Some(&token)).await.code(), "revoked");
    assert_eq!(program.get(TARGET, Some(&member(2))).await.status, 200);

    let list = ask(&program, "GET", Some(TOKEN), "", "").await.json();
    assert_eq!(list["admin"][0]["subject"], "user_of_1");
    assert_eq!(list["admin"][0]["reason"], "laptop stolen");
    assert!(list["admin"][0]["expires"].as_str().unwrap().ends_with('Z'));
    program
        .until_metric("shapegate_revocations{source=\"admin\"}", 1.0)
        .await;
    assert!(program.metric("shapegate_revoked_total{by=\"subject\"}").await > 1.0);

    let back = ask(
        &program,
        "DELETE",
        Some(TOKEN),
        JSON,
        r#"{"subject":"user_of_1"}"#,
    )
    .await;
    assert_eq!((back.status, back.json()["removed"].as_u64()), (200, Some(1)));
    assert_eq!(program.get(TARGET, Some(&token)).await.status, 200);
    let again = ask(
        &program,
        "DELETE",
        Some(TOKEN),
        JSON,
        r#"{"subject":"user_of_1"}"#,
    )
    .await;
    assert_eq!(again.json()["removed"].as_u64(), Some(0));
    assert!(program.output().contains("laptop stolen"), "{}", program.output());
}

#[tokio::test]
async fn nobody_revokes_without_the_token_or_from_a_page() {
    let program = program("").await;
    let body = r#"{"subject":"user_of_1"}"#;
    for (token, headers, status) in [
        (None, JSON.to_owned(), 401),
        (Some("the-admin-token-of-the-tests-canarY"), JSON.to_owned(), 401),
        (Some(""), JSON.to_owned(), 401),
        (Some(TOKEN), format!("{JSON}origin: http://localhost\r\n"), 403),
        (Some(TOKEN), format!("{JSON}origin: null\r\n"), 403),
        (Some(TOKEN), String::new(), 415),
        (Some(TOKEN), "content-type: text/plain\r\n".to_owned(), 415),
        (
            Some(TOKEN),
            "content-type: application/x-www-form-urlencoded\r\n".to_owned(),
            415,
        ),
    ] {
        for method in ["POST", "DELETE"] {
            let answer = ask(&program, method, token, &headers, body).await;
            assert_eq!(answer.status, status, "{method} {token:?} {headers:?}");
            assert!(!answer.text().contains("canary"));
        }
    }
    let listed = ask(&program, "GET", None, "", "").await;
    assert_eq!(
        (listed.status, listed.header("www-authenticate")),
        (401, Some("Bearer"))
    );
    for method in ["PUT", "PATCH", "OPTIONS", "HEAD"] {
        let request = format!("{method} /revocations HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let mut client = Raw::connect(program.setup.admin).await;
        client.send(request).await;
        assert_eq!(soon(client.head()).await.unwrap().status, 405, "{method}");
    }
    let elsewhere = format!(
        "POST /revocations HTTP/1.1\r\nhost: evil.example\r\nauthorization: Bearer {TOKEN}\r\n{JSON}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = Raw::connect(program.setup.admin).await;
    assert_eq!(soon(client.ask(elsewhere)).await.status, 403);
    assert_eq!(program.get(TARGET, Some(&member(1))).await.status, 200);
    assert_eq!(
        program.get("/revocations", None).await.status,
        404,
        "not on the public listener"
    );
    assert!(!program.output().contains("canary"), "{}", program.output());
}

#[tokio::test]
async fn without_a_token_in_the_configuration_nothing_can_be_changed() {
    let program = Setup::new().start().await;
    for token in [None, Some(""), Some(TOKEN)] {
        let answer = ask(&program, "POST", token, JSON, r#"{"tenant":"default"}"#).await;
        assert_eq!(answer.status, 403);
        assert!(answer.text().contains("admin: { token"), "{}", answer.text());
    }
    assert_eq!(program.get(TARGET, Some(&member(1))).await.status, 200);
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused_whole() {
    let program = program("").await;
    for (body, said) in [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "no revocation"),
        ("{}", "names one thing"),
        ("7", "must be a list"),
        (r#"{"subject":""}"#, "blank"),
        (r#"{"subject":null}"#, "no value"),
        (r#"{"subject":["a"]}"#, "must be text"),
        (r#"{"subject":{"env":"JWT_SECRET"}}"#, "must be text"),
        (
            r#"{"subject":{"env":"NO_SUCH","default":"user_of_1"}}"#,
            "must be text",
        ),
        (r#"{"subject":"a","subject":"b"}"#, "not JSON"),
        (r#"{"subject":"a","jti":"b"}"#, "names one thing"),
        (r#"{"subject":"a","jti":"b","tenant":"c"}"#, "names one thing"),
        (r#"{"subjct":"a"}"#, "did you mean `subject`"),
        (r#"{"tenant":"a","issuer":"b"}"#, "not of an issuer"),
        (r#"{"jti":"a","expires":"tomorrow"}"#, "no moment"),
        (r#"{"jti":"a","ttl":"0s"}"#, "between"),
        (
            r#"{"jti":"a","ttl":"1h","expires":"2030-01-01T00:00:00Z"}"#,
            "both",
        ),
        (r#"[{"subject":"user_of_1"},{"subject":""}]"#, "blank"),
    ] {
        let answer = post(&program, body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        assert!(answer.text().contains(said), "{body}: {}", answer.text());
        assert!(!answer.text().contains("canary"), "{body}: {}", answer.text());
    }
    let long = format!(r#"{{"subject":"{}"}}"#, "a".repeat(2000));
    assert_eq!(post(&program, &long).await.status, 400);
    let huge = format!(r#"{{"subject":"{}"}}"#, "a".repeat(300 * 1024));
    assert_eq!(post(&program, &huge).await.status, 413);
    assert_eq!(program.get(TARGET, Some(&member(1))).await.status, 200);
    let list = ask(&program, "GET", Some(TOKEN), "", "").await.json();
    assert!(!list.to_string().contains("user_of_1"), "{list}");
}

#[tokio::test]
async fn a_name_may_be_any_text_and_comes_back_as_it_went_in() {
    let program = program("").await;
    for name in [
        r"a\u0022b",
        r"\\",
        "ß €",
        "7",
        "true",
        "a: b",
        "- x",
        "#",
        r"a\/b",
        r"\ud83d\ude00",
    ] {
        let body = format!(r#"{{"jti":"{name}"}}"#);
        let answer = post(&program, &body).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let written: serde_json::Value = serde_json::from_str(&format!("\"{name}\"")).unwrap();
        let list = ask(&program, "GET", Some(TOKEN), "", "").await.json();
        let found = list["admin"]
            .as_array()
            .unwrap()
            .iter()
            .any(|entry| entry["jti"] == written);
        assert!(found, "{name} in {list}");
        let back = ask(&program, "DELETE", Some(TOKEN), JSON, &body).await;
        assert_eq!(back.json()["removed"].as_u64(), Some(1), "{name}");
    }
}

/// With a file of revocations beside the configuration.
async fn with_file(text: &str) -> Program {
    let mut setup = Setup::new();
    fs::write(setup.path("revoked.yaml"), text).unwrap();
    setup.rest = format!("revocations: {{ file: revoked.yaml }}\n{IDENTITY}{USERS}");
    setup.start().await
}

#[tokio::test]
async fn the_file_counts_from_the_start_and_a_change_ends_open_polls() {
    let program = with_file("- { subject: user_of_2, reason: gone }\n").await;
    let file = program.setup.path("revoked.yaml");
    assert_eq!(program.get(TARGET, Some(&member(2))).await.code(), "revoked");
    let token = member(1);
    let mut client = waiting(&program, &token).await;
    fs::write(&file, "- subject: user_of_1\n").unwrap();
    let early = soon(client.answer()).await.unwrap();
    assert_eq!(
        (early.status, early.header("electric-up-to-date")),
        (200, Some(""))
    );
    assert_eq!(program.get(TARGET, Some(&token)).await.code(), "revoked");
    assert_eq!(
        program.get(TARGET, Some(&member(2))).await.status,
        200,
        "taken back"
    );
    fs::write(&file, "").unwrap();
    program
        .until_metric("shapegate_revocations{source=\"file\"}", 0.0)
        .await;
    assert_eq!(program.get(TARGET, Some(&token)).await.status, 200);
}

#[tokio::test]
async fn a_broken_or_missing_file_keeps_what_it_said_and_says_so() {
    let program = with_file("- subject: user_of_1\n").await;
    let file = program.setup.path("revoked.yaml");
    let failed = "shapegate_revocations_file_failed";
    for broken in [
        "- subject: [",
        "- subjct: user_of_1",
        "subject: user_of_1",
        "- {subject: a, ttl: 1h}",
    ] {
        fs::write(&file, broken).unwrap();
        program.until_metric(failed, 1.0).await;
        assert_eq!(
            program.get(TARGET, Some(&member(1))).await.code(),
            "revoked",
            "{broken}"
        );
        fs::write(&file, "- subject: user_of_1\n").unwrap();
        program.until_metric(failed, 0.0).await;
    }
    fs::remove_file(&file).unwrap();
    program.until_metric(failed, 1.0).await;
    assert_eq!(program.get(TARGET, Some(&member(1))).await.code(), "revoked");
    let output = program.output();
    assert!(output.contains("did you mean `subject`"), "{output}");
    assert!(output.contains("revoked.yaml:1:"), "with its place: {output}");
    fs::write(&file, "- subject: user_of_3\n").unwrap();
    program.until_metric(failed, 0.0).await;
    assert_eq!(program.get(TARGET, Some(&member(1))).await.status, 200);
}

#[tokio::test]
async fn a_link_that_is_swapped_far_up_is_noticed() {
    let setup = Setup::new();
    // As Kubernetes mounts a ConfigMap: file → ..data/file, ..data → the folder of a version.
    for (version, subject) in [("one", "user_of_1"), ("two", "user_of_2")] {
        fs::create_dir(setup.path(version)).unwrap();
        let text = format!("- subject: {subject}\n");
        fs::write(setup.path(version).join("revoked.yaml"), text).unwrap();
    }
    symlink("one", setup.path("..data")).unwrap();
    symlink("..data/revoked.yaml", setup.path("revoked.yaml")).unwrap();
    let mut setup = setup;
    setup.rest = format!("revocations: {{ file: revoked.yaml }}\n{IDENTITY}{USERS}");
    let program = setup.start().await;
    assert_eq!(program.get(TARGET, Some(&member(1))).await.code(), "revoked");
    symlink("two", program.setup.path("..new")).unwrap();
    fs::rename(program.setup.path("..new"), program.setup.path("..data")).unwrap();
    let looking = async {
        // What was admitted just before the swap may be broken off by it.
        let refused = |answer: Option<Answer>| answer.is_some_and(|answer| answer.status == 403);
        while !refused(program.try_get(TARGET, Some(&member(2))).await) {
            tokio::task::yield_now().await;
        }
    };
    soon(looking).await;
    assert_eq!(program.get(TARGET, Some(&member(1))).await.status, 200);
}
