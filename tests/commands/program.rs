//! The program, run until it ends by itself.

use std::process::Command;

/// How a command ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub output: String,
    pub complaints: String,
}

/// The program with nothing of this process' environment.
pub fn shapegate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shapegate"));
    command.args(arguments).env_clear();
    command
}

pub fn run(command: &mut Command) -> Ended {
    let output = command.output().expect("the program");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Ended {
        code: output.status.code().expect("no signal"),
        output: text(output.stdout),
        complaints: text(output.stderr),
    }
}

/// What a command says that must succeed.
pub fn told(arguments: &[&str]) -> String {
    let ended = run(&mut shapegate(arguments));
    assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
    ended.output
}

/// The secrets of the examples.
pub const ELECTRIC_SECRET: &str = "the-secret-of-electric-canary";
pub const JWT_SECRET: &str = "a-jwt-secret-of-32-bytes-or-more-canary";

/// The program in the folder of examples, with their secrets.
pub fn in_conf(arguments: &[&str]) -> Command {
    let mut command = shapegate(arguments);
    command
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/conf"))
        .env("ELECTRIC_SECRET", ELECTRIC_SECRET)
        .env("JWT_SECRET", JWT_SECRET);
    command
}

/// Fails when a secret was told.
pub fn keeps_secrets(ended: &Ended) {
    for text in [&ended.output, &ended.complaints] {
        assert!(!text.contains("canary"), "{text}");
    }
}
