//! Settings of the connector, set in code or read from the environment.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use connector_core::http::LoopbackOverride;
pub use connector_core::provider::config::Variable;
use connector_core::provider::config::{AppSettings, Setting};
use connector_core::{App, AppKey, AppSource, FixedApps, RedirectUri, Result};
use secrecy::{ExposeSecret, SecretString};

use crate::error::ours;
use crate::{AmazonSpApi, Marketplace, Region, UserAgent, oauth};

/// Name of the extra value of an [`App`] that contains the application id. The consent page
/// requires the application id.
pub(crate) const APPLICATION_ID: &str = "application_id";

/// All variables that [`AmazonConfig::from_env`] reads.
pub const VARIABLES: &[Variable] = &[
    Variable::new(
        "AMAZON_SP_APP_ID",
        Setting::Extra(APPLICATION_ID),
        "application id: `amzn1.sp.solution.…` or `amzn1.sellerapps.app.…`",
    )
    .required(),
    Variable::new(
        "AMAZON_LWA_CLIENT_ID",
        Setting::ClientId,
        "LWA client id: `amzn1.application-oa2-client.…`",
    )
    .required(),
    Variable::new(
        "AMAZON_LWA_CLIENT_SECRET",
        Setting::ClientSecret,
        "LWA client secret; expires after 180 days",
    )
    .required(),
    Variable::new(
        "AMAZON_LWA_CLIENT_SECRET_OLD",
        Setting::OldClientSecret,
        "the previous secret, which Amazon accepts for 7 days after a rotation",
    ),
    Variable::new(
        "AMAZON_REDIRECT_URI",
        Setting::RedirectUri,
        "registered OAuth redirect URI",
    )
    .required(),
    Variable::new(
        "AMAZON_SP_MARKETPLACE",
        Setting::Extra(MARKETPLACE),
        "default marketplace of flows, for example `DE`",
    ),
    Variable::new(
        "AMAZON_SP_DRAFT",
        Setting::Extra(DRAFT),
        "`true` while the application is a draft: adds `version=beta`",
    ),
    Variable::new(
        "AMAZON_SP_SANDBOX",
        Setting::Extra(SANDBOX),
        "`true` for a sandbox application",
    ),
    Variable::new(
        "AMAZON_SP_BASE_URL",
        Setting::BaseUrl,
        "base URL of a local simulator, for example `http://127.0.0.1:4010`",
    ),
];

const MARKETPLACE: &str = "marketplace";
const DRAFT: &str = "draft";
const SANDBOX: &str = "sandbox";

/// Settings of [`AmazonSpApi`].
#[derive(Debug, Clone)]
pub struct AmazonConfig {
    pub(crate) marketplace: Option<Marketplace>,
    pub(crate) is_draft: bool,
    pub(crate) is_sandbox: bool,
    pub(crate) user_agent: UserAgent,
    app: Option<App>,
    app_key: AppKey,
    loopbacks: Vec<LoopbackOverride>,
}

connector_core::provider::provider_config! {
    AmazonConfig for AmazonSpApi::ID, read from VARIABLES
}

impl AmazonConfig {
    /// Returns a builder with default settings and without an application registration.
    pub fn builder() -> AmazonConfigBuilder {
        AmazonConfigBuilder::default()
    }

    fn of(mut settings: AppSettings) -> Result<Self> {
        let mut taken = |name: &'static str| settings.extra.remove(name);
        let flag = |name, value: Option<SecretString>| match value
            .as_ref()
            .map(ExposeSecret::expose_secret)
        {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(ours(
                variable(name).malformed("is neither `true` nor `false`"),
            )),
        };
        let marketplace = taken(MARKETPLACE).map(|text| {
            let form = "is not a marketplace; set a country code or a marketplace id";
            let read = text.expose_secret().parse();
            read.map_err(|_| ours(variable(MARKETPLACE).malformed(form)))
        });
        let builder = AmazonConfigBuilder {
            marketplace: marketplace.transpose()?,
            is_draft: flag(DRAFT, taken(DRAFT))?,
            is_sandbox: flag(SANDBOX, taken(SANDBOX))?,
            simulator: settings.base_url.as_ref().map(|it| it.address),
            settings,
            ..AmazonConfigBuilder::default()
        };
        builder.build()
    }

    /// Settings for a simulator: the simulator's application registration, and `US` as the default
    /// marketplace.
    ///
    /// # Errors
    /// As for [`AmazonConfigBuilder::build`].
    #[cfg(feature = "sim")]
    pub fn for_simulator(simulator: &crate::sim::Simulator) -> Result<Self> {
        AmazonConfigBuilder::for_simulator(simulator).build()
    }

    /// Returns the application id of the registration.
    pub(crate) fn application_id(&self) -> Result<&str> {
        let id = self.app.as_ref().and_then(|it| it.extra(APPLICATION_ID));
        id.map(ExposeSecret::expose_secret)
            .ok_or_else(|| ours(variable(APPLICATION_ID).missing()))
    }

    /// Returns the registration in the form that the hub uses.
    pub(crate) fn app_source(&self) -> Option<Arc<dyn AppSource>> {
        let app = self.app.clone()?;
        let apps = FixedApps::new().with(AmazonSpApi::ID, self.app_key.clone(), app);
        Some(Arc::new(apps))
    }
}

/// Builder of [`AmazonConfig`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct AmazonConfigBuilder {
    settings: AppSettings,
    app_key: AppKey,
    marketplace: Option<Marketplace>,
    is_draft: bool,
    is_sandbox: bool,
    user_agent: UserAgent,
    simulator: Option<SocketAddr>,
}

impl AmazonConfigBuilder {
    /// Returns a builder with the settings of [`AmazonConfig::for_simulator`].
    #[cfg(feature = "sim")]
    pub fn for_simulator(simulator: &crate::sim::Simulator) -> Self {
        let app = simulator.app();
        let mut builder = Self::default()
            .with_marketplace(Marketplace::Us)
            .with_simulator(simulator.server().address());
        if let (Some(id), Some(redirect_uri)) = (app.extra(APPLICATION_ID), app.redirect_uri()) {
            let id = id.expose_secret();
            builder = builder.with_app(id, app.client_id(), redirect_uri.clone());
        }
        for secret in app.client_secrets() {
            builder = builder.with_client_secret(secret.clone());
        }
        builder
    }

    /// Sets the registration: application id, LWA client id and redirect URI. Add the client secret
    /// with [`AmazonConfigBuilder::with_client_secret`]. Without a registration, you must give the
    /// hub an [`AppSource`] whose [`App`] contains the application id as the extra value
    /// `application_id`.
    pub fn with_app(
        mut self,
        application_id: impl Into<SecretString>,
        client_id: impl Into<String>,
        redirect_uri: RedirectUri,
    ) -> Self {
        self.settings
            .extra
            .insert(APPLICATION_ID, application_id.into());
        self.settings.client_id = Some(client_id.into());
        self.settings.redirect_uri = Some(redirect_uri);
        self
    }

    /// Adds an LWA client secret. If Amazon rejects the first secret, the connector tries the
    /// second one, so a rotation does not require a restart at a particular moment.
    pub fn with_client_secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.settings.client_secrets.push(secret.into());
        self
    }

    /// Sets the key of the registration. Default: `default`.
    pub fn with_app_key(mut self, app_key: AppKey) -> Self {
        self.app_key = app_key;
        self
    }

    /// Sets the default marketplace of flows. Without a default, a flow must set the parameter
    /// `marketplace`.
    pub fn with_marketplace(mut self, marketplace: Marketplace) -> Self {
        self.marketplace = Some(marketplace);
        self
    }

    /// Sets whether the application is a draft. Until an application is published, its consent URL
    /// needs `version=beta`.
    pub fn with_draft(mut self, is_draft: bool) -> Self {
        self.is_draft = is_draft;
        self
    }

    /// Sets whether to use the sandbox's hosts and limits. Sandbox applications have separate
    /// credentials.
    pub fn with_sandbox(mut self, is_sandbox: bool) -> Self {
        self.is_sandbox = is_sandbox;
        self
    }

    /// Sets the User-Agent. Default: the name and version of this crate.
    pub fn with_user_agent(mut self, user_agent: UserAgent) -> Self {
        self.user_agent = user_agent;
        self
    }

    /// Sends requests to a local simulator instead of Amazon. `address` must be a loopback address.
    pub fn with_simulator(mut self, address: SocketAddr) -> Self {
        self.simulator = Some(address);
        self
    }

    /// Validates the settings.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](connector_core::ErrorKind::Configuration) names the setting that
    /// is missing or malformed, never its value.
    pub fn build(self) -> Result<AmazonConfig> {
        let app = self.settings.checked_app(VARIABLES).map_err(ours)?;
        if let Some(app) = &app {
            let id = app.extra(APPLICATION_ID);
            let id = id.map_or("", |it| it.expose_secret());
            if id.is_empty() {
                return Err(ours(variable(APPLICATION_ID).missing()));
            }
            // The id becomes a path segment and a query parameter.
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
            if !id.bytes().all(is_plain) {
                let form =
                    "contains characters that are not allowed in an application id; copy it again";
                return Err(ours(variable(APPLICATION_ID).malformed(form)));
            }
        }
        let regions = Region::ALL.into_iter().map(|it| it.host(self.is_sandbox));
        let central = Marketplace::ALL
            .iter()
            .flat_map(|it| [Some(it.seller_central()), it.vendor_central()]);
        let documents = oauth::SIMULATED_LINKS.iter().copied();
        let origins = [oauth::TOKENS].into_iter().chain(regions).chain(documents);
        // Marketplaces share hosts.
        let origins: BTreeSet<&str> = origins.chain(central.flatten()).collect();
        Ok(AmazonConfig {
            marketplace: self.marketplace,
            is_draft: self.is_draft,
            is_sandbox: self.is_sandbox,
            user_agent: self.user_agent,
            app,
            app_key: self.app_key,
            loopbacks: LoopbackOverride::for_origins(origins, self.simulator)?,
        })
    }
}

/// Returns the environment variable for an extra value.
fn variable(name: &'static str) -> Variable {
    let unnamed = Variable::new("a setting of the app", Setting::Extra(name), name);
    let mut all = VARIABLES.iter();
    all.find(|it| it.setting == Setting::Extra(name))
        .copied()
        .unwrap_or(unnamed)
}
