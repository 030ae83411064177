//! Under what a decision may be remembered.
use super::ShapePolicy;
use super::facts::RequestFacts;
use crate::identity::Identity;
use crate::request::{Asked, Scalar, Verb};

/// Everything that a remembered decision of one shape was made from, compared in full and never by a digest.
///
/// What authorisers found out is not in it: what they were told is, all of it, and the decision ends when the
/// earliest of their answers does. It belongs to one compiled shape: remember it together with that shape, and forget both when the
/// configuration changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DecisionKey {
    /// `None` is nobody.
    identity: Option<u64>,
    verb: Verb,
    /// The captures of the path, in the path's order.
    path: Box<[Scalar]>,
}

impl ShapePolicy {
    /// The key to remember a decision under, or `None` if this one must be made anew: where a rule or
    /// an authoriser's input reads headers, and where the client says anything about the definition or sends a
    /// declared name.
    #[must_use]
    pub fn memory_key(
        &self,
        identity: Option<&Identity>,
        request: &RequestFacts<'_>,
        asked: &Asked,
    ) -> Option<DecisionKey> {
        let plain = asked.is_plain() && request.query.is_empty() && request.method == asked.verb.as_str();
        (self.remembers() && plain).then(|| DecisionKey {
            identity: if self.is_public() {
                None
            } else {
                identity.map(Identity::number)
            },
            verb: asked.verb,
            path: request.path.iter().map(|(_, value)| value.clone()).collect(),
        })
    }
}
