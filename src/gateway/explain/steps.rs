//! The steps, in the order of admission.

mod minting;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use pingora_http::RequestHeader;
use shapegate_core::code::{Code, Refusal};
use shapegate_core::definition::{Columns, Rows, ShapeDefinition};
use shapegate_core::identity::Identity;
use shapegate_core::permit::Allowed;
use shapegate_core::policy::{
    Facts, Finding, RequestFacts, ShapePolicy, Trial, TrialOutcome, Withheld, require_shape,
};
use shapegate_core::request::{Asked, Declared, Verb};
use shapegate_core::time::{Now, Until};
use shapegate_core::upstream::UpstreamRequest;
use shapegate_core::value::Value;

use super::{Explainer, Question, Report, Step, Verdict};
use crate::authorizer::{Authorizers, Freshness};
use crate::clock::Clock;
use crate::gatekeeper::Verification;
use crate::gateway::admit::{RequestHeaders, not_found, target, unknown};
use crate::gateway::choose;
use crate::gateway::cors::CorsGrant;
use crate::gateway::pages::why_cookies_are_refused;
use crate::identity::{Authentication, CredentialHeaders};
use crate::tenant::{Endpoint, Found, ServedShape, Tenant};
use crate::traces::Trace;

/// How long facts hold that were given in place of an authoriser's; longer than any explanation takes.
const GIVEN_FACTS_HOLD: Duration = Duration::from_secs(3600);

/// Fetches what issuers publish for as long as this is polled, which is as long as somebody waits for it.
async fn fetch_keys(tenant: &Tenant, clock: &dyn Clock) -> Infallible {
    let fetching = tenant.published_keys().map(|keys| keys.keep_fresh(clock, &|| ()));
    futures_util::future::join_all(fetching).await;
    std::future::pending().await
}

/// A request on its way, and what was told of it.
pub(super) struct Telling<'a> {
    explainer: &'a Explainer<'a>,
    question: &'a Question,
    steps: Vec<Step>,
}

type Followed<T> = Result<T, Verdict>;

/// What is decided, for whom.
#[derive(Clone, Copy)]
struct Deciding<'a> {
    policy: &'a ShapePolicy,
    authorizers: &'a Authorizers,
    identity: Option<&'a Identity>,
    request: &'a RequestFacts<'a>,
}

impl<'a> Telling<'a> {
    pub(super) fn new(explainer: &'a Explainer<'a>, question: &'a Question) -> Self {
        Self {
            explainer,
            question,
            steps: Vec::new(),
        }
    }

    pub(super) fn report(self, verdict: Verdict) -> Report {
        Report {
            steps: self.steps,
            verdict,
        }
    }

    fn tell(&mut self, name: &'static str, line: impl Into<String>) {
        match self.steps.last_mut() {
            Some(last) if last.name == name => last.lines.push(line.into()),
            _ => self.steps.push(Step {
                name,
                lines: vec![line.into()],
            }),
        }
    }

    fn now(&self) -> Now {
        self.explainer.clock.now()
    }

    /// From the tenant to the verdict.
    pub(super) async fn follow(&mut self) -> Followed<Verdict> {
        let head = self.head()?;
        let tenant = choose::tenant(self.explainer.snapshot, &head, &mut CorsGrant::default())?;
        self.tell("tenant", tenant.id().to_string());
        let (path, query) = target(&head)?;
        let found = tenant.find(path).filter(|found| !found.hides(&head.method));
        let found = found.ok_or_else(|| {
            let refusal = not_found();
            refusal.with_detail(format!(
                "no shape of this tenant has the path {path:?}; nothing is normalised"
            ))
        })?;
        let verb = found.verb(&head.method).ok_or_else(|| {
            let text = format!("Only {} here.", found.methods());
            Refusal::new(Code::MethodNotAllowed, text)
        })?;
        match found {
            Found::Shapes(endpoint) => self.shapes(tenant, &head, verb, query, &endpoint).await,
            Found::Signed { .. } => self.signed(tenant, &head, verb, query).await,
            Found::Mint(table) => self.mint(tenant, &head, query, &table).await,
            Found::Health => self.open("Electric's health"),
            Found::PublicKeys => self.open("the keys that verify shape tokens"),
        }
    }

    fn open(&mut self, what: &str) -> Followed<Verdict> {
        self.tell("route", what);
        Ok(Verdict::Open)
    }

    fn head(&self) -> Followed<RequestHeader> {
        let malformed = |detail: String| {
            Verdict::Refused(
                Refusal::new(Code::MalformedRequest, "The request is malformed.").with_detail(detail),
            )
        };
        let Question {
            method,
            target,
            headers,
            ..
        } = self.question;
        let mut head = RequestHeader::build(method.clone(), target.as_bytes(), Some(headers.len()))
            .map_err(|error| malformed(error.to_string()))?;
        for (name, value) in headers {
            head.append_header(name.clone(), value.clone())
                .map_err(|error| malformed(error.to_string()))?;
        }
        Ok(head)
    }

    /// A route of shapes.
    async fn shapes(
        &mut self,
        tenant: &Tenant,
        head: &RequestHeader,
        verb: Verb,
        query: &str,
        endpoint: &Endpoint<'_>,
    ) -> Followed<Verdict> {
        let mut asked = Asked::parse(verb, query, endpoint.declared())?;
        let shape = endpoint.choose(&asked)?;
        let policy = shape.policy();
        self.tell("route", format!("shape {}", policy.name()));
        let captured = endpoint.captures().iter().chain(&asked.query);
        let captured: Vec<String> = captured
            .map(|(name, value)| format!("{name} = {value:?}"))
            .collect();
        captured.into_iter().for_each(|line| self.tell("route", line));
        let identity = self.identity(tenant, shape, head).await?;
        if shape.requires_identity() && identity.is_none() {
            return Err(unknown().into());
        }
        if verb == Verb::Post {
            asked.take_body(&self.question.body)?;
        }
        let headers = RequestHeaders(&head.headers);
        let request = RequestFacts {
            method: head.method.as_str(),
            path: endpoint.captures(),
            query: &asked.query.clone(),
            headers: &headers,
        };
        let deciding = Deciding {
            policy,
            authorizers: shape.authorizers(),
            identity: identity.as_deref(),
            request: &request,
        };
        let allowed = self.decide(&deciding, &asked).await?;
        self.allowed(tenant, &allowed, asked)
    }

    /// What the rules make of it, tried one by one and then as for requests.
    async fn decide(&mut self, deciding: &Deciding<'_>, asked: &Asked) -> Followed<Arc<Allowed>> {
        let facts = self.facts(deciding, asked).await?;
        let Deciding {
            policy,
            identity,
            request,
            ..
        } = *deciding;
        let now = self.now();
        for trial in policy.trials(identity, request, asked, &facts, now)? {
            self.trial(&trial);
        }
        Ok(policy.judge(identity, request, asked, &facts, now)?)
    }

    /// Who asks; nobody is asked about who it is unless that was wanted.
    async fn identity(
        &mut self,
        tenant: &Tenant,
        shape: &ServedShape,
        head: &RequestHeader,
    ) -> Followed<Option<Arc<Identity>>> {
        if shape.policy().is_public() {
            self.tell("identity", "not asked for: the shape is public");
            return Ok(None);
        }
        self.known(tenant, head).await
    }

    async fn known(&mut self, tenant: &Tenant, head: &RequestHeader) -> Followed<Option<Arc<Identity>>> {
        let methods = tenant.identity();
        if let Some(claims) = &self.question.claims {
            let identity = methods.assume(claims.clone())?;
            self.tell(
                "identity",
                format!("{}, as the claims were given", who(&identity)),
            );
            return Ok(Some(identity));
        }
        let why = why_cookies_are_refused(tenant.cors(), &head.method, &head.headers);
        let credentials = CredentialHeaders::of(&head.headers).with_cookies_refused(why);
        let identity = match methods.authenticate(&credentials, self.now())? {
            Authentication::Known(identity) => identity,
            Authentication::Pending(pending) => {
                let why =
                    "its issuer's keys, or whoever knows the credential, would have to be asked: `--live`";
                let identity = pending.identity(self.explainer.clock);
                Some(self.said(tenant, identity, why).await?)
            }
        };
        let told = identity.as_deref().map_or_else(|| "nobody".to_owned(), who);
        self.tell("identity", told);
        Ok(identity)
    }

    /// What somebody outside says, if anybody may be asked; `why` it is not known, otherwise.
    async fn said<T>(
        &self,
        tenant: &Tenant,
        saying: impl Future<Output = Result<T, Refusal>>,
        why: &str,
    ) -> Followed<T> {
        if self.explainer.live.is_none() {
            return Err(Verdict::Undecided(why.to_owned()));
        }
        tokio::select! {
            said = saying => Ok(said?),
            never = fetch_keys(tenant, &**self.explainer.clock) => match never {},
        }
    }

    /// What authorisers say, or what was given in their place.
    async fn facts(&mut self, deciding: &Deciding<'_>, asked: &Asked) -> Followed<Facts> {
        let Deciding {
            policy,
            authorizers,
            identity,
            request,
        } = *deciding;
        if !policy.consults() {
            return Ok(Facts::none());
        }
        let told = policy.inputs(identity, request, asked, self.now())?;
        for ((_, place), told) in authorizers.names().zip(&told) {
            self.tell("facts", format!("{place} is told {} values", told.len()));
        }
        if let Some(given) = &self.question.decision {
            self.tell("facts", "given in their place");
            return Ok(self.given(authorizers, given));
        }
        let Some(asking) = self.explainer.live else {
            let why = "authorisers would have to be asked: `--live`, or say what they find with `--decision`";
            return Err(Verdict::Undecided(why.to_owned()));
        };
        let facts = authorizers
            .gather(asking, &told, Freshness::Now, &Trace::Off)
            .await?;
        self.tell("facts", "they said yes");
        Ok(facts)
    }

    fn given(&self, authorizers: &Authorizers, given: &BTreeMap<Arc<str>, Value>) -> Facts {
        let until = Until::after(self.now(), GIVEN_FACTS_HOLD);
        let finding = |name: Option<&Arc<str>>| {
            let facts = match name {
                None => given.clone(),
                Some(name) => match given.get(name) {
                    Some(Value::Map(facts)) => facts.clone(),
                    _ => BTreeMap::new(),
                },
            };
            Finding {
                facts,
                filter: None,
                columns: None,
                until,
            }
        };
        let names = authorizers.names();
        let findings: Vec<_> = names.map(|(name, _)| (name, finding(name))).collect();
        Facts::gathered(findings.iter().map(|(name, finding)| (*name, finding)))
    }

    fn trial(&mut self, trial: &Trial) {
        let when = trial.when.as_deref().unwrap_or("(always)");
        let outcome = match &trial.outcome {
            TrialOutcome::Decides => "decides".to_owned(),
            TrialOutcome::DoesNotHold => "does not hold".to_owned(),
            TrialOutcome::Fails(why) => format!("cannot be evaluated, which denies: {why}"),
            TrialOutcome::NotTried => "is not tried".to_owned(),
        };
        self.tell("rules", format!("{} {outcome}: {when}", trial.rule));
        for reading in &trial.readings {
            let found = reading.found.as_deref().unwrap_or("(missing)");
            self.tell("rules", format!("    {} = {found}", reading.place));
        }
    }

    /// A shape that a token signs.
    async fn signed(
        &mut self,
        tenant: &Tenant,
        head: &RequestHeader,
        verb: Verb,
        query: &str,
    ) -> Followed<Verdict> {
        self.tell("route", "a shape that its token signs");
        let verifier = tenant.gatekeeper().verifier.as_ref().ok_or_else(not_found)?;
        let mut asked = Asked::parse(verb, query, &Declared::default())?;
        require_shape(&asked)?;
        let credentials = CredentialHeaders::of(&head.headers);
        let token = match verifier.authenticate(&credentials, self.now())? {
            Verification::Known(token) => token,
            Verification::Pending(pending) => {
                let why = "its issuer's keys would have to be asked for: `--live`";
                let token = pending.token(&**self.explainer.clock);
                self.said(tenant, token, why).await?
            }
        };
        let now = self.now();
        let issuer = token.credential().issuer.as_deref().unwrap_or_default();
        self.tell("identity", format!("a shape token of {issuer}"));
        let allowed = verifier.decide(&token, &asked, now)?;
        if verb == Verb::Post {
            asked.take_body(&self.question.body)?;
        }
        self.allowed(tenant, &allowed, asked)
    }

    /// What was allowed, and the request that comes of it.
    fn allowed(&mut self, tenant: &Tenant, allowed: &Arc<Allowed>, asked: Asked) -> Followed<Verdict> {
        self.definition(allowed.definition());
        let permit = allowed
            .permit(asked, self.now())
            .map_err(|withheld| match withheld {
                Withheld::MustRefetch => Verdict::MustRefetch,
                Withheld::Refused(refusal) => Verdict::Refused(refusal),
            })?;
        let upstream = tenant.upstream();
        let request = UpstreamRequest::build(&permit, upstream.base())?;
        let host = upstream.host().to_str().unwrap_or_default();
        let (method, target) = (request.verb().as_str(), request.target_with(None));
        self.tell("upstream", format!("{method} {target}"));
        if let Some(body) = request.body() {
            self.tell("upstream", String::from_utf8_lossy(body).into_owned());
        }
        self.tell("upstream", format!("to {host}, the secret left out"));
        Ok(Verdict::Allowed(Arc::clone(allowed)))
    }

    fn definition(&mut self, definition: &ShapeDefinition) {
        self.tell("definition", format!("table {}", definition.table()));
        let columns = match definition.columns() {
            Columns::All => "all".to_owned(),
            Columns::Only(columns) => columns.to_string(),
        };
        self.tell("definition", format!("columns {columns}"));
        match definition.rows() {
            Rows::All => self.tell("definition", "all rows"),
            Rows::None => self.tell("definition", "no rows"),
            Rows::Where(filter) => {
                self.tell("definition", format!("rows where {}", filter.text()));
                for (index, value) in (1..).zip(filter.parameters()) {
                    self.tell("definition", format!("    ${index} = {:?}", value.as_str()));
                }
            }
        }
        let (replica, log) = (definition.replica().as_str(), definition.log().as_str());
        self.tell("definition", format!("replica {replica}, log {log}"));
    }
}

fn who(identity: &Identity) -> String {
    let subject = identity.subject().map_or("no subject", |subject| subject);
    match identity.issuer() {
        Some(issuer) => format!("{subject:?} of {issuer}"),
        None => format!("{subject:?}"),
    }
}
