//! Minting: what the rules allow, signed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::Serialize;
use shapegate_core::code::{Code, Refusal};
use shapegate_core::definition::{Replica, Rows};
use shapegate_core::identifier::TableName;
use shapegate_core::identity::Identity;
use shapegate_core::permit::Allowed;
use shapegate_core::policy::{Access, ShapePolicy};
use shapegate_core::request::{Asked, Declared, Scalar};
use shapegate_core::shape_claims::SignedShape;
use shapegate_core::time::{Now, UnixMillis};
use shapegate_core::value::Value;

use super::jwks::KeySet;
use super::keys::SigningKeys;
use super::path::{self, MintPath};
use crate::authorizer::Authorizers;
use crate::identity::{ORIGINS_MAX, SKEW, TOKEN_BYTES_MAX};

/// The longest life of a token.
pub const TTL_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Random bytes of a `jti`.
const JTI_BYTES: usize = 16;
/// Bytes of a filter up to which a rule's own text is certain to be read again as it was written.
const FILTER_BYTES_CERTAIN: usize = 1024;

/// What minting needs besides keys.
pub struct MintSettings {
    /// `iss`.
    pub issuer: Arc<str>,
    /// `aud`: the tenant's id.
    pub tenant: Arc<str>,
    /// Where clients take their tokens.
    pub url: Box<str>,
    /// Where they are minted.
    pub path: MintPath,
    /// Whether somebody else verifies them, who compares texts and no `params`.
    pub external: bool,
    /// How long they live, where no rule says otherwise.
    pub ttl: Duration,
}

/// A shape whose rules may mint.
pub struct MintShape {
    policy: Arc<ShapePolicy>,
    authorizers: Arc<Authorizers>,
    declared: Declared,
    captures: Vec<Arc<str>>,
    ttls: HashMap<Arc<str>, Duration>,
}

impl MintShape {
    /// A shape; `declared` has the names that its path captures (`captures`) and those of its query, and `ttls`
    /// the rules, as [`Allowed::rule`] names them, that say how long their tokens live.
    pub fn new(
        policy: Arc<ShapePolicy>,
        authorizers: Arc<Authorizers>,
        declared: Declared,
        captures: Vec<Arc<str>>,
        ttls: HashMap<Arc<str>, Duration>,
    ) -> Self {
        Self {
            policy,
            authorizers,
            declared,
            captures,
            ttls,
        }
    }

    /// What decides.
    pub fn policy(&self) -> &ShapePolicy {
        &self.policy
    }

    /// Who is asked before.
    pub fn authorizers(&self) -> &Authorizers {
        &self.authorizers
    }

    /// The names that a request may give values for.
    pub fn declared(&self) -> &Declared {
        &self.declared
    }

    /// The longest `ttl` of its rules; zero where none has one.
    pub fn ttl_max(&self) -> Duration {
        self.ttls.values().copied().max().unwrap_or_default()
    }

    /// The values of the path's captures, taken out of what was sent as parameters: here no path has them.
    ///
    /// # Errors
    /// 400 when one is missing.
    pub fn captured(&self, asked: &mut Asked) -> Result<Vec<(Arc<str>, Scalar)>, Refusal> {
        let take = |name: &Arc<str>| {
            let place = asked.query.iter().position(|(sent, _)| sent == name);
            place.map(|place| asked.query.remove(place)).ok_or_else(|| {
                Refusal::new(
                    Code::ParameterMissing,
                    format!("{name} is required: this shape's path has it."),
                )
            })
        };
        self.captures.iter().map(take).collect()
    }
}

/// Mints the tokens of one tenant.
pub struct Minter {
    settings: MintSettings,
    keys: SigningKeys,
    shapes: Vec<MintShape>,
}

/// The payload of a token. Nothing in it comes from a client but through a rule.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    aud: &'a str,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
    /// The caller's own token, so that this one ends with it when that is revoked.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    origin_jti: Vec<&'a str>,
    shape: &'a SignedShape,
}

/// What a client spreads into the options of its `ShapeStream`; the definition is repeated at the top, as the
/// published example has it.
#[derive(Serialize)]
struct Answer<'a> {
    url: &'a str,
    headers: AnswerHeaders,
    params: Params<'a>,
    table: &'a str,
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    filter: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<&'a str>,
}

#[derive(Serialize)]
struct AnswerHeaders {
    #[serde(rename = "Authorization")]
    authorization: String,
}

#[derive(Serialize)]
struct Params<'a> {
    table: &'a str,
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    filter: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replica: Option<&'a str>,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    params: std::collections::BTreeMap<u16, &'a str>,
}

impl Minter {
    /// A minter.
    pub fn new(settings: MintSettings, keys: SigningKeys, shapes: Vec<MintShape>) -> Self {
        Self {
            settings,
            keys,
            shapes,
        }
    }

    /// Where tokens are minted.
    pub fn path(&self) -> &MintPath {
        &self.settings.path
    }

    /// The `iss` of its tokens.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// The keys.
    pub fn keys(&self) -> &SigningKeys {
        &self.keys
    }

    /// The public keys as they are published now.
    pub fn key_set(&self, now: UnixMillis) -> KeySet {
        KeySet::at(&self.keys, now)
    }

    /// Whether whoever asks must be known, whatever table they name.
    pub fn requires_identity(&self) -> bool {
        let required = |shape: &MintShape| shape.policy.access() == Access::Required;
        self.shapes.iter().all(required)
    }

    /// The table of a raw path segment, and the shape whose rules may mint it.
    ///
    /// # Errors
    /// 400 when the segment names no table, 403 when no shape gives it.
    pub fn shape(&self, segment: &str) -> Result<(TableName, &MintShape), Refusal> {
        let table = path::table_of(segment)?;
        match self.shapes.iter().find(|shape| shape.policy.gives_table(&table)) {
            Some(shape) => Ok((table, shape)),
            // In the words of a rule that holds for nobody: which tables have rules is nobody's business.
            None => Err(Refusal::new(Code::Forbidden, "No rule gives you this shape.")
                .with_detail(format!("no shape under `gatekeeper.shapes` gives {table}"))),
        }
    }

    /// Signs what was allowed, and gives the body of the answer.
    ///
    /// # Errors
    /// 401 when the caller's own credential ends now, 403 for a definition that cannot be signed.
    pub fn mint(
        &self,
        shape: &MintShape,
        allowed: &Allowed,
        identity: Option<&Identity>,
        now: Now,
    ) -> Result<Bytes, Refusal> {
        let signed = SignedShape::of(allowed.definition());
        self.check(&signed)?;
        let token = self.token(&signed, self.expiry(shape, allowed, now)?, identity, now)?;
        Ok(self.answer(&signed, &token))
    }

    /// Whole seconds, rounded down; never later than the caller's credential says itself.
    fn expiry(&self, shape: &MintShape, allowed: &Allowed, now: Now) -> Result<i64, Refusal> {
        let ttl = shape
            .ttls
            .get(allowed.rule())
            .copied()
            .unwrap_or(self.settings.ttl);
        let issued = now.wall.seconds();
        let wanted = now.wall.plus(ttl).seconds();
        // The credential holds one skew longer than it says, and so will the token.
        let skew = i64::try_from(SKEW.as_secs()).unwrap_or(i64::MAX);
        let credential = allowed
            .credential_until()
            .map(|until| until.wall.seconds().saturating_sub(skew));
        // What was decided ends with what it was decided from, and so does a token that says it.
        let decision = allowed.until().map(|until| until.wall.seconds());
        let expiry = [credential, decision]
            .into_iter()
            .flatten()
            .fold(wanted, i64::min);
        if expiry > issued {
            return Ok(expiry);
        }
        if credential.is_some_and(|end| end <= issued) {
            let text = "The credential is about to expire.";
            return Err(Refusal::new(Code::TokenExpired, text));
        }
        let text = "What was found out about you is about to end: ask again.";
        Err(Refusal::new(Code::DecisionUnavailable, text).with_retry_after(Duration::from_secs(1)))
    }

    fn check(&self, signed: &SignedShape) -> Result<(), Refusal> {
        if self.settings.external && signed.has_params() {
            return Err(Refusal::new(
                Code::Forbidden,
                "This shape has parameters, and whoever verifies these tokens does not compare them: \
                 no token is minted for it.",
            ));
        }
        let is_long =
            matches!(signed.rows(), Rows::Where(filter) if filter.text().len() > FILTER_BYTES_CERTAIN);
        if is_long && !is_read_again(signed) {
            return Err(too_large());
        }
        Ok(())
    }

    fn token(
        &self,
        shape: &SignedShape,
        exp: i64,
        identity: Option<&Identity>,
        now: Now,
    ) -> Result<String, Refusal> {
        let failed = |detail: String| Refusal::new(Code::Internal, "The gateway failed.").with_detail(detail);
        let iat = now.wall.seconds();
        let claims = Claims {
            iss: &self.settings.issuer,
            sub: identity.and_then(Identity::subject).map(|subject| &**subject),
            aud: &self.settings.tenant,
            iat,
            nbf: iat,
            exp,
            jti: random_id().map_err(|error| failed(error.to_string()))?,
            origin_jti: identity.map(origins).unwrap_or_default(),
            shape,
        };
        let claims = serde_json::to_vec(&claims).map_err(|error| failed(error.to_string()))?;
        let key = self
            .keys
            .active(now.wall)
            .ok_or_else(|| failed("no key signs yet".to_owned()))?;
        let token = key.token(&claims).map_err(|error| failed(error.to_string()))?;
        if token.len() > TOKEN_BYTES_MAX {
            return Err(too_large());
        }
        Ok(token)
    }

    fn answer(&self, signed: &SignedShape, token: &str) -> Bytes {
        let (table, columns) = (signed.table_text(), signed.columns_text());
        let full = signed.replica() == Some(Replica::Full);
        let answer = Answer {
            url: &self.settings.url,
            headers: AnswerHeaders {
                authorization: format!("Bearer {token}"),
            },
            params: Params {
                table: &table,
                filter: signed.where_text(),
                columns: columns.as_deref(),
                replica: full.then_some(Replica::Full.as_str()),
                params: signed.params().collect(),
            },
            table: &table,
            filter: signed.where_text(),
            columns: columns.as_deref(),
        };
        // Texts under text keys always serialise.
        Bytes::from(serde_json::to_vec(&answer).unwrap_or_default())
    }
}

/// Whether a verifier would read the same from the claim: a rule's filter and a client's may together be more
/// than a filter may be.
fn is_read_again(signed: &SignedShape) -> bool {
    let params: std::collections::BTreeMap<Arc<str>, Value> = signed
        .params()
        .map(|(number, value)| (number.to_string().into(), value.into()))
        .collect();
    let claim = Value::Map(
        [
            ("table".into(), "t".into()),
            (
                "where".into(),
                signed.where_text().map_or(Value::Null, Value::from),
            ),
            ("params".into(), Value::Map(params)),
        ]
        .into(),
    );
    SignedShape::read(Some(&claim)).is_ok_and(|read| read.rows() == signed.rows())
}

fn too_large() -> Refusal {
    Refusal::new(
        Code::DefinitionTooLarge,
        "What you may sync does not fit into a token: the rule should select by a membership subquery \
         (IN (SELECT …)) instead of a list.",
    )
}

fn origins(identity: &Identity) -> Vec<&str> {
    let ids = identity.credential().token_ids.iter();
    ids.take(ORIGINS_MAX).map(|id| &**id).collect()
}

fn random_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0; JTI_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
