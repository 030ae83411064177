//! What makes two requests one: a struct compared in full, never a digest.

use std::sync::Arc;

use quick_cache::Equivalent;
use shapegate_core::definition::ShapeDefinition;
use shapegate_core::upstream::UpstreamBase;

/// Which Electric, and whom a connection to it trusts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Whom a connection trusts, as a number.
    pub trust_domain: u64,
    /// Path prefix and source.
    pub base: UpstreamBase,
}

/// Everything that an answer depends on: whose request, to which Electric, for what and where in the log.
///
/// The line holds method, the whole definition with its values and `queryable_columns`, and the position
/// with `cursor`, `expired_handle` and `cache-buster`. Nothing of the client's headers is in it, because
/// nothing of them reaches the upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    tenant: Arc<str>,
    place: Arc<Place>,
    line: Arc<str>,
}

/// A key that is only looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyRef<'a> {
    /// The tenant's id.
    pub tenant: &'a Arc<str>,
    /// Its Electric.
    pub place: &'a Arc<Place>,
    /// The request's canonical line, without the secret.
    pub line: &'a Arc<str>,
}

impl KeyRef<'_> {
    /// The same key, to be kept.
    pub fn to_key(self) -> Key {
        Key {
            tenant: Arc::clone(self.tenant),
            place: Arc::clone(self.place),
            line: Arc::clone(self.line),
        }
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self.line == key.line && *self.tenant == key.tenant && *self.place == key.place
    }
}

impl Key {
    /// Bytes that a key takes, roughly.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.line.len()
    }
}

/// A shape of one tenant at one Electric, wherever in its log somebody stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ShapeKey {
    /// The tenant's id.
    pub tenant: Arc<str>,
    /// Its Electric.
    pub place: Arc<Place>,
    /// The shape.
    pub definition: Arc<ShapeDefinition>,
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    fn place(host: &str, source: Option<&str>) -> Arc<Place> {
        Arc::new(Place {
            host: host.to_owned(),
            port: 3000,
            tls: false,
            trust_domain: 0,
            base: UpstreamBase::new("", source, None).unwrap(),
        })
    }

    #[test]
    fn a_key_that_is_looked_up_is_the_key_that_was_kept() {
        let (tenant, place) = (Arc::from("a"), place("electric", None));
        let key = KeyRef {
            tenant: &tenant,
            place: &place,
            line: &Arc::from("GET /v1/shape?offset=-1"),
        };
        let state = RandomState::new();
        assert!(key.equivalent(&key.to_key()));
        assert_eq!(state.hash_one(key), state.hash_one(key.to_key()));
    }

    #[test]
    fn tenants_upstreams_sources_and_lines_never_share() {
        let tenants = [Arc::from("a"), Arc::from("b"), Arc::from("")];
        let places = [
            place("electric", None),
            place("electric", Some("one")),
            place("electric", Some("two")),
            place("other", None),
            Arc::new(Place {
                tls: true,
                ..(*place("electric", None)).clone()
            }),
            Arc::new(Place {
                port: 3001,
                ..(*place("electric", None)).clone()
            }),
            Arc::new(Place {
                trust_domain: 1,
                ..(*place("electric", None)).clone()
            }),
        ];
        let lines = [
            "GET /v1/shape?offset=-1",
            "HEAD /v1/shape?offset=-1",
            "GET /v1/shape?offset=0_0",
        ]
        .map(Arc::from);
        let mut keys = Vec::new();
        for tenant in &tenants {
            for place in &places {
                for line in &lines {
                    keys.push(KeyRef { tenant, place, line });
                }
            }
        }
        for (index, one) in keys.iter().enumerate() {
            for (other_index, other) in keys.iter().enumerate() {
                let same = index == other_index;
                assert_eq!(one.equivalent(&other.to_key()), same, "{one:?} {other:?}");
            }
        }
    }
}
