//! A client that sends exactly the bytes it is given and reads what comes back, keep-alive included.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long the other side may be silent before a test gives up.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// An answer as it was on the wire.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body ended as its framing says, rather than by a broken connection.
    pub complete: bool,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a UTF-8 body")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The public code of an error answer.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// One connection.
pub struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("a listening gateway"))
    }

    /// A connection that was made elsewhere.
    pub fn over(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .await
            .expect("an open connection");
    }

    /// Sends and ignores that the other side may have closed.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        drop(self.stream.write_all(bytes.as_ref()).await);
    }

    pub async fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Answer {
        self.send(bytes).await;
        self.answer().await.expect("an answer")
    }

    /// The answer to a request of this method: to a `HEAD` there is no body.
    pub async fn ask_as(&mut self, method: &str, bytes: impl AsRef<[u8]>) -> Answer {
        if method != "HEAD" {
            return self.ask(bytes).await;
        }
        self.send(bytes).await;
        self.head().await.expect("an answer")
    }

    /// Whether the other side has closed, waiting for it.
    pub async fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && !self.fill().await
    }

    async fn fill(&mut self) -> bool {
        let read = tokio::time::timeout(SILENCE_MAX, self.stream.read_buf(&mut self.buffer));
        matches!(read.await.expect("an answer or an end, not silence"), Ok(1..))
    }

    /// The next answer; `None` if the connection closes before one.
    pub async fn answer(&mut self) -> Option<Answer> {
        let head = self.head().await?;
        Some(self.body_of(head).await)
    }

    /// An answer whose header was read, with its body.
    pub async fn body_of(&mut self, mut answer: Answer) -> Answer {
        let chunked = answer
            .header("transfer-encoding")
            .is_some_and(|te| te.contains("chunked"));
        let length = answer
            .header("content-length")
            .and_then(|n| n.parse::<usize>().ok());
        answer.complete = match (answer.status, chunked, length) {
            (204 | 304, _, _) => true,
            (_, true, _) => self.chunks(&mut answer.body).await,
            (_, _, Some(length)) => self.exactly(length, &mut answer.body).await,
            _ => {
                while self.fill().await {}
                answer.body = std::mem::take(&mut self.buffer);
                true
            }
        };
        answer
    }

    /// Status and headers of the next answer; the body stays to be read.
    pub async fn head(&mut self) -> Option<Answer> {
        loop {
            let answer = self.head_even_if_informational().await?;
            if answer.status != 100 {
                return Some(answer);
            }
        }
    }

    /// Status and headers of what comes next, a "100 Continue" included.
    pub async fn head_even_if_informational(&mut self) -> Option<Answer> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return Some(parse_head(&head));
            } else if !self.fill().await {
                return None;
            }
        }
    }

    async fn exactly(&mut self, length: usize, body: &mut Vec<u8>) -> bool {
        while self.buffer.len() < length {
            if !self.fill().await {
                body.append(&mut self.buffer);
                return false;
            }
        }
        body.extend(self.buffer.drain(..length));
        true
    }

    async fn chunks(&mut self, body: &mut Vec<u8>) -> bool {
        loop {
            match self.chunk().await {
                Some(chunk) if chunk.is_empty() => return true,
                Some(chunk) => body.extend(chunk),
                None => return false,
            }
        }
    }

    /// One chunk of a chunked body; empty at its end, `None` if the connection breaks off.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line_end = loop {
            match self.buffer.windows(2).position(|w| w == b"\r\n") {
                Some(end) => break end,
                None if self.fill().await => {}
                None => return None,
            }
        };
        let size = usize::from_str_radix(std::str::from_utf8(&self.buffer[..line_end]).ok()?, 16).ok()?;
        self.buffer.drain(..line_end + 2);
        let mut chunk = Vec::new();
        if !self.exactly(size + 2, &mut chunk).await {
            return None;
        }
        chunk.truncate(size);
        Some(chunk)
    }
}

fn parse_head(head: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|s| s.parse().ok());
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    Answer {
        status: status.expect("a status line"),
        headers,
        body: Vec::new(),
        complete: false,
    }
}
