//! `shapegate upgrade`: has the running process replaced, without a client noticing.

use super::output::{tell, warn};
use crate::process::control::{self, Outcome, Upgrade};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(super) struct UpgradeArguments {
    /// The program to change to. Without it, the file that the running process was started from: install the new
    /// version in its place first.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// The running process' `server.upgrade_socket`.
    #[arg(long, value_name = "FILE", default_value = "/run/shapegate/upgrade.sock")]
    socket: PathBuf,
}

pub(super) fn run(arguments: &UpgradeArguments) -> ExitCode {
    match upgrade(arguments) {
        Ok(id) => {
            tell(&format!(
                "Process {id} serves from now on; the old one finishes what it has begun.\n"
            ));
            ExitCode::SUCCESS
        }
        Err(why) => {
            warn(&format!("error: {why}\n"));
            ExitCode::FAILURE
        }
    }
}

fn upgrade(arguments: &UpgradeArguments) -> Result<u32, String> {
    let binary = arguments.binary.as_ref().map(|path| {
        // The running process has another working directory.
        std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))
    });
    let asked = Upgrade {
        binary: binary.transpose()?,
    };
    let socket = arguments.socket.display();
    match control::ask(&arguments.socket, &asked) {
        Ok(Outcome::ServedBy(id)) => Ok(id),
        Ok(Outcome::Unchanged(why)) => Err(format!("the old process goes on serving. {why}")),
        Err(error) => Err(format!(
            "nobody at {socket} says what came of it: {error}\n  help: the running process listens where its \
             `server.upgrade_socket` says, under systemd in /run/shapegate; name that with --socket"
        )),
    }
}
