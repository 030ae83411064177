//! The real servers: OPA, OpenFGA and SpiceDB, each in memory, on free ports, ended with its test.
//!
//! `make test-long` builds them and runs these; their folder is `SHAPEGATE_AUTHORIZATION_SERVERS`.

#[path = "servers/opa.rs"]
mod opa;
#[path = "servers/openfga.rs"]
mod openfga;
#[path = "servers/program.rs"]
mod program;
#[path = "servers/spicedb.rs"]
mod spicedb;
