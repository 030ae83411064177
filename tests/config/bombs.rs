use crate::support::{ELECTRIC, Given, and, refused};
use shapegate::config::{Machine, load, load_texts, yaml};
use std::fmt::Write as _;
use std::path::Path;

#[test]
fn aliases_stand_for_whole_values() {
    let text = and("").replace("columns: [id]", "columns: &c [id]") + "  # no more\n";
    let text = text.replace(
        "rules: [{ rows: all }] } }",
        "rules: [{ rows: all }] }, posts: { table: posts, columns: *c, rules: [{ rows: all }] } }",
    );
    assert_eq!(crate::support::accepted(&text).config.tenants[0].shapes.len(), 2);
}

#[test]
fn a_bomb_of_aliases_is_refused_at_the_line_that_goes_too_far() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..20 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        _ = writeln!(text, "a{level}: &a{level} [{inner}]");
    }
    let rendered = refused(&text);
    assert!(rendered.starts_with("error: more than 100000 keys and values, what aliases stand for included\n --> /etc/shapegate.yaml:5:"), "{rendered}");
}

#[test]
fn a_value_that_contains_itself_is_refused() {
    let rendered = refused("a: &a [*a]\n");
    assert!(
        rendered.contains("this alias stands inside the value that it names"),
        "{rendered}"
    );
    assert!(rendered.contains("/etc/shapegate.yaml:1:8"), "{rendered}");
}

#[test]
fn nesting_too_deep_is_refused_with_its_place() {
    for text in [
        format!("a: {}", "[".repeat(200)),
        format!("a: {}1{}", "[".repeat(40), "]".repeat(40)),
        "- ".repeat(100_000),
    ] {
        let rendered = refused(&text);
        assert!(rendered.contains(":1:"), "{rendered}");
    }
    assert!(refused(&format!("a: {}1{}", "[".repeat(40), "]".repeat(40))).contains("nested deeper than 32"));
}

#[test]
fn a_file_over_a_mebibyte_is_refused_unread_and_the_limit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.yaml");
    // A hundred megabytes that take no room on disk.
    std::fs::File::create(&path)
        .unwrap()
        .set_len(100 * 1024 * 1024)
        .unwrap();
    let problems = load(&[path], &Machine).unwrap_err();
    assert!(
        problems
            .render()
            .ends_with("cannot be read: it is larger than 1MiB\n"),
        "{problems}"
    );
}

#[test]
fn a_text_over_a_mebibyte_is_refused_too() {
    let text = format!("# {}\n{}", "x".repeat(yaml::FILE_BYTES_MAX), and(""));
    let problems = load_texts(&[(Path::new("a.yaml"), &text)], &Given::new()).unwrap_err();
    assert!(problems.render().contains("larger than 1MiB"), "{problems}");
}

#[test]
fn broken_yaml_is_refused_with_its_line() {
    for (text, place) in [
        ("electric: {\n", ":1:11"),
        ("a: b: c\n", ":1:5"),
        ("a:\n\tb: 1\n", ":2:"),
        ("a: 'x\n", ":"),
        ("a: *b\n", ":1:4"),
        ("%YAML 9.9\n---\na: 1\n", ":"),
    ] {
        let rendered = refused(text);
        assert!(
            rendered.starts_with("error: ") && rendered.contains(&format!("/etc/shapegate.yaml{place}")),
            "{text}: {rendered}"
        );
    }
}

#[test]
fn a_second_document_is_refused() {
    let rendered = refused(&format!("{}---\n{ELECTRIC}", and("")));
    assert!(
        rendered.contains("a second YAML document") && rendered.contains("/etc/shapegate.yaml:5:1"),
        "{rendered}"
    );
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latin.yaml");
    std::fs::write(&path, b"a: \xff\xfe\n").unwrap();
    assert!(
        load(&[path], &Machine)
            .unwrap_err()
            .render()
            .contains("is not UTF-8")
    );
}
