//! The database row of an in-flight refresh, with its credential and its token, and the rules for
//! their use.

use std::sync::Arc;
use std::time::Duration;

use connector_core::provider::Renewal;
use connector_core::provider::oauth::RotationClass;
use connector_core::store::{Generation, IssuedToken, Phase, Stored};
use connector_core::{Credential, DegradedReason, ReauthorizationReason, Result, Status};

use super::Driver;
use crate::token::cache::Arrival;
use crate::token::machine::{effective, is_within_grace};
use crate::token::renewal;

/// Returns true for statuses in which the credential must not be used for calls. An unexpired token
/// of a grant that can no longer be refreshed is still returned.
fn withholds(status: &Status) -> bool {
    matches!(
        status,
        Status::NeedsReauthorization(
            ReauthorizationReason::Rejected
                | ReauthorizationReason::NonExpiringToken
                | ReauthorizationReason::AccountMismatch
        ) | Status::Degraded(DegradedReason::AccountUnverified)
    )
}

impl Driver<'_> {
    pub(super) fn generation(&self) -> Generation {
        self.stored.connection.generation
    }

    pub(super) fn credential(&self) -> Option<&Arc<Credential>> {
        self.current.as_ref().map(|(_, credential)| credential)
    }

    /// Opens the row's credential, unless it is open already.
    pub(super) async fn open_current(&mut self) -> Result<()> {
        let Some(stored) = &self.stored.current else {
            self.current = None;
            return Ok(());
        };
        if self
            .current
            .as_ref()
            .is_some_and(|(generation, _)| *generation == stored.generation)
        {
            return Ok(());
        }
        let credential = self.inner.open_stored(&self.owner, stored).await?;
        self.current = Some((stored.generation, Arc::new(credential)));
        Ok(())
    }

    /// Replaces the row with one that the store returned, and makes its token available.
    pub(super) async fn adopt(&mut self, stored: Stored) -> Result<()> {
        self.stored = stored;
        self.open_current().await?;
        if !self.is_behind() {
            self.publish();
        }
        Ok(())
    }

    /// Reads the row again and makes its token available. Returns false if the store is
    /// unavailable.
    pub(super) async fn reload(&mut self) -> bool {
        match self.inner.store.load(&self.key).await {
            Ok(Some(stored)) => self.adopt(stored).await.is_ok(),
            _ => false,
        }
    }

    /// Returns true if the row is older than the newest state that this process has used.
    pub(super) fn is_behind(&self) -> bool {
        let connection = &self.stored.connection;
        self.inner.cache.mark(&self.key).is_some_and(|mark| {
            (connection.grant, connection.generation) < (mark.grant, mark.generation)
        })
    }

    pub(super) fn renewal(&self) -> Renewal {
        self.credential()
            .map_or(Renewal::Never, |it| self.connector.renewal(it))
    }

    pub(super) fn is_refreshable(&self) -> bool {
        self.renewal() != Renewal::Never
    }

    /// Returns true if a renewal uses no refresh token, so that there is no refresh token to use
    /// before it expires.
    pub(super) fn is_minted(&self) -> bool {
        self.renewal() == Renewal::Mint
    }

    /// Returns the rotation class of this credential.
    pub(super) fn class(&self) -> RotationClass {
        if self.is_minted() {
            return RotationClass::Stable;
        }
        self.connector.description().rotation
    }

    /// Returns true if the refresh token must be sent again now. This is the case if the response
    /// to an earlier request with it may have been lost and the provider's grace period has not
    /// ended. Waiting would lose the grant.
    pub(super) fn owes_resend(&self) -> bool {
        self.stored.claim.as_ref().is_some_and(|claim| {
            claim.generation == self.generation()
                && is_within_grace(effective(self.class()), claim) == Some(true)
        })
    }

    fn issued(&self) -> Option<IssuedToken> {
        let stored = self.stored.current.as_ref()?;
        let credential = self.credential()?;
        let deadlines = stored.access_left.map(|left| {
            let left = left.remaining();
            let life = renewal::lifetime(credential).unwrap_or(left);
            let description = self.connector.description();
            renewal::windows(description, life, self.key.id).deadlines(&*self.inner.clock, left)
        });
        Some(IssuedToken::new(
            credential,
            stored.grant,
            stored.generation,
            deadlines,
        ))
    }

    pub(super) fn phase(&self) -> Option<Phase> {
        let clock = &self.inner.clock;
        Some(self.issued()?.phase(clock.monotonic(), clock.now()))
    }

    fn is_withheld(&self) -> bool {
        withholds(&self.stored.connection.status)
    }

    /// Returns true if the row's token may be returned to callers.
    pub(super) fn is_good(&self) -> bool {
        !self.is_withheld() && self.phase().is_some_and(|phase| phase < Phase::Mandatory)
    }

    /// Returns true if the row's token is valid and its refresh is not due yet.
    pub(super) fn is_fresh(&self) -> bool {
        !self.is_withheld() && self.phase() == Some(Phase::Good)
    }

    /// Returns the age of the row's token. The age is exact only if this node's clock agrees with
    /// the clock of the node that obtained the token.
    pub(super) fn age(&self) -> Duration {
        let obtained = self.credential().map(|it| it.obtained_at());
        obtained.map_or(Duration::ZERO, |at| self.inner.clock.now().since(at))
    }

    /// Makes the row's token available to callers.
    pub(super) fn publish(&self) {
        if self.is_withheld() {
            self.inner.cache.forget(&self.key);
            return;
        }
        let (Some(issued), Some(credential), Some(stored)) =
            (self.issued(), self.credential(), &self.stored.current)
        else {
            return;
        };
        let arrival = Arrival {
            issued,
            fence: stored.fence,
            credential: Arc::clone(credential),
        };
        self.inner.cache.put(&self.key, arrival, &*self.inner.clock);
    }

    /// Returns true if the credential was issued to a client id other than the configured one. Such
    /// a credential must not be sent.
    pub(super) fn is_foreign(&self) -> bool {
        match (self.credential(), &self.app) {
            (Some(credential), Some(app)) => credential
                .client_id()
                .is_some_and(|id| id != app.client_id()),
            _ => false,
        }
    }
}
