//! What is revoked while Redis is away, beside a state file.

use std::fs;
use std::path::Path;

use shapegate::cluster::Told;
use shapegate::revocation::Source;
use tempfile::TempDir;

use crate::gateways::{apart, asks, cluster, denies, gateway, revoke, subject, take_back, together};
use crate::place::users;
use crate::support::gateway::Gateway;
use crate::support::patience::until;
use crate::support::redis::Redis;

/// In force here, kept, and nobody else knows.
const KEPT_FOR_NOW: Told = Told {
    shared: Some(false),
    kept: Some(true),
};

/// A gateway with a state file, which may find no Redis.
async fn keeping(redis: &Redis, state: &Path) -> Gateway {
    let kept = format!("revocations: {{ state: \"{}\" }}\n", state.display());
    let gateway = Gateway::start(&format!("{kept}{}{}", cluster(redis), users())).await;
    gateway.run_beside();
    gateway
}

fn state(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("revocations.json")
}

#[tokio::test]
async fn what_is_revoked_while_redis_is_away_outlasts_the_process() {
    let mut redis = Redis::start().await;
    let folder = tempfile::tempdir().unwrap();
    let here = keeping(&redis, &state(&folder)).await;
    together(&here).await;
    assert_eq!(revoke(&here, subject("user_of_1")).await, Told::ALL);
    assert!(!fs::read_to_string(state(&folder)).unwrap().contains("user_of_1"));
    redis.kill();
    apart(&here).await;
    assert_eq!(revoke(&here, subject("user_of_2")).await, KEPT_FOR_NOW);
    drop(here);
    let next = keeping(&redis, &state(&folder)).await;
    assert_eq!(asks(&next, 2).await, (403, "revoked".to_owned()));
    assert_eq!(take_back(&next, &subject("user_of_2")).await.0, 1);
    assert_eq!(asks(&next, 2).await.0, 200);
    assert!(!fs::read_to_string(state(&folder)).unwrap().contains("user_of_2"));
}

#[tokio::test]
async fn once_redis_has_it_the_file_lets_go_of_it_and_any_gateway_takes_it_back() {
    let mut redis = Redis::start().await;
    let folder = tempfile::tempdir().unwrap();
    let here = keeping(&redis, &state(&folder)).await;
    let there = gateway(&redis).await;
    together(&here).await;
    redis.kill();
    apart(&here).await;
    for whom in ["user_of_1", "user_of_2"] {
        assert_eq!(revoke(&here, subject(whom)).await, KEPT_FOR_NOW);
    }
    take_back(&here, &subject("user_of_2")).await;
    redis.resume().await;
    for gateway in [&here, &there] {
        denies(gateway, &["user_of_1"]).await;
    }
    until("the file lets go of it", || {
        !fs::read_to_string(state(&folder)).unwrap().contains("user_of_")
    })
    .await;
    assert_eq!(here.state.revocations.list(Source::Admin), []);
    assert_eq!(asks(&here, 1).await, (403, "revoked".to_owned()));
    together(&there).await;
    assert_eq!(take_back(&there, &subject("user_of_1")).await.0, 1);
    denies(&here, &[]).await;
    assert_eq!(asks(&here, 1).await.0, 200);
}
