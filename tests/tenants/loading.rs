//! What is refused before anything is served.

use crate::place::{TEMPLATE, tenants};
use crate::support::gateway::problems;

fn refused(text: &str) -> String {
    problems(text).unwrap_or_else(|| panic!("this was accepted:\n{text}"))
}

fn accepted(text: &str) {
    if let Some(problems) = problems(text) {
        panic!("{problems}");
    }
}

fn pair(one: &str, other: &str) -> String {
    tenants(&format!(
        "  one: {{ extends: base, {one} }}\n  two: {{ extends: base, {other} }}\n"
    ))
}

#[test]
fn tenants_that_one_request_could_mean_are_refused() {
    for (one, other) in [
        ("hosts: a.test", "hosts: a.test"),
        ("hosts: a.test", "hosts: A.TEST"),
        ("hosts: [b.test, a.test]", "hosts: [c.test, a.test]"),
        ("hosts: a.b.test", "hosts: '*.b.test'"),
        ("hosts: '*.b.test'", "hosts: a.b.test"),
        ("hosts: '*.b.test'", "hosts: '*.b.test'"),
        ("path_prefix: /a", "path_prefix: /a"),
        ("path_prefix: /a", "path_prefix: /a/b"),
        ("path_prefix: /a/b/c", "path_prefix: /a"),
        ("hosts: a.test, path_prefix: /a", "path_prefix: /a"),
        ("path_prefix: /a", "hosts: a.test, path_prefix: /a/b"),
        ("path_prefix: /a/b", "hosts: a.test, path_prefix: /a"),
        ("hosts: a.test", "path_prefix: /a"),
        ("path_prefix: /a", "hosts: '*.test'"),
        (
            "hosts: '*.test', path_prefix: /a/b",
            "hosts: a.test, path_prefix: /a",
        ),
        ("claim: { from: t }", "path_prefix: /a"),
        ("claim: { from: t }", "claim: { from: t, value: one }"),
        ("claim: { from: t }", "claim: { from: u }"),
        ("claim: { from: t }", "claim: { from: t }, hosts: a.test"),
        (
            "claim: { from: t }",
            "claim: { from: t }, cors: { origins: ['https://a.test'] }",
        ),
    ] {
        let told = refused(&pair(one, other));
        assert!(
            told.contains("`one`") && told.contains("`two`"),
            "{one} | {other}\n{told}"
        );
        assert!(told.contains("--> test.yaml:"), "{told}");
    }
}

#[test]
fn tenants_that_no_request_could_both_mean_are_taken() {
    for (one, other) in [
        ("hosts: a.test", "hosts: b.test"),
        ("hosts: a.b.test", "hosts: '*.test'"),
        ("hosts: b.test", "hosts: '*.b.test'"),
        ("hosts: a.test, path_prefix: /a", "hosts: a.test, path_prefix: /b"),
        ("hosts: a.test, path_prefix: /a", "path_prefix: /ab"),
        ("path_prefix: /a/b", "path_prefix: /a/c"),
        ("claim: { from: t }", "claim: { from: t }"),
        ("claim: { from: t, value: x }", "claim: { from: t, value: y }"),
    ] {
        accepted(&pair(one, other));
    }
}

fn issuers(one: &str, other: &str) -> String {
    let identity = |rule: &str, member: &str| {
        format!(
            "{member}identity: [ {{ jwt: {{ issuer: acme, {rule}, keys: [ {{ alg: HS256, secret: {{ env: JWT_SECRET }} }} ] }} }} ]"
        )
    };
    let (one_rule, one_member) = one.split_once('|').unwrap_or((one, ""));
    let (other_rule, other_member) = other.split_once('|').unwrap_or((other, ""));
    let member = |member: &str| {
        if member.is_empty() {
            ""
        } else {
            "member: user.org == tenant.id, "
        }
    };
    let text = format!(
        "  one: {{ extends: base, hosts: a.test, {} }}\n  two: {{ extends: base, hosts: b.test, {} }}\n",
        identity(one_rule, member(one_member)),
        identity(other_rule, member(other_member)),
    );
    tenants(&text).replace("    member: user.tenant == tenant.id\n", "")
}

#[test]
fn tenants_that_take_the_same_tokens_are_refused_unless_both_say_who_belongs_to_them() {
    let (aud, other) = ("audience: sync", "audience: other");
    let member = "audience: sync|member";
    for (one, two) in [
        (aud, aud),
        (aud, member),
        (member, aud),
        ("audience: [x, sync]", "audience: [sync, y]"),
        (aud, "insecure_any_audience: true"),
        ("insecure_any_audience: true|member", aud),
        (aud, "authorized_parties: [app]"),
        ("authorized_parties: [app]", "authorized_parties: [b, app]"),
    ] {
        let told = refused(&issuers(one, two));
        assert!(
            told.contains("a token of `acme`") && told.contains("no `member`"),
            "{one} {two}\n{told}"
        );
    }
    for (one, two) in [
        (aud, other),
        (member, member),
        ("insecure_any_audience: true|member", member),
        ("authorized_parties: [app]", "authorized_parties: [b]"),
        ("authorized_parties: [app]|member", member),
    ] {
        accepted(&issuers(one, two));
    }
}

#[test]
fn a_tenant_must_say_for_which_requests_it_is() {
    let told = refused(&tenants("  acme: { extends: base }\n"));
    assert!(told.contains("does not say for which requests it is"), "{told}");
    for wrong in [
        "hosts: []",
        "hosts: 'https://a.test'",
        "hosts: 'a.test:80'",
        "hosts: '*'",
        "hosts: '*.*.test'",
        "hosts: 'a*.test'",
        "hosts: 'a.*.test'",
        "hosts: [a.test, a.test]",
        "path_prefix: a",
        "path_prefix: /",
        "path_prefix: /a/",
        "path_prefix: '/{a:text}'",
        "path_prefix: /a/b/c/d/e",
        "path_prefix: /a%20b",
        "claim: org",
        "claim: { value: x }",
    ] {
        assert!(
            refused(&tenants(&format!("  acme: {{ extends: base, {wrong} }}\n"))).contains("error"),
            "{wrong}"
        );
    }
}

#[test]
fn what_belongs_to_a_tenant_is_refused_beside_them_with_the_way_out() {
    let text = format!(
        "{}shapes: {{ users: {{ table: users, columns: [id], rules: [ {{ rows: all }} ] }} }}\n",
        tenants("  acme: { extends: base, hosts: a.test }\n")
    );
    let told = refused(&text);
    assert!(told.contains("`shapes` belongs to a tenant"), "{told}");
    assert!(told.contains("extends: base"), "{told}");
}

#[test]
fn member_reads_the_user_and_nothing_of_the_request() {
    let with = |member: &str| {
        tenants(&format!(
            "  acme: {{ extends: base, hosts: a.test, member: '{member}' }}\n"
        ))
    };
    for member in [
        "user.org == tenant.id",
        "tenant.id in user.orgs",
        "user.a.b.c == tenant.id || has(user.staff)",
        "true",
    ] {
        accepted(&with(member));
    }
    for member in [
        "request.headers[\"x-org\"] == tenant.id",
        "request.method == \"GET\"",
        "asked.table == \"x\"",
        "decision.role == \"x\"",
        "tenant.name == \"x\"",
        "user.org ==",
        "nobody.org == tenant.id",
    ] {
        let told = refused(&with(member));
        assert!(told.contains("test.yaml:"), "{member}\n{told}");
    }
}

#[test]
fn a_template_extends_another_and_never_itself() {
    let more = "  small: { extends: base, cors: { origins: ['https://a.test'] } }\n";
    let text = format!("{TEMPLATE}{more}\ntenants: {{ acme: {{ extends: small, hosts: a.test }} }}\n");
    accepted(&text);
    for (wrong, told) in [
        ("  a: { extends: a }\n", "extends itself"),
        ("  a: { extends: b }\n  b: { extends: a }\n", "extends itself"),
        ("  a: { extends: [base] }\n", "one template"),
        ("  a: { extends: bas }\n", "did you mean `base`?"),
    ] {
        let text = format!("{TEMPLATE}{wrong}\ntenants: {{ acme: {{ extends: base, hosts: a.test }} }}\n");
        assert!(refused(&text).contains(told), "{wrong}\n{}", refused(&text));
    }
}

#[test]
fn every_tenants_mistakes_are_told_at_once_each_at_its_place() {
    let text = tenants(concat!(
        "  acme: { extends: base, hosts: a.test, shapes: { users: { tabel: users } } }\n",
        "  beta: { extends: base, hosts: b.test, corse: any }\n",
        "  gamma: { extends: bas, hosts: c.test }\n",
    ));
    let told = refused(&text);
    for part in ["`tabel`", "`corse`", "there is no template `bas`"] {
        assert!(told.contains(part), "{part}\n{told}");
    }
}
