//! Services that fail, in every way in which they do: nothing is ever given for want of an answer.

use std::time::Duration;

use crate::fake::{Fake, Say};
use crate::support::gateway::get;
use crate::support::logs;
use crate::support::patience::{soon, until};
use crate::world::{ALL, FIRST, World, allow, bob, deny, shape, unavailable};

#[tokio::test]
async fn whatever_is_wrong_with_an_answer_is_503_and_nothing_goes_upstream() {
    let huge = "x".repeat(65 * 1024);
    let whole = |head: &str, body: &str| {
        format!(
            "HTTP/1.1 200 OK\r\n{head}content-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let yes = r#"{"allow":true}"#;
    let cases: Vec<(&str, Say)> = vec![
        ("500", Say::Status(500, "")),
        ("a 500 that says yes", Say::Close(whole("", yes).replace("200 OK", "500 X").into_bytes())),
        ("404", Say::Status(404, "")),
        ("a redirect", Say::Status(302, "location: http://127.0.0.1:1/yes\r\n")),
        ("no content", Say::Status(204, "")),
        ("HTML", Say::Close(whole("content-type: text/html\r\n", "<html>welcome</html>").into_bytes())),
        ("a yes that claims to be HTML", Say::Close(whole("content-type: text/html\r\n", yes).into_bytes())),
        ("a yes without a type", Say::Close(whole("", yes).into_bytes())),
        ("huge", Say::Text(format!(r#"{{"allow":true,"facts":{{"x":"{huge}"}}}}"#))),
        (
            "a length of 50 MiB",
            Say::Begin(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 52428800\r\n\r\n{".to_vec()),
        ),
        (
            "compressed",
            Say::Close(whole("content-type: application/json\r\ncontent-encoding: gzip\r\n", yes).into_bytes()),
        ),
        ("closed at once", Say::Close(Vec::new())),
        (
            "broken off",
            Say::Close(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"allow\":true}".to_vec()),
        ),
        ("no HTTP", Say::Close(b"SSH-2.0-OpenSSH_9\r\n".to_vec())),
        ("two answers", Say::Text(format!("{yes}{yes}"))),
    ];
    for (what, say) in cases {
        let world = World::http(say, "", ALL).await;
        let answer = soon(world.first(&bob())).await;
        assert_eq!(answer.status, 503, "{what}: {}", answer.text());
        unavailable(&answer);
        world.gateway.received_nothing();
        world.fake.says(allow());
        assert_eq!(
            world.first(&bob()).await.status,
            200,
            "{what}: a failure is not remembered"
        );
    }
}

#[tokio::test]
async fn one_who_never_answers_or_answers_bit_by_bit_is_waited_for_no_longer_than_its_time() {
    for begin in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n{",
    ] {
        let world = World::http(Say::Begin(begin.into()), ", timeout: 1s", ALL).await;
        let mut client = world.gateway.connect().await;
        client.send(get(FIRST, Some(&bob()))).await;
        until("it is asked", || world.fake.count() == 1).await;
        world.clock.advance(Duration::from_millis(999));
        tokio::task::yield_now().await;
        assert_eq!(
            world.gateway.state.metrics.in_flight.get(),
            1,
            "it may still answer"
        );
        world.clock.advance(Duration::from_millis(1));
        unavailable(&soon(client.answer()).await.unwrap());
        world.gateway.received_nothing();
    }
}

#[tokio::test]
async fn nobody_listening_is_503_too() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let fake = Fake::saying(allow()).await;
    let authorize = format!("{{ http: {{ url: 'http://{address}' }} }}");
    let world = World::of(fake, &shape(&authorize, ALL)).await;
    unavailable(&world.first(&bob()).await);
}

#[tokio::test]
async fn after_failures_in_a_row_it_is_left_alone_and_one_trial_brings_it_back() {
    let world = World::http(Say::Status(500, ""), "", ALL).await;
    for _ in 0..5 {
        unavailable(&world.first(&bob()).await);
    }
    assert_eq!(world.fake.count(), 5);
    for _ in 0..20 {
        unavailable(&world.first(&bob()).await);
    }
    assert_eq!(world.fake.count(), 5, "it is left alone");
    world.fake.says(allow());
    unavailable(&world.first(&bob()).await);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.first(&bob()).await.status, 200);
    assert_eq!(world.fake.count(), 6);
}

#[tokio::test]
async fn who_is_known_is_served_while_the_service_is_down() {
    let world = World::http(allow(), "", ALL).await;
    assert_eq!(world.first(&bob()).await.status, 200);
    world.fake.says(Say::Status(500, ""));
    let other = crate::support::token::token(serde_json::json!({ "sub": "other" }));
    for _ in 0..10 {
        unavailable(&world.first(&other).await);
        assert_eq!(world.first(&bob()).await.status, 200);
    }
    world.clock.advance(Duration::from_secs(30));
    unavailable(&world.first(&bob()).await);
}

#[tokio::test]
async fn no_more_questions_are_asked_at_once_than_were_allowed() {
    let held = Say::Held(serde_json::json!({ "allow": true }));
    let world = World::http(held, ", concurrency: 2", ALL).await;
    let mut clients = Vec::new();
    for n in 0..6 {
        let token = crate::support::token::token(serde_json::json!({ "sub": format!("user {n}") }));
        let mut client = world.gateway.connect().await;
        client.send(get(FIRST, Some(&token))).await;
        clients.push(client);
    }
    until("two are asked", || world.fake.count() == 2).await;
    assert_eq!(crate::support::patience::settled(|| world.fake.count()).await, 2);
    world.fake.says(allow());
    world.fake.release();
    for client in &mut clients {
        assert_eq!(soon(client.answer()).await.unwrap().status, 200);
    }
    assert_eq!(world.fake.count(), 6);
}

#[tokio::test]
async fn a_no_and_a_silence_together_are_a_no() {
    let fake = Fake::answering(|asked| match asked.target.as_str() {
        "/no" => deny(),
        _ => Say::Begin(Vec::new()),
    })
    .await;
    let url = fake.url();
    let authorize =
        format!("{{ a: {{ http: {{ url: '{url}/silent' }} }}, b: {{ http: {{ url: '{url}/no' }} }} }}");
    let world = World::of(fake, &shape(&authorize, ALL)).await;
    assert_eq!(
        soon(world.first(&bob())).await.status,
        403,
        "nobody waits for the other"
    );
}

#[tokio::test]
async fn secrets_and_claims_stay_out_of_the_log_whatever_fails() {
    logs::keep();
    let token = ", token: { insecure_value: authoriser-token-canary }, claims: [email], headers: [cookie]";
    for say in [
        Say::Status(500, ""),
        Say::Text("facts-canary".to_owned()),
        Say::Close(Vec::new()),
        deny(),
    ] {
        let world = World::http(say, token, ALL).await;
        let user = crate::support::token::token(
            serde_json::json!({ "sub": "subject-canary", "email": "email-canary" }),
        );
        let bytes =
            crate::support::gateway::request("GET", FIRST, Some(&user), &[("cookie", "a=cookie-canary")], "");
        assert!(world.gateway.connect().await.ask(bytes).await.status >= 400);
    }
    let kept = logs::lines().join("\n");
    for canary in [
        "authoriser-token-canary",
        "email-canary",
        "cookie-canary",
        "subject-canary",
        "facts-canary",
    ] {
        assert!(!kept.contains(canary), "{canary} in the log");
    }
}
