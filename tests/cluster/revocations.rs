//! A revocation at one gateway, and all the others.

use shapegate::cluster::{Standing, Told};
use shapegate::revocation::{Entry, Kind, Source};
use shapegate_core::time::UnixMillis;
use std::time::Duration;

use crate::gateways::{
    asks, denied, denies, entry, gateway, revoke, settings, standing_alone, subject, take_back, together, two,
};
use crate::place::{assert_nothing_new, held, polling, streaming, synced, users};
use crate::support::gateway::Gateway;
use crate::support::patience::{soon, until};
use crate::support::redis::Redis;
use crate::support::token::member;

#[tokio::test]
async fn what_is_revoked_at_one_gateway_ends_polls_and_streams_at_another() {
    let redis = Redis::start().await;
    let (here, there) = two(&redis).await;
    let token = member(1);
    let place = synced(&there, &token).await;
    let mut poll = polling(&there, &place, &token).await;
    let mut stream = streaming(&there, &place, &token).await;
    let mut other = polling(&there, &synced(&there, &member(2)).await, &member(2)).await;
    assert_eq!(revoke(&here, subject("user_of_1")).await, Told::ALL);
    assert_nothing_new(&soon(poll.answer()).await.unwrap(), &place);
    assert_eq!(soon(stream.chunk()).await, Some(Vec::new()), "a clean end");
    held(&there, 1).await;
    for gateway in [&here, &there] {
        assert_eq!(asks(gateway, 1).await, (403, "revoked".to_owned()));
        assert_eq!(asks(gateway, 2).await.0, 200);
    }
    let row = serde_json::json!({ "id": 9, "name": "Eve", "org_id": 2 });
    there.origin.insert("users", row).unwrap();
    let answer = soon(other.answer()).await.unwrap();
    assert!(answer.text().contains("Eve"), "others wait on: {}", answer.text());
}

#[tokio::test]
async fn every_kind_and_every_limit_of_a_revocation_comes_to_the_others_as_it_was_made() {
    let redis = Redis::start().await;
    let (here, there) = two(&redis).await;
    let mut whole = entry(Kind::KeyId, "2026 \"11\" \u{e9}\\");
    whole.name.tenant = Some("acme".into());
    whole.name.issuer = Some("https://issuer.test".into());
    whole.expires = Some(here.state.clock.now().wall.plus(Duration::from_secs(3600)));
    whole.issued_before = Some(UnixMillis(here.state.clock.now().wall.0 + 123));
    whole.reason = Some("lost".into());
    let mut all = vec![
        whole,
        entry(Kind::TokenId, "a"),
        entry(Kind::Subject, "a"),
        entry(Kind::Tenant, "a"),
    ];
    assert_eq!(here.state.cluster.revoke(all.clone()).await, Ok(Told::ALL));
    until("all are there", || denied(&there).len() == all.len()).await;
    let mut came: Vec<Entry> = there.state.revocations.list(Source::Cluster);
    for list in [&mut came, &mut all] {
        list.sort_by_key(|entry| (entry.name.kind.as_str(), entry.name.value.to_string()));
    }
    assert_eq!(came, all);
    assert_eq!(here.state.revocations.list(Source::Admin), []);
}

#[tokio::test]
async fn any_gateway_takes_back_what_another_revoked() {
    let redis = Redis::start().await;
    let (here, there) = two(&redis).await;
    revoke(&here, subject("user_of_1")).await;
    denies(&there, &["user_of_1"]).await;
    assert_eq!(take_back(&there, &subject("user_of_1")).await, (1, Told::ALL));
    denies(&here, &[]).await;
    assert_eq!(asks(&here, 1).await.0, 200);
    assert_eq!(take_back(&here, &subject("user_of_1")).await, (0, Told::ALL));
    revoke(&there, subject("user_of_1")).await;
    denies(&here, &["user_of_1"]).await;
}

#[tokio::test]
async fn a_gateway_that_starts_knows_what_is_revoked_before_it_serves() {
    let redis = Redis::start().await;
    let here = gateway(&redis).await;
    for number in 0..1_200 {
        // More than a page, and more than a batch of changes.
        revoke(&here, subject(&format!("user {number}"))).await;
    }
    revoke(&here, subject("user_of_1")).await;
    take_back(&here, &subject("user 7")).await;
    drop(here);
    let later = Gateway::start(&format!("{}{}", crate::gateways::cluster(&redis), users())).await;
    later.state.cluster.catch_up().await;
    assert_eq!(denied(&later).len(), 1_200);
    assert_eq!(asks(&later, 1).await, (403, "revoked".to_owned()));
    assert_eq!(
        later.state.cluster.standing(),
        Standing::Apart,
        "it does not follow yet"
    );
}

#[tokio::test]
async fn a_gateway_that_was_behind_reads_what_it_missed() {
    let redis = Redis::start().await;
    let (here, there) = two(&redis).await;
    let mut all: Vec<String> = Vec::new();
    for round in 0..5 {
        let entries = (0..500)
            .map(|number| subject(&format!("user {round} {number}")))
            .collect::<Vec<_>>();
        all.extend(entries.iter().map(|entry| entry.name.value.to_string()));
        here.state.cluster.revoke(entries).await.unwrap();
        // Changes are trimmed while others still read them.
        redis
            .try_ask(&["XTRIM", "shapegate:changes", "MAXLEN", "1"])
            .await;
    }
    all.sort();
    until("nothing was missed", || denied(&there) == all).await;
}

#[tokio::test]
async fn what_is_revoked_goes_along_when_the_cluster_changes() {
    let (first, second) = (Redis::start().await, Redis::start().await);
    let moving = Gateway::start(&users()).await;
    moving.run_beside();
    let witness = gateway(&second).await;
    assert_eq!(revoke(&moving, subject("before")).await, Told::default());
    assert_eq!(moving.state.cluster.standing(), Standing::Alone);

    moving.state.cluster.set(Some(settings(&first.url())));
    denies(&moving, &["before"]).await;
    together(&moving).await;
    assert_eq!(moving.state.revocations.list(Source::Admin), []);
    assert_eq!(revoke(&moving, subject("at the first")).await, Told::ALL);
    assert_eq!(first.ask::<i64>(&["HLEN", "shapegate:revocations"]).await, 2);

    revoke(&witness, subject("at the second")).await;
    moving.state.cluster.set(Some(settings(&second.url())));
    let all = ["at the first", "at the second", "before"];
    denies(&moving, &all).await;
    denies(&witness, &all).await;

    moving.state.cluster.set(None);
    standing_alone(&moving).await;
    let mut kept: Vec<String> = moving
        .state
        .revocations
        .list(Source::Admin)
        .iter()
        .map(|entry| entry.name.value.to_string())
        .collect();
    kept.sort();
    assert_eq!((denied(&moving), kept), (vec![], all.map(str::to_owned).to_vec()));
    assert_eq!(take_back(&moving, &subject("before")).await, (1, Told::default()));
    assert_eq!(denied(&witness), all, "the others' list is theirs");
}

#[tokio::test]
async fn clusters_of_different_prefixes_or_databases_know_nothing_of_each_other() {
    let redis = Redis::start().await;
    let here = gateway(&redis).await;
    let mut others = Vec::new();
    for (prefix, database) in [("staging", 0), ("shapegate", 3)] {
        let text = format!(
            "cluster: {{ redis: {{ url: \"{}/{database}\", prefix: {prefix} }} }}\n{}",
            redis.url(),
            users()
        );
        let other = Gateway::start(&text).await;
        other.run_beside();
        together(&other).await;
        others.push(other);
    }
    revoke(&here, subject("user_of_1")).await;
    for other in &others {
        assert_eq!(revoke(other, subject("mark")).await, Told::ALL);
        assert_eq!(denied(other), ["mark"]);
    }
    assert_eq!(denied(&here), ["user_of_1"]);
}

#[tokio::test]
async fn what_has_expired_is_removed_by_any_gateway_and_revokes_nothing() {
    let redis = Redis::start().await;
    let (here, there) = two(&redis).await;
    let past = Entry {
        expires: Some(UnixMillis(here.state.clock.now().wall.0 - 1)),
        ..subject("user_of_1")
    };
    assert_eq!(revoke(&here, past).await, Told::ALL);
    revoke(&here, subject("user_of_2")).await;
    denies(&there, &["user_of_2"]).await;
    assert_eq!(asks(&here, 1).await.0, 200);
}
