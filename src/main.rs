//! The `shapegate` binary: parses the command line and hands over.

use std::process::ExitCode;

fn main() -> ExitCode {
    shapegate::cli::run()
}
