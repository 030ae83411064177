//! Keys that programs send: known by their hashes, without asking anybody.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use shapegate_core::identity::{Identity, IdentitySource};
use shapegate_core::time::{Now, UnixMillis, Until};
use shapegate_core::value::Value;

use super::claims;
use super::fault::Fault;

/// Random bytes of a key that is made here.
const KEY_BYTES: usize = 32;

/// The SHA-256 of a key. Keys are random and long, so that no slower hash is needed: nobody guesses them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; digest::SHA256_OUTPUT_LEN]);

const PREFIX: &str = "sha256:";

impl KeyHash {
    /// The hash of a key.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        let mut out = [0; digest::SHA256_OUTPUT_LEN];
        let digest = digest::digest(&digest::SHA256, key);
        out.iter_mut()
            .zip(digest.as_ref())
            .for_each(|(to, from)| *to = *from);
        Self(out)
    }

    /// Reads `sha256:` and 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut out = [0; digest::SHA256_OUTPUT_LEN];
        if !hexadecimal || digits.len() != 2 * out.len() {
            return None;
        }
        for (to, pair) in out.iter_mut().zip(digits.as_bytes().chunks(2)) {
            *to = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(out))
    }
}

/// As it is read.
impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// A key that is known.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKey {
    /// What the log calls it.
    pub name: Arc<str>,
    /// Its hash.
    pub hash: KeyHash,
    /// What rules read; `sub` is whose it is.
    pub claims: BTreeMap<Arc<str>, Value>,
    /// When it ends.
    pub expires: Option<UnixMillis>,
}

/// All keys of a tenant.
pub(super) struct KeyBook(HashMap<KeyHash, Entry>);

struct Entry {
    source: IdentitySource,
    /// One identity for all of its time; its end is reckoned when it is first asked for.
    identity: std::sync::OnceLock<Arc<Identity>>,
    expires: Option<UnixMillis>,
}

impl KeyBook {
    pub(super) fn new(keys: Vec<ApiKey>) -> Result<Self, Fault> {
        let entries = keys.into_iter().map(|key| {
            let source = IdentitySource {
                subject: claims::subject(&key.claims)?,
                issuer: Some("api_keys".into()),
                claims: key.claims,
                ..IdentitySource::default()
            };
            let entry = Entry {
                source,
                identity: std::sync::OnceLock::new(),
                expires: key.expires,
            };
            Ok((key.hash, entry))
        });
        entries.collect::<Result<_, Fault>>().map(Self)
    }

    /// Whose key this is. What is compared are hashes, whose bytes nobody can choose: how long the comparison takes
    /// says nothing of a key.
    pub(super) fn find(&self, key: &[u8], now: Now) -> Result<Arc<Identity>, Fault> {
        let nobodys = || Fault::NobodysCredential("api_keys".to_owned());
        let entry = self.0.get(&KeyHash::of(key)).ok_or_else(nobodys)?;
        if entry.expires.is_some_and(|end| end <= now.wall) {
            return Err(Fault::Expired);
        }
        let made = || {
            let valid_until = entry.expires.map(|end| Until::at_wall(now, end));
            Arc::new(Identity::new(IdentitySource {
                valid_until,
                ..entry.source.clone()
            }))
        };
        let identity = entry.identity.get_or_init(made);
        // A wall clock that was set back prolongs nothing.
        match identity.valid_until() {
            Some(until) if until.is_over(now) => Err(Fault::Expired),
            _ => Ok(Arc::clone(identity)),
        }
    }
}

/// A new key of 256 random bits, after a prefix that tells people and scanners what it is.
///
/// # Errors
/// When the machine has no entropy.
pub fn generate(prefix: &str) -> Result<String, getrandom::Error> {
    use base64::Engine as _;
    let mut random = [0; KEY_BYTES];
    getrandom::fill(&mut random)?;
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random);
    Ok(format!("{prefix}{text}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_is_written_and_nothing_else_is() {
        let hash = KeyHash::of(b"sk_test");
        assert_eq!(KeyHash::parse(&hash.to_string()), Some(hash));
        assert_eq!(
            KeyHash::of(b"").to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        let digits = "0".repeat(64);
        for odd in [
            "",
            "sk_test",
            &digits,
            "sha256:",
            &format!("sha256:{}", "+0".repeat(32)),
        ] {
            assert_eq!(KeyHash::parse(odd), None, "{odd}");
        }
        assert!(!format!("{hash:?}").contains(&hash.to_string()));
    }

    #[test]
    fn made_keys_are_long_and_never_the_same() {
        let keys: std::collections::HashSet<String> = (0..100).map(|_| generate("sk_").unwrap()).collect();
        assert_eq!(keys.len(), 100);
        assert!(
            keys.iter()
                .all(|key| key.starts_with("sk_") && key.len() == 3 + 43)
        );
    }
}
