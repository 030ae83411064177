//! Who asks: what is taken for a credential, and what is not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

#[path = "identity/carriers.rs"]
mod carriers;
#[path = "identity/choice.rs"]
mod choice;
#[path = "identity/claims.rs"]
mod claims;
#[path = "identity/dates.rs"]
mod dates;
#[path = "identity/development.rs"]
mod development;
#[path = "identity/forms.rs"]
mod forms;
#[path = "identity/keys.rs"]
mod keys;
#[path = "identity/memory.rs"]
mod memory;
#[path = "identity/mutations.rs"]
mod mutations;
#[path = "identity/providers.rs"]
mod providers;
#[path = "identity/signatures.rs"]
mod signatures;
#[path = "identity/support.rs"]
mod support;
