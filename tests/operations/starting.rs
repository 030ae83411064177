//! Starting, or saying why not.

use std::fs;
use std::net::TcpListener;

use crate::program::{Setup, run};
use crate::support::token::member;

#[tokio::test]
async fn it_starts_serves_and_prints_no_secret() {
    let program = Setup::new().start().await;
    let answer = program.get("/api/shapes/users?offset=-1", Some(&member(1))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("Alice") && !answer.text().contains("Carol"));
    let answer = program.get("/api/shapes/users?offset=-1", None).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "token_missing"));
    assert!(!program.output().contains("canary"), "{}", program.output());
    assert!(!program.admin("/metrics").await.text().contains("canary"));
}

#[test]
fn a_broken_configuration_is_refused_with_its_place_and_exit_code_1() {
    let setup = Setup::new();
    let config = setup.path("shapegate.yaml");
    let text = setup.config("http://127.0.0.1:1").replace("columns:", "colums:");
    fs::write(&config, &text).unwrap();
    for verb in ["serve", "check"] {
        let output = run(verb, &config);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        let line = text.lines().position(|line| line.contains("colums")).unwrap() + 1;
        let place = format!("shapegate.yaml:{line}:5");
        assert!(told.contains(&place), "{place} in {told}");
        assert!(told.contains("columns"), "it says what was meant: {told}");
        assert!(!told.contains("canary"), "{told}");
    }
}

#[test]
fn a_configuration_that_is_missing_or_no_yaml_is_refused() {
    let setup = Setup::new();
    let missing = setup.path("missing.yaml");
    let output = run("serve", &missing);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("missing.yaml"));
    let broken = setup.path("broken.yaml");
    fs::write(&broken, "shapes: [\n").unwrap();
    let output = run("serve", &broken);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("broken.yaml:"), "{told}");
}

#[test]
fn an_address_that_is_taken_ends_the_program_with_exit_code_1_and_its_name() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for which in ["public", "admin"] {
        let mut setup = Setup::new();
        if which == "public" {
            setup.address = address;
        } else {
            setup.admin = address;
        }
        let config = setup.path("shapegate.yaml");
        fs::write(&config, setup.config("http://127.0.0.1:1")).unwrap();
        let output = run("serve", &config);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{which}: {told}");
        assert!(told.contains(&address.to_string()), "{which}: {told}");
        assert!(!told.contains("panicked"), "{which}: {told}");
    }
}

#[test]
fn a_socket_in_a_folder_that_is_not_there_ends_the_program_with_exit_code_1() {
    let setup = Setup::new();
    let config = setup.path("shapegate.yaml");
    let listen = format!("admin: {{ listen: \"{}\" }}", setup.admin);
    let text = setup.config("http://127.0.0.1:1");
    let text = text.replace(&listen, "admin: { listen: \"unix:missing/admin.sock\" }");
    fs::write(&config, text).unwrap();
    let output = run("serve", &config);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("missing/admin.sock"), "{told}");
}

#[tokio::test]
async fn it_starts_while_its_upstream_is_down_and_serves_when_that_comes_up() {
    let setup = Setup::new();
    let electric = crate::program::free_address();
    let text = setup.config(&format!("http://{electric}"));
    let program = setup.start_with(crate::support::gateway::origin(), &text).await;
    let target = "/api/shapes/users?offset=-1";
    let answer = program.get(target, Some(&member(1))).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "upstream_unreachable")
    );
    let _late = shapegate_origin::Origin::start(shapegate_origin::OriginConfig {
        listen: electric,
        secret: Some(crate::support::gateway::ELECTRIC_SECRET.to_owned()),
        schema: shapegate_origin::Schema::recordings(),
        ..shapegate_origin::OriginConfig::default()
    })
    .unwrap();
    let answer = program.get(target, Some(&member(1))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn an_upstream_given_by_name_is_found_in_the_background() {
    let setup = Setup::new();
    let origin = crate::support::gateway::origin();
    let text = setup.config(&format!("http://localhost:{}", origin.address().port()));
    let program = setup.start_with(origin, &text).await;
    let asking = async {
        loop {
            let answer = program.get("/api/shapes/users?offset=-1", Some(&member(1))).await;
            if answer.status == 200 {
                return answer;
            }
            assert_eq!(answer.status, 502, "{}", answer.text());
        }
    };
    let answer = crate::support::patience::soon(asking).await;
    assert!(answer.text().contains("Alice"));
}
