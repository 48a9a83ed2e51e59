//! Sealing and opening credentials in their places.

use connector_core::cipher::{Place, Plaintext, Sealed, SealedKind};
use connector_core::store::{Fence, GrantNumber, PendingCredential, Stored, StoredCredential};
use connector_core::{AppKey, ConnectionKey, Credential, ProviderId, Result, TenantId};

use crate::hub::Inner;

/// Where the secrets of one connection belong, apart from grant and fence.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) key: ConnectionKey,
    pub(crate) provider: ProviderId,
    pub(crate) app: AppKey,
    row: String,
}

impl Home {
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

    fn place(&self, kind: SealedKind, grant: GrantNumber, fence: Fence) -> Place<'_> {
        Place {
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
        home: &Home,
        kind: SealedKind,
        grant: GrantNumber,
        fence: Fence,
        credential: &Credential,
    ) -> Result<Sealed> {
        let plaintext = credential.to_plaintext()?;
        self.cipher
            .seal(&home.place(kind, grant, fence), plaintext.expose())
            .await
    }

    /// Opens a credential of a connection.
    pub(crate) async fn open(
        &self,
        home: &Home,
        kind: SealedKind,
        grant: GrantNumber,
        fence: Fence,
        sealed: &Sealed,
    ) -> Result<Credential> {
        let plaintext = self
            .cipher
            .open(&home.place(kind, grant, fence), sealed)
            .await?;
        Credential::from_plaintext(&plaintext)
    }

    pub(crate) async fn open_stored(
        &self,
        home: &Home,
        stored: &StoredCredential,
    ) -> Result<Credential> {
        self.open(
            home,
            SealedKind::Credential,
            stored.grant,
            stored.fence,
            &stored.sealed,
        )
        .await
    }

    pub(crate) async fn open_pending(
        &self,
        home: &Home,
        pending: &PendingCredential,
    ) -> Result<Credential> {
        self.open(
            home,
            SealedKind::Credential,
            pending.grant,
            pending.fence,
            &pending.sealed,
        )
        .await
    }

    /// Seals what a connect flow keeps under the flow's own key: its memory, or a token answer.
    pub(crate) async fn seal_flow(&self, flow: &FlowPlace<'_>, bytes: &[u8]) -> Result<Sealed> {
        self.cipher.seal(&flow.place(), bytes).await
    }

    /// Opens what [`Inner::seal_flow`] sealed.
    pub(crate) async fn open_flow(
        &self,
        flow: &FlowPlace<'_>,
        sealed: &Sealed,
    ) -> Result<Plaintext> {
        self.cipher.open(&flow.place(), sealed).await
    }
}

/// Where the secrets of a connect flow belong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlowPlace<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) provider: &'a ProviderId,
    pub(crate) app: &'a AppKey,
    /// The flow's key in hexadecimal.
    pub(crate) row: &'a str,
    /// [`SealedKind::State`] or [`SealedKind::Quarantine`].
    pub(crate) kind: SealedKind,
}

impl FlowPlace<'_> {
    fn place(&self) -> Place<'_> {
        Place {
            tenant: Some(self.tenant),
            provider: self.provider,
            app: self.app,
            row: self.row,
            kind: self.kind,
            grant: GrantNumber::default(),
            fence: Fence::default(),
        }
    }
}
