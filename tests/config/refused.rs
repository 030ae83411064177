//! What would fail open, mean two things or mean nothing is refused, each with a place and a way out.

use crate::support::{
    ELECTRIC, Given, IDENTITY, SHAPES, accepted, accepted_in, and, refused, refused_in, with_shape,
    with_shapes,
};

/// Asserts that exactly one error is told, with a place, a caret and help.
fn one(text: &str, message: &str) {
    let rendered = refused(text);
    assert_eq!(rendered.matches("error: ").count(), 1, "{text}\n{rendered}");
    assert!(rendered.contains(message), "{text}\n{rendered}");
    assert!(
        rendered.contains("--> /etc/shapegate.yaml:") && rendered.contains('^'),
        "{rendered}"
    );
    assert!(rendered.contains("= help: "), "{rendered}");
}

fn identity(method: &str) -> String {
    format!("{ELECTRIC}identity: [{method}]\n{SHAPES}")
}

fn jwt(keys: &str) -> String {
    identity(&format!("{{ jwt: {{ {keys} }} }}"))
}

const KEYS: &str = "keys: [{ alg: HS256, secret: { env: JWT_SECRET } }]";

#[test]
fn nobody_gets_in_without_anybody_being_known() {
    one(
        &format!("{ELECTRIC}{SHAPES}"),
        "there is no `identity` to know one by",
    );
    let public = SHAPES.replace("table:", "access: public, table:");
    accepted(&format!("{ELECTRIC}{public}"));
}

#[test]
fn the_development_user_is_refused_in_production_and_warned_of_elsewhere() {
    let text = identity("{ insecure_dev_user: { sub: user_1, org_id: org_1 } }");
    let rendered = refused_in(&text, &Given::new().variable("SHAPEGATE_ENV", "production"));
    assert!(rendered.contains("SHAPEGATE_ENV is production"), "{rendered}");
    let loaded = accepted_in(&text, &Given::new().variable("SHAPEGATE_ENV", "development"));
    assert!(
        loaded
            .warnings
            .render()
            .starts_with("warning: insecure_dev_user: ")
    );
    one(
        &identity("{ insecure_dev_user: { org_id: org_1 } }"),
        "`insecure_dev_user` lacks `sub`",
    );
    one(
        &identity("{ insecure_dev_user: { sub: u, level: 010 } }"),
        "`010` could be text, a number or a boolean",
    );
}

#[test]
fn an_issuer_says_whom_its_tokens_are_for() {
    one(
        &jwt(&format!("issuer: acme, {KEYS}")),
        "does not say whom tokens must be for",
    );
    one(
        &jwt(&format!(
            "issuer: acme, audience: a, authorized_parties: [b], {KEYS}"
        )),
        "exclude each other",
    );
    one(
        &jwt(&format!("issuer: acme, insecure_any_audience: false, {KEYS}")),
        "does not say whom tokens must be for",
    );
    one(
        &jwt(&format!("issuer: acme, audience: [], {KEYS}")),
        "`audience` must have 1 to 64 entries",
    );
    one(
        &jwt(&format!("issuer: ' ', audience: a, {KEYS}")),
        "`issuer` is blank",
    );
    let loaded = accepted(&jwt(&format!(
        "issuer: acme, insecure_any_audience: true, {KEYS}"
    )));
    assert!(loaded.warnings.render().contains("insecure_any_audience"));
}

#[test]
fn keys_are_there_and_strong() {
    one(&jwt("issuer: acme, audience: a, keys: []"), "`keys` is empty");
    one(
        &jwt("issuer: acme, audience: a, keys: [{ alg: HS256 }]"),
        "a key has one of `secret` and `file`",
    );
    one(
        &jwt("issuer: acme, audience: a, keys: [{ alg: hs256, secret: { env: JWT_SECRET } }]"),
        "`alg` cannot be `hs256`",
    );
    one(
        &jwt("issuer: acme, audience: a, keys: [{ alg: none, secret: { env: JWT_SECRET } }]"),
        "`alg` cannot be `none`",
    );
    one(
        &jwt("issuer: acme, audience: a, keys: [{ alg: HS512, secret: { env: JWT_SECRET } }]"),
        "a secret for HS512 has at least 64 bytes",
    );
    one(
        &jwt("issuer: acme, audience: a, keys: [{ alg: RS256, secret: { env: JWT_SECRET } }]"),
        "RS256 does not suit this kind of key",
    );
    one(
        &jwt("issuer: acme, audience: a, keys: [{ alg: ES256, file: gone.pem }]"),
        "cannot be read: there is no such file",
    );
    one(
        &jwt("issuer: acme, audience: a, keys: [{ alg: HS256, secret: { env: EMPTY } }]"),
        "the environment variable EMPTY is not set",
    );
    let blank = refused_in(&and(""), &Given::new().variable("JWT_SECRET", ""));
    assert!(blank.contains("the secret `secret` is blank"), "{blank}");
    let garbage = Given::new().file("/etc/key.pem", "not a key");
    let rendered = refused_in(
        &jwt("issuer: acme, audience: a, keys: [{ alg: ES256, file: key.pem }]"),
        &garbage,
    );
    assert!(rendered.contains("/etc/shapegate.yaml:2:"), "{rendered}");
}

#[test]
fn one_issuer_is_there_once() {
    let method = format!("{{ jwt: {{ issuer: acme, audience: a, {KEYS} }} }}");
    one(
        &identity(&format!("{method}, {method}")),
        "the issuer `acme` is there twice",
    );
}

#[test]
fn a_page_of_anybody_may_not_read_as_the_user() {
    one(
        &and("cors: { credentials: true }\n"),
        "any page on the web could read as the user",
    );
    one(
        &and("cors: { origins: any, credentials: true }\n"),
        "any page on the web could read as the user",
    );
    one(
        &and("cors: { origins: [] }\n"),
        "`origins` must have 1 to 256 entries",
    );
    one(
        &and("cors: { origins: ['https://app.example.com/'] }\n"),
        "has more than a scheme, a host and a port",
    );
    one(&and("cors: { origins: ['null'] }\n"), "the origin `null`");
}

#[test]
fn the_upstream_is_said_without_doubt() {
    for (electric, message) in [
        (
            "{ url: 'http://u:p@e', secret: { env: ELECTRIC_SECRET } }",
            "has a user or password in it",
        ),
        (
            "{ url: 'http://e?secret=x', secret: { env: ELECTRIC_SECRET } }",
            "has a query or fragment",
        ),
        (
            "{ url: 'http://e/v1/shape', secret: { env: ELECTRIC_SECRET } }",
            "names the shape endpoint",
        ),
        ("{ url: 'http://e', secret: }", "`secret` has no value"),
        (
            "{ url: 'http://e', insecure_no_secret: false }",
            "lacks the key `secret`",
        ),
        (
            "{ url: 'http://e', secret: { env: ELECTRIC_SECRET }, insecure_no_secret: true }",
            "contradict each other",
        ),
        (
            "{ url: 'http://e', secret: { env: ELECTRIC_SECRET }, ca: ca.pem }",
            "`ca`",
        ),
        ("{ url: ' ', secret: { env: ELECTRIC_SECRET } }", "`url` is blank"),
        (
            "{ url: 'http://e', secret: { env: ELECTRIC_SECRET }, source_id: 'a b' }",
            "is no source id",
        ),
    ] {
        let rendered = refused(&format!("electric: {electric}\n{IDENTITY}{SHAPES}"));
        assert!(
            rendered.contains(message) && !rendered.contains("u:p@e is"),
            "{electric}\n{rendered}"
        );
    }
    let loaded = accepted(&format!(
        "electric: {{ url: 'http://e', insecure_no_secret: true }}\n{IDENTITY}{SHAPES}"
    ));
    assert!(loaded.config.tenants[0].electric.secret.is_none());
    assert!(loaded.warnings.render().contains("insecure_no_secret"));
}

#[test]
fn a_shape_lets_somebody_in_and_hides_what_is_not_listed() {
    one(
        &with_shape("table: users\ncolumns: [id]\nrules: []"),
        "`rules` is empty",
    );
    one(
        &with_shape("table: users\ncolumns: [id]"),
        "`users` lacks the key `rules`",
    );
    one(
        &with_shape("table: users\nrules: [{ rows: all }]"),
        "`users` lacks the key `columns`",
    );
    one(
        &with_shape("table: users\ncolumns: []\nrules: [{ rows: all }]"),
        "no column is named",
    );
    one(
        &with_shape("table: users\ncolumns: [id, ID]\nrules: [{ rows: all }]"),
        "is listed twice",
    );
    one(
        &with_shape("table: users\ncolumns: every\nrules: [{ rows: all }]"),
        "`columns` cannot be `every`",
    );
    one(
        &with_shape("table: ''\ncolumns: all\nrules: [{ rows: all }]"),
        "`table` is blank",
    );
    one(
        &with_shape("table: users\ncolumns: all\nrules: [{ when: '', rows: all }]"),
        "`when` is blank",
    );
    one(
        &with_shape("table: users\ncolumns: all\nrules: [{ when: , rows: all }]"),
        "`when` has no value",
    );
    one(
        &with_shape("table: users\ncolumns: all\nrules: [{ rows: { where: ' ' } }]"),
        "`where` is blank",
    );
    one(
        &with_shape("table: users\ncolumns: all\nrules: [{ rows: all }, { rows: none }]"),
        "this rule is never reached",
    );
}

#[test]
fn a_shapes_table_and_rules_are_proven_at_load() {
    one(
        &with_shape("table: users\ncolumns: all\nwhere: any\nrules: [{ rows: all }]"),
        "is for open routes",
    );
    one(
        &with_shape("table: a.b.c\ncolumns: all\nrules: [{ rows: all }]"),
        "is no table name",
    );
    one(
        &with_shape("table: users\ncolumns: all\nrules: [{ rows: { where: 'a = $1' } }]"),
        "",
    );
    one(
        &with_shape(
            "table: users\ncolumns: all\naccess: public\nrules: [{ when: user.id == 'a', rows: all }]",
        ),
        "",
    );
    one(
        &with_shape("table: users\ncolumns: all\nrules: [{ when: user.org == 'a', rows: all }]"),
        "",
    );
    one(
        &with_shape("table: { any_of: [] }\nrules: [{ rows: all }]"),
        "`any_of` must have 1 to 256 entries",
    );
    one(
        &with_shape("table: { any_of: ['*'] }\nrules: [{ rows: all }]"),
        "is no table or pattern",
    );
    one(
        &with_shapes("shapes: {}\n"),
        "`shapes` must have 1 to 10000 entries",
    );
    one(
        &with_shapes("shapes: { 'a b': { table: t, columns: all, rules: [{ rows: all }] } }\n"),
        "`a b` cannot name a shape",
    );
}

#[test]
fn two_shapes_that_a_request_could_not_tell_apart_are_refused() {
    let two = |one: &str, two: &str| {
        with_shapes(&format!(
            "shapes:\n  a: {{ {one}, columns: all, rules: [{{ rows: all }}] }}\n  b: {{ {two}, columns: all, rules: [{{ rows: all }}] }}\n"
        ))
    };
    one(
        &two("path: /x, table: t", "path: /x, table: public.t"),
        "share the path `/x` and the table",
    );
    one(
        &two("path: '/x/{a:text}', table: t", "path: /x/y, table: u"),
        "can mean the same request",
    );
    one(
        &two("path: '/x/{a:int}', table: t", "path: '/x/{b:int}', table: u"),
        "can mean the same request",
    );
    one(
        &two("path: /x, table: t", "path: /x, table: u, query: { n: int }"),
        "but not `query` and `strict`",
    );
    one(
        &two("path: /x, table: t", "path: /x, table: { any_of: ['public.*'] }"),
        "one of them takes any table",
    );
    one(
        &two(
            "path: /v1/health, table: t",
            "path: /v1/shape, table: { any_of: ['public.*'] }",
        ),
        "answers health checks",
    );
    accepted(&two("path: /x, table: t", "path: /x, table: u"));
    accepted(&two(
        "path: '/x/{a:int}', table: t",
        "path: '/x/{a:uuid}', table: u",
    ));
}

#[test]
fn the_operators_listener_stays_inside() {
    one(
        &and("admin: { listen: 0.0.0.0:9090 }\n"),
        "the admin listener would be reachable from outside",
    );
    accepted(&and("admin: off\n"));
    accepted(&and("admin: { listen: 'unix:/run/shapegate/admin.sock' }\n"));
    accepted(&and("admin: { listen: '[::1]:9090' }\n"));
    one(
        &and("server: { trusted_proxies: [0.0.0.0/0] }\n"),
        "trusts everybody",
    );
    one(
        &and("server: { trusted_proxies: [10.0.0.1/8] }\n"),
        "it has bits set behind its prefix",
    );
    one(&and("server: { listen: [] }\n"), "`listen` is empty");
    one(
        &and("server: { listen: ['127.0.0.1:1', '127.0.0.1:1'] }\n"),
        "is written twice",
    );
    one(
        &and("server: { tls: {} }\n"),
        "needs one of `certificates` and `insecure_self_signed`",
    );
    let loaded = accepted(&and("server: { tls: { insecure_self_signed: localhost } }\n"));
    assert!(loaded.warnings.render().contains("insecure_self_signed"));
}

#[test]
fn numbers_have_their_unit_and_their_range() {
    one(
        &and("limits: { body_bytes_max: 256kb }\n"),
        "`body_bytes_max` must be a size, not `256kb`",
    );
    one(
        &and("limits: { body_bytes_max: 1GiB }\n"),
        "`body_bytes_max` must be between 1KiB and 8MiB",
    );
    one(
        &and("limits: { head_deadline: 10 }\n"),
        "`head_deadline` must be a duration, not `10`",
    );
    one(
        &and("limits: { head_deadline: 0s }\n"),
        "`head_deadline` must be between 100ms and 5m",
    );
    one(
        &and("limits: { connections_max: '100' }\n"),
        "must be a whole number",
    );
    one(
        &and("limits: { connections_max: 0 }\n"),
        "must be between 1 and 1000000",
    );
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    one(
        &and("cors: any\n"),
        "`cors` must be a map of keys, not a single value",
    );
    one(&and("cors: [a]\n"), "`cors` must be a map of keys, not a list");
    one(
        &with_shape("table: [users]\ncolumns: all\nrules: [{ rows: all }]"),
        "`table` must be a single value, not a list",
    );
    one(
        &with_shape("table: users\ncolumns: all\nrules: { rows: all }"),
        "`rules` must be a list, not a map",
    );
    one("just text\n", "`the configuration` must be a map of keys");
    one(&and("? [a]\n: b\n"), "a key must be a plain word");
    one(&and("<<: { a: b }\n"), "merge keys");
    one(&and("shapse: {}\n"), "did you mean `shapes`?");
}
