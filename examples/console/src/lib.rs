//! The console: a page to try the routes of `connectors::axum` by hand, and a template for a page of
//! your own. It is rendered on the server, and its main flow works without JavaScript.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod actions;
mod pages;
mod providers;
mod session;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{get, post};
use connector_sim::Authority;
use connectors::axum::{RouterConfig, router};
use connectors::cipher::Keyring;
use connectors::sqlite::SqliteStore;
use connectors::{Hub, ProviderId, SystemRandom, random_token};
use secrecy::SecretString;
use url::Url;

use self::providers::Simulated;
use self::session::Session;

/// The result of starting the console.
pub type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// The path of the router.
const MOUNT: &str = "/integrations";
/// The content security policy. It has no `form-action`, because browsers would apply it to the
/// redirect to a provider, which follows a form.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// The settings of the console.
#[derive(Debug)]
pub struct Settings {
    /// The public origin, for example `http://127.0.0.1:8080`.
    pub origin: Url,
    /// The SQLite file (`CONNECTORS_DB`).
    pub database: PathBuf,
    /// The keys (`CONNECTORS_KEYS`).
    pub keys: SecretString,
}

/// A running console.
#[derive(Debug)]
pub struct Console {
    hub: Hub,
    router: Router,
}

/// The state of all pages.
pub(crate) struct Shared {
    /// The routes of `connectors::axum`, which the pages call like a browser.
    api: Router,
    session: Session,
    simulated: Vec<Simulated>,
    origin: Url,
}

impl Shared {
    fn simulator(&self, provider: &str) -> Option<&Authority> {
        let mut all = self.simulated.iter();
        all.find(|it| it.provider.as_str() == provider)
            .map(|it| &it.authority)
    }

    /// Returns the address of a provider's page for the browser. Pages of simulated providers are on
    /// this machine.
    fn as_browsers_see(&self, provider: &ProviderId, url: &Url) -> Outcome<Url> {
        match self.simulator(provider.as_str()) {
            Some(authority) => Ok(authority.server().browser_url(url)?),
            None => Ok(url.clone()),
        }
    }
}

impl Console {
    /// Starts the console with its simulated providers.
    ///
    /// # Errors
    /// An error if the database, the keys or the settings of a provider cannot be used.
    pub async fn start(settings: Settings) -> Outcome<Self> {
        let site = settings.origin.join(MOUNT)?;
        let hub = Hub::builder()
            .store(SqliteStore::open(&settings.database).await?)
            .cipher(Keyring::parse(&settings.keys)?);
        let (hub, simulated) = providers::add(hub, &site).await?;
        let hub = hub.build()?;
        let session = Session::new()?;
        let signing_key = random_token(&SystemRandom::new())?;
        let config = RouterConfig::new(site, signing_key, "/").with_allowed_return("/");
        let api = router(&hub, session.clone(), config).await?;
        let shared = Arc::new(Shared {
            api: Router::new().nest(MOUNT, api.clone()),
            session,
            simulated,
            origin: settings.origin,
        });
        let pages = Router::new()
            .route("/", get(actions::home))
            .route("/style.css", get(pages::style))
            .route("/live.js", get(pages::script))
            .route("/connect", post(actions::connect))
            .route(
                "/connections/{id}/{action}",
                get(actions::confirm).post(actions::act),
            )
            .layer(map_response(with_policy))
            .with_state(shared);
        Ok(Self {
            hub,
            router: pages.nest(MOUNT, api),
        })
    }

    /// Returns the pages and the routes.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Runs the worker until `shutdown` is ready.
    pub async fn work(&self, shutdown: impl Future<Output = ()> + Send) {
        self.hub.worker().run(shutdown).await;
    }

    /// Ends the hub.
    ///
    /// # Errors
    /// As for [`Hub::shutdown`].
    pub async fn shutdown(&self) -> Outcome {
        Ok(self.hub.shutdown(Duration::from_secs(10)).await?)
    }
}

async fn with_policy(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let values: [(HeaderName, &'static str); 4] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in values {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Returns true if an environment variable is set to a value that is not empty.
#[must_use]
pub fn is_set(name: &str) -> bool {
    variable(name).is_some()
}

/// Returns the value of an environment variable, if the value is not empty.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "only this function reads the environment"
)]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
