//! The pure heart of shapegate: the shape protocol, SQL filters, rules and permits.
//!
//! Nothing here does I/O, reads a clock or draws entropy; whoever calls passes them in.
pub mod answer;
pub mod clause;
pub mod code;
pub mod coding;
pub mod credential;
pub mod definition;
pub mod handle;
pub mod identifier;
pub mod identity;
pub mod interner;
pub mod json;
pub mod limits;
pub mod permit;
pub mod policy;
pub mod request;
pub mod shape_claims;
pub mod time;
pub mod upstream;
pub mod value;
