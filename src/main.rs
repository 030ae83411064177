//! The `shapegate` binary: parses the command line and hands over.

use std::process::ExitCode;

/// Long-lived connections of many sizes fragment the system's allocator; this one gives memory back.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    shapegate::cli::run()
}
