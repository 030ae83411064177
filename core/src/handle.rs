//! Handles as clients and as the upstream know them.
