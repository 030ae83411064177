//! A revocation in JSON, to the millisecond: in Redis, and in the state file.

use serde::{Deserialize, Serialize};
use shapegate_core::time::UnixMillis;
use std::sync::Arc;

use super::{Entry, Kind, Name, REASON_BYTES_MAX, VALUE_BYTES_MAX};

/// An entry in JSON. Members that a later version adds are passed over: they narrow what is denied, and without
/// them more is.
#[derive(Serialize, Deserialize)]
pub struct Written {
    kind: String,
    value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued_before: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Written {
    /// An entry as it is written.
    pub fn of(entry: &Entry) -> Self {
        let Name {
            kind,
            value,
            tenant,
            issuer,
        } = &entry.name;
        let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        let millis = |moment: Option<UnixMillis>| moment.map(|moment| moment.0);
        Self {
            kind: kind.as_str().to_owned(),
            value: value.as_ref().to_owned(),
            tenant: text(tenant),
            issuer: text(issuer),
            expires: millis(entry.expires),
            issued_before: millis(entry.issued_before),
            reason: text(&entry.reason),
        }
    }

    /// The entry; none where it is longer than one may be, or of no kind that is known.
    pub fn entry(self) -> Option<Entry> {
        let ids = [Some(&self.value), self.tenant.as_ref(), self.issuer.as_ref()];
        let fits = ids.into_iter().flatten().all(|id| id.len() <= VALUE_BYTES_MAX)
            && self
                .reason
                .as_ref()
                .is_none_or(|reason| reason.len() <= REASON_BYTES_MAX);
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == self.kind);
        Some(Entry {
            name: Name {
                kind: kind.filter(|_| fits)?,
                value: self.value.into(),
                tenant: self.tenant.map(Into::into),
                issuer: self.issuer.map(Into::into),
            },
            expires: self.expires.map(UnixMillis),
            issued_before: self.issued_before.map(UnixMillis),
            reason: self.reason.map(Into::into),
        })
    }
}
