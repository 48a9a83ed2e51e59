//! Settings of the connector, in code or from the environment.

use std::net::SocketAddr;
use std::sync::Arc;

use connector_core::http::{LoopbackOverride, Origin};
pub use connector_core::provider::config::Variable;
use connector_core::provider::config::{AppSettings, Setting};
use connector_core::{App, AppKey, AppSource, Error, FixedApps, Result};
use secrecy::SecretString;

use crate::Zapier;
use crate::limits::REQUESTS_PER_SECOND;

/// The origin of hooks.
pub(crate) const HOOKS: &str = "https://hooks.zapier.com";

/// Every setting that [`ZapierConfig::from_env`] reads. Hooks need none.
pub const VARIABLES: &[Variable] = &[Variable::new(
    "ZAPIER_BASE_URL",
    Setting::BaseUrl,
    "a simulator on this machine, as `http://127.0.0.1:4010`",
)];

/// The settings of [`Zapier`].
#[derive(Debug, Clone)]
pub struct ZapierConfig {
    pub(crate) requests_per_second: u32,
    loopbacks: Vec<LoopbackOverride>,
}

impl ZapierConfig {
    /// Settings with their defaults.
    pub fn builder() -> ZapierConfigBuilder {
        ZapierConfigBuilder::default()
    }

    /// Reads [`VARIABLES`] from the environment.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](connector_core::ErrorKind::Configuration) names the variable that
    /// is malformed, never its value.
    pub fn from_env() -> Result<Self> {
        Self::of(AppSettings::from_env(VARIABLES))
    }

    /// Reads [`VARIABLES`] from where the application keeps them. `lookup` returns the value of a
    /// name, or nothing.
    ///
    /// # Errors
    /// As for [`ZapierConfig::from_env`], and those of `lookup`.
    pub fn from_variables(
        lookup: impl Fn(&'static str) -> Result<Option<SecretString>>,
    ) -> Result<Self> {
        Self::of(AppSettings::read(VARIABLES, lookup))
    }

    fn of(settings: Result<AppSettings>) -> Result<Self> {
        let settings = settings.map_err(ours)?;
        let builder = ZapierConfigBuilder {
            simulator: settings.base_url.map(|it| it.address),
            ..ZapierConfigBuilder::default()
        };
        builder.build()
    }

    /// Settings for a simulator.
    ///
    /// # Errors
    /// As for [`ZapierConfigBuilder::build`].
    #[cfg(feature = "sim")]
    pub fn for_simulator(simulator: &crate::sim::Simulator) -> Result<Self> {
        let address = simulator.server().address();
        Self::builder().with_simulator(address).build()
    }

    /// The loopback overrides of a simulator. The hub's default transport uses them; give them to a
    /// transport of your own.
    #[must_use]
    pub fn loopbacks(&self) -> &[LoopbackOverride] {
        &self.loopbacks
    }

    /// A registration for the hub. Hooks belong to no app at Zapier.
    pub(crate) fn app_source() -> Arc<dyn AppSource> {
        let app = App::new(Zapier::ID.as_str());
        Arc::new(FixedApps::new().with(Zapier::ID, AppKey::default(), app))
    }
}

/// Collects a [`ZapierConfig`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ZapierConfigBuilder {
    simulator: Option<SocketAddr>,
    requests_per_second: Option<u32>,
}

impl ZapierConfigBuilder {
    /// Sets the number of events in a second that one hook is sent at most over a longer time, at
    /// least 1. Default: 20. Zapier allows 30.
    pub const fn with_requests_per_second(mut self, requests: u32) -> Self {
        self.requests_per_second = Some(requests);
        self
    }

    /// Reaches Zapier at a simulator on this machine. `address` is a loopback address.
    pub const fn with_simulator(mut self, address: SocketAddr) -> Self {
        self.simulator = Some(address);
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](connector_core::ErrorKind::Configuration) if the address of the
    /// simulator is not a loopback address.
    pub fn build(self) -> Result<ZapierConfig> {
        let hooks = Origin::parse(HOOKS)?;
        let loopbacks = self.simulator.iter();
        let loopbacks = loopbacks.map(|address| LoopbackOverride::new(hooks.clone(), *address));
        Ok(ZapierConfig {
            loopbacks: loopbacks.collect::<Result<_>>()?,
            requests_per_second: self
                .requests_per_second
                .unwrap_or(REQUESTS_PER_SECOND)
                .max(1),
        })
    }
}

fn ours(error: Error) -> Error {
    error.with_provider(Zapier::ID.as_str().to_owned())
}
