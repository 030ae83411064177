//! Change while running: files are read again, what changed is compiled aside, and only what is right is served.
//!
//! [`Fleet`] knows what every tenant was made from and compiles again what has changed; `watch` tells when to
//! look; [`Reloader`] puts a snapshot in the place of the one before. A file that is wrong changes nothing: what
//! was served before is served on, and the log, the metrics and the status say so.

mod candidates;
mod fleet;
mod metrics;
mod prepare;
mod read;
mod reloader;
mod standing;
mod watch;

pub use fleet::{Counts, Fleet, Looked, StartError};
pub use metrics::ReloadMetrics;
pub use reloader::{Reloader, survive_hangups};
pub use standing::{Standing, Switch};
