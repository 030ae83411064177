//! docs/gatekeeper.md, request by request, with curl.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use shapegate::clock::SystemClock;
use shapegate::gatekeeper::SigningAlgorithm;
use shapegate_origin::{Origin, OriginConfig, Schema};
use std::sync::Arc;

use crate::support::gateway::{ELECTRIC_SECRET, Gateway};
use crate::support::token::token;
use crate::world::key_file;

const PAGE: &str = include_str!("../../docs/gatekeeper.md");
/// What stands for anything in an answer.
const ANYTHING: char = '…';
const NEXT: &str = "--- next ---";

/// The fenced blocks of a language.
fn blocks<'p>(language: &str) -> Vec<&'p str> {
    let opening = format!("```{language}\n");
    let after = PAGE.split(&opening[..]).skip(1);
    after.map(|rest| rest.split("\n```").next().unwrap()).collect()
}

/// Commands, each with what it must print.
fn steps() -> Vec<(String, Vec<String>)> {
    let mut steps: Vec<(String, Vec<String>)> = Vec::new();
    for line in blocks("console").iter().flat_map(|block| block.lines()) {
        match line.strip_prefix("$ ") {
            Some(command) => steps.push((command.to_owned(), Vec::new())),
            None => steps.last_mut().unwrap().1.push(line.to_owned()),
        }
    }
    steps
}

fn matches(expected: &str, printed: &str) -> bool {
    let mut parts = expected.split(ANYTHING);
    let Some(mut rest) = printed.strip_prefix(parts.next().unwrap()) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

fn demo() -> Origin {
    Origin::start(OriginConfig {
        secret: Some(ELECTRIC_SECRET.to_owned()),
        schema: Schema::demo(),
        ..OriginConfig::default()
    })
    .unwrap()
}

fn configuration(folder: &Path) -> String {
    let key = key_file(folder, "gatekeeper.pem", SigningAlgorithm::Es256);
    let text = blocks("yaml")[0];
    assert!(text.contains("file: gatekeeper.pem"));
    text.replace("file: gatekeeper.pem", &format!("file: {key}"))
}

/// Runs all commands in one shell, and gives what each printed.
fn run(script: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let output = Command::new("bash")
        .args(["-c", script])
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("bash");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
    let printed = String::from_utf8(output.stdout).unwrap();
    printed.split(NEXT).map(|part| part.trim().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guides_walkthrough_is_as_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::before(demo(), &configuration(folder.path()), Arc::new(SystemClock)).await;
    let steps = steps();
    assert!(steps.len() > 12, "{steps:?}");
    let commands: Vec<String> = steps
        .iter()
        .map(|(command, _)| format!("{command}\necho '{NEXT}'\n"))
        .collect();
    let url = format!("http://{}", gateway.address);
    let user = token(json!({ "iss": "acme", "sub": "ann", "org_id": 1 }));
    let script = commands.concat();
    let printed =
        tokio::task::spawn_blocking(move || run(&script, &[("GATEWAY", &url), ("USER_TOKEN", &user)]));
    for ((command, expected), printed) in steps.iter().zip(printed.await.unwrap()) {
        let flat = printed.replace('\n', "");
        assert!(
            matches(&expected.concat(), &flat),
            "$ {command}\n{printed}\nbut the page says\n{}",
            expected.concat()
        );
    }
}
