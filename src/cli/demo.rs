//! `shapegate demo`: a gateway before a stand-in for Electric, with data and users to play with.

use clap::Args;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(super) struct DemoArguments {}

pub(super) fn run(_: &DemoArguments) -> ExitCode {
    super::output::warn("error: the demo is not yet part of this build\n");
    ExitCode::FAILURE
}
