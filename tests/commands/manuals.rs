//! Manual pages and completions, of every command that the help knows.

use std::fs;
use std::process::Command;

use crate::program::{run, shapegate, told};

/// The commands, as the help lists them.
fn commands() -> Vec<String> {
    let help = told(&["--help"]);
    let (_, listed) = help.split_once("Commands:\n").expect("commands");
    let lines = listed.lines().take_while(|line| !line.is_empty());
    let named = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    named
        .filter(|name| !name.is_empty() && *name != "help")
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn every_command_has_a_page_and_is_on_the_first() {
    let folder = tempfile::tempdir().unwrap();
    told(&["man", "--out", folder.path().to_str().unwrap()]);
    let first = told(&["man"]);
    assert!(commands().len() > 6, "{:?}", commands());
    for name in commands() {
        let page = folder.path().join(format!("shapegate-{name}.1"));
        let page = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(page.contains(".SH SYNOPSIS"), "{page}");
        assert!(
            first.contains(&format!("shapegate\\-{name}(1)")),
            "{name} of {first}"
        );
    }
}

#[test]
fn a_folder_that_is_not_there_is_said_to_be_none() {
    let ended = run(&mut shapegate(&["man", "--out", "/nonexistent/folder"]));
    assert_eq!((ended.code, ended.output.as_str()), (1, ""));
    assert!(
        ended
            .complaints
            .starts_with("error: the manual cannot be written")
    );
}

#[test]
fn shells_complete_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = told(&["completions", shell]);
        for name in commands() {
            assert!(script.contains(&name), "{name} in {shell}");
        }
    }
    assert_eq!(run(&mut shapegate(&["completions", "cmd"])).code, 2);
}

#[test]
fn bash_really_completes_a_command() {
    let script = told(&["completions", "bash"]);
    let asked = format!(
        "{script}\nCOMP_WORDS=(shapegate upg); COMP_CWORD=1; _shapegate shapegate upg shapegate; echo \"${{COMPREPLY[*]}}\""
    );
    let output = Command::new("bash").args(["-c", &asked]).output().expect("bash");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "upgrade");
}

#[test]
fn a_schema_is_printed_for_every_file_that_is_written_by_hand() {
    for (file, title, key) in [
        (None, "a configuration", "tenants"),
        (Some("configuration"), "a configuration", "tenants"),
        (Some("tenant"), "a tenant", "member"),
        (Some("api-keys"), "a file of API keys", "keys"),
        (Some("revocations"), "a file of revocations", ""),
    ] {
        let arguments: Vec<&str> = ["schema"].into_iter().chain(file).collect();
        let printed = told(&arguments);
        let schema: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(schema["title"].as_str().unwrap().contains(title), "{file:?}");
        let root = schema["$ref"].as_str().unwrap().strip_prefix('#').unwrap();
        let begins = schema.pointer(root).unwrap();
        assert!(
            key.is_empty() || begins["properties"].get(key).is_some(),
            "{file:?}"
        );
    }
}
