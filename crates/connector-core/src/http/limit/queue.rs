//! A queue of calls that wait for a limit.

use std::collections::BTreeMap;

/// Waiters sorted by key. Insertion, removal and finding the first waiter take logarithmic time.
#[derive(Debug)]
pub(crate) struct Queue<K, V>(BTreeMap<K, V>);

impl<K: Ord, V> Queue<K, V> {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn first(&self) -> Option<(&K, &V)> {
        self.0.first_key_value()
    }

    pub(crate) fn is_first(&self, key: &K) -> bool {
        self.first().is_some_and(|(first, _)| first == key)
    }

    /// Returns true if no waiter has a smaller key.
    pub(crate) fn may_pass(&self, key: &K) -> bool {
        self.first().is_none_or(|(first, _)| key <= first)
    }

    pub(crate) fn insert(&mut self, key: K, waiter: V) {
        self.0.insert(key, waiter);
    }

    /// Removes a waiter. Returns true if the removed waiter was the first one.
    pub(crate) fn remove(&mut self, key: &K) -> bool {
        let was_first = self.is_first(key);
        self.0.remove(key);
        was_first
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::cmp::Ordering;

    use super::*;

    thread_local!(static COMPARISONS: Cell<u64> = const { Cell::new(0) });

    #[derive(PartialEq, Eq)]
    struct Counted(u32);

    impl Ord for Counted {
        fn cmp(&self, other: &Self) -> Ordering {
            COMPARISONS.with(|count| count.set(count.get() + 1));
            self.0.cmp(&other.0)
        }
    }

    impl PartialOrd for Counted {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    #[test]
    #[expect(clippy::print_stdout, reason = "tests print what they counted")]
    fn a_hundred_thousand_waiters_leave_in_any_order_with_few_comparisons() {
        const WAITERS: u32 = 100_000;
        for (order, step) in [
            ("first to last", 1),
            ("last to first", WAITERS - 1),
            ("mixed", 61),
        ] {
            let mut queue = Queue::new();
            for number in 0..WAITERS {
                queue.insert(Counted(number), ());
            }
            COMPARISONS.with(|count| count.set(0));
            let mut at = 0;
            for _ in 0..WAITERS {
                at = (at + step) % WAITERS;
                queue.remove(&Counted(at));
            }
            let each = COMPARISONS.with(Cell::get) / u64::from(WAITERS);
            println!("{WAITERS} waiters left {order}: {each} comparisons each");
            assert_eq!(queue.len(), 0);
            assert!((1..=100).contains(&each));
        }
    }
}
