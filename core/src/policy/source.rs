//! A shape as the configuration states it, its leaves read and its rules still text.
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::definition::{Columns, Replica};
use crate::handle::HandleTagger;
use crate::identifier::{Identifier, IdentifierError, TableName};
use crate::permit::SubsetLimits;
use crate::value::Value;

/// Everything that one shape's decisions depend on.
#[derive(Clone, Debug)]
pub struct ShapeSource {
    /// The shape's name, for logs.
    pub name: Arc<str>,
    /// The tenant's id: `tenant.id` in rules, and what binds handles.
    pub tenant: Arc<str>,
    /// Which tables.
    pub table: TableSpec,
    /// Which columns, at most.
    pub columns: Columns,
    /// Who must be known.
    pub access: Access,
    /// Tried in order; the first that holds decides.
    pub rules: Vec<RuleSource>,
    /// What a client may ask for itself.
    pub client: ClientAllowances,
    /// Whether clients may delete the shape.
    pub delete: bool,
    /// Claims that every identity has: those that every method maps with a default.
    pub certain_claims: BTreeSet<Arc<str>>,
    /// The names that the path captures.
    pub path_names: BTreeSet<Arc<str>>,
    /// The names that the route's `query` declares.
    pub query_names: BTreeSet<Arc<str>>,
    /// Who is asked before the rules, and fills `decision`.
    pub authorizers: Vec<AuthorizerSource>,
    /// Binds handles wherever a client can influence the definition; `None` leaves all handles as they are.
    pub tagger: Option<HandleTagger>,
}

/// Somebody outside who is asked before the rules, as far as rules are concerned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuthorizerSource {
    /// Its facts are `decision.<name>.…`; without a name, which only a shape's single authoriser may lack, they
    /// are `decision.…` themselves.
    pub name: Option<Arc<str>>,
    /// What it is told.
    pub inputs: Vec<InputSource>,
    /// What it finds out.
    pub facts: FactNames,
}

/// Something that an authoriser is told.
#[derive(Clone, Debug, PartialEq)]
pub enum InputSource {
    /// What a CEL expression gives. It reads what rules read, `decision` aside.
    Expression(String),
    /// A plain value.
    Value(Value),
    /// All that the path captured, by name.
    Path,
    /// All declared names that were sent.
    Query,
}

/// The names of what an authoriser finds out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FactNames {
    /// Those that are there whenever it answers.
    pub certain: BTreeSet<Arc<str>>,
    /// What is known of all others.
    pub others: OtherFacts,
    /// Those that decide nothing unless a rule reads them: loading refuses a shape in which none does.
    pub to_be_read: BTreeSet<Arc<str>>,
}

/// What is known of facts that are not listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtherFacts {
    /// There are none.
    #[default]
    None,
    /// There may be some: reading one needs `has()`.
    Possible,
    /// Every answer has the same ones, as the rows of one query have the same columns.
    Certain,
}

/// Which tables a shape gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableSpec {
    /// This one.
    Fixed(TableName),
    /// The one that the client asks for, if a pattern matches it: an open route.
    AnyOf(Vec<TablePattern>),
}

/// One table, or every table of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePattern {
    schema: Identifier,
    /// `None`: all of the schema's.
    name: Option<Identifier>,
}

impl TablePattern {
    /// Reads `items`, `public.items` or `public.*`; quoting is as for tables.
    ///
    /// # Errors
    ///
    /// When a part is no identifier. `*` stands for a whole name and never for a schema.
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        if let Some(schema) = text.strip_suffix(".*") {
            return Ok(Self {
                schema: Identifier::parse(schema)?,
                name: None,
            });
        }
        let table = TableName::parse(text)?;
        Ok(Self {
            schema: table.schema().clone(),
            name: Some(table.name().clone()),
        })
    }

    pub(super) fn matches(&self, table: &TableName) -> bool {
        self.schema == *table.schema() && self.name.as_ref().is_none_or(|name| name == table.name())
    }
}

/// Who must be known before a shape is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Whoever asks must be known.
    #[default]
    Required,
    /// `user` is `null` for whoever is not.
    Optional,
    /// Everybody gets the same; no rule may read who asks.
    Public,
}

/// A rule, still text.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleSource {
    /// A CEL expression; without one, the rule always holds.
    pub when: Option<String>,
    /// The rows that it gives.
    pub rows: RowsSource,
}

/// The rows that a rule gives.
#[derive(Clone, Debug, PartialEq)]
pub enum RowsSource {
    /// All.
    All,
    /// None: a genuine, empty shape.
    None,
    /// Those that a filter holds for.
    Where {
        /// SQL, as Electric takes it, with `$1`, `$2` for the parameters.
        text: String,
        /// What they are: as many as the filter uses.
        params: Vec<ParamSource>,
    },
}

/// Where a parameter of a filter comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamSource {
    /// A CEL expression.
    Expression(String),
    /// A plain value, `{ value: published }`.
    Value(Value),
}

/// What a client may ask for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientAllowances {
    /// Its own filter.
    pub filter: ClientFilter,
    /// Its own columns.
    pub columns: ClientColumns,
    /// The replica modes it may choose from; none stands for the default alone.
    pub replica: Vec<Replica>,
    /// Whether, and how, it may read subsets.
    pub subset: Option<SubsetLimits>,
    /// What it may send in vain, instead of being refused.
    pub ignore: BTreeSet<Ignorable>,
}

/// Whether a client may send a filter of its own (`client.where`). It is always ANDed with the rule's, reads
/// permitted columns only, and holds no subquery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientFilter {
    /// Only what equals the rule's.
    #[default]
    Forbidden,
    /// To narrow what a rule gives.
    Narrow,
    /// On an open route, where the client defines the shape.
    Any,
}

/// Whether a client may choose among the columns (`client.columns`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientColumns {
    /// Only what equals the shape's.
    #[default]
    Fixed,
    /// Fewer of them.
    Subset,
}

/// A definition parameter that a route may drop instead of refusing (`client.ignore`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ignorable {
    /// `table`
    Table,
    /// `where`, and `params[n]` with it
    Where,
    /// `columns`
    Columns,
    /// `replica`
    Replica,
}
