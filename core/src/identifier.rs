//! Postgres identifiers as Electric reads and writes them.
