//! `shapegate test` and `shapegate init`.

use std::fs;

use crate::program::{Ended, in_conf, keeps_secrets, run, shapegate};

const HEAD: &str = "
config: [shapegate.yaml]
environment: { ELECTRIC_SECRET: none, JWT_SECRET: a-secret-of-32-bytes-for-tests-only }
cases:
";

/// Runs tests, of which `cases` are the cases, with the guide's configuration.
fn tested(cases: &str) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/guide-proxy-auth.yaml");
    fs::copy(guide, folder.path().join("shapegate.yaml")).unwrap();
    let file = folder.path().join("tests.yaml");
    fs::write(&file, format!("{HEAD}{cases}")).unwrap();
    run(&mut shapegate(&["test", file.to_str().unwrap()]))
}

#[test]
fn every_example_of_policy_tests_passes() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/policy-tests");
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // The tests bring their own variables.
        let ended = run(&mut shapegate(&["test", path.to_str().unwrap()]));
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.output.ends_with(" passed, 0 failed\n"), "{}", ended.output);
        files += 1;
    }
    assert!(files > 0);
}

#[test]
fn a_test_that_fails_says_what_came_instead_and_why() {
    let ended = tested(
        r#"
  - { name: as it is, request: /api/shapes/items, claims: { sub: a, org_id: 7 }, expect: { where: '"org_id" = 7' } }
  - { name: other rows, request: /api/shapes/items, claims: { sub: a, org_id: 8 }, expect: { where: org_id = $1, params: [7] } }
  - { name: too much, request: /api/shapes/items, claims: { sub: a, org_id: 8 }, expect: { rows: all } }
  - { name: let in, request: /api/shapes/items, claims: { sub: a, org_id: 8 }, expect: { refused: forbidden } }
  - { name: shut out, request: /api/shapes/items, claims: { sub: a }, expect: { rows: all } }
  - { name: another code, request: /api/shapes/items, expect: { refused: forbidden } }
  - { name: another rule, request: /api/shapes/items, claims: { sub: a, roles: [admin] }, expect: { rows: all, rule: "rules[1]" } }
  - { name: other columns, request: /api/shapes/items, claims: { sub: a, roles: [admin] }, expect: { rows: all, columns: [id] } }
"#,
    );
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.output.starts_with("ok      as it is\n"), "{}", ended.output);
    assert!(
        ended.output.ends_with("1 test passed, 7 failed\n"),
        "{}",
        ended.output
    );
    for line in [
        "FAILED  other rows\n        expected rows where (\"org_id\" = $1) with [\"7\"]\n",
        "FAILED  let in\n        expected to be refused with forbidden\n",
        "FAILED  shut out\n        expected to be allowed\n",
        "FAILED  another rule\n        expected rules[1] to decide\n",
        "        REFUSED 401 token_missing",
        "                    user.org_id = 8\n",
    ] {
        assert!(
            ended.output.contains(line),
            "{line:?} is not in\n{}",
            ended.output
        );
    }
}

#[test]
fn a_file_that_could_not_test_anything_is_refused() {
    for cases in [
        "  []",
        "  - { name: a, request: /api/shapes/items, expect: {} }",
        "  - { name: a, request: /api/shapes/items, expect: { rows: some } }",
        "  - { name: a, request: /api/shapes/items, expect: { refused: no_such_code } }",
        "  - { name: a, request: /api/shapes/items, expect: { refused: forbidden, rows: all } }",
        "  - { name: a, request: /api/shapes/items, expect: { refused: forbidden, rule: 'rules[0]' } }",
        "  - { name: a, request: /api/shapes/items, expect: { rows: all, params: [1] } }",
        "  - { name: a, request: /api/shapes/items, expect: { where: 'a = $1' } }",
        "  - { name: a, request: /api/shapes/items, expect: { where: 'a = $1; drop table a', params: [1] } }",
        "  - { name: a, request: /api/shapes/items, claim: { sub: a }, expect: { rows: all } }",
        "  - { name: a, request: items, expect: { rows: all } }",
    ] {
        let ended = tested(cases);
        assert_eq!(ended.code, 2, "{cases}: {ended:?}");
        assert!(
            ended.complaints.starts_with("error: "),
            "{cases}: {}",
            ended.complaints
        );
        assert!(!ended.output.contains("passed"), "{cases}: {}", ended.output);
    }
}

#[test]
fn facts_are_given_in_place_of_an_authoriser() {
    let folder = tempfile::tempdir().unwrap();
    let config = "
electric: { url: http://127.0.0.1:3000, secret: { env: ELECTRIC_SECRET } }
identity: [ { jwt: { issuer: acme, audience: sync, claims: { org: { from: app.org, type: int } }, keys: [ { alg: HS256, secret: { env: JWT_SECRET } } ] } } ]
shapes:
  users:
    path: /projects/{project:int}/users
    table: users
    columns: all
    authorize:
      team: { http: { url: http://127.0.0.1:1/check, defaults: { role: none } } }
    rules:
      - when: decision.team.role == \"owner\" && has(user.org)
        rows: { where: 'project = $1 AND org = $2', params: [request.path.project, user.org] }
";
    fs::write(folder.path().join("shapegate.yaml"), config).unwrap();
    let cases = "
  - name: owners see their project
    request: /projects/3/users
    claims: { sub: a, app: { org: 9 } }
    decision: { team: { role: owner } }
    expect: { where: project = $1 AND org = $2, params: [3, 9] }
  - name: guests do not
    request: /projects/3/users
    claims: { sub: a, app: { org: 9 } }
    decision: { team: { role: guest } }
    expect: { refused: forbidden }
";
    let file = folder.path().join("tests.yaml");
    fs::write(&file, format!("{HEAD}{cases}")).unwrap();
    let ended = run(&mut shapegate(&["test", file.to_str().unwrap()]));
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn other_configurations_can_be_tested_in_place_of_those_named() {
    let ended = run(&mut in_conf(&[
        "test",
        "-c",
        "minimal.yaml",
        "policy-tests/guide-proxy-auth.yaml",
    ]));
    assert_eq!(ended.code, 1, "{ended:?}");
    keeps_secrets(&ended);
    assert!(ended.output.contains("REFUSED 404 not_found"), "{}", ended.output);
}

#[test]
fn a_first_configuration_is_right_as_it_is_written_and_never_written_over_another() {
    let folder = tempfile::tempdir().unwrap();
    let inside = |arguments: &[&str]| {
        let mut command = shapegate(arguments);
        run(command
            .current_dir(folder.path())
            .env("ELECTRIC_SECRET", "one-canary"))
    };
    let ended = inside(&["init"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let checked = inside(&["check", "-c", "shapegate.yaml"]);
    assert_eq!(
        (checked.code, checked.output.as_str(), checked.complaints.as_str()),
        (0, "The configuration is right: 1 shape, 0 warnings.\n", "")
    );
    let claims = r#"{"sub": "ann", "org_id": 7}"#;
    let told = inside(&[
        "explain",
        "-c",
        "shapegate.yaml",
        "--claims",
        claims,
        "/api/shapes/users",
    ]);
    assert_eq!(told.code, 0, "{told:?}");
    let text = fs::read_to_string(folder.path().join("shapegate.yaml")).unwrap();
    assert_eq!(inside(&["init", "-"]).output, text);
    fs::write(folder.path().join("shapegate.yaml"), "mine").unwrap();
    let again = inside(&["init"]);
    assert_eq!(again.code, 1, "{again:?}");
    assert_eq!(
        fs::read_to_string(folder.path().join("shapegate.yaml")).unwrap(),
        "mine"
    );
}

#[test]
fn what_the_first_configuration_shows_in_comments_is_right_too() {
    let text = run(&mut shapegate(&["init", "-"])).output;
    let (before, rest) = text.split_once("  # projects:").unwrap();
    let uncommented: String = format!("  # projects:{rest}")
        .lines()
        .map(|line| line.replacen("  # ", "  ", 1) + "\n")
        .collect();
    let cors = before.replace("# cors:", "cors:");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), format!("{cors}{uncommented}")).unwrap();
    let mut command = shapegate(&["check", "-c", "a.yaml"]);
    let ended = run(command.current_dir(folder.path()).env("ELECTRIC_SECRET", "one"));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.output.contains("2 shapes, 0 warnings"), "{ended:?}");
}
