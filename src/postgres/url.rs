//! Where a database is, and how its certificate is checked.

use std::fmt;
use std::net::IpAddr;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// A connection URL as libpq takes it, taken apart. It shows neither its user nor its password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    pub(super) config: Config,
    tls: bool,
}

/// Why a connection URL is refused. None of it holds the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PostgresUrlError {
    /// Another scheme, or none.
    #[error("it does not begin with `postgres://`")]
    Scheme,
    /// An unknown parameter, a wrong port, no host.
    #[error("it is no `postgres://user:password@host:port/database`")]
    Malformed,
    /// Nobody to connect to.
    #[error("it names no host")]
    NoHost,
    /// Nobody to connect as.
    #[error("it names no user")]
    NoUser,
    /// A mode that an attacker on the way could talk down, or one that is unknown.
    #[error("its `sslmode` is not `disable`, `require`, `verify-ca` or `verify-full`")]
    SslMode,
    /// Certificates are named by a key of their own.
    #[error("it has `sslrootcert`, `sslcert` or `sslkey`; write `ca` beside it")]
    CertificateParameter,
}

impl PostgresUrl {
    /// Takes a URL apart.
    ///
    /// Without `sslmode` there is TLS, except towards this machine itself. With TLS the server's certificate and
    /// name are always checked, `require` and `verify-ca` included, which check less elsewhere.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn parse(text: &str) -> Result<Self, PostgresUrlError> {
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(PostgresUrlError::Scheme);
        }
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let mut mode = None;
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert" | "sslcert" | "sslkey", _)) => {
                    return Err(PostgresUrlError::CertificateParameter);
                }
                _ => kept.push(pair),
            }
        }
        let rest = format!("{base}?{}", kept.join("&"));
        let mut config: Config = rest
            .trim_end_matches('?')
            .parse()
            .map_err(|_| PostgresUrlError::Malformed)?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(PostgresUrlError::NoHost);
        }
        if config.get_user().is_none_or(str::is_empty) {
            return Err(PostgresUrlError::NoUser);
        }
        let tls = match mode {
            None => !is_local(&config),
            Some("disable") => false,
            Some("require" | "verify-ca" | "verify-full") => true,
            Some(_) => return Err(PostgresUrlError::SslMode),
        };
        config.ssl_mode(if tls { SslMode::Require } else { SslMode::Disable });
        Ok(Self { config, tls })
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.tls
    }

    /// Whether it leads to this machine alone.
    #[must_use]
    pub fn is_local(&self) -> bool {
        is_local(&self.config)
    }

    /// The hosts, for messages.
    fn hosts(&self) -> String {
        let shown = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let addresses = self.config.get_hostaddrs().iter().map(ToString::to_string);
        shown.chain(addresses).collect::<Vec<_>>().join(",")
    }
}

/// The hosts alone.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Postgres at {}", self.hosts())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({})", self.hosts())
    }
}

fn is_local(config: &Config) -> bool {
    let name_is_local = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()),
    };
    config.get_hosts().iter().all(name_is_local) && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tls_is_the_rule_except_towards_this_machine() {
        for (url, tls) in [
            ("postgres://u:p@db.example:5432/app", true),
            (
                "postgresql://u@db.example/app?sslmode=require&channel_binding=require",
                true,
            ),
            ("postgres://u@db.example/app?sslmode=verify-full", true),
            ("postgres://u@db.example/app?sslmode=disable", false),
            ("postgres://u@localhost/app", false),
            ("postgres://u@127.0.0.1/app", false),
            ("postgres://u@[::1]/app", false),
            ("postgres://u@%2Frun%2Fpostgresql/app", false),
            ("postgres://u@/app?host=/run/postgresql", false),
            ("postgres://u@localhost/app?sslmode=verify-full", true),
            ("postgres://u@localhost,db.example/app", true),
        ] {
            assert_eq!(PostgresUrl::parse(url).unwrap().has_tls(), tls, "{url}");
        }
    }

    #[test]
    fn what_is_no_url_or_could_be_talked_down_is_refused() {
        for (url, error) in [
            ("host=db user=u", PostgresUrlError::Scheme),
            ("mysql://u@db/app", PostgresUrlError::Scheme),
            ("postgres://u@db:port/app", PostgresUrlError::Malformed),
            ("postgres://u@db/app?unknown=1", PostgresUrlError::Malformed),
            ("postgres://u@/app", PostgresUrlError::NoHost),
            ("postgres://db/app", PostgresUrlError::NoUser),
            ("postgres://u@db/app?sslmode=prefer", PostgresUrlError::SslMode),
            ("postgres://u@db/app?sslmode=", PostgresUrlError::SslMode),
            (
                "postgres://u@db/app?sslrootcert=ca.pem",
                PostgresUrlError::CertificateParameter,
            ),
        ] {
            assert_eq!(PostgresUrl::parse(url).err(), Some(error), "{url}");
        }
    }

    #[test]
    fn neither_user_nor_password_is_shown() {
        let url = PostgresUrl::parse("postgres://canary:secret@db.example:5432/app").unwrap();
        let shown = format!("{url} {url:?}");
        assert!(!shown.contains("canary") && !shown.contains("secret"), "{shown}");
        assert!(shown.contains("db.example"));
    }
}
