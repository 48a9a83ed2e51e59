//! Claims for an exchange: nobody spends a connection's refresh token while its next grant is on its
//! way.

use std::time::Duration;

use connector_core::store::{
    ClaimId, ClaimKind, ClaimOutcome, ClaimRequest, Failure, Fence, GrantNumber, SideEffects,
    Stored, Verdict,
};
use connector_core::{ConnectionKey, Error, ErrorKind, Result, Retry};

use super::{ConnectFailure, PATIENCE};
use crate::flow::{ClaimMark, Purpose};
use crate::hub::Inner;

/// How long a claim for an exchange stands: that of a refresh (60 s), and three tries to identify
/// the account (15 s each, with their pauses). The connection's token is served meanwhile.
const HOLD: Duration = Duration::from_secs(120);
/// How long somebody else's claim is waited for: one whole hold of a refresh, and a little.
const CLAIM_PATIENCE: Duration = Duration::from_secs(65);
/// How often a claim is tried again.
const CLAIM_POLL: Duration = Duration::from_secs(1);

/// A claim for an exchange.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) claim_id: ClaimId,
    pub(super) fence: Fence,
    /// The row that the claim was decided on.
    pub(super) stored: Box<Stored>,
    /// The grant that was there when the code was exchanged.
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

/// How a wish for a claim ended.
pub(crate) enum ClaimEnd {
    Claimed(Claimed),
    /// Somebody else's stood all the time.
    Busy,
    /// There is no such connection any more.
    Gone,
}

impl Inner {
    /// Takes up the claim under which a quarantined answer was obtained, or makes it anew.
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

    /// Claims a connection for the exchange of a code, or for what an exchange brought. Somebody
    /// else's claim is waited for.
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
                // Whatever moved it was somebody's success, so this does not go on for ever; the
                // time is bounded all the same.
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

    /// Gives a claim back whose exchange certainly brought no credential, or one that is not used.
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
            // It ends by itself when its hold has passed.
            tracing::warn!(connection = %connection.key.id, %error, "a claim was not given back");
        }
    }
}

pub(super) fn busy() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "hub.connect",
        "the connection is being refreshed elsewhere; load the page again in a minute",
    )
    .with_retry(Retry::Backoff)
}
