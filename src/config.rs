//! The YAML as written, then as checked values.
