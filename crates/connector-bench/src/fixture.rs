//! A hub with connections, used by the benchmarks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::cipher::{CredentialCipher, Keyring, SealContext, SealedKind};
use connector_core::clock::{Clock as _, SystemClock};
use connector_core::http::{HttpTransport, Origin, OutboundRequest, TransportError};
use connector_core::provider::description::{EndpointTemplate, TokenEndpoint};
use connector_core::provider::oauth::RotationClass;
use connector_core::provider::{Description, GenericConnector};
use connector_core::store::{
    Expect, Expiries, Fence, Generation, GrantNumber, MemoryStore, PutGrant, SideEffects, Store,
};
use connector_core::{
    Account, AccountKey, App, AppKey, ConnectionId, ConnectionKey, Credential, CredentialKind,
    FixedApps, Metadata, ProviderId, Status, SystemRandom, TenantId,
};
use connector_hub::Hub;

const PROVIDER: ProviderId = ProviderId::from_static("acme");

/// A token endpoint that responds after a delay, and counts its requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Endpoint {
    pub(crate) calls: Arc<AtomicU32>,
    pub(crate) takes: Duration,
}

#[async_trait]
impl HttpTransport for Endpoint {
    async fn send(
        &self,
        _request: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        SystemClock::new().sleep(self.takes).await;
        let body = format!(
            r#"{{"access_token":"access-{number}","refresh_token":"refresh-{number}","expires_in":3600}}"#
        );
        Ok(http::Response::new(Bytes::from(body)))
    }
}

/// Returns a hub with `connections` connections in memory, whose access tokens expire in `left`,
/// and the keys of the connections.
pub(crate) async fn hub(
    connections: u32,
    left: Duration,
    endpoint: Endpoint,
) -> connector_core::Result<(Hub, Vec<ConnectionKey>)> {
    let store = MemoryStore::new(Arc::new(SystemClock::new()));
    hub_over(store, connections, left, SideEffects::none(), endpoint).await
}

/// Returns the same for any empty store. The commit of every connection includes `effects`.
pub(crate) async fn hub_over(
    store: impl Store,
    connections: u32,
    left: Duration,
    effects: SideEffects,
    endpoint: Endpoint,
) -> connector_core::Result<(Hub, Vec<ConnectionKey>)> {
    let clock = SystemClock::new();
    let cipher = Keyring::parse(&Keyring::generate()?)?;
    let mut description = Description::new(PROVIDER, "Acme");
    description.api = vec![EndpointTemplate::new("https://api.acme.example")];
    let token = EndpointTemplate::new("https://acme.example/token");
    description.token = Some(TokenEndpoint::new(token));
    description.rotation = RotationClass::Strict;
    let apps = FixedApps::new().with(PROVIDER, AppKey::default(), App::new("client"));
    let mut keys = Vec::new();
    for number in 1..=connections {
        let tenant = TenantId::new(format!("tenant-{}", number % 100))?;
        let key = ConnectionKey::new(tenant, ConnectionId::generate(&SystemRandom::new())?);
        let origin = Origin::parse("https://api.acme.example")?;
        let secret = format!("access-token-of-connection-{number}");
        let credential = Credential::new(CredentialKind::OAuth, origin, secret, clock.now())
            .with_client_id("client")
            .with_refresh_token("refresh-0")
            .with_expiry(clock.now().after(left));
        let row = key.id.to_string();
        let place = SealContext {
            tenant: Some(&key.tenant),
            provider: &PROVIDER,
            app: &AppKey::default(),
            row: &row,
            kind: SealedKind::Credential,
            grant: GrantNumber::new(1),
            fence: Fence::new(1),
        };
        let grant = PutGrant {
            key: key.clone(),
            provider: PROVIDER,
            app: AppKey::default(),
            account: Account::identified(AccountKey::new(format!("account-{number}"))?),
            expect: Expect::Absent,
            grant: GrantNumber::new(1),
            generation: Generation::new(1),
            fence: Fence::new(1),
            credential: cipher
                .seal(&place, credential.to_plaintext()?.expose())
                .await?,
            expiries: Expiries {
                access: Some(left),
                refresh: None,
            },
            status: Status::Connected,
            metadata: Metadata::new(),
            takes: None,
        };
        store.put_grant(grant, effects.clone()).await?;
        keys.push(key);
    }
    let hub = Hub::builder()
        .store(store)
        .cipher(cipher)
        .transport(endpoint)
        .clock(clock)
        .apps(apps)
        .connector(GenericConnector::new(description)?)
        .build()?;
    Ok((hub, keys))
}
