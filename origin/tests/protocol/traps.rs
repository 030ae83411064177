//! The dangers that a gateway must close are real here, as they are in Electric.

use serde_json::json;

use super::{get, handle, origin, post};

#[tokio::test]
async fn a_post_body_reads_another_table_without_any_filter() {
    let origin = origin(|_| {});
    let query = "table=users&offset=-1&columns=id&queryable_columns=id&where=org_id%3D1";
    let body = json!({"subset": {"where": "true"}, "table": "memberships", "where": null,
                      "columns": null, "queryable_columns": null, "params": {}});
    let answer = post(&origin, query, body).await;
    let values = answer.values();
    assert_eq!(values[0], json!({"user_id": "1", "org_id": "1", "role": "admin"}));
    assert_eq!(values.len(), 2);
    let flat = json!({"limit": 9, "order_by": "id", "columns": null, "queryable_columns": null});
    let answer = post(&origin, query, flat).await;
    assert_eq!(answer.values()[0]["ssn"], "111");
}

#[tokio::test]
async fn the_secret_is_the_one_thing_that_a_body_cannot_say() {
    let origin = origin(|config| config.secret = Some("s".to_owned()));
    let answer = post(&origin, "table=users&offset=-1", json!({"secret": "s"})).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(
        get(&origin, "table=users&offset=-1&api_secret=s").await.status,
        200
    );
    assert_eq!(
        get(&origin, "table=users&offset=-1&secret=x&api_secret=s")
            .await
            .status,
        401
    );
    assert_eq!(
        get(&origin, "table=users&offset=-1&secret=x&secret=s")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn odd_paths_lead_to_the_shape_api_and_ask_for_the_secret() {
    let origin = origin(|config| config.secret = Some("s".to_owned()));
    for path in ["/v1//shape", "//v1/shape", "/v1/shape/", "/v1/%73hape"] {
        let url = format!("{}{path}?table=users&offset=-1", origin.url());
        assert_eq!(reqwest::get(url).await.unwrap().status(), 401, "{path}");
    }
    let url = format!("{}/v1/Shape?table=users&offset=-1", origin.url());
    assert_eq!(reqwest::get(url).await.unwrap().status(), 404);
}

#[tokio::test]
async fn later_columns_win_whatever_their_form() {
    let origin = origin(|_| {});
    let answer = get(
        &origin,
        "table=users&offset=-1&columns=id&columns[]=id&columns[]=ssn",
    )
    .await;
    assert_eq!(answer.values()[0], json!({"id": "1", "ssn": "111"}));
}

#[tokio::test]
async fn a_subset_reads_hidden_columns_unless_queryable_columns_hide_them() {
    let origin = origin(|_| {});
    let query = "table=users&offset=-1&columns=id&subset__where=ssn%3D%27333%27";
    let answer = get(&origin, query).await;
    assert_eq!(answer.values(), [json!({"id": "3"})]);
    let answer = get(&origin, &format!("{query}&queryable_columns=id")).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn a_handle_is_only_as_good_as_the_definition_it_came_with() {
    let origin = origin(|_| {});
    let of_one = handle(&origin, "table=users&where=org_id%3D1").await;
    let of_two = handle(&origin, "table=users&where=org_id%3D2").await;
    let query = format!("table=users&where=org_id%3D2&offset=0_0&handle={of_one}");
    let answer = get(&origin, &query).await;
    assert_eq!(answer.status, 409);
    assert_eq!(answer.header("electric-handle"), Some(&*of_two));
}

#[tokio::test]
async fn the_same_filter_in_another_spelling_is_the_same_shape() {
    let origin = origin(|_| {});
    let plain = handle(&origin, "table=users&where=org_id%3D$1&params[1]=1").await;
    let other = "table=public.%22users%22&where=(%22org_id%22%20%20%3D%20$1)&params[1]=1&log=full";
    assert_eq!(handle(&origin, other).await, plain);
    assert_ne!(
        handle(&origin, "table=users&where=org_id%3D$1&params[1]=2").await,
        plain
    );
    assert_ne!(
        handle(&origin, "table=users&where=org_id%3D$1&params[1]=1&replica=full").await,
        plain
    );
}

#[tokio::test]
async fn a_long_request_line_is_refused_and_a_number_too_big_crashes() {
    let origin = origin(|_| {});
    let answer = get(
        &origin,
        &format!("table=users&offset=-1&where={}", "x".repeat(10_000)),
    )
    .await;
    assert_eq!(answer.status, 414);
    assert!(origin.received().is_empty());
    let answer = get(&origin, "table=users&offset=-1&where=id%3D3000000000").await;
    assert_eq!(answer.status, 500);
}

#[tokio::test]
async fn a_body_beyond_electrics_limit_is_refused() {
    let origin = origin(|_| {});
    let body = json!({"where": "x".repeat(8_000_001)});
    assert_eq!(post(&origin, "table=users&offset=-1", body).await.status, 413);
}

#[tokio::test]
async fn connections_close_after_their_share_of_requests() {
    let origin = origin(|config| config.requests_per_connection = 3);
    let client = reqwest::Client::builder()
        .pool_max_idle_per_host(1)
        .build()
        .unwrap();
    let url = format!("{}/v1/health", origin.url());
    for close in [false, false, true, false] {
        let response = client.get(&url).send().await.unwrap();
        assert_eq!(response.headers().get("connection").is_some(), close);
        response.bytes().await.unwrap();
    }
}

#[tokio::test]
async fn a_preflight_grants_next_to_nothing_and_never_authorization() {
    let origin = origin(|config| config.secret = Some("s".to_owned()));
    for (asked, granted) in [
        ("authorization", None),
        ("If-None-Match", Some("If-None-Match")),
        ("if-none-match, authorization", None),
    ] {
        let client = reqwest::Client::new();
        let request = client.request(reqwest::Method::OPTIONS, format!("{}/v1/shape", origin.url()));
        let request = request
            .header("origin", "https://a.example")
            .header("access-control-request-headers", asked);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 204);
        let headers = response.headers();
        assert_eq!(headers["access-control-allow-origin"], "https://a.example");
        let found = headers
            .get("access-control-allow-headers")
            .map(|value| value.to_str().unwrap());
        assert_eq!(found, granted, "{asked}");
    }
}
