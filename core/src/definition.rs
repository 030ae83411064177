//! The canonical shape definition: one type for rules, tokens, keys and logs.
