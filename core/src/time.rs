//! Moments and deadlines, passed in by whoever has a clock.
