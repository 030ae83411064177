//! From what a client sends to what the upstream receives: handles, definitions, subsets, requests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod protocol {
    pub(crate) mod collisions;
    pub(crate) mod definitions;
    pub(crate) mod encoding;
    pub(crate) mod handles;
    pub(crate) mod random;
    pub(crate) mod subsets;
    pub(crate) mod support;
    pub(crate) mod upstream;
}
