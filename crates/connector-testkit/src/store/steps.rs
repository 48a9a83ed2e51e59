//! Steps that many cases share.

use std::fmt::Display;
use std::sync::Arc;

use connector_core::store::{
    AuditFilter, Claim, ClaimOutcome, ClaimRequest, Commit, CommitOutcome, Failure, Fence,
    PutOutcome, SideEffects, Store, Stored, TimeLeft, Verdict, WorkKind,
};
use connector_core::{ConnectionKey, Result, Status};

use super::samples::{
    HOLD, LEASE, claim_request, expiries, first_grant, name_of, reason_of, sealed,
};
use crate::fixture::StoreFixture;

/// Extracts the expected outcome. The case fails on any other outcome, and the failure shows the
/// outcome.
macro_rules! outcome {
    ($outcome:expr, $pattern:pat => $value:expr) => {
        match $outcome {
            $pattern => $value,
            #[allow(unreachable_patterns, reason = "some outcomes have only one form")]
            other => panic!("expected {}, got {other:?}", stringify!($pattern)),
        }
    };
}
pub(super) use outcome;

/// An opened store, with the same traits that the engine uses.
pub(super) type Handle = Arc<dyn Store>;

/// Opens another handle to the fixture's data.
pub(super) async fn open<F: StoreFixture>(fixture: &F) -> Handle {
    Arc::new(fixture.open().await)
}

/// Returns the store's result. An error fails the case.
#[track_caller]
pub(super) fn done<T>(result: Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the store failed: {}", error.report()),
    }
}

/// Returns an example value. The case fails if the value is invalid.
#[track_caller]
pub(super) fn valid<T, E: Display>(result: std::result::Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the example is not valid: {error}"),
    }
}

/// Returns the result of a task.
#[track_caller]
pub(super) fn joined<T>(result: std::result::Result<T, tokio::task::JoinError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => panic!("a task panicked or was cancelled: {error}"),
        },
    }
}

pub(super) async fn loaded(store: &Handle, key: &ConnectionKey) -> Stored {
    match done(store.load(key).await) {
        Some(stored) => stored,
        None => panic!("connection {} does not exist", key.id),
    }
}

/// Stores the first grant of `account` under `key`.
pub(super) async fn connect(store: &Handle, key: &ConnectionKey, account: &str) -> Stored {
    let put = done(
        store
            .put_grant(first_grant(key, account), SideEffects::none())
            .await,
    );
    assert_eq!(put, PutOutcome::Stored);
    loaded(store, key).await
}

/// A granted claim, and the values that its holder must keep.
pub(super) struct Claimed {
    pub(super) request: ClaimRequest,
    pub(super) fence: Fence,
    pub(super) until: TimeLeft,
    pub(super) stored: Stored,
    pub(super) superseded: Option<Claim>,
}

impl Claimed {
    /// Returns the commit of a credential with the given name as the result of an exchange.
    pub(super) fn commit(&self, name: &str) -> Commit {
        Commit {
            claim_id: self.request.claim_id,
            grant: self.request.grant,
            base: self.request.seen,
            fence: self.fence,
            credential: sealed(name),
            expiries: expiries(),
            status: Status::Connected,
            rotates: false,
            takes_pending: None,
        }
    }

    pub(super) fn failure(&self, resolves: bool, verdict: Verdict) -> Failure {
        Failure {
            claim_id: self.request.claim_id,
            grant: self.request.grant,
            base: self.request.seen,
            fence: self.fence,
            resolves,
            verdict,
        }
    }
}

/// A verdict that changes nothing.
pub(super) const LATER: Verdict = Verdict::Later { status: None };

/// Makes a claim. The case fails if the claim is not granted.
pub(super) async fn granted(store: &Handle, key: &ConnectionKey, request: ClaimRequest) -> Claimed {
    let outcome = done(store.claim(key, request.clone()).await);
    outcome!(
        outcome,
        ClaimOutcome::Granted { fence, until, stored, superseded } => Claimed {
            request,
            fence,
            until,
            stored: *stored,
            superseded,
        }
    )
}

/// Claims the refresh of the current credential.
pub(super) async fn claimed(store: &Handle, key: &ConnectionKey, number: u8) -> Claimed {
    let seen = loaded(store, key).await.connection;
    granted(store, key, claim_request(&seen, number)).await
}

/// Claims and commits, so that the credential with the given name becomes the current one.
pub(super) async fn refreshed(
    store: &Handle,
    key: &ConnectionKey,
    number: u8,
    name: &str,
) -> Stored {
    let claim = claimed(store, key, number).await;
    let commit = done(
        store
            .commit(key, claim.commit(name), SideEffects::none())
            .await,
    );
    assert_eq!(commit, CommitOutcome::Stored);
    loaded(store, key).await
}

/// Makes two claims on the same generation. The first claim has expired, so the second claim
/// supersedes it.
pub(super) async fn overtaken<F: StoreFixture>(
    fixture: &F,
    store: &Handle,
    key: &ConnectionKey,
    numbers: (u8, u8),
) -> (Claimed, Claimed) {
    let older = claimed(store, key, numbers.0).await;
    fixture.advance(HOLD);
    let younger = claimed(store, key, numbers.1).await;
    (older, younger)
}

/// Creates a connection with the current credential `younger` and the pending credential `older`.
/// Returns the claim of the pending credential.
pub(super) async fn pending<F: StoreFixture>(
    fixture: &F,
    store: &Handle,
    key: &ConnectionKey,
    numbers: (u8, u8),
) -> Claimed {
    let (older, younger) = overtaken(fixture, store, key, numbers).await;
    let first = store.commit(key, younger.commit("younger"), SideEffects::none());
    assert_eq!(done(first.await), CommitOutcome::Stored);
    let second = store.commit(key, older.commit("older"), SideEffects::none());
    assert_eq!(done(second.await), CommitOutcome::Pending);
    older
}

/// The names of all sealed values of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) current: Option<String>,
    pub(super) previous: Option<String>,
    pub(super) pending: Vec<String>,
}

pub(super) fn names(stored: &Stored) -> Names {
    Names {
        current: stored.current.as_ref().map(|held| name_of(&held.sealed)),
        previous: stored.previous.as_ref().map(|held| name_of(&held.sealed)),
        pending: stored
            .pending
            .iter()
            .map(|held| name_of(&held.sealed))
            .collect(),
    }
}

/// Returns the reasons that identify the audit entries of all tenants, in order.
pub(super) async fn reasons(store: &Handle) -> Vec<String> {
    let filter = AuditFilter::default();
    let slice = done(store.audit(&filter, None, 1_000).await);
    slice
        .items
        .iter()
        .map(|record| reason_of(&record.entry))
        .collect()
}

/// Leases the work that is due now.
pub(super) async fn due(store: &Handle) -> Vec<(ConnectionKey, WorkKind)> {
    done(store.take_due(&WorkKind::ALL, 1_000, LEASE).await)
        .into_iter()
        .map(|due| (due.key, due.kind))
        .collect()
}
