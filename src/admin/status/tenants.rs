//! The tenants on the page: some at a time, with what their Electric says of itself.

use std::sync::Arc;

use futures_util::future::join_all;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::html::Fragment;
use super::time;
use crate::gateway::State;
use crate::tenant::Tenant;

/// Tenants on one page. Each one's Electric is asked how it is, once a second at most.
const TENANTS_SHOWN: usize = 25;

/// The tenants from `?from=<id>` on, or `?tenant=<id>` alone.
pub(super) async fn shown(state: &State, query: &str) -> Fragment {
    let loaded = state.loaded();
    let mut tenants: Vec<Arc<Tenant>> = loaded.snapshot.tenants().cloned().collect();
    drop(loaded);
    let all = tenants.len();
    tenants.sort_by(|one, other| one.id().cmp(other.id()));
    if let Some(only) = value(query, "tenant") {
        tenants.retain(|tenant| **tenant.id() == *only);
    } else if let Some(from) = value(query, "from") {
        tenants.retain(|tenant| **tenant.id() >= *from);
    }
    let next = tenants.get(TENANTS_SHOWN).map(|tenant| Arc::clone(tenant.id()));
    tenants.truncate(TENANTS_SHOWN);
    let rows = join_all(tenants.iter().map(|tenant| row(state, tenant))).await;
    let mut out = Fragment::default();
    let told = format!("{} of {all}", tenants.len());
    out.raw("<p class=\"soft\">")
        .escaped(&told)
        .raw("</p><div class=\"table\"><table><thead><tr>");
    for name in ["tenant", "for", "Electric", "issuers' keys"] {
        out.raw("<th>").escaped(name).raw("</th>");
    }
    out.raw("</tr></thead><tbody>");
    for row in &rows {
        out.push(row);
    }
    out.raw("</tbody></table></div>");
    if let Some(next) = next {
        let from = utf8_percent_encode(&next, NON_ALPHANUMERIC).to_string();
        out.raw("<p><a href=\"/status?from=")
            .escaped(&from)
            .raw("\">more</a></p>");
    }
    out
}

/// A value of a query, decoded.
fn value(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    percent_decode_str(value).decode_utf8().ok().map(Into::into)
}

async fn row(state: &State, tenant: &Tenant) -> Fragment {
    let upstream = tenant.upstream();
    let said = upstream
        .health()
        .said(upstream, &state.fetch, &*state.clock)
        .await;
    let host = upstream.host().to_str().unwrap_or_default();
    let (health, class) = match said {
        Some(health) => (
            health.as_str(),
            if health.status() == 200 { "good" } else { "warn" },
        ),
        None => ("does not answer", "bad"),
    };
    let mut out = Fragment::default();
    out.raw("<tr><td>").escaped(tenant.id()).raw("</td><td>");
    out.escaped(&requests(tenant)).raw("</td><td>");
    out.escaped(host).raw(" <span class=\"").raw(class).raw("\">");
    out.escaped(health).raw("</span>");
    if upstream.is_in_trouble() {
        out.raw(" <span class=\"bad\">refuses some requests</span>");
    }
    out.raw("</td><td>").push(&keys(state, tenant)).raw("</td></tr>");
    out
}

/// Which requests it is for.
fn requests(tenant: &Tenant) -> String {
    let Some(selection) = tenant.selection() else {
        return "all requests".to_owned();
    };
    let hosts: Vec<String> = selection
        .hosts
        .iter()
        .map(|host| host.value.to_string())
        .collect();
    let hosts = if hosts.is_empty() {
        "any host".to_owned()
    } else {
        hosts.join(", ")
    };
    let claim = if selection.claim.is_some() {
        ", by a claim"
    } else {
        ""
    };
    format!("{hosts}{}{claim}", selection.prefix)
}

fn keys(state: &State, tenant: &Tenant) -> Fragment {
    let mut out = Fragment::default();
    let mut none = true;
    for (issuer, age) in tenant.identity().key_ages(state.clock.now()) {
        none = false;
        out.raw("<div>").escaped(issuer).raw(" ");
        match age {
            Some(age) => out.escaped(&time(age)),
            None => out.raw("<span class=\"bad\">never fetched</span>"),
        };
        out.raw("</div>");
    }
    if none {
        out.raw("<span class=\"soft\">none to fetch</span>");
    }
    out
}
