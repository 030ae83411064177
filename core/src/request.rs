//! What a client asks: parsed strictly, bounded, classed.
