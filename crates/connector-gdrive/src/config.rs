//! Settings of the connector, set in code or read from the environment.

use std::net::SocketAddr;
use std::sync::Arc;

use connector_core::http::LoopbackOverride;
pub use connector_core::provider::config::Variable;
use connector_core::provider::config::{AppSettings, Setting};
use connector_core::{App, AppKey, AppSource, Error, FixedApps, RedirectUri, Result};
use secrecy::SecretString;

use crate::limits::Quota;
use crate::{GoogleDrive, oauth};

/// All settings that [`GoogleDriveConfig::from_env`] reads. The variables `GOOGLE_CLIENT_ID`,
/// `GOOGLE_CLIENT_SECRET` and `GOOGLE_REDIRECT_URI` configure all Google connectors, which use the
/// same OAuth client.
pub const VARIABLES: &[Variable] = &[
    Variable::new(
        "GOOGLE_CLIENT_ID",
        Setting::ClientId,
        "client ID of the OAuth client, of type web application",
    )
    .required(),
    Variable::new(
        "GOOGLE_CLIENT_SECRET",
        Setting::ClientSecret,
        "client secret of the OAuth client",
    )
    .required(),
    Variable::new(
        "GOOGLE_REDIRECT_URI",
        Setting::RedirectUri,
        "redirect URI, exactly as registered: https, or `http://localhost`",
    )
    .required(),
    Variable::new(
        "GOOGLE_DRIVE_SCOPES",
        Setting::Scopes,
        "scopes to request. Default: `openid`, the e-mail address and `drive.file`",
    ),
    Variable::new(
        "GOOGLE_DRIVE_BASE_URL",
        Setting::BaseUrl,
        "URL of a simulator on the same machine, for example `http://127.0.0.1:4020`",
    ),
];

/// Settings of [`GoogleDrive`].
#[derive(Debug, Clone)]
pub struct GoogleDriveConfig {
    pub(crate) quota: Quota,
    pub(crate) asks_for_consent: bool,
    pub(crate) has_incremental_scopes: bool,
    app: Option<App>,
    app_key: AppKey,
    loopbacks: Vec<LoopbackOverride>,
}

connector_core::provider::provider_config! {
    GoogleDriveConfig for GoogleDrive::ID, read from VARIABLES
}

impl GoogleDriveConfig {
    /// Returns a builder with default settings and without a registration.
    pub fn builder() -> GoogleDriveConfigBuilder {
        GoogleDriveConfigBuilder::default()
    }

    fn of(settings: AppSettings) -> Result<Self> {
        let builder = GoogleDriveConfigBuilder {
            simulator: settings.base_url.as_ref().map(|it| it.address),
            settings,
            ..GoogleDriveConfigBuilder::default()
        };
        builder.build()
    }

    /// Returns settings for a simulator: its registration, and the scope for all files.
    ///
    /// # Errors
    /// As for [`GoogleDriveConfigBuilder::build`].
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

    pub(crate) fn into_loopbacks(self) -> Vec<LoopbackOverride> {
        self.loopbacks
    }

    /// Scopes of the registration. `None` if the application supplies the registration elsewhere.
    pub(crate) fn requested_scopes(&self) -> Option<&[String]> {
        self.app.as_ref().map(App::scopes)
    }

    /// Returns the source from which the hub reads the registration.
    pub(crate) fn app_source(&self) -> Option<Arc<dyn AppSource>> {
        let app = self.app.clone()?;
        let apps = FixedApps::new().with(GoogleDrive::ID, self.app_key.clone(), app);
        Some(Arc::new(apps))
    }
}

/// Builder for [`GoogleDriveConfig`].
#[derive(Debug, Clone)]
#[must_use]
pub struct GoogleDriveConfigBuilder {
    settings: AppSettings,
    app_key: AppKey,
    simulator: Option<SocketAddr>,
    quota: Quota,
    asks_for_consent: bool,
    has_incremental_scopes: bool,
}

impl Default for GoogleDriveConfigBuilder {
    fn default() -> Self {
        Self {
            settings: AppSettings::default(),
            app_key: AppKey::default(),
            simulator: None,
            quota: Quota::default(),
            asks_for_consent: true,
            has_incremental_scopes: true,
        }
    }
}

impl GoogleDriveConfigBuilder {
    /// Sets the registration: client id, secret, redirect URI and scopes. Without a registration,
    /// you must give the hub your own [`AppSource`].
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

    /// Sets the complete list of scopes to request (see [`scope`](crate::scope)). The list must
    /// contain `openid`, which identifies the account. Default: `openid`, the e-mail address and
    /// `drive.file`.
    pub fn with_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.settings.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the name of the registration. Default: `default`.
    pub fn with_app_key(mut self, app_key: AppKey) -> Self {
        self.app_key = app_key;
        self
    }

    /// Sets the quota in units per minute, for the project and for each user. The Google Cloud
    /// console shows both values. Default: 1,000,000 and 325,000, which apply to projects created
    /// since May 2026.
    pub const fn with_units_per_minute(mut self, project: u32, user: u32) -> Self {
        self.quota = Quota { project, user };
        self
    }

    /// Omits `prompt=consent` from authorization requests. Google then returns a refresh token only
    /// at the first authorization of an account. Default: every authorization request asks for
    /// consent.
    pub const fn without_consent_prompt(mut self) -> Self {
        self.asks_for_consent = false;
        self
    }

    /// Requests tokens for the configured scopes only. Scopes that the user granted to the project
    /// earlier are not included. Default: incremental authorization, which includes them.
    pub const fn without_incremental_scopes(mut self) -> Self {
        self.has_incremental_scopes = false;
        self
    }

    /// Sends all requests to a simulator instead of Google. `address` must be a loopback address.
    pub fn with_simulator(mut self, address: SocketAddr) -> Self {
        self.simulator = Some(address);
        self
    }

    /// Validates the settings.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](connector_core::ErrorKind::Configuration) if a setting is
    /// missing or malformed. The error contains the setting's name and never its value.
    pub fn build(self) -> Result<GoogleDriveConfig> {
        Ok(GoogleDriveConfig {
            app: self.settings.checked_app(VARIABLES).map_err(ours)?,
            app_key: self.app_key,
            loopbacks: LoopbackOverride::for_origins(oauth::ORIGINS, self.simulator)?,
            quota: self.quota,
            asks_for_consent: self.asks_for_consent,
            has_incremental_scopes: self.has_incremental_scopes,
        })
    }
}

fn ours(error: Error) -> Error {
    error.with_provider(GoogleDrive::ID.as_str().to_owned())
}
