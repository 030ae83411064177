//! `shapegate serve`: serves until told to stop.

use super::ConfigFiles;
use super::output::{count, warn};
use crate::config::Machine;
use crate::reload::{Fleet, Looked};
use crate::{gateway, logging};
use std::process::ExitCode;
use std::sync::Arc;

pub(super) fn run(files: &ConfigFiles) -> ExitCode {
    logging::start();
    let fleet = match Fleet::load(files.config.clone(), Arc::new(Machine)) {
        Ok((fleet, looked)) => {
            complain(&looked);
            fleet
        }
        Err(refused) => {
            let errors = count(refused.problems().errors(), "error");
            warn(&format!("{refused}\nThe configuration is refused: {errors}.\n"));
            return ExitCode::FAILURE;
        }
    };
    match gateway::run_fleet(fleet) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            warn(&format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
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
