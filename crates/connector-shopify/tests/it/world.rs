//! A simulated shop with the real connector and transport.

use std::sync::Arc;

use connector_core::api::{FixedToken, RetryPolicy, Session};
use connector_core::clock::{Clock, ManualClock, Timestamp};
use connector_core::http::Origin;
use connector_core::provider::ProviderClient;
use connector_core::provider::oauth::{
    AuthorizationRequest, Callback, CallbackProblem, CodeExchange, CodeVerifier, ExchangeError,
    TokenResponse,
};
use connector_core::provider::{Connector, Context};
use connector_core::{App, AppKey, Credential, CredentialKind, SystemRandom, TenantId};
use connector_http::HttpClient;
use connector_shopify::sim::{Simulator, SimulatorBuilder};
use connector_shopify::{ShopDomain, Shopify, ShopifyClient, ShopifyConfig};
use connector_testkit::leak::canary;
use connector_testkit::trace;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) sim: Simulator,
    pub(crate) shopify: Shopify,
    pub(crate) transport: Arc<HttpClient>,
    pub(crate) app: Arc<App>,
    pub(crate) shop: ShopDomain,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(change: impl FnOnce(SimulatorBuilder) -> SimulatorBuilder) -> Self {
        let clock = ManualClock::new(Timestamp::parse("2026-11-20T12:00:00Z").unwrap());
        trace::init();
        let builder = Simulator::builder(clock.clone()).with_mark(canary("shopify"));
        let sim = change(builder).start().await.unwrap();
        let config = ShopifyConfig::for_simulator(&sim).unwrap();
        let mut transport = HttpClient::builder();
        for loopback in config.loopbacks() {
            transport = transport.with_loopback(loopback.clone());
        }
        let shopify = Shopify::new(config);
        let tenant = TenantId::new("tenant").unwrap();
        let apps = shopify.app_source().unwrap();
        let app = apps
            .app(&Shopify::ID, &tenant, &AppKey::default())
            .await
            .unwrap();
        let shop = sim.shops().remove(0);
        Self {
            transport: Arc::new(transport.build().unwrap()),
            clock,
            sim,
            shopify,
            app,
            shop,
        }
    }

    pub(crate) fn cx(&self) -> Context<'_> {
        Context::new(&self.app, &*self.transport, &self.clock)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn authorization_url(&self, state: &str) -> Url {
        let state = SecretString::from(state.to_owned());
        let verifier = CodeVerifier::generate(&SystemRandom::new()).unwrap();
        let request = AuthorizationRequest::new(&self.app, &state, &verifier)
            .with_account_host(Some(self.shop.as_str()));
        self.shopify.authorization_url(&request).unwrap()
    }

    /// Returns a callback from Shopify's consent page.
    pub(crate) fn callback(&self) -> Callback {
        let target = self.sim.visit(&self.authorization_url("state-1")).unwrap();
        Callback::parse(target.query().unwrap()).unwrap()
    }

    pub(crate) fn check(&self, callback: &Callback) -> Result<(), CallbackProblem> {
        self.shopify
            .check_callback(&self.cx(), Some(self.shop.as_str()), callback)
    }

    pub(crate) async fn exchange(
        &self,
        callback: &Callback,
    ) -> Result<TokenResponse, ExchangeError> {
        let verifier = CodeVerifier::generate(&SystemRandom::new()).unwrap();
        let code = callback.code().unwrap();
        let exchange =
            CodeExchange::new(&code, &verifier).with_account_host(Some(self.shop.as_str()));
        self.shopify.exchange_code(&self.cx(), &exchange).await
    }

    pub(crate) fn credential(&self, answer: &TokenResponse) -> Credential {
        let origin = Origin::parse(&format!("https://{}", self.shop)).unwrap();
        let token = answer.access_token().clone();
        let mut credential = Credential::new(CredentialKind::OAuth, origin, token, self.now())
            .with_account_host(self.shop.as_str())
            .with_client_id(self.app.client_id())
            .with_scopes(answer.scopes().unwrap().to_vec());
        if let Some(refresh_token) = answer.refresh_token() {
            credential = credential.with_refresh_token(refresh_token.clone());
        }
        credential
    }

    /// Connects the shop, from the consent page to the first credential.
    pub(crate) async fn connect(&self) -> Credential {
        let callback = self.callback();
        self.check(&callback).unwrap();
        let answer = self.exchange(&callback).await.unwrap();
        self.credential(&answer)
    }

    pub(crate) async fn refresh(
        &self,
        credential: &Credential,
    ) -> Result<Credential, ExchangeError> {
        let answer = self.shopify.refresh(&self.cx(), credential).await?;
        Ok(self.credential(&answer))
    }

    /// Exchanges a token that does not expire, as the hub does.
    pub(crate) async fn migrate(
        &self,
        credential: &Credential,
    ) -> Result<Credential, ExchangeError> {
        let answer = self.shopify.migrate(&self.cx(), credential).await?;
        let (expires, refresh) = (answer.expires_in(), answer.refresh_expires_in());
        let migrated = self.credential(&answer);
        let migrated = migrated.with_expiry(self.now().after(expires.unwrap()));
        Ok(migrated.with_refresh_expiry(self.now().after(refresh.unwrap())))
    }

    pub(crate) fn session(&self, credential: &Credential) -> Session {
        self.session_with(credential, RetryPolicy::default())
    }

    /// Returns a session with separate rate limits.
    pub(crate) fn session_with(&self, credential: &Credential, policy: RetryPolicy) -> Session {
        let token = FixedToken::new(credential.origin().clone(), credential.secret().clone());
        let transport = Arc::<HttpClient>::clone(&self.transport);
        Session::builder(&self.shopify, Arc::new(token), transport)
            .clock(Arc::new(self.clock.clone()))
            .with_retry_policy(policy)
            .build()
    }

    pub(crate) fn client(&self, credential: &Credential) -> ShopifyClient {
        ShopifyClient::new(self.session(credential))
    }
}

pub(crate) fn text(secret: &SecretString) -> &str {
    secret.expose_secret()
}
