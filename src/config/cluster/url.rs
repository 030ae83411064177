//! `redis://`, `rediss://` and `unix://` URLs, taken apart.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::super::host::{is_bracketed_address, is_host_name, split_port};
use super::super::scalar::decimal;

/// The port of Redis.
const PORT: u16 = 6379;
/// The highest number of a database that is taken; Redis has 16 unless told otherwise.
const DATABASE_MAX: u64 = 65_535;

/// Where a Redis is, and as whom it is asked. It shows neither user nor password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// Where it listens.
    pub place: RedisPlace,
    /// The user; none: the default one.
    pub user: Option<String>,
    /// Their password.
    pub password: Option<String>,
    /// The number of the database.
    pub database: u16,
}

/// Where a Redis listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisPlace {
    /// On a port.
    Tcp {
        /// A host name, an IPv4 address, or an IPv6 address without brackets.
        host: String,
        /// The port, written or 6379.
        port: u16,
        /// Whether by TLS.
        tls: bool,
    },
    /// On a Unix socket.
    Unix(PathBuf),
}

/// Why a URL is refused. None of it holds the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisUrlError {
    /// Another scheme, or none.
    #[error("it begins with none of `redis://`, `rediss://` and `unix://`")]
    Scheme,
    /// No host, or a wrong one.
    #[error("it has no host name")]
    Host,
    /// A port that is none.
    #[error("it has a wrong port")]
    Port,
    /// What follows the host is no number of a database.
    #[error("what follows the host is no database number")]
    Database,
    /// A user or password with escapes that are none.
    #[error("its user or password is not percent-encoded UTF-8")]
    Encoding,
    /// A query or fragment.
    #[error("it has a query or fragment")]
    Parameters,
}

impl RedisUrl {
    /// Takes a URL apart: `redis://[[user]:password@]host[:port][/database]`, `rediss://` for TLS, or
    /// `unix:///path`.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn parse(text: &str) -> Result<Self, RedisUrlError> {
        let (tls, rest) = match text.split_once("://") {
            Some(("redis", rest)) => (false, rest),
            Some(("rediss", rest)) => (true, rest),
            Some(("unix", path)) => return Self::unix(path),
            _ => return Err(RedisUrlError::Scheme),
        };
        if rest.contains(['?', '#']) {
            return Err(RedisUrlError::Parameters);
        }
        let (account, rest) = match rest.rsplit_once('@') {
            Some((account, rest)) => (Some(account), rest),
            None => (None, rest),
        };
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = split_port(authority).ok_or(RedisUrlError::Port)?;
        let host = host.to_ascii_lowercase();
        if !is_host_name(&host) && !is_bracketed_address(&host) {
            return Err(RedisUrlError::Host);
        }
        let (user, password) = account.map_or(Ok((None, None)), account_of)?;
        Ok(Self {
            place: RedisPlace::Tcp {
                host: host.trim_matches(['[', ']']).to_owned(),
                port: port.unwrap_or(PORT),
                tls,
            },
            user,
            password,
            database: database_of(database)?,
        })
    }

    fn unix(path: &str) -> Result<Self, RedisUrlError> {
        if path.contains(['?', '#']) {
            return Err(RedisUrlError::Parameters);
        }
        if !path.starts_with('/') {
            return Err(RedisUrlError::Host);
        }
        Ok(Self {
            place: RedisPlace::Unix(PathBuf::from(path)),
            user: None,
            password: None,
            database: 0,
        })
    }

    /// Whether the way to it is encrypted, or within this machine.
    pub fn is_private(&self) -> bool {
        match &self.place {
            RedisPlace::Unix(_) | RedisPlace::Tcp { tls: true, .. } => true,
            RedisPlace::Tcp { host, .. } => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }
}

/// `user:password`, `:password` or `user`.
fn account_of(text: &str) -> Result<(Option<String>, Option<String>), RedisUrlError> {
    let decoded = |text: &str| {
        let text = percent_decode_str(text).decode_utf8();
        text.map(|text| Some(text.into_owned()).filter(|text| !text.is_empty()))
            .map_err(|_| RedisUrlError::Encoding)
    };
    match text.split_once(':') {
        Some((user, password)) => Ok((decoded(user)?, decoded(password)?)),
        None => Ok((decoded(text)?, None)),
    }
}

fn database_of(text: &str) -> Result<u16, RedisUrlError> {
    if text.is_empty() {
        return Ok(0);
    }
    decimal(text)
        .filter(|number| *number <= DATABASE_MAX)
        .and_then(|number| u16::try_from(number).ok())
        .ok_or(RedisUrlError::Database)
}

/// Where it is, and nothing of who asks.
impl fmt::Display for RedisUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            RedisPlace::Unix(path) => write!(formatter, "unix://{}", path.display()),
            RedisPlace::Tcp { host, port, tls } => {
                let scheme = if *tls { "rediss" } else { "redis" };
                let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
                write!(
                    formatter,
                    "{scheme}://{open}{host}{close}:{port}/{}",
                    self.database
                )
            }
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RedisUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_shows_neither_user_nor_password() {
        let url = RedisUrl::parse("rediss://can%3Aary:s%40cret:x@Redis.Example:6380/3").unwrap();
        assert_eq!(url.user.as_deref(), Some("can:ary"));
        assert_eq!(url.password.as_deref(), Some("s@cret:x"));
        assert_eq!(url.to_string(), "rediss://redis.example:6380/3");
        assert_eq!(format!("{url:?}"), "RedisUrl(rediss://redis.example:6380/3)");
        for (text, shown) in [
            ("redis://redis", "redis://redis:6379/0"),
            ("redis://:secret@127.0.0.1", "redis://127.0.0.1:6379/0"),
            ("redis://[::1]:7/", "redis://[::1]:7/0"),
            ("unix:///run/redis/redis.sock", "unix:///run/redis/redis.sock"),
        ] {
            assert_eq!(RedisUrl::parse(text).unwrap().to_string(), shown);
        }
        assert_eq!(RedisUrl::parse("redis://user@redis").unwrap().password, None);
    }

    #[test]
    fn a_url_that_could_mean_something_else_is_refused() {
        for (text, error) in [
            ("redis", RedisUrlError::Scheme),
            ("http://redis", RedisUrlError::Scheme),
            ("redis+unix:///x", RedisUrlError::Scheme),
            ("redis://", RedisUrlError::Host),
            ("redis://a b", RedisUrlError::Host),
            ("redis:///0", RedisUrlError::Host),
            ("unix://run/redis.sock", RedisUrlError::Host),
            ("redis://redis:0", RedisUrlError::Port),
            ("redis://redis:99999", RedisUrlError::Port),
            ("redis://redis/x", RedisUrlError::Database),
            ("redis://redis/-1", RedisUrlError::Database),
            ("redis://redis/0/1", RedisUrlError::Database),
            ("redis://redis?db=1", RedisUrlError::Parameters),
            ("unix:///x?db=1", RedisUrlError::Parameters),
            ("redis://:%ff@redis", RedisUrlError::Encoding),
        ] {
            assert_eq!(RedisUrl::parse(text).err(), Some(error), "{text}");
        }
    }
}
