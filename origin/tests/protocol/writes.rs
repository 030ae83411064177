//! Writes, by handle and over HTTP, and how they show in logs and subsets.

use serde_json::{Value, json};
use shapegate_origin::Write;

use super::{Answer, get, handle, origin, post, user};

async fn own(origin: &shapegate_origin::Origin, method: &str, path: &str, body: Value) -> Answer {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let request = reqwest::Client::new().request(method, format!("{}/_origin/{path}", origin.url()));
    Answer::of(request.json(&body).send().await.unwrap()).await
}

#[tokio::test]
async fn a_transactions_messages_share_its_number_and_the_last_one_says_so() {
    let origin = origin(|_| {});
    let handle = handle(&origin, "table=users").await;
    let writes = [
        Write::Insert(user(8, "Hal", 1)),
        Write::Delete(json!({"id": 2})),
        Write::Update(json!({"id": 1}), json!({"id": 100})),
    ];
    origin.write("users", &writes).unwrap();
    let answer = get(&origin, &format!("table=users&offset=0_0&handle={handle}")).await;
    let messages = answer.json();
    let headers = |index: usize| messages[index]["headers"].clone();
    let positions: Vec<Value> = (0..4)
        .map(|index| headers(index)["op_position"].clone())
        .collect();
    assert_eq!(positions, [json!(0), json!(2), json!(4), json!(5)]);
    assert_eq!(headers(2)["key_change_to"], "\"public\".\"users\"/\"100\"");
    assert_eq!(headers(3)["key_change_from"], "\"public\".\"users\"/\"1\"");
    assert_eq!(headers(2).get("last"), None);
    assert_eq!(headers(3)["last"], true);
    assert_eq!(headers(0)["lsn"], headers(3)["lsn"]);
}

#[tokio::test]
async fn a_transaction_that_fails_leaves_nothing_behind() {
    let origin = origin(|_| {});
    let handle = handle(&origin, "table=users").await;
    let writes = [
        Write::Upsert(user(1, "Changed", 9)),
        Write::Delete(json!({"id": 2})),
        Write::Insert(user(3, "taken", 1)),
    ];
    assert!(origin.write("users", &writes).is_err());
    let answer = get(&origin, &format!("table=users&offset=0_0&handle={handle}")).await;
    assert_eq!(answer.json().as_array().unwrap().len(), 1);
    let query = "table=users&offset=-1&subset__order_by=id";
    let names: Vec<Value> = get(&origin, query)
        .await
        .values()
        .iter()
        .map(|user| user["name"].clone())
        .collect();
    assert_eq!(names, ["Alice", "Bob", "Carol", "David"]);
}

#[tokio::test]
async fn rows_are_written_over_http() {
    let origin = origin(|_| {});
    let rows = json!([user(20, "Tom", 1), user(21, "Una", 1)]);
    assert_eq!(own(&origin, "POST", "tables/users/rows", rows).await.status, 204);
    let change = json!({"id": 20, "name": "Tim"});
    assert_eq!(
        own(&origin, "PATCH", "tables/users/rows", change).await.status,
        204
    );
    assert_eq!(
        own(&origin, "DELETE", "tables/users/rows", json!({"id": 21}))
            .await
            .status,
        204
    );
    let refused = own(&origin, "DELETE", "tables/users/rows", json!({"id": 21})).await;
    assert_eq!(refused.status, 422);
    assert_eq!(
        refused.json()["message"],
        "\"public\".\"users\" has no row of this key"
    );
    let answer = get(&origin, "table=users&offset=-1&where=id>9&columns=id,name").await;
    assert_eq!(answer.values(), [json!({"id": "20", "name": "Tim"})]);
    let odd = own(
        &origin,
        "POST",
        "tables/app.%22Kitchen%20Sink%22/rows",
        json!({"id": "no uuid"}),
    )
    .await;
    assert_eq!(odd.json()["message"], "no uuid is no uuid");
}

#[tokio::test]
async fn what_was_received_is_told_byte_for_byte() {
    let origin = origin(|_| {});
    post(
        &origin,
        "table=users&offset=-1&where=%6ename%3D%27a%27",
        json!({"limit": 1}),
    )
    .await;
    let received = origin.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].method, "POST");
    assert_eq!(
        received[0].target,
        "/v1/shape?table=users&offset=-1&where=%6ename%3D%27a%27"
    );
    assert_eq!(received[0].header("Content-Type"), Some("application/json"));
    assert_eq!(received[0].body, r#"{"limit":1}"#);
    let over_http = own(&origin, "GET", "received", Value::Null).await;
    assert_eq!(over_http.json()[0]["target"], received[0].target.as_str());
    assert_eq!(own(&origin, "DELETE", "received", Value::Null).await.status, 204);
    assert!(origin.received().is_empty());
}

#[tokio::test]
async fn shapes_are_rotated_over_http() {
    let origin = origin(|_| {});
    let before = handle(&origin, "table=users").await;
    let answer = own(&origin, "POST", "rotate", json!({"table": "users"})).await;
    assert_eq!(answer.json(), json!({"rotated": 1}));
    assert_ne!(handle(&origin, "table=users").await, before);
}

#[tokio::test]
async fn logs_are_cut_into_chunks_too() {
    let origin = origin(|config| config.chunk_bytes = 300);
    let handle = handle(&origin, "table=items").await;
    for n in 0..5 {
        let id = format!("00000000-0000-4000-8000-00000000000{n}");
        origin.insert("items", json!({"id": id, "value": "v"})).unwrap();
    }
    let mut offset = "0_0".to_owned();
    let mut chunks = Vec::new();
    loop {
        let answer = get(&origin, &format!("table=items&offset={offset}&handle={handle}")).await;
        offset = answer.header("electric-offset").unwrap().to_owned();
        chunks.push(answer.values().len());
        if answer.header("electric-up-to-date").is_some() {
            break;
        }
    }
    assert_eq!(chunks, [2, 2, 1]);
}

#[tokio::test]
async fn subsets_are_ordered_with_nulls_where_they_belong() {
    let origin = origin(|_| {});
    for (order, first) in [
        ("email", "1"),
        ("email DESC", "4"),
        ("email DESC NULLS LAST", "3"),
        ("email NULLS FIRST", "4"),
        ("org_id DESC, id DESC", "4"),
        ("\"id\" DESC", "4"),
    ] {
        let body = json!({"order_by": order, "limit": 1});
        let answer = post(&origin, "table=users&offset=-1", body).await;
        assert_eq!(answer.values()[0]["id"], first, "{order}");
    }
    let body = json!({"order_by": "lower(name)", "limit": 1});
    assert_eq!(post(&origin, "table=users&offset=-1", body).await.status, 400);
}
