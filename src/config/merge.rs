//! Several files as one: later files replace by key; `electric` and `shapes` merge by name.

use super::yaml::{Entry, Kind, Node};

/// Top-level keys whose own keys are merged, not replaced as a whole.
const MERGED_BY_NAME: [&str; 2] = ["electric", "shapes"];

/// Lays one file over those before it; a file without content changes nothing.
pub(super) fn over_all(base: Option<Node>, later: Option<Node>) -> Option<Node> {
    match (base, later) {
        (Some(base), Some(later)) => Some(over(base, later, |key| MERGED_BY_NAME.contains(&key))),
        (base, later) => later.or(base),
    }
}

fn over(base: Node, later: Node, deeper: fn(&str) -> bool) -> Node {
    let (mut entries, span) = match base {
        Node {
            kind: Kind::Map(entries),
            span,
        } => (entries, span),
        // What is no map was a mistake, which is told about the later file alone.
        _ => return later,
    };
    let Kind::Map(added) = later.kind else {
        return later;
    };
    for entry in added {
        lay(&mut entries, entry, deeper);
    }
    Node {
        span,
        kind: Kind::Map(entries),
    }
}

fn lay(entries: &mut Vec<Entry>, entry: Entry, deeper: fn(&str) -> bool) {
    let Some(index) = entries.iter().position(|known| known.key == entry.key) else {
        entries.push(entry);
        return;
    };
    let Some(known) = entries.get_mut(index) else {
        return;
    };
    let by_name = deeper(&entry.key)
        && matches!(
            (&known.value.kind, &entry.value.kind),
            (Kind::Map(_), Kind::Map(_))
        );
    if by_name {
        let base = std::mem::replace(
            &mut known.value,
            Node {
                span: entry.key_span,
                kind: Kind::Null,
            },
        );
        known.value = over(base, entry.value, |_| false);
    } else {
        *known = entry;
    }
}
