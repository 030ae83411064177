//! How many files, and so connections, the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Of the files that may be open, the part that clients' connections may take, as a divisor of what is left over:
/// the rest is for upstreams, authorisers, certificates and the runtime itself.
const RESERVED_PART: u64 = 4;
/// Kept back however few files may be open: the runtime itself takes about thirty.
const RESERVED_MIN: u64 = 64;

/// Raises the limit as far as it may be, and gives it; none: there is no limit.
pub fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current;
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(error) => {
            log::warn!("the limit of open files stays at {:?}: {error}", limit.current);
            limit.current
        }
    }
}

/// How many clients may be connected at once, where `open_files` may be open and `wanted` connections are configured.
///
/// Above, a connection is closed at once, which its client sees. Without this the process would run out of
/// descriptors, leave clients waiting unaccepted, and have none left to ask an upstream with.
pub fn connections_max(wanted: usize, open_files: Option<u64>) -> usize {
    let Some(open_files) = open_files else {
        return wanted;
    };
    let reserved = (open_files / RESERVED_PART).max(RESERVED_MIN);
    let room = usize::try_from(open_files.saturating_sub(reserved)).unwrap_or(usize::MAX);
    let max = wanted.min(room.max(1));
    if max < wanted {
        log::warn!(
            "of {wanted} connections (limits.connections_max) only {max} are taken: {open_files} files may be \
             open (ulimit -n, LimitNOFILE=), a part of them for upstreams"
        );
    }
    max
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_leave_files_for_upstreams() {
        assert_eq!(connections_max(65_536, None), 65_536);
        assert_eq!(connections_max(65_536, Some(1 << 20)), 65_536);
        assert_eq!(connections_max(65_536, Some(20_000)), 15_000);
        assert_eq!(connections_max(65_536, Some(160)), 96);
        assert_eq!(connections_max(65_536, Some(64)), 1, "it serves at least one");
        assert_eq!(connections_max(10, Some(1024)), 10);
    }
}
