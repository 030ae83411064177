//! The only reader of the machine's clocks.
