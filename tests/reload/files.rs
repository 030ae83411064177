//! The ways in which files are changed.

use std::fs;
use std::os::unix::fs::symlink;

use crate::place::{BASE, Files, MAIN, World};
use crate::support::gateway::JWT_SECRET;

/// A folder as Kubernetes mounts a ConfigMap: every file is a link through `..data`, which is swapped.
fn mounted(files: &Files, version: &str, member: &str) {
    let root = files.path("mounted");
    let data = root.join(version);
    fs::create_dir_all(&data).unwrap();
    fs::write(
        data.join("acme.yaml"),
        format!("extends: base\nhosts: acme.test\nmember: '{member}'\n"),
    )
    .unwrap();
    let (next, current) = (root.join("..data_tmp"), root.join("..data"));
    symlink(version, &next).unwrap();
    fs::rename(&next, &current).unwrap();
    let file = root.join("acme.yaml");
    if !file.exists() {
        symlink("..data/acme.yaml", file).unwrap();
    }
}

#[tokio::test]
async fn the_swap_of_a_mounted_folder_is_seen() {
    let files = Files::two();
    mounted(&files, "..2026_one", "true");
    files.write(
        "shapegate.yaml",
        &MAIN.replace("folder: tenants", "folder: mounted"),
    );
    let world = World::of(files).await;
    assert_eq!(world.status("acme").await, 200);
    mounted(&world.files, "..2026_two", "false");
    world.look().await;
    assert_eq!(world.status("acme").await, 403);
}

#[tokio::test]
async fn a_file_that_is_replaced_by_a_rename_is_seen() {
    let world = World::start().await;
    world.files.write(
        "tenants/.acme.yaml.swp",
        "extends: base\nhosts: acme.test\nmember: 'false'\n",
    );
    fs::rename(
        world.files.path("tenants/.acme.yaml.swp"),
        world.files.path("tenants/acme.yaml"),
    )
    .unwrap();
    world.look().await;
    assert_eq!(world.status("acme").await, 403);
}

#[tokio::test]
async fn a_change_that_cannot_be_seen_from_outside_is_found_when_every_file_is_read() {
    let world = World::start().await;
    let path = world.files.path("tenants/acme.yaml");
    world.files.tenant("acme", "member: 'true '\n");
    world.look().await;
    let times = fs::metadata(&path).unwrap().modified().unwrap();
    // The same file, length and time.
    world.files.tenant("acme", "member: 'false'\n");
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(times)
        .unwrap();
    world.look().await;
    assert_eq!(world.status("acme").await, 200);
    world.reloader.look(true).await;
    assert_eq!(world.status("acme").await, 403);
}

#[tokio::test]
async fn hidden_files_and_files_of_other_kinds_are_nobodys() {
    let world = World::start().await;
    for name in [
        ".gamma.yaml",
        "gamma.yaml~",
        "gamma.yaml.bak",
        "README.md",
        "#gamma.yaml#",
    ] {
        world
            .files
            .write(&format!("tenants/{name}"), "extends: base\nhosts: gamma.test\n");
    }
    world.look().await;
    assert_eq!(world.status("gamma").await, 404);
    assert_eq!(world.metric("shapegate_reload_current"), "1");
}

#[tokio::test]
async fn one_tenant_without_a_folder_is_reloaded_as_well() {
    let files = Files::two();
    let one = BASE
        .replace("member: user.tenant == tenant.id\n", "")
        .replace("../jwt-secret", "jwt-secret");
    files.write("shapegate.yaml", &format!("admin: off\n{one}"));
    let world = World::of(files).await;
    assert_eq!(world.status("acme").await, 200);
    world
        .files
        .write("jwt-secret", "another-secret-of-32-bytes-or-more!!");
    world.look().await;
    assert_eq!(world.status("acme").await, 401);
    world.files.write("jwt-secret", JWT_SECRET);
    world
        .files
        .write("shapegate.yaml", &format!("admin: off\n{one}unknown: 1\n"));
    world.look().await;
    assert_eq!(
        world.status("acme").await,
        200,
        "the configuration is refused, and its secret is taken all the same"
    );
    assert_eq!(world.metric("shapegate_reload_current"), "0");
    world.files.write("shapegate.yaml", &format!("admin: off\n{one}"));
    world.look().await;
    assert_eq!(world.status("acme").await, 200);
}
