//! The `shapegate` binary: parses the command line and hands over.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Many threads allocate and free small things all the time, and what a burst of connections took must be given
/// back after it.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    shapegate::cli::run()
}
