use crate::support::gateway::problems;

fn problem(identity: &str) -> Option<String> {
    problems(&format!("identity:\n{identity}\n{}", super::SHAPES))
}

#[test]
fn every_method_is_taken_as_it_is_documented() {
    for identity in [
        "  - session: { url: \"http://app:3000/api/auth/get-session\", from: { cookie: better-auth.session_token }, subject: user.id, ttl: 30s }",
        "  - postgres: { url: \"postgres://app@db/app\", from: { header: authorization, scheme: bearer }, hash: sha256, query: \"select 1\", ttl: 30s, notify: ended, pool_size: 4, timeout: 1s }",
        "  - introspection: { url: \"https://as/introspect\", client_id: a, client_secret: { env: JWT_SECRET }, auth: post, audience: sync }",
        "  - postgres: { url: \"postgres://app@localhost/app\", from: { header: x-session }, hash: none, query: \"select 1\" }\n  \
         - postgres: { url: \"postgres://app@localhost/app\", from: { header: authorization, prefix: sess_ }, hash: none, query: \"select 1\" }",
    ] {
        assert_eq!(problem(identity), None, "{identity}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_the_way_out() {
    let postgres = |url: &str, more: &str| {
        format!(
            "  - postgres: {{ url: {url}, from: {{ header: x-session }}, hash: sha256, query: \"select 1\"{more} }}"
        )
    };
    let session = |from: &str, more: &str| {
        format!("  - session: {{ url: \"http://app/me\", from: {from}, subject: user.id{more} }}")
    };
    for (identity, told) in [
        (postgres("\"postgres://app:canary@db/app\"", ""), "has a password in it"),
        (postgres("\"postgres://app@db/app?password=canary\"", ""), "has a password in it"),
        (postgres("\"postgres://app@db/app?sslmode=prefer\"", ""), "`sslmode`"),
        (postgres("\"mysql://db\"", ""), "postgres://"),
        (postgres("{ env: MISSING }", ""), "MISSING is not set"),
        (postgres("\"postgres://app@localhost/app\"", ", pool_size: 65"), "pool_size"),
        (postgres("\"postgres://app@localhost/app\"", ", ttl: 2h"), "ttl"),
        (postgres("\"postgres://app@localhost/app\"", ", tll: 2s"), "did you mean `ttl`"),
        (session("{ cookie: \"a b\" }", ""), "no `cookie`"),
        (session("{ header: cookie }", ""), "cannot carry a credential"),
        (session("{ header: x-session, scheme: bearer }", ""), "only `authorization` has a `scheme`"),
        (session("{ cookie: a, header: b }", ""), "one cookie or one header"),
        (session("{ cookie: a }", ", subject: user.id"), "twice"),
        (format!("{}\n{}", session("{ cookie: a }", ""), session("{ cookie: a }", "")), "from the same place"),
        ("  - session: { url: \"http://u:canary@app/me\", from: { cookie: a }, subject: id }".to_owned(), "no http or https URL"),
        ("  - session: { url: \"file:///etc/passwd\", from: { cookie: a }, subject: id }".to_owned(), "no http or https URL"),
        ("  - introspection: { url: \"https://as/i\", client_id: a, client_secret: canary, audience: sync }".to_owned(), "does not stay secret"),
        ("  - introspection: { url: \"https://as/i\", client_id: a, client_secret: { env: JWT_SECRET } }".to_owned(), "whom tokens must be for"),
        ("  - api_keys: { file: nowhere.yaml }".to_owned(), "no such file"),
        ("  - sessions: {}".to_owned(), "did you mean `session`"),
    ] {
        let problem = problem(&identity).unwrap_or_else(|| panic!("taken: {identity}"));
        assert!(problem.contains(told), "{identity}\n{problem}");
        assert!(problem.contains("test.yaml:"), "{problem}");
    }
}

#[test]
fn the_faults_of_a_file_of_keys_are_told_with_their_place_in_it_and_no_key_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.yaml");
    let hash = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    for (text, told) in [
        (
            "keys:\n  - { name: a, hash: sk_canary, subject: s }".to_owned(),
            "keys.yaml:2:22: `hash` is no",
        ),
        (
            format!("keys:\n  - {{ name: a, hash: {hash} }}"),
            "lacks the key `subject`",
        ),
        (
            format!("keys:\n  - {{ name: a, hash: {hash}, subject: s, expires: soon }}"),
            "keys.yaml:2:",
        ),
        (
            format!(
                "keys:\n  - {{ name: a, hash: {hash}, subject: s }}\n  - {{ name: b, hash: {hash}, subject: s }}"
            ),
            "keys.yaml:3:",
        ),
        (
            format!("keys:\n  - {{ name: a, hash: {hash}, subject: s, key: sk_x }}"),
            "unknown key",
        ),
        ("keys: [".to_owned(), "keys.yaml:"),
        ("- a".to_owned(), "must be a map"),
    ] {
        std::fs::write(&path, &text).unwrap();
        let problem = problem(&format!("  - api_keys: {{ file: {} }}", path.display()));
        let problem = problem.unwrap_or_else(|| panic!("taken: {text}"));
        assert!(problem.contains(told), "{text}\n{problem}");
        assert!(!problem.contains("canary"), "{problem}");
    }
}
