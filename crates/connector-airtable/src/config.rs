//! Configuration of the connector, in code or from the environment.

use std::net::SocketAddr;
use std::sync::Arc;

use connector_core::http::LoopbackOverride;
pub use connector_core::provider::config::Variable;
use connector_core::provider::config::{AppSettings, Setting};
use connector_core::{App, AppKey, AppSource, Error, FixedApps, RedirectUri, Result};
use secrecy::SecretString;

use crate::models::WebhookSpecification;
use crate::{Airtable, oauth};

/// All variables that [`AirtableConfig::from_env`] reads.
pub const VARIABLES: &[Variable] = &[
    Variable::new(
        "AIRTABLE_CLIENT_ID",
        Setting::ClientId,
        "client ID of the OAuth integration",
    )
    .required(),
    Variable::new(
        "AIRTABLE_CLIENT_SECRET",
        Setting::ClientSecret,
        "client secret, if the integration has one",
    ),
    Variable::new(
        "AIRTABLE_REDIRECT_URI",
        Setting::RedirectUri,
        "redirect URI as registered: https, or `http://localhost`",
    )
    .required(),
    Variable::new(
        "AIRTABLE_SCOPES",
        Setting::Scopes,
        "scopes to request; default `data.records:read schema.bases:read`",
    ),
    Variable::new(
        "AIRTABLE_BASE_URL",
        Setting::BaseUrl,
        "a simulator on this machine, as `http://127.0.0.1:4010`",
    ),
];

/// The configuration of [`Airtable`].
#[derive(Debug, Clone)]
pub struct AirtableConfig {
    pub(crate) uploads_attachments: bool,
    pub(crate) specification: WebhookSpecification,
    app: Option<App>,
    app_key: AppKey,
    loopbacks: Vec<LoopbackOverride>,
}

connector_core::provider::provider_config! {
    AirtableConfig for Airtable::ID, read from VARIABLES
}

impl AirtableConfig {
    /// Returns a builder with default settings and no registration.
    pub fn builder() -> AirtableConfigBuilder {
        AirtableConfigBuilder::default()
    }

    fn of(settings: AppSettings) -> Result<Self> {
        let builder = AirtableConfigBuilder {
            simulator: settings.base_url.as_ref().map(|it| it.address),
            settings,
            ..AirtableConfigBuilder::default()
        };
        builder.build()
    }

    /// Returns a configuration for a simulator, with its registration and all scopes.
    ///
    /// # Errors
    /// As for [`AirtableConfigBuilder::build`].
    #[cfg(feature = "sim")]
    pub fn for_simulator(simulator: &crate::sim::Simulator) -> Result<Self> {
        let app = simulator.authority().app();
        let mut builder = Self::builder()
            .with_scopes(crate::sim::SCOPES)
            .with_simulator(simulator.server().address());
        if let Some(redirect_uri) = app.redirect_uri() {
            let secret = app.client_secret().cloned();
            builder = builder.with_app(app.client_id(), secret, redirect_uri.clone());
        }
        builder.build()
    }

    /// Returns the registration for the hub.
    pub(crate) fn app_source(&self) -> Option<Arc<dyn AppSource>> {
        let app = self.app.clone()?;
        let apps = FixedApps::new().with(Airtable::ID, self.app_key.clone(), app);
        Some(Arc::new(apps))
    }
}

/// A builder of an [`AirtableConfig`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct AirtableConfigBuilder {
    settings: AppSettings,
    app_key: AppKey,
    simulator: Option<SocketAddr>,
    uploads_attachments: bool,
    specification: WebhookSpecification,
}

impl AirtableConfigBuilder {
    /// Sets the registration: client id, secret (`None` for a public client), redirect URI and
    /// scopes. Without a registration, the hub needs its own [`AppSource`].
    pub fn with_app(
        mut self,
        client_id: impl Into<String>,
        client_secret: Option<SecretString>,
        redirect_uri: RedirectUri,
    ) -> Self {
        self.settings.client_id = Some(client_id.into());
        self.settings.client_secrets = client_secret.into_iter().collect();
        self.settings.redirect_uri = Some(redirect_uri);
        self
    }

    /// Sets the scopes to request. Default: `data.records:read schema.bases:read`. Subscriptions
    /// need `webhook:manage`, and writes need `data.records:write`.
    pub fn with_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.settings.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the name of the registration. Default: `default`.
    pub fn with_app_key(mut self, app_key: AppKey) -> Self {
        self.app_key = app_key;
        self
    }

    /// Sets the changes that the webhooks of subscriptions report. The table scope comes from each
    /// subscription. Default: all changes, with all cell values before and after.
    pub fn with_webhook_specification(mut self, specification: WebhookSpecification) -> Self {
        self.specification = specification;
        self
    }

    /// Allows [`UploadAttachment`](crate::endpoints::UploadAttachment), which sends the access
    /// token to `content.airtable.com`. Not allowed by default, because Airtable's documentation
    /// does not confirm this host.
    pub fn with_attachment_uploads(mut self) -> Self {
        self.uploads_attachments = true;
        self
    }

    /// Uses a simulator on this machine instead of Airtable. `address` must be a loopback address.
    pub fn with_simulator(mut self, address: SocketAddr) -> Self {
        self.simulator = Some(address);
        self
    }

    /// Validates the settings and builds the configuration.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](connector_core::ErrorKind::Configuration) contains the name of
    /// the missing or invalid setting, never its value.
    pub fn build(self) -> Result<AirtableConfig> {
        let origins = ["https://airtable.com", oauth::API, oauth::CONTENT];
        Ok(AirtableConfig {
            app: self.settings.checked_app(VARIABLES).map_err(ours)?,
            app_key: self.app_key,
            loopbacks: LoopbackOverride::for_origins(origins, self.simulator)?,
            uploads_attachments: self.uploads_attachments,
            specification: self.specification,
        })
    }
}

fn ours(error: Error) -> Error {
    error.with_provider(Airtable::ID.as_str().to_owned())
}
