//! Who asks: credentials verified into identities.
