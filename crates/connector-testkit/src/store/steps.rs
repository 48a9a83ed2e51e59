//! What many cases do on their way to the rule that they show.

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

/// The outcome, or a failed case that shows what came instead.
macro_rules! outcome {
    ($outcome:expr, $pattern:pat => $value:expr) => {
        match $outcome {
            $pattern => $value,
            #[allow(unreachable_patterns, reason = "some outcomes have one form")]
            other => panic!("expected {}, got {other:?}", stringify!($pattern)),
        }
    };
}
pub(super) use outcome;

/// An opened store. Cases see it as the engine does.
pub(super) type Handle = Arc<dyn Store>;

/// Opens the fixture's data once more.
pub(super) async fn open<F: StoreFixture>(fixture: &F) -> Handle {
    Arc::new(fixture.open().await)
}

/// What a store returned; an error fails the case.
#[track_caller]
pub(super) fn done<T>(result: Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the store failed: {}", error.report()),
    }
}

/// An example value; one that breaks its own rule fails the case.
#[track_caller]
pub(super) fn valid<T, E: Display>(result: std::result::Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the example is not valid: {error}"),
    }
}

/// What a task returned.
#[track_caller]
pub(super) fn joined<T>(result: std::result::Result<T, tokio::task::JoinError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => panic!("a task was lost: {error}"),
        },
    }
}

pub(super) async fn loaded(store: &Handle, key: &ConnectionKey) -> Stored {
    match done(store.load(key).await) {
        Some(stored) => stored,
        None => panic!("connection {} is not there", key.id),
    }
}

/// Keeps the first grant of `account` under `key`.
pub(super) async fn connect(store: &Handle, key: &ConnectionKey, account: &str) -> Stored {
    let put = done(
        store
            .put_grant(first_grant(key, account), SideEffects::none())
            .await,
    );
    assert_eq!(put, PutOutcome::Stored);
    loaded(store, key).await
}

/// A claim that was granted, and what its holder keeps in mind.
pub(super) struct Claimed {
    pub(super) request: ClaimRequest,
    pub(super) fence: Fence,
    pub(super) until: TimeLeft,
    pub(super) stored: Stored,
    pub(super) superseded: Option<Claim>,
}

impl Claimed {
    /// The exchange's result, a credential of this name.
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

/// The verdict that changes nothing.
pub(super) const LATER: Verdict = Verdict::Later { status: None };

/// Makes a claim that must be granted.
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

/// Claims the refresh of what is there.
pub(super) async fn claimed(store: &Handle, key: &ConnectionKey, number: u8) -> Claimed {
    let seen = loaded(store, key).await.connection;
    granted(store, key, claim_request(&seen, number)).await
}

/// Claims and commits, so that a credential of this name is the current one.
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

/// Two claims on the same generation, the first one past its hold and superseded.
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

/// Brings a connection to a current credential `younger` and a pending one `older`; returns the
/// claim under which the pending one was made.
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

/// The names of everything sealed that a connection holds.
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

/// What tells the audit entries of everybody apart, in order.
pub(super) async fn reasons(store: &Handle) -> Vec<String> {
    let filter = AuditFilter::default();
    let slice = done(store.audit(&filter, None, 1_000).await);
    slice
        .items
        .iter()
        .map(|record| reason_of(&record.entry))
        .collect()
}

/// The work that is due now, leased.
pub(super) async fn due(store: &Handle) -> Vec<(ConnectionKey, WorkKind)> {
    done(store.take_due(&WorkKind::ALL, 1_000, LEASE).await)
        .into_iter()
        .map(|due| (due.key, due.kind))
        .collect()
}
