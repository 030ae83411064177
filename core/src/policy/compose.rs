//! What a client asks of the definition, held against what the rules give it.
//!
//! The result is always built from the server's own: a client's filter is ANDed to the rule's, its columns are
//! some of the permitted ones, and everything else must be equal or is refused.
use crate::clause::Filter;
use crate::code::{Code, Refusal};
use crate::definition::{Columns, Log, Replica, Rows, ShapeDefinition};
use crate::identifier::TableName;
use crate::request::{AskedDefinition, ParameterName};

use super::source::{ClientAllowances, ClientColumns, ClientFilter, Ignorable};

/// What the server gives, before the client is heard.
pub(super) struct Offer<'a> {
    pub(super) table: TableName,
    pub(super) rows: Rows,
    pub(super) columns: &'a Columns,
    pub(super) client: &'a ClientAllowances,
}

/// A definition, and whether it is the client's doing in part.
pub(super) struct Composed {
    pub(super) definition: ShapeDefinition,
    pub(super) influenced: bool,
}

impl Offer<'_> {
    /// The definition that the client may ask for, if what it asks for is one.
    pub(super) fn compose(self, asked: &AskedDefinition, log: Log) -> Result<Composed, Refusal> {
        let base = self.definition(self.rows.clone(), self.columns.clone(), self.replica(None), log);
        if asked.is_empty() {
            return Ok(Composed {
                definition: self.for_subsets(base),
                influenced: false,
            });
        }
        let mut rest = self.without_ignored(asked.clone());
        let columns = self.take_columns(&mut rest);
        let replica = self.replica(
            rest.replica
                .take_if(|replica| self.client.replica.contains(replica)),
        );
        let rows = self.take_rows(&mut rest, &base)?;
        let influenced = columns.is_some() || rows.is_some();
        let own_rows = rows.unwrap_or_else(|| self.rows.clone());
        let definition = self.definition(
            own_rows,
            columns.unwrap_or_else(|| self.columns.clone()),
            replica,
            log,
        );
        // A filter or columns that were taken are no longer in `rest`; all else must equal the server's own.
        match rest.differs_from(&base) {
            Some(name) => Err(not_allowed(name)),
            None => Ok(Composed {
                definition: self.for_subsets(definition),
                influenced,
            }),
        }
    }

    fn definition(&self, rows: Rows, columns: Columns, replica: Replica, log: Log) -> ShapeDefinition {
        ShapeDefinition::new(self.table.clone(), rows, columns, replica, log)
    }

    /// Where subsets are allowed, Electric adds their filters to this one's text.
    fn for_subsets(&self, definition: ShapeDefinition) -> ShapeDefinition {
        let Rows::Where(filter) = definition.rows() else {
            return definition;
        };
        if self.client.subset.is_none() {
            return definition;
        }
        let rows = Rows::Where(filter.under_and());
        ShapeDefinition::new(
            definition.table().clone(),
            rows,
            definition.columns().clone(),
            definition.replica(),
            definition.log(),
        )
    }

    fn without_ignored(&self, mut asked: AskedDefinition) -> AskedDefinition {
        for ignored in &self.client.ignore {
            match ignored {
                Ignorable::Table => asked.table = None,
                Ignorable::Columns => asked.columns = None,
                Ignorable::Replica => asked.replica = None,
                Ignorable::Where => {
                    asked.where_text = None;
                    asked.params.clear();
                }
            }
        }
        asked
    }

    /// Without a word from the client it is Electric's default, unless the shape does not offer that.
    fn replica(&self, asked: Option<Replica>) -> Replica {
        let offered = &self.client.replica;
        let unasked = if offered.contains(&Replica::Default) {
            Replica::Default
        } else {
            first(offered)
        };
        asked.unwrap_or(unasked)
    }

    fn take_columns(&self, rest: &mut AskedDefinition) -> Option<Columns> {
        if self.client.columns == ClientColumns::Fixed {
            return None;
        }
        let some_of_ours = rest.columns.take_if(|asked| match self.columns {
            Columns::All => true,
            Columns::Only(ours) => asked != ours && asked.is_subset_of(ours),
        });
        some_of_ours.map(Columns::Only)
    }

    /// The rule's rows narrowed by the client's filter, unless that is the rule's own.
    fn take_rows(&self, rest: &mut AskedDefinition, base: &ShapeDefinition) -> Result<Option<Rows>, Refusal> {
        let silent = rest.where_text.is_none() && rest.params.is_empty();
        if silent || self.client.filter == ClientFilter::Forbidden {
            return Ok(None);
        }
        let filter = AskedDefinition {
            where_text: rest.where_text.take(),
            params: std::mem::take(&mut rest.params),
            ..AskedDefinition::default()
        };
        if filter.differs_from(base).is_none() {
            return Ok(None);
        }
        let Some(filter) = filter.filter()? else {
            return Ok(None);
        };
        self.check_columns_read(&filter)?;
        narrow(&self.rows, filter).map(Some)
    }

    /// Electric confines subsets to the columns that are given, but not a shape's own filter: one that reads a
    /// hidden column tells its values, a guess at a time.
    fn check_columns_read(&self, filter: &Filter) -> Result<(), Refusal> {
        let Columns::Only(ours) = self.columns else {
            return Ok(());
        };
        match filter.clause().columns().find(|column| !ours.contains(column)) {
            None => Ok(()),
            Some(column) => Err(Refusal::new(
                Code::ParameterNotAllowed,
                format!("where reads the column {column}, which is not among those of this shape."),
            )),
        }
    }
}

fn first(offered: &[Replica]) -> Replica {
    offered.first().copied().unwrap_or_default()
}

fn narrow(ours: &Rows, filter: Filter) -> Result<Rows, Refusal> {
    match ours {
        Rows::All => Ok(Rows::Where(filter)),
        Rows::None => Ok(Rows::None),
        Rows::Where(rule) => rule.and(&filter).map(Rows::Where).map_err(|error| {
            Refusal::new(
                Code::ParameterMalformed,
                "where does not fit together with what the server filters by.",
            )
            .with_detail(error.to_string())
        }),
    }
}

fn not_allowed(name: ParameterName) -> Refusal {
    let key = match name {
        ParameterName::Table => "table: { any_of: […] }",
        ParameterName::Where | ParameterName::Params(_) => "client: { where: narrow }",
        ParameterName::Columns => "client: { columns: subset }",
        ParameterName::Replica => "client: { replica: [default, full] }",
    };
    Refusal::new(
        Code::ParameterNotAllowed,
        format!("{name} asks for something else than the server gives here. `{key}` would allow some of it."),
    )
}
