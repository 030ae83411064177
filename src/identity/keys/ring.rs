//! The keys of one issuer, and which of them a token is checked with.

use std::collections::HashSet;

use super::super::algorithm::Algorithm;
use super::{Key, KeyError, KeySource, KeyWarning, jwk, pem};

/// How many keys one token is tried against; when more would do, it is refused untried.
const KEYS_TRIED_MAX: usize = 4;

/// The keys of one issuer.
#[derive(Debug)]
pub(crate) struct KeyRing {
    keys: Vec<Key>,
}

/// More keys than [`KEYS_TRIED_MAX`] would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyCandidates;

impl KeyRing {
    /// Reads the keys of all sources, and tells which keys of sets are left out.
    ///
    /// # Errors
    /// The first source that is refused, by its place from 0, and why. Without any source: `(0, NoKeys)`.
    pub(crate) fn read(sources: &[KeySource]) -> Result<(Self, Vec<KeyWarning>), (usize, KeyError)> {
        let (mut keys, mut warnings) = (Vec::new(), Vec::new());
        let mut names = HashSet::new();
        for (place, source) in sources.iter().enumerate() {
            let (read, left_out) = read(place, source).map_err(|error| (place, error))?;
            refuse_twins(&mut names, &read).map_err(|error| (place, error))?;
            keys.extend(read);
            warnings.extend(left_out);
        }
        if keys.is_empty() {
            Err((0, KeyError::NoKeys))
        } else {
            Ok((Self { keys }, warnings))
        }
    }

    /// All of them, in order.
    pub(crate) fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Whether a key has this name.
    pub(crate) fn has(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// The keys that a token of this header is tried against.
    ///
    /// With a `kid`: those of that name, or, when none has it, those without a name. Without one: all of
    /// the algorithm.
    pub(crate) fn candidates(
        &self,
        algorithm: Algorithm,
        kid: Option<&str>,
    ) -> Result<impl Iterator<Item = &Key>, TooManyCandidates> {
        let of = move |key: &&Key| key.algorithm == algorithm;
        let named = kid.is_some_and(|kid| self.has(kid));
        let suits = move |key: &&Key| match kid {
            None => true,
            Some(kid) if named => key.kid.as_deref() == Some(kid),
            Some(_) => key.kid.is_none(),
        };
        let candidates = move || self.keys.iter().filter(of).filter(suits);
        if candidates().nth(KEYS_TRIED_MAX).is_some() {
            Err(TooManyCandidates)
        } else {
            Ok(candidates())
        }
    }
}

fn read(place: usize, source: &KeySource) -> Result<(Vec<Key>, Vec<KeyWarning>), KeyError> {
    let one = |key: Key| (vec![key], Vec::new());
    match source {
        KeySource::Hmac {
            algorithm,
            secret,
            kid,
        } => Key::hmac(*algorithm, secret, kid.as_deref()).map(one),
        KeySource::Pem { algorithm, pem, kid } => pem::read(*algorithm, pem, kid.as_deref()).map(one),
        KeySource::Jwk { algorithm, json } => jwk::read(*algorithm, json).map(one),
        KeySource::Jwks { json, symmetric } => jwk::read_set(place, json, *symmetric),
        KeySource::Remote(_) => Err(KeyError::RemoteAndGiven),
    }
}

/// Two keys of one name and algorithm: nobody could say which of them a token means.
fn refuse_twins(names: &mut HashSet<(Algorithm, Box<str>)>, keys: &[Key]) -> Result<(), KeyError> {
    for key in keys {
        if let Some(kid) = &key.kid
            && !names.insert((key.algorithm, kid.clone()))
        {
            return Err(KeyError::DuplicateKid(kid.to_string()));
        }
    }
    Ok(())
}
