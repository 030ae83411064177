//! What is logged, and where: lines on standard error, chosen by `RUST_LOG`, `info` without it.
//!
//! Below `info` the libraries log whole requests: Pingora the secret of an upstream and the rows of an answer,
//! others tokens and filters. Whatever `RUST_LOG` says, only our own lines are shown there.

use env_logger::{Env, Logger};
use log::{LevelFilter, Log, Metadata, Record};

/// The crates whose lines below `info` are written to be read by operators.
const OURS: [&str; 3] = ["shapegate", "shapegate_core", "shapegate_origin"];

/// Whether a line may be shown to an operator who asks for it.
pub fn may_be_shown(metadata: &Metadata<'_>) -> bool {
    let library = metadata.target().split("::").next().unwrap_or_default();
    metadata.level() <= LevelFilter::Info || OURS.contains(&library)
}

/// Starts logging, unless something in the process logs already.
pub fn start() {
    let logger = env_logger::Builder::from_env(Env::default().default_filter_or("info")).build();
    let level = logger.filter();
    if log::set_boxed_logger(Box::new(Discreet(logger))).is_ok() {
        log::set_max_level(level);
    }
}

/// A logger that is never told what may not be shown.
struct Discreet(Logger);

impl Log for Discreet {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        may_be_shown(metadata) && self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if may_be_shown(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Level;

    #[test]
    fn libraries_are_shown_from_info_on_and_our_own_lines_always() {
        for (target, level, shown) in [
            ("shapegate::gateway", Level::Trace, true),
            ("shapegate_core", Level::Debug, true),
            ("shapegate_impostor", Level::Debug, false),
            ("pingora_proxy::proxy_h1", Level::Debug, false),
            ("pingora_proxy::proxy_h1", Level::Info, true),
            ("sqlparser::parser", Level::Debug, false),
        ] {
            let metadata = Metadata::builder().target(target).level(level).build();
            assert_eq!(may_be_shown(&metadata), shown, "{target} {level}");
        }
    }
}
