use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use super::{ask, gateway, invalid, organisation, verdict};
use shapegate::identity::api_keys::KeyHash;
use tempfile::TempDir;

/// A file of keys: a good one and one that has ended.
fn file() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.yaml");
    fs::write(
        &path,
        keys(&[
            ("sk_good", "1", ""),
            ("sk_old", "1", "expires: 2020-01-01T00:00:00Z"),
        ]),
    )
    .unwrap();
    let identity = format!("  - api_keys: {{ file: {} }}", path.display());
    (folder, identity)
}

fn keys(keys: &[(&str, &str, &str)]) -> String {
    let lines = keys.iter().map(|(key, org, more)| {
        let hash = KeyHash::of(key.as_bytes());
        format!(
            "  - {{ name: {key}, hash: {hash}, subject: service, claims: {{ org_id: {org} }}, {more} }}\n"
        )
    });
    format!("keys:\n{}", lines.collect::<String>())
        .replace(", , }", " }")
        .replace(",  }", " }")
}

#[tokio::test]
async fn a_key_is_known_by_its_hash_in_both_headers() {
    let (_folder, identity) = file();
    for header in [("x-api-key", "sk_good"), ("authorization", "Bearer sk_good")] {
        let gateway = gateway(&identity).await;
        assert_eq!(verdict(&ask(&gateway, &[header]).await).0, 200, "{header:?}");
        assert_eq!(organisation(&gateway).as_deref(), Some("1"));
    }
}

#[tokio::test]
async fn what_is_no_key_is_401_and_its_hash_is_none_either() {
    let (_folder, identity) = file();
    let gateway = gateway(&identity).await;
    let hash = KeyHash::of(b"sk_good").to_string();
    for key in [
        "sk_goo",
        "sk_goodd",
        "SK_GOOD",
        hash.as_str(),
        hash.trim_start_matches("sha256:"),
        "sk_",
        "",
    ] {
        assert_eq!(
            verdict(&ask(&gateway, &[("x-api-key", key)]).await),
            invalid(),
            "{key}"
        );
    }
    assert_eq!(
        verdict(&ask(&gateway, &[("x-api-key", "sk_old")]).await),
        (401, "token_expired".to_owned())
    );
    let both = [("x-api-key", "sk_good"), ("authorization", "Bearer sk_good")];
    assert_eq!(
        verdict(&ask(&gateway, &both).await),
        (400, "malformed_request".to_owned())
    );
    gateway.received_nothing();
}

#[tokio::test]
async fn a_changed_file_counts_from_the_next_reload_on() {
    let (folder, identity) = file();
    let config = format!("identity:\n{identity}\n{}", super::SHAPES);
    let gateway = gateway(&identity).await;
    assert_eq!(verdict(&ask(&gateway, &[("x-api-key", "sk_good")]).await).0, 200);
    fs::write(folder.path().join("keys.yaml"), keys(&[("sk_new", "2", "")])).unwrap();
    gateway.reload(&config);
    gateway.origin.forget_received();
    assert_eq!(
        verdict(&ask(&gateway, &[("x-api-key", "sk_good")]).await),
        invalid()
    );
    assert_eq!(verdict(&ask(&gateway, &[("x-api-key", "sk_new")]).await).0, 200);
    assert_eq!(organisation(&gateway).as_deref(), Some("2"));
}

fn shapegate(arguments: &[&str], input: &str) -> (bool, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_shapegate"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments does not read.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_command_hashes_what_it_reads_and_shows_it_nowhere() {
    for input in ["sk_good", "sk_good\n", "sk_good\r\n"] {
        let (right, said, complained) = shapegate(&["keys", "hash"], input);
        assert!(right, "{complained}");
        assert_eq!(said, format!("{}\n", KeyHash::of(b"sk_good")));
    }
    for odd in [
        "",
        "\n",
        "two\nlines",
        " sk_canary",
        "sk_canary\u{e9}",
        &"a".repeat(5_000),
    ] {
        let (right, said, complained) = shapegate(&["keys", "hash"], odd);
        assert!(!right && said.is_empty(), "{odd}");
        assert!(
            complained.starts_with("error: ") && !complained.contains("canary"),
            "{complained}"
        );
    }
    let (right, _, complained) = shapegate(&["keys", "hash", "sk_canary"], "");
    assert!(!right, "a key is no argument");
    drop(complained);
}

#[test]
fn the_command_makes_keys_and_their_lines() {
    let (right, first, complained) =
        shapegate(&["keys", "api-key", "--name", "ci", "--prefix", "sk_test_"], "");
    assert!(right, "{complained}");
    let key = first.lines().next().unwrap();
    assert!(key.starts_with("sk_test_") && key.len() == 8 + 43, "{key}");
    assert!(
        complained.contains(&KeyHash::of(key.as_bytes()).to_string()),
        "{complained}"
    );
    assert!(complained.contains("name: ci"), "{complained}");
    assert!(!complained.contains(key), "the key is on standard output alone");
    let (_, second, _) = shapegate(&["keys", "api-key", "--name", "ci"], "");
    assert!(second.starts_with("sk_") && second != first);
}
