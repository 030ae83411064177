//! How often one subject may mint, and how much he may do with what he minted.

use serde_json::json;

use crate::support::gateway::request;
use crate::support::token::{member, token};
use crate::world::{PATH, World, usual};

async fn limited(limits: &str) -> World {
    let limits = format!("limits: {{ {limits}, hub_bytes_max: 0KiB }}");
    World::with(|folder| usual(folder, "").replace("limits: { hub_bytes_max: 0KiB }", &limits)).await
}

/// Ten thousand times at once, and the default lets a minute's worth through.
#[tokio::test]
async fn ten_thousand_mints_of_one_user_are_429_after_his_share() {
    let world = World::new().await;
    let mut client = world.gateway.connect().await;
    let bytes = |token: &str| request("POST", "/gatekeeper/users", Some(token), &[], "");
    let mine = bytes(&member(1));
    let mut minted = 0;
    for _ in 0..10_000 {
        let answer = client.ask(&mine).await;
        match answer.status {
            200 => minted += 1,
            429 => assert_eq!(
                (answer.code().as_str(), answer.header("retry-after")),
                ("rate_limited", Some("1"))
            ),
            other => panic!("{other}: {}", answer.text()),
        }
    }
    assert_eq!(minted, 600);
    // A connection carries ten thousand requests, and no more.
    let mut client = world.gateway.connect().await;
    world.gateway.received_nothing();
    assert_eq!(client.ask(bytes(&member(2))).await.status, 200, "another user");
    world.clock.advance(std::time::Duration::from_secs(1));
    let again: Vec<u16> = {
        let mut statuses = Vec::new();
        for _ in 0..11 {
            statuses.push(client.ask(&mine).await.status);
        }
        statuses
    };
    assert_eq!(
        again.iter().filter(|status| **status == 200).count(),
        10,
        "{again:?}"
    );
}

#[tokio::test]
async fn who_is_refused_what_he_wants_signed_has_asked_as_well() {
    let world = limited("per_subject: { mints_per_minute: 3 }").await;
    for _ in 0..3 {
        assert_eq!(world.ask("hidden", Some(&member(1)), None).await.status, 403);
    }
    assert_eq!(world.ask("users", Some(&member(1)), None).await.status, 429);
}

#[tokio::test]
async fn many_tokens_of_one_user_are_one_user_where_they_are_taken() {
    let world = limited("per_subject: { requests_per_minute: 4 }").await;
    let tokens = [
        world.mint("users", &member(1), None).await.token().to_owned(),
        world.mint("users", &member(1), None).await.token().to_owned(),
    ];
    let other = world
        .mint("users", &token(json!({ "sub": "other", "org_id": 1 })), None)
        .await;
    let where_is = "%28%22org_id%22%20%3D%20%241%29";
    let target =
        format!("{PATH}?offset=-1&table=users&where={where_is}&columns=id,name,org_id&params%5B1%5D=1");
    let ask = async |token: &str| world.gateway.get(&target, Some(token)).await.status;
    for n in 0..4 {
        assert_eq!(ask(&tokens[n % 2]).await, 200);
    }
    assert_eq!((ask(&tokens[0]).await, ask(&tokens[1]).await), (429, 429));
    assert_eq!(ask(other.token()).await, 200);
}
