//! Published keys from one configuration of a tenant to the next.

use std::sync::{Arc, OnceLock};

use super::RemoteKeys;

/// The keys that an issuer goes by: those that were fetched from the same place under the configuration before,
/// if there are any, or its own.
///
/// A reload neither asks for keys once more nor gives up a fetch that somebody waits for, and what an issuer may be
/// asked for in a minute does not begin anew with it.
#[derive(Debug)]
pub(crate) struct KeyLine {
    own: Arc<RemoteKeys>,
    earlier: OnceLock<Arc<RemoteKeys>>,
}

impl KeyLine {
    pub(crate) fn new(own: RemoteKeys) -> Self {
        Self {
            own: Arc::new(own),
            earlier: OnceLock::new(),
        }
    }

    /// The keys.
    pub(crate) fn keys(&self) -> &Arc<RemoteKeys> {
        self.earlier.get().unwrap_or(&self.own)
    }

    /// Goes on with these, if they are of the same issuer from the same place, and nothing has been gone on with.
    pub(crate) fn go_on_with(&self, known: &Arc<RemoteKeys>) {
        if self.own.is_same_place(known) {
            _ = self.earlier.set(Arc::clone(known));
        }
    }
}
