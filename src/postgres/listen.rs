//! Notices from a database: `NOTIFY` on one channel.

use std::future::poll_fn;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client, Connection, Socket};

use super::error::QueryError;
use super::pool::{Postgres, within};
use crate::clock::Clock;

/// Notices that may wait to be read; more wait in the connection.
const NOTICES_MAX: usize = 1_024;
/// How often the connection is asked whether it lives.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long it may take to say so, and to be made.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What a notice said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The payload; often empty.
    pub payload: String,
}

/// A connection that listens.
pub struct Notices {
    client: Client,
    notices: mpsc::Receiver<Notice>,
    reading: tokio::task::JoinHandle<()>,
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Postgres {
    /// Listens on a channel, over a connection besides those of the pool. When this returns, the server has taken
    /// note: every notice from then on is told, or the end of the connection.
    ///
    /// # Errors
    /// Why it cannot listen. A server in recovery cannot be listened to.
    pub async fn listen(&self, channel: &str, clock: &dyn Clock) -> Result<Notices, QueryError> {
        within(ANSWER_TIMEOUT, clock, Box::pin(self.start_listening(channel))).await?
    }

    async fn start_listening(&self, channel: &str) -> Result<Notices, QueryError> {
        let connected = self.config.connect(self.tls.clone()).await;
        let (client, connection) = connected.map_err(|error| QueryError::from_server(&error))?;
        let (sender, notices) = mpsc::channel(NOTICES_MAX);
        let listening = Notices {
            client,
            notices,
            reading: tokio::spawn(read(connection, sender)),
        };
        let quoted = channel.replace('"', "\"\"");
        let listen = listening
            .client
            .batch_execute(&format!("LISTEN \"{quoted}\""))
            .await;
        listen.map_err(|error| QueryError::from_server(&error))?;
        Ok(listening)
    }
}

impl Notices {
    /// The next notice; none when the connection has ended, or no longer answers.
    pub async fn next(&mut self, clock: &dyn Clock) -> Option<Notice> {
        loop {
            let pause = clock.sleep_until(clock.now().monotonic.plus(HEARTBEAT));
            tokio::select! {
                notice = self.notices.recv() => return notice,
                () = pause => {}
            }
            let alive = within(ANSWER_TIMEOUT, clock, self.client.batch_execute("")).await;
            if !matches!(alive, Ok(Ok(()))) {
                return None;
            }
        }
    }
}

/// Hands on what comes, at the reader's pace.
async fn read<S>(mut connection: Connection<Socket, S>, sender: mpsc::Sender<Notice>)
where
    S: tokio_postgres::tls::TlsStream + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(notification) = message {
            let payload = notification.payload().to_owned();
            if sender.send(Notice { payload }).await.is_err() {
                return;
            }
        }
    }
}
