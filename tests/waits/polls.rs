//! Long polls, answered by what happens in the table.

use serde_json::json;

use crate::place::{held, operations, polling, synced, users};
use crate::support::gateway::Gateway;
use crate::support::patience::{soon, until};
use crate::support::token::{admin, member};

#[tokio::test]
async fn a_poll_waits_and_is_answered_by_an_insert_an_update_and_a_delete() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let mut place = synced(&gateway, &token).await;
    let key = json!({ "id": 9 });
    let row = json!({ "id": 9, "name": "Eve", "org_id": 1 });
    let origin = &gateway.origin;
    let writes: [(&str, &dyn Fn()); 3] = [
        ("insert", &|| origin.insert("users", row.clone()).unwrap()),
        ("update", &|| {
            origin
                .update("users", key.clone(), json!({ "name": "Evelyn" }))
                .unwrap();
        }),
        ("delete", &|| origin.delete("users", key.clone()).unwrap()),
    ];
    for (operation, write) in writes {
        let mut client = polling(&gateway, &place, &token).await;
        assert_eq!(gateway.state.metrics.held.get(), 1);
        write();
        let answer = soon(client.answer()).await.unwrap();
        let seen = operations(&answer);
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!(seen[0].0, operation);
        assert_eq!(seen[0].1["id"], "9");
        place = crate::place::Place::after(&answer);
        assert!(place.cursor.is_some(), "a live answer carries a cursor");
        held(&gateway, 0).await;
    }
}

#[tokio::test]
async fn a_row_that_moves_into_the_organisation_arrives_and_one_that_moves_out_leaves() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;

    let mut client = polling(&gateway, &place, &token).await;
    let (carol, alice) = (json!({ "id": 3 }), json!({ "id": 1 }));
    gateway
        .origin
        .update("users", carol, json!({ "org_id": 1 }))
        .unwrap();
    let answer = soon(client.answer()).await.unwrap();
    let came = operations(&answer);
    assert_eq!(came[0].0, "insert");
    assert_eq!(came[0].1["name"], "Carol");

    let mut client = polling(&gateway, &crate::place::Place::after(&answer), &token).await;
    gateway
        .origin
        .update("users", alice, json!({ "org_id": 2 }))
        .unwrap();
    let left = operations(&soon(client.answer()).await.unwrap());
    assert_eq!(left[0].0, "delete");
    assert_eq!(left[0].1["id"], "1");
}

#[tokio::test]
async fn a_change_in_another_organisation_wakes_nobody() {
    let gateway = Gateway::start(&users()).await;
    let (mine, theirs) = (member(1), member(2));
    let my_place = synced(&gateway, &mine).await;
    let their_place = synced(&gateway, &theirs).await;
    let mut me = polling(&gateway, &my_place, &mine).await;
    let mut them = polling(&gateway, &their_place, &theirs).await;
    let row = |id: i64, org: i64| json!({ "id": id, "name": "New", "org_id": org });
    gateway.origin.insert("users", row(20, 2)).unwrap();
    let seen = operations(&soon(them.answer()).await.unwrap());
    assert_eq!(seen[0].1["id"], "20");
    assert_eq!(gateway.origin.waiting(), 1, "the other poll still waits");
    gateway.origin.insert("users", row(10, 1)).unwrap();
    let seen = operations(&soon(me.answer()).await.unwrap());
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].1["id"], "10");
}

#[tokio::test]
async fn a_poll_asks_the_upstream_once_with_the_servers_shape_and_the_clients_position() {
    let gateway = Gateway::start(&users()).await;
    let token = admin();
    let place = synced(&gateway, &token).await;
    let client = polling(&gateway, &place, &token).await;
    let received = gateway.received_one();
    let target = received.target.as_str();
    for part in [
        "live=true",
        &format!("handle={}", place.handle),
        &format!("offset={}", place.offset),
        "table=%22public%22.%22users%22",
        "&secret=electric-secret-of-the-tests-canary",
    ] {
        assert!(target.contains(part), "{part} in {target}");
    }
    assert!(!target.contains("where"), "{target}");
    assert_eq!(received.header("authorization"), None);
    assert_eq!(received.header("accept-encoding"), Some("identity"));
    drop(client);
}

#[tokio::test]
async fn the_connection_of_a_poll_serves_the_next_requests() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let mut place = synced(&gateway, &token).await;
    let mut client = gateway.connect().await;
    for id in 30..34 {
        client
            .send(crate::support::gateway::get(&place.poll(), Some(&token)))
            .await;
        until("the poll waits", || gateway.origin.waiting() == 1).await;
        let row = json!({ "id": id, "name": "New", "org_id": 1 });
        gateway.origin.insert("users", row).unwrap();
        let answer = soon(client.answer()).await.unwrap();
        assert_eq!(operations(&answer)[0].1["id"], id.to_string());
        place = crate::place::Place::after(&answer);
    }
}

#[tokio::test]
async fn a_rotation_ends_a_poll_with_409_and_its_body() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    let mut client = polling(&gateway, &place, &token).await;
    gateway.origin.rotate(None).unwrap();
    let answer = soon(client.answer()).await.unwrap();
    assert_eq!(answer.status, 409);
    assert_eq!(answer.json()[0]["headers"]["control"], "must-refetch");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}
