//! A fixture for a standard provider, simulated from its description.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::App;
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::http::HttpTransport;
use connector_core::provider::{Connector, Description, GenericConnector};
use connector_sim::{Authority, AuthorityBuilder};
use secrecy::SecretString;
use url::Url;

use super::fixture::{ConnectorFixture, Consent, Delivery, TokenFault};

/// A provider whose simulator is generated from its description.
///
/// ```
/// use connector_core::provider::Description;
/// use connector_testkit::connector::{Simulated, SimulatedProvider};
///
/// struct Acme;
///
/// impl SimulatedProvider for Acme {
///     fn description() -> Description {
///         serde_json::from_str(r#"{
///             "provider": "acme", "name": "Acme", "api": ["https://api.acme.example"],
///             "authorization": { "endpoint": "https://acme.example/authorize" },
///             "token": { "endpoint": "https://acme.example/token" },
///             "identity": { "endpoint": "https://api.acme.example/me", "account": "/id" }
///         }"#).unwrap()
///     }
/// }
///
/// connector_testkit::connector_suite!(Simulated<Acme>);
/// ```
pub trait SimulatedProvider: Send + Sync + 'static {
    /// Returns the description. If the provider has scopes, the description must have at least two
    /// default scopes.
    fn description() -> Description;

    /// Returns the connector. Default: the generic connector for the description.
    ///
    /// # Panics
    /// Panics if the description is invalid.
    #[must_use]
    fn connector(description: Description) -> Box<dyn Connector> {
        match GenericConnector::new(description) {
            Ok(connector) => Box::new(connector),
            Err(error) => panic!("{error}"),
        }
    }

    /// Configures behaviour of the simulator that a description cannot express.
    fn simulator(builder: AuthorityBuilder) -> AuthorityBuilder {
        builder
    }

    /// Returns a delivery as the provider sends it; see [`ConnectorFixture::delivery`].
    fn delivery(authority: &Authority, body: Option<Bytes>) -> Option<Delivery> {
        let _ = (authority, body);
        None
    }

    /// The webhook secret of the registration, if it signs [`SimulatedProvider::delivery`].
    #[must_use]
    fn webhook_secret() -> Option<SecretString> {
        None
    }

    /// Returns the secret that signs [`SimulatedProvider::delivery`]; see
    /// [`ConnectorFixture::subscription_secret`].
    #[must_use]
    fn subscription_secret() -> Option<SecretString> {
        None
    }
}

/// The fixture of a [`SimulatedProvider`], for [`connector_suite!`](crate::connector_suite).
pub struct Simulated<P> {
    authority: Authority,
    clock: ManualClock,
    connector: Box<dyn Connector>,
    host: Option<String>,
    provider: PhantomData<P>,
}

impl<P> fmt::Debug for Simulated<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulated")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

impl<P> Simulated<P> {
    /// Returns the simulator.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }
}

#[async_trait]
impl<P: SimulatedProvider> ConnectorFixture for Simulated<P> {
    async fn start(mark: &str) -> Self {
        let clock = ManualClock::new(Timestamp::from_unix_seconds(1_700_000_000));
        let description = P::description();
        let builder = P::simulator(Authority::of(&description).with_mark(mark));
        let authority = match builder.start(clock.clone()).await {
            Ok(authority) => authority,
            Err(error) => panic!("the simulator does not start: {error}"),
        };
        let accounts = authority.accounts();
        let host = accounts.first().and_then(|it| it.host().map(str::to_owned));
        Self {
            authority,
            clock,
            connector: P::connector(description),
            host,
            provider: PhantomData,
        }
    }

    fn connector(&self) -> &dyn Connector {
        &*self.connector
    }

    fn app(&self) -> App {
        let app = self.authority.app();
        match P::webhook_secret() {
            Some(secret) => app.with_webhook_secret(secret),
            None => app,
        }
    }

    fn transport(&self) -> Arc<dyn HttpTransport> {
        self.authority.server().transport()
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn account(&self) -> Option<&str> {
        self.host.as_deref()
    }

    async fn visit(&self, url: &Url, consent: &Consent) -> Option<String> {
        match self.authority.visit(url, consent) {
            Ok(target) => target.query().map(str::to_owned),
            Err(error) => panic!("the provider returned an error page: {error}"),
        }
    }

    fn fault(&self, fault: TokenFault) {
        let host = self.host.as_deref().unwrap_or_default();
        let endpoint = self.connector.description().token.as_ref();
        let url = endpoint.and_then(|it| it.endpoint.url(host).ok());
        let Some(url) = url else {
            panic!("the description has no token endpoint");
        };
        self.authority.server().fault(url.path(), fault);
    }

    fn end_grants(&self) {
        self.authority.end_grants();
    }

    fn delivery(&self, body: Option<Bytes>) -> Option<Delivery> {
        P::delivery(&self.authority, body)
    }

    fn subscription_secret(&self) -> Option<SecretString> {
        P::subscription_secret()
    }
}
