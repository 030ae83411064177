//! `server.encode`: what kept answers are encoded in.

use shapegate_core::coding::Coding;

use super::reading::Reading;
use super::yaml::{Kind, Node};

const HELP: &str = "write `encode: [zstd, br, gzip]`, some of these, or `off`";

/// Reads a list of codings in the order of preference, or `off`.
pub(super) fn codings(reading: &mut Reading<'_>, node: &Node) -> Option<Vec<Coding>> {
    if matches!(&node.kind, Kind::Scalar { text, .. } if text == "off") {
        return Some(Vec::new());
    }
    let list = reading.each(node, "encode", coding)?;
    if list.is_empty() {
        return reading.refuse(node.span, "`encode` is empty", HELP);
    }
    let twice = |coding: &Coding| list.iter().filter(|other| *other == coding).count() > 1;
    if let Some(coding) = list.iter().find(|coding| twice(coding)) {
        let message = format!("`{}` is written twice", coding.as_str());
        return reading.refuse(node.span, message, "remove one of them");
    }
    Some(list)
}

fn coding(reading: &mut Reading<'_>, node: &Node) -> Option<Coding> {
    let name = reading.text(node, "encode")?;
    let coding = Coding::of_name(&name.value);
    coding.or_else(|| reading.refuse(name.span, format!("`{}` is no coding", name.value), HELP))
}
