//! Which of an upstream's headers a client gets.

/// What becomes of an upstream's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeaderRule {
    /// It goes to the client as it is, even when empty.
    Pass,
    /// It goes to the client with the handle in it as the client knows it.
    Rebind,
    /// It speaks of the body's bytes: it goes along only while these go along unchanged.
    Framing,
    /// It stays here.
    Drop,
}

/// The rule for a header, by its name in lower case. Whatever is not known is dropped.
///
/// `cache-control` and `vary` are dropped here, too: the gateway writes its own, see
/// [`cache_control`](super::cache_control) and [`Varies`](super::Varies). `electric-server` is worth reading
/// before it is dropped: it says the version.
#[must_use]
pub fn header_rule(name: &str) -> HeaderRule {
    match name {
        "electric-handle" | "etag" => HeaderRule::Rebind,
        "electric-offset"
        | "electric-schema"
        | "electric-cursor"
        | "electric-up-to-date"
        | "electric-has-data"
        | "electric-snapshot"
        | "electric-internal-known-error"
        | "content-type"
        | "retry-after" => HeaderRule::Pass,
        "content-length" => HeaderRule::Framing,
        _ => HeaderRule::Drop,
    }
}

/// The headers that a browser's script must be able to read; the value of `access-control-expose-headers`.
pub const EXPOSED: &str = "electric-cursor,electric-handle,electric-has-data,electric-offset,electric-schema,\
electric-snapshot,electric-up-to-date,electric-internal-known-error,etag,retry-after,x-request-id";
