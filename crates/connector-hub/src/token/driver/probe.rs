//! Account identification after the API refused fresh tokens, and after every refresh if the
//! connector requires it.

use std::time::Duration;

use connector_core::provider::Context;
use connector_core::store::{Patch, Phase, SideEffects, UpdateOutcome};
use connector_core::{
    CredentialKind, DegradedReason, ErrorKind, ReauthorizationReason, Result, Status,
};

use super::Driver;
use super::flight::RefreshTrigger;
use crate::account::identify;
use crate::token::cache::Rest;
use crate::token::outcome::{NoToken, NoTokenReason, RefreshOutcome};

/// Pause after a successful probe with a token that the API refuses.
const PROBE_EVERY: Duration = Duration::from_secs(480);
/// Pause after the account could not be identified.
const IDENTIFY_AGAIN: Duration = Duration::from_secs(30);
/// Deadline for identifying an account once.
const IDENTIFY_WITHIN: Duration = Duration::from_secs(15);

impl Driver<'_> {
    async fn identify(&self) -> Result<connector_core::AccountKey> {
        let Some(credential) = self.credential() else {
            return Err(super::bug("there is no credential to identify"));
        };
        let connection = &self.stored.connection;
        let app = self
            .inner
            .app(&connection.provider, &self.key.tenant, &connection.app)
            .await?;
        let clock = &*self.inner.clock;
        let (name, account) = (&connection.app, &connection.account.key);
        let limits = self
            .inner
            .limits_of(&*self.connector, &self.key.tenant, name, &app, account);
        let limits = limits.await?;
        let cx = Context::new(&app, &*self.inner.transport, clock).with_limits(&limits);
        tokio::select! {
            biased;
            identity = identify(&*self.connector, &cx, credential) => Ok(identity?.account.key),
            () = clock.sleep(IDENTIFY_WITHIN) => Err(connector_core::Error::new(
                ErrorKind::Timeout,
                "token.identify",
                "the provider did not respond in time; try again later",
            )),
        }
    }

    /// Identifies the account of a row whose credential has not been identified since its refresh.
    /// Returns the reason if the token must not be returned to callers; otherwise `None`.
    pub(super) async fn verify_account(&mut self) -> Option<NoToken> {
        let unverified = Status::Degraded(DegradedReason::AccountUnverified);
        let mismatch = ReauthorizationReason::AccountMismatch;
        let status = &self.stored.connection.status;
        if *status == Status::NeedsReauthorization(mismatch) && self.committed.is_some() {
            let reason = NoTokenReason::NeedsReauthorization(mismatch);
            return Some(NoToken::finally(reason));
        }
        // An expired token cannot identify an account, so it is refreshed first.
        if *status != unverified || self.phase() == Some(Phase::Expired) {
            return None;
        }
        let to = match self.identify().await {
            Ok(account) if account == self.stored.connection.account.key => Status::Connected,
            Ok(_) => Status::NeedsReauthorization(mismatch),
            Err(error) => {
                tracing::warn!(
                    operation = "token.identify",
                    connection = %self.key.id,
                    error = %error,
                    "the account of a new credential could not be identified; the credential is \
                     withheld"
                );
                let reason = NoTokenReason::AccountUnverified;
                return Some(NoToken::later(reason, IDENTIFY_AGAIN));
            }
        };
        if to != Status::Connected {
            tracing::error!(
                operation = "token.identify",
                connector = self.stored.connection.provider.as_str(),
                connection = %self.key.id,
                "the provider returned tokens of another account on refresh; the tokens are \
                 withheld"
            );
        }
        self.set_status(to).await;
        // The current row decides, even if another process wrote it.
        if !self.reload().await {
            return Some(super::store_unavailable());
        }
        match &self.stored.connection.status {
            Status::NeedsReauthorization(reason) => {
                let reason = NoTokenReason::NeedsReauthorization(*reason);
                Some(NoToken::finally(reason))
            }
            status if *status == unverified => {
                let reason = NoTokenReason::AccountUnverified;
                Some(NoToken::later(reason, IDENTIFY_AGAIN))
            }
            _ => None,
        }
    }

    /// Asks the provider for the account of the credential after the API has refused several
    /// consecutive fresh tokens.
    pub(super) async fn probe(&self) -> RefreshOutcome {
        let reason = NoTokenReason::Unauthorized;
        let rest = Rest {
            until: self.inner.clock.monotonic().after(PROBE_EVERY),
            reason,
        };
        self.inner.cache.rest(&self.key, self.generation(), rest);
        match self.identify().await {
            Err(error) if error.kind() == ErrorKind::Unauthorized => {
                let reason = ReauthorizationReason::Rejected;
                self.inner.cache.forget(&self.key);
                self.set_status(Status::NeedsReauthorization(reason)).await;
                NoToken::finally(NoTokenReason::NeedsReauthorization(reason)).into()
            }
            _ => NoToken::later(reason, PROBE_EVERY).into(),
        }
    }

    /// Returns the outcome of a flight for a credential that cannot be renewed.
    pub(super) async fn unrefreshable(&self, trigger: &RefreshTrigger) -> RefreshOutcome {
        if let Status::NeedsReauthorization(reason) = self.stored.connection.status {
            return NoToken::finally(NoTokenReason::NeedsReauthorization(reason)).into();
        }
        match trigger {
            // A secret URL is identified without a request. Only a call shows that the URL has ended.
            RefreshTrigger::Rejected(_) if self.is_secret_url() => {
                let reason = ReauthorizationReason::Rejected;
                self.inner.cache.forget(&self.key);
                self.set_status(Status::NeedsReauthorization(reason)).await;
                return NoToken::finally(NoTokenReason::NeedsReauthorization(reason)).into();
            }
            RefreshTrigger::Rejected(_) => return self.probe().await,
            RefreshTrigger::Force(_) => {
                let message = "the credential cannot be renewed; connect the account again";
                let reason = NoTokenReason::Failed(ErrorKind::Unsupported, message);
                return NoToken::finally(reason).into();
            }
            _ => {}
        }
        if self.phase() != Some(Phase::Expired) {
            return RefreshOutcome::Current;
        }
        let reason = ReauthorizationReason::NotRefreshable;
        self.set_status(Status::NeedsReauthorization(reason)).await;
        NoToken::finally(NoTokenReason::NeedsReauthorization(reason)).into()
    }

    fn is_secret_url(&self) -> bool {
        self.credential()
            .is_some_and(|it| it.kind() == CredentialKind::SecretUrl)
    }

    pub(super) async fn note_unauthorized(&self) {
        let status = Status::Degraded(DegradedReason::Unauthorized);
        self.set_status(status).await;
    }

    /// Sets the status without an exchange. Changes nothing if another process has changed the row
    /// in the meantime, because that process has newer information.
    async fn set_status(&self, status: Status) {
        if self.stored.connection.status == status {
            return;
        }
        let effects = self.with_status(SideEffects::none(), &status);
        let patch = Patch {
            status: Some(status),
            ..Patch::default()
        };
        let version = self.stored.connection.version;
        match self
            .inner
            .store
            .update(&self.key, version, patch, effects)
            .await
        {
            Ok(UpdateOutcome::Updated(_) | UpdateOutcome::Moved(_) | UpdateOutcome::Missing) => {}
            Err(error) => {
                tracing::warn!(
                    operation = "token.status",
                    error = %error,
                    "the status of a connection could not be recorded"
                );
            }
        }
    }
}
