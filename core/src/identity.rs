//! Who asks, prepared once for the rules.
