//! `shapegate serve`: serves until told to stop.

use super::ConfigFiles;
use super::check::load_or_complain;
use super::output::warn;
use crate::{gateway, logging, tenant};
use std::process::ExitCode;

pub(super) fn run(files: &ConfigFiles) -> ExitCode {
    logging::start();
    let Some(loaded) = load_or_complain(files) else {
        return ExitCode::FAILURE;
    };
    let config = &loaded.config;
    let served = match tenant::compile(config) {
        Ok(snapshot) => gateway::run(snapshot, &config.server).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            warn(&format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
}
