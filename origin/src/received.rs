//! What the origin has been asked: tests say what a gateway may send, this is what it did send.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::{Serialize, Serializer};

use crate::lock::Lock;
use crate::serve::Asking;

/// A request as it came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Received {
    /// The method.
    pub method: String,
    /// Path and query, byte for byte.
    pub target: String,
    /// Headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; over HTTP it is shown as text.
    #[serde(serialize_with = "as_text")]
    pub body: Bytes,
}

impl Received {
    pub(crate) fn of(asking: &Asking) -> Self {
        let headers = asking.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.as_str().to_owned(), value.into_owned())
        });
        let target = match asking.has_query {
            true => format!("{}?{}", asking.path, asking.query),
            false => asking.path.clone(),
        };
        Self {
            method: asking.method.to_string(),
            target,
            headers: headers.collect(),
            body: asking.body.clone(),
        }
    }

    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

fn as_text<S: Serializer>(body: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(body))
}

/// The latest requests, up to a number of them.
#[derive(Debug)]
pub(crate) struct Ledger {
    kept: Lock<VecDeque<Received>>,
    max: usize,
}

impl Ledger {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            kept: Lock::default(),
            max,
        }
    }

    pub(crate) fn record(&self, received: impl FnOnce() -> Received) {
        if self.max == 0 {
            return;
        }
        let received = received();
        self.kept.with(|kept| {
            if kept.len() >= self.max {
                kept.pop_front();
            }
            kept.push_back(received);
        });
    }

    pub(crate) fn all(&self) -> Vec<Received> {
        self.kept.with(|kept| kept.iter().cloned().collect())
    }

    pub(crate) fn clear(&self) {
        self.kept.with(VecDeque::clear);
    }
}
