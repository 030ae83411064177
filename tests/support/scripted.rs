//! An upstream that says exactly the bytes that a test gives it, when the test gives them.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// What the sockets of a scripted upstream buffer at most, in bytes, so that backpressure shows early.
const SEND_BUFFER_BYTES: u32 = 64 * 1024;

/// How long nothing comes from somebody who has said everything.
const SILENCE: Duration = Duration::from_millis(150);

/// The header of a good answer, live or not, with a chunked body to follow.
pub const GOOD_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\n\
    electric-handle: 1-1\r\nelectric-offset: 0_0\r\nelectric-schema: {}\r\nelectric-cursor: 7\r\n\
    electric-up-to-date: \r\ntransfer-encoding: chunked\r\n\r\n";

/// The header of a stream of events.
pub const SSE_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nelectric-handle: 1-1\r\n\
    electric-offset: 0_0\r\nelectric-cursor: 7\r\ntransfer-encoding: chunked\r\n\r\n";

/// The answer to the question for health and version.
pub const HEALTHY: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
    electric-server: ElectricSQL/1.7.12\r\ncontent-length: 19\r\n\r\n{\"status\":\"active\"}";

/// A listening upstream.
pub struct Scripted {
    listener: TcpListener,
    pub address: SocketAddr,
}

impl Scripted {
    pub fn start() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_send_buffer_size(SEND_BUFFER_BYTES).expect("a size");
        socket
            .bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .expect("a free port");
        let listener = socket.listen(128).expect("a listening socket");
        let address = listener.local_addr().expect("an address");
        Self { listener, address }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next connection, with nothing read from it.
    pub async fn accept(&self) -> Exchange {
        let (stream, _) = self.listener.accept().await.expect("a connection");
        Exchange {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Whether nobody has connected since the last connection was taken.
    pub async fn is_left_alone(&self) -> bool {
        let next = self.listener.accept();
        tokio::pin!(next);
        futures_util::poll!(&mut next).is_pending()
    }

    /// The next connection and the head of the request on it. Questions for the version are answered on the way.
    pub async fn asked(&self) -> (Exchange, String) {
        loop {
            let mut exchange = self.accept().await;
            let head = exchange.request().await.expect("a request");
            if !head.starts_with("GET /v1/health") {
                return (exchange, head);
            }
            exchange.send(HEALTHY).await;
        }
    }
}

/// One connection of the gateway.
pub struct Exchange {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Exchange {
    /// The head of the next request; `None` when the connection closes before it is whole.
    pub async fn request(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return Some(String::from_utf8(head).expect("an ASCII head"));
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece).await {
                Ok(0) | Err(_) => return None,
                Ok(n) => self.buffer.extend_from_slice(&piece[..n]),
            }
        }
    }

    /// Everything that comes until nothing has come for a moment: what follows a head, if anything does.
    pub async fn rest(&mut self) -> Vec<u8> {
        while let Ok(Ok(1..)) = tokio::time::timeout(SILENCE, self.stream.read_buf(&mut self.buffer)).await {}
        std::mem::take(&mut self.buffer)
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .await
            .expect("an open connection");
    }

    /// Sends, and says whether the other side still listens.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// A body of so many bytes, after its head.
    pub async fn body(&mut self, length: usize) -> String {
        while self.buffer.len() < length {
            let mut piece = [0; 4096];
            let n = self.stream.read(&mut piece).await.expect("an open connection");
            assert!(n > 0, "the body breaks off");
            self.buffer.extend_from_slice(&piece[..n]);
        }
        String::from_utf8(self.buffer.drain(..length).collect()).expect("a UTF-8 body")
    }

    /// One chunk of a chunked body; an empty one ends it.
    pub async fn send_chunk(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let framed = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        self.send(framed).await;
    }

    /// Waits until the gateway closes the connection.
    pub async fn closed(&mut self) {
        let mut piece = [0; 4096];
        while !matches!(self.stream.read(&mut piece).await, Ok(0) | Err(_)) {}
    }
}
