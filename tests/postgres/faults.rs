use std::time::Duration;

use shapegate::clock::SystemClock;
use shapegate::postgres::{Postgres, PostgresSettings, QueryError};
use shapegate_core::value::Value;

use super::{pool, rows, settings, value};
use crate::support::patience::soon;
use crate::support::postgres::Server;

fn unavailable(answer: &Result<Value, QueryError>) -> bool {
    matches!(answer, Err(QueryError::Unavailable(_)))
}

#[tokio::test]
async fn a_database_that_goes_away_is_unavailable_and_is_asked_again_when_it_returns() {
    let mut server = Server::start().await;
    let pool = pool(&server.url());
    assert_eq!(value(&pool, "select 1 as c", &[]).await, Ok(Value::Int(1)));
    server.stop();
    for _ in 0..3 {
        let answer = soon(value(&pool, "select 1 as c", &[])).await;
        assert!(unavailable(&answer), "{answer:?}");
    }
    server.resume().await;
    assert_eq!(soon(value(&pool, "select 1 as c", &[])).await, Ok(Value::Int(1)));
}

#[tokio::test]
async fn connections_that_the_server_closed_meanwhile_cost_no_answer() {
    let server = Server::start().await;
    let pool = pool(&server.url());
    for _ in 0..5 {
        assert_eq!(value(&pool, "select 1 as c", &[]).await, Ok(Value::Int(1)));
        server
            .execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'shapegate'",
            )
            .await;
    }
    assert_eq!(value(&pool, "select 1 as c", &[]).await, Ok(Value::Int(1)));
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_by_the_server() {
    let server = Server::start().await;
    let pool = Postgres::new(&PostgresSettings {
        statement_timeout: Duration::from_millis(50),
        ..settings(&server.url())
    })
    .unwrap();
    let answer = soon(value(&pool, "select pg_sleep(3600)::text as c", &[])).await;
    assert!(
        matches!(&answer, Err(QueryError::Unavailable(why)) if why.contains("57014")),
        "{answer:?}"
    );
    assert_eq!(value(&pool, "select 1 as c", &[]).await, Ok(Value::Int(1)));
}

#[tokio::test]
async fn a_server_that_takes_connections_and_says_nothing_is_given_up() {
    let server = Server::start().await;
    let pool = Postgres::new(&PostgresSettings {
        connect_timeout: Duration::from_millis(100),
        ..settings(&server.url())
    })
    .unwrap();
    server.freeze(true);
    let answer = soon(value(&pool, "select 1 as c", &[])).await;
    server.freeze(false);
    assert!(unavailable(&answer), "{answer:?}");
    let patient = super::pool(&server.url());
    assert_eq!(
        soon(value(&patient, "select 1 as c", &[])).await,
        Ok(Value::Int(1))
    );
}

#[tokio::test]
async fn no_more_connections_are_made_than_allowed_and_those_who_wait_are_given_up() {
    let server = Server::start().await;
    let pool = Postgres::new(&PostgresSettings {
        connect_timeout: Duration::from_millis(300),
        ..settings(&server.url())
    })
    .unwrap();
    let asking = (0..5).map(|_| value(&pool, "select pg_sleep(2)::text as c", &[]));
    let answers = futures_util::future::join_all(asking).await;
    let given_up = answers.iter().filter(|answer| unavailable(answer)).count();
    assert_eq!((given_up, answers.len()), (3, 5), "{answers:?}");
    assert!(pool.connections() <= 2);
}

#[tokio::test]
async fn whoever_gives_up_leaves_no_busy_connection_behind() {
    let server = Server::start().await;
    let pool = pool(&server.url());
    value(&pool, "select 1 as c", &[]).await.unwrap();
    let asking = tokio::time::timeout(
        Duration::from_millis(50),
        value(&pool, "select pg_sleep(4)::text as c", &[]),
    );
    assert!(asking.await.is_err(), "it was given up");
    assert_eq!(pool.connections(), 0, "the connection was closed");
    assert_eq!(soon(value(&pool, "select 1 as c", &[])).await, Ok(Value::Int(1)));
}

#[tokio::test]
async fn more_rows_or_bytes_than_are_taken_are_an_error() {
    let server = Server::start().await;
    let pool = pool(&server.url());
    let many = pool
        .rows("select generate_series(1, 1000000) as c", &[], 1, &SystemClock)
        .await;
    assert!(matches!(many, Err(QueryError::Answer(_))), "{many:?}");
    let large = rows(&pool, "select repeat('x', 10000000) as c", &[]).await;
    assert!(matches!(large, Err(QueryError::Answer(_))), "{large:?}");
    let exact = pool
        .rows("select generate_series(1, 3) as c", &[], 3, &SystemClock)
        .await;
    assert_eq!(exact.map(|rows| rows.len()), Ok(3));
}

#[tokio::test]
async fn nothing_can_be_written_whatever_the_query_says() {
    let server = Server::start().await;
    server
        .execute("create table t (n int); insert into t values (1)")
        .await;
    let url = format!(
        "{}?options=-c%20default_transaction_read_only%3Doff",
        server.url()
    );
    for url in [server.url(), url] {
        let pool = pool(&url);
        for query in [
            "insert into t values (2) returning n",
            "update t set n = 3 returning n",
            "delete from t returning n",
            "with gone as (delete from t returning n) select n from gone",
        ] {
            let answer = rows(&pool, query, &[]).await;
            assert!(
                matches!(&answer, Err(QueryError::Query(why)) if why.starts_with("25006")),
                "{answer:?}"
            );
        }
        let several = rows(&pool, "select 1; drop table t", &[]).await;
        assert!(matches!(several, Err(QueryError::Query(_))), "{several:?}");
        assert_eq!(value(&pool, "select n from t", &[]).await, Ok(Value::Int(1)));
    }
}

#[tokio::test]
async fn a_column_that_changes_its_type_is_seen_by_statements_prepared_before() {
    let server = Server::start().await;
    server
        .execute("create table t (n int); insert into t values (1)")
        .await;
    let pool = pool(&server.url());
    assert_eq!(value(&pool, "select * from t", &[]).await, Ok(Value::Int(1)));
    server.execute("alter table t alter n type text").await;
    assert_eq!(value(&pool, "select * from t", &[]).await, Ok(Value::from("1")));
}

#[tokio::test]
async fn a_wrong_query_is_told_with_the_servers_reason() {
    let server = Server::start().await;
    let pool = pool(&server.url());
    let answer = rows(&pool, "select nothing from nowhere", &[]).await;
    assert!(
        matches!(&answer, Err(QueryError::Query(why)) if why.contains("nowhere")),
        "{answer:?}"
    );
    let nobody = super::pool(&server.url().replace("postgres@", "nobody@"));
    let answer = rows(&nobody, "select 1", &[]).await;
    assert!(matches!(answer, Err(QueryError::Unavailable(_))), "{answer:?}");
}
