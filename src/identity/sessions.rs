//! Where sessions are kept: a table, an endpoint of the application, an authorisation server.

mod endpoint;
mod introspection;
mod table;

pub use endpoint::SessionEndpoint;
pub use introspection::{ClientAuthentication, Introspection, IntrospectionSettings};
pub use table::{CredentialHash, SessionTable, SessionTableSettings};
