//! Claim and fact values, exact.
