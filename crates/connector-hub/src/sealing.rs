//! Sealing and opening of credentials.

use connector_core::cipher::{Plaintext, SealContext, Sealed, SealedKind};
use connector_core::store::{Fence, GrantNumber, PendingCredential, Stored, StoredCredential};
use connector_core::{AppKey, ConnectionKey, Credential, ProviderId, Result};

use crate::hub::Inner;

/// The parts of a [`SealContext`] that all secrets of one connection have in common.
#[derive(Debug, Clone)]
pub(crate) struct SealOwner {
    pub(crate) key: ConnectionKey,
    pub(crate) provider: ProviderId,
    pub(crate) app: AppKey,
    row: String,
}

impl SealOwner {
    pub(crate) fn new(key: ConnectionKey, provider: ProviderId, app: AppKey) -> Self {
        let row = key.id.to_string();
        Self {
            key,
            provider,
            app,
            row,
        }
    }

    pub(crate) fn of(stored: &Stored) -> Self {
        let connection = &stored.connection;
        Self::new(
            connection.key.clone(),
            connection.provider.clone(),
            connection.app.clone(),
        )
    }

    fn context(&self, kind: SealedKind, grant: GrantNumber, fence: Fence) -> SealContext<'_> {
        SealContext {
            tenant: Some(&self.key.tenant),
            provider: &self.provider,
            app: &self.app,
            row: &self.row,
            kind,
            grant,
            fence,
        }
    }
}

impl Inner {
    /// Seals a credential of a connection.
    pub(crate) async fn seal(
        &self,
        owner: &SealOwner,
        kind: SealedKind,
        grant: GrantNumber,
        fence: Fence,
        credential: &Credential,
    ) -> Result<Sealed> {
        let plaintext = credential.to_plaintext()?;
        self.cipher
            .seal(&owner.context(kind, grant, fence), plaintext.expose())
            .await
    }

    /// Opens a credential of a connection.
    pub(crate) async fn open(
        &self,
        owner: &SealOwner,
        kind: SealedKind,
        grant: GrantNumber,
        fence: Fence,
        sealed: &Sealed,
    ) -> Result<Credential> {
        let plaintext = self
            .cipher
            .open(&owner.context(kind, grant, fence), sealed)
            .await?;
        Credential::from_plaintext(&plaintext)
    }

    pub(crate) async fn open_stored(
        &self,
        owner: &SealOwner,
        stored: &StoredCredential,
    ) -> Result<Credential> {
        self.open(
            owner,
            SealedKind::Credential,
            stored.grant,
            stored.fence,
            &stored.sealed,
        )
        .await
    }

    pub(crate) async fn open_pending(
        &self,
        owner: &SealOwner,
        pending: &PendingCredential,
    ) -> Result<Credential> {
        self.open(
            owner,
            SealedKind::Credential,
            pending.grant,
            pending.fence,
            &pending.sealed,
        )
        .await
    }

    /// Seals data of a connect flow, which is its stored state or a token response, in the flow's
    /// own context.
    pub(crate) async fn seal_flow(
        &self,
        context: &SealContext<'_>,
        bytes: &[u8],
    ) -> Result<Sealed> {
        self.cipher.seal(context, bytes).await
    }

    /// Opens data that [`Inner::seal_flow`] sealed.
    pub(crate) async fn open_flow(
        &self,
        context: &SealContext<'_>,
        sealed: &Sealed,
    ) -> Result<Plaintext> {
        self.cipher.open(context, sealed).await
    }
}
