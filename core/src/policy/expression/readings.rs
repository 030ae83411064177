//! What an expression reads and what stands there, for who asks why it came out as it did.
use cel::common::ast::{EntryExpr, Expr};
use cel::common::value::Val;
use cel::{Context, IdedExpr, Value as Cel};

use super::Expression;
use crate::policy::consult::plain;
use crate::policy::path::{Path, Step};
use crate::policy::roots;
use crate::value::Value;

/// Characters that are shown of a value.
const SHOWN_CHARS_MAX: usize = 120;

/// A place that an expression reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// As an expression writes it: `user.roles`.
    pub place: String,
    /// What stands there, as JSON and not longer than a line; none where nothing does. What a header says is not
    /// shown, as it may be a credential.
    pub found: Option<String>,
}

impl Expression {
    /// As it was written.
    pub(in crate::policy) fn text(&self) -> &str {
        &self.parsed.text
    }

    /// Every place that it reads, once.
    pub(in crate::policy) fn readings(&self, context: &Context<'_, '_>) -> Vec<Reading> {
        let mut trees = Vec::new();
        collect(&self.parsed.tree, &mut trees);
        let mut readings: Vec<Reading> = Vec::new();
        for (path, tree) in trees {
            let place = path.to_string();
            if readings.iter().all(|reading| reading.place != place) {
                let found = Cel::resolve_val(&tree, context).ok();
                let found = found.map(|value| shown(&path, value.as_ref()));
                readings.push(Reading { place, found });
            }
        }
        readings
    }
}

/// The longest paths from a root; what `has()` asks about is one.
fn collect(tree: &IdedExpr, found: &mut Vec<(Path, IdedExpr)>) {
    if let Some(path) = Path::of(tree) {
        if roots::is_root(&path.root) {
            found.push((path, tree.clone()));
        }
        return;
    }
    match &tree.expr {
        Expr::Select(select) => {
            let mut read = select.clone();
            read.test = false;
            let read = IdedExpr {
                id: tree.id,
                expr: Expr::Select(read),
            };
            match Path::of(&read) {
                Some(_) => collect(&read, found),
                None => collect(&select.operand, found),
            }
        }
        Expr::Call(call) => {
            let parts = call.target.iter().map(AsRef::as_ref).chain(&call.args);
            parts.for_each(|part| collect(part, found));
        }
        Expr::List(list) => list.elements.iter().for_each(|element| collect(element, found)),
        Expr::Map(map) => {
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    collect(&entry.key, found);
                    collect(&entry.value, found);
                }
            }
        }
        Expr::Comprehension(loops) => {
            for part in [&loops.iter_range, &loops.loop_step, &loops.result] {
                collect(part, found);
            }
        }
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) => {}
    }
}

fn shown(path: &Path, value: &dyn Val) -> String {
    let is_header = path.steps.first() == Some(&Step::Name("headers".to_owned()));
    let text = match plain(value) {
        Some(_) if path.root == roots::REQUEST && is_header => "…".to_owned(),
        Some(value) => json(&value),
        None => "…".to_owned(),
    };
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Of what has members it is told that it has.
fn json(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::String(text) => serde_json::Value::from(&**text).to_string(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(json).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(_) => "{…}".to_owned(),
    }
}
