//! The exact words: each message has a place, the line, a caret, and the way out.

use crate::support::{Given, and, refused, refused_in, with_shape, with_shapes};

#[test]
fn an_unknown_key_is_shown_with_the_one_that_was_meant() {
    let text = with_shape("tabel: users\ncolumns: [id]\nrules: [{ rows: all }]");
    assert_eq!(
        refused(&text),
        "\
error: `users` lacks the key `table`
 --> /etc/shapegate.yaml:5:5
  |
5 |     tabel: users
  |     ^
  = help: write `table: users`

error: unknown key `tabel` in `users`
 --> /etc/shapegate.yaml:5:5
  |
5 |     tabel: users
  |     ^^^^^
  = help: did you mean `table`?
"
    );
}

#[test]
fn a_key_written_twice_is_shown_with_its_first_line() {
    let text = and("cors: { origins: any }\nlimits: { body_bytes_max: 1KiB }\ncors: { credentials: true }\n");
    assert_eq!(
        refused(&text),
        "\
error: the key `cors` is written twice
 --> /etc/shapegate.yaml:6:1
  |
6 | cors: { credentials: true }
  | ^^^^
  = help: it is already on line 4: keep one of them
"
    );
}

#[test]
fn a_tag_is_shown_where_it_stands() {
    let text = and("").replace("table: users", "table: !!str users");
    assert_eq!(
        refused(&text),
        "\
error: YAML tags (`!…`) are not read
 --> /etc/shapegate.yaml:3:27
  |
3 | shapes: { users: { table: !!str users, columns: [id], rules: [{ rows: all }] } }
  |                           ^
  = help: remove the tag: each key already says what type its value has
"
    );
}

#[test]
fn norway_is_no_boolean() {
    let text = with_shape("table: users\ncolumns: [id]\ndelete: no\nrules: [{ rows: all }]");
    assert_eq!(
        refused(&text),
        "\
error: `delete` must be true or false, not `no`
 --> /etc/shapegate.yaml:7:13
  |
7 |     delete: no
  |             ^^
  = help: write `false`, without quotes
"
    );
}

#[test]
fn octal_is_no_number() {
    let text = and("defaults: { client: { subset: { limit_max: 010 } } }\n");
    assert_eq!(
        refused(&text),
        "\
error: `limit_max` must be a whole number, not `010`
 --> /etc/shapegate.yaml:4:44
  |
4 | defaults: { client: { subset: { limit_max: 010 } } }
  |                                            ^^^
  = help: write decimal digits, without quotes or leading zeros
"
    );
}

#[test]
fn a_missing_secret_is_told_with_both_ways_out() {
    let text = and("").replace(", secret: { env: ELECTRIC_SECRET }", "");
    assert_eq!(
        refused(&text),
        "\
error: `electric` lacks the key `secret`
 --> /etc/shapegate.yaml:1:11
  |
1 | electric: { url: http://127.0.0.1:3000 }
  |           ^
  = help: write `secret: { env: ELECTRIC_SECRET }`; an Electric without one needs `insecure_no_secret: true`
"
    );
}

#[test]
fn a_secret_too_short_to_be_one_is_refused_and_not_shown() {
    let rendered = refused_in(&and(""), &Given::new().variable("JWT_SECRET", "hunter2"));
    assert!(
        rendered.contains("a secret for HS256 has at least 32 bytes, this one has 7"),
        "{rendered}"
    );
    assert!(
        rendered.contains("/etc/shapegate.yaml:2:58") && !rendered.contains("hunter2"),
        "{rendered}"
    );
}

#[test]
fn a_template_in_a_filter_is_refused() {
    let text =
        with_shape("table: users\ncolumns: [id]\nrules:\n  - rows: { where: \"org = '{{claims.org}}'\" }");
    assert_eq!(
        refused(&text),
        "\
error: `where` has a template in it, which is not filled in
 --> /etc/shapegate.yaml:8:24
  |
8 |       - rows: { where: \"org = '{{claims.org}}'\" }
  |                        ^^^^^^^^^^^^^^^^^^^^^^^^
  = help: write `$1` in `where`, and the value's expression in `params: [user.org_id]`
"
    );
}

#[test]
fn every_problem_is_told_at_once_in_the_order_of_the_file() {
    let text = "\
server: { listen: here }
electric: { url: localhost, secret: hunter2 }
identity: [{ jwt: { issuer: acme, keys: [{ alg: HS512, secret: { env: NOT_SET } }] } }]
cors: { origins: [\"*\"], credentials: yes }
shapes:
  users: { columns: [id], rules: [] }
  posts: { table: posts, columns: [], rules: [{ rows: some }] }
limits: { body_bytes_max: 256 }
cluster: {}
";
    let rendered = refused(text);
    let lines: Vec<&str> = rendered
        .lines()
        .filter(|line| line.starts_with("error"))
        .collect();
    assert_eq!(
        lines,
        [
            "error: `listen` must be an IP address and a port, not `here`",
            "error: the URL of `electric` is no http or https URL",
            "error: `secret` is written in the configuration, where it does not stay secret",
            "error: `jwt` does not say whom tokens must be for",
            "error: the environment variable NOT_SET is not set",
            "error: the origin `*` does not begin with https:// or http://",
            "error: `credentials` must be true or false, not `yes`",
            "error: `users` lacks the key `table`",
            "error: `rules` is empty: nobody would ever get in",
            "error: columns: no column is named",
            "error: `rows` cannot be `some`",
            "error: `body_bytes_max` must be a size, not `256`",
            "error: `cluster` lacks the key `redis`",
        ],
        "{rendered}"
    );
    let places = rendered
        .lines()
        .filter(|line| line.trim_start().starts_with("--> /etc/shapegate.yaml:"))
        .count();
    let carets = rendered
        .lines()
        .filter(|line| line.contains(" | ") && line.trim_end().ends_with('^'))
        .count();
    let helps = rendered
        .lines()
        .filter(|line| line.trim_start().starts_with("= help: "))
        .count();
    assert_eq!((places, carets, helps), (13, 13, 13), "{rendered}");
}

#[test]
fn a_wrong_expression_is_shown_where_it_is_written() {
    let text = with_shape(
        "table: users\ncolumns: [id]\nrules:\n  - when: user.org_id ==\n    rows: all\n  - rows: { where: '\"org_id\" = $1 AND (', params: [user.] }",
    );
    let rendered = refused(&text);
    for place in [":8:15", ":10:24", ":10:56"] {
        assert!(
            rendered.contains(&format!("/etc/shapegate.yaml{place}\n")),
            "{place}\n{rendered}"
        );
    }
}

#[test]
fn control_characters_of_a_file_never_reach_the_terminal() {
    let rendered = refused(&with_shapes("shapes: { \"\\e[31mred\": { table: a } }\n"));
    assert!(!rendered.contains('\u{1b}'), "{rendered:?}");
}
