//! What may be synced, by whom: rules compiled at load, decided per request.
//!
//! A [`ShapePolicy`] is one shape of the configuration, proven harmless when it is loaded: expressions read
//! what there is, cannot fail for want of a claim, and cost little. Deciding is pure, denies by default, and is
//! the only way to an [`Allowed`] and from there to a [`Permit`](crate::permit::Permit).
mod check;
mod compose;
mod consult;
mod decision;
mod error;
mod expression;
mod facts;
mod guard;
mod judge;
mod membership;
mod memory;
mod parameter;
mod path;
mod permitting;
mod roots;
mod rules;
mod scope;
mod signed;
mod source;

pub use consult::returned_filter;
pub use error::{Part, PolicyError};
pub use expression::Reading;
pub use facts::{Facts, Finding, HeaderValue, Headers, NoHeaders, RequestFacts};
pub use membership::{Membership, MembershipError};
pub use memory::DecisionKey;
pub use permitting::Withheld;
pub use rules::{Trial, TrialOutcome};
pub use signed::{SignedTerms, require_shape};
pub use source::{
    Access, AuthorizerSource, ClientAllowances, ClientColumns, ClientFilter, FactNames, Ignorable,
    InputSource, OtherFacts, ParamSource, RowsSource, RuleSource, ShapeSource, TablePattern, TableSpec,
};

use std::sync::Arc;

use self::check::{UserPresence, Vocabulary};
use self::consult::Consults;
use self::decision::DecisionNames;
use self::error::Fault;
use self::rules::Rules;
use crate::definition::Columns;
use crate::handle::HandleTagger;
use crate::limits;
#[cfg(doc)]
use crate::permit::Allowed;
use crate::permit::Terms;

/// One shape, ready to decide.
#[derive(Debug)]
pub struct ShapePolicy {
    name: Arc<str>,
    tenant: Arc<str>,
    table: TableSpec,
    columns: Columns,
    access: Access,
    rules: Rules,
    client: ClientAllowances,
    terms: Terms,
    consults: Consults,
    tagger: Option<HandleTagger>,
    membership: Option<Arc<Membership>>,
}

impl ShapePolicy {
    /// Compiles a shape.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, each with the part that it is about and what to write instead.
    pub fn compile(source: ShapeSource) -> Result<Self, Vec<PolicyError>> {
        let mut errors = faults(&source);
        let mut vocabulary = vocabulary(&source);
        let consults =
            Consults::compile(&source.authorizers, &vocabulary).map_err(|more| errors.extend(more));
        vocabulary.decision = DecisionNames::of(&source.authorizers);
        let rules = Rules::compile(&source.rules, &vocabulary).map_err(|more| errors.extend(more));
        let (Ok(consults), Ok(rules)) = (consults, rules) else {
            return Err(errors);
        };
        errors.extend(
            vocabulary
                .decision
                .unread(&source.authorizers, &rules.decision_read()),
        );
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            name: source.name,
            tenant: source.tenant,
            table: source.table,
            columns: source.columns,
            access: source.access,
            rules,
            terms: Terms {
                subset: source.client.subset,
                delete: source.delete,
            },
            client: source.client,
            consults,
            tagger: source.tagger,
            membership: None,
        })
    }

    /// The same shape for members alone; what is public stays public.
    #[must_use]
    pub fn for_members(mut self, membership: Option<Arc<Membership>>) -> Self {
        self.membership = membership;
        self
    }

    /// The shape's name, for logs.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Who must be known.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// Whether its answers are the same for everybody, so that shared caches may keep them.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.access == Access::Public
    }

    /// Whether clients may delete the shape.
    #[must_use]
    pub fn allows_deletion(&self) -> bool {
        self.terms.delete
    }

    /// Whether this shape gives that table, for shapes that share a path.
    #[must_use]
    pub fn gives_table(&self, table: &crate::identifier::TableName) -> bool {
        match &self.table {
            TableSpec::Fixed(ours) => ours == table,
            TableSpec::AnyOf(patterns) => patterns.iter().any(|pattern| pattern.matches(table)),
        }
    }

    /// Whether clients may ask for subsets of the shape.
    #[must_use]
    pub fn allows_subsets(&self) -> bool {
        self.terms.subset.is_some()
    }

    /// Whether somebody outside must be asked before it can be decided; see [`ShapePolicy::inputs`].
    #[must_use]
    pub fn consults(&self) -> bool {
        !self.consults.is_empty()
    }

    /// Whether its decisions may be remembered at all; see [`ShapePolicy::memory_key`].
    #[must_use]
    pub fn remembers(&self) -> bool {
        !self.consults.read_headers() && !self.rules.read_headers()
    }
}

fn vocabulary(source: &ShapeSource) -> Vocabulary {
    Vocabulary {
        user: match source.access {
            Access::Required => UserPresence::Always,
            Access::Optional => UserPresence::Maybe,
            Access::Public => UserPresence::Unread,
        },
        unguarded: false,
        certain: source.certain_claims.clone(),
        path: source.path_names.clone(),
        query: source.query_names.clone(),
        // Authorisers are asked at once: none is told what another found out.
        decision: DecisionNames::default(),
    }
}

/// What is wrong with a shape besides its rules.
fn faults(source: &ShapeSource) -> Vec<PolicyError> {
    let checks = [
        table_fault(&source.table).map(|fault| fault.at(Part::Table)),
        client_fault(source).map(|fault| fault.at(Part::Client)),
    ];
    checks.into_iter().flatten().collect()
}

fn table_fault(table: &TableSpec) -> Option<Fault> {
    let TableSpec::AnyOf(patterns) = table else {
        return None;
    };
    if patterns.is_empty() {
        return Some(Fault::new(
            "any_of has no pattern",
            "name a table, or a schema's all: public.*",
        ));
    }
    (patterns.len() > limits::TABLE_PATTERNS_MAX).then(|| {
        let message = format!("any_of has more than {} patterns", limits::TABLE_PATTERNS_MAX);
        Fault::new(message, "use schema.* or several shapes")
    })
}

fn client_fault(source: &ShapeSource) -> Option<Fault> {
    let client = &source.client;
    let open = matches!(source.table, TableSpec::AnyOf(_));
    let both = [
        (
            Ignorable::Table,
            open,
            "`table` selects among any_of and cannot be ignored",
        ),
        (
            Ignorable::Where,
            client.filter != ClientFilter::Forbidden,
            "`where` is both allowed and ignored",
        ),
        (
            Ignorable::Columns,
            client.columns != ClientColumns::Fixed,
            "`columns` are both allowed and ignored",
        ),
        (
            Ignorable::Replica,
            !client.replica.is_empty(),
            "`replica` is both allowed and ignored",
        ),
    ];
    let contradiction = both
        .into_iter()
        .find(|(name, allowed, _)| *allowed && client.ignore.contains(name));
    let no_rows = client.subset.is_some_and(|subset| subset.limit_max == Some(0));
    match contradiction {
        Some((_, _, message)) => Some(Fault::new(
            message,
            "take it out of `client.ignore`, or do not allow it",
        )),
        None if no_rows => Some(Fault::new(
            "a subset of at most 0 rows is none",
            "leave `client.subset` out",
        )),
        None => None,
    }
}
