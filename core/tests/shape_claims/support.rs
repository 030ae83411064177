use std::sync::Arc;
use std::time::Duration;

use shapegate_core::code::Refusal;
use shapegate_core::handle::HandleTagger;
use shapegate_core::json::{self, JsonLimits};
use shapegate_core::permit::Allowed;
use shapegate_core::policy::SignedTerms;
use shapegate_core::request::{Asked, Declared, Verb};
use shapegate_core::shape_claims::{ShapeClaimError, SignedShape, Unsigned};
use shapegate_core::time::{Monotonic, Now, UnixMillis, Until};

pub(crate) const NOW: Now = Now {
    wall: UnixMillis(1_000_000),
    monotonic: Monotonic(Duration::from_secs(10)),
};

/// The claim of this JSON.
pub(crate) fn read(text: &str) -> Result<SignedShape, ShapeClaimError> {
    SignedShape::read(Some(&json::parse(text.as_bytes(), JsonLimits::CLAIMS).unwrap()))
}

pub(crate) fn signed(text: &str) -> SignedShape {
    read(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub(crate) fn written(shape: &SignedShape) -> String {
    serde_json::to_string(shape).unwrap()
}

pub(crate) fn ask(query: &str) -> Asked {
    Asked::parse(Verb::Get, query, &Declared::default()).unwrap()
}

/// What a token with this claim, of one minute, gives to this query.
pub(crate) fn allow(claim: &str, query: &str, unsigned: &Unsigned) -> Result<Arc<Allowed>, Refusal> {
    let tagger = HandleTagger::new(&[7; 32]);
    let terms = SignedTerms {
        unsigned,
        tenant: "acme",
        tagger: Some(&tagger),
        until: Until::after(NOW, Duration::from_secs(60)),
        rule: &"issuer".into(),
    };
    signed(claim).allow(&ask(query), &terms, NOW)
}
