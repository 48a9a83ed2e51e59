//! Connect flows between the authorization request and the callback.

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

/// Maximum number of open flows per tenant.
pub(crate) const OPEN_STATES_PER_TENANT: usize = 100;

/// Key of a connect flow. The key is the SHA-256 digest of the flow's `state` parameter. Read
/// access to the store is therefore not enough to complete a flow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey([u8; 32]);

impl StateKey {
    /// Maximum number of open flows per tenant: flows that have neither received a callback nor
    /// expired.
    pub const OPEN_PER_TENANT: usize = OPEN_STATES_PER_TENANT;

    /// Maximum number of unfinished flows per tenant: flows that are open, or that received a
    /// callback and have neither finished nor expired.
    pub const UNFINISHED_PER_TENANT: usize = 300;

    /// Maximum retention time of a finished flow.
    pub const FINISHED_FOR: Duration = Duration::from_secs(3600);

    /// Computes the key of the flow with the given `state` parameter.
    #[must_use]
    pub fn of(state: &str) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, state.as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }

    /// Creates a key from its 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes of the key.
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

/// A flow to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewState {
    /// The key of the flow.
    pub key: StateKey,
    /// The tenant that started the flow.
    pub tenant: TenantId,
    /// The provider of the flow.
    pub provider: ProviderId,
    /// The app registration that the flow uses.
    pub app: AppKey,
    /// The SHA-256 digest of the browser's binding cookie.
    pub binding: [u8; 32],
    /// The sealed data of the flow.
    pub sealed: Sealed,
    /// Maximum time until the callback.
    pub open_for: Duration,
    /// Retention time after the callback, for a second page load and for a quarantined response.
    pub keep_for: Duration,
}

/// A stored flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredState {
    /// The tenant that started the flow. Part of its seal.
    pub tenant: TenantId,
    /// The provider of the flow. Part of its seal.
    pub provider: ProviderId,
    /// The app registration that the flow uses. Part of its seal.
    pub app: AppKey,
    /// The sealed data of the flow.
    pub sealed: Sealed,
}

/// The result of [`StateStore::put_state`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutStateOutcome {
    /// The flow was stored.
    Stored,
    /// The tenant has too many open flows. Nothing was stored.
    TooMany,
}

/// The result of a connect flow. It never contains a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConnectOutcome {
    /// The flow created or reconnected a connection.
    Connected {
        /// The connection's key.
        connection: ConnectionKey,
    },
    /// The flow failed.
    Failed {
        /// The stable name of the reason.
        reason: String,
        /// The provider's error code, as [`Error::code`](crate::Error::code) returns it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
    },
}

/// The result of [`StateStore::begin`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BeginOutcome {
    /// This callback is the first one. Exchange its code.
    First,
    /// Another call has started to exchange the same code. The process of that call may have
    /// stopped in the meantime. Wait, or continue with the quarantined response. Do not send the
    /// code again.
    InProgress,
    /// The flow has finished.
    Done(ConnectOutcome),
    /// The flow has already received a callback with a different code.
    Conflict {
        /// True for the first conflict of the flow. Record only this one.
        first: bool,
    },
    /// The flow does not exist, belongs to another browser, or has expired.
    Unknown,
}

/// Stores connect flows.
///
/// The methods may be called concurrently, from any number of processes.
#[async_trait]
pub trait StateStore: Maintenance {
    /// Stores a flow.
    ///
    /// * If the tenant has [`StateKey::OPEN_PER_TENANT`] open flows, the result is `TooMany` and
    ///   nothing is written. Flows that received a callback and expired flows do not count
    ///   (`too_many_open_states_are_refused`).
    /// * The result is also `TooMany` if the tenant has [`StateKey::UNFINISHED_PER_TENANT`] flows
    ///   that are open, or that received a callback and have not finished
    ///   (`too_many_unfinished_states_are_refused`).
    /// * A retry after an unknown outcome stores the flow only once
    ///   (`put_state_twice_stores_it_once`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry.
    async fn put_state(&self, state: NewState) -> Result<PutStateOutcome>;

    /// Returns the flow with the given key, or `None` if the flow does not exist or has expired.
    /// Use it to check a callback against the stored flow before you call [`StateStore::begin`].
    /// The call changes nothing (`a_state_is_read_back`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry.
    async fn state(&self, key: &StateKey) -> Result<Option<StoredState>>;

    /// Claims the flow for a callback. `binding` is the SHA-256 digest of the browser's cookie.
    /// `code` is the SHA-256 digest of the authorization code, or of the error that the callback
    /// contains instead.
    ///
    /// * The first call returns `First`. Of many concurrent calls, only one returns `First`
    ///   (`a_state_begins_once`).
    /// * A call with the same code returns `InProgress` until the flow is finished
    ///   (`the_same_code_again_is_in_progress`), and the outcome of the flow afterwards
    ///   (`a_finished_state_returns_its_outcome`).
    /// * A call with a different code returns `Conflict`. The first conflict is marked
    ///   (`another_code_is_a_conflict`).
    /// * A call with a wrong binding returns `Unknown` and does not consume the flow
    ///   (`a_wrong_binding_consumes_nothing`).
    /// * An expired flow is `Unknown` (`an_expired_state_is_unknown`). A flow that has begun is
    ///   kept for its retention time (`a_begun_state_is_kept`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): after an error, do not assume that
    /// you own the flow. Call the method again, and treat `InProgress` as a callback that another
    /// process handles.
    async fn begin(
        &self,
        key: &StateKey,
        binding: &[u8; 32],
        code: &[u8; 32],
    ) -> Result<BeginOutcome>;

    /// Records the outcome of a flow that has begun. Returns false if the flow is unknown, has not
    /// begun, or has finished with a different outcome.
    ///
    /// * The first outcome is kept. Recording the same outcome again returns true; recording a
    ///   different one returns false (`the_first_outcome_stays`).
    /// * A finished flow is kept for at most [`StateKey::FINISHED_FOR`], for a second load of the
    ///   callback page (`a_finished_state_is_dropped_early`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry.
    async fn finish_state(&self, key: &StateKey, outcome: ConnectOutcome) -> Result<bool>;
}
