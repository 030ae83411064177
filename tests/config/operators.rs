//! What operators hold: the admin token, and the file of revocations.

use shapegate_core::coding::Coding;

use crate::support::{Given, accepted_in, load_in};

const MINIMAL: &str = "
electric: { url: http://127.0.0.1:3000, secret: { env: ELECTRIC_SECRET } }
identity: [ { jwt: { issuer: i, audience: a, keys: [ { alg: HS256, secret: { env: JWT_SECRET } } ] } } ]
shapes: { users: { table: users, columns: all, rules: [ { rows: all } ] } }
";

fn refused(more: &str, given: &Given) -> String {
    let problems = load_in(&format!("{MINIMAL}{more}"), given).unwrap_err();
    problems.render()
}

fn given() -> Given {
    Given::new().variable("ADMIN_TOKEN", "a-token-that-nobody-guesses-canary")
}

#[test]
fn an_admin_token_is_a_secret_that_is_hard_to_guess() {
    let text = format!("{MINIMAL}admin: {{ token: {{ env: ADMIN_TOKEN }} }}\n");
    let loaded = accepted_in(&text, &given());
    let token = loaded.config.server.admin_token.as_ref().unwrap();
    assert_eq!(token.text, "a-token-that-nobody-guesses-canary");
    assert_eq!(format!("{:?}", loaded.config.server.admin), "Tcp(127.0.0.1:9090)");
    assert!(!format!("{:?}", loaded.config).contains("canary"));
    let printed = loaded.print();
    assert!(
        !printed.contains("canary") && printed.contains("127.0.0.1:9090"),
        "{printed}"
    );
    assert_eq!(accepted_in(&printed, &given()).print(), printed);

    let written = refused("admin: { token: a-token-that-nobody-guesses-canary }\n", &given());
    assert!(written.contains("does not stay secret"), "{written}");
    for weak in [
        "guess-me",
        "a token with spaces that is long",
        "ein-schlüssel-der-lang-genug-wäre",
    ] {
        let said = refused(
            "admin: { token: { env: T } }\n",
            &Given::new().variable("T", weak),
        );
        assert!(said.contains("shorter than 24 bytes, or no ASCII"), "{said}");
        assert!(!said.contains(weak), "{said}");
    }
}

#[test]
fn a_file_of_revocations_must_be_there_and_right() {
    let more = "revocations: { file: revoked.yaml }\n";
    let text = format!("{MINIMAL}{more}");
    let good =
        "- { subject: user_1, tenant: acme }\n- { jti: x, expires: 2030-01-01T00:00:00Z }\n- tenant: acme\n";
    for (content, count) in [(good, 3), ("", 0), ("[]", 0), ("# nobody\n", 0)] {
        let loaded = accepted_in(&text, &Given::new().file("/etc/revoked.yaml", content));
        let file = loaded.config.server.revocations.as_ref().unwrap();
        assert_eq!(file.entries.len(), count, "{content}");
    }
    let said = refused(more, &Given::new());
    assert!(said.contains("there is no such file"), "{said}");
    for (content, why) in [
        ("- subjet: a\n", "did you mean `subject`?"),
        ("- { subject: a, jti: b }\n", "a revocation names one thing"),
        ("- { tenant: a, issuer: b }\n", "a tenant is not of an issuer"),
        ("- { subject: a, ttl: 1h }\n", "unknown key `ttl`"),
        ("- { subject: a, issued_before: now }\n", "no moment"),
        ("- { subject: { env: JWT_SECRET } }\n", "must be text"),
        ("- user_1\n", "must be a map"),
        ("subject: user_1\n", "must be a list"),
        ("- &a [*a]\n", "a"),
    ] {
        let said = refused(more, &Given::new().file("/etc/revoked.yaml", content));
        assert!(said.contains(why), "{content}: {said}");
        assert!(said.contains("revoked.yaml:1:"), "with its place: {said}");
        assert!(!said.contains("0123456789abcdef"), "{said}");
    }
}

#[test]
fn codings_are_named_once_each_or_switched_off() {
    let encode = |text: &str| accepted_in(&format!("{MINIMAL}{text}"), &given());
    let names = |text: &str| -> Vec<&str> {
        let codings = encode(text).config.server.encode;
        codings.into_iter().map(Coding::as_str).collect()
    };
    assert_eq!(names(""), ["zstd", "br", "gzip"]);
    assert_eq!(names("server: { encode: [gzip, br] }\n"), ["gzip", "br"]);
    assert_eq!(names("server: { encode: off }\n"), [""; 0]);
    for text in ["", "server: { encode: [gzip] }\n", "server: { encode: off }\n"] {
        let printed = encode(text).print();
        assert!(printed.contains("encode"), "{printed}");
        assert_eq!(accepted_in(&printed, &given()).print(), printed);
    }
    for (value, message) in [
        ("[deflate]", "`deflate` is no coding"),
        ("[GZIP]", "`GZIP` is no coding"),
        ("[gzip, br, gzip]", "`gzip` is written twice"),
        ("[]", "`encode` is empty"),
        ("on", "encode"),
    ] {
        let said = refused(&format!("server: {{ encode: {value} }}\n"), &given());
        assert!(said.contains(message), "{said}");
    }
}
