//! `/revocations`: what operators deny, added to, taken back and listed.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, header};
use pingora_core::protocols::http::ServerSession;
use serde_json::{Map, Value};

use super::page::Reply;
use crate::clock::Clock;
use crate::cluster::Told;
use crate::config::{moment_text, requested_revocations};
use crate::gateway::State;
use crate::revocation::{Entry, Name, Source};

/// Largest body, in bytes: about a thousand entries.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Within which a body must have arrived.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn answer(state: &State, session: &mut ServerSession) -> Reply {
    let method = session.req_header().method.clone();
    if method == Method::GET {
        return list(state);
    }
    let entries = match requested(state, session).await {
        Ok(entries) => entries,
        Err(reply) => return reply,
    };
    if method == Method::DELETE {
        take_back(state, entries).await
    } else {
        add(state, entries).await
    }
}

async fn add(state: &State, entries: Vec<Entry>) -> Reply {
    let said: Vec<String> = entries.iter().map(Entry::to_string).collect();
    let told = match state.cluster.revoke(entries).await {
        Ok(told) => told,
        Err(full) => {
            log::error!("a revocation by the admin listener was refused: {full}");
            return Reply::text(StatusCode::INSUFFICIENT_STORAGE, format!("{full}\n"));
        }
    };
    for entry in &said {
        log::info!("by the admin listener: {entry}");
    }
    done("added", said.len(), told)
}

/// What was done; with a cluster, also whether all gateways are told, and with a state file, whether it is in there.
fn done(what: &str, count: usize, told: Told) -> Reply {
    let mut members = Map::from_iter([(what.to_owned(), Value::from(count))]);
    for (name, so) in [("shared", told.shared), ("kept", told.kept)] {
        members.extend(so.map(|so| (name.to_owned(), Value::from(so))));
    }
    Reply::json(StatusCode::OK, &Value::Object(members))
}

async fn take_back(state: &State, entries: Vec<Entry>) -> Reply {
    let names: Vec<Name> = entries.into_iter().map(|entry| entry.name).collect();
    let (removed, told) = state.cluster.take_back(&names).await;
    for Name { kind, value, .. } in &names {
        log::info!(
            "by the admin listener: {} {value:?} is no longer revoked",
            kind.as_str()
        );
    }
    done("removed", removed, told)
}

fn list(state: &State) -> Reply {
    let of = |source: Source| {
        let entries = state.revocations.list(source);
        Value::Array(entries.iter().map(shown).collect())
    };
    let lists = Source::ALL.map(|source| (source.as_str().to_owned(), of(source)));
    Reply::json(StatusCode::OK, &Value::Object(Map::from_iter(lists)))
}

/// An entry in the form in which it can be asked for.
fn shown(entry: &Entry) -> Value {
    let Name {
        kind,
        value,
        tenant,
        issuer,
    } = &entry.name;
    let text = |text: &std::sync::Arc<str>| Value::from(&**text);
    let members = [
        (kind.as_str(), Some(text(value))),
        ("tenant", tenant.as_ref().map(text)),
        ("issuer", issuer.as_ref().map(text)),
        ("expires", entry.expires.map(|moment| moment_text(moment).into())),
        (
            "issued_before",
            entry.issued_before.map(|moment| moment_text(moment).into()),
        ),
        ("reason", entry.reason.as_ref().map(text)),
    ];
    let written = members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(written.collect())
}

async fn requested(state: &State, session: &mut ServerSession) -> Result<Vec<Entry>, Reply> {
    if !is_json(&session.req_header().headers) {
        let text = "send JSON: Content-Type: application/json\n";
        return Err(Reply::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let body = body(session, &*state.clock).await?;
    let wrong = |said: String| Reply::text(StatusCode::BAD_REQUEST, format!("{said}\n"));
    let entries = requested_revocations(&body, state.clock.now().wall).map_err(wrong)?;
    if entries.is_empty() {
        return Err(wrong("no revocation is named".to_owned()));
    }
    Ok(entries)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    kind.and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

async fn body(session: &mut ServerSession, clock: &dyn Clock) -> Result<Bytes, Reply> {
    let overdue = clock.sleep_until(clock.now().monotonic.plus(BODY_TIMEOUT));
    tokio::select! {
        body = read(session) => body,
        () = overdue => Err(Reply::text(StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n")),
    }
}

async fn read(session: &mut ServerSession) -> Result<Bytes, Reply> {
    let mut body = BytesMut::new();
    loop {
        let broken = |_| Reply::text(StatusCode::BAD_REQUEST, "the body broke off\n");
        let Some(piece) = session.read_request_body().await.map_err(broken)? else {
            return Ok(body.freeze());
        };
        if body.len() + piece.len() > BODY_BYTES_MAX {
            let text = format!("the body is larger than {BODY_BYTES_MAX} bytes\n");
            return Err(Reply::text(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        body.extend_from_slice(&piece);
    }
}
