//! What is asked, held against what was signed.

use std::collections::BTreeMap;

use super::SignedShape;
use super::read;
use crate::definition::{Columns, Log, Replica, Rows, ShapeDefinition};
use crate::permit::SubsetLimits;
use crate::request::Asked;

/// What a token's holder may choose, because no token signs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    /// The replica modes, where the claim names none.
    pub replica: Vec<Replica>,
    /// The logs.
    pub log: Vec<Log>,
    /// Whether, and how, subsets of the signed shape may be read.
    pub subset: Option<SubsetLimits>,
}

impl Default for Unsigned {
    fn default() -> Self {
        Self {
            replica: vec![Replica::Default],
            log: vec![Log::Full, Log::ChangesOnly],
            subset: None,
        }
    }
}

/// What of a request is not what was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not what the token was signed for")]
pub struct Mismatch(pub &'static str);

impl SignedShape {
    /// The definition that is asked for, if it is exactly the signed one: canonically compared, and complete. What
    /// a request leaves out it asks for as Electric does: all rows, all columns, the default replica mode.
    ///
    /// The result is made of the claim, and of the request only what is not signed.
    pub(crate) fn matched(&self, asked: &Asked, unsigned: &Unsigned) -> Result<ShapeDefinition, Mismatch> {
        let definition = &asked.definition;
        if definition.table.as_ref() != Some(&self.table) {
            return Err(Mismatch("table"));
        }
        let given: BTreeMap<u16, &str> = definition
            .params
            .iter()
            .map(|(n, value)| (*n, value.as_str()))
            .collect();
        if !self.are_our_rows(definition.where_text.as_deref(), &given) {
            return Err(Mismatch("where"));
        }
        let columns = match (&definition.columns, &self.columns) {
            (None, Columns::All) => true,
            (Some(asked), Columns::Only(ours)) => asked == ours,
            _ => false,
        };
        if !columns {
            return Err(Mismatch("columns"));
        }
        let replica = definition.replica.unwrap_or_default();
        let lawful = self
            .replica
            .map_or_else(|| unsigned.replica.contains(&replica), |signed| signed == replica);
        let log = asked.log.unwrap_or_default();
        match (lawful, unsigned.log.contains(&log)) {
            (false, _) => Err(Mismatch("replica")),
            (_, false) => Err(Mismatch("log")),
            _ => Ok(ShapeDefinition::new(
                self.table.clone(),
                self.rows.clone(),
                self.columns.clone(),
                replica,
                log,
            )),
        }
    }

    /// A literal is as good as a parameter of the same value, but values that nobody signed are none of ours.
    fn are_our_rows(&self, text: Option<&str>, params: &BTreeMap<u16, &str>) -> bool {
        if !params.is_empty() && !self.has_params() {
            return false;
        }
        match (read::rows(text, params), &self.rows) {
            (Ok(Rows::All), Rows::All) | (Ok(Rows::None), Rows::None) => true,
            (Ok(Rows::Where(asked)), Rows::Where(ours)) => asked.same_rows_as(ours),
            _ => false,
        }
    }
}
