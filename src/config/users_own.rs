//! Claims that users write themselves: a warning wherever one is read.

use super::presets::Preset;
use super::problem::Problem;
use super::reading::Reading;
use super::source::Span;
use super::yaml::{Kind, Node};

/// Warns of every scalar below a node that names such a claim.
pub(super) fn warn(reading: &mut Reading<'_>, presets: &[Preset], node: &Node) {
    let mut told = Vec::new();
    for (preset, claim) in presets
        .iter()
        .filter_map(|preset| Some((preset, preset.users_own_claim()?)))
    {
        if told.contains(&claim) {
            continue;
        }
        told.push(claim);
        let mut found = Vec::new();
        mentions(node, claim, &mut found);
        for span in found {
            let message = format!(
                "users of {} write `{claim}` themselves: it proves nothing",
                preset.as_str()
            );
            let help = "use `app_metadata`, or whatever only your backend can write";
            reading.problems.push(Problem::warning(span, message).help(help));
        }
    }
}

fn mentions(node: &Node, name: &str, found: &mut Vec<Span>) {
    match &node.kind {
        Kind::Scalar { text, .. } if text.contains(name) => found.push(node.span),
        Kind::Scalar { .. } | Kind::Null => {}
        Kind::List(items) => items.iter().for_each(|item| mentions(item, name, found)),
        Kind::Map(entries) => entries
            .iter()
            .for_each(|entry| mentions(&entry.value, name, found)),
    }
}
