//! Filling a shared answer from an upstream.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::poll;
use http::header;
use pingora_http::ResponseHeader;
use shapegate_core::answer::{Expected, Passed, judge, rejected};
use shapegate_core::code::{Code, Refusal};
use shapegate_core::limits::ERROR_BODY_BYTES_MAX;
use shapegate_core::request::Verb;
use shapegate_core::upstream::UpstreamRequest;

use super::cache::Stored;
use super::fetch::{Fetch, Fetched};
use super::head::Head;
use super::keeping::Keeping;
use super::shared::Filler;
use super::upstream::{Along, Upstream};
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
    /// How long the upstream may be silent.
    pub silence_max: Duration,
    /// Where the answer is kept, if others may have it.
    pub keeping: Option<Keeping>,
}

/// How an answer was filled.
pub enum Filled {
    /// With what came, as it came.
    AsItCame,
    /// Not yet: this is all of it.
    AtOnce(Arc<Head>, Vec<Bytes>),
    /// Not yet: what was kept is still right.
    Confirmed(Arc<Stored>),
    /// With why there is no more of it.
    Refused(Refusal),
}

impl Filled {
    /// Ends the answer for all who read it.
    pub fn end(self, filler: Filler) {
        match self {
            Self::AsItCame => filler.finish(),
            Self::AtOnce(head, body) => filler.answer(head, body),
            Self::Confirmed(stored) => filler.confirm(stored),
            Self::Refused(refusal) => filler.refuse(refusal),
        }
    }
}

impl Errand {
    /// Fetches, and fills with what comes; to be dropped when nobody reads any more.
    pub async fn run(mut self: Box<Self>, fetch: &Fetch, clock: &dyn Clock, filler: &mut Filler) -> Filled {
        self.along.if_none_match = self.keeping.as_ref().and_then(Keeping::condition);
        let span = self.upstream.span(&self.request, &self.along);
        filler.is_told_as(&span);
        let (upstream, silence_max) = (&self.upstream, self.silence_max);
        let asking = fetch.ask_within(span, upstream, &self.request, &self.along, silence_max);
        let filled = match asking.await {
            // In a box of its own: what reads a body is four times what waits for a header.
            Ok(fetched) => Box::pin(self.fill(fetch, clock, fetched, filler)).await,
            Err(refusal) => Err(refusal),
        };
        filled.unwrap_or_else(|refusal| {
            if refusal.code == Code::UpstreamUnavailable {
                self.upstream.note_trouble();
            }
            Filled::Refused(refusal)
        })
    }

    async fn fill(
        &self,
        fetch: &Fetch,
        clock: &dyn Clock,
        mut fetched: Box<Fetched>,
        filler: &mut Filler,
    ) -> Result<Filled, Refusal> {
        let passed = self.judge(&mut fetched).await?;
        let now = clock.now().monotonic;
        if let (Passed::NotModified, Some(keeping)) = (&passed, &self.keeping) {
            let confirmed = keeping.confirm(&fetched.head, now).ok_or_else(unasked)?;
            fetch.release(fetched);
            return Ok(Filled::Confirmed(confirmed));
        }
        let plan = self.keeping.as_ref().and_then(|keeping| {
            let generation = keeping.learn(&passed)?;
            filler.is_of_generation(generation);
            keeping.plan(generation, &fetched.head)
        });
        let head = Arc::new(Head::of(&fetched.head, now));
        let mut gathered = Gathered::new(&head);
        gathered.all(&mut fetched, filler).await?;
        let at_once = gathered.head.is_some();
        let body = if at_once {
            Some(gathered.pieces.clone())
        } else {
            gathered.tell(filler).await;
            filler.body()
        };
        if let (Some(keeping), Some(plan), Some(body)) = (&self.keeping, plan, body) {
            keeping.keep(Arc::clone(&head), body, plan);
        }
        fetch.release(fetched);
        Ok(if at_once {
            Filled::AtOnce(head, gathered.pieces)
        } else {
            Filled::AsItCame
        })
    }

    /// Whether the answer is one to pass on.
    async fn judge(&self, fetched: &mut Fetched) -> Result<Passed, Refusal> {
        let expected = Expected::of(&self.request, self.along.if_none_match.is_some());
        let headers = &fetched.head.headers;
        let text = |name: &'static str| headers.get(name).and_then(|value| value.to_str().ok());
        match judge(expected, fetched.head.status.as_u16(), text) {
            Ok(_) if !is_framed(self.request.verb(), &fetched.head) => Err(unframed()),
            Err(refusal) if refusal.code == Code::UpstreamRejected => {
                Err(rejected(&start_of_body(fetched).await))
            }
            judged => judged,
        }
    }
}

/// Whether a body that is cut off can be told from one that has ended.
pub fn is_framed(verb: Verb, head: &ResponseHeader) -> bool {
    verb == Verb::Head
        || matches!(head.status.as_u16(), 204 | 304)
        || head.headers.contains_key(header::CONTENT_LENGTH)
        || head.headers.contains_key(header::TRANSFER_ENCODING)
}

/// What has come and is not told yet: those who wait are woken once for all that is there at once.
struct Gathered {
    head: Option<Arc<Head>>,
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl Gathered {
    fn new(head: &Arc<Head>) -> Self {
        Self {
            head: Some(Arc::clone(head)),
            pieces: Vec::new(),
            bytes: 0,
        }
    }

    /// Gathers the whole body, and tells what is there whenever there is nothing more at the moment.
    async fn all(&mut self, fetched: &mut Fetched, filler: &mut Filler) -> Result<(), Refusal> {
        loop {
            match next(fetched, self, filler).await {
                Ok(Some(piece)) => self.add(piece, filler).await,
                Ok(None) => return Ok(()),
                Err(refusal) => {
                    self.tell_rest(filler).await;
                    return Err(refusal);
                }
            }
        }
    }

    async fn add(&mut self, piece: Bytes, filler: &mut Filler) {
        self.bytes += piece.len();
        self.pieces.push(piece);
        if self.bytes >= GATHERED_BYTES_MAX {
            self.tell(filler).await;
        }
    }

    /// Tells what came before the upstream broke off, unless nothing was told yet: an error says more then.
    async fn tell_rest(&mut self, filler: &mut Filler) {
        if self.head.is_none() {
            self.tell(filler).await;
        }
    }

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

/// The next piece; what was gathered is told before it is waited for.
async fn next(
    fetched: &mut Fetched,
    gathered: &mut Gathered,
    filler: &mut Filler,
) -> Result<Option<Bytes>, Refusal> {
    let mut next = std::pin::pin!(fetched.next());
    match poll!(&mut next) {
        Poll::Ready(piece) => piece,
        Poll::Pending => {
            gathered.tell(filler).await;
            next.await
        }
    }
}

/// As much of an error's body as is worth logging.
pub async fn start_of_body(fetched: &mut Fetched) -> Vec<u8> {
    let mut start = Vec::new();
    while let Ok(Some(piece)) = fetched.next().await {
        start.extend_from_slice(&piece);
        if start.len() >= ERROR_BODY_BYTES_MAX {
            break;
        }
    }
    start
}

fn unasked() -> Refusal {
    let text = "The upstream's answer is not one of Electric's.";
    Refusal::new(Code::UpstreamInvalid, text).with_detail("a 304 to what was no condition")
}

/// What is told of an answer that is not framed.
pub fn unframed() -> Refusal {
    let text = "The upstream's answer is not one of Electric's.";
    let detail = "a body with neither content-length nor chunks: nobody could tell that it was cut off";
    Refusal::new(Code::UpstreamInvalid, text).with_detail(detail)
}
