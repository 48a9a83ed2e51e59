//! Settings of the connector, in code or from the environment.

use std::net::SocketAddr;
use std::sync::Arc;

use connector_core::http::{LoopbackOverride, Origin};
pub use connector_core::provider::config::Variable;
use connector_core::provider::config::{AppSettings, Setting};
use connector_core::{App, AppKey, AppSource, Error, FixedApps, RedirectUri, Result};
use secrecy::{ExposeSecret, SecretString};

use crate::{AmazonSpApi, Marketplace, Region, UserAgent, oauth};

/// The extra value of an [`App`] with the application id, which the consent page asks for.
pub(crate) const APPLICATION_ID: &str = "application_id";

/// Every setting that [`AmazonConfig::from_env`] reads.
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
        "LWA client secret; Amazon ends it after 180 days",
    )
    .required(),
    Variable::new(
        "AMAZON_LWA_CLIENT_SECRET_OLD",
        Setting::OldClientSecret,
        "the secret from before a rotation, which Amazon accepts for 7 more days",
    ),
    Variable::new(
        "AMAZON_REDIRECT_URI",
        Setting::RedirectUri,
        "OAuth redirect URI as it is registered",
    )
    .required(),
    Variable::new(
        "AMAZON_SP_MARKETPLACE",
        Setting::Extra(MARKETPLACE),
        "marketplace of flows that name none, for example `DE`",
    ),
    Variable::new(
        "AMAZON_SP_DRAFT",
        Setting::Extra(DRAFT),
        "`true` while the application is a draft: adds `version=beta`",
    ),
    Variable::new(
        "AMAZON_SP_SANDBOX",
        Setting::Extra(SANDBOX),
        "`true` for an application of the sandbox",
    ),
    Variable::new(
        "AMAZON_SP_BASE_URL",
        Setting::BaseUrl,
        "a simulator on this machine, as `http://127.0.0.1:4010`",
    ),
];

const MARKETPLACE: &str = "marketplace";
const DRAFT: &str = "draft";
const SANDBOX: &str = "sandbox";

/// The settings of [`AmazonSpApi`].
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

impl AmazonConfig {
    /// Settings with their defaults and no registration.
    pub fn builder() -> AmazonConfigBuilder {
        AmazonConfigBuilder::default()
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
    /// As for [`AmazonConfig::from_env`], and those of `lookup`.
    pub fn from_variables(
        lookup: impl Fn(&'static str) -> Result<Option<SecretString>>,
    ) -> Result<Self> {
        Self::of(AppSettings::read(VARIABLES, lookup))
    }

    fn of(settings: Result<AppSettings>) -> Result<Self> {
        let mut settings = settings.map_err(ours)?;
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
            let form = "is not the code of a marketplace; see the README's table";
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

    /// Settings for a simulator, with its registration and the marketplace `US` for flows that name
    /// none.
    ///
    /// # Errors
    /// As for [`AmazonConfigBuilder::build`].
    #[cfg(feature = "sim")]
    pub fn for_simulator(simulator: &crate::sim::Simulator) -> Result<Self> {
        AmazonConfigBuilder::for_simulator(simulator).build()
    }

    /// The loopback overrides of a simulator. The hub's default transport uses them; give them to a
    /// transport of your own.
    #[must_use]
    pub fn loopbacks(&self) -> &[LoopbackOverride] {
        &self.loopbacks
    }

    /// The application id of the registration.
    pub(crate) fn application_id(&self) -> Result<&str> {
        let id = self.app.as_ref().and_then(|it| it.extra(APPLICATION_ID));
        id.map(ExposeSecret::expose_secret)
            .ok_or_else(|| ours(variable(APPLICATION_ID).missing()))
    }

    /// The registration as the hub asks for it.
    pub(crate) fn app_source(&self) -> Option<Arc<dyn AppSource>> {
        let app = self.app.clone()?;
        let apps = FixedApps::new().with(AmazonSpApi::ID, self.app_key.clone(), app);
        Some(Arc::new(apps))
    }
}

/// Collects an [`AmazonConfig`].
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
    /// The settings of [`AmazonConfig::for_simulator`], to change them.
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

    /// Sets the registration: application id, LWA client id and redirect URI. Add the secret with
    /// [`AmazonConfigBuilder::with_client_secret`]. Without a registration, the hub needs an
    /// [`AppSource`] of the application's, whose [`App`] has the application id as the extra value
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

    /// Adds an LWA client secret. The first one is used; the second one is tried where Amazon refuses
    /// the first, so that a rotation needs no restart at its moment.
    pub fn with_client_secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.settings.client_secrets.push(secret.into());
        self
    }

    /// Sets the name of the registration. Default: `default`.
    pub fn with_app_key(mut self, app_key: AppKey) -> Self {
        self.app_key = app_key;
        self
    }

    /// Sets the marketplace of flows that name none. Default: none, and such a flow is refused.
    pub fn with_marketplace(mut self, marketplace: Marketplace) -> Self {
        self.marketplace = Some(marketplace);
        self
    }

    /// Says that the application is a draft: consent needs `version=beta` until it is published.
    pub fn with_draft(mut self, is_draft: bool) -> Self {
        self.is_draft = is_draft;
        self
    }

    /// Uses the sandbox's hosts and limits. Sandbox applications have credentials of their own.
    pub fn with_sandbox(mut self, is_sandbox: bool) -> Self {
        self.is_sandbox = is_sandbox;
        self
    }

    /// Sets the User-Agent. Default: the name and version of this crate.
    pub fn with_user_agent(mut self, user_agent: UserAgent) -> Self {
        self.user_agent = user_agent;
        self
    }

    /// Reaches Amazon at a simulator on this machine. `address` is a loopback address.
    pub fn with_simulator(mut self, address: SocketAddr) -> Self {
        self.simulator = Some(address);
        self
    }

    /// Checks the settings.
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
            // It becomes a segment of a path and a parameter.
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
            if !id.bytes().all(is_plain) {
                let form = "has characters that no application id has; copy it again";
                return Err(ours(variable(APPLICATION_ID).malformed(form)));
            }
        }
        let mut loopbacks = Vec::new();
        if let Some(address) = self.simulator {
            let regions = Region::ALL.into_iter().map(|it| it.host(self.is_sandbox));
            let central = Marketplace::ALL
                .iter()
                .flat_map(|it| [Some(it.seller_central()), it.vendor_central()]);
            let documents = oauth::SIMULATED_LINKS.iter().copied();
            let origins = [oauth::TOKENS].into_iter().chain(regions).chain(documents);
            let mut origins: Vec<&str> = origins.chain(central.flatten()).collect();
            origins.sort_unstable();
            origins.dedup();
            for origin in origins {
                loopbacks.push(LoopbackOverride::new(Origin::parse(origin)?, address)?);
            }
        }
        Ok(AmazonConfig {
            marketplace: self.marketplace,
            is_draft: self.is_draft,
            is_sandbox: self.is_sandbox,
            user_agent: self.user_agent,
            app,
            app_key: self.app_key,
            loopbacks,
        })
    }
}

/// The variable of an extra value. Each of them has one.
fn variable(name: &'static str) -> Variable {
    let unnamed = Variable::new("a setting of the app", Setting::Extra(name), name);
    let mut all = VARIABLES.iter();
    all.find(|it| it.setting == Setting::Extra(name))
        .copied()
        .unwrap_or(unnamed)
}

fn ours(error: Error) -> Error {
    error.with_provider(AmazonSpApi::ID.as_str().to_owned())
}
