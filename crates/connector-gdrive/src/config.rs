//! Settings of the connector, in code or from the environment.

use std::net::SocketAddr;
use std::sync::Arc;

use connector_core::http::{LoopbackOverride, Origin};
pub use connector_core::provider::config::Variable;
use connector_core::provider::config::{AppSettings, Setting};
use connector_core::{App, AppKey, AppSource, Error, FixedApps, RedirectUri, Result};
use secrecy::SecretString;

use crate::limits::Quota;
use crate::{GoogleDrive, oauth};

/// Every setting that [`GoogleDriveConfig::from_env`] reads. All Google connectors share the names
/// that begin with `GOOGLE_CLIENT` and `GOOGLE_REDIRECT`: one OAuth client serves them all.
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
        "redirect URI as it is registered: https, or `http://localhost`",
    )
    .required(),
    Variable::new(
        "GOOGLE_DRIVE_SCOPES",
        Setting::Scopes,
        "scopes to request; without it `openid`, the e-mail address and `drive.file`",
    ),
    Variable::new(
        "GOOGLE_DRIVE_BASE_URL",
        Setting::BaseUrl,
        "a simulator on this machine, as `http://127.0.0.1:4020`",
    ),
];

/// The settings of [`GoogleDrive`].
#[derive(Debug, Clone)]
pub struct GoogleDriveConfig {
    pub(crate) quota: Quota,
    pub(crate) asks_for_consent: bool,
    pub(crate) has_incremental_scopes: bool,
    app: Option<App>,
    app_key: AppKey,
    loopbacks: Vec<LoopbackOverride>,
}

impl GoogleDriveConfig {
    /// Settings with their defaults and no registration.
    pub fn builder() -> GoogleDriveConfigBuilder {
        GoogleDriveConfigBuilder::default()
    }

    /// Reads [`VARIABLES`] from the environment.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](connector_core::ErrorKind::Configuration) names the variable that
    /// is missing or malformed, never its value.
    pub fn from_env() -> Result<Self> {
        Self::of(AppSettings::from_env(VARIABLES))
    }

    /// Reads [`VARIABLES`] from where the application keeps them. `lookup` returns the value of a
    /// name, or nothing.
    ///
    /// # Errors
    /// As for [`GoogleDriveConfig::from_env`], and those of `lookup`.
    pub fn from_variables(
        lookup: impl Fn(&'static str) -> Result<Option<SecretString>>,
    ) -> Result<Self> {
        Self::of(AppSettings::read(VARIABLES, lookup))
    }

    fn of(settings: Result<AppSettings>) -> Result<Self> {
        let settings = settings.map_err(ours)?;
        let builder = GoogleDriveConfigBuilder {
            simulator: settings.base_url.as_ref().map(|it| it.address),
            settings,
            ..GoogleDriveConfigBuilder::default()
        };
        builder.build()
    }

    /// Settings for a simulator, with its registration and the scope of all files.
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

    /// The loopback overrides of a simulator. The hub's default transport uses them; give them to a
    /// transport of your own.
    #[must_use]
    pub fn loopbacks(&self) -> &[LoopbackOverride] {
        &self.loopbacks
    }

    pub(crate) fn into_loopbacks(self) -> Vec<LoopbackOverride> {
        self.loopbacks
    }

    /// The scopes of the registration; `None` if the application supplies it elsewhere.
    pub(crate) fn requested_scopes(&self) -> Option<&[String]> {
        self.app.as_ref().map(App::scopes)
    }

    /// The registration as the hub asks for it.
    pub(crate) fn app_source(&self) -> Option<Arc<dyn AppSource>> {
        let app = self.app.clone()?;
        let apps = FixedApps::new().with(GoogleDrive::ID, self.app_key.clone(), app);
        Some(Arc::new(apps))
    }
}

/// Collects a [`GoogleDriveConfig`].
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
    /// Sets the registration: client id, secret, redirect URI and scopes. Without one, the hub needs
    /// an [`AppSource`] of the application's.
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

    /// Sets the scopes to request, in full (see [`scope`](crate::scope)). Keep `openid`: the account
    /// is known by it. Default: `openid`, the e-mail address and `drive.file`.
    pub fn with_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.settings.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the name of the registration. Default: `default`.
    pub fn with_app_key(mut self, app_key: AppKey) -> Self {
        self.app_key = app_key;
        self
    }

    /// Sets the quota units of one minute, for the project and for one user of it, as the Google Cloud
    /// console shows them. Default: 1,000,000 and 325,000, the figures of projects that are new since
    /// May 2026.
    pub const fn with_units_per_minute(mut self, project: u32, user: u32) -> Self {
        self.quota = Quota { project, user };
        self
    }

    /// Leaves `prompt=consent` out of authorization requests. Google then returns a refresh token only
    /// at the first authorization of an account. Default: consent is asked for at every connect.
    pub const fn without_consent_prompt(mut self) -> Self {
        self.asks_for_consent = false;
        self
    }

    /// Requests tokens for the named scopes only, without those that the user granted to the project
    /// before. Default: incremental authorization.
    pub const fn without_incremental_scopes(mut self) -> Self {
        self.has_incremental_scopes = false;
        self
    }

    /// Reaches Google at a simulator on this machine. `address` is a loopback address.
    pub fn with_simulator(mut self, address: SocketAddr) -> Self {
        self.simulator = Some(address);
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](connector_core::ErrorKind::Configuration) names the setting that
    /// is missing or malformed, never its value.
    pub fn build(self) -> Result<GoogleDriveConfig> {
        let loopbacks = self.simulator.iter().flat_map(|address| {
            let origins = oauth::ORIGINS.iter();
            origins.map(|origin| LoopbackOverride::new(Origin::parse(origin)?, *address))
        });
        Ok(GoogleDriveConfig {
            app: self.settings.checked_app(VARIABLES).map_err(ours)?,
            app_key: self.app_key,
            loopbacks: loopbacks.collect::<Result<_>>()?,
            quota: self.quota,
            asks_for_consent: self.asks_for_consent,
            has_incremental_scopes: self.has_incremental_scopes,
        })
    }
}

fn ours(error: Error) -> Error {
    error.with_provider(GoogleDrive::ID.as_str().to_owned())
}
