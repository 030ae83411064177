//! Sessions that a query finds in Postgres, and that end at once when the database says so.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest;
use shapegate_core::time::UnixMillis;
use shapegate_core::value::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::identity::provider::{Credential, CredentialName, DIGEST_BYTES, EndingsOf, Found, Lookup};
use crate::postgres::{Notices, Postgres, QueryError, Row};

/// How long after a failure it is tried to listen again.
const LISTEN_RETRY: Duration = Duration::from_secs(1);

/// What of a credential the query gets as `$1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialHash {
    /// Its SHA-256 in hexadecimal digits, lower case.
    Sha256,
    /// The credential itself.
    None,
}

/// A query for sessions.
#[derive(Debug)]
pub struct SessionTableSettings {
    /// One parameter, and columns that are claims. `sub` is the subject, `exp` the end of the session: seconds
    /// since 1970, or a timestamp.
    pub query: String,
    /// What its parameter is.
    pub hash: CredentialHash,
    /// The channel on which the database tells of sessions that end: the parameter's text, or nothing for all.
    pub notify: Option<String>,
}

/// Sessions in a table.
pub struct SessionTable {
    postgres: Arc<Postgres>,
    settings: SessionTableSettings,
    endings: Mutex<Option<EndingsOf>>,
    listening: Mutex<Option<Listening>>,
}

/// A task that listens; ended with the method that it serves.
struct Listening {
    task: JoinHandle<()>,
    state: watch::Receiver<Hearing>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hearing {
    Starting,
    Known,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SessionTable {
    /// Sessions of this database.
    #[must_use]
    pub fn new(postgres: Arc<Postgres>, settings: SessionTableSettings) -> Self {
        Self {
            postgres,
            settings,
            endings: Mutex::default(),
            listening: Mutex::default(),
        }
    }

    fn parameter(&self, credential: &[u8]) -> Result<Value, String> {
        match self.settings.hash {
            CredentialHash::Sha256 => Ok(Value::String(hex(&sha256(credential)).into())),
            CredentialHash::None => {
                let text = str::from_utf8(credential).map_err(|_| "the credential is no text".to_owned())?;
                Ok(Value::from(text))
            }
        }
    }

    /// The task that listens, started by the first question: only then there is a runtime.
    fn listening(&self, channel: &str, clock: &Arc<dyn Clock>) -> Option<watch::Receiver<Hearing>> {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        if listening.is_none() {
            let endings = self
                .endings
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()?;
            let (sender, state) = watch::channel(Hearing::Starting);
            let listener = Listener {
                postgres: Arc::clone(&self.postgres),
                channel: channel.to_owned(),
                hash: self.settings.hash,
                endings,
                state: sender,
            };
            let task = tokio::spawn(listener.run(Arc::clone(clock)));
            *listening = Some(Listening { task, state });
        }
        listening.as_ref().map(|listening| listening.state.clone())
    }
}

#[async_trait]
impl Lookup for SessionTable {
    async fn look_up(
        &self,
        credential: &Credential,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Found>, String> {
        let parameter = self.parameter(credential.reveal())?;
        let rows = self
            .postgres
            .rows(&self.settings.query, &[parameter], 1, &**clock)
            .await;
        let row = match rows {
            Ok(rows) => rows.into_iter().next(),
            // A text that is no `uuid` is in no row either.
            Err(QueryError::Parameter(_)) => None,
            Err(error) => return Err(error.to_string()),
        };
        row.map(found).transpose()
    }

    fn tells_endings(&self) -> bool {
        self.settings.notify.is_some()
    }

    fn tell_endings_to(&self, endings: EndingsOf) {
        *self.endings.lock().unwrap_or_else(PoisonError::into_inner) = Some(endings);
    }

    async fn prepare(&self, clock: &Arc<dyn Clock>) {
        let Some(channel) = &self.settings.notify else {
            return;
        };
        if let Some(mut state) = self.listening(channel, clock) {
            // Without its task nobody is heard, which is known as well.
            drop(state.wait_for(|state| *state == Hearing::Known).await);
        }
    }

    fn digest(&self, credential: &[u8]) -> Option<[u8; DIGEST_BYTES]> {
        (self.settings.hash == CredentialHash::Sha256).then(|| sha256(credential))
    }
}

/// What a row says. A `null` column is one that says nothing.
fn found(row: Row) -> Result<Found, String> {
    let mut claims: Row = row
        .into_iter()
        .filter(|(_, value)| *value != Value::Null)
        .collect();
    let ends = match claims.get("exp") {
        None => None,
        Some(Value::Int(seconds)) => Some(UnixMillis::from_seconds(*seconds)),
        Some(Value::String(text)) => Some(moment(text).ok_or("the column `exp` is no moment")?),
        Some(_) => return Err("the column `exp` is no moment".to_owned()),
    };
    // Numbers are subjects as their digits.
    if let Some(Value::Int(number)) = claims.get("sub") {
        let digits = Value::String(number.to_string().into());
        claims.insert("sub".into(), digits);
    }
    Ok(Found { claims, ends })
}

/// A moment in UTC as [`crate::postgres`] writes it; one without a zone is none.
fn moment(text: &str) -> Option<UnixMillis> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let number = |text: &str| text.parse::<i64>().ok();
    let mut date = date.split('-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut clock = clock.split(':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let millis = number(format!("{fraction:0<3}").get(..3)?)?;
    let days = days_from_civil(year, month, day)?;
    let seconds = days
        .checked_mul(86_400)?
        .checked_add(hour * 3_600 + minute * 60 + second)?;
    Some(UnixMillis(seconds.checked_mul(1_000)?.checked_add(millis)?))
}

/// Days since 1970-01-01, in years that begin in March, so that the leap day is the last.
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

fn sha256(bytes: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut out = [0; DIGEST_BYTES];
    let digest = digest::digest(&digest::SHA256, bytes);
    out.iter_mut()
        .zip(digest.as_ref())
        .for_each(|(to, from)| *to = *from);
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; DIGEST_BYTES]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * DIGEST_BYTES {
        return None;
    }
    let mut out = [0; DIGEST_BYTES];
    for (to, pair) in out.iter_mut().zip(digits.chunks(2)) {
        let pair = str::from_utf8(pair)
            .ok()
            .filter(|pair| pair.chars().all(|c| c.is_ascii_hexdigit()))?;
        *to = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(out)
}

/// Who listens for endings.
struct Listener {
    postgres: Arc<Postgres>,
    channel: String,
    hash: CredentialHash,
    endings: EndingsOf,
    state: watch::Sender<Hearing>,
}

impl Listener {
    async fn run(self, clock: Arc<dyn Clock>) {
        let mut told = false;
        loop {
            match self.postgres.listen(&self.channel, &*clock).await {
                Ok(notices) => {
                    told = false;
                    self.hear(notices, &*clock).await;
                    log::warn!(
                        "{}: the connection that listens on `{}` is lost",
                        self.postgres,
                        self.channel
                    );
                }
                Err(error) if !told => {
                    told = true;
                    log::warn!("{}: nobody listens on `{}`: {error}", self.postgres, self.channel);
                }
                Err(_) => {}
            }
            self.state.send_replace(Hearing::Known);
            clock.sleep_until(clock.now().monotonic.plus(LISTEN_RETRY)).await;
        }
    }

    /// Hands on what is told, until the connection is lost.
    async fn hear(&self, mut notices: Notices, clock: &dyn Clock) {
        self.endings.heard();
        self.state.send_replace(Hearing::Known);
        while let Some(notice) = notices.next(clock).await {
            self.end(&notice.payload);
        }
        self.endings.unheard();
    }

    /// A payload that names nothing may be a fault of whoever sent it, and then all is asked for anew.
    fn end(&self, payload: &str) {
        let name = match self.hash {
            _ if payload.is_empty() => None,
            CredentialHash::None => Some(CredentialName::Itself(payload.as_bytes())),
            CredentialHash::Sha256 => unhex(payload).map(CredentialName::Digest),
        };
        match name {
            Some(name) => self.endings.ended(name),
            None => self.endings.all_ended(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn moments_are_read_as_they_are_written() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01T00:00:00.5Z", Some(500)),
            ("1969-12-31T23:59:59.999999Z", Some(-1)),
            ("2024-02-29T12:00:00Z", Some(1_709_208_000_000)),
            ("2026-11-23T07:05:00.25Z", Some(1_795_417_500_250)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799_000)),
            ("2024-02-29T12:00:00", None),
            ("2024-02-29", None),
            ("soon", None),
        ] {
            assert_eq!(moment(text), millis.map(UnixMillis), "{text}");
        }
    }

    #[test]
    fn a_hash_is_read_from_its_digits_alone() {
        let hash = sha256(b"token");
        assert_eq!(unhex(&hex(&hash)), Some(hash));
        assert_eq!(unhex(&hex(&hash).to_uppercase()), Some(hash));
        for odd in ["", "00", &"0".repeat(63), &"g".repeat(64), &"+0".repeat(32)] {
            assert_eq!(unhex(odd), None, "{odd}");
        }
    }
}
