//! The command line, a file a command.

mod check;
mod completions;
mod demo;
mod explain;
mod init;
mod keys;
mod output;
mod request;
mod schema;
mod serve;
mod test;
mod token;
mod upgrade;

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = r#"Examples:
  shapegate check -c shapegate.yaml             say what is wrong, with line and column
  shapegate check -c base.yaml -c prod.yaml --print
                                                show what several files amount to
  shapegate explain -c shapegate.yaml --claims '{"sub": "ann", "org_id": 7}' /api/shapes/users
                                                say what Ann would get, and why
  shapegate test policy-tests.yaml              run policy tests
  shapegate serve -c shapegate.yaml             serve
  shapegate demo                                try it, without anything else installed"#;

/// An authorising gateway for Electric: who asks, what they may sync, and nothing else.
#[derive(Debug, Parser)]
#[command(name = "shapegate", version, max_term_width = 100, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until told to stop.
    Serve(ConfigFiles),
    /// Change the running process for a new one, without refusing or cutting off anybody.
    Upgrade(upgrade::UpgradeArguments),
    /// Say whether a configuration is right: exit code 0, or 1 with every error and its place.
    Check(check::CheckArguments),
    /// Print the JSON Schema of the configuration, for editors and for tools that check files.
    Schema(schema::SchemaArguments),
    /// Write a first configuration, with comments.
    Init(init::InitArguments),
    /// Say step by step how a request would be answered, and why: exit code 0 allowed, 1 refused, 2 neither.
    Explain(explain::ExplainArguments),
    /// Run policy tests: who asks for what, and what is to come of it. Exit code 0, or 1 when one fails.
    Test(test::TestArguments),
    /// Sign tokens for development, and look into tokens.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Make keys that sign shape tokens, and replace them in time.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Try it out: a gateway before a small stand-in for Electric, with data and users to play with.
    Demo(demo::DemoArguments),
    /// Print a script with which a shell completes the command line.
    Completions(completions::CompletionsArguments),
    /// Print the manual page, in roff.
    Man(completions::ManArguments),
}

/// The configuration files of a command.
#[derive(Debug, Args)]
struct ConfigFiles {
    /// A configuration file. Later files replace the keys of earlier ones; `electric` and `shapes` are merged
    /// by name.
    #[arg(short, long = "config", value_name = "FILE", required = true)]
    config: Vec<PathBuf>,
}

/// Parses the process' arguments and runs the command that they name.
pub fn run() -> ExitCode {
    match CommandLine::parse().command {
        Command::Serve(files) => serve::run(&files),
        Command::Upgrade(arguments) => upgrade::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Token(command) => token::run(&command),
        Command::Keys(command) => keys::run(&command),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Completions(arguments) => completions::completions(&arguments),
        Command::Man(arguments) => completions::man(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
