//! `shapegate explain`: why a request is answered as it is.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use tempfile::TempDir;

use crate::program::{ELECTRIC_SECRET, Ended, JWT_SECRET, in_conf, keeps_secrets, run, shapegate};
use crate::support::gateway::Gateway;
use crate::support::scripted::Scripted;
use crate::support::token::{AUDIENCE, IDENTITY, ISSUER, member};

const GUIDE: &str = "guide-proxy-auth.yaml";

fn guide(arguments: &[&str]) -> Ended {
    let mut all = vec!["explain", "-c", GUIDE];
    all.extend(arguments);
    let ended = run(&mut in_conf(&all));
    keeps_secrets(&ended);
    ended
}

/// Explains with a configuration of one's own, of which `rest` is what follows `electric`.
fn explain(rest: &str, arguments: &[&str]) -> Ended {
    let (folder, file) = written(rest);
    let mut all = vec!["explain", "-c", &file];
    all.extend(arguments);
    let mut command = shapegate(&all);
    command
        .current_dir(folder.path())
        .env("ELECTRIC_SECRET", ELECTRIC_SECRET)
        .env("JWT_SECRET", JWT_SECRET);
    let ended = run(&mut command);
    keeps_secrets(&ended);
    ended
}

fn written(rest: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shapegate.yaml");
    let electric = "electric: { url: http://127.0.0.1:3000, secret: { env: ELECTRIC_SECRET } }";
    fs::write(&file, format!("{electric}\n{rest}")).unwrap();
    (folder, file.display().to_string())
}

fn jwt() -> String {
    format!(
        "identity: [ {{ jwt: {{ issuer: \"{ISSUER}\", audience: {AUDIENCE}, keys: [ {{ alg: HS256, secret: {{ env: JWT_SECRET }} }} ] }} }} ]"
    )
}

#[test]
fn each_rule_says_why_it_did_not_hold_until_one_decides() {
    let told = guide(&[
        "--claims",
        r#"{"sub": "ann", "org_id": 7, "roles": ["member"]}"#,
        "/api/shapes/items",
    ]);
    assert_eq!(told.code, 0, "{told:?}");
    let expected = [
        "tenant      default",
        "route       shape items",
        "identity    \"ann\" of acme, as the claims were given",
        "rules       rules[0] does not hold: has(user.roles) && \"admin\" in user.roles",
        "                user.roles = [\"member\"]",
        "            rules[1] decides: has(user.org_id)",
        "                user.org_id = 7",
        "definition  table \"public\".\"items\"",
        "            columns all",
        "            rows where (\"org_id\" = $1)",
        "                $1 = \"7\"",
        "ALLOWED by rules[1]",
    ];
    let mut rest = told.output.as_str();
    for line in expected {
        let (_, after) = rest
            .split_once(&format!("{line}\n"))
            .unwrap_or_else(|| panic!("{line:?} is not in\n{rest}"));
        rest = after;
    }
}

#[test]
fn what_is_missing_is_said_to_be_and_nobody_gets_in_by_it() {
    let told = guide(&["--claims", r#"{"sub": "bob"}"#, "/api/shapes/items"]);
    assert_eq!(told.code, 1, "{told:?}");
    for line in [
        "user.roles = (missing)",
        "user.org_id = (missing)",
        "REFUSED 403 forbidden: ",
        "  because: no rule holds",
    ] {
        assert!(told.output.contains(line), "{line}: {}", told.output);
    }
    assert!(!told.output.contains("upstream"), "{}", told.output);
}

#[test]
fn later_rules_are_not_tried() {
    let told = guide(&[
        "--claims",
        r#"{"sub": "root", "roles": ["admin"]}"#,
        "/api/shapes/items",
    ]);
    assert_eq!(told.code, 0);
    assert!(
        told.output.contains("rules[1] is not tried: has(user.org_id)"),
        "{}",
        told.output
    );
    assert!(told.output.contains("all rows"), "{}", told.output);
}

#[tokio::test]
async fn the_request_that_is_shown_is_the_one_that_electric_gets() {
    let shapes = "
shapes:
  users:
    table: users
    columns: [id, name]
    client: { where: narrow }
    rules: [ { when: has(user.org_id), rows: { where: '\"org_id\" = $1', params: [user.org_id] } } ]
";
    let gateway = Gateway::start(&format!("{IDENTITY}{shapes}")).await;
    let target = "/api/shapes/users?offset=-1&where=name%20%3D%20%27x%27";
    assert_eq!(gateway.get(target, Some(&member(1))).await.status, 200);
    let received = gateway.received_one().target;
    let (received, _) = received.rsplit_once("&secret=").unwrap();
    let told = explain(&format!("{}{shapes}", jwt()), &["--token", &member(1), target]);
    assert_eq!(told.code, 0, "{told:?}");
    let shown = format!("upstream    GET {received}\n");
    assert!(told.output.contains(&shown), "{shown}{}", told.output);
    assert!(told.output.contains("the secret left out"), "{}", told.output);
}

#[test]
fn a_token_is_judged_as_the_gateway_judges_it_and_why_it_is_refused_is_said() {
    let told = guide(&["--token", "a.b.c", "/api/shapes/items"]);
    assert_eq!(told.code, 1);
    assert!(
        told.output.contains("REFUSED 401 token_invalid"),
        "{}",
        told.output
    );
    assert!(told.output.contains("because: "), "{}", told.output);
    let told = guide(&["/api/shapes/items"]);
    assert_eq!(told.code, 1);
    assert!(
        told.output.contains("REFUSED 401 token_missing"),
        "{}",
        told.output
    );
}

#[test]
fn a_token_may_come_by_standard_input() {
    let mut command = in_conf(&["explain", "-c", GUIDE, "--token", "-", "/api/shapes/items"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"not-a-token\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("because: not three parts"), "{told}");
}

#[tokio::test]
async fn nobody_is_asked_unless_that_is_wanted() {
    let authorizer = Scripted::start();
    let rest = format!(
        "{}
shapes:
  users:
    table: users
    columns: all
    authorize: {{ http: {{ url: \"{}/check\", defaults: {{ role: none }} }} }}
    rules: [ {{ when: decision.role == \"owner\", rows: all }} ]
",
        jwt(),
        authorizer.url()
    );
    let claims = ["--claims", r#"{"sub": "ann"}"#, "/api/shapes/users"];
    let told = explain(&rest, &claims);
    assert_eq!(told.code, 2, "{told:?}");
    assert!(
        told.output
            .contains("UNDECIDED: authorisers would have to be asked"),
        "{}",
        told.output
    );
    assert!(authorizer.is_left_alone().await);
    let mut given = vec!["--decision", r#"{"role": "owner"}"#];
    given.extend(claims);
    let told = explain(&rest, &given);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(
        told.output.contains("decision.role = \"owner\""),
        "{}",
        told.output
    );
    given[1] = r#"{"role": "guest"}"#;
    assert_eq!(explain(&rest, &given).code, 1);
    assert!(authorizer.is_left_alone().await);
}

#[test]
fn headers_are_not_shown_though_rules_read_them() {
    let rest = format!(
        "{}
shapes:
  users:
    table: users
    columns: all
    rules: [ {{ when: '\"x-plan\" in request.headers && request.headers[\"x-plan\"] == \"gold\"', rows: all }} ]
",
        jwt()
    );
    let told = explain(
        &rest,
        &[
            "--claims",
            r#"{"sub": "ann"}"#,
            "-H",
            "x-plan: a-canary",
            "/api/shapes/users",
        ],
    );
    assert_eq!(told.code, 1, "{told:?}");
    let told = explain(
        &rest,
        &[
            "--claims",
            r#"{"sub": "ann"}"#,
            "-H",
            "x-plan: gold",
            "/api/shapes/users",
        ],
    );
    assert_eq!(told.code, 0, "{told:?}");
    assert!(
        told.output.contains("request.headers[\"x-plan\"] = …"),
        "{}",
        told.output
    );
}

#[test]
fn a_tenant_is_chosen_by_host() {
    let known = ["explain", "-c", "tenants.yaml", "--claims", r#"{"sub": "ann"}"#];
    let mut unknown = known.to_vec();
    unknown.push("https://nobody.example.org/api/shapes/items");
    let told = run(&mut in_conf(&unknown));
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.output.contains("REFUSED 404 not_found"), "{}", told.output);
}

#[test]
fn what_is_wrong_with_the_question_is_said_with_another_exit_code_than_a_refusal() {
    for arguments in [
        ["--claims", "[]", "/api/shapes/items"],
        ["--claims", r#"{"sub": "a", "sub": "b"}"#, "/api/shapes/items"],
        ["-H", "nonsense", "/api/shapes/items"],
        ["-X", "no method", "/api/shapes/items"],
        ["-X", "GET", "api/shapes/items"],
    ] {
        let told = guide(&arguments);
        assert_eq!(told.code, 2, "{arguments:?}: {told:?}");
        assert!(told.complaints.starts_with("error: "), "{told:?}");
    }
    let told = run(&mut in_conf(&[
        "explain",
        "-c",
        "nowhere.yaml",
        "/api/shapes/items",
    ]));
    assert_eq!(told.code, 2);
}

#[test]
fn a_public_shape_asks_for_nobody() {
    let shapes =
        "shapes: { items: { table: items, columns: [id], access: public, rules: [ { rows: none } ] } }";
    let told = explain(shapes, &["/api/shapes/items"]);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(
        told.output.contains("not asked for: the shape is public"),
        "{}",
        told.output
    );
    assert!(told.output.contains("where=false"), "{}", told.output);
}
