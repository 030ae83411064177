//! `shapegate serve`: serves until told to stop.

use super::ConfigFiles;
use super::check::load_or_complain;
use super::output::warn;
use crate::config::ServerSettings;
use crate::tenant;
use std::process::ExitCode;

pub(super) fn run(files: &ConfigFiles) -> ExitCode {
    let Some(loaded) = load_or_complain(files) else {
        return ExitCode::FAILURE;
    };
    match tenant::compile(&loaded.config) {
        Ok(snapshot) => start(&snapshot, &loaded.config.server),
        Err(error) => {
            warn(&format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn start(_: &tenant::Snapshot, _: &ServerSettings) -> ExitCode {
    warn("error: serving is not yet part of this build\n");
    ExitCode::FAILURE
}
