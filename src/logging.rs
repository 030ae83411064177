//! What is logged, and where: lines on standard error, chosen by `RUST_LOG`, `info` without it.
//!
//! Below `info` the libraries log whole requests: Pingora the secret of an upstream and the rows of an answer,
//! others tokens and filters. Whatever `RUST_LOG` says, only our own lines are shown there.

use std::sync::{Mutex, PoisonError};

use env_logger::{Env, Logger};
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::clock::{Clock as _, SystemClock};

/// The crates whose lines below `info` are written to be read by operators.
const OURS: [&str; 3] = ["shapegate", "shapegate_core", "shapegate_origin"];

/// How many lines a second the libraries may write together: some of theirs are about every connection that breaks,
/// and whoever can connect could fill a disk.
const LIBRARY_LINES_MAX: u32 = 50;

fn is_ours(metadata: &Metadata<'_>) -> bool {
    let library = metadata.target().split("::").next().unwrap_or_default();
    OURS.contains(&library)
}

/// Whether a line may be shown to an operator who asks for it.
pub fn may_be_shown(metadata: &Metadata<'_>) -> bool {
    metadata.level() <= LevelFilter::Info || is_ours(metadata)
}

/// Counts lines second by second.
#[derive(Debug, Default)]
struct Budget {
    second: u64,
    written: u32,
    left_out: u64,
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Written,
    /// Written, the first one after so many that were not.
    WrittenAfter(u64),
    LeftOut,
}

impl Budget {
    fn take(&mut self, second: u64) -> Line {
        if self.second != second {
            (self.second, self.written) = (second, 0);
        }
        if self.written >= LIBRARY_LINES_MAX {
            self.left_out += 1;
            return Line::LeftOut;
        }
        self.written += 1;
        match std::mem::take(&mut self.left_out) {
            0 => Line::Written,
            lines => Line::WrittenAfter(lines),
        }
    }
}

/// Starts logging, unless something in the process logs already.
pub fn start() {
    let logger = env_logger::Builder::from_env(Env::default().default_filter_or("info")).build();
    let level = logger.filter();
    if log::set_boxed_logger(Box::new(Discreet::new(logger))).is_ok() {
        log::set_max_level(level);
    }
}

/// A logger that is never told what may not be shown, nor too much at once by libraries.
struct Discreet {
    logger: Logger,
    libraries: Mutex<Budget>,
}

impl Discreet {
    fn new(logger: Logger) -> Self {
        Self {
            logger,
            libraries: Mutex::default(),
        }
    }

    /// Whether a line of a library may be written now.
    fn has_room(&self) -> bool {
        let second = SystemClock.now().monotonic.0.as_secs();
        let taken = self
            .libraries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(second);
        if let Line::WrittenAfter(lines) = taken {
            self.logger.log(
                &Record::builder()
                    .level(Level::Warn)
                    .target(module_path!())
                    .args(format_args!(
                        "{lines} lines of libraries were left out, above {LIBRARY_LINES_MAX} a second"
                    ))
                    .build(),
            );
        }
        taken != Line::LeftOut
    }
}

impl Log for Discreet {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        may_be_shown(metadata) && self.logger.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let metadata = record.metadata();
        if self.enabled(metadata) && (is_ours(metadata) || self.has_room()) {
            self.logger.log(record);
        }
    }

    fn flush(&self) {
        self.logger.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn r16_libraries_write_so_many_lines_a_second_and_what_was_left_out_is_told() {
        let mut budget = Budget::default();
        for _ in 0..LIBRARY_LINES_MAX {
            assert_eq!(budget.take(7), Line::Written);
        }
        for _ in 0..1000 {
            assert_eq!(budget.take(7), Line::LeftOut);
        }
        assert_eq!(budget.take(8), Line::WrittenAfter(1000));
        assert_eq!(budget.take(8), Line::Written);
        assert_eq!(budget.take(9), Line::Written, "nothing was left out meanwhile");
    }

    /// Writes that can be looked at.
    #[derive(Clone, Default)]
    struct Written(std::sync::Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn r16_a_flood_of_a_librarys_lines_leaves_our_own_to_be_seen() {
        let written = Written::default();
        let pipe = env_logger::Target::Pipe(Box::new(written.clone()));
        let logger = env_logger::Builder::new()
            .filter_level(LevelFilter::Info)
            .target(pipe)
            .build();
        let discreet = Discreet::new(logger);
        let log = |target: &str| {
            discreet.log(
                &Record::builder()
                    .level(Level::Error)
                    .target(target)
                    .args(format_args!("a line"))
                    .build(),
            );
        };
        for _ in 0..1000 {
            log("pingora_proxy");
            log("shapegate::gateway");
        }
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let count = |word: &str| text.lines().filter(|line| line.contains(word)).count();
        assert_eq!(count("shapegate::gateway"), 1000);
        let theirs = count("pingora_proxy");
        // However many seconds that took: few.
        let most = usize::try_from(LIBRARY_LINES_MAX).unwrap() * 10;
        assert!((1..=most).contains(&theirs), "{theirs} lines");
    }
}
