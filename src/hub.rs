//! What waits: fetches over the upstream, ended by answer, client, permission or drain.
