//! `shapegate serve`: serves until told to stop.

use super::ConfigFiles;
use super::output::{count, warn};
use crate::config::Machine;
use crate::process::Arrival;
use crate::reload::{Fleet, Looked};
use crate::{gateway, logging};
use std::process::ExitCode;
use std::sync::Arc;

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
    let (fleet, looked) = Fleet::load(files.config.clone(), Arc::new(Machine)).map_err(|refused| {
        let errors = count(refused.problems().errors(), "error");
        format!("{refused}\nThe configuration is refused: {errors}.\n")
    })?;
    // Whoever serves all tenants is not replaced by somebody who serves some of them.
    if arrival.predecessor.is_some() && looked.refused.refuse() {
        return Err(looked.refused.render());
    }
    complain(&looked);
    gateway::run_fleet(fleet, arrival).map_err(|error| format!("error: {error}\n"))
}

/// Tells every warning, and what is wrong with tenants that are not served.
fn complain(looked: &Looked) {
    for problems in [&looked.warnings, &looked.refused] {
        if !problems.list.is_empty() {
            warn(&format!("{}\n", problems.render()));
        }
    }
    if looked.refused.refuse() {
        let errors = count(looked.refused.errors(), "error");
        warn(&format!(
            "Tenants with errors are not served, all others are: {errors}.\n"
        ));
    }
}
