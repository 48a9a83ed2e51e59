//! Revocation of disconnected grants at the provider.

use std::sync::Arc;
use std::time::Duration;

use connector_core::cipher::SealedKind;
use connector_core::provider::description::{Description, RevocationReach};
use connector_core::provider::oauth::ExchangeClass;
use connector_core::provider::{Connector, Context};
use connector_core::store::Revocation;
use connector_core::webhook::AccountHint;
use connector_core::{ConnectionKey, Credential, ErrorKind, Event, Result};
use secrecy::{ExposeSecret, SecretString};

use super::slots::slot_host;
use super::{Next, Shared, doubled, lock};
use crate::audit;
use crate::hub::Inner;
use crate::sealing::SealOwner;
use crate::token::windows::share;

/// Timeout of one request.
const DEADLINE: Duration = Duration::from_secs(20);
/// Pause after the first failure. It doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// Maximum pause: a revocation is retried at least daily.
const MAX_PAUSE: Duration = Duration::from_secs(86_400);
/// Pause while the connection's channels are being deleted.
const CHANNELS_FIRST: Duration = Duration::from_secs(15);
/// Maximum number of connections with failures in memory.
const REMEMBERED: usize = 100_000;

enum Attempt {
    /// The tokens within the reach of the revocation are revoked, or there was nothing to revoke.
    Revoked(RevocationReach),
    /// The grant must not or cannot be revoked.
    Skipped(&'static str),
    /// The revocation is retried.
    Later,
}

impl Shared {
    pub(super) async fn revoke(&self, key: &ConnectionKey) -> Result<Next> {
        let inner = &self.hub.inner;
        // The channels need the grant, so they are deleted before the grant is revoked. The number
        // of their attempts is limited.
        if !inner.store.endings(key, 1).await?.is_empty() {
            return Ok(Next::In(CHANNELS_FIRST));
        }
        let mut failed = false;
        for revocation in inner.store.revocations(key).await? {
            let event = match self.attempt(&revocation).await? {
                Attempt::Revoked(reach) => Event::Revoked { reach },
                Attempt::Skipped(reason) => Event::RevocationSkipped {
                    reason: reason.to_owned(),
                },
                Attempt::Later => {
                    failed = true;
                    continue;
                }
            };
            // The entry is written first. If the process dies in between, the entry is written
            // twice rather than not at all.
            let context = Inner::worker_context(key);
            let entry = audit::entry(&revocation, &context, event);
            inner.store.append(entry).await?;
            inner.store.revoked(key, revocation.fence).await?;
        }
        let mut attempts = lock(&self.attempts);
        if !failed {
            attempts.remove(key);
            return Ok(Next::Done);
        }
        if attempts.len() >= REMEMBERED {
            attempts.clear();
        }
        let attempt = attempts.entry(key.clone()).or_default();
        let pause = pause(*attempt);
        *attempt = attempt.saturating_add(1);
        if pause == MAX_PAUSE {
            tracing::error!(
                operation = "worker.revoke",
                connection = %key.id,
                "a disconnected grant is still valid at its provider; its revocation is retried \
                 daily"
            );
        }
        Ok(Next::In(pause + share(pause / 10, key.id)))
    }

    async fn attempt(&self, revocation: &Revocation) -> Result<Attempt> {
        let inner = &self.hub.inner;
        let (key, provider, app) = (&revocation.key, &revocation.provider, &revocation.app);
        let later = |error: &connector_core::Error| {
            tracing::warn!(
                operation = "worker.revoke",
                connector = provider.as_str(),
                connection = %key.id,
                error = %error,
                "a grant could not be revoked; the revocation is retried"
            );
            Ok(Attempt::Later)
        };
        let connector = match inner.connector(provider) {
            Ok(connector) => Arc::clone(connector),
            Err(error) => return later(&error),
        };
        let owner = SealOwner::new(key.clone(), provider.clone(), app.clone());
        let opened = inner
            .open(
                &owner,
                SealedKind::Revocation,
                revocation.grant,
                revocation.fence,
                &revocation.sealed,
            )
            .await;
        let credential = match opened {
            Ok(credential) => credential,
            Err(error) => return later(&error),
        };
        if self.is_shared(revocation, &*connector, &credential).await? {
            return Ok(Attempt::Skipped("shared"));
        }
        let name = app;
        let app = match inner.app(provider, &key.tenant, name).await {
            Ok(app) => app,
            Err(error) => return later(&error),
        };
        if credential
            .client_id()
            .is_some_and(|id| id != app.client_id())
        {
            tracing::warn!(
                operation = "worker.revoke",
                connector = provider.as_str(),
                connection = %key.id,
                "the grant was issued to a client id other than the configured one; it cannot be \
                 revoked with this configuration"
            );
            return Ok(Attempt::Later);
        }
        let host = slot_host(connector.description(), credential.account_host());
        let Some(_slot) = self.slots.take(provider, host).await else {
            return Ok(Attempt::Later);
        };
        let limits = inner.limits_of(&*connector, &key.tenant, name, &app, &revocation.account);
        let limits = match limits.await {
            Ok(limits) => limits,
            Err(error) => return later(&error),
        };
        let cx = Context::new(&app, &*inner.transport, &*inner.clock).with_limits(&limits);
        let answer = tokio::select! {
            biased;
            answer = connector.revoke(&cx, &credential) => answer,
            () = inner.clock.sleep(DEADLINE) => return Ok(Attempt::Later),
        };
        let reach = reach(connector.description());
        match answer {
            Ok(()) => Ok(Attempt::Revoked(reach)),
            Err(error) if error.class() == ExchangeClass::DeadGrant => Ok(Attempt::Revoked(reach)),
            Err(error) if error.error().kind() == ErrorKind::Unsupported => {
                Ok(Attempt::Skipped("unsupported"))
            }
            Err(error) => later(error.error()),
        }
    }

    /// Returns true if the revocation would also end an active connection.
    async fn is_shared(
        &self,
        revocation: &Revocation,
        connector: &dyn Connector,
        credential: &Credential,
    ) -> Result<bool> {
        let inner = &self.hub.inner;
        let description = connector.description();
        let own = inner.store.load(&revocation.key).await?;
        let own = own.filter(|stored| stored.connection.is_live());
        if reach(description) != RevocationReach::Account {
            // Some providers return the same grant when an account is connected again.
            let Some(stored) = own else {
                return Ok(false);
            };
            let owner = SealOwner::of(&stored);
            return match &stored.current {
                Some(current) => {
                    let living = inner.open_stored(&owner, current).await?;
                    Ok(same_grant(&living, credential))
                }
                None => Ok(false),
            };
        }
        if own.is_some() {
            return Ok(true);
        }
        let Revocation {
            provider,
            app,
            account,
            ..
        } = revocation;
        let hint = AccountHint::Key(account.clone());
        let family = description.revocation.as_ref();
        let family = family.and_then(|endpoint| endpoint.family.as_deref());
        // One authorization server may serve several connectors with one client id.
        for provider in inner.family(provider, family) {
            if !inner.connections_of(provider, app, &hint).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn reach(description: &Description) -> RevocationReach {
    let endpoint = description.revocation.as_ref();
    endpoint.map_or(RevocationReach::Account, |endpoint| endpoint.reach)
}

fn same_grant(living: &Credential, ended: &Credential) -> bool {
    let same = |a: Option<&SecretString>, b: Option<&SecretString>| {
        a.is_some() && a.map(ExposeSecret::expose_secret) == b.map(ExposeSecret::expose_secret)
    };
    same(living.refresh_token(), ended.refresh_token())
        || same(Some(living.secret()), Some(ended.secret()))
}

/// Returns the pause: 1, 2, 4, 8 minutes and so on, up to a day.
fn pause(attempt: u32) -> Duration {
    doubled(FIRST_PAUSE, attempt, MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_day_and_no_further() {
        let minutes: Vec<u64> = (0..4).map(|it| pause(it).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8]);
        assert_eq!(pause(11), MAX_PAUSE);
        assert_eq!(pause(u32::MAX), MAX_PAUSE);
    }
}
