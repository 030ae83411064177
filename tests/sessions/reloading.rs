//! Sessions that are remembered while the configuration changes around them.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use shapegate::clock::SystemClock;
use shapegate::reload::Reloader;
use tempfile::TempDir;

use super::{ask, invalid, remembered, verdict};
use crate::support::gateway::{Gateway, origin};
use crate::support::patience::{soon, until};
use crate::support::postgres::Server;

struct World {
    folder: TempDir,
    server: Server,
    gateway: Gateway,
    reloader: Reloader,
}

fn text(server: &Server, more: &str, rules: &str) -> String {
    format!(
        "admin: off
electric: {{ url: {{ env: ELECTRIC_URL }}, secret: {{ env: ELECTRIC_SECRET }} }}
identity:
  - postgres: {{ url: '{}', from: {{ header: x-session }}, hash: none, query: select user_id as sub from sessions where token = $1, notify: ended{more} }}
shapes:
  users: {{ table: users, columns: [id, name], rules: {rules} }}
",
        server.url()
    )
}

const ALL: &str = "[ { rows: all } ]";
const SOME: &str = "[ { rows: { where: id > 1 } } ]";
const NOBODY: &str = "[ { when: 'user.id == \"x\"', rows: all } ]";

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("shapegate.yaml")
}

impl World {
    async fn start() -> Self {
        let (folder, server) = (tempfile::tempdir().unwrap(), Server::start().await);
        let table = "create table sessions (token text, user_id text); insert into sessions values ('one', 'ann'), ('two', 'ben')";
        server.execute(table).await;
        fs::write(path(&folder), text(&server, ", ttl: 1h", ALL)).unwrap();
        let paths = vec![path(&folder)];
        let (gateway, reloader) = Gateway::of_files(origin(), paths, Arc::new(SystemClock)).await;
        Self {
            folder,
            server,
            gateway,
            reloader,
        }
    }

    async fn becomes(&self, more: &str, rules: &str) {
        let before = self.gateway.state.loaded();
        fs::write(path(&self.folder), text(&self.server, more, rules)).unwrap();
        self.reloader.look(true).await;
        assert!(
            !Arc::ptr_eq(&before, &self.gateway.state.loaded()),
            "the change is served"
        );
    }

    async fn status(&self, session: &str) -> u16 {
        soon(ask(&self.gateway, &[("x-session", session)])).await.status
    }
}

#[tokio::test]
async fn a_session_is_known_after_a_reload_that_leaves_its_method_as_it_was() {
    let world = World::start().await;
    assert_eq!((world.status("one").await, world.status("two").await), (200, 200));
    // Nobody tells of it: whoever is asked again is nobody.
    world.server.execute("delete from sessions").await;
    world.becomes(", ttl: 1h", SOME).await;
    assert_eq!(world.status("one").await, 200);
    world.becomes(", ttl: 1h", NOBODY).await;
    assert_eq!(
        world.status("one").await,
        403,
        "the new rules decide about who is known"
    );
    world.becomes(", ttl: 1h", ALL).await;
    world.server.execute("notify ended, 'one'").await;
    until("it is heard after reloads, too", || {
        remembered(&world.gateway) == 1
    })
    .await;
    let answer = soon(ask(&world.gateway, &[("x-session", "one")])).await;
    assert_eq!(verdict(&answer), invalid());
    assert_eq!(world.status("two").await, 200);
}

#[tokio::test]
async fn a_method_that_changes_remembers_nothing() {
    for changed in [
        ", ttl: 59m",
        ", ttl: 1h, claims: { name: sub }",
        ", ttl: 1h, pool_size: 2",
    ] {
        let world = World::start().await;
        assert_eq!(world.status("one").await, 200);
        world.server.execute("delete from sessions").await;
        world.becomes(changed, ALL).await;
        assert_eq!(world.status("one").await, 401, "{changed}");
    }
}
