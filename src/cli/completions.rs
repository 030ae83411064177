//! `shapegate completions` and `shapegate man`: what shells and readers of manuals want, made from the command
//! line itself.

use super::CommandLine;
use super::output::{tell, warn};
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// The shell.
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArguments {
    /// Write the pages of all commands into this folder, which must exist, instead of printing the first.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Prints a script that completes the command line.
pub(super) fn completions(arguments: &CompletionsArguments) -> ExitCode {
    let mut script = Vec::new();
    let mut command = CommandLine::command();
    clap_complete::generate(arguments.shell, &mut command, "shapegate", &mut script);
    tell(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}

/// Prints or writes manual pages.
pub(super) fn man(arguments: &ManArguments) -> ExitCode {
    match pages(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            warn(&format!("error: the manual cannot be written: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn pages(arguments: &ManArguments) -> io::Result<()> {
    let command = CommandLine::command();
    if let Some(folder) = &arguments.out {
        return clap_mangen::generate_to(command, folder);
    }
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    tell(&String::from_utf8_lossy(&page));
    Ok(())
}
