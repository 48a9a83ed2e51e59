//! Sends the same message to the connector and to the library.

use connector_core::App;
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::provider::Context;
use connector_http::HttpClient;
use connector_shopify::{Shopify, ShopifyConfig};
use connector_tests::shopify_sdk::ShopifySdk;
use secrecy::SecretString;

/// The tests that create a message request the decisions.
pub(crate) struct Judges {
    pub(crate) sdk: ShopifySdk,
    pub(crate) shopify: Shopify,
    pub(crate) clock: ManualClock,
    transport: HttpClient,
}

impl Judges {
    /// Returns `None` if the library is not installed.
    pub(crate) fn new() -> Option<Self> {
        let clock = ManualClock::new(Timestamp::parse("2026-11-20T12:00:00Z").unwrap());
        Some(Self {
            sdk: ShopifySdk::start().unwrap()?,
            shopify: Shopify::new(ShopifyConfig::builder().build().unwrap()),
            clock,
            transport: HttpClient::builder().build().unwrap(),
        })
    }

    /// The connector's context for the message.
    pub(crate) fn context<'a>(&'a self, app: &'a App) -> Context<'a> {
        Context::new(app, &self.transport, &self.clock)
    }
}

/// Returns a registration with this secret.
pub(crate) fn app(secret: &SecretString) -> App {
    App::new("client-id").with_client_secret(secret.clone())
}
