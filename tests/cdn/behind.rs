//! Caches between gateways and Electric.

use std::sync::Arc;

use serde_json::json;
use shapegate::clock::SystemClock;
use shapegate_origin::Origin;

use crate::caches::{BOTH, Cache, Kind, Place};
use crate::support::gateway::{ELECTRIC_SECRET, Gateway, get, origin};
use crate::support::patience::{soon, until};
use crate::support::token::{IDENTITY, member};

const START: &str = "/api/shapes/users?offset=-1";

const SHAPES: &str = r#"
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    rules: [ { when: has(user.org_id), rows: { where: '"org_id" = $1', params: [user.org_id] } } ]
"#;

/// Electric, a cache before it, and two gateways before that.
async fn two_gateways(kind: Kind) -> (Origin, Cache, [Gateway; 2]) {
    let electric = origin();
    let cache = Cache::start(kind, Place::BehindGateway, electric.address()).await;
    let url = format!("http://{}", cache.address);
    let rest = format!("{IDENTITY}{SHAPES}");
    let one = Gateway::before_url(origin(), url.clone(), &rest, Arc::new(SystemClock)).await;
    let two = Gateway::before_url(origin(), url, &rest, Arc::new(SystemClock)).await;
    (electric, cache, [one, two])
}

/// The shapes that Electric was asked for.
fn shapes_asked(electric: &Origin) -> usize {
    let received = electric.received();
    received
        .iter()
        .filter(|asked| asked.target.starts_with("/v1/shape"))
        .count()
}

#[tokio::test]
async fn two_gateways_share_what_is_kept_and_every_user_sees_his_own_rows() {
    for kind in BOTH {
        let (electric, _cache, gateways) = two_gateways(kind).await;
        for org in [1, 2] {
            let row = json!({ "id": 100 + org, "name": format!("of {org}"), "org_id": org });
            electric.insert("users", row).unwrap();
        }
        for _ in 0..3 {
            for gateway in &gateways {
                for (mine, other) in [(1, 2), (2, 1)] {
                    let answer = soon(gateway.get(START, Some(&member(mine)))).await;
                    assert_eq!(answer.status, 200, "{kind:?}: {}", answer.text());
                    assert!(answer.text().contains(&format!("of {mine}")), "{kind:?}");
                    assert!(!answer.text().contains(&format!("of {other}")), "{kind:?}");
                }
            }
        }
        assert_eq!(shapes_asked(&electric), 2, "{kind:?}: one for each organisation");
    }
}

#[tokio::test]
async fn polls_of_two_gateways_are_one_at_electric() {
    for kind in BOTH {
        let (electric, _cache, gateways) = two_gateways(kind).await;
        let token = member(1);
        let mut place = START.to_owned();
        loop {
            let answer = soon(gateways[0].get(&place, Some(&token))).await;
            let header = |name| answer.header(name).unwrap().to_owned();
            let (offset, handle) = (header("electric-offset"), header("electric-handle"));
            place = format!("/api/shapes/users?offset={offset}&handle={handle}");
            if answer.header("electric-up-to-date").is_some() {
                break;
            }
        }
        let before = shapes_asked(&electric);
        let mut clients = Vec::new();
        for gateway in &gateways {
            let mut client = gateway.connect().await;
            client
                .send(get(&format!("{place}&live=true"), Some(&token)))
                .await;
            clients.push(client);
        }
        for gateway in &gateways {
            until("it waits", || gateway.state.metrics.held.get() == 1).await;
        }
        until("one waits upstream", || electric.waiting() == 1).await;
        electric
            .insert("users", json!({ "id": 9, "name": "Eve", "org_id": 1 }))
            .unwrap();
        for client in &mut clients {
            let answer = soon(client.answer()).await.unwrap();
            assert!(answer.text().contains("Eve"), "{kind:?}");
        }
        assert_eq!(shapes_asked(&electric), before + 1, "{kind:?}");
    }
}

#[tokio::test]
async fn the_secret_is_in_nothing_that_is_written_and_without_it_nothing_is_given() {
    for kind in BOTH {
        let (_electric, cache, gateways) = two_gateways(kind).await;
        assert_eq!(soon(gateways[0].get(START, Some(&member(1)))).await.status, 200);
        let canary = ELECTRIC_SECRET.as_bytes();
        if kind == Kind::Nginx {
            let written = cache.written();
            let has = |text: &[u8]| written.windows(text.len()).any(|window| window == text);
            assert!(has(b"electric-handle"), "an answer is kept on disk");
            assert!(!has(canary), "and the secret is not in it");
        }
        let asked = "/v1/shape?columns=%22id%22&offset=-1&table=%22public%22.%22users%22";
        for secret in ["", "&secret=", "&secret=guess", "&secret=guess&secret=guess"] {
            let answer = soon(cache.connect().await.ask(get(&format!("{asked}{secret}"), None))).await;
            assert_eq!(answer.status, 401, "{kind:?} {secret}");
        }
    }
}

#[tokio::test]
async fn events_pass_as_they_come() {
    for kind in BOTH {
        let (electric, _cache, gateways) = two_gateways(kind).await;
        let token = member(1);
        let now = soon(gateways[0].get("/api/shapes/users?offset=now", Some(&token))).await;
        let header = |name| now.header(name).unwrap();
        let (offset, handle) = (header("electric-offset"), header("electric-handle"));
        let events = format!("/api/shapes/users?offset={offset}&handle={handle}&live=true&live_sse=true");
        let mut client = gateways[0].connect().await;
        client.send(get(&events, Some(&token))).await;
        assert_eq!(soon(client.head()).await.unwrap().status, 200, "{kind:?}");
        electric
            .insert("users", json!({ "id": 9, "name": "Eve", "org_id": 1 }))
            .unwrap();
        let event = String::from_utf8(soon(client.chunk()).await.unwrap()).unwrap();
        assert!(event.contains("Eve"), "{kind:?}: {event}");
    }
}
