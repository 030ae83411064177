//! `shapegate token`: tokens for development signed, and tokens looked into.

use crate::program::{Ended, in_conf, keeps_secrets, run};
use crate::support::gateway::Gateway;
use crate::support::token::{AUDIENCE, IDENTITY, ISSUER};

const GUIDE: &str = "guide-proxy-auth.yaml";

fn sign(arguments: &[&str]) -> Ended {
    let mut all = vec!["token", "sign", "-c", GUIDE, "--claims"];
    all.extend(arguments);
    let ended = run(&mut in_conf(&all));
    keeps_secrets(&ended);
    ended
}

fn decode(token: &str, arguments: &[&str]) -> Ended {
    let mut all = vec!["token", "decode", token];
    all.extend(arguments);
    let ended = run(&mut in_conf(&all));
    keeps_secrets(&ended);
    ended
}

#[test]
fn a_token_that_was_signed_is_taken_and_explained() {
    let signed = sign(&[r#"{"sub": "ann", "org_id": 7}"#]);
    assert_eq!(signed.code, 0, "{signed:?}");
    assert!(
        signed.complaints.contains("A token for development"),
        "{}",
        signed.complaints
    );
    let token = signed.output.trim();
    let told = run(&mut in_conf(&[
        "explain",
        "-c",
        GUIDE,
        "--token",
        token,
        "/api/shapes/items",
    ]));
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.output.contains("$1 = \"7\""), "{}", told.output);
    let decoded = decode(token, &["-c", GUIDE]);
    assert_eq!(decoded.code, 0, "{decoded:?}");
    for text in [
        "\"alg\": \"HS256\"",
        "\"org_id\": 7",
        "\"aud\": \"sync\"",
        "TAKEN as \"ann\" until 20",
    ] {
        assert!(decoded.output.contains(text), "{text}: {}", decoded.output);
    }
    let decoded = decode(token, &[]);
    assert!(
        decoded.code == 0 && decoded.output.contains("Nothing was verified"),
        "{decoded:?}"
    );
}

#[tokio::test]
async fn a_gateway_serves_who_has_one() {
    let shapes = "shapes: { users: { table: users, columns: [id], rules: [ { when: has(user.org_id), rows: all } ] } }";
    let gateway = Gateway::start(&format!("{IDENTITY}{shapes}")).await;
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "electric: {{ url: http://127.0.0.1:3000, secret: {{ env: ELECTRIC_SECRET }} }}
identity: [ {{ jwt: {{ issuer: \"{ISSUER}\", audience: {AUDIENCE}, keys: [ {{ alg: HS256, secret: {{ env: JWT_SECRET }} }} ] }} }} ]
{shapes}"
    );
    let file = folder.path().join("a.yaml");
    std::fs::write(&file, text).unwrap();
    let mut command = in_conf(&[
        "token",
        "sign",
        "-c",
        file.to_str().unwrap(),
        "--claims",
        r#"{"org_id": 1}"#,
    ]);
    let signed = run(command.env("JWT_SECRET", crate::support::gateway::JWT_SECRET));
    assert_eq!(signed.code, 0, "{signed:?}");
    let answer = gateway
        .get("/api/shapes/users?offset=-1", Some(signed.output.trim()))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn nothing_is_signed_in_production() {
    let mut command = in_conf(&["token", "sign", "-c", GUIDE, "--claims", r#"{"sub": "ann"}"#]);
    let ended = run(command.env("SHAPEGATE_ENV", "production"));
    assert_eq!((ended.code, ended.output.as_str()), (1, ""));
    assert!(
        ended.complaints.contains("SHAPEGATE_ENV is production"),
        "{}",
        ended.complaints
    );
}

#[test]
fn what_the_gateway_would_not_take_is_not_signed() {
    for (claims, word) in [
        (r#"{"sub": "ann", "iss": "somebody else"}"#, "no such issuer"),
        (r#"{"sub": "ann", "aud": "others"}"#, "another audience"),
        (r#"{"sub": "ann", "exp": 1}"#, "expired"),
        (r#"{"sub": "ann", "sub": "bob"}"#, "twice"),
        ("7", "a JSON object is wanted"),
    ] {
        let ended = sign(&[claims]);
        assert_eq!((ended.code, ended.output.as_str()), (1, ""), "{claims}");
        assert!(ended.complaints.contains(word), "{claims}: {}", ended.complaints);
    }
    let ended = sign(&[r#"{"sub": "ann"}"#, "--ttl", "30d"]);
    assert!(
        ended.code == 1 && ended.complaints.contains("lasts longer"),
        "{ended:?}"
    );
    let ended = run(&mut in_conf(&[
        "token",
        "sign",
        "-c",
        "minimal.yaml",
        "--claims",
        "{}",
    ]));
    assert!(
        ended.code == 1 && ended.complaints.contains("shared secret"),
        "{ended:?}"
    );
}

#[test]
fn why_a_token_is_refused_is_said() {
    let token = sign(&[r#"{"sub": "ann"}"#]).output;
    let (head, _) = token.trim().rsplit_once('.').unwrap();
    let forged = decode(&format!("{head}.AAAA"), &["-c", GUIDE]);
    assert_eq!(forged.code, 1, "{forged:?}");
    assert!(
        forged.output.contains("REFUSED 401 token_invalid"),
        "{}",
        forged.output
    );
    assert!(
        forged
            .output
            .contains("because: the signature is not one of issuer"),
        "{}",
        forged.output
    );
    // {"alg":"none"}.{}
    let unsigned = decode("eyJhbGciOiJub25lIn0.e30.", &[]);
    assert_eq!(unsigned.code, 1, "{unsigned:?}");
    assert!(
        unsigned.output.contains("REFUSED everywhere"),
        "{}",
        unsigned.output
    );
    assert_eq!(decode("nonsense", &[]).code, 1);
}
