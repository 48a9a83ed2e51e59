//! Configuration of the connector, in code or from the environment.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use connector_core::http::{LoopbackOverride, Origin};
pub use connector_core::provider::config::Variable;
use connector_core::provider::config::{AppSettings, Setting};
use connector_core::{App, AppKey, AppSource, Error, FixedApps, RedirectUri, Result};
use secrecy::SecretString;

use crate::Shopify;
use crate::account::{HostRule, ShopDomain};
use crate::embedded::SessionTokens;

/// Maximum difference between a callback's timestamp and the current time, in both directions.
const CALLBACK_WINDOW: Duration = Duration::from_secs(90);

/// The hosts from which bulk results are downloaded, and to which files are uploaded.
const FILE_HOSTS: [&str; 2] = [
    "storage.googleapis.com",
    "shopify-staged-uploads.storage.googleapis.com",
];

const CLIENT_ID: Variable = Variable::new(
    "SHOPIFY_CLIENT_ID",
    Setting::ClientId,
    "client ID of the app in the Dev Dashboard",
)
.with_alias("SHOPIFY_API_KEY")
.required();
const CLIENT_SECRET: Variable = Variable::new(
    "SHOPIFY_CLIENT_SECRET",
    Setting::ClientSecret,
    "client secret of the app",
)
.with_alias("SHOPIFY_API_SECRET")
.required();
const CLIENT_SECRET_OLD: Variable = Variable::new(
    "SHOPIFY_CLIENT_SECRET_OLD",
    Setting::OldClientSecret,
    "client secret before the last rotation: still verifies signatures, and is never sent",
)
.with_alias("SHOPIFY_API_SECRET_OLD");
const REDIRECT_URI: Variable = Variable::new(
    "SHOPIFY_REDIRECT_URI",
    Setting::RedirectUri,
    "redirect URI, as in the app's list of allowed redirection URLs",
)
.required();
const SCOPES: Variable = Variable::new(
    "SHOPIFY_SCOPES",
    Setting::Scopes,
    "scopes to request, separated by commas; default `read_products`",
)
.with_alias("SCOPES");
const BASE_URL: Variable = Variable::new(
    "SHOPIFY_BASE_URL",
    Setting::BaseUrl,
    "a simulator on this machine with one shop, as `http://127.0.0.1:4010/demo-shop.myshopify.com`",
);

/// All variables that [`ShopifyConfig::from_env`] reads.
pub const VARIABLES: &[Variable] = &[
    CLIENT_ID,
    CLIENT_SECRET,
    CLIENT_SECRET_OLD,
    REDIRECT_URI,
    SCOPES,
    BASE_URL,
];

/// The configuration of [`Shopify`].
#[derive(Debug, Clone)]
pub struct ShopifyConfig {
    pub(crate) app: Option<App>,
    pub(crate) app_key: AppKey,
    pub(crate) callback_window: Duration,
    pub(crate) host_rule: HostRule,
    pub(crate) uninstalls_on_disconnect: bool,
    pub(crate) session_tokens: Option<SessionTokens>,
    loopbacks: Vec<LoopbackOverride>,
}

connector_core::provider::provider_config! {
    ShopifyConfig for Shopify::ID, read from VARIABLES
}

impl ShopifyConfig {
    /// Returns a builder with default settings and no registration.
    pub fn builder() -> ShopifyConfigBuilder {
        ShopifyConfigBuilder {
            settings: AppSettings::default(),
            app_key: AppKey::default(),
            callback_window: CALLBACK_WINDOW,
            host_rule: HostRule::default(),
            uninstalls_on_disconnect: false,
            session_tokens: None,
            simulated: Vec::new(),
        }
    }

    fn of(settings: AppSettings) -> Result<Self> {
        let mut builder = Self::builder();
        if let Some(base_url) = &settings.base_url {
            let shop = ShopDomain::parse(&base_url.path);
            let shop = shop.map_err(|_| {
                ours(BASE_URL.malformed(
                    "contains no simulated shop; write it as \
                     http://127.0.0.1:4010/demo-shop.myshopify.com",
                ))
            })?;
            builder = builder.with_simulated_shop(shop, base_url.address);
        }
        builder.settings = settings;
        builder.build()
    }

    /// Returns a configuration for a simulator, with its registration and the overrides for all its
    /// current shops.
    ///
    /// # Errors
    /// As for [`ShopifyConfigBuilder::build`].
    #[cfg(feature = "sim")]
    pub fn for_simulator(simulator: &crate::sim::Simulator) -> Result<Self> {
        Self::builder_for_simulator(simulator).build()
    }

    /// Returns a builder with the registration of a simulator and the overrides for all its current
    /// shops.
    #[cfg(feature = "sim")]
    pub fn builder_for_simulator(simulator: &crate::sim::Simulator) -> ShopifyConfigBuilder {
        let app = simulator.authority().app();
        let mut builder = Self::builder().with_client_id(app.client_id());
        builder.settings.client_secrets = app.client_secrets().to_vec();
        builder.settings.redirect_uri = app.redirect_uri().cloned();
        for shop in simulator.shops() {
            builder = builder.with_simulated_shop(shop, simulator.server().address());
        }
        builder
    }

    /// Returns the registration for the hub; `None` if no client ID is set.
    #[must_use]
    pub fn app_source(&self) -> Option<Arc<dyn AppSource>> {
        let app = self.app.clone()?;
        Some(Arc::new(FixedApps::new().with(
            Shopify::ID,
            self.app_key.clone(),
            app,
        )))
    }
}

/// A builder of a [`ShopifyConfig`].
#[derive(Debug, Clone)]
#[must_use]
pub struct ShopifyConfigBuilder {
    settings: AppSettings,
    app_key: AppKey,
    callback_window: Duration,
    host_rule: HostRule,
    uninstalls_on_disconnect: bool,
    session_tokens: Option<SessionTokens>,
    simulated: Vec<(ShopDomain, SocketAddr)>,
}

impl ShopifyConfigBuilder {
    /// Sets the client ID. Without a client ID, the hub needs its own [`AppSource`].
    pub fn with_client_id(mut self, client_id: impl Into<String>) -> Self {
        self.settings.client_id = Some(client_id.into());
        self
    }

    /// Adds a client secret. Requests contain only the first secret. All secrets verify Shopify's
    /// signatures. During a rotation, add both the new and the old secret.
    pub fn with_client_secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.settings.client_secrets.push(secret.into());
        self
    }

    /// Sets the redirect URI. The URI must use https, or http with a loopback host.
    pub fn with_redirect_uri(mut self, redirect_uri: RedirectUri) -> Self {
        self.settings.redirect_uri = Some(redirect_uri);
        self
    }

    /// Sets the scopes to request. Default: `read_products`.
    pub fn with_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.settings.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the name of the registration. Default: `default`.
    pub fn with_app_key(mut self, app_key: AppKey) -> Self {
        self.app_key = app_key;
        self
    }

    /// Sets the maximum difference between a callback's timestamp and the current time, in both
    /// directions. Default: 90 seconds, as in Shopify's own library.
    pub fn with_callback_window(mut self, window: Duration) -> Self {
        self.callback_window = window;
        self
    }

    /// Also accepts shops under Shopify's internal domains `myshopify.io`, `shop.dev` and
    /// `shopify.com`. Only for Shopify employees, because the connector sends the client secret to
    /// these hosts.
    pub fn with_internal_domains(mut self) -> Self {
        self.host_rule.internal = true;
        self
    }

    /// Uninstalls the app from a shop when its connection ends. Shopify has no token revocation
    /// (RFC 7009). By default, a disconnect deletes the credential but leaves the app installed.
    ///
    /// The app cannot undo the removal, which also ends its webhooks, script tags and billing in
    /// the shop.
    pub fn with_uninstall_on_disconnect(mut self) -> Self {
        self.uninstalls_on_disconnect = true;
        self
    }

    /// Stores each verified session token of an embedded app in `tokens`. If Shopify refuses a
    /// refresh for good, the connector exchanges the shop's newest session token instead.
    pub fn with_session_tokens(mut self, tokens: SessionTokens) -> Self {
        self.session_tokens = Some(tokens);
        self
    }

    /// Uses a simulator on this machine for `shop`. `address` must be a loopback address.
    pub fn with_simulated_shop(mut self, shop: ShopDomain, address: SocketAddr) -> Self {
        self.simulated.push((shop, address));
        self
    }

    /// Validates the settings and builds the configuration.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](connector_core::ErrorKind::Configuration) contains the name of
    /// the missing or invalid setting, never its value.
    pub fn build(self) -> Result<ShopifyConfig> {
        let settings = &self.settings;
        let is_scope = |scope: &String| {
            let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            !scope.is_empty() && scope.bytes().all(allowed)
        };
        if !settings.scopes.iter().all(is_scope) {
            let form = "must be a list of scopes such as read_products, separated by commas";
            return Err(ours(SCOPES.malformed(form)));
        }
        let app = settings.checked_app(VARIABLES).map_err(ours)?;
        if app
            .as_ref()
            .is_some_and(|app| app.client_secret().is_none())
        {
            return Err(ours(CLIENT_SECRET.missing()));
        }
        // A simulator also serves the hosts of files.
        let files = self.simulated.first().map(|(_, address)| *address);
        let files = files
            .into_iter()
            .flat_map(|address| FILE_HOSTS.map(|host| (host.to_owned(), address)));
        let shops = self.simulated.iter();
        let shops = shops.map(|(shop, address)| (shop.as_str().to_owned(), *address));
        let loopbacks = shops
            .chain(files)
            .map(|(host, address)| {
                LoopbackOverride::new(Origin::parse(&format!("https://{host}"))?, address)
            })
            .collect::<Result<_>>()?;
        Ok(ShopifyConfig {
            app,
            app_key: self.app_key,
            callback_window: self.callback_window,
            host_rule: self.host_rule,
            uninstalls_on_disconnect: self.uninstalls_on_disconnect,
            session_tokens: self.session_tokens,
            loopbacks,
        })
    }
}

fn ours(error: Error) -> Error {
    error.with_provider(Shopify::ID.as_str().to_owned())
}
