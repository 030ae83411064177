//! Revocations as tests make them.

use shapegate::revocation::{Entry, Kind, Name};

/// What revokes `value` everywhere, until it is taken back.
pub fn entry(kind: Kind, value: &str) -> Entry {
    Entry {
        name: Name {
            kind,
            value: value.into(),
            tenant: None,
            issuer: None,
        },
        expires: None,
        issued_before: None,
        reason: None,
    }
}
