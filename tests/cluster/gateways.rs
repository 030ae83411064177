//! Gateways of one cluster, in this process.

use std::time::Duration;

use shapegate::cluster::{Standing, Told};
use shapegate::config::{ClusterSettings, RedisUrl};
use shapegate::revocation::{Entry, Kind, Source};

use crate::place::users;
use crate::support::gateway::Gateway;
use crate::support::patience::until;
use crate::support::redis::Redis;
pub use crate::support::revocation::entry;
use crate::support::token::member;

pub const TARGET: &str = "/api/shapes/users?offset=-1";

/// The part of the configuration.
pub fn cluster(redis: &Redis) -> String {
    format!(
        "cluster: {{ redis: {{ url: \"{}\", timeout: 10s }} }}\n",
        redis.url()
    )
}

/// A gateway that shares with others what it has.
pub async fn gateway(redis: &Redis) -> Gateway {
    let gateway = Gateway::start(&format!("{}{}", cluster(redis), users())).await;
    gateway.run_beside();
    together(&gateway).await;
    gateway
}

pub async fn two(redis: &Redis) -> (Gateway, Gateway) {
    (gateway(redis).await, gateway(redis).await)
}

pub fn settings(url: &str) -> ClusterSettings {
    ClusterSettings {
        url: RedisUrl::parse(url).unwrap(),
        ca: None,
        prefix: "shapegate".to_owned(),
        timeout: Duration::from_secs(10),
    }
}

pub async fn together(gateway: &Gateway) {
    standing(gateway, Standing::Together).await;
}

pub async fn apart(gateway: &Gateway) {
    standing(gateway, Standing::Apart).await;
}

async fn standing(gateway: &Gateway, wanted: Standing) {
    let what = format!("the cluster is {wanted:?}");
    until(&what, || gateway.state.cluster.standing() == wanted).await;
}

pub fn subject(value: &str) -> Entry {
    entry(Kind::Subject, value)
}

pub async fn revoke(gateway: &Gateway, entry: Entry) -> Told {
    gateway.state.cluster.revoke(vec![entry]).await.unwrap()
}

pub async fn take_back(gateway: &Gateway, entry: &Entry) -> (usize, Told) {
    gateway
        .state
        .cluster
        .take_back(std::slice::from_ref(&entry.name))
        .await
}

/// What a gateway denies for the cluster, in order.
pub fn denied(gateway: &Gateway) -> Vec<String> {
    let entries = gateway.state.revocations.list(Source::Cluster);
    let mut values: Vec<String> = entries.iter().map(|entry| entry.name.value.to_string()).collect();
    values.sort();
    values
}

/// Waits until a gateway denies exactly these.
pub async fn denies(gateway: &Gateway, values: &[&str]) {
    until(&format!("{values:?} are denied"), || denied(gateway) == values).await;
}

/// What a member of an organisation gets.
pub async fn asks(gateway: &Gateway, org: i64) -> (u16, String) {
    let answer = gateway.get(TARGET, Some(&member(org))).await;
    let code = if answer.status == 200 {
        String::new()
    } else {
        answer.code()
    };
    (answer.status, code)
}

/// A metric as it is shown; none while it is not.
pub fn metric(gateway: &Gateway, name: &str) -> Option<f64> {
    let text = gateway.state.metrics.render().unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.trim().parse().unwrap())
}

pub async fn standing_alone(gateway: &Gateway) {
    standing(gateway, Standing::Alone).await;
}

/// The command that makes the user whom the documentation gives to gateways.
pub fn documented_user() -> String {
    let documented = std::fs::read_to_string("docs/operations.md").unwrap();
    let mut lines = documented.lines();
    let line = lines.find(|line| line.starts_with("ACL SETUSER"));
    line.unwrap().to_owned()
}
