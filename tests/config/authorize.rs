//! `authorize`: what is refused, in which words, and what is understood.

use crate::support::{Given, IDENTITY, accepted, accepted_in, refused, with_shape};

fn shape(authorize: &str, rules: &str) -> String {
    with_shape(&format!(
        "path: /api/{{project:text}}/users\ntable: users\ncolumns: [id]\nauthorize: {authorize}\nrules: {rules}"
    ))
}

const ALL: &str = "[{ rows: all }]";

fn tells(authorize: &str, rules: &str, message: &str) {
    let rendered = refused(&shape(authorize, rules));
    assert!(rendered.contains(message), "{message:?} is not in\n{rendered}");
    assert!(rendered.contains("/etc/shapegate.yaml:"), "{rendered}");
    assert!(rendered.contains("= help:"), "{rendered}");
}

/// What is written, and what is told of it.
const WRONG: &[(&str, &str)] = &[
    ("yes", "`authorize` must be a map"),
    ("{}", "nobody would be asked"),
    ("{ https: { url: 'http://x' } }", "unknown key `url` in `https`"),
    (
        "{ http: { url: 'http://x' }, opa: { url: 'http://y', path: a, input: {} } }",
        "without a name",
    ),
    (
        "{ Name: { http: { url: 'http://x' } } }",
        "neither an authoriser nor a name",
    ),
    (
        "{ a: { http: { url: 'http://x' }, opa: { url: 'http://y', path: a, input: {} } } }",
        "must be of one kind",
    ),
    (
        "{ postgres: { query: 'select 1', params: [] } }",
        "names no `url`, and no method of `identity` asks a database",
    ),
    (
        "{ postgres: { url: 'postgres://u@127.0.0.1/app', params: [] } }",
        "`postgres` lacks the key `query`",
    ),
    (
        "{ postgres: { url: 'postgres://u@127.0.0.1/app', query: select 1 } }",
        "`postgres` lacks the key `params`",
    ),
    (
        "{ postgres: { url: 'postgres://u:p@127.0.0.1/app', query: select 1, params: [] } }",
        "`url` has a password in it",
    ),
    (
        "{ postgres: { url: 'mysql://u@127.0.0.1/app', query: select 1, params: [] } }",
        "it does not begin with `postgres://`",
    ),
    (
        "{ postgres: { url: 'postgres://u@127.0.0.1/app', query: 'select $2', params: [user.id, user.id] } }",
        "`query` does not use $1, and there are 2 `params`",
    ),
    (
        "{ postgres: { url: 'postgres://u@127.0.0.1/app', query: 'select $1', params: 'users.id' } }",
        "users",
    ),
    (
        "{ postgres: { url: 'postgres://u@127.0.0.1/app', query: 'select $1', params: [decision.role] } }",
        "decision",
    ),
    (
        "{ postgres: { url: 'postgres://u@127.0.0.1/app', query: 'select $1', params: [user.team] } }",
        "user.team may be missing",
    ),
    (
        "{ postgres: { url: 'postgres://u@127.0.0.1/app', query: select 1, params: [], pool_size: 0 } }",
        "pool_size",
    ),
    (
        "{ postgres: { ca: x.pem, query: select 1, params: [] } }",
        "x.pem",
    ),
    ("{ http: {} }", "`http` lacks the key `url`"),
    ("{ http: { url: app } }", "the URL is no http or https URL"),
    (
        "{ http: { url: 'http://user:pass@app' } }",
        "has a user or password in it",
    ),
    ("{ http: { url: 'http://app?x=1' } }", "has a query or fragment"),
    (
        "{ http: { url: 'http://app', token: abc } }",
        "`token` is written in the configuration",
    ),
    ("{ http: { url: 'http://app', ca: x.pem } }", "x.pem"),
    (
        "{ http: { url: 'http://app', claims: [a, a] } }",
        "`a` is listed twice",
    ),
    (
        "{ http: { url: 'http://app', headers: [Cookie] } }",
        "no name of a header",
    ),
    (
        "{ http: { url: 'http://app', headers: [host] } }",
        "not the client's to say",
    ),
    (
        "{ http: { url: 'http://app', headers: [x-forwarded-for] } }",
        "not the client's to say",
    ),
    (
        "{ http: { url: 'http://app', ttl: 2h } }",
        "`ttl` must be between 1s and 1h",
    ),
    (
        "{ http: { url: 'http://app', ttl: 10s, deny_ttl: 20s } }",
        "`deny_ttl` is longer than `ttl`",
    ),
    (
        "{ http: { url: 'http://app', ttl: 1s, timeout: 2s } }",
        "`timeout` is longer than `ttl`",
    ),
    (
        "{ http: { url: 'http://app', fail_open: true } }",
        "unknown key `fail_open`",
    ),
    (
        "{ forward_auth: { url: 'http://app', headers: [] } }",
        "lacks the key `public_url`",
    ),
    (
        "{ forward_auth: { url: 'http://app', public_url: 'https://x' } }",
        "lacks the key `headers`",
    ),
    (
        "{ forward_auth: { url: 'http://app', public_url: 'https://x/y', headers: [] } }",
        "has a path in it",
    ),
    (
        "{ opa: { url: 'http://opa', path: '../x', input: {} } }",
        "no path of a policy",
    ),
    (
        "{ opa: { url: 'http://opa', path: 'a//b', input: {} } }",
        "no path of a policy",
    ),
    (
        "{ opa: { url: 'http://opa', path: 'a%2fb', input: {} } }",
        "no path of a policy",
    ),
    ("{ opa: { url: 'http://opa', path: a } }", "lacks the key `input`"),
    (
        "{ opa: { url: 'http://opa', path: a, input: { x: user.org_id } } }",
        "user.org_id may be missing",
    ),
    (
        "{ opa: { url: 'http://opa', path: a, input: { x: request.path.other } } }",
        "captures no other",
    ),
    (
        "{ opa: { url: 'http://opa', path: a, input: { x: '{{user.id}}' } } }",
        "template",
    ),
    ("{ spicedb: { url: 'http://s' } }", "`spicedb` asks nothing"),
    (
        "{ openfga: { url: 'http://s', store: S } }",
        "`openfga` asks nothing",
    ),
    (
        "{ openfga: { url: 'http://s', store: '../x', list_objects: {} } }",
        "no id of a store",
    ),
    (
        "{ spicedb: { url: 'http://s', lookup: { resource: 'a:b', permission: p, subject: { type: user, id: user.id } } } }",
        "no name for `resource`",
    ),
    (
        "{ spicedb: { url: 'http://s', lookup: { resource: a, permission: p, subject: { type: user, id: [] } } } }",
        "`id` must have 1 to 8 parts",
    ),
    (
        "{ spicedb: { url: 'http://s', lookup: { resource: a, permission: p, subject: { type: user, id: 'user:x' } } } }",
        "not a CEL expression",
    ),
];

#[test]
fn what_is_wrong_with_an_authoriser_is_told_at_its_place_with_the_way_out() {
    for (authorize, message) in WRONG {
        tells(authorize, ALL, message);
    }
}

#[test]
fn a_check_that_no_rule_reads_and_a_fact_without_a_guard_are_refused() {
    let check = "{ spicedb: { url: 'http://s', check: { resource: { type: p, id: request.path.project }, \
                 permission: view, subject: { type: user, id: user.id } } } }";
    tells(check, ALL, "no rule reads decision.allowed");
    accepted(&shape(check, "[{ when: decision.allowed, rows: all }]"));
    tells(
        check,
        "[{ when: 'decision.allowed && decision.ids == []', rows: all }]",
        "finds out no ids",
    );

    let http = "{ http: { url: 'http://app' } }";
    tells(
        http,
        "[{ when: 'decision.role == \"x\"', rows: all }]",
        "decision.role may be missing",
    );
    accepted(&shape(
        http,
        "[{ when: 'has(decision.role) && decision.role == \"x\"', rows: all }]",
    ));
    let default = "{ http: { url: 'http://app', defaults: { role: none } } }";
    accepted(&shape(default, "[{ when: 'decision.role == \"x\"', rows: all }]"));
    let two = format!("{{ one: {http}, two: {http} }}");
    tells(
        &two,
        "[{ when: 'has(decision.role)', rows: all }]",
        "no authoriser of this shape is called role",
    );
}

#[test]
fn a_public_shape_refuses_authorisers_that_are_told_who_asks() {
    let public = |authorize: &str| {
        with_shape(&format!(
            "table: users\ncolumns: [id]\naccess: public\nauthorize: {authorize}\nrules: [{{ rows: all }}]"
        ))
    };
    for authorize in [
        "{ http: { url: 'http://app' } }",
        "{ http: { url: 'http://app', anonymous: true, claims: [a] } }",
        "{ http: { url: 'http://app', anonymous: true, headers: [cookie] } }",
        "{ forward_auth: { url: 'http://app', public_url: 'https://x', headers: [cookie] } }",
        "{ opa: { url: 'http://app', path: a, input: { u: user.id } } }",
        "{ postgres: { url: 'postgres://u@127.0.0.1/app', query: 'select $1', params: [user.id] } }",
    ] {
        let rendered = refused(&public(authorize));
        assert!(
            rendered.contains("a public shape gives everybody the same"),
            "{authorize}\n{rendered}"
        );
    }
    for authorize in [
        "{ http: { url: 'http://app', anonymous: true } }",
        "{ forward_auth: { url: 'http://app', public_url: 'https://x', headers: [] } }",
        "{ opa: { url: 'http://app', path: a, input: { t: tenant.id } } }",
        "{ postgres: { url: 'postgres://u@127.0.0.1/app', query: 'select $1', params: [tenant.id] } }",
    ] {
        accepted(&public(authorize));
    }
}

#[test]
fn what_is_understood_is_printed_with_its_defaults_and_without_secrets() {
    let authorize = "{ http: { url: 'http://app', token: { env: AUTHORIZER_TOKEN }, ttl: 3s } }";
    let given = Given::new().variable("AUTHORIZER_TOKEN", "authoriser-token-canary");
    let printed = accepted_in(&shape(authorize, ALL), &given).print();
    for line in [
        "ttl: 3s",
        "deny_ttl: 3s",
        "timeout: 2s",
        "concurrency: 64",
        "AUTHORIZER_TOKEN",
    ] {
        assert!(printed.contains(line), "{line} is not in\n{printed}");
    }
    assert!(!printed.contains("canary"), "{printed}");
}

#[test]
fn a_database_is_printed_without_its_password_and_with_its_defaults() {
    let authorize = "{ postgres: { url: { env: DATABASE_URL }, query: 'select 1 where $1 = $2', params: user.id, ttl: 3s } }";
    let given = Given::new().variable(
        "DATABASE_URL",
        "postgres://u:password-canary@db/app?sslmode=disable",
    );
    let loaded = accepted_in(&shape(authorize, ALL), &given);
    let warned = loaded.warnings.render();
    for told in ["speaks of $2, and there are 1 `params`", "sslmode=disable"] {
        assert!(warned.contains(told), "{warned}");
    }
    let printed = loaded.print();
    for line in [
        "deny_ttl: 3s",
        "timeout: 2s",
        "concurrency: 8",
        "pool_size: 8",
        "DATABASE_URL",
    ] {
        assert!(printed.contains(line), "{line} is not in\n{printed}");
    }
    assert!(
        !format!("{printed}{warned}{loaded:?}").contains("canary"),
        "{printed}"
    );
}

#[test]
fn a_database_need_not_be_named_where_sessions_are_in_one_and_must_be_where_in_two() {
    let method = |port: u16, header: &str| {
        format!(
            "  - postgres: {{ url: 'postgres://u@127.0.0.1:{port}/app', from: {{ header: {header} }}, hash: none, query: 'select $1 as sub' }}\n"
        )
    };
    let with = |methods: &str| {
        let shape = shape(
            "{ postgres: { query: 'select 1 where $1 = 1', params: [user.id] } }",
            ALL,
        );
        shape.replace(IDENTITY, &format!("identity:\n{methods}"))
    };
    accepted(&with(&method(5432, "x-one")));
    accepted(&with(&(method(5432, "x-one") + &method(5432, "x-two"))));
    let rendered = refused(&with(&(method(5432, "x-one") + &method(5433, "x-two"))));
    assert!(rendered.contains("ask several databases"), "{rendered}");
}

#[test]
fn a_list_that_openfga_may_cut_short_is_warned_of() {
    let list = "{ openfga: { url: 'http://s', store: S, timeout: 3s, \
                list_objects: { type: doc, relation: viewer, user: { type: user, id: user.id } } } }";
    let rules = "[{ rows: { where: 'id = ANY($1)', params: [decision.ids] } }]";
    let warned = accepted(&shape(list, rules)).warnings.render();
    assert!(
        warned.contains("OpenFGA ends a list silently after 3s"),
        "{warned}"
    );
    let quick = list.replace("timeout: 3s, ", "");
    assert_eq!(accepted(&shape(&quick, rules)).warnings.render(), "");
}

#[test]
fn the_recipes_of_the_documentation_are_right() {
    let page = include_str!("../../docs/authorization.md");
    let around = "electric: { url: http://127.0.0.1:3000, secret: { env: ELECTRIC_SECRET } }\nidentity:\n  - jwt: \
                  { issuer: https://a.example/, audience: sync, keys: [ { alg: HS256, secret: { env: JWT_SECRET } } ] }\n";
    let given = ["AUTHORIZER_TOKEN", "SPICEDB_TOKEN", "OPENFGA_TOKEN"]
        .into_iter()
        .fold(Given::new(), |given, name| given.variable(name, "secret"))
        .variable("DATABASE_URL", "postgres://shapegate@127.0.0.1/app");
    let recipes: Vec<&str> = page
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(recipes.len() >= 6, "{}", recipes.len());
    for recipe in recipes {
        let loaded = accepted_in(&format!("{around}{recipe}"), &given);
        assert_eq!(loaded.warnings.render(), "", "{recipe}");
        assert!(shapegate::tenant::compile(&loaded.config).is_ok(), "{recipe}");
    }
}
