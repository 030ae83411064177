//! Why keys could not be fetched.

use crate::identity::keys::KeyError;
use crate::outbound::OutboundError;
use shapegate_core::json::JsonError;

/// Why keys could not be fetched. For the log; text of others in it is quoted and short.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RemoteError {
    /// Nothing came.
    #[error("{0}")]
    Outbound(#[from] OutboundError),
    /// Something else than a document came.
    #[error("it answers with the status {0}")]
    Status(u16),
    /// The discovery document is no JSON object.
    #[error("its discovery document is not taken: {0}")]
    Document(JsonError),
    /// The discovery document lacks a member.
    #[error("its discovery document has no {0:?}")]
    Member(&'static str),
    /// The document is another issuer's.
    #[error("its discovery document is that of the issuer {0:?}; it must be the same to the letter")]
    IssuerOther(String),
    /// The keys are none.
    #[error("its keys are not taken: {0}")]
    Keys(#[from] KeyError),
}
