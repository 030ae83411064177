//! The Debian package: made, installed into a root of its own, started as its unit would, removed, purged. And the
//! archive of a release.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

#[path = "package/archive.rs"]
mod archive;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use support::gateway::{ELECTRIC_SECRET, get, origin};
use support::patience::{soon, until};
use support::ports::free_address;
use support::raw::Raw;
use tempfile::TempDir;

/// What there is of the machine's own that the package could reach, were its scripts careless.
const OUTSIDE: [&str; 4] = [
    "/etc/shapegate",
    "/usr/bin/shapegate",
    "/etc/systemd/system/shapegate.service",
    "/usr/lib/sysusers.d/shapegate.conf",
];

fn told(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}: scripts/need.sh packaging"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}{complaints}");
    text
}

/// A folder that is a system's root to dpkg.
struct Root(TempDir);

impl Root {
    fn new() -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        for folder in ["etc", "usr/bin", "var/lib/dpkg/info", "var/lib/dpkg/updates"] {
            fs::create_dir_all(root.path(folder)).unwrap();
        }
        fs::write(root.path("var/lib/dpkg/status"), "").unwrap();
        root
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.0.path().join(inside.trim_start_matches('/'))
    }

    /// dpkg in this root, which lacks what the package depends on. Its scripts run with the machine's programs and
    /// `DPKG_ROOT`; nobody has to be root.
    fn dpkg(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("fakeroot");
        command
            .arg("dpkg")
            .arg(format!("--root={}", self.0.path().display()))
            .arg("--force-depends,script-chrootless,not-root,unsafe-io")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive");
        told(&mut command)
    }

    /// Every file in it but dpkg's own notes and the users' and groups'.
    fn files(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let inside = path.strip_prefix(self.0.path()).unwrap().display().to_string();
                if path.is_dir() && !path.is_symlink() {
                    folders.push(path);
                } else if !inside.starts_with("var/lib/dpkg/") {
                    found.insert(inside);
                }
            }
        }
        let users = ["passwd", "group", "shadow", "gshadow", ".pwd.lock"];
        found.retain(|file| {
            let name = file.strip_prefix("etc/").unwrap_or_default();
            !users.contains(&name.trim_end_matches('-'))
        });
        found
    }

    fn mode(&self, inside: &str) -> u32 {
        fs::metadata(self.path(inside)).unwrap().permissions().mode() & 0o7777
    }
}

/// Makes the package of the program that the tests are built with.
fn package(folder: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let programs = Path::new(env!("CARGO_BIN_EXE_shapegate")).parent().unwrap();
    told(
        Command::new(root.join("scripts/deb.sh"))
            .args(["--no-build", "--profile", "dev", "--out"])
            .arg(folder)
            .env("CARGO_TARGET_DIR", programs.parent().unwrap()),
    );
    let made = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let made: Vec<PathBuf> = made.collect();
    assert_eq!(made.len(), 1, "{made:?}");
    made[0].clone()
}

/// A running program; killed when dropped.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The value of a key that the unit has once.
fn one<'u>(unit: &'u str, key: &str) -> &'u str {
    let values: Vec<&str> = unit
        .lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .collect();
    assert_eq!(values.len(), 1, "{key}: {values:?}");
    values[0]
}

/// Starts what the unit says, within the root, with a further file of configuration.
fn start(root: &Root, more: &Path, output: &Path) -> Service {
    let unit = fs::read_to_string(root.path("usr/lib/systemd/system/shapegate.service")).unwrap();
    let words: Vec<&str> = one(&unit, "ExecStart").split(' ').collect();
    let [program, arguments @ .., config] = words.as_slice() else {
        panic!("{words:?}");
    };
    // What systemd does for LoadCredential= and RuntimeDirectory=.
    let (credential, source) = one(&unit, "LoadCredential").split_once(':').unwrap();
    let (credentials, runtime) = (root.path("run/credentials"), root.path("run/shapegate"));
    for folder in [&credentials, &runtime] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::copy(root.path(source), credentials.join(credential)).unwrap();
    let log = fs::File::create(output).unwrap();
    let child = Command::new(root.path(program))
        .args(arguments)
        .arg(root.path(config))
        .arg("-c")
        .arg(more)
        .env_clear()
        .env("CREDENTIALS_DIRECTORY", &credentials)
        .env("RUNTIME_DIRECTORY", &runtime)
        .env("RUST_LOG", "info")
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    Service(child)
}

#[tokio::test]
async fn the_package_is_installed_runs_as_its_unit_says_is_removed_and_leaves_nothing_when_purged() {
    let before: Vec<bool> = OUTSIDE.iter().map(|path| Path::new(path).exists()).collect();
    let (folder, root) = (tempfile::tempdir().unwrap(), Root::new());
    let package = package(folder.path());
    let empty = root.files();

    root.dpkg(&["--install", package.to_str().unwrap()]);
    let status = root.dpkg(&["--status", "shapegate"]);
    assert!(status.contains("Status: install ok installed"), "{status}");
    let passwd = fs::read_to_string(root.path("etc/passwd")).unwrap();
    assert!(
        passwd.lines().any(|line| line.starts_with("shapegate:")),
        "{passwd}"
    );
    assert_eq!(root.mode("etc/shapegate/credentials"), 0o700);
    assert_eq!(root.mode("usr/bin/shapegate"), 0o755);
    let installed = root.files();
    for file in [
        "usr/lib/systemd/system/shapegate.socket",
        "usr/share/man/man1/shapegate.1.gz",
        "usr/share/man/man1/shapegate-serve.1.gz",
        "usr/share/bash-completion/completions/shapegate",
        "usr/share/zsh/vendor-completions/_shapegate",
        "usr/share/fish/vendor_completions.d/shapegate.fish",
        "usr/share/doc/shapegate/copyright",
        "usr/share/doc/shapegate/configuration.md",
        "usr/share/doc/shapegate/grafana/shapegate.json",
        "usr/share/doc/shapegate/prometheus/alerts.yaml",
    ] {
        assert!(installed.contains(file), "{file} of {installed:?}");
    }
    let enabled = installed.iter().find(|file| file.contains(".wants/"));
    assert_eq!(enabled, None, "nothing starts before it is configured");

    runs(&root, folder.path()).await;

    // An operator's own changes outlive a removal, as Debian has it.
    let config = root.path("etc/shapegate/shapegate.yaml");
    let changed = fs::read_to_string(&config).unwrap() + "# ours\n";
    fs::write(&config, &changed).unwrap();
    root.dpkg(&["--install", package.to_str().unwrap()]);
    assert_eq!(
        fs::read_to_string(&config).unwrap(),
        changed,
        "an upgrade keeps them"
    );
    fs::remove_dir_all(root.path("run")).unwrap();
    root.dpkg(&["--remove", "shapegate"]);
    assert!(!root.path("usr/bin/shapegate").exists());
    assert_eq!(fs::read_to_string(&config).unwrap(), changed);
    assert!(root.path("etc/shapegate/credentials/electric-secret").exists());

    root.dpkg(&["--purge", "shapegate"]);
    assert_eq!(root.files(), empty, "nothing is left, secrets least of all");
    assert!(!root.path("etc/shapegate").exists());
    let known = fs::read_to_string(root.path("var/lib/dpkg/status")).unwrap();
    assert!(!known.contains("Package: shapegate"), "{known}");
    let after: Vec<bool> = OUTSIDE.iter().map(|path| Path::new(path).exists()).collect();
    assert_eq!(before, after, "the machine's own system is left alone");
}

/// It serves with the configuration that it comes with, asks Electric with the secret that systemd hands over, and
/// goes when it is told to.
async fn runs(root: &Root, folder: &Path) {
    let (electric, address, admin) = (origin(), free_address(), free_address());
    let credential = root.path("etc/shapegate/credentials/electric-secret");
    fs::write(&credential, format!("{ELECTRIC_SECRET}\n")).unwrap();
    // The packaged addresses may be somebody else's here.
    let (more, output) = (folder.join("more.yaml"), folder.join("output"));
    let text = format!(
        "server: {{ listen: \"{address}\" }}\nadmin: {{ listen: \"{admin}\" }}\nelectric: {{ url: \"{}\" }}\n",
        electric.url()
    );
    fs::write(&more, text).unwrap();
    let mut service = start(root, &more, &output);
    let log = || fs::read_to_string(&output).unwrap();
    let mut ended = None;
    until("it is ready", || {
        ended = service.0.try_wait().unwrap();
        ended.is_some() || log().contains("] ready\n")
    })
    .await;
    assert!(ended.is_none(), "{}", log());
    assert!(root.path("run/shapegate/upgrade.sock").exists());
    let ready = format!("GET /readyz HTTP/1.1\r\nhost: {admin}\r\n\r\n");
    let answer = soon(Raw::connect(admin).await.ask(ready)).await;
    assert_eq!(answer.status, 200, "{}", log());

    let shape = get("/api/shapes/items?offset=-1", None);
    let answer = soon(Raw::connect(address).await.ask(shape)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let received = electric.received();
    let shapes = received.iter().map(|one| one.target.as_str());
    let asked: Vec<&str> = shapes.filter(|target| target.starts_with("/v1/shape?")).collect();
    assert_eq!(asked.len(), 1, "{received:?}");
    assert!(
        asked[0].contains("table=%22public%22.%22items%22&where=false"),
        "{asked:?}"
    );
    assert!(
        asked[0].ends_with(&format!("secret={ELECTRIC_SECRET}")),
        "{asked:?}"
    );

    told(Command::new("kill").args(["-TERM", &service.0.id().to_string()]));
    let mut status = None;
    until("it ends", || {
        status = service.0.try_wait().unwrap();
        status.is_some()
    })
    .await;
    assert_eq!(status.unwrap().code(), Some(0), "{}", log());
}
