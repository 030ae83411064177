//! The keys that an issuer publishes, as they were last fetched.

use std::sync::Arc;

use shapegate_core::time::Monotonic;

use super::{Key, KeyError, KeyRing, KeySource, KeyWarning, Standing};

/// One fetched set.
#[derive(Debug)]
pub(crate) struct Published {
    /// The keys, each with its standing at the same place in `standings`.
    pub(crate) ring: KeyRing,
    standings: Vec<Arc<Standing>>,
    /// When it was asked for: what is in it was true then.
    pub(crate) at: Monotonic,
    /// What is not used, and why.
    pub(crate) left_out: Vec<KeyWarning>,
}

impl Published {
    /// Reads a set of public keys that counts until `until`.
    ///
    /// A key that was in `before` keeps its standing, and with it all that was remembered on its word.
    pub(crate) fn read(
        json: Vec<u8>,
        before: Option<&Self>,
        at: Monotonic,
        until: Monotonic,
    ) -> Result<Self, KeyError> {
        let source = KeySource::Jwks {
            json,
            symmetric: false,
        };
        let (ring, left_out) = KeyRing::read(&[source]).map_err(|(_, error)| error)?;
        let standing = |key: &Key| match before.and_then(|before| before.standing(key)) {
            Some(known) => {
                known.extend(until);
                Arc::clone(known)
            }
            None => Arc::new(Standing::until(until)),
        };
        let standings = ring.keys().iter().map(standing).collect();
        Ok(Self {
            ring,
            standings,
            at,
            left_out,
        })
    }

    /// The standing of a key, if it is in this set: by its algorithm, name and material.
    pub(crate) fn standing(&self, key: &Key) -> Option<&Arc<Standing>> {
        let place = self.ring.keys().iter().position(|known| known.is_same(key))?;
        self.standings.get(place)
    }

    /// Ends what was remembered on the word of keys that are not in `after`. Says whether there were any.
    pub(crate) fn retire_what_is_not_in(&self, after: &Self) -> bool {
        let mut retired = false;
        for (key, standing) in self.ring.keys().iter().zip(&self.standings) {
            if after.standing(key).is_none() {
                standing.retire();
                retired = true;
            }
        }
        retired
    }
}
