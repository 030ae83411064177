//! What is shared with other gateways, on the page.

use super::html::Fragment;
use crate::cluster::{Cluster, Overview};
use crate::config::moment_text;

pub(super) fn shown(cluster: &Cluster) -> Fragment {
    let mut out = Fragment::default();
    let Some(overview) = cluster.overview() else {
        out.raw("<p class=\"soft\">none: limits and what operators revoke are of this process alone</p>");
        return out;
    };
    let (class, said) = if overview.is_up {
        ("good", "reached since ")
    } else {
        ("bad", "not reached since ")
    };
    out.raw("<p>")
        .escaped(&overview.place)
        .raw(" <span class=\"")
        .raw(class);
    out.raw("\">")
        .raw(said)
        .escaped(&moment_text(overview.since))
        .raw("</span></p>");
    out.raw("<p>").escaped(&revocations(&overview)).raw("</p>");
    out.raw(if overview.shares_rates {
        "<p>rates: counted together</p>"
    } else {
        "<p class=\"bad\">rates: each gateway counts for itself</p>"
    });
    out
}

fn revocations(overview: &Overview) -> String {
    let Overview {
        revocations,
        unwritten,
        ..
    } = overview;
    match unwritten {
        0 => format!("revocations: {revocations}, all of them shared"),
        _ => format!(
            "revocations: {revocations}; {unwritten} changes are not shared yet, and lost if this process ends before"
        ),
    }
}
