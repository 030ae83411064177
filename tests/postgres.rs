//! Questions to a real Postgres: values in and out, its bounds, and what happens when it goes away.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

#[path = "postgres/encryption.rs"]
mod encryption;
#[path = "postgres/faults.rs"]
mod faults;
#[path = "postgres/notices.rs"]
mod notices;
#[path = "postgres/values.rs"]
mod values;

use std::sync::Arc;
use std::time::Duration;

use shapegate::clock::SystemClock;
use shapegate::postgres::{Postgres, PostgresSettings, PostgresUrl, QueryError, Row};
use shapegate_core::value::Value;

fn settings(url: &str) -> PostgresSettings {
    PostgresSettings {
        url: PostgresUrl::parse(url).unwrap(),
        authorities: None,
        pool_size: 2,
        connect_timeout: Duration::from_secs(5),
        statement_timeout: Duration::from_secs(5),
    }
}

fn pool(url: &str) -> Arc<Postgres> {
    Arc::new(Postgres::new(&settings(url)).unwrap())
}

async fn rows(pool: &Postgres, query: &str, parameters: &[Value]) -> Result<Vec<Row>, QueryError> {
    pool.rows(query, parameters, 10, &SystemClock).await
}

/// The one column of the one row.
async fn value(pool: &Postgres, query: &str, parameters: &[Value]) -> Result<Value, QueryError> {
    let rows = rows(pool, query, parameters).await?;
    assert_eq!((rows.len(), rows[0].len()), (1, 1), "{rows:?}");
    Ok(rows[0].values().next().unwrap().clone())
}

fn text(text: &str) -> Value {
    Value::from(text)
}
