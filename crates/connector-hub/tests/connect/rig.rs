//! A hub with an in-memory store, a manual clock and a scripted provider.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use connector_core::cipher::{CredentialCipher, Keyring, SealContext, SealedKind};
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::http::HttpTransport;
use connector_core::provider::{Description, GenericConnector};
use connector_core::store::{
    AuditFilter, AuditLog, ConnectionRecord, Filter, Generation, MemoryStore, StateStore, Store,
    Stored, TokenStore,
};
use connector_core::{
    Actor, App, AppKey, AppSource, ConnectionKey, Credential, Event, FixedApps, ProviderId, Random,
    Result, TenantId,
};
use connector_hub::{Authorization, Hub};
use connector_testkit::kill::{Counted, KillPoints};
use connector_testkit::leak::{canary, canary_key};
use connector_testkit::trace;
use secrecy::ExposeSecret;

use crate::grants::Team;
use crate::provider::Provider;

pub(crate) const ISSUER: &str = "https://acme.example";
/// Accounts without hosts, any number of grants, and an issuer in every callback.
pub(crate) const ACME: ProviderId = ProviderId::from_static("acme");
/// Accounts with their own hosts, one grant per account.
pub(crate) const SHOP: ProviderId = ProviderId::from_static("shop");

pub(crate) fn acme() -> Description {
    serde_json::from_str(
        r#"{
            "provider": "acme",
            "name": "Acme",
            "api": ["https://api.acme.example"],
            "authorization": {
                "endpoint": "https://acme.example/authorize",
                "issuer": "https://acme.example",
                "issuer_required": true
            },
            "token": { "endpoint": "https://acme.example/token" },
            "revocation": { "endpoint": "https://acme.example/revoke" },
            "identity": {
                "endpoint": "https://api.acme.example/me",
                "account": "/id",
                "label": "/name"
            },
            "scopes": { "default": ["read", "write"], "required": ["read"] },
            "lifetimes": { "idle_seconds": 864000 },
            "rotation": "strict"
        }"#,
    )
    .unwrap()
}

pub(crate) fn shop() -> Description {
    serde_json::from_str(
        r#"{
            "provider": "shop",
            "name": "Shop",
            "api": ["https://{account}"],
            "authorization": { "endpoint": "https://{account}/authorize" },
            "token": { "endpoint": "https://{account}/token" },
            "identity": { "endpoint": "https://{account}/me", "account": "/id" },
            "account_host": { "suffix": ".shop.example" },
            "grants_per_account": "one",
            "rotation": { "grace": { "until_successor_used": { "max_seconds": 3600 } } }
        }"#,
    )
    .unwrap()
}

/// A bot and a user in one token response, accounts in the token response, a region in the
/// callback, another name for the code, and flow parameters.
pub(crate) const TEAM: ProviderId = ProviderId::from_static("team");

pub(crate) fn team() -> Description {
    serde_json::from_str(
        r#"{
            "provider": "team",
            "name": "Team",
            "api": ["https://na.team.example", "https://eu.team.example"],
            "authorization": {
                "endpoint": "https://team.example/authorize",
                "code_parameter": "team_code",
                "flow_parameters": ["marketplace"]
            },
            "token": {
                "endpoint": "https://team.example/token",
                "response": { "keep": { "app_id": "/app_id" } }
            },
            "identity": { "account": "/team/id", "label": "/team/name" },
            "scopes": { "default": ["read"], "required": ["read"] },
            "rotation": "strict"
        }"#,
    )
    .unwrap()
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub(crate) fn user(name: &str) -> Actor {
    Actor::User(name.to_owned())
}

/// Random-looking bytes that differ for each draw and are the same in every run.
#[derive(Debug, Default)]
pub(crate) struct Draws(AtomicU64);

impl Random for Draws {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        for chunk in bytes.chunks_mut(8) {
            // SplitMix64.
            let step = 0x9e37_79b9_7f4a_7c15;
            let mut z = self.0.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            chunk.copy_from_slice(&z.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

#[derive(Debug, Clone)]
pub(crate) struct SharedDraws(pub(crate) Arc<Draws>);

impl Random for SharedDraws {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        self.0.fill(bytes)
    }
}

pub(crate) struct Rig {
    pub(crate) clock: ManualClock,
    pub(crate) store: MemoryStore,
    pub(crate) cipher: Counted<Keyring>,
    pub(crate) provider: Provider,
    pub(crate) draws: SharedDraws,
    pub(crate) apps: Arc<dyn AppSource>,
    pub(crate) hub: Hub,
}

pub(crate) fn app(client_id: &str) -> App {
    App::new(client_id)
        .with_client_secret(canary("client-secret"))
        .with_redirect_uri("https://app.example/callback".parse().unwrap())
}

fn apps(client_id: &str) -> FixedApps {
    let own = |provider: &ProviderId| {
        let uri = format!("https://app.example/callback/{provider}");
        app(client_id).with_redirect_uri(uri.parse().unwrap())
    };
    FixedApps::new()
        .with(ACME, AppKey::default(), app(client_id))
        .with(SHOP, AppKey::default(), own(&SHOP))
        .with(TEAM, AppKey::default(), own(&TEAM))
}

impl Rig {
    pub(crate) fn new() -> Self {
        trace::init();
        let clock = ManualClock::new(Timestamp::from_unix_seconds(1_700_000_000));
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let draws = SharedDraws(Arc::default());
        let keyring = Keyring::parse(&canary_key()).unwrap();
        let cipher = KillPoints::counting().wrap(Arc::new(keyring));
        let provider = Provider::new();
        let apps: Arc<dyn AppSource> = Arc::new(apps("client-1"));
        let hub = hub(
            &clock,
            cipher.clone(),
            &draws,
            &apps,
            store.clone(),
            provider.clone(),
        );
        Self {
            clock,
            store,
            cipher,
            provider,
            draws,
            apps,
            hub,
        }
    }

    /// Returns another process on the same store.
    pub(crate) fn other_hub(&self) -> Hub {
        self.hub_with(self.store.clone(), self.provider.clone())
    }

    /// Returns a process whose app has another client id.
    pub(crate) fn hub_of_app(&self, client_id: &str) -> Hub {
        let apps: Arc<dyn AppSource> = Arc::new(apps(client_id));
        let (store, provider) = (self.store.clone(), self.provider.clone());
        hub(
            &self.clock,
            self.cipher.clone(),
            &self.draws,
            &apps,
            store,
            provider,
        )
    }

    /// A process that knows this about the provider `acme`.
    pub(crate) fn hub_describing(&self, acme: Description) -> Hub {
        let (store, provider) = (self.store.clone(), self.provider.clone());
        hub_with_acme(
            &self.clock,
            self.cipher.clone(),
            &self.draws,
            &self.apps,
            store,
            provider,
            acme,
        )
    }

    pub(crate) fn hub_with(&self, store: impl Store, transport: impl HttpTransport) -> Hub {
        hub(
            &self.clock,
            self.cipher.clone(),
            &self.draws,
            &self.apps,
            store,
            transport,
        )
    }

    /// Returns a process whose store, cipher and network have kill points.
    pub(crate) fn hub_at(&self, points: &KillPoints) -> Hub {
        let store = points.wrap(Arc::new(self.store.clone()));
        let transport = points.wrap(Arc::new(self.provider.clone()));
        let cipher = points.wrap(Arc::clone(self.cipher.inner()));
        hub(
            &self.clock,
            cipher,
            &self.draws,
            &self.apps,
            store,
            transport,
        )
    }

    pub(crate) async fn begin(&self, tenant_name: &str) -> Authorization {
        let begin = self
            .hub
            .authorize(&tenant(tenant_name), ACME)
            .actor(user("ann"));
        begin.return_to("/done?x=1").begin().await.unwrap()
    }

    pub(crate) async fn begin_shop(&self, tenant_name: &str, host: &str) -> Authorization {
        let begin = self
            .hub
            .authorize(&tenant(tenant_name), SHOP)
            .actor(user("ann"));
        begin.account(host).begin().await.unwrap()
    }

    pub(crate) async fn begin_again(&self, key: &ConnectionKey) -> Authorization {
        let begin = self.hub.authorize(&key.tenant, ACME).actor(user("ann"));
        begin.reconnect(key.id).begin().await.unwrap()
    }

    /// Connects `account` with a complete flow.
    pub(crate) async fn connect(&self, tenant_name: &str, account: &str) -> ConnectionRecord {
        let begun = self.begin(tenant_name).await;
        let query = self.provider.consent(begun.url(), account);
        let connected = self
            .hub
            .callback(ACME, &query, cookie(&begun))
            .unbound()
            .await
            .unwrap();
        self.stored(connected.key()).await.connection
    }

    pub(crate) async fn stored(&self, key: &ConnectionKey) -> Stored {
        self.store
            .load(key)
            .await
            .unwrap()
            .expect("the connection is there")
    }

    /// Returns the opened credential of a connection.
    pub(crate) async fn hub_credential(&self, key: &ConnectionKey) -> (Generation, Credential) {
        let stored = self.stored(key).await;
        let connection = &stored.connection;
        let current = stored.current.as_ref().unwrap();
        let row = key.id.to_string();
        let place = SealContext {
            tenant: Some(&key.tenant),
            provider: &connection.provider,
            app: &connection.app,
            row: &row,
            kind: SealedKind::Credential,
            grant: current.grant,
            fence: current.fence,
        };
        let opened = self.cipher.open(&place, &current.sealed).await.unwrap();
        (
            current.generation,
            Credential::from_plaintext(&opened).unwrap(),
        )
    }

    pub(crate) async fn connections(&self) -> Vec<ConnectionRecord> {
        self.store
            .list(&Filter::everyone(), None, 1000)
            .await
            .unwrap()
            .items
    }

    pub(crate) async fn events(&self) -> Vec<Event> {
        let slice = self
            .store
            .audit(&AuditFilter::default(), None, 1000)
            .await
            .unwrap();
        slice
            .items
            .into_iter()
            .map(|record| record.entry.event)
            .collect()
    }

    /// Returns the audit log as text, to search for forbidden content.
    pub(crate) async fn audit_text(&self) -> String {
        let slice = self
            .store
            .audit(&AuditFilter::default(), None, 1000)
            .await
            .unwrap();
        format!("{:?}", slice.items)
    }

    /// Runs `work` to its end, and advances the clock for each sleep.
    pub(crate) async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = self.clock.wait_for_sleepers(1) => {
                    self.clock.advance(Duration::from_millis(250));
                    // Woken tasks continue before the clock advances again.
                    for _ in 0..64 {
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
    }

    pub(crate) async fn state_of(&self, begun: &Authorization) -> connector_core::store::StateKey {
        let state = parameter(begun, "state");
        let key = connector_core::store::StateKey::of(&state);
        assert!(self.store.state(&key).await.unwrap().is_some());
        key
    }
}

fn hub(
    clock: &ManualClock,
    cipher: impl CredentialCipher,
    draws: &SharedDraws,
    apps: &Arc<dyn AppSource>,
    store: impl Store,
    transport: impl HttpTransport,
) -> Hub {
    hub_with_acme(clock, cipher, draws, apps, store, transport, acme())
}

fn hub_with_acme(
    clock: &ManualClock,
    cipher: impl CredentialCipher,
    draws: &SharedDraws,
    apps: &Arc<dyn AppSource>,
    store: impl Store,
    transport: impl HttpTransport,
    acme: Description,
) -> Hub {
    let connector = |description: Description| {
        GenericConnector::new(description)
            .unwrap()
            .with_apps(Arc::clone(apps))
    };
    Hub::builder()
        .store(store)
        .cipher(cipher)
        .transport(transport)
        .clock(clock.clone())
        .random(draws.clone())
        .connector(connector(acme))
        .connector(connector(shop()))
        .connector(Team::new(connector(team())))
        .build()
        .unwrap()
}

pub(crate) fn cookie(begun: &Authorization) -> String {
    begun.binding().expose_secret().to_owned()
}

pub(crate) fn parameter(begun: &Authorization, name: &str) -> String {
    let mut pairs = begun.url().query_pairs();
    pairs
        .find(|(its_name, _)| its_name == name)
        .unwrap()
        .1
        .into_owned()
}
