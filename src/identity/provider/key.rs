//! Under what an answer is remembered.

use std::hash::{Hash, Hasher};

use aws_lc_rs::digest;

use crate::identity::carrier::Carrier;

/// A digest of everything that decided an answer.
///
/// Each part goes in with its length before it, so that no two lists of parts are one text; and it is SHA-256,
/// so that no two texts are one key. What is remembered therefore holds no credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CredentialKey([u8; digest::SHA256_OUTPUT_LEN]);

impl CredentialKey {
    /// The key of what a carrier carried.
    #[must_use]
    pub fn of(carrier: &Carrier, credential: &[u8]) -> Self {
        match carrier {
            Carrier::Authorization { scheme, .. } => digest_of(&[b"scheme", scheme.as_bytes(), credential]),
            Carrier::Header(name) => digest_of(&[b"header", name.as_str().as_bytes(), credential]),
            Carrier::Cookie(name) => digest_of(&[b"cookie", name.as_bytes(), credential]),
        }
    }
}

/// Its first bytes are as good as random.
impl Hash for CredentialKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let first = self.0.first_chunk().copied().unwrap_or_default();
        state.write_u64(u64::from_ne_bytes(first));
    }
}

/// The key of a list of parts.
#[must_use]
pub fn digest_of(parts: &[&[u8]]) -> CredentialKey {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part);
    }
    let mut key = [0; digest::SHA256_OUTPUT_LEN];
    let digest = context.finish();
    key.iter_mut()
        .zip(digest.as_ref())
        .for_each(|(to, from)| *to = *from);
    CredentialKey(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// Parts over few letters and lengths, so that their concatenations are often alike.
    fn parts() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let part = prop::collection::vec(prop::sample::select(&[0_u8, 1, 2, b'a'][..]), 0..4);
        prop::collection::vec(part, 0..5)
    }

    fn key(parts: &[Vec<u8>]) -> CredentialKey {
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        digest_of(&parts)
    }

    proptest! {
        #[test]
        fn two_lists_of_parts_have_one_key_only_if_they_are_the_same(lists in prop::collection::vec(parts(), 64)) {
            let mut known: HashMap<CredentialKey, Vec<Vec<u8>>> = HashMap::new();
            for list in lists {
                let other = known.entry(key(&list)).or_insert_with(|| list.clone());
                prop_assert_eq!(&*other, &list);
            }
        }

        #[test]
        fn moving_a_byte_from_one_part_to_the_next_is_another_key(list in parts()) {
            for place in 1..list.len() {
                let mut moved = list.clone();
                let Some(byte) = moved[place - 1].pop() else { continue };
                moved[place].insert(0, byte);
                prop_assert_ne!(key(&list), key(&moved));
            }
        }
    }

    #[test]
    fn one_text_in_two_carriers_is_two_keys() {
        let carriers = [
            Carrier::bearer(),
            Carrier::Header(HeaderName::from_static("bearer")),
            Carrier::Header(HeaderName::from_static("x-api-key")),
            Carrier::Cookie("bearer".to_owned()),
            Carrier::Cookie("x-api-key".to_owned()),
        ];
        let keys: std::collections::HashSet<_> = carriers
            .iter()
            .map(|carrier| CredentialKey::of(carrier, b"text"))
            .collect();
        assert_eq!(keys.len(), carriers.len());
    }
}
