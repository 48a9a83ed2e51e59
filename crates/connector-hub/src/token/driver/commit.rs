//! Store writes: new token pairs, failures, repairs after a restored backup, revocations.

use std::sync::Arc;
use std::time::Duration;

use connector_core::cipher::{Sealed, SealedKind};
use connector_core::clock::Timestamp;
use connector_core::provider::description::RefreshPolicy;
use connector_core::store::{
    Commit, CommitOutcome, Expect, Expiries, FailOutcome, Failure, Fence, Generation, GrantNumber,
    PutGrant, Revocation, SideEffects, TimeLeft, Verdict, WorkKind,
};
use connector_core::{DegradedReason, Event, ReauthorizationReason, Result, Status};

use super::{Driver, bug};
use crate::audit;
use crate::telemetry;
use crate::token::machine::{Action, Input};
use crate::token::renewal;

/// Number of consecutive failures after which a warning is logged.
const ALERT: u32 = 3;

impl Driver<'_> {
    async fn sealed_pair(
        &self,
        kind: SealedKind,
        grant: GrantNumber,
        fence: Fence,
    ) -> Result<(Sealed, Expiries)> {
        let Some(pair) = &self.pair else {
            return Err(bug("there is no new token pair"));
        };
        let sealed = self
            .inner
            .seal(&self.owner, kind, grant, fence, &pair.credential)
            .await?;
        Ok((sealed, pair.expiries))
    }

    fn pending(&self, fence: Fence) -> Result<(Sealed, Expiries)> {
        let pair = self.stored.pending.iter().find(|pair| pair.fence == fence);
        let pair = pair.ok_or_else(|| bug("there is no such pending token pair"))?;
        let expiries = Expiries {
            access: pair.access_left.map(TimeLeft::remaining),
            refresh: pair.refresh_left.map(TimeLeft::remaining),
        };
        Ok((pair.sealed.clone(), expiries))
    }

    pub(super) async fn commit(&mut self, action: Action) -> Result<Input> {
        let Action::Commit {
            number,
            grant,
            base,
            fence,
            rotates,
            takes_pending,
            retry_after,
        } = action
        else {
            return Err(bug("the machine requested no commit"));
        };
        let claim_id = self.timer(number)?;
        let (credential, expiries) = match takes_pending {
            Some(pending) => self.pending(pending)?,
            None => {
                self.sealed_pair(SealedKind::Credential, grant, fence)
                    .await?
            }
        };
        let commit = Commit {
            claim_id,
            grant,
            base,
            fence,
            credential,
            expiries,
            status: self.status_after_refresh(retry_after.is_some()),
            rotates,
            takes_pending,
        };
        let generation = base.next();
        let left = self.stored.current.as_ref().and_then(|it| it.refresh_left);
        let mut effects = self.work(expiries, left.map(TimeLeft::remaining));
        if let Some(pause) = retry_after {
            effects = effects.with_work(WorkKind::Refresh, pause);
        }
        effects = effects.with_audit(self.entry(Event::Refreshed { generation }));
        effects = self.with_status(effects, &commit.status);
        let outcome = self.inner.store.commit(&self.key, commit, effects).await?;
        if outcome == CommitOutcome::Stored && takes_pending.is_none() {
            self.committed = Some(generation);
        }
        Ok(Input::Committed(outcome))
    }

    /// Returns the scheduled work for the credential of a refresh.
    fn work(&self, expiries: Expiries, refresh_left: Option<Duration>) -> SideEffects {
        let description = self.connector.description();
        renewal::work(
            description,
            self.key.id,
            self.renewal(),
            expiries,
            refresh_left,
        )
    }

    fn status_after_refresh(&self, unusable: bool) -> Status {
        if self.mismatch {
            return Status::NeedsReauthorization(ReauthorizationReason::AccountMismatch);
        }
        if unusable {
            return Status::Degraded(DegradedReason::RefreshFailing);
        }
        if self.connector.description().identify_after_refresh {
            return Status::Degraded(DegradedReason::AccountUnverified);
        }
        // A refresh gives no information about other missing scopes.
        match &self.stored.connection.status {
            reduced @ Status::Degraded(DegradedReason::ScopesReduced) => reduced.clone(),
            _ => Status::Connected,
        }
    }

    pub(super) async fn fail(&mut self, action: Action) -> Result<Input> {
        let Action::Fail {
            number,
            grant,
            base,
            fence,
            resolves,
            verdict,
            retry_after,
        } = action
        else {
            return Err(bug("the machine requested no record of a failure"));
        };
        let failure = Failure {
            claim_id: self.timer(number)?,
            grant,
            base,
            fence,
            resolves,
            verdict,
        };
        let status = match &failure.verdict {
            Verdict::Later { status } => status.clone(),
            Verdict::GiveUp { reason } => Some(Status::NeedsReauthorization(*reason)),
        };
        let gives_up = matches!(failure.verdict, Verdict::GiveUp { .. });
        if !gives_up && self.stored.connection.failures + 1 == ALERT {
            tracing::error!(
                connector = self.stored.connection.provider.as_str(),
                connection = %self.key.id,
                failures = ALERT,
                "a connection could not be refreshed several times in a row; the refresh is \
                 retried"
            );
        }
        let on_demand = self.connector.description().refresh == RefreshPolicy::OnDemand;
        let mut effects = if gives_up {
            SideEffects::none()
                .without_work(WorkKind::Refresh)
                .without_work(WorkKind::KeepAlive)
        } else if on_demand && failure.resolves {
            SideEffects::none()
        } else {
            SideEffects::none().with_work(WorkKind::Refresh, retry_after)
        };
        if let Some(status) = status {
            let is_change = status != self.stored.connection.status;
            if let Some(failed) = self.failed.clone().filter(|_| is_change) {
                effects = effects.with_audit(self.entry(failed));
            }
            effects = self.with_status(effects, &status);
        }
        let reason = match &failure.verdict {
            Verdict::GiveUp { reason } => Some(reason.as_str()),
            Verdict::Later { .. } => None,
        };
        let outcome = self.inner.store.fail(&self.key, failure, effects).await?;
        if let (FailOutcome::Applied, Some(reason)) = (&outcome, reason) {
            let provider = self.stored.connection.provider.as_str();
            telemetry::count(telemetry::ENDED_GRANTS, &[provider, reason]);
        }
        if let FailOutcome::Moved(stored) | FailOutcome::PendingLeft(stored) = &outcome {
            self.adopt((**stored).clone()).await?;
        }
        Ok(Input::Recorded(outcome))
    }

    pub(super) async fn write_back(
        &self,
        expect: Generation,
        grant: GrantNumber,
        generation: Generation,
        fence: Fence,
    ) -> Result<Input> {
        let (credential, expiries) = match (&self.pair, self.inner.cache.held(&self.key)) {
            (Some(pair), _) => (Arc::new(pair.credential.clone()), pair.expiries),
            (None, Some(held)) => {
                let now = self.inner.clock.now();
                let left = |end: Option<Timestamp>| end.map(|end| end.since(now));
                let expiries = Expiries {
                    access: left(held.expires_at()),
                    refresh: left(held.refresh_expires_at()),
                };
                (held, expiries)
            }
            (None, None) => return Err(bug("there is no credential to write back")),
        };
        let kind = SealedKind::Credential;
        let sealed = self
            .inner
            .seal(&self.owner, kind, grant, fence, &credential)
            .await?;
        let connection = &self.stored.connection;
        let put = PutGrant {
            key: self.key.clone(),
            provider: connection.provider.clone(),
            app: connection.app.clone(),
            account: connection.account.clone(),
            expect: Expect::At(expect),
            grant,
            generation,
            fence,
            credential: sealed,
            expiries,
            status: self.status_after_refresh(false),
            metadata: connection.metadata.clone(),
            takes: None,
        };
        let entry = self.entry(Event::Refreshed { generation });
        let effects = self.work(expiries, None).with_audit(entry);
        let outcome = self.inner.store.put_grant(put, effects).await?;
        Ok(Input::WrittenBack(outcome))
    }

    pub(super) async fn revoke(&self, grant: GrantNumber, fence: Fence) -> Result<Input> {
        let (sealed, _) = self
            .sealed_pair(SealedKind::Revocation, grant, fence)
            .await?;
        let connection = &self.stored.connection;
        let revocation = Revocation {
            key: self.key.clone(),
            provider: connection.provider.clone(),
            app: connection.app.clone(),
            account: connection.account.key.clone(),
            grant,
            fence,
            sealed,
        };
        let effects = SideEffects::none().with_work(WorkKind::Revocation, Duration::ZERO);
        self.inner
            .store
            .queue_revocation(revocation, effects)
            .await?;
        Ok(Input::Revoked)
    }

    /// Adds the audit entry for a change of the status to `to`.
    pub(super) fn with_status(&self, effects: SideEffects, to: &Status) -> SideEffects {
        match audit::status_changed(&self.stored.connection, to, &self.context) {
            Some(entry) => effects.with_audit(entry),
            None => effects,
        }
    }

    fn entry(&self, event: Event) -> connector_core::AuditEntry {
        audit::entry(&self.stored.connection, &self.context, event)
    }
}
