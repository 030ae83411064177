//! An upstream that fails, lies or is somebody else: none of it may look like success to a client.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

#[path = "upstream/bodies.rs"]
mod bodies;
#[path = "upstream/connections.rs"]
mod connections;
#[path = "upstream/encodings.rs"]
mod encodings;
#[path = "upstream/handles.rs"]
mod handles;
#[path = "upstream/names.rs"]
mod names;
#[path = "upstream/statuses.rs"]
mod statuses;
#[path = "upstream/tags.rs"]
mod tags;
#[path = "upstream/ways.rs"]
mod ways;
