//! The in-memory store.

mod audit;
mod delivery;
mod maintenance;
mod outbound;
mod state;
mod subscription;
mod token;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::{Clock, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Cursor, Page};

/// A store that keeps all data in the memory of this process, for tests and for programs that run
/// once and need no persistence.
///
/// The store follows every rule of the store traits except durability: all data, including every
/// refresh token, is lost when the process ends. You must then connect the accounts again at
/// providers that rotate refresh tokens. Memory use grows, because only
/// [`Maintenance::purge`](crate::store::Maintenance::purge) removes records and only
/// [`AuditLog::prune`](crate::store::AuditLog::prune) removes audit entries.
///
/// Clones share the data, like two programs that use the same database. Every call briefly takes
/// one lock. No call fails with [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable).
///
/// ```
/// use std::sync::Arc;
/// use connector_core::clock::SystemClock;
/// use connector_core::store::MemoryStore;
///
/// let store = MemoryStore::new(Arc::new(SystemClock::new()));
/// let same_data = store.clone();
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    data: Arc<Mutex<Data>>,
}

/// All data of the store.
#[derive(Default)]
struct Data {
    numbers: Numbers,
    tokens: token::Tokens,
    states: state::States,
    deliveries: delivery::Deliveries,
    audit: audit::Audit,
    subscriptions: subscription::Subscriptions,
    outbound: outbound::Outbound,
}

/// A source of unique, increasing numbers.
#[derive(Default)]
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

impl MemoryStore {
    /// Creates an empty store that uses `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            data: Arc::default(),
        }
    }

    /// Locks the data and returns it with the time to use for the whole call.
    fn open(&self) -> (MutexGuard<'_, Data>, Timestamp) {
        // A panic in another call leaves the data consistent, because every call checks first and
        // writes last.
        let data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        (data, self.clock.now())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

/// Parses the number in a cursor. Returns zero without a cursor.
fn number_after(after: Option<&Cursor>, operation: &'static str) -> Result<u64> {
    after.map_or(Ok(0), |cursor| {
        cursor
            .as_str()
            .parse()
            .map_err(|_| foreign_cursor(operation))
    })
}

fn foreign_cursor(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        operation,
        "the cursor does not belong to this list; pass the cursor of the previous page",
    )
}

/// Returns the first `n` of `matches`, at least one, and the cursor of the next page.
fn slice<P: fmt::Display, T>(matches: impl IntoIterator<Item = (P, T)>, n: u16) -> Result<Page<T>> {
    let n = usize::from(n.max(1));
    let mut items = Vec::new();
    let mut last = None;
    for (position, item) in matches {
        if let (true, Some(last)) = (items.len() == n, &last) {
            let next = Some(Cursor::new(format!("{last}"))?);
            return Ok(Page { items, next });
        }
        items.push(item);
        last = Some(position);
    }
    Ok(Page { items, next: None })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::account::{Account, AccountKey, TenantId};
    use crate::app::AppKey;
    use crate::cipher::{KeyId, Sealed};
    use crate::clock::ManualClock;
    use crate::connection::{ConnectionId, ConnectionKey, Fence, Generation, GrantNumber, Status};
    use crate::metadata::Metadata;
    use crate::provider_id::ProviderId;
    use crate::store::{
        ClaimId, ClaimKind, ClaimOutcome, ClaimRequest, Commit, CommitOutcome, Expect, Expiries,
        Filter, Maintenance, PutGrant, PutOutcome, SideEffects, TokenStore,
    };

    fn store() -> MemoryStore {
        MemoryStore::new(Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH)))
    }

    fn sealed(content: &'static str) -> Sealed {
        Sealed::new(KeyId::from_bytes([1; 8]), content)
    }

    fn key(id: u8) -> ConnectionKey {
        let tenant = TenantId::new("t".repeat(255)).unwrap();
        ConnectionKey::new(tenant, ConnectionId::from_bytes([id; 16]))
    }

    fn grant(id: u8) -> PutGrant {
        PutGrant {
            key: key(id),
            provider: ProviderId::from_static("acme"),
            app: AppKey::default(),
            account: Account::identified(AccountKey::new(format!("account {id}")).unwrap()),
            expect: Expect::Absent,
            grant: GrantNumber::new(1),
            generation: Generation::new(1),
            fence: Fence::new(1),
            credential: sealed("first"),
            expiries: Expiries::default(),
            status: Status::Connected,
            metadata: Metadata::new(),
            takes: None,
        }
    }

    async fn refresh(store: &MemoryStore, seen: u64) -> Commit {
        let claim_id = ClaimId::from_bytes([u8::try_from(seen).unwrap(); 16]);
        let request = ClaimRequest {
            claim_id,
            grant: GrantNumber::new(1),
            seen: Generation::new(seen),
            kind: ClaimKind::Refresh,
            hold: Duration::from_secs(60),
            confirmed: None,
        };
        let ClaimOutcome::Granted { fence, .. } = store.claim(&key(1), request).await.unwrap()
        else {
            panic!("the claim was not granted");
        };
        let commit = Commit {
            claim_id,
            grant: GrantNumber::new(1),
            base: Generation::new(seen),
            fence,
            credential: sealed("refreshed"),
            expiries: Expiries::default(),
            status: Status::Connected,
            rotates: false,
            takes_pending: None,
        };
        let outcome = store
            .commit(&key(1), commit.clone(), SideEffects::none())
            .await;
        assert_eq!(outcome.unwrap(), CommitOutcome::Stored);
        commit
    }

    #[tokio::test]
    async fn clones_share_the_data() {
        let store = store();
        let put = store.clone().put_grant(grant(1), SideEffects::none()).await;
        assert_eq!(put.unwrap(), PutOutcome::Stored);
        assert!(store.load(&key(1)).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn seven_later_commits_do_not_hide_the_first_outcome() {
        let store = store();
        let put = store.put_grant(grant(1), SideEffects::none()).await;
        assert_eq!(put.unwrap(), PutOutcome::Stored);
        let first = refresh(&store, 1).await;
        for seen in 2..=8 {
            refresh(&store, seen).await;
        }
        let before = store.load(&key(1)).await.unwrap();
        let again = store
            .commit(&key(1), first.clone(), SideEffects::none())
            .await;
        assert_eq!(again.unwrap(), CommitOutcome::Stored);
        assert_eq!(store.load(&key(1)).await.unwrap(), before);
    }

    #[tokio::test]
    async fn lists_continue_with_the_longest_names_and_a_limit_of_zero() {
        let store = store();
        for id in 1..=3 {
            let put = store.put_grant(grant(id), SideEffects::none()).await;
            assert_eq!(put.unwrap(), PutOutcome::Stored);
        }
        let other_key = KeyId::from_bytes([2; 8]);
        let (mut listed, mut rows) = (Vec::new(), Vec::new());
        let mut after = None;
        loop {
            let slice = store.list(&Filter::everyone(), after.as_ref(), 0).await;
            let slice = slice.unwrap();
            listed.extend(slice.items.into_iter().map(|connection| connection.key));
            after = slice.next;
            if after.is_none() {
                break;
            }
        }
        loop {
            let slice = store.sealed_rows(&other_key, after.as_ref(), 0).await;
            let slice = slice.unwrap();
            rows.extend(slice.items);
            after = slice.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(listed, [key(1), key(2), key(3)]);
        assert_eq!(rows.len(), 3);
    }

    #[tokio::test]
    async fn a_cursor_of_another_list_is_refused() {
        let store = store();
        for text in ["x", "-1", "1.2", "1.2.3.4"] {
            let cursor = Cursor::new(text).unwrap();
            let list = store.list(&Filter::everyone(), Some(&cursor), 1).await;
            assert_eq!(list.unwrap_err().kind(), ErrorKind::InvalidInput, "{text}");
            let rows = store
                .sealed_rows(&KeyId::from_bytes([2; 8]), Some(&cursor), 1)
                .await;
            assert_eq!(rows.unwrap_err().kind(), ErrorKind::InvalidInput, "{text}");
        }
    }
}
