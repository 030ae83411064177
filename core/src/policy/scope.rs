//! What an expression sees while it runs: prepared values, lent and never copied.
use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use cel::common::traits::{Container, Indexer};
use cel::common::types::{self, CelBool, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, Type};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, Program};

use super::facts::{Facts, HeaderValue, Headers, RequestFacts};
use crate::identifier::{ColumnSet, Identifier, TableName};
use crate::identity::Identity;
use crate::request::{Asked, Scalar};

/// The functions and types, built once a process: building them costs more than any decision. Optional values
/// are left out; nothing here proves that they are there.
static ROOT: LazyLock<Context<'static, 'static>> = LazyLock::new(|| {
    Context::with_env(std::sync::Arc::new(
        Env::default().with_optional_support(false).with_stdlib(),
    ))
});

static NULL: CelNull = CelNull;

/// Everything that the expressions of one decision may read.
pub(super) struct Scope<'a> {
    pub(super) identity: Option<&'a Identity>,
    pub(super) request: &'a RequestFacts<'a>,
    pub(super) asked: AskedFacts<'a>,
    pub(super) facts: &'a Facts,
    pub(super) tenant: &'a str,
}

/// What the client says about the definition, as rules see it: `asked`.
pub(super) struct AskedFacts<'a> {
    /// The table that is decided about, asked for or not.
    pub(super) table: TableName,
    pub(super) asked: &'a Asked,
}

impl Scope<'_> {
    /// Runs `body` with a context in which this scope's names mean what they say.
    pub(super) fn enter<'s, T>(&'s self, body: impl FnOnce(&Context<'_, 's>) -> T) -> T {
        let root: &Context<'s, 's> = &ROOT;
        let mut context = root.new_inner_scope();
        context.set_variable_resolver(self);
        body(&context)
    }
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        match name {
            "user" => Some(
                self.identity
                    .map_or(CowVal::Borrowed(&NULL), |who| CowVal::Borrowed(who.user())),
            ),
            "request.method" => Some(CowVal::owned(CelString::from(self.request.method))),
            "request.path" => Some(CowVal::owned(scalars(self.request.path))),
            "request.query" => Some(CowVal::owned(scalars(self.request.query))),
            "request.headers" => Some(CowVal::owned(HeaderMap(self.request.headers))),
            "request" => Some(CowVal::owned(self.whole_request())),
            "asked" => Some(CowVal::owned(self.asked.as_map())),
            "decision" => Some(CowVal::Borrowed(self.facts.decision())),
            "tenant" => Some(CowVal::owned(map([("id", boxed(CelString::from(self.tenant)))]))),
            _ => None,
        }
    }
}

impl Scope<'_> {
    /// For `request["path"]`, which is another spelling of `request.path`.
    fn whole_request(&self) -> CelMap<'_> {
        map([
            ("method", boxed(CelString::from(self.request.method))),
            ("path", boxed(scalars(self.request.path))),
            ("query", boxed(scalars(self.request.query))),
            ("headers", boxed(HeaderMap(self.request.headers))),
        ])
    }
}

impl<'a> AskedFacts<'a> {
    fn as_map(&self) -> CelMap<'a> {
        let text = |text: &'static str| boxed(CelString::from(text));
        let definition = &self.asked.definition;
        let members = [
            Some(("table", boxed(CelString::from(plainly(&self.table))))),
            definition
                .columns
                .as_ref()
                .map(|columns| ("columns", names(columns))),
            definition
                .replica
                .map(|replica| ("replica", text(replica.as_str()))),
            self.asked.log.map(|log| ("log", text(log.as_str()))),
        ];
        map(members.into_iter().flatten())
    }
}

fn names(columns: &ColumnSet) -> Box<dyn Val + '_> {
    let name = |column: &'_ Identifier| boxed(CelString::from(column.as_str().to_owned()));
    boxed(CelList::from(columns.iter().map(name).collect::<Vec<_>>()))
}

/// `asked.table` as rules compare it: quoted only where it must be, so that no two tables look alike.
fn plainly(table: &TableName) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let part = |name: &Identifier| match name.as_str() {
        text if text.chars().all(plain) => text.to_owned(),
        _ => name.to_string(),
    };
    format!("{}.{}", part(table.schema()), part(table.name()))
}

fn boxed<'v>(value: impl Val + 'v) -> Box<dyn Val + 'v> {
    Box::new(value)
}

fn map<'v>(members: impl IntoIterator<Item = (&'v str, Box<dyn Val + 'v>)>) -> CelMap<'v> {
    let members = members
        .into_iter()
        .map(|(name, value)| (CelMapKey::from(name), value));
    CelMap::from(members.collect::<HashMap<_, _>>())
}

fn scalars<'v>(pairs: &'v [(std::sync::Arc<str>, Scalar)]) -> CelMap<'v> {
    let scalar = |scalar: &'v Scalar| -> Box<dyn Val + 'v> {
        match scalar {
            Scalar::Uuid(text) | Scalar::Text(text) => boxed(CelString::from(&**text)),
            Scalar::Int(number) => boxed(CelInt::from(*number)),
            Scalar::Bool(truth) => boxed(CelBool::from(*truth)),
        }
    };
    map(pairs.iter().map(|(name, value)| (&**name, scalar(value))))
}

/// The request's headers, looked up when they are read.
#[derive(Clone, Copy)]
struct HeaderMap<'a>(&'a dyn Headers);

impl HeaderMap<'_> {
    fn read(&self, name: &dyn Val) -> Result<Option<&str>, ExecutionError> {
        let Some(name) = name.downcast_ref::<CelString>() else {
            return Err(ExecutionError::function_error(
                "request.headers",
                "a header's name is a string",
            ));
        };
        match self.0.header(name.inner()) {
            HeaderValue::Absent => Ok(None),
            HeaderValue::Text(text) => Ok(Some(text)),
            HeaderValue::Unreadable => Err(ExecutionError::function_error(
                "request.headers",
                "sent twice, or not as text",
            )),
        }
    }
}

impl fmt::Debug for HeaderMap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeaderMap(…)")
    }
}

impl Val for HeaderMap<'_> {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &types::MAP_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }
}

impl Container for HeaderMap<'_> {
    fn contains(&self, name: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.read(name)?.is_some())
    }
}

impl Indexer for HeaderMap<'_> {
    fn get<'b, 'v>(&'b self, name: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let text = self
            .read(name)?
            .ok_or_else(|| ExecutionError::no_such_key("header"))?;
        Ok(CowVal::owned(CelString::from(text.to_owned())))
    }

    fn steal<'v>(self: Box<Self>, name: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Ok(self.get(name)?.into_owned())
    }
}

/// Whether `matches()` can compile this.
pub(super) fn is_pattern(pattern: &str) -> bool {
    let Ok(program) = Program::compile("''.matches(pattern)") else {
        return false;
    };
    let mut context = ROOT.new_inner_scope();
    context.add_variable_as_val("pattern", boxed(CelString::from(pattern.to_owned())));
    program.execute(&context).is_ok()
}
