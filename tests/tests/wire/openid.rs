//! Tests of lost token responses at a provider with strict rotation: npm oidc-provider.

use std::sync::Arc;
use std::time::Duration;

use connector_core::cipher::Keyring;
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::provider::GenericConnector;
use connector_core::store::{MemoryStore, Store};
use connector_core::{
    Actor, AppKey, Connection, ConnectionKey, CorrelationId, ErrorKind, FixedApps,
    ReauthorizationReason, RequestContext, Status, TenantId,
};
use connector_http::HttpClient;
use connector_hub::{Connected, Hub};
use connector_store_sqlite::SqliteOptions;
use connector_testkit::artefacts;
use connector_testkit::leak::canary_key;
use connector_testkit::proxy::FaultProxy;
use connector_tests::openid::{ACCESS_TOKEN_SECONDS, OpenId, PROVIDER};
use secrecy::SecretString;

use crate::is_full;
use crate::loss::{DEADLINE, Dice, Stage, Tally, Truth, truth};
use crate::pace::Pace;
use crate::witness::Witness;

/// The provider, and a hub that connects to it through the proxy. Browsers connect directly.
pub(crate) struct Strict {
    pub(crate) stage: Stage,
    pub(crate) openid: &'static OpenId,
}

/// A started authorization.
pub(crate) struct Begun {
    pub(crate) query: String,
    pub(crate) binding: SecretString,
}

impl Strict {
    /// Returns `None` if the provider is not installed.
    pub(crate) async fn new() -> Option<Self> {
        Self::on(async |pace| MemoryStore::new(Arc::new(pace))).await
    }

    pub(crate) async fn on<S: Store + Clone>(open: impl AsyncFnOnce(Pace) -> S) -> Option<Self> {
        let openid = OpenId::shared().expect("the provider runs")?;
        let clock = ManualClock::new(Timestamp::from_unix_seconds(1_800_000_000));
        let pace = Pace::new(clock.clone());
        let proxy = FaultProxy::start(openid.loopback().address(), clock.clone()).await;
        let proxy = proxy.unwrap();
        let way = openid.loopback().through(proxy.address().port());
        let client = HttpClient::builder()
            .with_loopback(way.opening().unwrap())
            .with_clock(Arc::new(clock))
            .build()
            .unwrap();
        let witness = Witness::new(client);
        let apps = FixedApps::new().with(PROVIDER, AppKey::default(), openid.app().unwrap());
        let store = open(pace.clone()).await;
        let hub = Hub::builder()
            .store(store.clone())
            .cipher(Keyring::parse(&canary_key()).unwrap())
            .transport(witness.clone())
            .clock(pace.clone())
            .random(Dice::new(0))
            .apps(apps)
            .connector(GenericConnector::new(OpenId::description()).unwrap())
            .build()
            .unwrap();
        let stage = Stage {
            hub,
            store: Arc::new(store),
            pace,
            proxy,
            witness,
            tenant: TenantId::new("acme").unwrap(),
            token: "/token",
            life: Duration::from_secs(ACCESS_TOKEN_SECONDS),
        };
        Some(Self { stage, openid })
    }

    pub(crate) fn actor() -> Actor {
        Actor::User("owner".to_owned())
    }

    pub(crate) fn context() -> RequestContext {
        RequestContext::new(Self::actor(), CorrelationId::new("wire").unwrap())
    }

    /// Runs the authorization of `account` with consent, up to the callback.
    pub(crate) async fn begin(&self, account: &str) -> Begun {
        let authorize = self.stage.hub.authorize(&self.stage.tenant, PROVIDER);
        let begun = authorize.actor(Self::actor()).begin().await.unwrap();
        let target = self.openid.consent(begun.url(), account).await.unwrap();
        Begun {
            query: target.query().unwrap().to_owned(),
            binding: begun.binding().clone(),
        }
    }

    pub(crate) async fn call_back(&self, begun: &Begun) -> connector_core::Result<Connected> {
        let binding = begun.binding.clone();
        let finish = self.stage.hub.callback(PROVIDER, &begun.query, binding);
        finish.actor(Self::actor()).await
    }

    pub(crate) async fn connect(&self, account: &str) -> ConnectionKey {
        let begun = self.begin(account).await;
        self.call_back(&begun).await.unwrap().key.clone()
    }

    /// Returns the number of connections that have not ended.
    pub(crate) async fn connections(&self) -> usize {
        let tenant = self.stage.hub.tenant(&self.stage.tenant);
        let all = tenant.list(None, 100).await.unwrap().items;
        let is_there = |it: &&Connection| it.status != Status::Disconnected;
        all.iter().filter(is_there).count()
    }

    /// Ends the connection to `account` and removes its record.
    pub(crate) async fn forget(&self, account: &str) {
        let tenant = self.stage.hub.tenant(&self.stage.tenant);
        let all = tenant.list(None, 100).await.unwrap().items;
        let of = all.iter().find(|it| it.account.key.as_str() == account);
        let key = of.unwrap().key.clone();
        let end = self.stage.hub.disconnect(&key, Self::context());
        end.forget().await.unwrap();
    }

    async fn lose(&self, what: &str, account: &str, run: u64, cases: u64) {
        let stage = &self.stage;
        let key = self.connect(account).await;
        let mut tally = Tally::default();
        for seed in Tally::seeds(run, cases) {
            let before = self.openid.ledger(account).await.unwrap().refreshes;
            let ended = match stage.lose(&key, seed).await {
                Ok(ended) => ended,
                Err(why) => {
                    tally.broken(seed, &why);
                    break;
                }
            };
            tally.add(&ended);
            let lost = Status::NeedsReauthorization(ReauthorizationReason::LostInFlight);
            // Only the one request with a token whose successor is unknown is refused.
            let (status, refused) = match truth(ended.fault, DEADLINE) {
                Truth::Untouched | Truth::Answered => (Status::Connected, 0),
                Truth::Lost => (lost.clone(), 1),
            };
            let after = self.openid.ledger(account).await.unwrap().refreshes;
            let asked = (
                after.accepted - before.accepted,
                after.refused - before.refused,
            );
            if ended.connection.status != status || asked != (1, refused) {
                let status = &ended.connection.status;
                let why = format!("{:?}: {status:?}, redemptions {asked:?}", ended.fault);
                tally.broken(seed, &why);
            }
            if status == lost {
                stage.pace.advance(stage.life);
                let refused = stage.hub.access_token(&key).await.map(drop);
                let kind = refused.unwrap_err().kind();
                assert_eq!(kind, ErrorKind::NeedsReauthorization, "case {seed}");
                assert_eq!(self.connect(account).await, key);
                continue;
            }
            // The store contains the newest token: the provider accepts it.
            let refresh = stage.hub.refresh(&key, Self::context());
            stage.pace.drive(&[], DEADLINE, refresh).await.unwrap();
            let token = stage.hub.access_token(&key).await.unwrap();
            let is_active = self.openid.is_active(token.secret()).await.unwrap();
            assert!(is_active, "case {seed}");
        }
        tally.finish(what, cases);
        assert_eq!(stage.proxy.unmet(), 0);
    }
}

#[tokio::test]
async fn every_lost_response_of_a_strict_provider_is_reported_correctly() {
    let Some(strict) = Strict::new().await else {
        return;
    };
    let cases = if is_full() { 1500 } else { 120 };
    strict.lose("strict, memory", "wire-memory", 3, cases).await;
}

#[tokio::test]
async fn every_lost_response_of_a_strict_provider_is_reported_correctly_on_sqlite() {
    let directory = artefacts::directory("wire-strict").unwrap();
    let strict = Strict::on(async |pace| {
        let options = SqliteOptions::new(directory.path().join("wire.sqlite"));
        options.with_clock(Arc::new(pace)).open().await.unwrap()
    });
    let Some(strict) = strict.await else { return };
    let cases = if is_full() { 1000 } else { 40 };
    strict.lose("strict, SQLite", "wire-sqlite", 4, cases).await;
}
