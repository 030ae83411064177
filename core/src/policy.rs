//! What may be synced, by whom: rules compiled at load, decided per request.
