//! Claims for code exchanges. The claim prevents other tasks from using the connection's refresh
//! token while a new grant is being obtained.

use std::time::Duration;

use connector_core::store::{
    ClaimId, ClaimKind, ClaimOutcome, ClaimRequest, Failure, Fence, GrantNumber, SideEffects,
    Stored, Verdict,
};
use connector_core::{ConnectionKey, Error, ErrorKind, Result, Retry};

use super::{ConnectFailure, PATIENCE};
use crate::flow::{ClaimMark, Purpose};
use crate::hub::Inner;

/// Lifetime of a claim for an exchange. It is the lifetime of a refresh claim (60 s) plus three
/// attempts to identify the account (15 s each, with pauses). In the meantime, callers get the
/// connection's current token.
const HOLD: Duration = Duration::from_secs(120);
/// Maximum time to wait for another task's claim. Slightly longer than the lifetime of a refresh
/// claim.
const CLAIM_PATIENCE: Duration = Duration::from_secs(65);
/// Interval between attempts to claim.
const CLAIM_POLL: Duration = Duration::from_secs(1);

/// A claim for an exchange.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) claim_id: ClaimId,
    pub(super) fence: Fence,
    /// The row at the time of the claim.
    pub(super) stored: Box<Stored>,
    /// The connection's grant at the time of the code exchange.
    pub(super) since: GrantNumber,
}

impl Claimed {
    pub(crate) fn mark(&self) -> ClaimMark {
        ClaimMark::new(self.stored.connection.key.id, self.claim_id, self.since)
    }

    pub(crate) fn key(&self) -> &ConnectionKey {
        &self.stored.connection.key
    }
}

/// The outcome of an attempt to claim a connection.
pub(crate) enum ClaimEnd {
    Claimed(Claimed),
    /// Another task's claim was active until the timeout.
    Busy,
    /// The connection no longer exists.
    Gone,
}

impl Inner {
    /// Resumes the claim of a quarantined response, or makes a new claim.
    pub(super) async fn claim_again(
        &self,
        purpose: &Purpose,
        mark: ClaimMark,
    ) -> Result<Option<Claimed>, ConnectFailure> {
        let key = purpose.key(mark.connection);
        let Some(stored) = self.store.load(&key).await? else {
            return Ok(None);
        };
        match self.claim_exchange(&stored, mark.claim_id()).await? {
            ClaimEnd::Claimed(claimed) => Ok(Some(Claimed {
                since: mark.grant,
                ..claimed
            })),
            ClaimEnd::Busy => Err(ConnectFailure::Later(busy())),
            ClaimEnd::Gone => Ok(None),
        }
    }

    /// Claims a connection in order to exchange a code or to store the result of an exchange. Waits
    /// for another task's claim to end.
    pub(crate) async fn claim_exchange(
        &self,
        seen: &Stored,
        claim_id: ClaimId,
    ) -> Result<ClaimEnd> {
        let key = seen.connection.key.clone();
        let mut request = ClaimRequest {
            claim_id,
            grant: seen.connection.grant,
            seen: seen.connection.generation,
            kind: ClaimKind::Exchange,
            hold: HOLD,
            confirmed: None,
        };
        let begun = self.clock.monotonic();
        loop {
            let waited = self.clock.monotonic().since(begun);
            let call = || self.store.claim(&key, request.clone());
            match self.insist(PATIENCE, call).await? {
                ClaimOutcome::Granted { fence, stored, .. } => {
                    let since = stored.connection.grant;
                    return Ok(ClaimEnd::Claimed(Claimed {
                        claim_id,
                        fence,
                        stored,
                        since,
                    }));
                }
                // Each change of the row is another task's success, so the loop ends eventually.
                // The time is limited anyway.
                ClaimOutcome::Moved(stored) if waited < CLAIM_PATIENCE => {
                    request.grant = stored.connection.grant;
                    request.seen = stored.connection.generation;
                }
                ClaimOutcome::Held { until, .. } if waited < CLAIM_PATIENCE => {
                    let left = CLAIM_PATIENCE.saturating_sub(waited);
                    self.clock
                        .sleep(until.remaining().min(CLAIM_POLL).min(left))
                        .await;
                }
                ClaimOutcome::Moved(_) | ClaimOutcome::Held { .. } => return Ok(ClaimEnd::Busy),
                ClaimOutcome::Ended => return Ok(ClaimEnd::Gone),
            }
        }
    }

    /// Releases a claim if its exchange returned no credential or if its credential is not used.
    pub(crate) async fn give_back(&self, claimed: &Claimed) {
        let connection = &claimed.stored.connection;
        let failure = Failure {
            claim_id: claimed.claim_id,
            grant: connection.grant,
            base: connection.generation,
            fence: claimed.fence,
            resolves: true,
            verdict: Verdict::Later { status: None },
        };
        let call = || {
            self.store
                .fail(&connection.key, failure.clone(), SideEffects::none())
        };
        if let Err(error) = self.insist(PATIENCE, call).await {
            // The claim expires by itself.
            tracing::warn!(
                connection = %connection.key.id,
                %error,
                "a claim could not be released; it expires by itself"
            );
        }
    }
}

pub(super) fn busy() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "hub.connect",
        "another process is refreshing the connection; load the page again in a minute",
    )
    .with_retry(Retry::Backoff)
}
