//! Another configuration while somebody waits.

use serde_json::json;

use crate::place::{assert_nothing_new, held, operations, polling, streaming, synced, users};
use crate::support::gateway::{Gateway, get};
use crate::support::patience::{soon, until};
use crate::support::token::{IDENTITY, admin, member};

fn row() -> serde_json::Value {
    json!({ "id": 9, "name": "Eve", "org_id": 1 })
}

/// Only admins are left.
fn admins_alone() -> String {
    let shapes = r#"
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    rules: [ { when: '"admin" in user.roles', rows: all } ]
"#;
    format!("{IDENTITY}{shapes}")
}

#[tokio::test]
async fn a_change_that_takes_the_permission_ends_the_poll_and_the_next_request_is_403() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    let mut client = polling(&gateway, &place, &token).await;
    gateway.reload(&admins_alone());
    let answer = soon(client.answer()).await.unwrap();
    assert_nothing_new(&answer, &place);
    until("the upstream's poll ends", || gateway.origin.waiting() == 0).await;
    let answer = soon(client.ask(get(&place.poll(), Some(&token)))).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"));
    assert_eq!(gateway.origin.received().len(), 1);
}

#[tokio::test]
async fn a_change_that_leaves_the_permission_leaves_the_wait_and_its_one_upstream_request() {
    let gateway = Gateway::start(&users()).await;
    let (mine, theirs) = (admin(), member(1));
    let my_place = synced(&gateway, &mine).await;
    let their_place = synced(&gateway, &theirs).await;
    let mut me = polling(&gateway, &my_place, &mine).await;
    let mut them = polling(&gateway, &their_place, &theirs).await;
    for _ in 0..5 {
        gateway.reload(&users());
        tokio::task::yield_now().await;
    }
    gateway.reload(&admins_alone());
    assert_nothing_new(&soon(them.answer()).await.unwrap(), &their_place);
    until("one poll is left", || gateway.origin.waiting() == 1).await;
    gateway.origin.insert("users", row()).unwrap();
    let answer = soon(me.answer()).await.unwrap();
    assert_eq!(operations(&answer)[0].1["name"], "Eve");
    assert_eq!(
        gateway.origin.received().len(),
        2,
        "one request upstream for each wait"
    );
}

#[tokio::test]
async fn a_change_of_the_rows_ends_the_wait_although_the_user_may_still_sync() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    let mut client = polling(&gateway, &place, &token).await;
    gateway.reload(&users().replace(r#""org_id" = $1"#, r#""org_id" = $1 AND id > 1"#));
    assert_nothing_new(&soon(client.answer()).await.unwrap(), &place);
}

#[tokio::test]
async fn a_change_of_the_columns_ends_the_wait() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    let mut client = polling(&gateway, &place, &token).await;
    gateway.reload(&users().replace("[id, name, org_id]", "[id, org_id]"));
    assert_nothing_new(&soon(client.answer()).await.unwrap(), &place);
}

#[tokio::test]
async fn a_route_that_is_gone_ends_its_waits_and_is_404_then() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    let mut client = polling(&gateway, &place, &token).await;
    gateway.reload(&users().replace("  users:\n", "  people:\n"));
    assert_nothing_new(&soon(client.answer()).await.unwrap(), &place);
    let answer = soon(client.ask(get(&place.poll(), Some(&token)))).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
}

#[tokio::test]
async fn an_issuer_that_is_gone_ends_the_waits_of_its_users() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    let mut client = polling(&gateway, &place, &token).await;
    gateway.reload(&users().replace("https://issuer.test", "https://other.test"));
    assert_nothing_new(&soon(client.answer()).await.unwrap(), &place);
    let answer = soon(client.ask(get(&place.poll(), Some(&token)))).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "token_invalid"));
}

#[tokio::test]
async fn a_stream_ends_at_an_event_when_the_permission_goes_and_goes_on_when_it_stays() {
    let gateway = Gateway::start(&users()).await;
    let (mine, theirs) = (admin(), member(1));
    let my_place = synced(&gateway, &mine).await;
    let their_place = synced(&gateway, &theirs).await;
    let mut me = streaming(&gateway, &my_place, &mine).await;
    let mut them = streaming(&gateway, &their_place, &theirs).await;
    gateway.reload(&admins_alone());
    assert_eq!(soon(them.chunk()).await, Some(Vec::new()), "a clean end");
    held(&gateway, 1).await;
    gateway.origin.insert("users", row()).unwrap();
    let event = String::from_utf8(soon(me.chunk()).await.unwrap()).unwrap();
    assert!(event.contains("Eve"), "{event}");
    assert_eq!(gateway.origin.received().len(), 2);
}

#[tokio::test]
async fn a_change_and_an_answer_at_once_never_hand_out_the_row() {
    for _ in 0..20 {
        let gateway = Gateway::start(&users()).await;
        let token = member(1);
        let place = synced(&gateway, &token).await;
        let mut client = polling(&gateway, &place, &token).await;
        // No await in between: the gateway learns of both at once, or of the change first.
        gateway.reload(&admins_alone());
        gateway.origin.insert("users", row()).unwrap();
        let answer = soon(client.answer()).await.unwrap();
        assert_eq!(operations(&answer), [], "{}", answer.text());
    }
}
