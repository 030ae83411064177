//! How what is served stands to the files that it is made from.

use std::sync::Arc;

use shapegate_core::time::UnixMillis;

use super::fleet::Counts;

/// How what is served stands to its files.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// How many tenants there are, by what became of them.
    pub counts: Counts,
    /// Whether everything is served as the files say.
    pub current: bool,
    /// When files were last taken over; none where there are no files.
    pub taken: Option<UnixMillis>,
    /// When files were last refused, and the places that were wrong.
    pub refused: Option<(UnixMillis, Vec<String>)>,
    /// The insecure switches in force.
    pub insecure: Vec<Switch>,
}

/// An insecure switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// Whose it is; none: that of the process.
    pub tenant: Option<Arc<str>>,
    /// Its name, what it means, and where it is written.
    pub told: String,
}
