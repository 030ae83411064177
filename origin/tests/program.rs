//! The stand-in as a program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Ends the program with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shapegate-origin"));
    command
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn it_prints_its_address_and_serves_what_it_was_told_to() {
    let arguments = ["--schema", "recordings", "--secret", "s", "--chunk-bytes", "300"];
    let mut running = Running(program(&arguments).spawn().unwrap());
    let mut address = String::new();
    BufReader::new(running.0.stdout.take().unwrap())
        .read_line(&mut address)
        .unwrap();
    let url = format!("http://{}/v1/shape?table=users&offset=-1", address.trim());
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 401);
    let rows = reqwest::get(format!("{url}&secret=s"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(rows.matches("\"operation\"").count(), 2);
}

#[test]
fn what_it_does_not_understand_ends_it_with_a_sentence() {
    for (arguments, sentence) in [
        (&["--colour", "red"][..], "there is no --colour, see --help"),
        (&["--listen"], "--listen needs a value, see --help"),
        (&["--long-poll-ms", "soon"], "--long-poll-ms cannot be soon"),
    ] {
        let output = program(arguments).output().unwrap();
        assert!(!output.status.success());
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(told, format!("shapegate-origin: {sentence}\n"));
    }
}
