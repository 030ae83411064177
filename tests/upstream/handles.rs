//! Handles where a client has a say in the definition: bound to the very definition that they were given for.

use serde_json::json;

use crate::support::gateway::{Gateway, get};
use crate::support::patience::{soon, until};
use crate::support::raw::Answer;
use crate::support::token::{IDENTITY, member};

/// Members may narrow their organisation's rows and choose columns.
const NARROWING: &str = r#"
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    client: { where: narrow, columns: subset, subset: { limit_max: 100 } }
    rules:
      - when: user.org_id != 0
        rows: { where: '"org_id" = $1', params: [user.org_id] }
"#;

pub fn narrowing() -> String {
    format!("{IDENTITY}{NARROWING}")
}

/// `name = 'Alice'` and `name = 'Bob'`, percent-encoded.
const ALICE: &str = "where=name%20%3D%20'Alice'";
const BOB: &str = "where=name%20%3D%20'Bob'";

async fn ask(gateway: &Gateway, query: &str, token: &str) -> Answer {
    let target = format!("/api/shapes/users?{query}");
    let mut client = gateway.connect().await;
    soon(client.ask(get(&target, Some(token)))).await
}

/// The handle that a definition was given, and the upstream's own behind it.
async fn handle_of(gateway: &Gateway, definition: &str, token: &str) -> (String, String) {
    let answer = ask(gateway, &format!("offset=-1&{definition}"), token).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let tagged = answer.header("electric-handle").unwrap().to_owned();
    let (raw, tag) = tagged.rsplit_once('~').expect("a tag");
    assert_eq!(tag.len(), 22, "16 bytes");
    (tagged.clone(), raw.to_owned())
}

fn assert_must_refetch(answer: &Answer) {
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert!(answer.complete);
    assert_eq!(answer.json()[0]["headers"]["control"], "must-refetch");
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn a_tagged_handle_serves_for_its_own_definition_and_goes_upstream_as_it_came() {
    let gateway = Gateway::start(&narrowing()).await;
    let token = member(1);
    let (tagged, raw) = handle_of(&gateway, ALICE, &token).await;
    gateway.origin.forget_received();
    let answer = ask(&gateway, &format!("offset=0_0&handle={tagged}&{ALICE}"), &token).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("electric-handle"), Some(tagged.as_str()));
    let received = gateway.received_one();
    assert!(
        received.target.contains(&format!("handle={raw}&")),
        "{}",
        received.target
    );
}

#[tokio::test]
async fn a_handle_of_another_narrowing_is_409_and_never_goes_upstream() {
    let gateway = Gateway::start(&narrowing()).await;
    let token = member(1);
    let (alice, _) = handle_of(&gateway, ALICE, &token).await;
    gateway.origin.forget_received();
    for live in ["", "&live=true", "&live=true&live_sse=true"] {
        let target = format!("offset=0_0&handle={alice}&{BOB}{live}");
        assert_must_refetch(&ask(&gateway, &target, &token).await);
    }
    gateway.received_nothing();
}

#[tokio::test]
async fn a_handle_of_another_organisation_other_columns_or_no_narrowing_is_409() {
    let gateway = Gateway::start(&narrowing()).await;
    let (mine, theirs) = (member(1), member(2));
    let (alice, _) = handle_of(&gateway, ALICE, &mine).await;
    gateway.origin.forget_received();
    for (definition, token) in [
        (ALICE.to_owned(), &theirs),
        (format!("{ALICE}&columns=id,name"), &mine),
        (format!("{ALICE}&log=changes_only"), &mine),
        (String::from("columns=id,name"), &mine),
    ] {
        let target = format!("offset=0_0&handle={alice}&{definition}");
        assert_must_refetch(&ask(&gateway, &target, token).await);
    }
    gateway.received_nothing();
}

#[tokio::test]
async fn a_forged_a_cut_and_an_untagged_handle_are_409() {
    let gateway = Gateway::start(&narrowing()).await;
    let token = member(1);
    let (tagged, raw) = handle_of(&gateway, ALICE, &token).await;
    gateway.origin.forget_received();
    let tag = tagged.rsplit_once('~').unwrap().1;
    let flipped: String = tag
        .chars()
        .enumerate()
        .map(|(at, letter)| match (at, letter) {
            (0, 'A') => 'B',
            (0, _) => 'A',
            _ => letter,
        })
        .collect();
    let forged = [
        raw.clone(),
        format!("{raw}~"),
        format!("{raw}~{}", &tag[..21]),
        format!("{raw}~{tag}A"),
        format!("{raw}~{flipped}"),
        format!("{raw}1~{tag}"),
        format!("~{tag}"),
        format!("{tagged}~{tag}"),
    ];
    for handle in forged {
        let target = format!("offset=0_0&handle={handle}&{ALICE}");
        assert_must_refetch(&ask(&gateway, &target, &token).await);
    }
    gateway.received_nothing();
}

#[tokio::test]
async fn handles_of_a_restarted_gateway_still_serve() {
    let gateway = Gateway::start(&narrowing()).await;
    let token = member(1);
    let (tagged, _) = handle_of(&gateway, ALICE, &token).await;
    gateway.reload(&narrowing());
    let answer = ask(&gateway, &format!("offset=0_0&handle={tagged}&{ALICE}"), &token).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_409_of_the_upstream_tells_the_new_handle_with_its_tag() {
    let gateway = Gateway::start(&narrowing()).await;
    let token = member(1);
    let (tagged, _) = handle_of(&gateway, ALICE, &token).await;
    gateway.origin.rotate(None).unwrap();
    for live in ["", "&live=true"] {
        let target = format!("offset=0_0&handle={tagged}&{ALICE}{live}");
        let answer = ask(&gateway, &target, &token).await;
        assert_must_refetch(&answer);
        let new = answer.header("electric-handle").unwrap();
        assert_ne!(new, tagged);
        let target = format!("offset=-1&handle={new}&expired_handle={tagged}&{ALICE}");
        let answer = ask(&gateway, &target, &token).await;
        assert_eq!(answer.header("electric-handle"), Some(new), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_poll_of_a_narrowed_shape_is_answered_and_one_that_ends_early_keeps_its_tag() {
    let gateway = Gateway::start(&narrowing()).await;
    let token = member(1);
    let (tagged, _) = handle_of(&gateway, ALICE, &token).await;
    let poll = format!("/api/shapes/users?offset=0_inf&handle={tagged}&{ALICE}&live=true");
    let mut client = gateway.connect().await;
    client.send(get(&poll, Some(&token))).await;
    until("it waits", || gateway.origin.waiting() == 1).await;
    let row = json!({ "id": 9, "name": "Alice", "org_id": 1 });
    gateway.origin.insert("users", row).unwrap();
    let answer = soon(client.answer()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("electric-handle"), Some(tagged.as_str()));

    let offset = answer.header("electric-offset").unwrap();
    let poll = format!("/api/shapes/users?offset={offset}&handle={tagged}&{ALICE}&live=true");
    client.send(get(&poll, Some(&token))).await;
    until("it waits", || gateway.origin.waiting() == 1).await;
    gateway.state.drain.begin();
    let early = soon(client.answer()).await.unwrap();
    assert_eq!(early.status, 200, "{}", early.text());
    assert_eq!(early.header("electric-handle"), Some(tagged.as_str()));
    assert_eq!(early.header("electric-offset"), Some(offset));
}
