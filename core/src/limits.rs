//! The limits of the core, each named with its unit.
