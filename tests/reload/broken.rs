//! Files that are wrong: what was served is served on, and it is said why.

use std::sync::Arc;

use shapegate::reload::{Fleet, StartError};

use crate::place::{Files, MAIN, World};
use crate::support::gateway::variables;

#[tokio::test]
async fn a_broken_tenant_is_served_as_it_was_until_it_is_mended() {
    let world = World::start().await;
    world
        .files
        .write("tenants/acme.yaml", "extends: base\nhosts: [acme.test\n");
    world.look().await;
    assert_eq!(world.status("acme").await, 200);
    assert_eq!(world.metric("shapegate_reload_current"), "0");
    assert_eq!(world.metric("shapegate_tenants{state=\"stale\"}"), "1");
    assert_eq!(world.metric("shapegate_reloads_total{outcome=\"refused\"}"), "1");
    world.look().await;
    assert_eq!(
        world.metric("shapegate_reloads_total{outcome=\"refused\"}"),
        "1",
        "told once"
    );
    world.files.tenant("acme", "member: 'false'\n");
    world.look().await;
    assert_eq!(world.status("acme").await, 403);
    assert_eq!(world.metric("shapegate_reload_current"), "1");
}

/// Attack case J7, and what else a file can be.
#[tokio::test]
async fn whatever_is_wrong_with_the_configurations_own_file_leaves_everything_as_it_is() {
    let world = World::start().await;
    let bomb = (1..30).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| {
        format!("{text}a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1)
    });
    let large = format!("{MAIN}# {}", "x".repeat(100 * 1024 * 1024));
    let deep = format!("{MAIN}x: {}", "[".repeat(10_000));
    // Each with the line that is told, if one is at fault.
    let wrong: [(&str, &str, Option<u32>); 12] = [
        ("this is not: [yaml", "broken YAML", Some(1)),
        ("admin: off\nadmin: off\n", "a key twice", Some(2)),
        (&bomb, "a bomb of aliases", Some(15)),
        (&large, "100 MB", None),
        (&deep, "depth", Some(4)),
        (
            "admin: !!str off\ntenants: { folder: tenants }\n",
            "a tag",
            Some(1),
        ),
        (
            "admin: off\ntenant: { folder: tenants }\n",
            "an unknown key",
            Some(2),
        ),
        ("admin: no\ntenants: { folder: tenants }\n", "Norway", Some(1)),
        (
            "admin: off\nlimits: { connections_max: 010 }\ntenants: { folder: tenants }\n",
            "octal",
            Some(2),
        ),
        (
            "admin: off\ntenants: { folder: nowhere }\n",
            "no such folder",
            Some(2),
        ),
        ("", "nothing", None),
        ("a: &a [*a]\n", "an alias of itself", Some(1)),
    ];
    for (text, what, line) in wrong {
        world.files.write("shapegate.yaml", text);
        world.look().await;
        assert_eq!(world.metric("shapegate_reload_current"), "0", "{what}");
        assert_eq!(
            (world.status("acme").await, world.status("beta").await),
            (200, 200),
            "{what}"
        );
        let (_, places) = world.gateway.state.standing().refused.unwrap();
        let told = |line: &u32| {
            places
                .iter()
                .any(|place| place.contains(&format!("shapegate.yaml:{line}:")))
        };
        assert!(line.as_ref().is_none_or(told), "{what}: {places:?}");
        world.files.write("shapegate.yaml", MAIN);
        world.look().await;
        assert_eq!(world.metric("shapegate_reload_current"), "1", "{what}");
    }
}

#[tokio::test]
async fn a_configuration_that_is_wrong_does_not_keep_tenants_from_changing() {
    let world = World::start().await;
    world.files.write("shapegate.yaml", "admin: [");
    world.files.remove("tenants/beta.yaml");
    world.look().await;
    assert_eq!(
        (world.status("acme").await, world.status("beta").await),
        (200, 404)
    );
}

#[tokio::test]
async fn a_folder_that_is_not_there_for_a_while_removes_nobody() {
    let world = World::start().await;
    let (folder, away) = (world.files.path("tenants"), world.files.path("away"));
    std::fs::rename(&folder, &away).unwrap();
    world.look().await;
    assert_eq!(world.status("acme").await, 200);
    std::fs::rename(&away, &folder).unwrap();
    world.look().await;
    assert_eq!(world.metric("shapegate_reload_current"), "1");
}

#[tokio::test]
async fn a_tenant_that_rivals_another_is_refused_and_whoever_was_there_stays() {
    let world = World::start().await;
    world.files.write(
        "tenants/gamma.yaml",
        "extends: base\nhosts: [gamma.test, acme.test]\n",
    );
    world.look().await;
    assert_eq!(world.status("acme").await, 200, "it was there before");
    world.files.remove("tenants/gamma.yaml");
    world.files.write(
        "tenants/beta.yaml",
        "extends: base\nhosts: [beta.test, acme.test]\n",
    );
    world.look().await;
    assert_eq!(
        (world.status("acme").await, world.status("beta").await),
        (200, 200)
    );
    assert_eq!(world.metric("shapegate_tenants{state=\"stale\"}"), "1");
    let other = "extends: base\nhosts: elsewhere.test\n";
    world.files.write("tenants/acme.yaml", other);
    world.look().await;
    assert_eq!(world.metric("shapegate_tenants{state=\"stale\"}"), "0");
    let beta = crate::place::of("beta");
    let taken_over = world.ask("acme.test", "/api/shapes/users?offset=-1", &beta);
    assert_eq!(taken_over.await.status, 200, "nobody else claims it any more");
}

#[tokio::test]
async fn at_start_a_tenant_that_is_wrong_is_503_and_the_others_are_served() {
    let files = Files::two();
    files.tenant("beta", "corse: any\n");
    let world = World::of(files).await;
    let answer = world
        .ask(
            "beta.test",
            "/api/shapes/users?offset=-1",
            &crate::place::of("beta"),
        )
        .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "tenant_unavailable")
    );
    assert!(answer.header("retry-after").is_some());
    assert_eq!(world.status("acme").await, 200);
    assert_eq!(world.metric("shapegate_tenants{state=\"unserved\"}"), "1");
    world.files.tenant("beta", "");
    world.look().await;
    assert_eq!(world.status("beta").await, 200);
}

#[tokio::test]
async fn at_start_two_tenants_that_rival_each_other_are_both_503_until_one_of_them_goes() {
    let files = Files::two();
    files.write("tenants/one.yaml", "extends: base\nhosts: same.test\n");
    files.write("tenants/two.yaml", "extends: base\nhosts: same.test\n");
    let world = World::of(files).await;
    assert_eq!(world.status("same").await, 503);
    assert_eq!(world.status("acme").await, 200);
    world.files.remove("tenants/two.yaml");
    world.look().await;
    assert_eq!(
        world
            .ask(
                "same.test",
                "/api/shapes/users?offset=-1",
                &crate::place::of("one")
            )
            .await
            .status,
        200
    );
}

#[test]
fn nothing_starts_where_every_tenant_is_wrong() {
    let files = Files::two();
    files.tenant("acme", "corse: any\n");
    files.tenant("beta", "shapes: []\n");
    let refused = Fleet::load(files.main(), Arc::new(variables("http://127.0.0.1:1".to_owned())));
    let Err(error @ StartError::NoTenant(_)) = refused else {
        panic!("this starts");
    };
    let told = error.to_string();
    assert!(
        told.contains("acme.yaml:3:1") && told.contains("beta.yaml:3:9"),
        "{told}"
    );
}
