//! SQL filters as a tree of our own: read, checked, printed; never handled as text.
