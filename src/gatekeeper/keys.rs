//! The keys of one minter, one after the other.
//!
//! The first key signs from the beginning, each later one from its `from` on: until then it is the next key, which
//! is published and signs nothing. A key whose successor signs is retired; what it signed is taken until its
//! `until`. Rotating is therefore a change of configuration ahead of time, and no moment at which all must agree.

use std::collections::HashMap;
use std::time::Duration;

use shapegate_core::time::UnixMillis;

use super::signing::{SigningKey, SigningKeyError, SigningKeySource};
use crate::identity::{KeySource, SKEW};

/// Keys of one minter.
pub const SIGNING_KEYS_MAX: usize = 8;

/// Why keys do not follow each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum RingError {
    #[error("{0}")]
    Key(#[from] SigningKeyError),
    #[error("there must be 1 to {SIGNING_KEYS_MAX} keys")]
    Count,
    #[error("with several keys each needs a `kid` of its own")]
    Kid,
    #[error("it is the same key as another one: that is no rotation")]
    Twice,
    #[error("exactly one key has no `from`: the first, which signs until the next one does")]
    First,
    #[error("two keys sign from the same moment on")]
    SameMoment,
    #[error("`until` is for a key that another one follows")]
    LastEnds,
    #[error(
        "what it signs just before the next key does would be refused too early: `until` must be {0} s after that key's `from` (the longest ttl, and the skew of clocks), or later"
    )]
    NoOverlap(u64),
}

/// The keys, the first one first.
pub struct SigningKeys {
    keys: Vec<SigningKey>,
    verifying: Vec<KeySource>,
}

impl SigningKeys {
    /// Reads keys and checks that each overlaps with its successor by the longest life of a token.
    ///
    /// # Errors
    /// The first key that is refused, by its place from 0, and why.
    pub fn compile(sources: &[SigningKeySource], ttl_max: Duration) -> Result<Self, (usize, RingError)> {
        if sources.is_empty() || sources.len() > SIGNING_KEYS_MAX {
            return Err((0, RingError::Count));
        }
        let mut in_order: Vec<(usize, &SigningKeySource)> = sources.iter().enumerate().collect();
        in_order.sort_by_key(|(_, source)| source.from);
        let (mut keys, mut verifying) = (Vec::new(), Vec::new());
        for (place, source) in &in_order {
            let key = SigningKey::read(source).map_err(|error| (*place, error.into()))?;
            check_distinct(&keys, &key, source, sources, *place)?;
            verifying.push(key.verifying(source));
            keys.push(key);
        }
        check_order(&in_order, ttl_max)?;
        Ok(Self { keys, verifying })
    }

    /// The key that signs now. Any that was compiled has one: the first signs from the beginning.
    pub fn active(&self, now: UnixMillis) -> Option<&SigningKey> {
        let begun = |key: &&SigningKey| key.from.is_none_or(|from| from <= now);
        self.keys.iter().rev().find(begun)
    }

    /// Those whose tokens are taken now: retired, active and next ones.
    pub fn taken(&self, now: UnixMillis) -> impl Iterator<Item = &SigningKey> {
        let holds = move |key: &&SigningKey| key.until.is_none_or(|until| now < until);
        self.keys.iter().filter(holds)
    }

    /// Whether there is anything to publish.
    pub fn has_public(&self) -> bool {
        self.keys.iter().any(|key| key.public().is_some())
    }

    /// The moments at which keys end, by name.
    pub(super) fn ends(&self) -> HashMap<Box<str>, UnixMillis> {
        let end = |key: &SigningKey| Some((key.kid()?.into(), key.until?));
        self.keys.iter().filter_map(end).collect()
    }

    /// What tokens are verified with.
    pub fn verifying(&self) -> &[KeySource] {
        &self.verifying
    }
}

fn check_distinct(
    before: &[SigningKey],
    key: &SigningKey,
    source: &SigningKeySource,
    sources: &[SigningKeySource],
    place: usize,
) -> Result<(), (usize, RingError)> {
    let same = sources
        .iter()
        .take(place)
        .any(|other| other.material == source.material);
    let unnamed = sources.len() > 1 && source.kid.is_none();
    let named_twice = before.iter().any(|other| other.kid() == key.kid());
    match (same, unnamed || named_twice) {
        (true, _) => Err((place, RingError::Twice)),
        (_, true) => Err((place, RingError::Kid)),
        _ => Ok(()),
    }
}

fn check_order(in_order: &[(usize, &SigningKeySource)], ttl_max: Duration) -> Result<(), (usize, RingError)> {
    let overlap = ttl_max.saturating_add(SKEW);
    for (index, (place, source)) in in_order.iter().enumerate() {
        if source.from.is_none() != (index == 0) {
            return Err((*place, RingError::First));
        }
        let next = in_order.get(index + 1).and_then(|(_, next)| next.from);
        match (source.until, next) {
            (_, Some(next)) if Some(next) == source.from => return Err((*place, RingError::SameMoment)),
            (Some(_), None) if index + 1 == in_order.len() => return Err((*place, RingError::LastEnds)),
            (Some(until), Some(next)) if until < next.plus(overlap) => {
                return Err((*place, RingError::NoOverlap(overlap.as_secs())));
            }
            _ => {}
        }
    }
    Ok(())
}
