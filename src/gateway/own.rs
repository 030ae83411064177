//! Answers that nobody shares and that come as soon as they can: asked for and passed on in one go.
//!
//! This is what Pingora's proxying does, over the same connections, without its channels between two halves, and
//! with an eye on an answer's first bytes.

use bytes::Bytes;
use pingora_core::protocols::http::ServerSession;
use pingora_http::ResponseHeader;
use shapegate_core::answer::rejected;
use shapegate_core::code::{Code, Refusal};

use super::admit::{Admitted, Lapse, revocation};
use super::answer::{self, Reply};
use super::held::{Client as _, PermissionEnd, broken_off, next_piece, revocations_since, revoked};
use super::state::State;
use super::told::rejudged;
use crate::hub::Fetched;
use crate::hub::fill::{is_framed, start_of_body, unframed};

/// Asks the upstream and passes on what it answers.
///
/// # Errors
/// A fault of the client's connection, or of the upstream after the answer has begun: then the connection must
/// not look as if the answer were whole.
pub async fn serve(
    state: &State,
    session: &mut ServerSession,
    admitted: &Admitted,
    reply: &Reply<'_>,
) -> pingora_core::Result<()> {
    let silence_max = admitted.wanted(state.clock.now()).silence_max;
    let asking = state.fetch.ask(
        &admitted.upstream,
        &admitted.request,
        &admitted.along,
        silence_max,
    );
    let mut revocations = revocations_since(state, admitted);
    let asked = tokio::select! {
        biased;
        asked = asking => asked,
        refusal = revoked(&mut revocations, state, admitted) => {
            return refuse_revoked(state, session, admitted, refusal, reply).await;
        }
        error = session.left() => return Err(error),
    };
    let begun = match asked {
        Ok(fetched) => begin(fetched, admitted, reply).await,
        Err(refusal) => Err(refusal),
    };
    // What came at the same moment is not handed out.
    if let Some(refusal) = revocation(state, admitted) {
        return refuse_revoked(state, session, admitted, refusal, reply).await;
    }
    match begun {
        Ok((fetched, head)) => pass_on(state, session, fetched, head, admitted).await,
        Err(refusal) => {
            if refusal.code == Code::UpstreamUnavailable {
                admitted.upstream.note_trouble();
            }
            answer::refuse(session, &refusal, reply).await
        }
    }
}

/// Tells a client what the next request would be told, as what it came with was revoked while it waited.
async fn refuse_revoked(
    state: &State,
    session: &mut ServerSession,
    admitted: &Admitted,
    refusal: Refusal,
    reply: &Reply<'_>,
) -> pingora_core::Result<()> {
    let written = answer::refuse(session, &refusal, reply).await;
    let lapse = Lapse::Refused(Box::new(refusal));
    rejudged(state, reply.told(), admitted.credential.as_ref(), &lapse);
    written
}

/// The header that the client gets; or what it is told instead.
async fn begin(
    mut fetched: Fetched,
    admitted: &Admitted,
    reply: &Reply<'_>,
) -> Result<(Fetched, ResponseHeader), Refusal> {
    match answer::relabel(&fetched.head, admitted, reply) {
        Ok(_) if !is_framed(admitted.request.verb(), &fetched.head) => Err(unframed()),
        Ok(head) => Ok((fetched, head)),
        Err(refusal) if refusal.code == Code::UpstreamRejected => {
            Err(rejected(&start_of_body(&mut fetched).await))
        }
        Err(refusal) => Err(refusal),
    }
}

/// What has come is handed out at the client's pace; what has not when the permission ends is not waited for.
async fn pass_on(
    state: &State,
    session: &mut ServerSession,
    mut fetched: Fetched,
    head: ResponseHeader,
    admitted: &Admitted,
) -> pingora_core::Result<()> {
    let mut permission = PermissionEnd::of(state, admitted);
    let bodyless = answer::is_bodyless(session, &head);
    session.write_response_header(Box::new(head)).await?;
    loop {
        let piece = next_piece(state, session, admitted, fetched.next(), &mut permission).await?;
        let piece = piece.map_err(|refusal| broken_off(refusal.detail.as_deref().unwrap_or_default()))?;
        let Some(piece) = piece else { break };
        session.write_response_body(piece, false).await?;
    }
    if !bodyless {
        session.write_response_body(Bytes::new(), true).await?;
    }
    state.fetch.release(fetched);
    Ok(())
}
