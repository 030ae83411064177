//! The one place that writes to standard output and standard error.

use std::io::Write as _;

/// Writes to standard output. A reader that has gone (`| head`) is no reason to complain.
pub(super) fn tell(text: &str) {
    _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Writes to standard error.
pub(super) fn warn(text: &str) {
    _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// "1 error", "2 errors".
pub(super) fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
