//! What a connect flow remembers between its two halves.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::account::TenantId;
use crate::app::AppKey;
use crate::cipher::Sealed;
use crate::connection::ConnectionKey;
use crate::error::Result;
use crate::provider_id::ProviderId;
use crate::store::Maintenance;

/// How many flows of one tenant may be open at once.
pub(crate) const OPEN_STATES_PER_TENANT: usize = 100;

/// The key of a connect flow: SHA-256 of its `state` parameter, so that a store's reader cannot
/// finish somebody's flow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey([u8; 32]);

impl StateKey {
    /// The most flows that one tenant may have open at once: begun by nobody yet and not expired.
    pub const OPEN_PER_TENANT: usize = OPEN_STATES_PER_TENANT;

    /// The maximum number of flows of one tenant that are open, or begun and not finished, and not
    /// expired.
    pub const UNFINISHED_PER_TENANT: usize = 300;

    /// The maximum time for which a finished flow is kept.
    pub const FINISHED_FOR: Duration = Duration::from_secs(3600);

    /// The key of the flow whose `state` parameter is this text.
    #[must_use]
    pub fn of(state: &str) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, state.as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }

    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateKey({self})")
    }
}

/// A flow to remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewState {
    /// Its key.
    pub key: StateKey,
    /// The tenant that began it.
    pub tenant: TenantId,
    /// The provider it leads to.
    pub provider: ProviderId,
    /// The registration it uses.
    pub app: AppKey,
    /// SHA-256 of the browser's binding cookie.
    pub binding: [u8; 32],
    /// What it remembers, sealed.
    pub sealed: Sealed,
    /// How long it waits for its callback.
    pub open_for: Duration,
    /// How long it is kept once the callback came, for a second page load and for what is in
    /// quarantine.
    pub keep_for: Duration,
}

/// A flow as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredState {
    /// The tenant that began it. Part of its seal.
    pub tenant: TenantId,
    /// The provider it leads to. Part of its seal.
    pub provider: ProviderId,
    /// The registration it uses. Part of its seal.
    pub app: AppKey,
    /// What it remembers, sealed.
    pub sealed: Sealed,
}

/// Whether a flow was remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutStateOutcome {
    /// It was.
    Stored,
    /// The tenant has too many open flows.
    TooMany,
}

/// How a flow ended. It never holds a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConnectOutcome {
    /// In a connection.
    Connected {
        /// The connection's key.
        connection: ConnectionKey,
    },
    /// Without one.
    Failed {
        /// The stable name of the reason.
        reason: String,
    },
}

/// What a callback finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BeginOutcome {
    /// This call is the first: exchange the code.
    First,
    /// The same code is being exchanged, or was when a process died: wait, or go on from what is in
    /// quarantine. The code is not sent again.
    InProgress,
    /// The flow is over.
    Done(ConnectOutcome),
    /// The flow was begun with another code.
    Conflict {
        /// True for the first conflict of the flow: record this one only.
        first: bool,
    },
    /// There is no such flow for this browser, or it expired.
    Unknown,
}

/// Keeps connect flows.
///
/// Any number of calls may run at once, from any number of processes.
#[async_trait]
pub trait StateStore: Maintenance {
    /// Remembers a flow.
    ///
    /// * A tenant with [`StateKey::OPEN_PER_TENANT`] open flows gets `TooMany`, and nothing is
    ///   written; begun and expired flows do not count (`too_many_open_states_are_refused`).
    /// * So does a tenant with [`StateKey::UNFINISHED_PER_TENANT`] flows that are open or begun and
    ///   not finished (`too_many_unfinished_states_are_refused`).
    /// * Repeating it after an unknown outcome stores it once (`put_state_twice_stores_it_once`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it.
    async fn put_state(&self, state: NewState) -> Result<PutStateOutcome>;

    /// The flow of a key, so that a callback is compared with what its begin remembered before it
    /// takes the flow; `None` if there is none or its time has passed. It changes nothing
    /// (`a_state_is_read_back`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it.
    async fn state(&self, key: &StateKey) -> Result<Option<StoredState>>;

    /// Takes the flow for a callback. `binding` is SHA-256 of the browser's cookie, `code` that of
    /// the authorization code or of the error that came instead.
    ///
    /// * The first call gets `First`, and only one does however many run at once
    ///   (`a_state_begins_once`).
    /// * The same code again gets `InProgress` until the flow is finished
    ///   (`the_same_code_again_is_in_progress`), and its outcome afterwards
    ///   (`a_finished_state_returns_its_outcome`).
    /// * Another code gets `Conflict`, of which the first is marked
    ///   (`another_code_is_a_conflict`).
    /// * A wrong binding gets `Unknown` and consumes nothing (`a_wrong_binding_consumes_nothing`).
    /// * An expired flow is `Unknown` (`an_expired_state_is_unknown`); one that has begun is
    ///   remembered for its keeping time (`a_begun_state_is_kept`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): do not repeat it with the same
    /// intent; ask again and treat `InProgress` as a callback that somebody else took.
    async fn begin(
        &self,
        key: &StateKey,
        binding: &[u8; 32],
        code: &[u8; 32],
    ) -> Result<BeginOutcome>;

    /// Records how a begun flow ended; false if it is unknown, not begun, or already over with
    /// another outcome.
    ///
    /// * The first outcome stays; recording the same one again is true, another one is false
    ///   (`the_first_outcome_stays`).
    /// * A finished flow is kept for [`StateKey::FINISHED_FOR`] at most, for a second load of the
    ///   callback's page (`a_finished_state_is_dropped_early`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it.
    async fn finish_state(&self, key: &StateKey, outcome: ConnectOutcome) -> Result<bool>;
}
