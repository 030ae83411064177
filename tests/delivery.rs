//! What the program is delivered in: the unit, the container, the chart. What can be checked without running them is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use shapegate::config::{self, FileContent, Surroundings};
use shapegate::tenant;

/// `systemd-analyze security` in tenths: 2.0.
const EXPOSURE_MAX: &str = "20";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The keys of a unit's section; those that are given several times, in order.
fn section(unit: &str, name: &str) -> BTreeMap<String, Vec<String>> {
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut inside = false;
    for line in unit.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == format!("[{name}]");
        } else if let Some((key, value)) = line.split_once('=').filter(|_| inside && !line.starts_with('#')) {
            keys.entry(key.to_owned()).or_default().push(value.to_owned());
        }
    }
    keys
}

#[test]
fn the_unit_is_hardened() {
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(format!("--threshold={EXPOSURE_MAX}"))
        .arg(root().join("systemd/shapegate.service"))
        .output()
        .expect("systemd-analyze: scripts/need.sh systemd");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("Overall exposure level"), "{told}");
    assert!(output.status.success(), "{told}");
}

#[test]
fn the_unit_says_what_the_program_does() {
    let unit = text("systemd/shapegate.service");
    let service = section(&unit, "Service");
    let one = |key: &str| service[key][0].as_str();
    assert_eq!(one("Type"), "notify");
    assert_eq!(
        one("NotifyAccess"),
        "main",
        "an upgrade is announced by the process that goes"
    );
    assert_eq!(
        one("KillMode"),
        "mixed",
        "an old process may finish while the new one serves"
    );
    assert!(one("ExecReload").contains("-HUP"));
    assert!(one("LoadCredential").starts_with("electric-secret:"));
    // The command's default socket is the folder's.
    assert_eq!(one("RuntimeDirectory"), "shapegate");
    let stop = config::read_duration(one("TimeoutStopSec")).unwrap();
    assert!(stop > config::Leaving::default().grace_period, "{stop:?}");
    assert!(service.contains_key("WatchdogSec"));
}

#[test]
fn the_socket_unit_is_for_that_service() {
    let socket = section(&text("systemd/shapegate.socket"), "Socket");
    assert_eq!(socket["ListenStream"], ["[::]:8080", "127.0.0.1:9090"]);
    assert!(
        !socket.contains_key("Accept"),
        "one process takes all connections"
    );
}

/// Variables as a container has them.
struct Environment;

impl Surroundings for Environment {
    fn variable(&self, name: &str) -> Option<String> {
        matches!(name, "ELECTRIC_SECRET" | "JWT_SECRET")
            .then(|| "0123456789abcdef0123456789abcdef".to_owned())
    }

    fn file(&self, path: &Path, _: usize) -> io::Result<FileContent> {
        panic!("{} is in no image", path.display())
    }

    fn credential(&self, name: &str) -> Option<PathBuf> {
        panic!("a container has no credential {name}")
    }
}

fn right(name: &str, text: &str) -> config::Loaded {
    let path = PathBuf::from(name);
    let loaded = config::load_texts(&[(&path, text)], &Environment)
        .unwrap_or_else(|problems| panic!("{}", problems.render()));
    assert_eq!(loaded.warnings.render(), "", "{name}");
    assert!(tenant::compile(&loaded.config).is_ok(), "{name}");
    loaded
}

#[test]
fn the_compose_file_runs_the_gateway_with_a_right_configuration_and_time_to_finish() {
    let compose = yaml("deploy/compose.yaml");
    let gateway = &compose["services"]["gateway"];
    let (build, config) = (&gateway["build"], "deploy/compose/shapegate.yaml");
    let dockerfile = build["dockerfile"].as_str().unwrap();
    assert!(root().join(dockerfile).exists());
    let mounted = gateway["volumes"][0].as_str().unwrap();
    assert_eq!(
        mounted,
        "./compose/shapegate.yaml:/etc/shapegate/shapegate.yaml:ro"
    );
    let loaded = right(config, &text(config));
    let leaving = &loaded.config.server.leaving;
    let stop = config::read_duration(gateway["stop_grace_period"].as_str().unwrap()).unwrap();
    assert!(stop > leaving.shutdown_delay + leaving.grace_period);
    for service in ["postgres", "electric"] {
        assert!(
            compose["services"][service].get("ports").is_none(),
            "{service} is for the gateway alone"
        );
    }
    let secrets = &gateway["environment"];
    assert!(
        secrets["ELECTRIC_SECRET"].as_str().unwrap().contains(":?"),
        "none has a default"
    );
}

#[test]
fn the_image_has_the_program_alone_and_no_root() {
    let dockerfile = text("deploy/Dockerfile");
    let last = &dockerfile[dockerfile.rfind("FROM ").unwrap()..];
    assert!(last.starts_with("FROM scratch"), "{last}");
    assert!(last.contains("USER 65532:65532") && last.contains("ENTRYPOINT [\"/shapegate\"]"));
    let toolchain = dockerfile
        .lines()
        .find_map(|line| line.strip_prefix("ARG RUST_VERSION="))
        .unwrap();
    let minor = |version: &str| version.split('.').nth(1).unwrap().parse::<u32>().unwrap();
    let manifest = text("Cargo.toml");
    let least = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .unwrap();
    assert!(
        minor(toolchain) >= minor(least.trim_matches('"')),
        "{toolchain} is older than {least}"
    );
    assert!(text(".dockerignore").lines().any(|line| line == "target"));
}

#[test]
fn the_charts_values_are_a_right_configuration_and_leave_a_pod_time_to_finish() {
    let values = yaml("deploy/helm/shapegate/values.yaml");
    let config = serde_json::to_string(&values["config"]).unwrap();
    let loaded = right("values.yaml", &config);
    let server = &loaded.config.server;
    let grace = values["terminationGracePeriodSeconds"].as_u64().unwrap();
    let needed = server.leaving.shutdown_delay + server.leaving.grace_period;
    assert!(
        Duration::from_secs(grace) > needed,
        "{grace} s, {needed:?} are needed"
    );
    assert!(
        server.leaving.shutdown_delay > Duration::ZERO,
        "balancers hear of it late"
    );
    assert_eq!(server.listen[0].port(), 8080);
    assert_eq!(server.health.unwrap().port(), 8081, "where the probes ask");
    let schema: Value = serde_json::from_str(&text("deploy/helm/shapegate/values.schema.json")).unwrap();
    for key in schema["required"].as_array().unwrap() {
        assert!(values.get(key.as_str().unwrap()).is_some(), "{key}");
    }
    let chart = yaml("deploy/helm/shapegate/Chart.yaml");
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_charts_pods_are_asked_how_they_are_and_replaced_without_a_gap() {
    let deployment = text("deploy/helm/shapegate/templates/deployment.yaml");
    let probe = |name: &str| {
        let rest = deployment.split(&format!("{name}Probe:")).nth(1).unwrap();
        rest.lines().nth(1).unwrap().trim().to_owned()
    };
    // A gateway that drains is alive, and gets no more connections.
    assert_eq!(probe("liveness"), "httpGet: { path: /healthz, port: health }");
    assert_eq!(probe("startup"), "httpGet: { path: /healthz, port: health }");
    assert_eq!(probe("readiness"), "httpGet: { path: /readyz, port: health }");
    assert!(deployment.contains("- { name: health, containerPort: 8081 }"));
    assert!(deployment.contains("rollingUpdate: { maxSurge: 1, maxUnavailable: 0 }"));
    assert!(
        deployment.contains("terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}")
    );
}

#[test]
fn the_charts_templates_read_only_values_that_there_are() {
    let values = yaml("deploy/helm/shapegate/values.yaml");
    let folder = root().join("deploy/helm/shapegate/templates");
    let mut read = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let template = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert_eq!(template.matches("{{").count(), template.matches("}}").count());
        let begun = ["if ", "with ", "range ", "define "]
            .map(|word| template.matches(&format!("{{{{- {word}")).count());
        assert_eq!(
            begun.iter().sum::<usize>(),
            template.matches("{{- end }}").count()
        );
        for place in template.split(".Values.").skip(1) {
            let path = place
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '.')
                .next()
                .unwrap();
            let mut value = &values;
            for key in path.trim_end_matches('.').split('.') {
                value = value.get(key).unwrap_or_else(|| panic!("there is no {path}"));
            }
            read += 1;
        }
    }
    assert!(read > 20, "{read}");
}

#[test]
fn the_chart_has_a_place_for_what_operators_revoke() {
    let template = text("deploy/helm/shapegate/templates/deployment.yaml");
    let (container, volumes) = template.split_once("      volumes:\n").unwrap();
    let named = |text: &str, before: &str| -> Vec<String> {
        let names = text.lines().filter_map(|line| line.trim().strip_prefix(before));
        names
            .map(|rest| rest.split([',', ' ']).next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(named(container, "- { name: ").split_off(2), ["config", "state"]);
    assert_eq!(named(volumes, "- name: "), ["config", "state"]);
    assert!(
        container.contains("- { name: state, mountPath: /var/lib/shapegate }\n"),
        "writable"
    );
    let values = text("deploy/helm/shapegate/values.yaml");
    assert!(values.contains("revocations: { state: /var/lib/shapegate/revocations.json }"));
    let group = |key: &str| named(container, key);
    assert_eq!(group("runAsGroup: "), group("fsGroup: "), "whose the volume is");
}
