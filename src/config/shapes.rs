//! `shapes`: what may be synced, and by whom.

use super::authorize::{AuthorizerSetting, KnownDatabase, Surrounding, authorize};
use super::client::{ClientPart, ClientSettings, client};
use super::path::PathPattern;
use super::reading::{Reading, Section};
use super::rules::{RuleSettings, rules};
use super::source::{Span, Spanned};
use super::yaml::{Entry, Kind, Node};
use shapegate_core::definition::Columns;
use shapegate_core::identifier::{ColumnSet, Identifier, TableName};
use shapegate_core::request::{Declared, DeclaredType};
use std::sync::Arc;

/// Most shapes of one configuration.
pub const SHAPES_MAX: usize = 10_000;
/// Most patterns of an open route's tables.
const PATTERNS_MAX: usize = 256;

/// A shape: a route, a table, and the rules that decide about it.
#[derive(Clone, Debug)]
pub struct ShapeSettings {
    /// Its name.
    pub name: Spanned<Arc<str>>,
    /// Where it is asked for.
    pub path: Spanned<PathPattern>,
    /// The query names that rules may read, with `strict`.
    pub declared: Declared,
    /// The same names with their types, in the order of the file.
    pub query: Vec<(Arc<str>, DeclaredType)>,
    /// Whether unknown query names are refused.
    pub strict: bool,
    /// Which table.
    pub table: Spanned<TableSetting>,
    /// Which columns.
    pub columns: Spanned<Columns>,
    /// Whether a known user is needed.
    pub access: Spanned<AccessSetting>,
    /// What the client may choose.
    pub client: ClientSettings,
    /// Where that is written; the shape's name when it is nowhere.
    pub client_span: Span,
    /// On an open route: whether the client may send any filter.
    pub any_where: bool,
    /// Whether `DELETE` is passed on.
    pub delete: bool,
    /// Whether identical reads share upstream requests and kept answers.
    pub hub: bool,
    /// Who is asked before the rules.
    pub authorizers: Vec<AuthorizerSetting>,
    /// Who gets which rows; one at least.
    pub rules: Vec<RuleSettings>,
    /// Where the rules are written.
    pub rules_span: Span,
}

/// Which table a shape is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableSetting {
    /// This one.
    Fixed(TableName),
    /// An open route: the client names one that a pattern takes.
    AnyOf(Vec<Spanned<String>>),
}

/// Whether a known user is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessSetting {
    /// 401 without one.
    Required,
    /// Rules may see `user` as null.
    Optional,
    /// Nobody is asked, and no rule may look.
    Public,
}

impl AccessSetting {
    /// As the configuration spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optional => "optional",
            Self::Public => "public",
        }
    }
}

/// What is said once for all shapes.
#[derive(Default)]
pub(super) struct Defaults {
    /// What clients may choose.
    pub(super) client: ClientPart,
    /// The database that is asked where none is named.
    pub(super) database: KnownDatabase,
}

/// The shapes that are right; what is wrong with the others is told.
pub(super) fn shapes(
    reading: &mut Reading<'_>,
    node: &Node,
    defaults: &Defaults,
) -> Option<Vec<ShapeSettings>> {
    let Kind::Map(entries) = &node.kind else {
        let message = format!("`shapes` must be a map of names, not {}", node.described());
        return reading.refuse(
            node.span,
            message,
            "write `shapes: { users: { table: users, … } }`",
        );
    };
    if entries.is_empty() || entries.len() > SHAPES_MAX {
        let message = format!("`shapes` must have 1 to {SHAPES_MAX} entries");
        return reading.refuse(node.span, message, "name a shape below it");
    }
    Some(
        entries
            .iter()
            .filter_map(|entry| shape(reading, entry, defaults))
            .collect(),
    )
}

fn shape(reading: &mut Reading<'_>, entry: &Entry, defaults: &Defaults) -> Option<ShapeSettings> {
    let name = shape_name(reading, entry);
    let mut section = Section::open(reading, &entry.value, &entry.key)?;
    let path = path(reading, &mut section, entry);
    let query = section
        .get(reading, "query")
        .map_or_else(|| Some(Vec::new()), |query| query_names(reading, &query.value));
    let query_span = entry.value.get("query").map_or(entry.key_span, |node| node.span);
    let strict = flag(reading, &mut section, "strict");
    let table = section
        .require(reading, "table", "write `table: users`")
        .and_then(|table| read_table(reading, &table.value));
    let any_where = open_where(reading, &mut section, table.as_ref());
    let columns = columns(reading, &mut section, table.as_ref());
    let access = access(reading, &mut section, entry.key_span);
    let client_part = section.get(reading, "client").map_or_else(
        || Some(ClientPart::default()),
        |part| client(reading, &part.value),
    );
    let delete = flag(reading, &mut section, "delete");
    let hub = hub(reading, &mut section);
    let authorizers = section.get(reading, "authorize").map_or_else(
        || Some(Vec::new()),
        |part| read_authorizers(reading, part, entry, path.as_ref(), &defaults.database),
    );
    let rules_entry = section.require(
        reading,
        "rules",
        "say who gets which rows: `rules: [ { when: …, rows: … } ]`",
    );
    let rules = rules_entry.and_then(|entry| rules(reading, &entry.value));
    let rules_span = rules_entry.map_or(entry.key_span, |rules| rules.key_span);
    section.finish(reading);
    let (query, strict, table) = (query?, strict?, table?);
    let open = matches!(table.value, TableSetting::AnyOf(_));
    let declared = declared(reading, &query, strict, query_span);
    let client_part = client_part?;
    let client_span = client_part
        .span
        .or(defaults.client.span)
        .unwrap_or(entry.key_span);
    Some(ShapeSettings {
        name: name?,
        path: path?,
        declared: declared?,
        query,
        strict,
        table,
        columns: columns?,
        access: access?,
        client: client_part.over(&defaults.client, open),
        client_span,
        any_where: any_where?,
        delete: delete?,
        hub: hub?,
        authorizers: authorizers?,
        rules: rules?,
        rules_span,
    })
}

/// Without a path that is right, nothing is known of what it captures, and that is told.
fn read_authorizers(
    reading: &mut Reading<'_>,
    part: &Entry,
    shape: &Entry,
    path: Option<&Spanned<PathPattern>>,
    database: &KnownDatabase,
) -> Option<Vec<AuthorizerSetting>> {
    let around = Surrounding {
        shape: &shape.key,
        path: &path?.value,
        database,
    };
    authorize(reading, &part.value, &around)
}

fn shape_name(reading: &mut Reading<'_>, entry: &Entry) -> Option<Spanned<Arc<str>>> {
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
    if (1..=64).contains(&entry.key.len()) && entry.key.chars().all(plain) {
        return Some(Spanned::new(entry.key.as_str().into(), entry.key_span));
    }
    let help = "use 1 to 64 letters, digits, `-` and `_`; its path may differ: `path: /…`";
    reading.refuse(
        entry.key_span,
        format!("`{}` cannot name a shape", entry.key),
        help,
    )
}

fn path(reading: &mut Reading<'_>, section: &mut Section<'_>, entry: &Entry) -> Option<Spanned<PathPattern>> {
    let text = match section.get(reading, "path") {
        Some(path) => reading.text(&path.value, "path")?,
        None => Spanned::new(format!("/api/shapes/{}", entry.key), entry.key_span),
    };
    match PathPattern::parse(&text.value) {
        Ok(pattern) => Some(Spanned::new(pattern, text.span)),
        // The shape's name was wrong, and that is told.
        Err(_) if !section.has("path") => None,
        Err(error) => {
            let help = "write a path such as `/api/projects/{project_id:uuid}/issues`";
            reading.refuse(text.span, format!("the path `{}` {error}", text.value), help)
        }
    }
}

/// False where it is not written.
fn flag(reading: &mut Reading<'_>, section: &mut Section<'_>, key: &'static str) -> Option<bool> {
    section
        .get(reading, key)
        .map_or(Some(false), |entry| reading.boolean(&entry.value, key))
}

fn hub(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<bool> {
    let Some(entry) = section.get(reading, "hub") else {
        return Some(true);
    };
    reading.choice(&entry.value, "hub", &[("on", true), ("off", false)])
}

const QUERY_KINDS: [(&str, DeclaredType); 4] = [
    ("uuid", DeclaredType::Uuid),
    ("int", DeclaredType::Int),
    ("text", DeclaredType::Text),
    ("bool", DeclaredType::Bool),
];

fn query_names(reading: &mut Reading<'_>, node: &Node) -> Option<Vec<(Arc<str>, DeclaredType)>> {
    let Kind::Map(entries) = &node.kind else {
        let message = format!(
            "`query` must be a map of names and types, not {}",
            node.described()
        );
        return reading.refuse(node.span, message, "write `query: { organizationId: uuid }`");
    };
    let read: Vec<_> = entries
        .iter()
        .map(|entry| {
            Some((
                entry.key.as_str().into(),
                reading.choice(&entry.value, &entry.key, &QUERY_KINDS)?,
            ))
        })
        .collect();
    read.into_iter().collect()
}

fn declared(
    reading: &mut Reading<'_>,
    query: &[(Arc<str>, DeclaredType)],
    strict: bool,
    span: Span,
) -> Option<Declared> {
    match Declared::new(query.iter().cloned(), strict) {
        Ok(declared) => Some(declared),
        Err(error) => reading.refuse(span, error.to_string(), "choose another name"),
    }
}

fn read_table(reading: &mut Reading<'_>, node: &Node) -> Option<Spanned<TableSetting>> {
    if matches!(node.kind, Kind::Map(_)) && node.get("env").is_none() {
        let mut section = Section::open(reading, node, "table")?;
        let any_of = section.require(reading, "any_of", "write `table: { any_of: [\"public.*\"] }`");
        section.finish(reading);
        let patterns = reading.each(&any_of?.value, "any_of", |reading, item| {
            reading.text(item, "any_of")
        })?;
        if patterns.is_empty() || patterns.len() > PATTERNS_MAX {
            let message = format!("`any_of` must have 1 to {PATTERNS_MAX} entries");
            return reading.refuse(node.span, message, "name tables, or patterns such as `public.*`");
        }
        return Some(Spanned::new(TableSetting::AnyOf(patterns), node.span));
    }
    let text = reading.text(node, "table")?;
    match TableName::parse(&text.value) {
        Ok(table) => Some(Spanned::new(TableSetting::Fixed(table), text.span)),
        Err(error) => {
            let help = "write `users`, `schema.users`, or '\"Users\"' where capitals count";
            reading.refuse(
                text.span,
                format!("`{}` is no table name: {error}", text.value),
                help,
            )
        }
    }
}

/// `where: any | none`, which only an open route has.
fn open_where(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    table: Option<&Spanned<TableSetting>>,
) -> Option<bool> {
    let entry = match section.get(reading, "where") {
        Some(entry) => entry,
        None => return Some(false),
    };
    let open = matches!(
        table,
        Some(Spanned {
            value: TableSetting::AnyOf(_),
            ..
        }) | None
    );
    if !open {
        let help = "write the filter in a rule: `rows: { where: …, params: […] }`; `client: { where: narrow }` lets clients narrow";
        return reading.refuse(
            entry.key_span,
            "`where` of a shape is for open routes (`table: { any_of: … }`)",
            help,
        );
    }
    reading.choice(&entry.value, "where", &[("any", true), ("none", false)])
}

/// `all`, or a list of names. A fixed table must say: a column added later would otherwise be synced unseen.
fn columns(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    table: Option<&Spanned<TableSetting>>,
) -> Option<Spanned<Columns>> {
    let open = matches!(
        table,
        Some(Spanned {
            value: TableSetting::AnyOf(_),
            ..
        }) | None
    );
    if !section.has("columns") && open {
        _ = section.get(reading, "columns");
        return Some(Spanned::new(Columns::All, section.span()));
    }
    let help = "list them: `columns: [id, name]`; `all` syncs every column, those that are added later too";
    let entry = section.require(reading, "columns", help)?;
    let node = &entry.value;
    let columns = match &node.kind {
        Kind::List(_) => Columns::Only(column_set(reading, node)?),
        _ => reading
            .choice(node, "columns", &[("all", ())])
            .map(|()| Columns::All)?,
    };
    Some(Spanned::new(columns, node.span))
}

fn column_set(reading: &mut Reading<'_>, node: &Node) -> Option<ColumnSet> {
    let names = reading.each(node, "columns", |reading, item| {
        let text = reading.text(item, "columns")?;
        match Identifier::parse(&text.value) {
            Ok(name) => Some(Spanned::new(name, text.span)),
            Err(error) => {
                let help = "write `name`, or '\"Name\"' where capitals count";
                reading.refuse(
                    text.span,
                    format!("`{}` is no column name: {error}", text.value),
                    help,
                )
            }
        }
    })?;
    for (index, name) in names.iter().enumerate() {
        if names.iter().take(index).any(|before| before.value == name.value) {
            return reading.refuse(
                name.span,
                format!("the column {} is listed twice", name.value),
                "remove one of them",
            );
        }
    }
    match ColumnSet::from_iter(names.into_iter().map(|name| name.value)) {
        Ok(set) => Some(set),
        Err(error) => reading.refuse(
            node.span,
            error.to_string(),
            "name at least the primary key, or write `columns: all`",
        ),
    }
}

fn access(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    shape: Span,
) -> Option<Spanned<AccessSetting>> {
    let Some(entry) = section.get(reading, "access") else {
        return Some(Spanned::new(AccessSetting::Required, shape));
    };
    let words = [
        AccessSetting::Required,
        AccessSetting::Optional,
        AccessSetting::Public,
    ]
    .map(|one| (one.as_str(), one));
    let access = reading.choice(&entry.value, "access", &words)?;
    Some(Spanned::new(access, entry.value.span))
}
