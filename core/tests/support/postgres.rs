//! A private Postgres: its own data, a Unix socket and no port, gone when nobody uses it any more.

use std::fs;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use postgres::{Client, NoTls, SimpleQueryMessage};
use tempfile::TempDir;

#[path = "installed_postgres.rs"]
mod installed;

use installed::{Owner, binaries};

/// How often, at this interval, a server that starts is asked whether it is there.
const ATTEMPTS_MAX: u32 = 300;
const INTERVAL: Duration = Duration::from_millis(100);

static RUNNING: Mutex<Weak<Server>> = Mutex::new(Weak::new());

/// A running server. The tests of one binary share it as long as one of them holds it.
pub(crate) struct Server {
    child: Child,
    directory: TempDir,
}

impl Server {
    pub(crate) fn shared() -> Arc<Self> {
        let mut running = RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        running.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *running = Arc::downgrade(&server);
            server
        })
    }

    fn start() -> Self {
        let binaries = binaries();
        let directory = tempfile::Builder::new()
            .prefix("shapegate-pg-")
            .tempdir()
            .unwrap();
        let owner = Owner::of(directory.path());
        let data = directory.path().join("data");
        let initdb = owner
            .command(&binaries.join("initdb"), directory.path())
            .args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "-D",
            ])
            .arg(&data)
            .output()
            .unwrap();
        assert!(
            initdb.status.success(),
            "initdb failed: {}",
            String::from_utf8_lossy(&initdb.stderr)
        );
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let child = owner
            .command(&binaries.join("postgres"), directory.path())
            .args([
                "-c",
                "listen_addresses=",
                "-c",
                "fsync=off",
                "-c",
                "max_connections=20",
                "-k",
            ])
            .arg(directory.path())
            .arg("-D")
            .arg(&data)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { child, directory };
        server.wait();
        server
    }

    fn wait(&mut self) {
        for _ in 0..ATTEMPTS_MAX {
            if self.try_connect("postgres").is_ok() {
                return;
            }
            if self.child.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::sleep(INTERVAL);
        }
        let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        panic!("the private Postgres does not answer:\n{log}");
    }

    fn try_connect(&self, database: &str) -> Result<Client, postgres::Error> {
        let path = self.directory.path().display();
        Client::connect(&format!("host={path} user=postgres dbname={database}"), NoTls)
    }

    /// A connection to a database of its own, made from this script.
    pub(crate) fn database(&self, name: &str, script: &str) -> Database {
        self.try_connect("postgres")
            .unwrap()
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .unwrap();
        let mut client = self.try_connect(name).unwrap();
        client.batch_execute(script).unwrap();
        Database(client)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &id]).status();
        let _ = self.child.wait();
    }
}

/// How Postgres takes a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its own account of what it has parsed.
    Parsed(String),
    /// The SQLSTATE.
    Refused(String),
}

/// A database with tables to filter.
pub(crate) struct Database(Client);

impl Database {
    /// What Postgres' parser makes of `… FROM table WHERE filter`. Parameters get the types that it infers.
    pub(crate) fn parse(&mut self, table: &str, filter: &str) -> Verdict {
        let mut work = self.0.transaction().unwrap();
        let parsed = (|| {
            work.batch_execute(&format!("PREPARE parsed AS SELECT 1 FROM {table} WHERE {filter}"))?;
            let types: String = work
                .query_one("SELECT array_to_string(parameter_types, ',') FROM pg_prepared_statements WHERE name = 'parsed'", &[])?
                .get(0);
            work.batch_execute("DEALLOCATE parsed")?;
            work.batch_execute(&format!(
                "CREATE FUNCTION pg_temp.parsed({types}) RETURNS int BEGIN ATOMIC SELECT 1 FROM {table} WHERE {filter}; END",
            ))?;
            work.query_one("SELECT pg_get_function_sqlbody('pg_temp.parsed'::regproc)", &[])
        })();
        let verdict = match parsed {
            Ok(row) => Verdict::Parsed(row.get(0)),
            Err(error) => Verdict::Refused(state(&error)),
        };
        work.rollback().unwrap();
        // A statement that was prepared outlives the transaction.
        self.0.batch_execute("DEALLOCATE ALL").unwrap();
        verdict
    }

    /// The ids of the rows that pass, or the SQLSTATE. Parameters are given as untyped texts.
    pub(crate) fn rows(
        &mut self,
        table: &str,
        filter: &str,
        parameters: &[&str],
    ) -> Result<Vec<String>, String> {
        let quoted: Vec<String> = parameters
            .iter()
            .map(|text| format!("'{}'", text.replace('\'', "''")))
            .collect();
        let arguments = if quoted.is_empty() {
            String::new()
        } else {
            format!("({})", quoted.join(","))
        };
        let prepared = self.0.batch_execute(&format!(
            "PREPARE asked AS SELECT id FROM {table} WHERE {filter} ORDER BY id"
        ));
        let answer = prepared.and_then(|()| self.0.simple_query(&format!("EXECUTE asked{arguments}")));
        let _ = self.0.batch_execute("DEALLOCATE ALL");
        let id = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap().to_owned()),
            _ => None,
        };
        answer
            .map(|messages| messages.iter().filter_map(id).collect())
            .map_err(|error| state(&error))
    }

    /// Runs a script.
    pub(crate) fn execute(&mut self, script: &str) {
        self.0.batch_execute(script).unwrap();
    }

    /// The first column of all rows.
    pub(crate) fn column(&mut self, query: &str) -> Vec<String> {
        self.0
            .query(query, &[])
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect()
    }
}

fn state(error: &postgres::Error) -> String {
    error.code().map_or_else(
        || panic!("no answer from Postgres: {error}"),
        |code| code.code().to_owned(),
    )
}
