//! `shapegate init`: a first configuration, with comments.

use super::output::{tell, warn};
use clap::Args;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What is written.
const FIRST: &str = include_str!("init/shapegate.yaml");

#[derive(Debug, Args)]
pub(super) struct InitArguments {
    /// Where it is written; a file that is there already is left alone. `-` prints it.
    #[arg(value_name = "FILE", default_value = "shapegate.yaml")]
    file: PathBuf,
}

pub(super) fn run(arguments: &InitArguments) -> ExitCode {
    let file = &arguments.file;
    if file.as_os_str() == "-" {
        tell(FIRST);
        return ExitCode::SUCCESS;
    }
    let name = file.display();
    if let Err(error) = write(file) {
        warn(&format!("error: {name} cannot be written: {error}\n"));
        return ExitCode::FAILURE;
    }
    tell(&format!(
        "{name} is written: it needs your issuer, your tables, and ELECTRIC_SECRET in the environment.\n\n  \
         shapegate check -c {name}\n  \
         shapegate explain -c {name} --claims '{{\"sub\": \"ann\", \"org_id\": 7}}' /api/shapes/users\n  \
         shapegate serve -c {name}\n"
    ));
    ExitCode::SUCCESS
}

fn write(file: &Path) -> io::Result<()> {
    let mut created = OpenOptions::new().write(true).create_new(true).open(file)?;
    created.write_all(FIRST.as_bytes())
}
