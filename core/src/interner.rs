//! Things that are made once and shared by all who need the same, for as long as anybody does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Names below which nobody looks for those that nothing goes by any more.
const NAMES_MIN: usize = 64;

/// Finds again what was made before, while somebody holds it.
pub struct Interner<T>(Mutex<Known<T>>);

struct Known<T> {
    by_name: HashMap<Box<str>, Vec<Weak<T>>>,
    /// Names at which those that nothing goes by are forgotten.
    names_max: usize,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self(Mutex::new(Known {
            by_name: HashMap::new(),
            names_max: NAMES_MIN,
        }))
    }
}

impl<T> Interner<T> {
    /// The one of this name that is the `same`, or a new one. Names keep a look-up short, and need not differ.
    ///
    /// # Errors
    /// Those of `make`. Nothing is known of what could not be made.
    pub fn find_or_make<E>(
        &self,
        name: &str,
        same: impl Fn(&T) -> bool,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        if let Some(found) = self.known().find(name, &same) {
            return Ok(found);
        }
        // Others are not kept waiting while it is made. Whoever made the same meanwhile was first.
        let made = Arc::new(make()?);
        let mut known = self.known();
        if let Some(found) = known.find(name, &same) {
            return Ok(found);
        }
        known.forget_unused();
        let of_name = known.by_name.entry(name.into()).or_default();
        of_name.retain(|one| one.strong_count() > 0);
        of_name.push(Arc::downgrade(&made));
        Ok(made)
    }

    /// A panic while the lock was held left nothing half done.
    fn known(&self) -> MutexGuard<'_, Known<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Known<T> {
    fn find(&self, name: &str, same: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        let of_name = self.by_name.get(name).into_iter().flatten();
        of_name.filter_map(Weak::upgrade).find(|one| same(one))
    }

    /// Now and then, so that each look-up pays a small part of it.
    fn forget_unused(&mut self) {
        if self.by_name.len() < self.names_max {
            return;
        }
        self.by_name
            .retain(|_, of_name| of_name.iter().any(|one| one.strong_count() > 0));
        self.names_max = NAMES_MIN.max(self.by_name.len().saturating_mul(2));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::convert::Infallible;

    fn one(interner: &Interner<u32>, name: &str, value: u32) -> Arc<u32> {
        let make = || Ok::<_, Infallible>(value);
        interner
            .find_or_make(name, |known| *known == value, make)
            .unwrap()
    }

    #[test]
    fn the_same_is_found_while_somebody_holds_it_and_made_anew_after() {
        let interner = Interner::default();
        let first = one(&interner, "a", 1);
        assert!(Arc::ptr_eq(&first, &one(&interner, "a", 1)));
        assert!(!Arc::ptr_eq(&first, &one(&interner, "b", 1)), "another name");
        let other = one(&interner, "a", 2);
        assert!(Arc::ptr_eq(&first, &one(&interner, "a", 1)));
        drop(first);
        assert_eq!(interner.0.lock().unwrap().by_name["a"].len(), 2);
        let anew = one(&interner, "a", 3);
        assert_eq!(
            interner.0.lock().unwrap().by_name["a"].len(),
            2,
            "the dead one went"
        );
        drop((other, anew));
    }

    #[test]
    fn what_is_known_is_not_made_again() {
        let interner = Interner::default();
        let made = std::cell::Cell::new(0);
        let read = |text: &str| {
            interner.find_or_make(
                text,
                |_| true,
                || {
                    made.set(made.get() + 1);
                    text.parse::<u32>()
                },
            )
        };
        let first = read("7").unwrap();
        assert!(Arc::ptr_eq(&first, &read("7").unwrap()));
        assert_eq!(made.get(), 1);
        assert_eq!(*read("8").unwrap(), 8);
        drop(first);
        assert_eq!(*read("7").unwrap(), 7);
        assert_eq!(made.get(), 3, "nobody had it any more");
    }

    #[test]
    fn names_that_nothing_goes_by_are_forgotten() {
        let interner = Interner::default();
        let kept = one(&interner, "kept", 0);
        for number in 0..10_000 {
            one(&interner, &number.to_string(), number);
        }
        assert!(interner.0.lock().unwrap().by_name.len() <= NAMES_MIN);
        assert!(Arc::ptr_eq(&kept, &one(&interner, "kept", 0)));
    }

    #[test]
    fn what_cannot_be_made_is_not_known() {
        let interner = Interner::<u32>::default();
        for _ in 0..2 {
            assert!(interner.find_or_make("a", |_| true, || Err("no")).is_err());
        }
        assert!(interner.find_or_make("a", |_| true, || Ok::<_, &str>(1)).is_ok());
    }
}
