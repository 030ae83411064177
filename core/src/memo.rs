//! What was read before: equal texts are read once and share what they gave, however many shapes and tenants say them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// How many texts are remembered before those that nobody uses any more are looked for.
const SWEEP_AT: usize = 1024;

/// What texts gave to a reader that is a function of the text alone. It keeps nothing alive by itself.
pub(crate) struct Memo<T> {
    known: Mutex<Option<Known<T>>>,
}

struct Known<T> {
    by_text: HashMap<Box<str>, Weak<T>>,
    sweep_at: usize,
}

impl<T> Memo<T> {
    /// A memory of nothing.
    pub(crate) const fn new() -> Self {
        Self {
            known: Mutex::new(None),
        }
    }

    /// What `text` gave before, or what `read` gives now. A fault is not remembered.
    pub(crate) fn read<E>(&self, text: &str, read: impl FnOnce(&str) -> Result<T, E>) -> Result<Arc<T>, E> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_with(Known::default);
        if let Some(known) = known.by_text.get(text).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let new = Arc::new(read(text)?);
        known.sweep();
        known.by_text.insert(text.into(), Arc::downgrade(&new));
        Ok(new)
    }
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self {
            by_text: HashMap::new(),
            sweep_at: SWEEP_AT,
        }
    }
}

impl<T> Known<T> {
    /// Forgets what nobody uses, so rarely that it costs nothing.
    fn sweep(&mut self) {
        if self.by_text.len() < self.sweep_at {
            return;
        }
        self.by_text.retain(|_, known| known.strong_count() > 0);
        self.sweep_at = SWEEP_AT.max(2 * self.by_text.len());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn equal_texts_are_read_once_as_long_as_somebody_has_them() {
        let memo = Memo::new();
        let count = std::cell::Cell::new(0);
        let read = |text: &str| {
            count.set(count.get() + 1);
            text.parse::<u32>()
        };
        let first = memo.read("7", read).unwrap();
        assert!(Arc::ptr_eq(&first, &memo.read("7", read).unwrap()));
        assert_eq!(count.get(), 1);
        assert_eq!(*memo.read("8", read).unwrap(), 8);
        drop(first);
        assert_eq!(*memo.read("7", read).unwrap(), 7);
        assert_eq!(count.get(), 3, "nobody had it any more");
    }

    #[test]
    fn a_fault_is_told_each_time() {
        let memo = Memo::new();
        for _ in 0..2 {
            assert!(memo.read("x", str::parse::<u32>).is_err());
        }
    }

    #[test]
    fn what_nobody_uses_does_not_pile_up() {
        let memo = Memo::new();
        let kept = memo.read("kept", |_| Ok::<_, ()>(0)).unwrap();
        for number in 0..10 * SWEEP_AT {
            memo.read(&number.to_string(), |_| Ok::<_, ()>(number)).unwrap();
        }
        assert!(memo.known.lock().unwrap().as_ref().unwrap().by_text.len() <= SWEEP_AT);
        assert!(Arc::ptr_eq(
            &kept,
            &memo.read("kept", |_| Ok::<_, ()>(1)).unwrap()
        ));
    }
}
