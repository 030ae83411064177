//! `shapegate serve`: serves until told to stop.

use super::ConfigFiles;
use super::check::load_or_complain;
use super::output::warn;
use crate::tenant;
use std::process::ExitCode;

pub(super) fn run(files: &ConfigFiles) -> ExitCode {
    let Some(loaded) = load_or_complain(files) else { return ExitCode::FAILURE };
    match tenant::compile(&loaded.config) {
        Ok(snapshot) => { _ = (snapshot, loaded.config.server); ExitCode::FAILURE },
        Err(error) => {
            warn(&format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
}
