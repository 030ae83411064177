//! `shapegate token`: tokens for development signed, and tokens looked into.

mod decode;
mod sign;

use super::output::{tell, warn};
use clap::Subcommand;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Sign a token with a shared secret of the configuration, for development. Refused where SHAPEGATE_ENV is
    /// production.
    Sign(sign::SignArguments),
    /// Show what a token says, and with a configuration whether it is taken and why not.
    Decode(decode::DecodeArguments),
}

pub(super) fn run(command: &TokenCommand) -> ExitCode {
    let done = match command {
        TokenCommand::Sign(arguments) => sign::run(arguments),
        TokenCommand::Decode(arguments) => decode::run(arguments),
    };
    match done {
        Ok((text, code)) => {
            tell(&text);
            code
        }
        Err(complaint) => {
            warn(&format!("{complaint}\n"));
            ExitCode::FAILURE
        }
    }
}
