//! What an upstream's answer must carry, and what of it a client gets.
