//! The providers: real ones with credentials from the environment, otherwise simulated ones.

use connector_sim::Authority;
use connectors::airtable::{Airtable, AirtableConfig};
use connectors::clock::SystemClock;
use connectors::gdrive::{GoogleDrive, GoogleDriveConfig};
use connectors::notion::{Notion, NotionConfig};
use connectors::shopify::{ShopDomain, Shopify, ShopifyConfig};
use connectors::{HubBuilder, ProviderId, airtable, gdrive, notion, shopify};
use url::Url;

use crate::{Outcome, is_set};

/// A simulated provider.
#[derive(Debug)]
pub(crate) struct Simulated {
    pub(crate) provider: ProviderId,
    pub(crate) authority: Authority,
}

/// Adds the connectors to the hub. Returns the simulated providers.
pub(crate) async fn add(mut hub: HubBuilder, site: &Url) -> Outcome<(HubBuilder, Vec<Simulated>)> {
    let redirect = |provider: &ProviderId| format!("{site}/v1/callback/{provider}").parse();
    let mut simulated = Vec::new();
    macro_rules! provider {
        ($id:expr, $module:ident, $connector:ident, $config:ident, $sim:expr) => {
            if $module::VARIABLES.iter().any(|it| is_set(it.name)) {
                hub = hub.connector($connector::new($config::from_env()?));
            } else {
                let sim = $sim
                    .with_redirect_uri(redirect(&$id)?)
                    .with_consent_page()
                    .start()
                    .await?;
                hub = hub.connector($connector::new($config::for_simulator(&sim)?));
                simulated.push(Simulated {
                    provider: $id,
                    authority: sim.authority().clone(),
                });
            }
        };
    }
    let clock = SystemClock::new;
    provider!(
        Airtable::ID,
        airtable,
        Airtable,
        AirtableConfig,
        connector_airtable::sim::Simulator::builder(clock())
            .with_user("usrExampleAda00001", "ada@example.com")
            .with_user("usrExampleBob00002", "bob@example.com")
    );
    provider!(
        Notion::ID,
        notion,
        Notion,
        NotionConfig,
        connector_notion::sim::Simulator::builder(clock()).with_bots(2)
    );
    provider!(
        GoogleDrive::ID,
        gdrive,
        GoogleDrive,
        GoogleDriveConfig,
        connector_gdrive::sim::Simulator::builder(clock())
            .with_user("100000000000000000001", "ada@example.com")
            .with_user("100000000000000000002", "bob@example.com")
    );
    let shops = ["first.myshopify.com", "second.myshopify.com"];
    let mut builder = connector_shopify::sim::Simulator::builder(clock());
    for shop in shops {
        let shop = ShopDomain::parse(shop)?;
        builder = builder.with_shop(connector_shopify::sim::SimulatedShop::new(shop));
    }
    provider!(Shopify::ID, shopify, Shopify, ShopifyConfig, builder);
    Ok((hub, simulated))
}
