//! Disconnects connections.

use std::future::IntoFuture;
use std::time::Duration;

use connector_core::cipher::SealedKind;
use connector_core::store::{
    End, EndOutcome, EndRequest, Fence, GrantNumber, NewRevocation, SideEffects, Stored, WorkKind,
};
use connector_core::{
    ConnectionKey, Credential, CredentialKind, Error, ErrorKind, Event, RequestContext, Result,
    Retry,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::audit;
use crate::hub::{Hub, not_found};
use crate::sealing::SealOwner;

const OPERATION: &str = "hub.disconnect";
/// Maximum number of attempts to update a connection that changes concurrently.
const ATTEMPTS: usize = 16;

impl Hub {
    /// Disconnects a connection. When the call returns, the connection's credential can no longer
    /// be used. The worker then revokes the grant at the provider, and retries until the revocation
    /// succeeds. The connection's subscriptions also end. Before the worker revokes the grant, it
    /// deletes their channels at the provider. If five attempts within 15 minutes fail, the worker
    /// stops trying, and the channel expires at the provider.
    ///
    /// The connection's record and history remain. If the same account is connected again, the same
    /// connection becomes active again. Disconnecting an ended connection changes nothing.
    ///
    /// ```no_run
    /// # async fn example(hub: connector_hub::Hub, key: connector_core::ConnectionKey,
    /// #     context: connector_core::RequestContext) -> connector_core::Result<()> {
    /// hub.disconnect(&key, context).forget().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn disconnect<'a>(
        &'a self,
        key: &'a ConnectionKey,
        context: RequestContext,
    ) -> Disconnect<'a> {
        Disconnect {
            hub: self,
            key,
            context,
            how: End::Deactivate,
            revokes: true,
        }
    }
}

/// A builder that disconnects a connection. Await it.
///
/// # Errors
/// * [`ErrorKind::NotFound`] if the connection does not exist.
/// * [`ErrorKind::StoreUnavailable`]: retry the call.
/// * [`ErrorKind::KeyUnknown`] and [`ErrorKind::Unsealable`] if the credential cannot be opened for
///   its revocation. [`Disconnect::without_revocation`] ends the connection anyway.
/// * [`ErrorKind::ShuttingDown`] after [`Hub::shutdown`].
#[derive(Debug)]
#[must_use = "the builder does nothing until it is awaited"]
pub struct Disconnect<'a> {
    hub: &'a Hub,
    key: &'a ConnectionKey,
    context: RequestContext,
    how: End,
    revokes: bool,
}

impl Disconnect<'_> {
    /// Also deletes the connection's record. The audit log is kept. The queued revocation is kept
    /// until it succeeds.
    pub fn forget(mut self) -> Self {
        self.how = End::Forget;
        self
    }

    /// Skips the revocation. The grant remains valid at the provider until its owner ends it.
    pub fn without_revocation(mut self) -> Self {
        self.revokes = false;
        self
    }

    async fn run(self) -> Result<()> {
        let inner = &self.hub.inner;
        let _under_way = inner.enlist(OPERATION)?;
        let stored = inner.store.load(self.key).await?;
        let mut stored = stored.ok_or_else(|| not_found(OPERATION))?;
        for _ in 0..ATTEMPTS {
            if !stored.connection.is_live() && self.how == End::Deactivate {
                return Ok(());
            }
            let grant = stored.connection.grant;
            let request = EndRequest {
                how: self.how,
                at: Some(stored.connection.generation),
                revoke: self.revocations(&stored).await?,
                unsubscribe: inner.ending_credential(&stored).await?,
            };
            let mut effects = self.effects(&stored, !request.revoke.is_empty());
            if request.unsubscribe.is_some() {
                effects = effects.with_work(WorkKind::Subscriptions, Duration::ZERO);
            }
            match inner.store.end(self.key, request, effects).await? {
                EndOutcome::Ended | EndOutcome::AlreadyEnded => {
                    self.forget_tokens(grant);
                    return Ok(());
                }
                EndOutcome::Moved(moved) => stored = *moved,
                EndOutcome::Missing => return Err(not_found(OPERATION)),
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            OPERATION,
            "the connection kept changing concurrently; retry the call",
        )
        .with_retry(Retry::Backoff))
    }

    fn forget_tokens(&self, grant: GrantNumber) {
        self.hub
            .inner
            .cache
            .end(self.key, grant, &*self.hub.inner.clock);
    }

    /// Returns the credentials to revoke, which are the current credential and all pending
    /// credentials.
    async fn revocations(&self, stored: &Stored) -> Result<Vec<NewRevocation>> {
        let mut revocations = Vec::new();
        if !self.revokes {
            return Ok(revocations);
        }
        let owner = SealOwner::of(stored);
        if let Some(current) = &stored.current {
            let credential = self.hub.inner.open_stored(&owner, current).await?;
            let place = (current.grant, current.fence);
            revocations.extend(self.seal(&owner, place, &credential).await?);
        }
        for pending in &stored.pending {
            let credential = self.hub.inner.open_pending(&owner, pending).await?;
            let place = (pending.grant, pending.fence);
            revocations.extend(self.seal(&owner, place, &credential).await?);
        }
        Ok(revocations)
    }

    async fn seal(
        &self,
        owner: &SealOwner,
        (grant, fence): (GrantNumber, Fence),
        credential: &Credential,
    ) -> Result<Option<NewRevocation>> {
        if credential.kind() != CredentialKind::OAuth {
            return Ok(None);
        }
        let kind = SealedKind::Revocation;
        let sealed = self
            .hub
            .inner
            .seal(owner, kind, grant, fence, credential)
            .await?;
        Ok(Some(NewRevocation {
            grant,
            fence,
            sealed,
        }))
    }

    fn effects(&self, stored: &Stored, revokes: bool) -> SideEffects {
        let event = Event::Disconnected {
            forgotten: self.how == End::Forget,
        };
        let entry = audit::entry(&stored.connection, &self.context, event);
        let effects = SideEffects::none().with_audit(entry);
        if revokes {
            effects.with_work(WorkKind::Revocation, Duration::ZERO)
        } else {
            effects
        }
    }
}

impl<'a> IntoFuture for Disconnect<'a> {
    type Output = Result<()>;
    type IntoFuture = BoxFuture<'a, Result<()>>;

    fn into_future(self) -> Self::IntoFuture {
        self.run().boxed()
    }
}
