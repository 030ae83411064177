//! Filling a shared answer from an upstream.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::poll;
use http::header;
use shapegate_core::answer::{Expected, judge, rejected};
use shapegate_core::code::{Code, Refusal};
use shapegate_core::limits::ERROR_BODY_BYTES_MAX;
use shapegate_core::request::Verb;
use shapegate_core::upstream::UpstreamRequest;

use super::fetch::{Fetch, Fetched};
use super::head::Head;
use super::shared::Filler;
use super::upstream::{Along, READ_TIMEOUT, Upstream};
use crate::clock::Clock;

/// How much of a body is gathered before it is told, as long as more is there already, in bytes.
const GATHERED_BYTES_MAX: usize = 256 * 1024;

/// What is fetched.
pub struct Errand {
    /// Of whom.
    pub upstream: Arc<Upstream>,
    /// What.
    pub request: UpstreamRequest,
    /// Headers that go along. No condition of a client's is among them: the answer is for all.
    pub along: Along,
}

impl Errand {
    /// Fetches, and fills with what comes; to be dropped when nobody reads any more.
    pub async fn run(self, fetch: &Fetch, clock: &dyn Clock, mut filler: Filler) {
        let asking = fetch.ask(&self.upstream, &self.request, &self.along, READ_TIMEOUT);
        let filled = match asking.await {
            Ok(fetched) => self.fill(fetch, clock, fetched, &mut filler).await,
            Err(refusal) => Err(refusal),
        };
        match filled {
            Ok(()) => filler.finish(),
            Err(refusal) => filler.refuse(refusal),
        }
    }

    async fn fill(
        &self,
        fetch: &Fetch,
        clock: &dyn Clock,
        mut fetched: Fetched,
        filler: &mut Filler,
    ) -> Result<(), Refusal> {
        self.judge(&mut fetched).await?;
        let head = Head::of(&fetched.head, clock.now().monotonic);
        let mut pieces = Gathered {
            head: Some(Arc::new(head)),
            pieces: Vec::new(),
            bytes: 0,
        };
        loop {
            let next = {
                let mut next = std::pin::pin!(fetched.next());
                match poll!(&mut next) {
                    std::task::Poll::Ready(next) => next?,
                    std::task::Poll::Pending => {
                        pieces.tell(filler).await;
                        next.await?
                    }
                }
            };
            let Some(piece) = next else { break };
            pieces.bytes += piece.len();
            pieces.pieces.push(piece);
            if pieces.bytes >= GATHERED_BYTES_MAX {
                pieces.tell(filler).await;
            }
        }
        pieces.tell(filler).await;
        fetch.release(fetched).await;
        Ok(())
    }

    /// Whether the answer is one to pass on.
    async fn judge(&self, fetched: &mut Fetched) -> Result<(), Refusal> {
        let expected = Expected::of(&self.request, false);
        let headers = &fetched.head.headers;
        let text = |name: &'static str| headers.get(name).and_then(|value| value.to_str().ok());
        match judge(expected, fetched.head.status.as_u16(), text) {
            Ok(_) if !self.is_framed(fetched) => Err(unframed()),
            Ok(_) => Ok(()),
            Err(refusal) if refusal.code == Code::UpstreamRejected => {
                Err(rejected(&start_of_body(fetched).await))
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Whether a body that is cut off can be told from one that has ended.
    fn is_framed(&self, fetched: &Fetched) -> bool {
        let head = &fetched.head;
        self.request.verb() == Verb::Head
            || matches!(head.status.as_u16(), 204 | 304)
            || head.headers.contains_key(header::CONTENT_LENGTH)
            || head.headers.contains_key(header::TRANSFER_ENCODING)
    }
}

/// What has come and is not told yet: those who wait are woken once for all that is there at once.
struct Gathered {
    head: Option<Arc<Head>>,
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl Gathered {
    async fn tell(&mut self, filler: &mut Filler) {
        self.bytes = 0;
        let pieces = std::mem::take(&mut self.pieces);
        if let Some(head) = self.head.take() {
            return filler.begin(head, pieces).await;
        }
        for piece in pieces {
            filler.push(piece).await;
        }
    }
}

/// As much of an error's body as is worth logging.
async fn start_of_body(fetched: &mut Fetched) -> Vec<u8> {
    let mut start = Vec::new();
    while let Ok(Some(piece)) = fetched.next().await {
        start.extend_from_slice(&piece);
        if start.len() >= ERROR_BODY_BYTES_MAX {
            break;
        }
    }
    start
}

fn unframed() -> Refusal {
    let text = "The upstream's answer is not one of Electric's.";
    let detail = "a body with neither content-length nor chunks: nobody could tell that it was cut off";
    Refusal::new(Code::UpstreamInvalid, text).with_detail(detail)
}
