//! The limits of the core, each named with its unit.

/// The header or the claims of a token, as JSON text, in bytes.
pub const CLAIMS_BYTES_MAX: usize = 16 * 1024;
/// How deep claims may nest, in levels.
pub const CLAIMS_DEPTH_MAX: usize = 8;
/// Values in a token's claims at every level together; it also bounds what one comprehension of a rule walks.
pub const CLAIMS_VALUES_MAX: usize = 2048;
