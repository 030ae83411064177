//! `shapegate check`: whether a configuration is right.

use super::ConfigFiles;
use super::output::{count, tell, warn};
use crate::config::{Loaded, Machine, load};
use crate::tenant;
use clap::Args;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    #[command(flatten)]
    files: ConfigFiles,
    /// Print what all files together amount to: variables and defaults filled in, secrets left out.
    #[arg(long)]
    print: bool,
}

pub(super) fn run(arguments: &CheckArguments) -> ExitCode {
    let Some(loaded) = load_or_complain(&arguments.files) else {
        return ExitCode::FAILURE;
    };
    if let Err(error) = tenant::compile(&loaded.config) {
        warn(&format!("error: {error}\n"));
        return ExitCode::FAILURE;
    }
    if arguments.print {
        tell(&loaded.print());
    } else {
        let tenants = &loaded.config.tenants;
        let shapes = count(tenants.iter().map(|tenant| tenant.shapes.len()).sum(), "shape");
        let shapes = match tenants.as_slice() {
            [_] => shapes,
            several => format!("{}, {shapes}", count(several.len(), "tenant")),
        };
        tell(&format!(
            "The configuration is right: {shapes}, {}.\n",
            count(loaded.warnings.list.len(), "warning")
        ));
        if loaded.config.server.cluster.is_none() {
            tell(
                "Limits and revocations made over the admin listener are of each process alone; `cluster` shares them.\n",
            );
        }
    }
    ExitCode::SUCCESS
}

/// Loads, and tells every warning and error on standard error.
pub(super) fn load_or_complain(files: &ConfigFiles) -> Option<Loaded> {
    load_telling_warnings(files)
        .map_err(|complaint| warn(&complaint))
        .ok()
}

/// Loads, and tells every warning on standard error.
///
/// # Errors
/// Every error, for standard error.
pub(super) fn load_telling_warnings(files: &ConfigFiles) -> Result<Loaded, String> {
    match load(&files.config, &Machine) {
        Ok(loaded) => {
            if !loaded.warnings.list.is_empty() {
                warn(&format!("{}\n", loaded.warnings.render()));
            }
            Ok(loaded)
        }
        Err(problems) => {
            let errors = count(problems.errors(), "error");
            Err(format!(
                "{}\nThe configuration is refused: {errors}.\n",
                problems.render()
            ))
        }
    }
}
