//! `shapegate serve`: serves until told to stop.

use super::ConfigFiles;
use super::check::load_telling_warnings;
use super::output::warn;
use crate::process::Arrival;
use crate::{gateway, logging, tenant};
use std::process::ExitCode;

pub(super) fn run(files: &ConfigFiles) -> ExitCode {
    logging::start();
    let arrival = match Arrival::detect() {
        Ok(arrival) => arrival,
        Err(error) => {
            warn(&format!("error: {error}\n"));
            return ExitCode::FAILURE;
        }
    };
    let predecessor = arrival.predecessor.clone();
    let Err(complaint) = serve(files, arrival) else {
        return ExitCode::SUCCESS;
    };
    warn(&complaint);
    if let Some(predecessor) = predecessor {
        predecessor.failed(&complaint);
    }
    ExitCode::FAILURE
}

fn serve(files: &ConfigFiles, arrival: Arrival) -> Result<(), String> {
    let loaded = load_telling_warnings(files)?;
    let complaint = |error: &dyn std::error::Error| format!("error: {error}\n");
    let snapshot = tenant::compile(&loaded.config).map_err(|error| complaint(&error))?;
    gateway::run(snapshot, &loaded.config.server, arrival).map_err(|error| complaint(&error))
}
