//! A release's archive: what is in it, what it is made of, and that both are what their checksums say.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::told;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What scripts/dist.sh leaves, of the program that the tests are built with.
struct Release {
    folder: TempDir,
}

impl Release {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let programs = Path::new(env!("CARGO_BIN_EXE_shapegate")).parent().unwrap();
        told(
            Command::new(root.join("scripts/dist.sh"))
                .args(["--no-build", "--profile", "dev", "--out"])
                .arg(folder.path())
                .env("CARGO_TARGET_DIR", programs.parent().unwrap())
                .env("SOURCE_DATE_EPOCH", "1700000000"),
        );
        Self { folder }
    }

    /// The only file of that ending.
    fn file(&self, ending: &str) -> PathBuf {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let found: Vec<PathBuf> = paths
            .filter(|path| path.to_str().unwrap().ends_with(ending))
            .collect();
        assert_eq!(found.len(), 1, "{ending}: {found:?}");
        found[0].clone()
    }

    fn sums_are_right(&self) -> bool {
        let mut command = Command::new("sha256sum");
        command
            .args(["--check", "--strict", "--status"])
            .arg(self.file(".sha256"))
            .current_dir(self.folder.path());
        command.status().unwrap().success()
    }

    /// The list of parts.
    fn parts(&self) -> Value {
        let text = fs::read_to_string(self.file(".cdx.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

/// One after the other: what is made is beside the manifests for a moment.
#[test]
fn a_release_is_whole_told_from_a_wrong_one_made_of_what_it_lists_and_made_again_alike() {
    let release = Release::make();
    let files = fs::read_dir(release.folder.path()).unwrap().count();
    assert_eq!(files, 3, "an archive, a list of parts, checksums");
    has_everything_and_nothing_of_where_it_was_made(&release);
    checksums_tell_it_from_one_that_was_tampered_with(&release);
    lists_what_it_is_built_from_and_nothing_else(&release.parts());
    let again = Release::make();
    for ending in [".cdx.json", ".tar.gz", ".sha256"] {
        let bytes = |release: &Release| fs::read(release.file(ending)).unwrap();
        assert!(bytes(&release) == bytes(&again), "{ending} differs");
    }
}

fn has_everything_and_nothing_of_where_it_was_made(release: &Release) {
    let archive = release.file(".tar.gz");
    let listed = told(
        Command::new("tar")
            .args(["--list", "--verbose", "--numeric-owner", "--file"])
            .arg(&archive),
    );
    let stem = archive.file_name().unwrap().to_str().unwrap();
    let inside = format!("{}/", stem.strip_suffix(".tar.gz").unwrap());
    assert!(inside.starts_with(&format!("shapegate-{VERSION}-")), "{inside}");
    for line in listed.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(line.starts_with('-') || line.starts_with('d'), "no links: {line}");
        assert_eq!(words[1], "0/0", "nobody's account: {line}");
        assert!(
            words[5].starts_with(&inside) && !words[5].contains(".."),
            "{line}"
        );
        assert_eq!(words[3], "2023-11-14", "the time of the commit: {line}");
    }

    let root = tempfile::tempdir().unwrap();
    told(
        Command::new("tar")
            .arg("--extract")
            .arg("--file")
            .arg(&archive)
            .current_dir(root.path()),
    );
    let at = |name: &str| root.path().join(&inside).join(name);
    for name in [
        "systemd/shapegate.service",
        "systemd/shapegate.socket",
        "man/shapegate.1",
        "man/shapegate-serve.1",
        "completions/shapegate.bash",
        "completions/shapegate.zsh",
        "completions/shapegate.fish",
        "docs/configuration.md",
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
    ] {
        assert!(fs::metadata(at(name)).unwrap().len() > 0, "{name} is empty");
    }
    let mode = fs::metadata(at("shapegate")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
    let list = format!("shapegate-{VERSION}.cdx.json");
    assert_eq!(
        fs::read(at(&list)).unwrap(),
        fs::read(release.file(".cdx.json")).unwrap(),
        "the list of parts comes along"
    );
    it_runs(&at("shapegate"), &at("conf"));
}

/// The program of the archive says who it is, and takes the examples beside it.
fn it_runs(program: &Path, examples: &Path) {
    let version = told(Command::new(program).arg("--version"));
    assert_eq!(version.trim(), format!("shapegate {VERSION}"));
    for name in ["minimal.yaml", "guide-proxy-auth.yaml", "tenants.yaml"] {
        let mut check = Command::new(program);
        check.arg("check").arg("-c").arg(examples.join(name));
        for (variable, value) in [
            ("ELECTRIC_SECRET", "an-electric-secret-of-the-tests-canary"),
            ("JWT_SECRET", "a-jwt-secret-of-32-bytes-or-more-canary"),
        ] {
            check.env(variable, value);
        }
        told(&mut check);
    }
}

fn checksums_tell_it_from_one_that_was_tampered_with(release: &Release) {
    assert!(release.sums_are_right());
    for ending in [".tar.gz", ".cdx.json"] {
        let path = release.file(ending);
        let right = fs::read(&path).unwrap();
        let mut wrong = right.clone();
        let middle = wrong.len() / 2;
        wrong[middle] ^= 1;
        fs::write(&path, &wrong).unwrap();
        assert!(!release.sums_are_right(), "{ending}");
        fs::write(&path, &right).unwrap();
    }
    assert!(release.sums_are_right());
}

fn lists_what_it_is_built_from_and_nothing_else(list: &Value) {
    assert_eq!(list["bomFormat"], "CycloneDX");
    assert_eq!(list["specVersion"], "1.5");
    let program = &list["metadata"]["component"];
    assert_eq!(program["name"], "shapegate");
    assert_eq!(program["version"], VERSION);
    let text = list.to_string();
    assert!(!text.contains(env!("CARGO_MANIFEST_DIR")), "where it was built");

    let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
    let mut names = BTreeSet::new();
    for part in list["components"].as_array().unwrap() {
        let (name, version) = (part["name"].as_str().unwrap(), part["version"].as_str().unwrap());
        let locked = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        assert!(lock.contains(&locked), "{name} {version} is not in Cargo.lock");
        let url = part["purl"].as_str().unwrap_or_default();
        assert!(url.starts_with(&format!("pkg:cargo/{name}@{version}")), "{url}");
        names.insert(name);
    }
    for name in [
        "pingora-core",
        "pingora-proxy",
        "rustls",
        "jsonwebtoken",
        "sqlparser",
        "cel",
        "tokio",
        "tikv-jemallocator",
        "shapegate-core",
    ] {
        assert!(names.contains(name), "{name} is missing");
    }
    for name in ["proptest", "divan", "tempfile", "ruzstd"] {
        assert!(!names.contains(name), "{name} is for tests alone");
    }
}
