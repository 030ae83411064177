//! Tokens that verified, remembered until they end.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};
use shapegate_core::identity::Identity;
use shapegate_core::time::{Now, Until};

use super::keys::Standing;

/// How much is remembered. When it is full, what was not asked for lately makes room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Tokens.
    pub tokens_max: usize,
    /// Bytes of tokens and of what was read from them, by estimate.
    pub bytes_max: u64,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self {
            tokens_max: 65_536,
            bytes_max: 256 * 1024 * 1024,
        }
    }
}

/// How often those that ended are looked for, at most. In between they take up room and nothing else: an
/// ended one is never handed out.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// What a verified token amounts to.
pub(crate) trait Remembered {
    /// When it ends; `None` when it does not.
    fn valid_until(&self) -> Option<Until>;

    /// Whether the key that it rests on still counts.
    fn is_vouched_for(&self, _now: Now) -> bool {
        true
    }
}

/// A user who is known by a token.
pub(crate) struct KnownUser {
    pub(crate) identity: Arc<Identity>,
    /// The number of the issuer that verified the token.
    pub(crate) issuer: u64,
    /// That of the key that signed the token, where it was published.
    pub(crate) standing: Option<Arc<Standing>>,
}

impl Remembered for KnownUser {
    fn valid_until(&self) -> Option<Until> {
        self.identity.valid_until()
    }

    fn is_vouched_for(&self, now: Now) -> bool {
        self.standing.as_ref().is_none_or(|standing| standing.holds(now))
    }
}

impl Remembered for Identity {
    fn valid_until(&self) -> Option<Until> {
        self.valid_until()
    }
}

/// Remembers by the whole token: the signature as well, so that nobody finds an entry without having seen
/// a token that verified.
///
/// Two tokens that say the same (renewed ones, or the two signatures that ECDSA has for everything) are two
/// entries with an [`Identity`] each; that these are equal in all but their number costs a second decision
/// and can give nobody another's. What did not verify is not remembered.
pub(crate) struct TokenMemory<V = Identity> {
    cache: Cache<TokenKey, Arc<V>, Weight>,
    /// When the next search for ended ones is due, in milliseconds of the monotonic clock.
    sweep_due: AtomicU64,
}

impl<V: Remembered> TokenMemory<V> {
    pub(crate) fn new(limits: MemoryLimits) -> Self {
        let tokens = limits.tokens_max.max(1);
        let per_token = limits.bytes_max / u64::try_from(tokens).unwrap_or(u64::MAX);
        let cache = Cache::with_weighter(
            tokens,
            limits.bytes_max,
            Weight {
                least: per_token.max(1),
            },
        );
        Self {
            cache,
            sweep_due: AtomicU64::new(0),
        }
    }

    /// Who sent this token, if it verified before and holds still. Allocates nothing.
    pub(crate) fn recall(&self, token: &[u8], now: Now) -> Option<Arc<V>> {
        let remembered = self.cache.get(&Token(token))?;
        if is_over(&*remembered, now) {
            self.cache.remove(&Token(token));
            return None;
        }
        Some(remembered)
    }

    pub(crate) fn remember(&self, token: &[u8], value: &Arc<V>, now: Now) {
        self.sweep(now);
        self.cache.insert(TokenKey(token.into()), Arc::clone(value));
    }

    pub(crate) fn len(&self) -> usize {
        self.cache.len()
    }

    /// Lets go of the ended ones, when it is time; of several callers one does it.
    fn sweep(&self, now: Now) {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let due = self.sweep_due.load(Ordering::Relaxed);
        let next = millis(now.monotonic.plus(SWEEP_INTERVAL).0);
        let is_due = millis(now.monotonic.0) >= due;
        if is_due
            && self
                .sweep_due
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.cache.retain(|_, value| !is_over(&**value, now));
        }
    }
}

fn is_over(value: &impl Remembered, now: Now) -> bool {
    value.valid_until().is_some_and(|until| until.is_over(now)) || !value.is_vouched_for(now)
}

/// A token as a key, owned.
struct TokenKey(Box<[u8]>);

/// A token as a key, borrowed.
struct Token<'a>(&'a [u8]);

/// Compared in full.
impl Equivalent<TokenKey> for Token<'_> {
    fn equivalent(&self, key: &TokenKey) -> bool {
        *self.0 == *key.0
    }
}

impl PartialEq for TokenKey {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for TokenKey {}

impl Hash for TokenKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Token(&self.0).hash(state);
    }
}

/// What of a token is hashed: the end of its signature, which is as good as random. Only tokens that
/// verified are entries, so nobody without a key can choose where they fall.
const HASHED_BYTES: usize = 64;

impl Hash for Token<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0.last_chunk::<HASHED_BYTES>().map_or(self.0, |end| end));
    }
}

/// What an entry counts for: its bytes by estimate, and never less than its share if all entries were
/// alike, which bounds their number.
#[derive(Clone)]
struct Weight {
    least: u64,
}

/// Of a remembered identity apart from its claims: the entry, the identity, the maps.
const ENTRY_BYTES: u64 = 1024;
/// How much larger the claims are in memory than in the token: they are there twice, under `user` and
/// under `user.claims`, each text and each map an allocation.
const CLAIMS_FACTOR: u64 = 8;

impl<V> Weighter<TokenKey, Arc<V>> for Weight {
    fn weight(&self, key: &TokenKey, _: &Arc<V>) -> u64 {
        let token = u64::try_from(key.0.len()).unwrap_or(u64::MAX);
        token
            .saturating_mul(1 + CLAIMS_FACTOR)
            .saturating_add(ENTRY_BYTES)
            .max(self.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shapegate_core::identity::IdentitySource;
    use shapegate_core::time::{Monotonic, UnixMillis, Until};

    fn at(seconds: u64) -> Now {
        let wall = UnixMillis::from_seconds(i64::try_from(seconds).unwrap());
        Now {
            wall,
            monotonic: Monotonic(Duration::from_secs(seconds)),
        }
    }

    fn identity(seconds: u64) -> Arc<Identity> {
        let valid_until = Some(Until::after(at(0), Duration::from_secs(seconds)));
        Arc::new(Identity::new(IdentitySource {
            valid_until,
            ..IdentitySource::default()
        }))
    }

    #[test]
    fn tokens_that_differ_in_one_byte_anywhere_are_two() {
        let memory = TokenMemory::new(MemoryLimits::default());
        let token = [b'a'; 500];
        memory.remember(&token, &identity(10), at(0));
        assert!(memory.recall(&token, at(0)).is_some());
        for place in [0, 250, 499] {
            let mut other = token;
            other[place] = b'b';
            assert!(memory.recall(&other, at(0)).is_none(), "{place}");
        }
        assert!(
            memory.recall(&token[1..], at(0)).is_none(),
            "nor is an ending the whole"
        );
    }

    #[test]
    fn what_ended_is_not_recalled_and_leaves() {
        let memory = TokenMemory::new(MemoryLimits::default());
        memory.remember(b"token", &identity(10), at(0));
        assert!(memory.recall(b"token", at(9)).is_some());
        assert!(memory.recall(b"token", at(10)).is_none());
        assert_eq!(memory.len(), 0);
    }

    #[test]
    fn what_ended_unseen_is_swept_out_by_a_later_entry() {
        let memory = TokenMemory::new(MemoryLimits::default());
        memory.remember(b"first", &identity(10), at(0));
        memory.remember(b"second", &identity(1_000), at(59));
        assert_eq!(memory.len(), 2, "not yet time to look");
        memory.remember(b"third", &identity(1_000), at(60));
        assert_eq!(memory.len(), 2);
        assert!(memory.recall(b"second", at(60)).is_some());
    }

    #[test]
    fn no_more_tokens_and_no_more_bytes_are_kept_than_allowed() {
        let few = TokenMemory::new(MemoryLimits {
            tokens_max: 100,
            bytes_max: 1 << 30,
        });
        let small = TokenMemory::new(MemoryLimits {
            tokens_max: 1_000_000,
            bytes_max: 1_000_000,
        });
        for number in 0..1_000 {
            let token = format!("{number:0>1000}");
            few.remember(token.as_bytes(), &identity(10), at(0));
            small.remember(token.as_bytes(), &identity(10), at(0));
        }
        assert!(few.len() <= 100, "{}", few.len());
        assert!(small.len() <= 100, "{}", small.len());
        assert!(small.len() > 10, "{}", small.len());
    }
}
