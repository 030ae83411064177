//! A gateway at an edge: public keys, no rules, no users.

use shapegate::gatekeeper::SigningAlgorithm;

use crate::support::token::{IDENTITY, admin, member};
use crate::world::{PATH, SHAPES, URL, World, key_file};

fn edge(issuer: &str, keys: &std::path::Path) -> String {
    format!(
        "gatekeeper:
  verify:
    paths: [{PATH}]
    issuers: [ {{ issuer: {issuer}, audience: default, token_type: shape+jwt, keys: [ {{ file: {} }} ] }} ]
",
        keys.display()
    )
}

#[tokio::test]
async fn public_keys_are_enough_to_verify() {
    let center = World::with(|folder| {
        let key = key_file(folder, "k.pem", SigningAlgorithm::EdDsa);
        format!(
            "{IDENTITY}{SHAPES}
gatekeeper: {{ mint: {{ url: {URL}, issuer: center, keys: [ {{ alg: EdDSA, file: {key}, kid: k }} ] }}, shapes: [users] }}
"
        )
    })
    .await;
    let keys = center.gateway.get("/.well-known/jwks.json", None).await;
    let file = center.folder().join("jwks.json");
    std::fs::write(&file, keys.body).unwrap();
    let edge = World::with(|_| edge("center", &file)).await;

    let config = center.mint("users", &member(1), None).await;
    let query = format!("offset=-1&{}", config.query());
    let answer = edge.get(&query, Some(config.token())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.json().as_array().unwrap().len(),
        3,
        "two rows, and the end of the snapshot"
    );
    assert!(edge.gateway.received_one().target.contains("params%5B1%5D=1"));

    assert_eq!(edge.get(&query, None).await.status, 401);
    assert_eq!(edge.get(&query, Some(&member(1))).await.status, 401);
    assert_eq!(
        edge.get(
            &query.replace("params%5B1%5D=1", "params%5B1%5D=2"),
            Some(config.token())
        )
        .await
        .status,
        403
    );
    assert_eq!(
        edge.get("offset=-1&table=users", Some(config.token()))
            .await
            .status,
        403
    );
    assert_eq!(
        edge.ask("users", Some(&admin()), None).await.status,
        404,
        "nothing is minted here"
    );
    assert_eq!(
        center.get(&query, Some(config.token())).await.status,
        404,
        "and nothing verified there"
    );
}
