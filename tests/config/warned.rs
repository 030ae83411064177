//! What is taken, and should be looked at again.

use crate::support::{ELECTRIC, accepted};

/// A preset whose users write `claim` themselves, and where it is read.
fn reading(preset: &str, claim: &str) -> Vec<(&'static str, String)> {
    let method = |claims: &str| {
        format!(
            "identity: [ {{ jwt: {{ {preset}{claims}, keys: [ {{ alg: HS256, secret: {{ env: JWT_SECRET }} }} ] }} }} ]\n"
        )
    };
    let shapes =
        |rule: &str| format!("shapes: {{ users: {{ table: users, columns: [id], rules: [ {rule} ] }} }}\n");
    let method = |claims: &str| format!("{ELECTRIC}{}", method(claims));
    let (plain, all) = (method(""), shapes("{ rows: all }"));
    let has = format!("has(user.{claim}) && has(user.{claim}.org)");
    vec![
        (
            "a mapping",
            method(&format!(
                ", claims: {{ org: {{ from: {claim}.org, type: string }} }}"
            )) + &all,
        ),
        (
            "a condition",
            plain.clone()
                + &shapes(&format!(
                    "{{ when: '{has} && user.{claim}.org == \"acme\"', rows: all }}"
                )),
        ),
        (
            "a parameter",
            plain.clone()
                + &shapes(&format!(
                    "{{ when: '{has}', rows: {{ where: '\"org\" = $1', params: [user.{claim}.org] }} }}"
                )),
        ),
        (
            "a tenant's members",
            format!(
                "tenants:\n  acme:\n    hosts: acme.test\n    member: '{has} && user.{claim}.org == tenant.id'\n    {}    {all}",
                plain.replace('\n', "\n    ").trim_end_matches(' ')
            ),
        ),
    ]
}

#[test]
fn a_claim_that_users_write_themselves_is_warned_of_wherever_it_is_read() {
    for (preset, claim) in [
        (
            "preset: supabase, issuer: https://abc.supabase.co/auth/v1",
            "user_metadata",
        ),
        (
            "preset: auth0, issuer: https://acme.auth0.com/, audience: sync",
            "user_metadata",
        ),
        (
            "preset: clerk, issuer: https://clerk.acme.com, authorized_parties: [https://app.acme.com]",
            "unsafe_metadata",
        ),
    ] {
        for (what, text) in reading(preset, claim) {
            let warned = accepted(&text).warnings.render();
            let told = format!("write `{claim}` themselves: it proves nothing");
            assert!(warned.contains(&told), "{what}: {warned}\n{text}");
        }
        for (what, text) in reading(preset, "app_metadata") {
            let warned = accepted(&text).warnings.render();
            assert!(!warned.contains("themselves"), "{what}: {warned}");
        }
    }
}
