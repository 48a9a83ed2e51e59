//! Settings of the connector, set in code or read from the environment.

use std::net::SocketAddr;
use std::sync::Arc;

use connector_core::http::LoopbackOverride;
pub use connector_core::provider::config::Variable;
use connector_core::provider::config::{AppSettings, Setting};
use connector_core::{App, AppKey, AppSource, FixedApps, Result};

use crate::Zapier;
use crate::limits::REQUESTS_PER_SECOND;

/// The origin of hooks.
pub(crate) const HOOKS: &str = "https://hooks.zapier.com";

/// All variables that [`ZapierConfig::from_env`] reads. None is required.
pub const VARIABLES: &[Variable] = &[Variable::new(
    "ZAPIER_BASE_URL",
    Setting::BaseUrl,
    "URL of a local simulator, for example `http://127.0.0.1:4010`",
)];

/// Settings of [`Zapier`].
#[derive(Debug, Clone)]
pub struct ZapierConfig {
    pub(crate) requests_per_second: u32,
    loopbacks: Vec<LoopbackOverride>,
}

connector_core::provider::provider_config! {
    ZapierConfig for Zapier::ID, read from VARIABLES
}

impl ZapierConfig {
    /// Returns a builder with default settings.
    pub fn builder() -> ZapierConfigBuilder {
        ZapierConfigBuilder::default()
    }

    fn of(settings: AppSettings) -> Result<Self> {
        let builder = ZapierConfigBuilder {
            simulator: settings.base_url.map(|it| it.address),
            ..ZapierConfigBuilder::default()
        };
        builder.build()
    }

    /// Returns settings for a simulator.
    ///
    /// # Errors
    /// As for [`ZapierConfigBuilder::build`].
    #[cfg(feature = "sim")]
    pub fn for_simulator(simulator: &crate::sim::Simulator) -> Result<Self> {
        let address = simulator.server().address();
        Self::builder().with_simulator(address).build()
    }

    /// Returns a placeholder registration for the hub. At Zapier, a hook belongs to no app.
    pub(crate) fn app_source() -> Arc<dyn AppSource> {
        let app = App::new(Zapier::ID.as_str());
        Arc::new(FixedApps::new().with(Zapier::ID, AppKey::default(), app))
    }
}

/// Builder of [`ZapierConfig`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ZapierConfigBuilder {
    simulator: Option<SocketAddr>,
    requests_per_second: Option<u32>,
}

impl ZapierConfigBuilder {
    /// Sets the maximum sustained number of events per second and hook, at least 1. Default: 20.
    /// Zapier allows 30.
    pub const fn with_requests_per_second(mut self, requests: u32) -> Self {
        self.requests_per_second = Some(requests);
        self
    }

    /// Sends requests to a local simulator instead of Zapier. `address` must be a loopback address.
    pub const fn with_simulator(mut self, address: SocketAddr) -> Self {
        self.simulator = Some(address);
        self
    }

    /// Validates the settings.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](connector_core::ErrorKind::Configuration) if the address of the
    /// simulator is not a loopback address.
    pub fn build(self) -> Result<ZapierConfig> {
        Ok(ZapierConfig {
            loopbacks: LoopbackOverride::for_origins([HOOKS], self.simulator)?,
            requests_per_second: self
                .requests_per_second
                .unwrap_or(REQUESTS_PER_SECOND)
                .max(1),
        })
    }
}
