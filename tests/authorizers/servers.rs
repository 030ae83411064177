//! The real servers: OPA, OpenFGA and SpiceDB, each on free ports, ended with its test.
//!
//! `make test-long` builds them and runs these; their folder is `SHAPEGATE_AUTHORIZATION_SERVERS`.

#[path = "servers/opa.rs"]
mod opa;
#[path = "servers/openfga.rs"]
mod openfga;
#[path = "servers/program.rs"]
mod program;
#[path = "servers/spicedb.rs"]
mod spicedb;

use std::time::Duration;

use shapegate::authorizer::TTL_DEFAULT;
use shapegate::breaker::{FAILURES_MAX, PAUSE_MAX};

use self::program::Program;
use crate::world::{World, bob, refused, unavailable};

async fn status(world: &World, target: &str) -> u16 {
    world.gateway.get(target, Some(&bob())).await.status
}

/// Bob may, until it is taken back and the yes that was given is over; then he may not.
async fn revoked(world: &World, target: &str, take_back: impl AsyncFnOnce()) {
    assert_eq!(status(world, target).await, 200);
    take_back().await;
    world.clock.advance(TTL_DEFAULT - Duration::from_millis(1));
    assert_eq!(status(world, target).await, 200, "the yes holds for its time");
    world.clock.advance(Duration::from_millis(1));
    world.gateway.origin.forget_received();
    refused(&world.gateway.get(target, Some(&bob())).await, 403, "forbidden");
    world.gateway.received_nothing();
}

/// Bob may; while the server is away nobody says so, and once it is back and knows again what it knew, he may.
async fn away_and_back(
    world: &World,
    target: &str,
    program: &mut Program,
    ports: &[u16],
    restore: impl AsyncFnOnce(),
) {
    assert_eq!(status(world, target).await, 200);
    program.goes_away();
    assert_eq!(
        status(world, target).await,
        200,
        "who is known is served meanwhile"
    );
    world.clock.advance(TTL_DEFAULT);
    world.gateway.origin.forget_received();
    for _ in 0..FAILURES_MAX + 3 {
        unavailable(&world.gateway.get(target, Some(&bob())).await);
    }
    world.gateway.received_nothing();
    program.comes_back();
    for port in ports {
        program.listens(*port).await;
    }
    restore().await;
    unavailable(&world.gateway.get(target, Some(&bob())).await);
    world.clock.advance(PAUSE_MAX);
    assert_eq!(status(world, target).await, 200, "one trial brings it back");
}
