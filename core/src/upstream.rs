//! The only writer of an upstream path, query or body.
