//! Tenants that come, change and go.

use std::sync::Arc;

use crate::place::{BASE, USERS, World, of};

#[tokio::test]
async fn a_new_file_is_a_new_tenant() {
    let world = World::start().await;
    assert_eq!(world.status("gamma").await, 404);
    world.files.tenant("gamma", "");
    world.look().await;
    assert_eq!(world.status("gamma").await, 200);
    assert_eq!(world.metric("shapegate_tenants{state=\"served\"}"), "3");
}

#[tokio::test]
async fn one_tenants_change_compiles_that_tenant_and_leaves_every_other_as_it_is() {
    let world = World::start().await;
    let tenant = |id: &str| Arc::clone(world.gateway.state.loaded().snapshot.tenant(id).unwrap());
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    world
        .files
        .tenant("acme", "cors: { origins: ['https://a.test'] }\n");
    world.look().await;
    assert!(!Arc::ptr_eq(&acme, &tenant("acme")));
    assert!(Arc::ptr_eq(&beta, &tenant("beta")));
}

#[tokio::test]
async fn files_that_are_only_written_again_change_nothing() {
    let world = World::start().await;
    let tenant = |id: &str| Arc::clone(world.gateway.state.loaded().snapshot.tenant(id).unwrap());
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    world.files.tenant("acme", "");
    world.files.write("templates/base.yaml", BASE);
    world.look().await;
    world.reloader.look(true).await;
    assert!(Arc::ptr_eq(&acme, &tenant("acme")) && Arc::ptr_eq(&beta, &tenant("beta")));
    assert_eq!(
        world.metric("shapegate_reloads_total{outcome=\"taken\"}"),
        "1",
        "the start"
    );
}

#[tokio::test]
async fn what_is_kept_for_a_tenant_is_kept_while_its_electric_is_the_same() {
    let world = World::start().await;
    assert_eq!(world.status("acme").await, 200);
    world.gateway.origin.forget_received();
    world
        .files
        .tenant("acme", "cors: { origins: ['https://a.test'] }\n");
    world.look().await;
    assert_eq!(world.status("acme").await, 200);
    world.gateway.received_nothing();
}

#[tokio::test]
async fn a_changed_template_changes_all_that_extend_it() {
    let world = World::start().await;
    assert_eq!(world.status("acme").await, 200);
    world.files.write(
        "templates/base.yaml",
        &BASE.replace("member: user.tenant", "member: user.sub"),
    );
    world.look().await;
    for tenant in ["acme", "beta"] {
        assert_eq!(world.status(tenant).await, 403, "{tenant}");
    }
}

#[tokio::test]
async fn a_secret_that_is_replaced_is_picked_up() {
    let world = World::start().await;
    let target = format!("{USERS}?offset=-1");
    world
        .files
        .write("jwt-secret", "another-secret-of-32-bytes-or-more!!");
    world.look().await;
    assert_eq!(world.ask("acme.test", &target, &of("acme")).await.status, 401);
    world
        .files
        .write("jwt-secret", crate::support::gateway::JWT_SECRET);
    world.look().await;
    assert_eq!(world.ask("acme.test", &target, &of("acme")).await.status, 200);
}

#[tokio::test]
async fn two_tenants_may_change_places_in_one_step() {
    let world = World::start().await;
    world
        .files
        .write("tenants/acme.yaml", "extends: base\nhosts: beta.test\n");
    world
        .files
        .write("tenants/beta.yaml", "extends: base\nhosts: acme.test\n");
    world.look().await;
    let target = format!("{USERS}?offset=-1");
    assert_eq!(world.ask("beta.test", &target, &of("acme")).await.status, 200);
    assert_eq!(world.ask("acme.test", &target, &of("acme")).await.status, 403);
    assert_eq!(world.metric("shapegate_reload_current"), "1");
}

#[tokio::test]
async fn a_new_tenants_named_electric_is_resolved_before_the_first_request() {
    let world = World::start().await;
    let port = world.gateway.origin.address().port();
    world.files.tenant(
        "gamma",
        &format!("electric: {{ url: 'http://localhost:{port}' }}\n"),
    );
    world.look().await;
    assert_eq!(world.status("gamma").await, 200);
}
