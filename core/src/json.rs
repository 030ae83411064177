//! A strict JSON reader: no duplicate members, bounded depth and size, exact integers.
