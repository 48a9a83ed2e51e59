//! Connection tests on demand, and access to the stored account data.

use std::sync::Arc;

use connector_core::provider::Context;
use connector_core::provider::oauth::Identity;
use connector_core::store::{Generation, Patch, SideEffects, Stored, UpdateOutcome};
use connector_core::{
    ConnectionKey, DegradedReason, Error, ErrorKind, ReauthorizationReason, RequestContext, Result,
    Retry, Status,
};

use crate::account::identify;
use crate::audit;
use crate::hub::{Hub, Inner, not_found};

const OPERATION: &str = "hub.check";
/// Maximum number of attempts to update a record that changes concurrently.
const ATTEMPTS: usize = 16;

/// The result of a connection test.
#[derive(Debug)]
#[non_exhaustive]
pub enum CheckOutcome {
    /// The provider accepted the credential and returned the connection's account.
    Works,
    /// The provider accepted the credential and returned another account.
    OtherAccount,
    /// The credential could not be tested, or the provider refused the credential. The error
    /// contains the reason, and whether the owner must act.
    Failed(Error),
}

impl CheckOutcome {
    /// Returns true if the connection works.
    #[must_use]
    pub const fn works(&self) -> bool {
        matches!(self, Self::Works)
    }

    /// Returns the error name to record; `None` if the test succeeded.
    fn error(&self) -> Option<String> {
        match self {
            Self::Works => None,
            Self::OtherAccount => Some("other_account".to_owned()),
            Self::Failed(error) => Some(error.kind().as_str().to_owned()),
        }
    }
}

impl Hub {
    /// Tests a connection now: asks the provider for the account of the credential. The time and
    /// the result are stored with the connection.
    ///
    /// If the provider refuses the access token, the hub refreshes the token once, as for any other
    /// call. The result can change the status of the connection:
    /// * A success restores a connection that was degraded because its token was refused.
    /// * After a failure that only the owner can correct, the connection needs a new authorization.
    /// * If the credential belongs to another account, the connection also needs a new
    ///   authorization, and the hub no longer returns its tokens.
    ///
    /// # Errors
    /// * [`ErrorKind::NotFound`] if the connection does not exist or was disconnected.
    /// * [`ErrorKind::Unsupported`] if the provider does not identify accounts.
    /// * [`ErrorKind::StoreUnavailable`] if the result cannot be recorded: retry the call.
    /// * [`ErrorKind::ShuttingDown`] after [`Hub::shutdown`].
    ///
    /// Every other failure is returned as a result: [`CheckOutcome::Failed`].
    pub async fn check(
        &self,
        key: &ConnectionKey,
        context: RequestContext,
    ) -> Result<CheckOutcome> {
        self.inner.accepting(OPERATION)?;
        let stored = self.inner.store.load(key).await?;
        let stored = stored.filter(|stored| stored.connection.is_live());
        let stored = stored.ok_or_else(|| not_found(OPERATION))?;
        let (outcome, generation) = match self.identify(key, &stored).await {
            Ok((identity, generation)) => {
                let right = identity.account.key == stored.connection.account.key;
                let outcome = if right {
                    CheckOutcome::Works
                } else {
                    CheckOutcome::OtherAccount
                };
                (outcome, Some(generation))
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => return Err(error),
            Err(error) => (CheckOutcome::Failed(error), None),
        };
        let (works, error) = (outcome.works(), outcome.error());
        let over = match &outcome {
            CheckOutcome::Failed(error) => error.reauthorization(),
            CheckOutcome::OtherAccount => Some(ReauthorizationReason::AccountMismatch),
            _ => None,
        };
        let record = |stored: &Stored| {
            let from = &stored.connection.status;
            let well = works && *from == Status::Degraded(DegradedReason::Unauthorized);
            let to = match over {
                Some(reason) => Some(Status::NeedsReauthorization(reason)),
                None => well.then_some(Status::Connected),
            };
            let to = to.filter(|to| to != from);
            let entry = to
                .as_ref()
                .and_then(|to| audit::status_changed(&stored.connection, to, &context));
            let effects = entry
                .into_iter()
                .fold(SideEffects::none(), SideEffects::with_audit);
            let patch = Patch {
                check: Some(error.clone()),
                confirmed: generation,
                status: to,
                ..Patch::default()
            };
            (patch, effects)
        };
        self.inner.patch(key, record).await?;
        if matches!(outcome, CheckOutcome::OtherAccount) {
            self.inner.cache.forget(key);
        }
        Ok(outcome)
    }

    /// Returns the account of the credential, and the generation that the provider accepted.
    pub(crate) async fn identify(
        &self,
        key: &ConnectionKey,
        stored: &Stored,
    ) -> Result<(Identity, Generation)> {
        let inner = &self.inner;
        let connection = &stored.connection;
        let connector = Arc::clone(inner.connector(&connection.provider)?);
        let source = connector.description().identity.as_ref();
        if source.is_some_and(|rule| rule.test_endpoint().is_none()) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                OPERATION,
                "the description has no endpoint to test a credential; add `identity.probe`",
            )
            .with_provider(connection.provider.as_str().to_owned()));
        }
        let app = inner
            .app(&connection.provider, &key.tenant, &connection.app)
            .await?;
        let (name, account) = (&connection.app, &connection.account.key);
        let limits = inner
            .limits_of(&*connector, &key.tenant, name, &app, account)
            .await?;
        let cx = Context::new(&app, &*inner.transport, &*inner.clock).with_limits(&limits);
        drop(self.access_token(key).await?);
        let mut repeated = false;
        loop {
            let Some((generation, credential)) = inner.cache.newest(key) else {
                return Err(not_found(OPERATION));
            };
            match identify(&*connector, &cx, &credential).await {
                Ok(identity) => {
                    inner.cache.worked(key, generation);
                    return Ok((identity, generation));
                }
                Err(error) if error.kind() == ErrorKind::Unauthorized && !repeated => {
                    drop(self.after_rejection(key, generation).await?);
                    repeated = true;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Inner {
    /// Changes a record with the closure `record`, and retries if another task changes the record
    /// concurrently. Changes nothing if the connection has ended in the meantime.
    pub(crate) async fn patch(
        &self,
        key: &ConnectionKey,
        record: impl Fn(&Stored) -> (Patch, SideEffects) + Send,
    ) -> Result<()> {
        let mut stored = self.store.load(key).await?;
        for _ in 0..ATTEMPTS {
            let Some(now) = stored.take().filter(|it| it.connection.is_live()) else {
                return Ok(());
            };
            let (patch, effects) = record(&now);
            let version = now.connection.version;
            match self.store.update(key, version, patch, effects).await? {
                UpdateOutcome::Updated(_) | UpdateOutcome::Missing => return Ok(()),
                UpdateOutcome::Moved(moved) => stored = Some(*moved),
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "hub.patch",
            "the connection kept changing concurrently; retry the call",
        )
        .with_retry(Retry::Backoff))
    }
}
