//! A service that answers as a test wants it to, and remembers what it was asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What came to the service.
#[derive(Clone, Debug)]
pub struct Question {
    pub method: String,
    pub target: String,
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Question {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// What the service does.
#[derive(Clone)]
pub enum Say {
    /// 200 with this JSON.
    Json(Value),
    /// 200 with this text as JSON, whatever it is.
    Text(String),
    /// A status with these header lines.
    Status(u16, &'static str),
    /// These bytes, and then nothing more.
    Begin(Vec<u8>),
    /// These bytes, and then it closes.
    Close(Vec<u8>),
    /// This, once the test releases it.
    Held(Value),
}

type Speaker = Arc<dyn Fn(&Question) -> Say + Send + Sync>;

struct Inner {
    speaker: Mutex<Speaker>,
    asked: Mutex<Vec<Question>>,
    release: Notify,
}

/// The service; it ends with the test.
pub struct Fake {
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

impl Fake {
    pub async fn saying(say: Say) -> Self {
        Self::answering(move |_| say.clone()).await
    }

    pub async fn answering(speaker: impl Fn(&Question) -> Say + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            speaker: Mutex::new(Arc::new(speaker)),
            asked: Mutex::default(),
            release: Notify::new(),
        });
        tokio::spawn(serve(listener, Arc::clone(&inner)));
        Self { address, inner }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn says(&self, say: Say) {
        *lock(&self.inner.speaker) = Arc::new(move |_| say.clone());
    }

    /// Everything that it was asked so far.
    pub fn asked(&self) -> Vec<Question> {
        lock(&self.inner.asked).clone()
    }

    pub fn count(&self) -> usize {
        lock(&self.inner.asked).len()
    }

    /// The only question.
    pub fn asked_one(&self) -> Question {
        let asked = self.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked[0].clone()
    }

    /// Lets all who are held have their answer.
    pub fn release(&self) {
        self.inner.release.notify_waiters();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, inner: Arc<Inner>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(stream, Arc::clone(&inner)));
    }
}

async fn converse(mut stream: TcpStream, inner: Arc<Inner>) {
    let mut buffer = Vec::new();
    while let Some(question) = read(&mut stream, &mut buffer).await {
        let speaker = Arc::clone(&*lock(&inner.speaker));
        let released = inner.release.notified();
        tokio::pin!(released);
        released.as_mut().enable();
        lock(&inner.asked).push(question.clone());
        let answer = match speaker(&question) {
            Say::Json(value) => whole(&value.to_string()),
            Say::Text(text) => whole(&text),
            Say::Status(status, headers) => {
                format!("HTTP/1.1 {status} X\r\n{headers}content-length: 0\r\n\r\n").into_bytes()
            }
            Say::Held(value) => {
                released.await;
                whole(&value.to_string())
            }
            Say::Begin(bytes) => {
                _ = stream.write_all(&bytes).await;
                // Whoever gives up closes.
                _ = stream.read(&mut [0; 1]).await;
                return;
            }
            Say::Close(bytes) => {
                _ = stream.write_all(&bytes).await;
                return;
            }
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

fn whole(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Question> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        more(stream, buffer).await?;
    };
    let head = String::from_utf8(buffer.drain(..end).collect()).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let pairs = lines.filter_map(|line| line.split_once(": "));
    let headers: HashMap<String, String> = pairs
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    while buffer.len() < length {
        more(stream, buffer).await?;
    }
    let body = String::from_utf8_lossy(&buffer.drain(..length).collect::<Vec<_>>()).into_owned();
    Some(Question {
        method,
        target,
        headers,
        body,
    })
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    match stream.read_buf(buffer).await {
        Ok(1..) => Some(()),
        _ => None,
    }
}
