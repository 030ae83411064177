//! What only several tenants together can get wrong: two that one request, or one token, could mean.

use super::cors::Cors;
use super::identity::IdentitySettings;
use super::problem::Problem;
use super::selection::{ClaimSelection, HostPattern, Selection};
use super::source::Span;
use super::tenant::TenantConfig;
use crate::identity::{AudienceRule, IssuerSource};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// What a tenant lays claim to: requests and tokens. It is kept as long as the tenant is served.
#[derive(Clone, Debug)]
pub struct TenantClaims {
    /// The tenant's id.
    pub id: Arc<str>,
    /// The requests; none stands for all.
    pub selection: Option<Selection>,
    cors: Cors,
    /// Issuers of users' tokens, and for whom these are.
    users: Vec<Accepted>,
    /// Those of tokens that sign shapes.
    shapes: Vec<Accepted>,
}

/// Whom tokens must be for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Audience {
    Named(Arc<str>),
    Party(Arc<str>),
    Any,
}

/// An issuer, and an audience of its tokens.
type Accepted = (Arc<str>, Audience);

/// Two tenants that cannot be served together.
#[derive(Debug)]
pub struct Rivalry {
    /// The place of the tenant that is told about it, among those that were compared.
    pub tenant: usize,
    /// The place of the other one.
    pub other: usize,
    /// What is wrong.
    pub problem: Problem,
}

impl TenantClaims {
    /// What a tenant lays claim to.
    pub fn of(config: &TenantConfig) -> Self {
        let shape_issuers = config.gatekeeper.iter().flat_map(|gatekeeper| &gatekeeper.verify);
        let shape_issuers = shape_issuers.flat_map(|verify| &verify.issuers);
        Self {
            id: Arc::clone(&config.id),
            selection: config.selection.clone(),
            cors: config.cors.clone(),
            users: users(&config.identity),
            shapes: shape_issuers.flat_map(|issuer| accepted(&issuer.value)).collect(),
        }
    }

    /// What is left of a tenant that cannot be served: the requests that it is for.
    pub fn of_unserved(id: Arc<str>, selection: Selection) -> Self {
        Self {
            id,
            selection: Some(selection),
            cors: Cors::default(),
            users: Vec::new(),
            shapes: Vec::new(),
        }
    }

    /// Whether the other one claims exactly this, wherever it is written: then neither can have rivals that the other has not.
    pub fn are_those_of(&self, other: &Self) -> bool {
        let hosts = |claims: &'_ Self| {
            let hosts = claims.selection.iter().flat_map(|selection| &selection.hosts);
            hosts.map(|host| host.value.clone()).collect::<Vec<_>>()
        };
        let claim = |claims: &Self| {
            claims
                .claim()
                .map(|claim| (claim.from.clone(), claim.value.clone()))
        };
        self.id == other.id
            && self.selection.is_some() == other.selection.is_some()
            && hosts(self) == hosts(other)
            && self.prefix() == other.prefix()
            && claim(self) == claim(other)
            && self.has_member() == other.has_member()
            && self.cors == other.cors
            && self.users == other.users
            && self.shapes == other.shapes
    }

    fn has_member(&self) -> bool {
        self.selection
            .as_ref()
            .is_some_and(|selection| selection.member.is_some())
    }

    fn claim(&self) -> Option<&ClaimSelection> {
        self.selection.as_ref()?.claim.as_ref()
    }

    fn prefix(&self) -> &str {
        self.selection.as_ref().map_or("", |selection| &selection.prefix)
    }

    fn span(&self) -> Option<Span> {
        self.selection.as_ref().map(|selection| selection.span)
    }

    /// The hosts with their places; one that stands for every host where none is named.
    fn scopes(&self) -> Vec<(Scope<'_>, Option<Span>)> {
        let hosts = self
            .selection
            .as_ref()
            .map_or(&[][..], |selection| &selection.hosts);
        if hosts.is_empty() {
            return vec![(Scope::Every, self.span())];
        }
        let scope = |host: &'_ super::source::Spanned<HostPattern>| Some(host.span);
        hosts
            .iter()
            .map(|host| (Scope::of(&host.value), scope(host)))
            .collect()
    }

    /// What a token names it by.
    fn claimed(&self) -> Option<(&ClaimSelection, &str)> {
        self.claim()
            .map(|claim| (claim, claim.value.as_deref().unwrap_or(&self.id)))
    }
}

fn users(identity: &IdentitySettings) -> Vec<Accepted> {
    identity
        .issuers
        .iter()
        .flat_map(|issuer| accepted(&issuer.value))
        .collect()
}

fn accepted(issuer: &IssuerSource) -> Vec<Accepted> {
    let name: Arc<str> = issuer.issuer.as_str().into();
    let audiences: Vec<Audience> = match &issuer.audience {
        AudienceRule::Audience(names) => names
            .iter()
            .map(|one| Audience::Named(one.as_str().into()))
            .collect(),
        AudienceRule::AuthorizedParties(names) => names
            .iter()
            .map(|one| Audience::Party(one.as_str().into()))
            .collect(),
        AudienceRule::InsecureAny => vec![Audience::Any],
    };
    audiences
        .into_iter()
        .map(|audience| (Arc::clone(&name), audience))
        .collect()
}

/// Every two tenants that one request or one token could mean; of several rivals of a tenant, one is told.
pub fn rivalries(tenants: &[&TenantClaims]) -> Vec<Rivalry> {
    let mut found = requests(tenants);
    found.extend(tokens(tenants));
    found
}

/// Which hosts something is for, from one to every one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Scope<'t> {
    One(&'t str),
    Under(&'t str),
    Every,
}

impl<'t> Scope<'t> {
    fn of(host: &'t HostPattern) -> Self {
        match host {
            HostPattern::Exact(host) => Self::One(host),
            HostPattern::Wildcard(parent) => Self::Under(parent),
        }
    }

    /// Itself, and the wider ones that it is in.
    fn and_around(self) -> impl Iterator<Item = Self> {
        let under = match self {
            Self::One(host) => host.split_once('.').map(|(_, parent)| Self::Under(parent)),
            Self::Under(_) | Self::Every => None,
        };
        let every = (self != Self::Every).then_some(Self::Every);
        [Some(self), under, every].into_iter().flatten()
    }
}

/// A few of those who are at one place: enough to find a rival of anybody there without looking at all of them.
#[derive(Default)]
struct Crowd<'t> {
    /// Any two. What two that a claim tells apart must have in common, all must.
    any: Vec<usize>,
    /// Two whom no claim tells apart from others.
    plain: Vec<usize>,
    /// Two of each value of a claim.
    by_value: HashMap<&'t str, Vec<usize>>,
}

impl<'t> Crowd<'t> {
    fn add(&mut self, index: usize, value: Option<&'t str>) {
        let few = match value {
            Some(value) => self.by_value.entry(value).or_default(),
            None => &mut self.plain,
        };
        for list in [few, &mut self.any] {
            if list.len() < 2 && !list.contains(&index) {
                list.push(index);
            }
        }
    }

    fn candidates(&self, value: Option<&str>) -> impl Iterator<Item = usize> {
        let alike = value
            .and_then(|value| self.by_value.get(value))
            .into_iter()
            .flatten();
        self.any.iter().chain(&self.plain).chain(alike).copied()
    }
}

/// Where requests are claimed: by scope and whole prefix.
#[derive(Default)]
struct Claimed<'t> {
    /// Exactly there.
    at: HashMap<(Scope<'t>, &'t str), Crowd<'t>>,
    /// There or in a narrower scope.
    within: HashMap<(Scope<'t>, &'t str), Crowd<'t>>,
}

fn requests(tenants: &[&TenantClaims]) -> Vec<Rivalry> {
    let mut claimed = Claimed::default();
    for (index, tenant) in tenants.iter().enumerate() {
        let value = tenant.claimed().map(|(_, value)| value);
        for (scope, _) in tenant.scopes() {
            let place = (scope, tenant.prefix());
            claimed.at.entry(place).or_default().add(index, value);
            for around in scope.and_around() {
                let place = (around, tenant.prefix());
                claimed.within.entry(place).or_default().add(index, value);
            }
        }
    }
    let rivals = tenants.iter().enumerate().filter_map(|(index, tenant)| {
        let mut scopes = tenant.scopes().into_iter();
        scopes.find_map(|(scope, span)| claimed.rival(tenants, index, scope, span.or(tenant.span())))
    });
    rivals.collect()
}

impl Claimed<'_> {
    /// Somebody who claims requests of the tenant at `index`, there, around there or within.
    fn rival(
        &self,
        tenants: &[&TenantClaims],
        index: usize,
        scope: Scope<'_>,
        span: Option<Span>,
    ) -> Option<Rivalry> {
        let tenant = tenants.get(index)?;
        let value = tenant.claimed().map(|(_, value)| value);
        let (other, message) = prefixes(tenant.prefix()).find_map(|prefix| {
            let around = scope
                .and_around()
                .filter_map(|around| self.at.get(&(around, prefix)));
            let crowds = around.chain(self.within.get(&(scope, prefix)));
            let mut others = crowds
                .flat_map(|crowd| crowd.candidates(value))
                .filter(|other| *other != index);
            others.find_map(|other| Some((other, fault(tenant, tenants.get(other)?)?)))
        })?;
        let help = "change the `hosts`, `path_prefix` or `claim` of one of them";
        Some(Rivalry {
            tenant: index,
            other,
            problem: Problem::error(span, message).help(help),
        })
    }
}

/// A prefix, and all that are shorter by whole segments.
fn prefixes(whole: &str) -> impl Iterator<Item = &str> {
    let mut next = Some(whole);
    std::iter::from_fn(move || {
        let this = next?;
        next = this.rfind('/').and_then(|at| this.get(..at));
        Some(this)
    })
}

/// Why two tenants at one place do not go together; none where a claim tells them apart.
fn fault(tenant: &TenantClaims, other: &TenantClaims) -> Option<String> {
    let (one, two) = (&tenant.id, &other.id);
    let (Some((claim, value)), Some((other_claim, other_value))) = (tenant.claimed(), other.claimed()) else {
        return Some(format!("a request could be for `{one}` and for `{two}`"));
    };
    if tenant.prefix() != other.prefix() || claim.from != other_claim.from || !same_hosts(tenant, other) {
        let which = "the same `hosts`, `path_prefix` and `claim.from` are needed where a claim chooses";
        return Some(format!("a request could be for `{one}` and for `{two}`: {which}"));
    }
    if value == other_value {
        return Some(format!("a claim of `{value}` could mean `{one}` and `{two}`"));
    }
    // Preflights carry no token, and errors before the token is read need an answer that fits.
    let differ = tenant.cors != other.cors && !tenant.users.is_empty() && !other.users.is_empty();
    differ.then(|| format!("`{one}` and `{two}` are told apart by a claim, and have different `cors`"))
}

fn same_hosts(one: &TenantClaims, other: &TenantClaims) -> bool {
    let hosts = |claims: &TenantClaims| -> BTreeSet<HostPattern> {
        let selection = claims.selection.iter().flat_map(|selection| &selection.hosts);
        selection.map(|host| host.value.clone()).collect()
    };
    hosts(one) == hosts(other)
}

/// Who takes the tokens of one issuer.
#[derive(Default)]
struct Takers<'t> {
    by_audience: HashMap<&'t Audience, Vec<usize>>,
    /// Everybody who does not name audiences, and so might take whatever others take.
    unnamed: Vec<usize>,
    all: Vec<usize>,
}

impl<'t> Takers<'t> {
    fn of(tenants: &[&'t TenantClaims], kind: fn(&TenantClaims) -> &[Accepted]) -> HashMap<&'t str, Self> {
        let mut takers: HashMap<&str, Self> = HashMap::new();
        for (index, tenant) in tenants.iter().enumerate() {
            for (issuer, audience) in kind(tenant) {
                let takers = takers.entry(issuer).or_default();
                takers.by_audience.entry(audience).or_default().push(index);
                takers.all.push(index);
                if !matches!(audience, Audience::Named(_)) {
                    takers.unnamed.push(index);
                }
            }
        }
        takers
    }

    /// Somebody else who might take what `audience` takes. A token can name several audiences and a party at once.
    fn other(&self, index: usize, audience: &Audience) -> Option<usize> {
        let others = |list: &[usize]| list.iter().copied().find(|other| *other != index);
        let same = || self.by_audience.get(audience).and_then(|list| others(list));
        match audience {
            Audience::Named(_) => same().or_else(|| others(&self.unnamed)),
            Audience::Party(_) => same().or_else(|| self.unlike_party(index)),
            Audience::Any => others(&self.all),
        }
    }

    /// Whoever does not ask for a party: two parties are never in one token.
    fn unlike_party(&self, index: usize) -> Option<usize> {
        let unlike = self
            .by_audience
            .iter()
            .filter(|(audience, _)| !matches!(audience, Audience::Party(_)));
        unlike
            .flat_map(|(_, list)| list)
            .copied()
            .find(|other| *other != index)
    }
}

fn tokens(tenants: &[&TenantClaims]) -> Vec<Rivalry> {
    let users = Takers::of(tenants, |tenant| &tenant.users);
    let shapes = Takers::of(tenants, |tenant| &tenant.shapes);
    let mut found = Vec::new();
    for (index, tenant) in tenants.iter().enumerate() {
        let (span, id) = (tenant.span(), &tenant.id);
        let rivals = |takers: &HashMap<&str, Takers<'_>>, taken: &[Accepted]| {
            taken.iter().find_map(|(issuer, audience)| {
                let other = takers.get(&**issuer)?.other(index, audience)?;
                Some((other, Arc::clone(issuer)))
            })
        };
        let user = rivals(&users, &tenant.users).filter(|_| !tenant.has_member());
        if let Some((other, issuer)) = user
            && let Some(rival) = tenants.get(other)
        {
            let message = format!(
                "a token of `{issuer}` for `{}` is taken by `{id}` as well, which has no `member`",
                rival.id
            );
            let help = "write `member: user.org_id == tenant.id` into both, or give them different audiences";
            let problem = Problem::error(span, message).help(help);
            found.push(Rivalry {
                tenant: index,
                other,
                problem,
            });
        }
        if let Some((other, issuer)) = rivals(&shapes, &tenant.shapes)
            && let Some(rival) = tenants.get(other)
        {
            let message = format!(
                "a shape token of `{issuer}` for `{}` is taken by `{id}` as well",
                rival.id
            );
            let problem = Problem::error(span, message).help("give them different audiences");
            found.push(Rivalry {
                tenant: index,
                other,
                problem,
            });
        }
    }
    found
}
