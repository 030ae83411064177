//! Two real programs and a real Redis.

use std::fs;

use crate::program::{Program, Setup, USERS, run};
use crate::support::gateway::get;
use crate::support::patience::{soon, until};
use crate::support::raw::{Answer, Raw};
use crate::support::redis::Redis;
use crate::support::token::{IDENTITY, member};

const TOKEN: &str = "the-admin-token-of-the-tests-canary";
const PASSWORD: &str = "the-redis-password-of-the-tests-canary";
const TARGET: &str = "/api/shapes/users?offset=-1";

async fn program(redis: &Redis) -> Program {
    let mut setup = Setup::new();
    fs::write(setup.path("admin-token"), format!("{TOKEN}\n")).unwrap();
    setup.admin_more = ", token: { file: admin-token }".to_owned();
    setup.variables = vec![("REDIS_URL", format!("redis://:{PASSWORD}@{}/2", redis.address))];
    let cluster = "cluster: { redis: { url: { env: REDIS_URL } } }\n";
    setup.rest = format!("{cluster}{IDENTITY}{USERS}");
    let program = setup.start().await;
    program.until_metric("shapegate_cluster_up ", 1.0).await;
    program
}

async fn ask(program: &Program, method: &str, body: &str) -> Answer {
    let request = format!(
        "{method} /revocations HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = Raw::connect(program.setup.admin).await;
    soon(client.ask(request)).await
}

#[tokio::test]
async fn what_operators_revoke_at_one_program_ends_polls_at_another_and_outlives_both() {
    let redis = Redis::with(&[], Some(PASSWORD)).await;
    let (here, there) = (program(&redis).await, program(&redis).await);
    let token = member(1);
    let first = there.get(TARGET, Some(&token)).await;
    let of = |name: &str| first.header(name).unwrap().to_owned();
    let poll = format!(
        "/api/shapes/users?handle={}&offset={}&live=true",
        of("electric-handle"),
        of("electric-offset")
    );
    let mut client = there.connect().await;
    client.send(get(&poll, Some(&token))).await;
    there.until_metric("shapegate_held_polls ", 1.0).await;

    let body = r#"{ "subject": "user_of_1", "reason": "laptop stolen" }"#;
    let added = ask(&here, "POST", body).await.json();
    assert_eq!(
        (added["added"].as_u64(), added["shared"].as_bool()),
        (Some(1), Some(true))
    );
    let early = soon(client.answer()).await.unwrap();
    assert_eq!(
        (early.status, early.header("electric-up-to-date")),
        (200, Some(""))
    );
    assert_eq!(there.get(TARGET, Some(&token)).await.code(), "revoked");
    let list = ask(&there, "GET", "").await.json();
    assert_eq!(list["cluster"][0]["reason"], "laptop stolen");

    drop((here, there));
    let (here, there) = (program(&redis).await, program(&redis).await);
    for program in [&here, &there] {
        assert_eq!(
            program.get(TARGET, Some(&token)).await.code(),
            "revoked",
            "from its first request on"
        );
    }
}

#[tokio::test]
async fn programs_serve_without_redis_and_say_so_and_tell_each_other_once_it_is_back() {
    let mut redis = Redis::with(&[], Some(PASSWORD)).await;
    let (here, there) = (program(&redis).await, program(&redis).await);
    let token = member(1);
    ask(&here, "POST", r#"{ "subject": "user_of_1" }"#).await;
    there
        .until_metric("shapegate_revocations{source=\"cluster\"}", 1.0)
        .await;
    redis.kill();
    for program in [&here, &there] {
        program.until_metric("shapegate_cluster_up ", 0.0).await;
        let ready = program.admin("/readyz").await;
        assert_eq!(ready.status, 200);
        assert!(
            ready.text().contains("the cluster cannot be reached"),
            "{}",
            ready.text()
        );
        assert_eq!(program.get(TARGET, Some(&token)).await.code(), "revoked");
        assert_eq!(program.get(TARGET, Some(&member(2))).await.status, 200);
        assert!(
            program.output().contains("cannot be used"),
            "{}",
            program.output()
        );
    }
    let kept = ask(&here, "POST", r#"{ "subject": "user_of_2" }"#).await.json();
    assert_eq!(kept["shared"].as_bool(), Some(false));
    redis.resume().await;
    there
        .until_metric("shapegate_revocations{source=\"cluster\"}", 2.0)
        .await;
    assert_eq!(there.get(TARGET, Some(&member(2))).await.code(), "revoked");
    let back = ask(&there, "DELETE", r#"{ "subject": "user_of_1" }"#)
        .await
        .json();
    assert_eq!(
        (back["removed"].as_u64(), back["shared"].as_bool()),
        (Some(1), Some(true))
    );
    here.until_metric("shapegate_revocations{source=\"cluster\"}", 1.0)
        .await;
    assert_eq!(here.get(TARGET, Some(&token)).await.status, 200);
    for program in [&here, &there] {
        let output = program.output();
        assert!(!output.contains(PASSWORD), "the password is in no line: {output}");
    }
}

#[tokio::test]
async fn a_change_of_the_cluster_in_the_file_is_taken_over_with_all_that_is_revoked() {
    let (redis, next) = (Redis::with(&[], Some(PASSWORD)).await, Redis::start().await);
    let program = program(&redis).await;
    ask(&program, "POST", r#"{ "subject": "user_of_1" }"#).await;
    let path = program.setup.path("shapegate.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let to = format!("url: \"{}\"", next.url());
    fs::write(&path, text.replace("url: { env: REDIS_URL }", &to)).unwrap();
    let moving = async {
        while next.ask::<i64>(&["HLEN", "shapegate:revocations"]).await < 1 {
            tokio::task::yield_now().await;
        }
    };
    soon(moving).await;
    assert_eq!(program.get(TARGET, Some(&member(1))).await.code(), "revoked");
    fs::write(
        &path,
        text.replace("cluster: { redis: { url: { env: REDIS_URL } } }\n", ""),
    )
    .unwrap();
    until("it is taken over", || {
        program.output().matches("the configuration changed").count() == 2
    })
    .await;
    assert_eq!(program.get(TARGET, Some(&member(1))).await.code(), "revoked");
    let back = ask(&program, "DELETE", r#"{ "subject": "user_of_1" }"#)
        .await
        .json();
    assert_eq!((back["removed"].as_u64(), back.get("shared")), (Some(1), None));
}

#[test]
fn check_says_what_is_not_shared() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("shapegate.yaml");
    let electric = "electric: { url: http://127.0.0.1:3000, secret: { env: ELECTRIC_SECRET } }\n";
    let told = |more: &str| {
        fs::write(&config, format!("{more}{electric}{IDENTITY}{USERS}")).unwrap();
        let output = run("check", &config);
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(told("").contains("are of each process alone; `cluster` shares them"));
    assert!(!told("cluster: { redis: { url: redis://localhost } }\n").contains("alone"));
}

#[tokio::test]
async fn the_status_page_says_whether_redis_is_reached_since_when_and_what_is_shared() {
    let mut redis = Redis::with(&[], Some(PASSWORD)).await;
    let here = program(&redis).await;
    let place = format!("redis://{}/2", redis.address);
    let page = here.admin("/status").await;
    for said in [
        format!("{place} <span class=\"good\">reached since 20"),
        "revocations: 0, all of them shared".to_owned(),
        "rates: counted together".to_owned(),
    ] {
        assert!(page.text().contains(&said), "{said} in {}", page.text());
    }
    ask(&here, "POST", r#"{ "subject": "user_of_1" }"#).await;
    let page = here.admin("/status").await;
    assert!(
        page.text().contains("revocations: 1, all of them shared"),
        "{}",
        page.text()
    );

    redis.kill();
    here.until_metric("shapegate_cluster_up ", 0.0).await;
    ask(&here, "POST", r#"{ "subject": "user_of_2" }"#).await;
    let page = here.admin("/status").await;
    for said in [
        format!("{place} <span class=\"bad\">not reached since 20"),
        "revocations: 2; 1 changes are not shared yet".to_owned(),
        "rates: each gateway counts for itself".to_owned(),
    ] {
        assert!(page.text().contains(&said), "{said} in {}", page.text());
    }
    assert!(!page.text().contains("canary"), "{}", page.text());
    redis.resume().await;
    here.until_metric("shapegate_cluster_up ", 1.0).await;
    here.until_metric("shapegate_cluster_unwritten ", 0.0).await;
    let page = here.admin("/status").await;
    assert!(
        page.text().contains("revocations: 2, all of them shared"),
        "{}",
        page.text()
    );

    let alone = Setup::new().start().await;
    let page = alone.admin("/status").await;
    assert!(
        page.text().contains("none: limits and what operators revoke"),
        "{}",
        page.text()
    );
}
