//! HTTP/2 without TLS: a stream that says it was negotiated, a client, and a writer of frames that no client sends.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use pingora_core::protocols::l4::stream::Stream as L4Stream;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use super::raw::Answer;

/// A connection that is served as if TLS had agreed on HTTP/2.
pub fn negotiated(tcp: TcpStream) -> Stream {
    Box::new(Negotiated(L4Stream::from(tcp)))
}

struct Negotiated(L4Stream);

impl fmt::Debug for Negotiated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl AsyncRead for Negotiated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Negotiated {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[async_trait]
impl Shutdown for Negotiated {
    async fn shutdown(&mut self) {
        Shutdown::shutdown(&mut self.0).await;
    }
}

impl UniqueID for Negotiated {
    fn id(&self) -> UniqueIDType {
        self.0.id()
    }
}

impl Ssl for Negotiated {
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        Some(ALPN::H2)
    }
}

impl GetTimingDigest for Negotiated {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.0.get_timing_digest()
    }
}

impl GetProxyDigest for Negotiated {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Negotiated {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.0.get_socket_digest()
    }
}

impl Peek for Negotiated {}

/// Asks once over HTTP/2 on `io`.
pub async fn ask<T>(io: T, request: http::Request<()>, body: Option<Bytes>) -> Answer
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut client, connection) = h2::client::handshake(io).await.expect("an HTTP/2 server");
    let driven = tokio::spawn(async move { drop(connection.await) });
    let (response, mut upload) = client
        .send_request(request, body.is_none())
        .expect("a lawful request");
    if let Some(body) = body {
        upload.send_data(body, true).expect("an open stream");
    }
    let (head, mut stream) = response.await.expect("an answer").into_parts();
    let headers = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    let mut answer = Answer {
        status: head.status.as_u16(),
        headers: headers.collect(),
        body: Vec::new(),
        complete: true,
    };
    while let Some(piece) = stream.data().await {
        let Ok(piece) = piece else {
            answer.complete = false;
            break;
        };
        answer.body.extend_from_slice(&piece);
    }
    driven.abort();
    answer
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// What a server does about a stream or the whole connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this status.
    Status(u16),
    /// The stream is reset with this code.
    Reset(u32),
    /// The connection ends with this code.
    GoAway(u32),
    /// The connection closed without a word.
    Closed,
}

impl Outcome {
    /// Whether the request was turned down for its form.
    pub fn is_refusal(self) -> bool {
        const PROTOCOL_ERROR: u32 = 1;
        matches!(
            self,
            Self::Status(400) | Self::Reset(PROTOCOL_ERROR) | Self::GoAway(PROTOCOL_ERROR)
        )
    }
}

/// A connection that frames are written to by hand.
pub struct Frames {
    stream: TcpStream,
}

impl Frames {
    pub async fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("a listening gateway");
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .expect("an open connection");
        let mut frames = Self { stream };
        assert!(frames.send(SETTINGS, 0, 0, &[]).await);
        frames
    }

    /// Whether the frame could be written.
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let length = u32::try_from(payload.len()).expect("a small frame").to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.stream.write_all(&frame).await.is_ok()
    }

    /// A whole request without a body.
    pub async fn request(&mut self, stream: u32, fields: &[(&str, &str)]) -> bool {
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, &block(fields))
            .await
    }

    /// What becomes of `stream`, frames of others passed over.
    pub async fn outcome(&mut self, stream: u32) -> Outcome {
        loop {
            let Some((kind, of, payload)) = self.next().await else {
                return Outcome::Closed;
            };
            match kind {
                HEADERS if of == stream => return Outcome::Status(status(&payload)),
                RST_STREAM if of == stream => return Outcome::Reset(number(&payload)),
                GOAWAY => return Outcome::GoAway(number(&payload[4..])),
                _ => {}
            }
        }
    }

    /// The next frame: kind, stream, payload.
    pub async fn next(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some((head[3], number(&head[5..]), payload))
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// A header block of literals, nothing indexed (RFC 7541 §6.2.2).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(text.len(), &mut block);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541 §5.1).
fn length(mut value: usize, block: &mut Vec<u8>) {
    let low = |value: usize| u8::try_from(value).expect("seven bits");
    if value < 127 {
        return block.push(low(value));
    }
    block.push(127);
    value -= 127;
    while value >= 128 {
        block.push(low(value % 128) | 128);
        value /= 128;
    }
    block.push(low(value));
}

/// The status of a header block, which begins with it.
fn status(block: &[u8]) -> u16 {
    match block[0] {
        indexed @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        _ if block[1] & 0x80 == 0 => {
            let digits = std::str::from_utf8(&block[2..5]).expect("digits");
            digits.parse().expect("a status")
        }
        _ => huffman_digits(&block[2..2 + usize::from(block[1] & 0x7f)]),
    }
}

/// Digits in the code of RFC 7541, appendix B: five bits for 0 to 2, six for 3 to 9.
fn huffman_digits(coded: &[u8]) -> u16 {
    let bits: Vec<u16> = coded
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1)))
        .collect();
    let value = |from: usize, count: usize| bits[from..from + count].iter().fold(0, |sum, bit| sum * 2 + bit);
    let mut at = 0;
    (0..3).fold(0, |number, _| {
        let short = value(at, 5);
        let (digit, length) = if short < 3 {
            (short, 5)
        } else {
            (value(at, 6) - 0x19 + 3, 6)
        };
        at += length;
        number * 10 + digit
    })
}
