//! Membership in a subquery, the one kind that Electric has.
//!
//! Every field of `sqlparser`'s nodes is named, so that one that a later version adds does not go unseen.

use sqlparser::ast::{
    Expr, GroupByExpr, Query, Select, SelectFlavor, SelectItem, SetExpr, TableFactor, TableWithJoins,
};

use super::{Reader, names};
use crate::clause::{ClauseError, ClauseProblem, Expression, Subquery};
use crate::identifier::{Identifier, TableName};

const FORM: &str = "a subquery other than SELECT columns FROM table WHERE …";

impl Reader {
    /// `column IN (SELECT …)`, or several columns in brackets.
    pub(super) fn in_subquery(
        &mut self,
        left: &Expr,
        query: &Query,
        negated: bool,
    ) -> Result<Expression, ClauseError> {
        if !self.subqueries {
            return Err(ClauseProblem::Subquery.into());
        }
        let columns = left_columns(left)?;
        let select = plain_select(query)?;
        let table = plain_table(&select.from)?;
        let selected = select
            .projection
            .iter()
            .map(plain_column)
            .collect::<Result<Vec<_>, _>>()?;
        if columns.len() != selected.len() {
            return Err(ClauseProblem::Unsupported("a subquery with another number of columns").into());
        }
        let filter = select
            .selection
            .as_ref()
            .map(|filter| self.expression(filter))
            .transpose()?;
        let subquery = Box::new(Subquery {
            columns: selected,
            table,
            filter,
        });
        Ok(Expression::InSubquery {
            columns,
            subquery,
            negated,
        })
    }
}

fn left_columns(left: &Expr) -> Result<Vec<Identifier>, ClauseProblem> {
    match left {
        Expr::Nested(inner) => left_columns(inner),
        Expr::Identifier(name) => Ok(vec![names::column(name)?]),
        Expr::Tuple(items) => items
            .iter()
            .map(|item| match item {
                Expr::Identifier(name) => names::column(name),
                _ => Err(ClauseProblem::Unsupported(
                    "anything but columns before IN (SELECT …)",
                )),
            })
            .collect(),
        _ => Err(ClauseProblem::Unsupported(
            "anything but columns before IN (SELECT …)",
        )),
    }
}

fn plain_column(item: &SelectItem) -> Result<Identifier, ClauseProblem> {
    match item {
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => names::column(name),
        _ => Err(ClauseProblem::Unsupported(
            "a subquery that selects anything but columns",
        )),
    }
}

fn plain_select(query: &Query) -> Result<&Select, ClauseProblem> {
    let Query {
        with: None,
        body,
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks,
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators,
    } = query
    else {
        return Err(ClauseProblem::Unsupported(FORM));
    };
    match &**body {
        SetExpr::Select(select) if locks.is_empty() && pipe_operators.is_empty() && is_plain(select) => {
            Ok(select)
        }
        _ => Err(ClauseProblem::Unsupported(FORM)),
    }
}

fn is_plain(select: &Select) -> bool {
    let Select {
        select_token: _,
        optimizer_hints,
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection: _,
        exclude: None,
        into: None,
        from: _,
        lateral_views,
        prewhere: None,
        selection: _,
        connect_by,
        group_by: GroupByExpr::Expressions(groups, modifiers),
        cluster_by,
        distribute_by,
        sort_by,
        having: None,
        named_window,
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    } = select
    else {
        return false;
    };
    optimizer_hints.is_empty()
        && lateral_views.is_empty()
        && connect_by.is_empty()
        && groups.is_empty()
        && modifiers.is_empty()
        && cluster_by.is_empty()
        && distribute_by.is_empty()
        && sort_by.is_empty()
        && named_window.is_empty()
}

fn plain_table(from: &[TableWithJoins]) -> Result<TableName, ClauseProblem> {
    let [TableWithJoins { relation, joins }] = from else {
        return Err(ClauseProblem::Unsupported(FORM));
    };
    match relation {
        TableFactor::Table {
            name,
            alias: None,
            args: None,
            with_hints,
            version: None,
            with_ordinality: false,
            partitions,
            json_path: None,
            sample: None,
            index_hints,
        } if joins.is_empty() && with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => {
            names::table(name)
        }
        _ => Err(ClauseProblem::Unsupported(FORM)),
    }
}
