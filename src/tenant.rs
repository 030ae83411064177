//! A tenant compiled: routes, rules, keys, upstream.
