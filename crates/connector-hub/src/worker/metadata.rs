//! Refreshing account metadata.

use std::time::Duration;

use connector_core::store::{Patch, SideEffects, Stored};
use connector_core::{ConnectionKey, Error, ErrorKind, ReauthorizationReason, Result, Status};

use super::slots::slot_host;
use super::{Next, Shared};
use crate::audit;
use crate::hub::Inner;
use crate::token::windows::share;

/// Retry delay if no slot is free.
const NO_SLOT: Duration = Duration::from_secs(30);

impl Shared {
    pub(super) async fn read_metadata(&self, key: &ConnectionKey) -> Result<Next> {
        let inner = &self.hub.inner;
        let Some(stored) = inner.store.load(key).await? else {
            return Ok(Next::Done);
        };
        if !stored.connection.is_live() {
            return Ok(Next::Done);
        }
        // Jittered, so that accounts that were connected together are not read together.
        let provider = &stored.connection.provider;
        let description = inner.connector(provider)?.description();
        let every = description.metadata_interval();
        let again = Next::In(every + share(every / 10, key.id));
        let host = slot_host(description, stored.connection.account.host.as_deref());
        let Some(_slot) = self.metadata_slots.take(provider, host).await else {
            return Ok(Next::In(NO_SLOT));
        };
        let (identity, generation) = match self.hub.identify(key, &stored).await {
            Ok(identified) => identified,
            Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(Next::Done),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Next::Done),
            Err(error) if error.reauthorization().is_some() => {
                self.note_over(key, &error).await?;
                return Ok(again);
            }
            Err(error) => {
                tracing::info!(
                    operation = "worker.metadata",
                    connection = %key.id,
                    error = %error,
                    "the account's metadata could not be read"
                );
                return Ok(again);
            }
        };
        if identity.account.key != stored.connection.account.key {
            tracing::error!(
                operation = "worker.metadata",
                connection = %key.id,
                "the credential does not belong to the connection's account; its tokens are \
                 withheld"
            );
            self.note(key, ReauthorizationReason::AccountMismatch)
                .await?;
            inner.cache.forget(key);
            return Ok(again);
        }
        let metadata = identity.metadata;
        inner
            .patch(key, |stored| {
                let label = identity.account.label.clone();
                let patch = Patch {
                    label: label.filter(|it| stored.connection.account.label.as_ref() != Some(it)),
                    metadata: (!metadata.is_empty()).then(|| metadata.clone()),
                    confirmed: Some(generation),
                    ..Patch::default()
                };
                (patch, SideEffects::none())
            })
            .await?;
        Ok(again)
    }

    /// Records that only the account's owner can restore the connection, as shown by the provider's
    /// response.
    async fn note_over(&self, key: &ConnectionKey, error: &Error) -> Result<()> {
        let Some(reason) = error.reauthorization() else {
            return Ok(());
        };
        tracing::warn!(
            operation = "worker.metadata",
            connection = %key.id,
            error = %error,
            "the account's owner must authorize the connection again"
        );
        self.note(key, reason).await
    }

    async fn note(&self, key: &ConnectionKey, reason: ReauthorizationReason) -> Result<()> {
        let inner = &self.hub.inner;
        let context = Inner::worker_context(key);
        let to = Status::NeedsReauthorization(reason);
        let record = |stored: &Stored| {
            let Some(entry) = audit::status_changed(&stored.connection, &to, &context) else {
                return (Patch::default(), SideEffects::none());
            };
            let patch = Patch {
                status: Some(to.clone()),
                ..Patch::default()
            };
            (patch, SideEffects::none().with_audit(entry))
        };
        inner.patch(key, record).await
    }
}
