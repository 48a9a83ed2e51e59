//! Connector settings, from code or from the environment.

use std::net::SocketAddr;
use std::sync::Arc;

use connector_core::http::LoopbackOverride;
pub use connector_core::provider::config::Variable;
use connector_core::provider::config::{AppSettings, Setting};
use connector_core::{App, AppKey, AppSource, Error, FixedApps, RedirectUri, Result};
use secrecy::SecretString;

use crate::limits::REQUESTS_PER_MINUTE;
use crate::webhook::HandshakeSwitch;
use crate::{Notion, oauth};

/// All settings that [`NotionConfig::from_env`] reads.
pub const VARIABLES: &[Variable] = &[
    Variable::new(
        "NOTION_CLIENT_ID",
        Setting::ClientId,
        "client ID of the public connection",
    )
    .required(),
    Variable::new(
        "NOTION_CLIENT_SECRET",
        Setting::ClientSecret,
        "client secret of the public connection",
    )
    .required(),
    Variable::new(
        "NOTION_REDIRECT_URI",
        Setting::RedirectUri,
        "registered redirect URI",
    )
    .required(),
    Variable::new(
        "NOTION_WEBHOOK_VERIFICATION_TOKEN",
        Setting::WebhookSecret,
        "verification token of the webhook subscription, received in the handshake",
    ),
    Variable::new(
        "NOTION_BASE_URL",
        Setting::BaseUrl,
        "URL of a local simulator, for example `http://127.0.0.1:4010`",
    ),
];

/// Settings of the [`Notion`] connector.
#[derive(Debug, Clone)]
pub struct NotionConfig {
    pub(crate) handshake: HandshakeSwitch,
    pub(crate) requests_per_minute: u32,
    app: Option<App>,
    app_key: AppKey,
    loopbacks: Vec<LoopbackOverride>,
}

connector_core::provider::provider_config! {
    NotionConfig for Notion::ID, read from VARIABLES
}

impl NotionConfig {
    /// Returns a builder with default settings and without an app registration.
    pub fn builder() -> NotionConfigBuilder {
        NotionConfigBuilder::default()
    }

    fn of(settings: AppSettings) -> Result<Self> {
        let builder = NotionConfigBuilder {
            simulator: settings.base_url.as_ref().map(|it| it.address),
            settings,
            ..NotionConfigBuilder::default()
        };
        builder.build()
    }

    /// Returns settings for a simulator, with the app registration of the simulator.
    ///
    /// # Errors
    /// The errors of [`NotionConfigBuilder::build`].
    #[cfg(feature = "sim")]
    pub fn for_simulator(simulator: &crate::sim::Simulator) -> Result<Self> {
        Self::builder().for_simulator(simulator).build()
    }

    /// Sets the switch with which an operator allows one webhook handshake. Default: a switch that
    /// cannot be armed.
    #[must_use]
    pub fn with_handshake_switch(mut self, switch: HandshakeSwitch) -> Self {
        self.handshake = switch;
        self
    }

    /// Returns the source of the app registration.
    pub(crate) fn app_source(&self) -> Option<Arc<dyn AppSource>> {
        let app = self.app.clone()?;
        let apps = FixedApps::new().with(Notion::ID, self.app_key.clone(), app);
        Some(Arc::new(apps))
    }
}

/// Builder of a [`NotionConfig`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct NotionConfigBuilder {
    settings: AppSettings,
    app_key: AppKey,
    simulator: Option<SocketAddr>,
    requests_per_minute: Option<u32>,
}

impl NotionConfigBuilder {
    /// Sets the app registration: client id, secret and redirect URI. Without a registration, the
    /// application must give the hub an [`AppSource`].
    pub fn with_app(
        mut self,
        client_id: impl Into<String>,
        client_secret: SecretString,
        redirect_uri: RedirectUri,
    ) -> Self {
        self.settings.client_id = Some(client_id.into());
        self.settings.client_secrets = vec![client_secret];
        self.settings.redirect_uri = Some(redirect_uri);
        self
    }

    /// Sets the verification token of the webhook subscription.
    pub fn with_webhook_verification_token(mut self, token: SecretString) -> Self {
        self.settings.webhook_secrets = vec![token];
        self
    }

    /// Sets the maximum number of requests per connection and minute. Default: 180.
    pub const fn with_requests_per_minute(mut self, requests: u32) -> Self {
        self.requests_per_minute = Some(requests);
        self
    }

    /// Sets the name of the app registration. Default: `default`.
    pub fn with_app_key(mut self, app_key: AppKey) -> Self {
        self.app_key = app_key;
        self
    }

    /// Sends requests to a local simulator instead of Notion. `address` must be a loopback address.
    pub fn with_simulator(mut self, address: SocketAddr) -> Self {
        self.simulator = Some(address);
        self
    }

    /// Uses the app registration and the address of a simulator.
    #[cfg(feature = "sim")]
    pub fn for_simulator(self, simulator: &crate::sim::Simulator) -> Self {
        let app = simulator.authority().app();
        let builder = self.with_simulator(simulator.server().address());
        match (app.client_secret().cloned(), app.redirect_uri()) {
            (Some(secret), Some(uri)) => builder.with_app(app.client_id(), secret, uri.clone()),
            _ => builder,
        }
    }

    /// Validates the settings.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](connector_core::ErrorKind::Configuration) if a setting is
    /// missing or malformed. The error contains the setting's name, never its value.
    pub fn build(self) -> Result<NotionConfig> {
        Ok(NotionConfig {
            app: self.settings.checked_app(VARIABLES).map_err(ours)?,
            app_key: self.app_key,
            loopbacks: LoopbackOverride::for_origins([oauth::API], self.simulator)?,
            handshake: HandshakeSwitch::new(),
            requests_per_minute: self
                .requests_per_minute
                .unwrap_or(REQUESTS_PER_MINUTE)
                .max(1),
        })
    }
}

fn ours(error: Error) -> Error {
    error.with_provider(Notion::ID.as_str().to_owned())
}
