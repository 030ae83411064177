//! Which of the tenants that changed can be served together, and together with those that did not.

use crate::config::{Problems, Rivalry, TenantClaims, rivalries};
use std::sync::Arc;

/// A tenant that is to be served.
pub(super) struct Candidate {
    pub(super) claims: Arc<TenantClaims>,
    /// Whether this is what the files say now, and not what was served before.
    pub(super) changed: bool,
}

/// A tenant that cannot be served beside others.
pub(super) struct Refused {
    pub(super) id: Arc<str>,
    pub(super) problems: Problems,
}

/// Refuses, of any two that rival each other, those that changed; `before` says what a tenant was before, and
/// whoever was refused is that again, or nothing. What was served together before can be served together.
pub(super) fn settle(
    mut candidates: Vec<Candidate>,
    before: impl Fn(&str) -> Option<Arc<TenantClaims>>,
) -> Vec<Refused> {
    let mut refused: Vec<Refused> = Vec::new();
    loop {
        let claims: Vec<&TenantClaims> = candidates.iter().map(|one| &*one.claims).collect();
        let found = rivalries(&claims);
        let mut out = to_refuse(&candidates, found);
        if out.is_empty() {
            return refused;
        }
        out.sort_by_key(|(place, _)| *place);
        out.dedup_by_key(|(place, _)| *place);
        for (place, problems) in out.into_iter().rev() {
            let candidate = candidates.swap_remove(place);
            let id = Arc::clone(&candidate.claims.id);
            if let Some(claims) = before(&id).filter(|_| candidate.changed) {
                candidates.push(Candidate {
                    claims,
                    changed: false,
                });
            }
            refused.push(Refused { id, problems });
        }
    }
}

/// The places of those to refuse: the changed one of two, or both.
fn to_refuse(candidates: &[Candidate], found: Vec<Rivalry>) -> Vec<(usize, Problems)> {
    let changed = |place: usize| candidates.get(place).is_some_and(|one| one.changed);
    let mut out = Vec::new();
    for Rivalry {
        tenant,
        other,
        problem,
    } in found
    {
        let problems = Problems {
            list: vec![problem],
            ..Problems::default()
        };
        match (changed(tenant), changed(other)) {
            (true, _) => out.push((tenant, problems)),
            (false, true) => out.push((other, problems)),
            // Neither changed: what was there before is never told apart from what was refused in this very round.
            (false, false) => out.push((tenant, problems)),
        }
    }
    out
}
