//! What was said before a reload that changes nothing about the question.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use shapegate::clock::SystemClock;
use shapegate::reload::Reloader;
use tempfile::TempDir;

use crate::fake::{Fake, Say};
use crate::support::gateway::{Gateway, origin};
use crate::support::token::IDENTITY;
use crate::world::{FIRST, allow, bob, deny, unavailable};

/// A gateway that serves a file, and one who is asked.
struct World {
    folder: TempDir,
    gateway: Gateway,
    reloader: Reloader,
    fake: Fake,
}

fn text(fake: &Fake, more: &str, rules: &str) -> String {
    format!(
        "admin: off
electric: {{ url: {{ env: ELECTRIC_URL }}, secret: {{ env: ELECTRIC_SECRET }} }}
{IDENTITY}
shapes:
  users:
    table: users
    columns: [id, name]
    authorize: {{ http: {{ url: '{}'{more} }} }}
    rules: {rules}
",
        fake.url()
    )
}

const ALL: &str = "[ { rows: all } ]";

impl World {
    async fn start(say: Say) -> Self {
        let (folder, fake) = (tempfile::tempdir().unwrap(), Fake::saying(say).await);
        fs::write(path(&folder), text(&fake, "", ALL)).unwrap();
        let paths = vec![path(&folder)];
        let (gateway, reloader) = Gateway::of_files(origin(), paths, Arc::new(SystemClock)).await;
        Self {
            folder,
            gateway,
            reloader,
            fake,
        }
    }

    async fn becomes(&self, more: &str, rules: &str) {
        let before = self.gateway.state.loaded();
        fs::write(path(&self.folder), text(&self.fake, more, rules)).unwrap();
        self.reloader.look(true).await;
        assert!(
            !Arc::ptr_eq(&before, &self.gateway.state.loaded()),
            "the change is served"
        );
    }

    async fn status(&self) -> u16 {
        self.gateway.get(FIRST, Some(&bob())).await.status
    }
}

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("shapegate.yaml")
}

#[tokio::test]
async fn what_was_said_is_known_after_rules_have_changed_and_the_new_rules_decide_about_it() {
    let world = World::start(allow()).await;
    assert_eq!((world.status().await, world.fake.count()), (200, 1));
    world.becomes("", "[ { rows: { where: id > 1 } } ]").await;
    assert_eq!(
        (world.status().await, world.fake.count()),
        (200, 1),
        "nobody is asked again"
    );
    world
        .becomes("", "[ { when: 'user.id == \"other\"', rows: all } ]")
        .await;
    assert_eq!((world.status().await, world.fake.count()), (403, 1));
}

#[tokio::test]
async fn whoever_is_asked_in_another_way_is_asked_anew() {
    let world = World::start(allow()).await;
    assert_eq!((world.status().await, world.fake.count()), (200, 1));
    world.fake.says(deny());
    for (asked, more) in [
        (2, ", ttl: 20s"),
        (3, ", claims: [id]"),
        (4, ", token: { insecure_value: other }"),
        (5, ", token: { insecure_value: another }"),
    ] {
        world.becomes(more, ALL).await;
        assert_eq!((world.status().await, world.fake.count()), (403, asked), "{more}");
    }
}

#[tokio::test]
async fn whoever_is_left_alone_stays_so() {
    let world = World::start(Say::Status(500, "")).await;
    for _ in 0..5 {
        unavailable(&world.gateway.get(FIRST, Some(&bob())).await);
    }
    world.becomes("", "[ { rows: { where: id > 1 } } ]").await;
    unavailable(&world.gateway.get(FIRST, Some(&bob())).await);
    assert_eq!(world.fake.count(), 5);
}
