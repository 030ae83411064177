//! `gatekeeper`: what is read, and what is refused with its place.

use crate::support::{ELECTRIC, Given, IDENTITY, PUBLIC_KEYS, accepted_in, private_key, refused_in};
use shapegate::gatekeeper::SigningAlgorithm;
use shapegate::tenant;
use std::time::Duration;

const SHAPES: &str = "shapes:
  items: { table: items, columns: all, rules: [{ rows: all }] }
  posts: { path: '/api/{blog:int}/posts', query: { tag: text }, table: posts, columns: all, rules: [{ rows: all }] }
  any: { path: /open/shape, table: { any_of: [\"public.*\"] }, rules: [{ rows: all }] }
";
const KEY: &str = "{ alg: ES256, file: one.pem, kid: one }";
/// The smallest minter but for its brace.
const MINT: &str =
    "mint: { url: https://s.example/proxy/v1/shape, keys: [{ alg: ES256, file: one.pem, kid: one }]";

fn given() -> Given {
    let mut given = Given::new().file("/etc/jwks.json", PUBLIC_KEYS);
    for name in ["one", "two", "three"] {
        given = given.file(&format!("/etc/{name}.pem"), &private_key(SigningAlgorithm::Es256));
    }
    given
        .file("/etc/ed.pem", &private_key(SigningAlgorithm::EdDsa))
        .file("/etc/text.pem", "no key")
        .file("/etc/sec1.pem", SEC1)
}

const SEC1: &str = "-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIOjBwdbqPAm0142Unk/gL5HdMksoEC6T1f2y829itN+SoAoGCCqGSM49
AwEHoUQDQgAE7eesZHjFCxBAY/fXUvtUzub+VwUyYR+UoqQo/oZSMU+PjT+6tMNV
FtJ++HnCefbEIj+SGYW0arVGEBW3Jslunw==
-----END EC PRIVATE KEY-----
";

fn with(gatekeeper: &str) -> String {
    format!(
        "{ELECTRIC}{IDENTITY}{SHAPES}gatekeeper:\n  {}\n",
        gatekeeper.replace('\n', "\n  ")
    )
}

fn keys(list: &str) -> String {
    with(&format!(
        "mint: {{ url: https://s.example/proxy, keys: [{list}] }}\nshapes: [items]"
    ))
}

#[track_caller]
fn one(text: &str, message: &str) {
    let rendered = refused_in(text, &given());
    assert_eq!(rendered.matches("error: ").count(), 1, "{text}\n{rendered}");
    assert!(rendered.contains(message), "{text}\n{rendered}");
    assert!(
        rendered.contains("--> /etc/shapegate.yaml:") && rendered.contains("= help: "),
        "{rendered}"
    );
}

#[test]
fn the_smallest_of_each_has_every_default() {
    let loaded = accepted_in(&with(&format!("{MINT} }}\nshapes: [items]")), &given());
    let gatekeeper = loaded.config.tenants[0].gatekeeper.as_ref().unwrap();
    let mint = gatekeeper.mint.as_ref().unwrap();
    assert_eq!(mint.path.value.to_string(), "/gatekeeper/{table}");
    assert_eq!(
        (mint.issuer.value.as_str(), mint.external),
        ("https://s.example", false)
    );
    assert_eq!(mint.ttl, Duration::from_secs(300));
    assert!(gatekeeper.verify.is_none());
    let printed = loaded.print();
    for line in [
        "path: \"/gatekeeper/{table}\"",
        "issuer: \"https://s.example\"",
        "audience: own",
        "ttl: 5m",
    ] {
        assert!(printed.contains(line), "{line}\n{printed}");
    }

    let edge = format!(
        "{ELECTRIC}gatekeeper: {{ verify: {{ paths: [/v1/shape], issuers: [{{ issuer: a, audience: b, keys: [{{ file: jwks.json }}] }}] }} }}\n"
    );
    let loaded = accepted_in(&edge, &given());
    assert!(loaded.config.tenants[0].shapes.is_empty() && loaded.config.tenants[0].identity.is_empty());
    assert!(tenant::compile(&loaded.config).is_ok());
    let printed = loaded.print();
    assert!(
        printed.contains("log: [full, changes_only]") && printed.contains("subset: off"),
        "{printed}"
    );
}

#[test]
fn what_says_nothing_or_half_is_refused() {
    for (text, message) in [
        ("{}", "`gatekeeper` neither mints nor verifies"),
        ("shapes: [items]", "`gatekeeper` neither mints nor verifies"),
        (
            &*format!("{MINT} }}"),
            "`gatekeeper` mints, and no `shapes` say what",
        ),
        (
            "mint: { keys: [] }\nshapes: [items]",
            "`mint` lacks the key `url`",
        ),
        ("verify: { paths: [] }\n", "`paths` must have 1 to 64 entries"),
        ("verify: { paths: [/p] }", "nobody's tokens could be verified"),
        (
            "verify: { paths: [/p], issuers: [{ issuer: a, audience: b, keys: [{ file: jwks.json }] }] }\nshapes: [items]",
            "`shapes` of `gatekeeper` are those that may be minted",
        ),
        (
            "verify: { paths: [/p], issuers: [{ issuer: a, keys: [{ file: jwks.json }] }] }",
            "whom tokens must be for",
        ),
        (
            "verify: { paths: [/p], unsigned: { log: [] } }",
            "`log` must have one or two entries",
        ),
        (
            "verify: { paths: [/p], unsigned: { replica: [ful] } }",
            "`replica` cannot be `ful`",
        ),
        (
            "verify: { paths: ['/p/{x:int}'] }",
            "a path of `verify` has no captures",
        ),
        ("verify: { path: /p }", "`verify` lacks the key `paths`"),
    ] {
        let rendered = refused_in(&with(text), &given());
        assert!(rendered.contains(message), "{text}\n{rendered}");
    }
}

#[test]
fn minting_is_told_where_and_for_whom() {
    let mint = |more: &str| with(&format!("{MINT}, {more} }}\nshapes: [items]"));
    one(&mint("path: /gatekeeper"), "does not end in `/{table}`");
    one(&mint("path: '/g/{x:int}/{table}'"), "does not end in `/{table}`");
    one(&mint("path: '//{table}'"), "has an empty segment");
    one(&mint("ttl: 0s"), "`ttl` must be between 1s and 1d");
    one(&mint("ttl: 2d"), "`ttl` must be between 1s and 1d");
    one(&mint("audience: everybody"), "`audience` cannot be `everybody`");
    for url in [
        "localhost/x",
        "ftp://x/y",
        "https://u:p@x/y",
        "https://x/y?z=1",
        "'https://x/y#z'",
    ] {
        let text = with(&format!("mint: {{ url: {url}, keys: [{KEY}] }}\nshapes: [items]"));
        one(&text, "the `url` of `mint` is no plain http or https URL");
    }
}

#[test]
fn a_key_that_cannot_sign_is_refused() {
    for (key, message) in [
        (
            "{ alg: ES256, file: ed.pem, kid: a }",
            "this is no private key for ES256",
        ),
        (
            "{ alg: RS256, file: one.pem, kid: a }",
            "this is no private key for RS256",
        ),
        (
            "{ alg: ES256, file: text.pem }",
            "there is no private key in that file",
        ),
        ("{ alg: ES256, file: sec1.pem }", "openssl pkcs8 -topk8"),
        ("{ alg: ES256, file: nowhere.pem }", "there is no such file"),
        (
            "{ alg: ES256, kid: a }",
            "a private key has one of `file` and `credential`",
        ),
        (
            "{ alg: ES256, credential: key }",
            "CREDENTIALS_DIRECTORY is not set",
        ),
        ("{ alg: HS256, file: one.pem }", "an HS256 key has a `secret`"),
        (
            "{ alg: HS256, secret: { insecure_value: short } }",
            "at least 32 bytes",
        ),
        (
            "{ alg: HS384, secret: { env: JWT_SECRET } }",
            "`alg` cannot be `HS384`",
        ),
        (
            "{ alg: ES256, file: one.pem, from: tomorrow }",
            "`tomorrow` is no moment",
        ),
    ] {
        one(&keys(key), message);
    }
    one(&keys(""), "there must be 1 to 8 keys");
}

#[test]
fn keys_that_do_not_follow_each_other_are_refused() {
    let two = |first: &str, second: &str| {
        keys(&format!(
            "{{ alg: ES256, file: one.pem, kid: one{first} }}, {{ alg: ES256, file: two.pem, kid: two{second} }}"
        ))
    };
    let from = ", from: '2026-12-01T06:00:00Z'";
    accepted_in(&two("", from), &given());
    accepted_in(&two(", until: '2026-12-01T06:06:00Z'", from), &given());
    one(
        &two(", until: '2026-12-01T06:05:59Z'", from),
        "would be refused too early",
    );
    one(&two("", ""), "exactly one key has no `from`");
    one(&two(from, from), "exactly one key has no `from`");
    one(
        &two("", &format!("{from}, until: '2027-01-01T00:00:00Z'")),
        "`until` is for a key that another one follows",
    );
    one(
        &keys("{ alg: ES256, file: one.pem, kid: a, until: '2027-01-01T00:00:00Z' }"),
        "`until` is for a key",
    );
    one(
        &keys(
            "{ alg: ES256, file: one.pem, kid: a }, { alg: ES256, file: two.pem, kid: a, from: '2026-12-01T06:00:00Z' }",
        ),
        "each needs a `kid` of its own",
    );
    one(
        &keys(
            "{ alg: ES256, file: one.pem, kid: a }, { alg: ES256, file: two.pem, from: '2026-12-01T06:00:00Z' }",
        ),
        "each needs a `kid` of its own",
    );
    one(
        &keys(
            "{ alg: ES256, file: one.pem, kid: a }, { alg: ES256, file: one.pem, kid: b, from: '2026-12-01T06:00:00Z' }",
        ),
        "that is no rotation",
    );
    let three = "{ alg: ES256, file: one.pem, kid: a }, { alg: ES256, file: two.pem, kid: b, from: '2026-12-01T06:00:00Z' }, \
        { alg: ES256, file: three.pem, kid: c, from: '2026-12-01T06:00:00Z' }";
    one(&keys(three), "two keys sign from the same moment on");
    // The longest ttl counts, a rule's as well.
    let text = two(", until: '2026-12-01T06:06:00Z'", from).replace(
        "items, columns: all, rules: [{ rows: all }]",
        "items, columns: all, rules: [{ rows: all, ttl: 10m }]",
    );
    one(&text, "would be refused too early");
}

#[test]
fn the_shapes_that_may_be_minted_are_there_and_each_is_asked() {
    let shapes = |names: &str| with(&format!("{MINT} }}\nshapes: [{names}]"));
    accepted_in(&shapes("items, posts, any"), &given());
    one(&shapes("item"), "there is no shape `item`");
    one(&shapes("items, items"), "`items` is there twice");
    one(
        &shapes("any, items"),
        "`items` would never mint: `any`, before it, gives the same table",
    );
    let clash = shapes("posts").replace("query: { tag: text }", "query: { blog: int }");
    one(
        &clash,
        "the shape `posts` cannot be minted: `blog` is declared twice",
    );
    let reserved = shapes("posts").replace("{blog:int}", "{table:int}");
    one(&reserved, "`table` belongs to the shape protocol");
    let ttl = shapes("posts").replace(
        "items, columns: all, rules: [{ rows: all }]",
        "items, columns: all, rules: [{ rows: all, ttl: 1m }]",
    );
    one(&ttl, "this shape is not minted");
}

#[test]
fn every_path_means_one_thing() {
    let both = |mint: &str, verify: &str| {
        with(&format!(
            "{MINT}{mint} }}\nverify: {{ paths: [{verify}] }}\nshapes: [items]"
        ))
    };
    accepted_in(&both("", "/proxy/v1/shape"), &given());
    one(
        &both("", "/api/shapes/items"),
        "is a path of the shape `items` as well",
    );
    one(&both("", "/open/health"), "is a path of the shape `any` as well");
    one(
        &both(", path: '/api/shapes/{table}'", "/p"),
        "is a path of the shape `items` as well",
    );
    one(&both("", "/gatekeeper/items"), "can mean the same request");
    one(&both("", "/.well-known/jwks.json"), "can mean the same request");
    one(&both("", "/p, /p"), "can mean the same request");
}

#[test]
fn a_token_is_a_users_or_a_shapes_and_never_both() {
    let verify = |issuer: &str| {
        with(&format!(
            "{MINT} }}\nverify: {{ paths: [/p], issuers: [{{ {issuer}, keys: [{{ file: jwks.json }}] }}] }}\nshapes: [items]"
        ))
    };
    accepted_in(&verify("issuer: other, audience: sync"), &given());
    accepted_in(&verify("issuer: acme, audience: shapes"), &given());
    accepted_in(
        &verify("issuer: acme, audience: sync, token_type: shape+jwt"),
        &given(),
    );
    one(
        &verify("issuer: acme, audience: sync"),
        "could be a user's and sign a shape",
    );
    one(
        &verify("issuer: acme, audience: [shapes, sync]"),
        "could be a user's and sign a shape",
    );
    one(
        &verify("issuer: acme, audience: sync, token_type: JWT"),
        "could be a user's and sign a shape",
    );
    one(
        &verify("issuer: 'https://s.example', audience: x"),
        "is the issuer that `mint` signs for",
    );
}

#[test]
fn a_signing_key_that_all_may_read_is_refused() {
    let given = given().world_readable_file("/etc/one.pem", &private_key(SigningAlgorithm::Es256));
    let told = refused_in(&with(&format!("{MINT} }}\nshapes: [items]")), &given);
    assert!(
        told.contains("every account of this machine can read the private key /etc/one.pem"),
        "{told}"
    );
}
