//! What engines for permissions have in common: a check, a lookup of ids, and what both amount to.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use shapegate_core::value::Value;

use super::service::Exchange;
use super::{Denial, Found, Reply};

/// The fact that a check gives.
pub const ALLOWED: &str = "allowed";
/// The fact that a lookup gives.
pub const IDS: &str = "ids";

/// Sends a check and a lookup at once, as far as there are any, and reads what comes.
///
/// `ids` gives nothing where there are more than may be.
pub(super) async fn ask(
    check: Option<Exchange>,
    lookup: Option<Exchange>,
    allowed: impl FnOnce(&[u8]) -> Result<bool, String>,
    ids: impl FnOnce(&[u8]) -> Result<Option<Vec<Value>>, String>,
) -> Result<Reply, String> {
    let (checked, looked_up) = futures_util::try_join!(send(check), send(lookup))?;
    let mut facts = BTreeMap::new();
    let mut refuses = false;
    match checked {
        Came::Nothing => {}
        Came::Malformed => return Ok(Reply::Denied(Denial::Malformed)),
        Came::Body(body) => {
            let allowed = allowed(&body)?;
            refuses = !allowed;
            facts.insert(Arc::from(ALLOWED), Value::Bool(allowed));
        }
    }
    match looked_up {
        Came::Nothing => {}
        Came::Malformed => return Ok(Reply::Denied(Denial::Malformed)),
        Came::Body(body) => match ids(&body)? {
            Some(ids) => {
                facts.insert(Arc::from(IDS), Value::List(ids));
            }
            None => return Ok(Reply::Denied(Denial::TooLarge)),
        },
    }
    Ok(Reply::Found(Found {
        facts,
        refuses,
        ..Found::default()
    }))
}

/// What came of one exchange.
enum Came {
    /// There was none.
    Nothing,
    /// What was asked is malformed: an id that is none to the engine. That says nothing about the engine, and
    /// must not have it left alone.
    Malformed,
    Body(Bytes),
}

async fn send(exchange: Option<Exchange>) -> Result<Came, String> {
    match exchange {
        None => Ok(Came::Nothing),
        Some(exchange) => {
            let body = exchange.json_unless_malformed().await?;
            Ok(body.map_or(Came::Malformed, Came::Body))
        }
    }
}
