//! The stable public error codes and what a refused request is told.
