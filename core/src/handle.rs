//! Handles as clients and as the upstream know them.
//!
//! Electric accepts a handle when a hash of 27 bits of the submitted definition is the one that it stored. A
//! client that can influence a definition could search for one that hashes like somebody else's handle and
//! be served that other log. Where it can, it therefore sees `raw~tag`, the tag a MAC over tenant, definition
//! and raw handle: a handle then serves for the definition that it was given for, and for no other.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::definition::ShapeDefinition;
use crate::limits::{CLIENT_HANDLE_BYTES_MAX, UPSTREAM_HANDLE_BYTES_MAX};

/// Bytes of a tag: more than anybody can guess, few enough for a URL.
const TAG_BYTES: usize = 16;
/// Bytes of a block of SHA-256, which a key is padded to.
const BLOCK_BYTES: usize = 64;
/// Characters of a handle that a log may show: enough to tell two apart, too few to use one.
const SHOWN_CHARACTERS: usize = 8;

/// A handle as a client sends and receives it, tagged or not. Its debug form is cut: whole handles do not
/// belong into logs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientHandle(Arc<str>);

/// A handle as the upstream sends and receives it. Its debug form is cut.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UpstreamHandle(Arc<str>);

impl ClientHandle {
    /// Reads 1 to 128 of `A-Z a-z 0-9 . _ ~ -`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_handle(text, CLIENT_HANDLE_BYTES_MAX).then(|| Self(text.into()))
    }

    /// The handle in full.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl UpstreamHandle {
    /// Reads 1 to 105 of `A-Z a-z 0-9 . _ ~ -`; what Electric sends has about 26.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_handle(text, UPSTREAM_HANDLE_BYTES_MAX).then(|| Self(text.into()))
    }

    /// The handle in full.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_handle(text: &str, bytes_max: usize) -> bool {
    let lawful = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-');
    (1..=bytes_max).contains(&text.len()) && text.bytes().all(lawful)
}

impl fmt::Debug for ClientHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.0.get(..SHOWN_CHARACTERS).unwrap_or_default())
    }
}

impl fmt::Debug for UpstreamHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.0.get(..SHOWN_CHARACTERS).unwrap_or_default())
    }
}

/// A handle that is not one of this tenant's and definition's. The answer is 409 must-refetch, as for an
/// unknown handle, so that changed keys and rules heal by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the handle does not belong to this shape")]
pub struct BadTag;

/// Makes bindings, with a key that every gateway of a deployment shares.
#[derive(Clone)]
pub struct HandleTagger {
    keyed: Hmac<Sha256>,
}

impl fmt::Debug for HandleTagger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandleTagger(…)")
    }
}

impl HandleTagger {
    /// A tagger with a secret key of 32 random bytes.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        // HMAC pads a short key with zeros anyhow; padded here, construction cannot fail.
        let mut block = [0_u8; BLOCK_BYTES];
        block
            .iter_mut()
            .zip(key)
            .for_each(|(padded, byte)| *padded = *byte);
        Self {
            keyed: Hmac::new(&block.into()),
        }
    }

    /// The binding of one tenant's definition. Worth keeping: it has already read the definition.
    #[must_use]
    pub fn bind(&self, tenant: &str, definition: &ShapeDefinition) -> HandleBinding {
        let mut mac = self.keyed.clone();
        mac.update(&mac_input(tenant, definition));
        HandleBinding {
            mac: Some(Box::new(mac)),
        }
    }
}

/// What a tag covers before the raw handle, which comes last: each part with its length before it, so that no
/// two pairs of tenant and definition give the same bytes.
fn mac_input(tenant: &str, definition: &ShapeDefinition) -> Vec<u8> {
    let mut input = b"shapegate handle 1\0".to_vec();
    for part in [tenant.as_bytes(), &definition.canonical_bytes()] {
        input.extend_from_slice(&(part.len() as u64).to_be_bytes());
        input.extend_from_slice(part);
    }
    input
}

/// How the handles of one tenant's definition look to clients: tagged, or as they are.
#[derive(Clone)]
pub struct HandleBinding {
    mac: Option<Box<Hmac<Sha256>>>,
}

impl fmt::Debug for HandleBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.mac.is_some() {
            "HandleBinding(tagged)"
        } else {
            "HandleBinding(untagged)"
        })
    }
}

impl HandleBinding {
    /// Handles as they are, for definitions that no client influences.
    #[must_use]
    pub const fn untagged() -> Self {
        Self { mac: None }
    }

    /// Whether clients see tagged handles.
    #[must_use]
    pub const fn is_tagged(&self) -> bool {
        self.mac.is_some()
    }

    /// The upstream's handle as clients see it.
    #[must_use]
    pub fn tag(&self, raw: &UpstreamHandle) -> ClientHandle {
        let Some(mac) = &self.mac else {
            return ClientHandle(Arc::clone(&raw.0));
        };
        let full = mac.clone().chain_update(raw.as_str()).finalize().into_bytes();
        let tag = URL_SAFE_NO_PAD.encode(full.get(..TAG_BYTES).unwrap_or_default());
        ClientHandle(format!("{}~{tag}", raw.as_str()).into())
    }

    /// The upstream's handle behind a client's, once its tag is found right, in constant time.
    ///
    /// # Errors
    ///
    /// When the tag is missing or belongs to another handle, tenant or definition.
    pub fn untag(&self, handle: &ClientHandle) -> Result<UpstreamHandle, BadTag> {
        let Some(mac) = &self.mac else {
            return UpstreamHandle::parse(handle.as_str()).ok_or(BadTag);
        };
        let (raw, tag) = handle.as_str().rsplit_once('~').ok_or(BadTag)?;
        let raw = UpstreamHandle::parse(raw).ok_or(BadTag)?;
        let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| BadTag)?;
        if tag.len() != TAG_BYTES {
            return Err(BadTag);
        }
        let mac = mac.clone().chain_update(raw.as_str());
        mac.verify_truncated_left(&tag).map_err(|_| BadTag)?;
        Ok(raw)
    }
}
