//! Everything at once against the real program, round after round: clients that come and go in every way, files and keys
//! that change, revocations, an Electric that rotates and restarts. Nobody may get a wrong answer meanwhile, and when
//! all have left, nothing may be left of them.
//!
//! A round has a number of events; `SHAPEGATE_SOAK_ROUNDS` says how many rounds there are, besides those that warm up.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::large_futures,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

#[allow(dead_code, reason = "shared with the tests of operations")]
#[path = "operations/program.rs"]
mod program;
#[allow(dead_code, reason = "shared with the tests of issuers' keys")]
#[path = "oidc/provider.rs"]
mod provider;
#[allow(dead_code, reason = "these tests need keys alone")]
#[path = "identity/support.rs"]
mod signing;

#[path = "soak/chance.rs"]
mod chance;
#[path = "soak/electric.rs"]
mod electric;
#[path = "soak/events.rs"]
mod events;
#[path = "soak/follower.rs"]
mod follower;
#[path = "soak/left.rs"]
mod left;
#[path = "soak/passer_by.rs"]
mod passer_by;
#[path = "soak/rows.rs"]
mod rows;
#[path = "soak/users.rs"]
mod users;
#[path = "soak/world.rs"]
mod world;

use std::sync::Arc;

use tokio::task::JoinSet;

use left::Left;
use support::many;
use support::patience::{soon, until};
use world::World;

/// Users who keep their rows up to date, for each organisation.
const FOLLOWERS: u64 = 3;
/// Clients who do a thing once, and then another one.
const PASSERS_BY: u64 = 16;
/// Events of a round.
const EVENTS: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_for_however_long_every_answer_is_right_and_nothing_is_left_behind() {
    let rounds = many("SHAPEGATE_SOAK_ROUNDS", 1);
    let mut world = World::start().await;
    let files = left::files(&world);
    world.electric.restart().await;
    let warming = 1 + rounds / 10;
    for number in 0..warming {
        round(&mut world, number).await;
    }
    let warm = Left::of(&world).await;
    println!("warm: {warm}");
    for number in 1..=rounds {
        round(&mut world, warming + number).await;
        let left = Left::of(&world).await;
        println!("after round {number} of {rounds}: {left}");
        left.assert_no_more_than(&warm);
    }
    world.electric.stop();
    until("every connection and file is closed", || {
        left::files(&world) <= files
    })
    .await;
    println!("{}", world.shared.tally());
    world.assert_log_is_calm();
}

/// Everybody comes, everything happens, everybody leaves.
async fn round(world: &mut World, number: usize) {
    let seed = u64::try_from(number).unwrap() << 32;
    let (mut followers, mut passers_by) = (JoinSet::new(), JoinSet::new());
    for (at, user) in users::followers(FOLLOWERS).enumerate() {
        let seed = seed + u64::try_from(at).unwrap();
        followers.spawn(follower::follow(Arc::clone(&world.shared), user, seed));
    }
    for at in 0..PASSERS_BY {
        passers_by.spawn(passer_by::pass_by(Arc::clone(&world.shared), seed + 1000 + at));
    }
    world.happen(EVENTS, seed + 2000).await;
    world.shared.tell_to_leave(Some(world.electric.rows()));
    for clients in [&mut passers_by, &mut followers] {
        while let Some(ended) = soon(clients.join_next()).await {
            ended.expect("a client without a complaint");
        }
    }
    world.shared.tell_to_leave(None);
}
