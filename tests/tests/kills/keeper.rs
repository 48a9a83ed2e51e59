//! Direct access of the parent to the shared file.

use std::path::Path;
use std::sync::Arc;

use connector_core::cipher::{CredentialCipher, Keyring, SealContext, Sealed, SealedKind};
use connector_core::clock::Clock;
use connector_core::http::Origin;
use connector_core::store::{
    End, EndRequest, Expect, Expiries, Fence, Generation, GrantNumber, PutGrant, PutOutcome,
    SideEffects, Stored, TokenStore, WorkKind,
};
use connector_core::{
    Account, AccountKey, AppKey, ConnectionId, ConnectionKey, Credential, CredentialKind, Metadata,
    Status, TenantId,
};
use secrecy::SecretString;

use crate::backend;
use crate::clock::FileClock;
use crate::provider::{CLIENT_ID, LIFE, ORIGIN, PROVIDER};

/// Returns the key of connection `number`, which is also the number of its token family.
pub(crate) fn key(number: u32) -> ConnectionKey {
    let mut bytes = [0; 16];
    bytes[8..12].copy_from_slice(&number.to_be_bytes());
    // The last bytes of the id spread the connections.
    bytes[12..].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
    let tenant = TenantId::new("tenant").unwrap();
    ConnectionKey::new(tenant, ConnectionId::from_bytes(bytes))
}

#[derive(Clone)]
pub(crate) struct Keeper {
    store: backend::Store,
    keyring: Arc<Keyring>,
    clock: FileClock,
}

impl Keeper {
    pub(crate) async fn open(database: &Path, keys: &SecretString, clock: FileClock) -> Self {
        Self {
            store: backend::create(database, Arc::new(clock.clone())).await,
            keyring: Arc::new(Keyring::parse(keys).unwrap()),
            clock,
        }
    }

    /// Stores the first grant of a connection, as a connect flow does.
    pub(crate) async fn connect(&self, number: u32, access: SecretString, refresh: SecretString) {
        let (key, now) = (key(number), self.clock.now());
        let origin = Origin::parse(ORIGIN).unwrap();
        let credential = Credential::new(CredentialKind::OAuth, origin, access, now)
            .with_client_id(CLIENT_ID)
            .with_refresh_token(refresh)
            .with_expiry(now.after(LIFE));
        let (grant, fence) = (GrantNumber::new(1), Fence::new(1));
        let plaintext = credential.to_plaintext().unwrap();
        let row = key.id.to_string();
        let place = place(&key, &row, grant, fence);
        let sealed = self.keyring.seal(&place, plaintext.expose()).await;
        let put = PutGrant {
            key: key.clone(),
            provider: PROVIDER,
            app: AppKey::default(),
            account: Account::identified(AccountKey::new(number.to_string()).unwrap()),
            expect: Expect::Absent,
            grant,
            generation: Generation::new(1),
            fence,
            credential: sealed.unwrap(),
            expiries: Expiries {
                access: Some(LIFE),
                refresh: None,
            },
            status: Status::Connected,
            metadata: Metadata::new(),
            takes: None,
        };
        let effects = SideEffects::none().with_work(WorkKind::Refresh, LIFE / 4 * 3);
        let outcome = self.store.put_grant(put, effects).await.unwrap();
        assert_eq!(outcome, PutOutcome::Stored);
    }

    pub(crate) async fn row(&self, number: u32) -> Stored {
        let stored = self.store.load(&key(number)).await.unwrap();
        stored.expect("the connection is there")
    }

    /// Returns the refresh tokens in the store that could be sent: those of the current credential
    /// and of pending pairs.
    pub(crate) async fn refresh_tokens(&self, number: u32) -> Vec<SecretString> {
        let row = self.row(number).await;
        let current = row
            .current
            .iter()
            .map(|it| (&it.sealed, it.grant, it.fence));
        let pending = row
            .pending
            .iter()
            .map(|it| (&it.sealed, it.grant, it.fence));
        let mut tokens = Vec::new();
        for (sealed, grant, fence) in current.chain(pending) {
            let credential = self.credential(number, sealed, grant, fence).await;
            tokens.extend(credential.refresh_token().cloned());
        }
        tokens
    }

    async fn credential(
        &self,
        number: u32,
        sealed: &Sealed,
        grant: GrantNumber,
        fence: Fence,
    ) -> Credential {
        let key = key(number);
        let row = key.id.to_string();
        let place = place(&key, &row, grant, fence);
        let plaintext = self.keyring.open(&place, sealed).await.unwrap();
        Credential::from_plaintext(&plaintext).unwrap()
    }

    /// Removes a connection and its jobs.
    pub(crate) async fn forget(&self, number: u32) {
        let request = EndRequest {
            how: End::Forget,
            at: None,
            revoke: Vec::new(),
            unsubscribe: None,
        };
        let ended = self
            .store
            .end(&key(number), request, SideEffects::none())
            .await;
        ended.unwrap();
    }
}

fn place<'a>(
    key: &'a ConnectionKey,
    row: &'a str,
    grant: GrantNumber,
    fence: Fence,
) -> SealContext<'a> {
    static APP: std::sync::LazyLock<AppKey> = std::sync::LazyLock::new(AppKey::default);
    SealContext {
        tenant: Some(&key.tenant),
        provider: const { &PROVIDER },
        app: &APP,
        row,
        kind: SealedKind::Credential,
        grant,
        fence,
    }
}
