//! An identity provider that does what a test wants, well or badly.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};
use shapegate::identity::Algorithm;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::signing::{Signer, signer};
use crate::support::token::{AUDIENCE, now};

/// A key of the provider under its name.
pub struct NamedKey {
    pub kid: &'static str,
    pub signer: Signer,
}

pub fn key(kid: &'static str) -> NamedKey {
    NamedKey {
        kid,
        signer: signer(Algorithm::ES256),
    }
}

impl NamedKey {
    pub fn jwk(&self) -> Json {
        self.signer.jwk_with(&json!({ "kid": self.kid, "use": "sig" }))
    }

    /// A token of this issuer, good for ten hours, with these claims over the usual ones.
    pub fn token(&self, issuer: &str, claims: &Json) -> String {
        let mut all = json!({
            "iss": issuer, "aud": AUDIENCE, "sub": "ann", "org_id": 1, "iat": now(), "exp": now() + 36_000,
        });
        let more = claims.as_object().unwrap().clone();
        all.as_object_mut().unwrap().extend(more);
        let header = json!({ "alg": self.signer.algorithm.as_str(), "typ": "JWT", "kid": self.kid });
        self.signer.token_of(&header.to_string(), &all.to_string())
    }
}

/// What the provider answers to questions for its keys.
#[derive(Clone)]
pub enum Keys {
    /// This document.
    Document(Json),
    /// This document, once it is let go.
    Held(Arc<Notify>, Json),
    /// These bytes, whatever they are, and then nothing more while the connection is open.
    Bytes(Vec<u8>),
    /// A head, and then this piece again and again for as long as anybody reads.
    Endless(&'static str, Vec<u8>),
}

pub fn set(keys: &[&NamedKey]) -> Keys {
    Keys::Document(document(keys))
}

/// A set that comes when the gate opens.
pub fn held(gate: &Arc<Notify>, keys: &[&NamedKey]) -> Keys {
    Keys::Held(Arc::clone(gate), document(keys))
}

fn document(keys: &[&NamedKey]) -> Json {
    let keys: Vec<Json> = keys.iter().map(|key| key.jwk()).collect();
    json!({ "keys": keys })
}

struct State {
    keys: Keys,
    discovery: Option<Json>,
    asked: Vec<String>,
    connections: usize,
}

/// A running provider; ended when dropped.
#[derive(Clone)]
pub struct Provider {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    running: Arc<tokio::task::AbortHandle>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        if Arc::strong_count(&self.running) == 1 {
            self.running.abort();
        }
    }
}

impl Provider {
    pub async fn start(keys: Keys) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), keys).await
    }

    /// At an address that was free a moment ago.
    pub async fn start_at(address: SocketAddr, keys: Keys) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State {
            keys,
            discovery: None,
            asked: Vec::new(),
            connections: 0,
        };
        let state = Arc::new(Mutex::new(state));
        let serving = Arc::clone(&state);
        let issuer = format!("http://{address}");
        let running = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                serving.lock().unwrap().connections += 1;
                tokio::spawn(serve(tcp, Arc::clone(&serving), issuer.clone()));
            }
        });
        Self {
            address,
            state,
            running: Arc::new(running.abort_handle()),
        }
    }

    pub fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn publish(&self, keys: Keys) {
        self.state.lock().unwrap().keys = keys;
    }

    pub fn discover(&self, document: Json) {
        self.state.lock().unwrap().discovery = Some(document);
    }

    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.state
            .lock()
            .unwrap()
            .asked
            .iter()
            .filter(|asked| *asked == path)
            .count()
    }

    /// How often the keys were asked for.
    pub fn fetches(&self) -> usize {
        self.asked("/keys")
    }

    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }
}

async fn serve(mut tcp: TcpStream, state: Arc<Mutex<State>>, issuer: String) {
    let mut buffer = Vec::new();
    while let Some(path) = path(&mut tcp, &mut buffer).await {
        let (keys, discovery) = {
            let mut state = state.lock().unwrap();
            state.asked.push(path.clone());
            (state.keys.clone(), state.discovery.clone())
        };
        let answer = match &*path {
            "/.well-known/openid-configuration" => {
                let usual = json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") });
                Keys::Document(discovery.unwrap_or(usual))
            }
            "/keys" => keys,
            _ => Keys::Bytes(b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n".to_vec()),
        };
        if answer_with(&mut tcp, answer).await.is_err() {
            return;
        }
    }
}

async fn answer_with(tcp: &mut TcpStream, answer: Keys) -> std::io::Result<()> {
    match answer {
        Keys::Document(json) => write_document(tcp, &json).await,
        Keys::Held(gate, json) => {
            gate.notified().await;
            write_document(tcp, &json).await
        }
        Keys::Bytes(bytes) => tcp.write_all(&bytes).await,
        Keys::Endless(head, piece) => {
            tcp.write_all(head.as_bytes()).await?;
            loop {
                tcp.write_all(&piece).await?;
            }
        }
    }
}

async fn write_document(tcp: &mut TcpStream, json: &Json) -> std::io::Result<()> {
    let body = json.to_string();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    tcp.write_all((head + &body).as_bytes()).await
}

/// The path of the next request; none when the connection ends.
async fn path(tcp: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = buffer.drain(..end + 4).collect();
            let head = String::from_utf8(head).unwrap();
            return Some(head.split(' ').nth(1).unwrap().to_owned());
        }
        let mut piece = [0; 2048];
        match tcp.read(&mut piece).await {
            Ok(read @ 1..) => buffer.extend_from_slice(&piece[..read]),
            _ => return None,
        }
    }
}
