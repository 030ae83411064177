use crate::support::{ELECTRIC, Given, IDENTITY, SHAPES, and};
use shapegate::config::{Loaded, Problems, load_texts};
use std::path::Path;

fn load(texts: &[&str]) -> Result<Loaded, Problems> {
    let names = ["one.yaml", "two.yaml", "three.yaml"];
    let files: Vec<_> = names.iter().map(Path::new).zip(texts.iter().copied()).collect();
    load_texts(&files, &Given::new())
}

fn names(loaded: &Loaded) -> Vec<&str> {
    loaded.config.tenants[0]
        .shapes
        .iter()
        .map(|shape| &*shape.settings.name.value)
        .collect()
}

#[test]
fn later_files_replace_top_level_keys_as_a_whole() {
    let base = and("limits: { body_bytes_max: 64KiB, head_deadline: 3s }\n");
    let loaded = load(&[&base, "limits: { header_bytes_max: 16KiB }"]).unwrap();
    let limits = loaded.config.server.limits;
    assert_eq!(
        (limits.body_bytes_max, limits.header_bytes_max),
        (262_144, 16_384)
    );
    assert_eq!(limits.head_deadline.as_secs(), 10);
}

#[test]
fn electric_merges_key_by_key() {
    let loaded = load(&[&and(""), "electric: { url: https://electric.internal }"]).unwrap();
    assert_eq!(
        loaded.config.tenants[0].electric.url.to_string(),
        "https://electric.internal:443"
    );
    assert!(loaded.config.tenants[0].electric.secret.is_some());
}

#[test]
fn shapes_merge_by_name_and_a_shape_is_replaced_as_a_whole() {
    let more = "shapes:\n  posts: { table: posts, columns: all, rules: [{ rows: all }] }\n  users: { table: people, columns: all, rules: [{ rows: none }] }\n";
    let loaded = load(&[&and(""), more]).unwrap();
    assert_eq!(names(&loaded), ["users", "posts"]);
    let users = &loaded.config.tenants[0].shapes[0].settings;
    assert_eq!(format!("{:?}", users.columns.value), "All");
}

#[test]
fn a_file_of_comments_changes_nothing_and_three_files_build_up() {
    let loaded = load(&[ELECTRIC, &format!("# nothing here\n{IDENTITY}"), SHAPES]).unwrap();
    assert_eq!(names(&loaded), ["users"]);
    assert!(load(&[&and(""), "# nothing\n", "\n"]).is_ok());
}

#[test]
fn a_problem_names_the_file_that_it_is_in() {
    let problems = load(&[
        &and(""),
        "shapes:\n  posts: { tabel: posts, columns: all, rules: [{ rows: all }] }\n",
    ])
    .unwrap_err();
    assert!(problems.render().contains("--> two.yaml:2:12"), "{problems}");
}

#[test]
fn an_unreadable_file_stops_before_guesses_are_made() {
    let missing = Path::new("/nowhere/shapegate.yaml").to_path_buf();
    let problems = shapegate::config::load(&[missing], &Given::new()).unwrap_err();
    assert_eq!(
        problems.render(),
        "error: the configuration file /nowhere/shapegate.yaml cannot be read: there is no such file\n"
    );
    assert!(
        load(&[""])
            .unwrap_err()
            .render()
            .contains("the configuration is empty")
    );
}
