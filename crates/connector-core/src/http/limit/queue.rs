//! A queue of calls that wait for a limit, fair to the tenants that share the limit.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::account::TenantId;

/// Number of tenants above which tenants without waiters are evicted.
const EVICTION_THRESHOLD: usize = 64;

/// The calls of one tenant form one flow. Calls without a tenant form a flow of their own.
pub(crate) type Flow = Option<TenantId>;

/// The key of a waiter. Waiters with a lower rank come first, whatever their flow.
pub(crate) trait Key: Ord + Copy {
    fn rank(&self) -> u8;
}

/// Waiters of several flows. Within a flow, waiters are sorted by key. Among the flows whose first
/// waiters have the same rank, the flow that was served least comes first (start-time fair
/// queueing). Therefore a call waits for at most one call of each other flow, however many calls of
/// the other flows are waiting. All operations take logarithmic time.
#[derive(Debug)]
pub(crate) struct Queue<K, V> {
    flows: HashMap<Flow, Waiters<K, V>>,
    /// The first waiter of each flow that has waiters.
    order: BTreeSet<Position<K>>,
    /// Units of the flow that was served last, before it was served.
    served: u64,
    len: usize,
}

#[derive(Debug)]
struct Waiters<K, V> {
    /// Units for which the flow was served. A flow that starts to wait begins with the units of
    /// the flow that was served last, so that it has no advantage from earlier.
    served: u64,
    waiting: BTreeMap<K, V>,
}

/// Rank, units served, key and flow.
type Position<K> = (u8, u64, K, Flow);

impl<K: Key, V> Queue<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            flows: HashMap::new(),
            order: BTreeSet::new(),
            served: 0,
            len: 0,
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Returns the number of waiters of a flow.
    pub(crate) fn len_of(&self, flow: &Flow) -> usize {
        self.flows.get(flow).map_or(0, |it| it.waiting.len())
    }

    pub(crate) fn first(&self) -> Option<(&K, &V)> {
        let (.., flow) = self.order.first()?;
        self.flows.get(flow)?.waiting.first_key_value()
    }

    pub(crate) fn is_first(&self, key: &K) -> bool {
        self.first().is_some_and(|(first, _)| first == key)
    }

    /// Returns true if a call with this key would be the first waiter.
    pub(crate) fn may_pass(&self, flow: &Flow, key: &K) -> bool {
        let Some((rank, served, first, _)) = self.order.first() else {
            return true;
        };
        let own = self.flows.get(flow);
        let is_first_of_flow =
            own.is_none_or(|it| it.waiting.first_key_value().is_none_or(|it| key <= it.0));
        let own = own.map_or(self.served, |it| it.served.max(self.served));
        is_first_of_flow && (key.rank(), own, key) <= (*rank, *served, first)
    }

    pub(crate) fn insert(&mut self, flow: &Flow, key: K, waiter: V) {
        let start = self.served;
        self.reorder(flow, |it| {
            if it.waiting.is_empty() {
                it.served = it.served.max(start);
            }
            it.waiting.insert(key, waiter);
        });
        self.len += 1;
    }

    /// Removes a waiter. Returns true if another waiter is the first one now.
    pub(crate) fn remove(&mut self, flow: &Flow, key: &K) -> bool {
        let was_first = self.is_first(key);
        let mut removed = None;
        self.reorder(flow, |it| removed = it.waiting.remove(key));
        self.len -= usize::from(removed.is_some());
        if self.len == 0 {
            // Nobody competes for the limit any more.
            self.flows.clear();
            self.served = 0;
        } else if self.flows.len() > EVICTION_THRESHOLD.max(2 * self.order.len()) {
            let served = self.served;
            self.flows
                .retain(|_, it| !it.waiting.is_empty() || it.served > served);
        }
        was_first
    }

    /// Records that a call of a flow was admitted while calls are waiting. Returns true if another
    /// waiter is the first one now.
    pub(crate) fn serve(&mut self, flow: &Flow, units: u64) -> bool {
        let first = self.first().map(|(key, _)| *key);
        let mut start = self.served;
        self.reorder(flow, |it| {
            start = it.served.max(start);
            it.served = start.saturating_add(units);
        });
        self.served = start;
        self.first().map(|(key, _)| *key) != first
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.flows.values().flat_map(|it| it.waiting.values())
    }

    /// Changes the waiters of a flow, and updates its position.
    fn reorder(&mut self, flow: &Flow, change: impl FnOnce(&mut Waiters<K, V>)) {
        let waiters = self.flows.entry(flow.clone()).or_insert_with(|| Waiters {
            served: 0,
            waiting: BTreeMap::new(),
        });
        let position = |it: &Waiters<K, V>| {
            let (first, _) = it.waiting.first_key_value()?;
            Some((first.rank(), it.served, *first, flow.clone()))
        };
        let before = position(waiters);
        change(waiters);
        let after = position(waiters);
        if before != after {
            if let Some(before) = before {
                self.order.remove(&before);
            }
            self.order.extend(after);
        }
    }
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "tests print what they counted")]
mod tests {
    use std::cell::Cell;
    use std::cmp::Ordering;

    use super::*;

    thread_local!(static COMPARISONS: Cell<u64> = const { Cell::new(0) });

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Counted(u32);

    impl Key for Counted {
        fn rank(&self) -> u8 {
            0
        }
    }

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

    /// Returns the flow of a tenant, or of no tenant for 0.
    fn tenant(number: u32) -> Flow {
        (number > 0).then(|| TenantId::new(format!("t{number}")).expect("a valid id"))
    }

    #[test]
    fn a_hundred_thousand_waiters_leave_in_any_order_with_few_comparisons() {
        const WAITERS: u32 = 100_000;
        for tenants in [1, 100] {
            for (order, step) in [
                ("first to last", 1),
                ("last to first", WAITERS - 1),
                ("mixed", 61),
            ] {
                let flow = |number: u32| tenant(number % tenants);
                let mut queue = Queue::new();
                for number in 0..WAITERS {
                    queue.insert(&flow(number), Counted(number), ());
                }
                COMPARISONS.with(|count| count.set(0));
                let mut at = 0;
                for _ in 0..WAITERS {
                    at = (at + step) % WAITERS;
                    queue.remove(&flow(at), &Counted(at));
                }
                let each = COMPARISONS.with(Cell::get) / u64::from(WAITERS);
                println!(
                    "{WAITERS} waiters of {tenants} tenants left {order}: {each} comparisons each"
                );
                assert_eq!(queue.len(), 0);
                assert!((1..=200).contains(&each));
            }
        }
    }

    /// Serves the first waiter. Returns its number.
    fn serve(queue: &mut Queue<Counted, Flow>) -> u32 {
        let (key, flow) = queue.first().expect("somebody waits");
        let (key, flow) = (*key, flow.clone());
        let others_turn = queue.serve(&flow, 1);
        assert_ne!(
            others_turn,
            queue.remove(&flow, &key),
            "the next one is woken once"
        );
        key.0
    }

    #[test]
    fn flows_take_turns_however_many_calls_they_have() {
        let mut queue = Queue::new();
        for number in 0..1000 {
            queue.insert(&tenant(0), Counted(number), tenant(0));
        }
        for number in 1000..1010 {
            let flow = tenant(1 + number % 2);
            queue.insert(&flow, Counted(number), flow.clone());
        }
        let order: Vec<u32> = (0..33).map(|_| serve(&mut queue)).collect();
        let quiet = order.iter().filter(|it| **it >= 1000).count();
        println!("{quiet} of 10 calls of two quiet tenants were served among the first 33");
        assert_eq!(quiet, 10);
        assert_eq!(order[..6], [0, 1000, 1001, 1, 1002, 1003]);
        // A call that arrives later is next, but not twice.
        queue.insert(&tenant(1), Counted(2000), tenant(1));
        queue.insert(&tenant(1), Counted(2001), tenant(1));
        let order: Vec<u32> = (0..4).map(|_| serve(&mut queue)).collect();
        assert!(
            order[..2].contains(&2000) && order[2..].contains(&2001),
            "{order:?}"
        );
    }
}
