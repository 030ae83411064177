//! Keys that follow each other, and the command that makes them.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use shapegate::config::moment_text;
use shapegate::gatekeeper::SigningAlgorithm;
use shapegate_core::time::UnixMillis;

use crate::support::token::{IDENTITY, admin, now};
use crate::world::{Config, PATH, SHAPES, URL, World, key_file};

fn moment(seconds: i64) -> String {
    moment_text(UnixMillis::from_seconds(now() + seconds))
}

fn keys(folder: &Path, keys: &[(&str, &str)]) -> String {
    let key = |(name, more): &(&str, &str)| {
        let file = key_file(folder, &format!("{name}.pem"), SigningAlgorithm::Es256);
        format!("{{ alg: ES256, file: {file}, kid: {name}{more} }}")
    };
    let keys: Vec<String> = keys.iter().map(key).collect();
    format!(
        "{IDENTITY}{SHAPES}
gatekeeper:
  mint: {{ url: {URL}, keys: [ {} ] }}
  verify: {{ paths: [{PATH}] }}
  shapes: [users]
",
        keys.join(", ")
    )
}

fn kids(published: &Value) -> Vec<&str> {
    published["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["kid"].as_str().unwrap())
        .collect()
}

async fn status(world: &World, config: &Config) -> u16 {
    let query = format!("offset=-1&{}", config.query());
    world.get(&query, Some(config.token())).await.status
}

#[tokio::test]
async fn the_next_key_is_published_before_it_signs_and_the_last_one_verifies_until_its_end() {
    let (from, until) = (
        format!(", from: \"{}\"", moment(600)),
        format!(", until: \"{}\"", moment(1300)),
    );
    let world = World::with(|folder| keys(folder, &[("old", &until), ("new", &from)])).await;
    let jwks = async || world.gateway.get("/.well-known/jwks.json", None).await.json();
    assert_eq!(kids(&jwks().await), ["old", "new"]);
    assert_eq!(world.mint("users", &admin(), None).await.header()["kid"], "old");

    world.clock.advance(Duration::from_secs(595));
    let last = world.mint("users", &admin_for(3600), None).await;
    assert_eq!(last.header()["kid"], "old");
    world.clock.advance(Duration::from_secs(10));
    let first = world.mint("users", &admin_for(3600), None).await;
    assert_eq!(first.header()["kid"], "new");
    assert_eq!(
        (status(&world, &last).await, status(&world, &first).await),
        (200, 200)
    );

    // The old key's last token lives ten minutes; its key ends after that.
    world.clock.advance(Duration::from_secs(580));
    assert_eq!(status(&world, &last).await, 200);
    world.clock.advance(Duration::from_secs(120));
    assert_eq!(kids(&jwks().await), ["new"]);
    assert_eq!(status(&world, &last).await, 401);
}

fn admin_for(seconds: i64) -> String {
    crate::support::token::token(serde_json::json!({ "roles": ["admin"], "exp": now() + seconds }))
}

#[tokio::test]
async fn a_key_that_was_rotated_out_verifies_nothing_any_more() {
    let world = World::with(|folder| keys(folder, &[("old", "")])).await;
    let config = world.mint("users", &admin(), None).await;
    assert_eq!(status(&world, &config).await, 200);
    world.gateway.reload(&keys(world.folder(), &[("new", "")]));
    assert_eq!(status(&world, &config).await, 401, "though it was remembered");
    let renewed = world.mint("users", &admin(), None).await;
    assert_eq!(status(&world, &renewed).await, 200);
}

fn shapegate(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_shapegate"))
        .current_dir(folder)
        .args(arguments)
        .env("ELECTRIC_SECRET", "a-secret-to-hide")
        .env("JWT_SECRET", crate::support::gateway::JWT_SECRET)
        .output()
        .unwrap()
}

fn config(folder: &Path, keys: &str) {
    let text = format!(
        "electric: {{ url: http://127.0.0.1:3000, secret: {{ env: ELECTRIC_SECRET }} }}\n{IDENTITY}{SHAPES}
gatekeeper:
  mint:
    url: {URL}
{keys}
  shapes: [users]
"
    );
    std::fs::write(folder.join("shapegate.yaml"), text).unwrap();
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

#[test]
fn keys_are_generated_for_their_owner_alone_and_rotated_with_an_overlap() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for algorithm in ["ES256", "EdDSA", "RS256"] {
        let file = format!("{algorithm}.pem");
        let made = shapegate(
            folder,
            &[
                "keys", "generate", "--alg", algorithm, "--kid", "one", "--out", &file,
            ],
        );
        let line = String::from_utf8(made.stdout).unwrap();
        assert_eq!(
            line,
            format!("- {{ alg: {algorithm}, file: \"{file}\", kid: \"one\" }}\n")
        );
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.join(&file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        config(folder, &format!("    keys:\n      {line}"));
        let checked = shapegate(folder, &["check", "-c", "shapegate.yaml"]);
        assert!(
            checked.status.success(),
            "{}",
            String::from_utf8_lossy(&checked.stderr)
        );
    }
    let again = shapegate(folder, &["keys", "generate", "--out", "ES256.pem"]);
    assert!(!again.status.success(), "nothing is overwritten");

    let rotate = |more: &[&str]| {
        let arguments = ["keys", "rotate", "-c", "shapegate.yaml"];
        let output = shapegate(folder, &[&arguments, more].concat());
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (done, text, _) = rotate(&["--out", "two.pem", "--kid", "two"]);
    assert!(
        done && text.contains("until:") && text.contains("from:"),
        "{text}"
    );
    config(folder, &indented(&text));
    let checked = shapegate(folder, &["check", "-c", "shapegate.yaml", "--print"]);
    assert!(
        checked.status.success(),
        "{}\n{text}",
        String::from_utf8_lossy(&checked.stderr)
    );
    let printed = String::from_utf8(checked.stdout).unwrap();
    std::fs::write(folder.join("printed.yaml"), &printed).unwrap();
    // What is printed reads back as the same, but for secrets, of which this one is named by a variable.
    let (done, _, error) = rotate(&["--out", "three.pem", "--kid", "three"]);
    assert!(!done && error.contains("takes over only at"), "{error}");
    let (done, _, error) = rotate(&["--out", "three.pem", "--in", "1m"]);
    assert!(!done && error.contains("published"), "{error}");
    assert!(
        !folder.join("three.pem").exists(),
        "no key is left behind by a rotation that is refused"
    );
}
