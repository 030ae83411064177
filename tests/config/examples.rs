use crate::support::{Given, PUBLIC_KEYS, accepted, accepted_in, load_in, private_key};
use shapegate::config::{AccessSetting, AdminListen, Origins, TableSetting};
use shapegate::gatekeeper::SigningAlgorithm;
use shapegate::identity::KeySource;
use shapegate::identity::remote::{KeyLocation, RemoteSource};
use shapegate::tenant;
use std::time::Duration;

fn example(name: &str) -> String {
    let path = format!("{}/conf/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn every_example_is_right_and_compiles() {
    let given = Given::with_what_examples_name()
        .file("/etc/gatekeeper.pem", &private_key(SigningAlgorithm::Es256))
        .file("/etc/gatekeeper-jwks.json", PUBLIC_KEYS);
    let folder = std::fs::read_dir(format!("{}/conf", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let names: Vec<String> = folder
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        let loaded =
            load_in(&example(&name), &given).unwrap_or_else(|problems| panic!("{name}:\n{problems}"));
        assert_eq!(loaded.warnings.render(), "", "{name}");
        assert!(tenant::compile(&loaded.config).is_ok(), "{name}");
        let printed = loaded.print();
        let again =
            load_in(&printed, &given).unwrap_or_else(|problems| panic!("{name}:\n{printed}\n{problems}"));
        assert_eq!(again.print(), printed, "{name}");
    }
}

#[test]
fn a_preset_is_printed_as_what_it_stands_for_and_so_are_the_defaults_of_methods() {
    let given = Given::new().variable("DATABASE_URL", "postgres://shapegate@127.0.0.1/app");
    let loaded = accepted_in(&example("identity.yaml"), &given);
    let printed = loaded.print();
    for part in [
        "preset: clerk",
        "org_id:",
        "from: [",
        "lifetime_max: ",
        "ttl: 30s",
        "timeout: 3s",
        "pool_size: 8",
    ] {
        assert!(printed.contains(part), "{part} is not in\n{printed}");
    }
    let again = accepted_in(&printed, &given);
    let issuers = |loaded: &shapegate::config::Loaded| {
        let issuers = loaded.config.tenants[0].identity.issuers.iter();
        issuers.map(|issuer| issuer.value.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        issuers(&again),
        issuers(&loaded),
        "it means the same without the preset's help"
    );
}

#[test]
fn the_minimal_example_has_every_default() {
    let config = accepted(&example("minimal.yaml")).config;
    assert_eq!(config.server.listen[0].to_string(), "0.0.0.0:8080");
    assert_eq!(
        config.server.admin,
        AdminListen::Tcp("127.0.0.1:9090".parse().unwrap())
    );
    assert!(config.server.health.is_none() && config.server.tls.is_none());
    assert_eq!(
        (
            config.server.limits.body_bytes_max,
            config.server.limits.header_bytes_max
        ),
        (262_144, 32_768)
    );
    assert_eq!(config.tenants[0].cors.origins, Origins::Any);
    assert!(!config.tenants[0].cors.credentials);
    assert_eq!(
        config.tenants[0].identity.issuers[0].value.lifetime_max,
        Some(Duration::from_secs(86_400))
    );
    let users = &config.tenants[0].shapes[0].settings;
    assert_eq!(users.path.value.to_string(), "/api/shapes/users");
    assert_eq!(users.access.value, AccessSetting::Required);
    assert_eq!(users.rules.len(), 2);
    assert!(users.hub && !users.delete && !users.strict);
}

#[test]
fn the_guides_route_handler_is_eight_lines_of_shapes() {
    let text = example("guide-proxy-auth.yaml");
    let lines = text
        .lines()
        .skip_while(|line| !line.starts_with("shapes:"))
        .filter(|line| !line.trim().is_empty());
    assert_eq!(lines.count(), 8);
}

#[test]
fn the_grown_up_example_means_what_it_says() {
    let config = accepted_in(&example("grown-up.yaml"), &Given::new()).config;
    assert_eq!(config.server.trusted_proxies[0].to_string(), "10.0.0.0/8");
    assert_eq!(config.server.health.unwrap().to_string(), "0.0.0.0:8081");
    assert_eq!(
        config.tenants[0].electric.url.to_string(),
        "http://127.0.0.1:3000"
    );
    assert!(
        config.tenants[0].cors.credentials
            && config.tenants[0].cors.origins.grant("https://x.acme.vercel.app")
    );
    assert!(!config.tenants[0].cors.origins.grant("https://evil.example.com"));
    let any = config.tenants[0]
        .shapes
        .iter()
        .find(|shape| &*shape.settings.name.value == "any")
        .unwrap();
    assert!(matches!(any.settings.table.value, TableSetting::AnyOf(_)) && any.settings.any_where);
}

#[test]
fn the_minimal_example_lets_keys_be_found_by_their_issuers_name() {
    let config = accepted(&example("minimal.yaml")).config;
    let keys = &config.tenants[0].identity.issuers[0].value.keys;
    assert_eq!(*keys, [KeySource::Remote(RemoteSource::of(KeyLocation::Issuer))]);
}
