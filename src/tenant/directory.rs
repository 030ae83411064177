//! Which tenant a request is for: by its host, then by what its path begins with, then, where tenants say so, by a
//! claim of its token. Looking it up takes as long for ten thousand tenants as for one.

use super::Tenant;
use crate::config::{Cors, HostPattern, Selection, is_label};
use crate::identity::ClaimPath;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// Tenants of a group that are asked for a path that a preflight is about. It carries no token to tell them apart.
const PREFLIGHT_TENANTS_MAX: usize = 64;

/// What a tenant's place in the directory holds.
#[derive(Clone)]
pub enum Entry {
    /// The tenant.
    Served(Arc<Tenant>),
    /// The id of one that is there and cannot be served.
    Unserved(Arc<str>),
}

/// Where every tenant's requests go. No two tenants are in one place, unless a claim tells them apart.
#[derive(Default)]
pub struct Directory {
    exact: HashMap<Box<str>, Prefixes>,
    /// By what follows the first label.
    wildcard: HashMap<Box<str>, Prefixes>,
    every: Prefixes,
    /// The places of those that are not served, which count only where nobody is.
    unserved: Option<Box<Directory>>,
}

/// Places by what a path begins with.
#[derive(Default)]
struct Prefixes {
    /// Whatever no prefix here begins.
    root: Option<Place>,
    places: HashMap<Arc<str>, Place>,
    /// The numbers of segments that prefixes here have.
    lengths: Vec<usize>,
}

/// What stands at one host and prefix.
pub enum Place {
    /// One tenant.
    One(Entry),
    /// Several, told apart by a claim.
    Group(Group),
}

/// Tenants that a claim tells apart.
pub struct Group {
    from: ClaimPath,
    by_value: HashMap<Arc<str>, Entry>,
    /// In their order; those that are served.
    served: Vec<Arc<Tenant>>,
}

impl Group {
    /// Which claim tells them apart.
    pub fn from(&self) -> &ClaimPath {
        &self.from
    }

    /// The tenant of a claim.
    pub fn get(&self, value: &str) -> Option<&Entry> {
        self.by_value.get(value)
    }

    /// Which pages of other origins may read answers: the same for all of them.
    pub fn cors(&self) -> Option<&Cors> {
        self.served.first().map(|tenant| tenant.cors())
    }

    /// A tenant that has this path, for a request that cannot say whose it is.
    pub fn any_with(&self, path: &str) -> Option<&Arc<Tenant>> {
        let few = self.served.iter().take(PREFLIGHT_TENANTS_MAX);
        few.into_iter().find(|tenant| tenant.find(path).is_some())
    }
}

impl Directory {
    /// Puts a tenant at all its places; without a selection that is everywhere.
    pub fn add(&mut self, id: &Arc<str>, selection: Option<&Selection>, entry: &Entry) {
        let is_group = selection.is_some_and(|selection| selection.claim.is_some());
        match entry {
            Entry::Unserved(_) if !is_group => {
                self.unserved.get_or_insert_default().put(id, selection, entry);
            }
            Entry::Served(_) | Entry::Unserved(_) => self.put(id, selection, entry),
        }
    }

    fn put(&mut self, id: &Arc<str>, selection: Option<&Selection>, entry: &Entry) {
        let Some(selection) = selection else {
            self.every.add(&Arc::from(""), Place::One(entry.clone()));
            return;
        };
        let place = || match &selection.claim {
            None => Place::One(entry.clone()),
            Some(claim) => Place::Group(Group {
                from: claim.from.clone(),
                by_value: HashMap::from([(Arc::clone(claim.value.as_ref().unwrap_or(id)), entry.clone())]),
                served: match entry {
                    Entry::Served(tenant) => vec![Arc::clone(tenant)],
                    Entry::Unserved(_) => Vec::new(),
                },
            }),
        };
        if selection.hosts.is_empty() {
            self.every.add(&selection.prefix, place());
        }
        for host in &selection.hosts {
            let prefixes = match &host.value {
                HostPattern::Exact(host) => self.exact.entry(host.clone()).or_default(),
                HostPattern::Wildcard(parent) => self.wildcard.entry(parent.clone()).or_default(),
            };
            prefixes.add(&selection.prefix, place());
        }
    }

    /// What stands where a request goes. `host` is as the request has it, with or without a port.
    pub fn find(&self, host: Option<&str>, path: &str) -> Option<&Place> {
        let named = host.filter(|_| self.tells_hosts());
        let found = named.and_then(|host| self.find_at(&normal(host), path));
        let found = found.or_else(|| self.every.find(path));
        found.or_else(|| self.unserved.as_ref()?.find(host, path))
    }

    fn tells_hosts(&self) -> bool {
        !(self.exact.is_empty() && self.wildcard.is_empty())
    }

    fn find_at(&self, host: &str, path: &str) -> Option<&Place> {
        let exact = self.exact.get(host).and_then(|prefixes| prefixes.find(path));
        exact.or_else(|| {
            let (_, parent) = host.split_once('.').filter(|(label, _)| is_label(label))?;
            self.wildcard.get(parent)?.find(path)
        })
    }
}

impl Prefixes {
    fn add(&mut self, prefix: &Arc<str>, place: Place) {
        let segments = prefix.matches('/').count();
        if segments == 0 {
            self.root = Some(place.beside(self.root.take()));
            return;
        }
        if !self.lengths.contains(&segments) {
            self.lengths.push(segments);
        }
        let there = self.places.remove(prefix);
        self.places.insert(Arc::clone(prefix), place.beside(there));
    }

    fn find(&self, path: &str) -> Option<&Place> {
        let mut lengths = self.lengths.iter();
        let longer = lengths.find_map(|length| self.places.get(beginning(path, *length)?));
        longer.or(self.root.as_ref())
    }
}

impl Place {
    /// What stands where there was something already: groups become one.
    fn beside(self, there: Option<Self>) -> Self {
        match (there, self) {
            (Some(Self::Group(mut group)), Self::Group(more)) => {
                for (value, entry) in more.by_value {
                    group.by_value.entry(value).or_insert(entry);
                }
                group.served.extend(more.served);
                Self::Group(group)
            }
            (Some(served @ Self::One(Entry::Served(_))), Self::Group(unserved))
                if unserved.served.is_empty() =>
            {
                served
            }
            (_, place) => place,
        }
    }
}

/// A path's first segments, if more follow.
fn beginning(path: &str, segments: usize) -> Option<&str> {
    let (end, _) = path.match_indices('/').nth(segments)?;
    path.get(..end)
}

/// A host as the directory has it: without a port, in lower case.
fn normal(host: &str) -> Cow<'_, str> {
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
        _ => host,
    };
    if bare.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(bare.to_ascii_lowercase())
    } else {
        Cow::Borrowed(bare)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_whole_segments_with_more_behind() {
        assert_eq!(beginning("/a/b/c", 1), Some("/a"));
        assert_eq!(beginning("/a/b/c", 2), Some("/a/b"));
        assert_eq!(beginning("/a/b/c", 3), None);
        assert_eq!(beginning("/a", 1), None);
        assert_eq!(beginning("//x", 1), Some("/"));
    }

    #[test]
    fn a_port_and_capitals_do_not_matter_and_everything_else_of_a_host_does() {
        for (host, same) in [
            ("Acme.Example.COM:8443", "acme.example.com"),
            ("acme.example.com", "acme.example.com"),
            ("[::1]:80", "[::1]"),
            ("acme.example.com:", "acme.example.com"),
        ] {
            assert_eq!(normal(host), same);
        }
        for host in [
            "acme.example.com.",
            "acme.example.com:x",
            " acme",
            "acme.example.com:80:80",
        ] {
            assert_ne!(normal(host), "acme.example.com", "{host}");
        }
    }
}
