//! A stand-in for Electric over tables in memory.
