//! The proof that a request was allowed.
