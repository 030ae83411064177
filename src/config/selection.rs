//! `hosts`, `path_prefix`, `claim` and `member`: for which requests a tenant is, and for whom.

use super::gatekeeper::GatekeeperSettings;
use super::host::{is_bracketed_address, is_host_name};
use super::identity::{IdentitySettings, claim_path};
use super::path::{PathPattern, Segment};
use super::reading::{Reading, Section};
use super::source::{Span, Spanned};
use super::yaml::{Entry, Kind, Node};
use crate::identity::ClaimPath;
use shapegate_core::policy::Membership;
use std::fmt;
use std::sync::Arc;

/// Most hosts of one tenant.
const HOSTS_MAX: usize = 256;
/// Most segments of `path_prefix`.
pub const PREFIX_SEGMENTS_MAX: usize = 4;

/// For which requests a tenant is, and for whom.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The hosts; none at all stands for every host.
    pub hosts: Vec<Spanned<HostPattern>>,
    /// What paths begin with: empty, or `/…` without a slash at the end.
    pub prefix: Arc<str>,
    /// What a token must claim.
    pub claim: Option<ClaimSelection>,
    /// What must hold of every user.
    pub member: Option<Spanned<Arc<str>>>,
    /// Where the tenant is written.
    pub span: Span,
}

/// A claim that names a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimSelection {
    /// Where it is in a token.
    pub from: ClaimPath,
    /// What it says; none stands for the tenant's id.
    pub value: Option<Arc<str>>,
    /// Where it is written.
    pub span: Span,
}

/// A host that requests are for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This one.
    Exact(Box<str>),
    /// Every one with one label before this.
    Wildcard(Box<str>),
}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => formatter.write_str(host),
            Self::Wildcard(parent) => write!(formatter, "*.{parent}"),
        }
    }
}

impl HostPattern {
    /// Reads a host name, an IP address (IPv6 in brackets), or `*.` and a host name.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        if let Some(parent) = text.strip_prefix("*.") {
            return is_host_name(parent).then(|| Self::Wildcard(parent.into()));
        }
        (is_host_name(&text) || is_bracketed_address(&text)).then(|| Self::Exact(text.into()))
    }
}

const SELECTION_HELP: &str =
    "write `hosts: [acme.example.com]`, `path_prefix: /acme`, or `claim: { from: org_id }`";

/// Reads the four keys.
pub(super) fn selection(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<Selection> {
    let hosts = section
        .get(reading, "hosts")
        .map(|entry| hosts(reading, &entry.value));
    let prefix = section
        .get(reading, "path_prefix")
        .map(|entry| prefix(reading, entry));
    let claim = section
        .get(reading, "claim")
        .map(|entry| claim(reading, &entry.value));
    let member = section
        .get(reading, "member")
        .map(|entry| reading.text(&entry.value, "member"));
    if !["hosts", "path_prefix", "claim"]
        .iter()
        .any(|key| section.has(key))
    {
        let message = "this tenant does not say for which requests it is";
        return reading.refuse(section.span(), message, SELECTION_HELP);
    }
    Some(Selection {
        hosts: hosts.map_or(Some(Vec::new()), |read| read)?,
        prefix: prefix.map_or(Some("".into()), |read| read)?,
        claim: claim.map_or(Some(None), |read| read.map(Some))?,
        member: member.map_or(Some(None), |read| read.map(|text| Some(text.map(Arc::from))))?,
        span: section.span(),
    })
}

fn hosts(reading: &mut Reading<'_>, node: &Node) -> Option<Vec<Spanned<HostPattern>>> {
    let hosts = match &node.kind {
        Kind::List(_) => reading.each(node, "hosts", host)?,
        _ => vec![host(reading, node)?],
    };
    for (index, host) in hosts.iter().enumerate() {
        if hosts.iter().take(index).any(|before| before.value == host.value) {
            let message = format!("`{}` is written twice", host.value);
            return reading.refuse(host.span, message, "remove one of them");
        }
    }
    if hosts.is_empty() || hosts.len() > HOSTS_MAX {
        let message = format!("`hosts` must have 1 to {HOSTS_MAX} entries");
        return reading.refuse(node.span, message, "without `hosts`, a tenant is for every host");
    }
    Some(hosts)
}

fn host(reading: &mut Reading<'_>, node: &Node) -> Option<Spanned<HostPattern>> {
    let text = reading.text(node, "hosts")?;
    match HostPattern::parse(&text.value) {
        Some(host) => Some(Spanned::new(host, text.span)),
        None => {
            let help =
                "write `acme.example.com`, or `*.example.com` for one label; no scheme, no port, no path";
            reading.refuse(text.span, format!("`{}` is no host", text.value), help)
        }
    }
}

/// A path of literal segments.
fn prefix(reading: &mut Reading<'_>, entry: &Entry) -> Option<Arc<str>> {
    let text = reading.text(&entry.value, "path_prefix")?;
    let help = "write `/acme`: segments of letters, digits, `-`, `_`, `.` and `~`, no slash at the end";
    match PathPattern::parse(&text.value) {
        Ok(path) if path.segments().len() > PREFIX_SEGMENTS_MAX => {
            let message = format!("`path_prefix` has more than {PREFIX_SEGMENTS_MAX} segments");
            reading.refuse(text.span, message, help)
        }
        Ok(path)
            if path
                .segments()
                .iter()
                .all(|one| matches!(one, Segment::Literal(_))) =>
        {
            Some(text.value.into())
        }
        Ok(_) => reading.refuse(text.span, "`path_prefix` captures nothing", help),
        Err(error) => reading.refuse(text.span, format!("the path `{}` {error}", text.value), help),
    }
}

fn claim(reading: &mut Reading<'_>, node: &Node) -> Option<ClaimSelection> {
    let mut section = Section::open(reading, node, "claim")?;
    let from = section.require(reading, "from", "name the claim: `from: org_id`");
    let from = from.and_then(|entry| claim_path(reading, &entry.value));
    let value = section
        .get(reading, "value")
        .map(|entry| reading.text(&entry.value, "value"));
    section.finish(reading);
    Some(ClaimSelection {
        from: from?,
        value: value.map_or(Some(None), |read| read.map(|text| Some(text.value.into())))?,
        span: node.span,
    })
}

/// `member`, compiled.
pub(super) fn membership(
    reading: &mut Reading<'_>,
    selection: Option<&Option<Selection>>,
    identity: &IdentitySettings,
) -> Option<Arc<Membership>> {
    let member = selection?.as_ref()?.member.as_ref()?;
    if identity.is_empty() {
        let message = "`member` is about users, and there is no `identity` to know one by";
        return reading.refuse(
            member.span,
            message,
            "write `identity: [ { jwt: … } ]`, or remove `member`",
        );
    }
    match Membership::compile(&member.value) {
        Ok(membership) => Some(Arc::new(membership)),
        Err(error) => reading.refuse(member.span, error.message, error.advice),
    }
}

/// A token that signs a shape carries no claim to choose a tenant by.
pub(super) fn gatekeeper(
    reading: &mut Reading<'_>,
    selection: Option<&Selection>,
    gatekeeper: Option<&GatekeeperSettings>,
) {
    let claim = selection.and_then(|selection| selection.claim.as_ref());
    if let (Some(claim), Some(_)) = (claim, gatekeeper) {
        let message =
            "a tenant that is chosen by a claim has no `gatekeeper`: its tokens do not carry the claim";
        let help = "choose it by `hosts` or `path_prefix`, or remove `gatekeeper`";
        reading.refuse::<()>(claim.span, message, help);
    }
}
