//! Caches between clients and the gateway.

use serde_json::json;
use shapegate::clock::SystemClock;
use std::sync::Arc;

use crate::caches::{BOTH, Cache, Kind, Place};
use crate::support::gateway::{Gateway, get, origin, request};
use crate::support::patience::{soon, until};
use crate::support::raw::Answer;
use crate::support::token::{IDENTITY, member};

const PRIVATE: &str = "/api/shapes/users";
const PUBLIC: &str = "/api/shapes/public/users";

const SHAPES: &str = r#"
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    rules: [ { when: has(user.org_id), rows: { where: '"org_id" = $1', params: [user.org_id] } } ]
  everybodys:
    path: /api/shapes/public/users
    table: users
    columns: [id, name, org_id]
    access: public
    rules: [ { rows: all } ]
"#;

/// A gateway behind a cache.
async fn behind(kind: Kind) -> (Gateway, Cache) {
    let rest = format!("server: {{ trusted_proxies: [127.0.0.0/8] }}\n{IDENTITY}{SHAPES}");
    let gateway = Gateway::before(origin(), &rest, Arc::new(SystemClock)).await;
    let cache = Cache::start(kind, Place::BeforeGateway, gateway.address).await;
    (gateway, cache)
}

async fn ask(cache: &Cache, target: &str, token: Option<&str>, headers: &[(&str, &str)]) -> Answer {
    soon(
        cache
            .connect()
            .await
            .ask(request("GET", target, token, headers, "")),
    )
    .await
}

/// Requests that reached the gateway.
fn reached(gateway: &Gateway) -> u64 {
    let text = gateway.state.metrics.render().unwrap();
    let lines = text
        .lines()
        .filter(|line| line.starts_with("shapegate_requests_total{"));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

/// Where a client stands that has read the log of `path` to its end.
async fn synced(cache: &Cache, path: &str, token: Option<&str>) -> String {
    let mut answer = ask(cache, &format!("{path}?offset=-1"), token, &[]).await;
    loop {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let header = |name| answer.header(name).unwrap().to_owned();
        let place = format!(
            "{path}?offset={}&handle={}",
            header("electric-offset"),
            header("electric-handle")
        );
        if answer.header("electric-up-to-date").is_some() {
            return place;
        }
        answer = ask(cache, &place, token, &[]).await;
    }
}

#[tokio::test]
async fn private_answers_are_never_shared_between_two_users() {
    for kind in BOTH {
        let (gateway, cache) = behind(kind).await;
        for org in [1, 2] {
            let row = json!({ "id": 100 + org, "name": format!("of {org}"), "org_id": org });
            gateway.origin.insert("users", row).unwrap();
        }
        for turn in 0..60 {
            let (mine, other) = (turn % 2 + 1, 2 - turn % 2);
            let target = format!("{PRIVATE}?offset=-1");
            let answer = ask(
                &cache,
                &target,
                Some(&member(mine)),
                &[("accept-encoding", "identity")],
            )
            .await;
            assert_eq!(answer.status, 200, "{kind:?}");
            assert!(answer.text().contains(&format!("of {mine}")), "{kind:?} {turn}");
            assert!(!answer.text().contains(&format!("of {other}")), "{kind:?} {turn}");
            if turn % 10 == 0 {
                let nobody = ask(&cache, &target, None, &[]).await;
                assert_eq!(
                    nobody.status, 401,
                    "{kind:?}: what was kept would be given to anybody"
                );
            }
        }
        assert_eq!(reached(&gateway), 66, "{kind:?}: every request is decided");
    }
}

/// The list of public paths in a cache may be wrong: what the gateway says of an answer keeps it private.
#[tokio::test]
async fn a_private_path_that_a_cache_takes_for_public_gives_nothing_away() {
    for kind in BOTH {
        let rest = format!(
            "{IDENTITY}{}",
            SHAPES.replace("access: public", "access: required")
        );
        let gateway = Gateway::before(origin(), &rest, Arc::new(SystemClock)).await;
        let cache = Cache::start(kind, Place::BeforeGateway, gateway.address).await;
        let target = format!("{PUBLIC}?offset=-1");
        for _ in 0..3 {
            for token in [Some(member(1)), None] {
                let answer = ask(&cache, &target, token.as_deref(), &[]).await;
                assert_eq!(answer.status, 401, "{kind:?}: it takes credentials away");
            }
        }
        assert_eq!(reached(&gateway), 6, "{kind:?}: and keeps no refusal");
    }
}

#[tokio::test]
async fn public_answers_are_kept_with_all_of_electrics_headers() {
    for kind in BOTH {
        let (gateway, cache) = behind(kind).await;
        let place = synced(&cache, PUBLIC, None).await;
        let before = reached(&gateway);
        for _ in 0..10 {
            assert_eq!(
                synced(&cache, PUBLIC, Some(&member(1))).await,
                place,
                "{kind:?}: credentials are nothing"
            );
        }
        assert_eq!(reached(&gateway), before, "{kind:?}");
        let log = ask(&cache, &place, None, &[("origin", "https://a.test")]).await;
        assert_eq!(
            log.header("electric-up-to-date"),
            Some(""),
            "{kind:?}: it is empty, and there"
        );
        assert!(log.header("electric-schema").is_some(), "{kind:?}");
        assert_eq!(log.header("access-control-allow-origin"), Some("*"), "{kind:?}");
        // The whole query is the key.
        for more in ["&expired_handle=1-1", "&cache-buster=1-a", "&cache-buster=2-b"] {
            let before = reached(&gateway);
            let busted = ask(&cache, &format!("{PUBLIC}?offset=-1{more}"), None, &[]).await;
            assert_eq!(
                (busted.status, reached(&gateway)),
                (200, before + 1),
                "{kind:?} {more}"
            );
        }
    }
}

#[tokio::test]
async fn public_answers_come_in_a_coding_to_those_alone_who_take_it() {
    for kind in BOTH {
        let (gateway, cache) = behind(kind).await;
        for id in 100..300 {
            let row = json!({ "id": id, "name": "a name that comes again", "org_id": 1 });
            gateway.origin.insert("users", row).unwrap();
        }
        let target = format!("{PUBLIC}?offset=-1&cache-buster=");
        for turn in 0..9 {
            let coding = ["gzip", "identity", "br, gzip"][turn % 3];
            let answer = ask(
                &cache,
                &format!("{target}{}-a", turn / 3),
                None,
                &[("accept-encoding", coding)],
            )
            .await;
            assert_eq!(answer.status, 200, "{kind:?}");
            match answer.header("content-encoding") {
                None => assert!(answer.text().contains("a name that comes again")),
                Some("gzip") if coding != "identity" => assert_eq!(&answer.body[..2], [0x1f, 0x8b]),
                other => panic!("{kind:?}: {other:?} for {coding}"),
            }
        }
        // Once the gateway has encoded it, the cache gets it so, and unpacks it for whoever wants it plain.
        let start = format!("{PUBLIC}?offset=-1");
        let direct = [("accept-encoding", "gzip")];
        let encoded = async {
            loop {
                let bytes = request("GET", &start, None, &direct, "");
                if soon(gateway.connect().await.ask(bytes))
                    .await
                    .header("content-encoding")
                    .is_some()
                {
                    break;
                }
            }
        };
        soon(encoded).await;
        let plain = ask(&cache, &start, None, &[("accept-encoding", "identity")]).await;
        assert_eq!(plain.header("content-encoding"), None, "{kind:?}");
        assert!(plain.text().contains("a name that comes again"), "{kind:?}");
        let coded = ask(&cache, &start, None, &direct).await;
        assert_eq!(coded.header("content-encoding"), Some("gzip"), "{kind:?}");
        let vary = coded.header("vary").unwrap_or_default().to_ascii_lowercase();
        assert!(vary.contains("accept-encoding"), "{kind:?}");
    }
}

#[tokio::test]
async fn those_who_wait_on_a_public_route_are_one_request_at_the_gateway() {
    const CLIENTS: usize = 20;
    for kind in BOTH {
        let (gateway, cache) = behind(kind).await;
        let poll = format!("{}&live=true", synced(&cache, PUBLIC, None).await);
        let before = reached(&gateway);
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let mut client = cache.connect().await;
            client.send(get(&poll, None)).await;
            clients.push(client);
        }
        until("one waits upstream", || gateway.origin.waiting() == 1).await;
        let row = json!({ "id": 900, "name": "Eve", "org_id": 1 });
        gateway.origin.insert("users", row).unwrap();
        for client in &mut clients {
            let answer = soon(client.answer()).await.unwrap();
            assert_eq!(answer.status, 200, "{kind:?}");
            assert!(answer.text().contains("Eve"), "{kind:?}");
        }
        assert_eq!(reached(&gateway), before + 1, "{kind:?}");
    }
}

#[tokio::test]
async fn streams_pass_event_by_event_and_a_leaving_client_ends_its_own() {
    for kind in BOTH {
        let (gateway, cache) = behind(kind).await;
        let token = member(1);
        for (path, token) in [(PRIVATE, Some(token.as_str())), (PUBLIC, None)] {
            let place = synced(&cache, path, token).await;
            let mut clients = Vec::new();
            for _ in 0..2 {
                let mut client = cache.connect().await;
                client
                    .send(get(&format!("{place}&live=true&live_sse=true"), token))
                    .await;
                let head = soon(client.head()).await.unwrap();
                assert_eq!(
                    head.header("content-type"),
                    Some("text/event-stream"),
                    "{kind:?} {path}"
                );
                assert_eq!(head.header("content-encoding"), None);
                clients.push(client);
            }
            let name = format!("Eve of {path}");
            let row = json!({ "id": 900 + path.len(), "name": name, "org_id": 1 });
            gateway.origin.insert("users", row).unwrap();
            for client in &mut clients {
                let mut seen = String::new();
                while !seen.contains(&name) || !seen.ends_with("\n\n") {
                    let chunk = soon(client.chunk()).await.expect("the stream goes on");
                    seen.push_str(std::str::from_utf8(&chunk).unwrap());
                }
            }
            drop(clients);
            // Varnish notices by the next event.
            let mut id = 10_000;
            until("nobody waits any more", || {
                id += 1;
                let row = json!({ "id": id + path.len(), "name": name, "org_id": 1 });
                gateway.origin.upsert("users", row).unwrap();
                gateway.state.metrics.held.get() == 0
            })
            .await;
        }
    }
}
