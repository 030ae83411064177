//! How often one issuer may be asked.

use std::collections::VecDeque;
use std::time::Duration;

use shapegate_core::time::Monotonic;

/// Fetches in any [`FETCHES_WINDOW`].
pub const FETCHES_MAX: usize = 10;
/// What [`FETCHES_MAX`] counts in.
pub const FETCHES_WINDOW: Duration = Duration::from_secs(60);

/// The moments of the last fetches.
#[derive(Debug, Default)]
pub(super) struct Budget(VecDeque<Monotonic>);

impl Budget {
    /// When the next fetch may be; `None` for now.
    pub(super) fn free_at(&self, now: Monotonic) -> Option<Monotonic> {
        let oldest = self.0.front().filter(|_| self.0.len() >= FETCHES_MAX)?;
        let free = oldest.plus(FETCHES_WINDOW);
        (free > now).then_some(free)
    }

    pub(super) fn spend(&mut self, now: Monotonic) {
        if self.0.len() >= FETCHES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_window_has_more_fetches_than_allowed() {
        let at = |seconds| Monotonic(Duration::from_secs(seconds));
        let mut budget = Budget::default();
        for second in 0..10 {
            assert_eq!(budget.free_at(at(second)), None);
            budget.spend(at(second));
        }
        assert_eq!(budget.free_at(at(9)), Some(at(60)));
        assert_eq!(budget.free_at(at(60)), None);
        budget.spend(at(60));
        assert_eq!(budget.free_at(at(60)), Some(at(61)));
    }
}
