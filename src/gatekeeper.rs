//! The gatekeeper: shape-scoped tokens, minted by the rules and verified against what they sign.
//!
//! Minting decides once, with the rules of the shapes that may be minted, and signs the definition that came out:
//! nothing that a caller wrote gets into a token but through a rule. Verifying needs public keys and no rules, so
//! that it can run alone at an edge; what goes upstream is written from the signed definition.
//!
//! The two never mix: a user's token is no shape token, because its issuer is none of those whose tokens sign
//! shapes or because it has no `shape`; a shape token of ours is no user's, because of its type.

mod jwks;
mod keys;
mod mint;
mod path;
mod signing;
mod verify;

pub use jwks::{JWKS_MAX_AGE, JWKS_PATH, KeySet};
pub use keys::{RingError, SIGNING_KEYS_MAX, SigningKeys};
pub use mint::{MintSettings, MintShape, Minter, TTL_MAX};
pub use path::{MintPath, TABLE_CAPTURE};
pub use signing::{SigningAlgorithm, SigningKeyError, SigningKeySource, generate_private_key};
pub use verify::{PendingToken, ShapeToken, Verification, Verifier, VerifierError, VerifySettings};

/// What one tenant mints and verifies.
#[derive(Default)]
pub struct Gatekeeper {
    /// Mints tokens.
    pub minter: Option<Minter>,
    /// Verifies them.
    pub verifier: Option<Verifier>,
}
