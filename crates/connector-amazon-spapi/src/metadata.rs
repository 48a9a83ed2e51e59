//! Connection test and seller metadata.

use connector_core::api::{Idempotency, Request, Response};
use connector_core::provider::oauth::{ExchangeError, Identity};
use connector_core::provider::{Context, Endpoint};
use connector_core::{Credential, Metadata, Result};
use serde_json::json;

use crate::endpoints::GetMarketplaceParticipations;
use crate::models::seller::MarketplaceParticipation;
use crate::{AmazonClient, AmazonSpApi, Region, error, oauth};

/// Prefix of the ids of vendor groups.
const VENDOR_GROUP: &str = "amzn1.vg.";

/// Tests a credential at the host of its region, and reads `region` and `marketplaces`.
///
/// No response from Amazon contains the selling partner id. The account therefore remains asserted
/// by the callback, or by the person who entered the token.
pub(crate) async fn identify(
    amazon: &AmazonSpApi,
    cx: &Context<'_>,
    credential: &Credential,
) -> Result<Identity> {
    const OPERATION: &str = "amazon.identify";
    let Some(identity) = credential.identity() else {
        return Err(error::unnamed(OPERATION));
    };
    let mut account = identity.account.clone();
    let mut facts = Metadata::new();
    if let Some(region) = Region::at(credential.origin()) {
        facts.insert("region", region.as_str())?;
    }
    if oauth::selling_partner_id(&account.key).starts_with(VENDOR_GROUP) {
        let tested = cx.call(amazon, credential, &TestVendor).await;
        tested.map_err(ExchangeError::into_error)?;
        return Ok(Identity::new(account).with_metadata(facts));
    }
    let test = GetMarketplaceParticipations::new();
    let found = cx.call(amazon, credential, &test).await;
    let found = found.map_err(ExchangeError::into_error)?;
    if let Some(name) = found.iter().find_map(|it| it.store_name.as_deref()) {
        account = account.with_label(name.chars().take(255).collect::<String>());
    }
    facts.insert("marketplaces", &found.iter().map(fact).collect::<Vec<_>>())?;
    Ok(Identity::new(account).with_metadata(facts))
}

fn fact(found: &MarketplaceParticipation) -> serde_json::Value {
    let (marketplace, part) = (found.marketplace.as_ref(), found.participation.as_ref());
    json!({
        "id": marketplace.and_then(|it| it.id.as_ref()),
        "name": marketplace.and_then(|it| it.name.as_ref()),
        "country_code": marketplace.and_then(|it| it.country_code.as_ref()),
        "currency": marketplace.and_then(|it| it.default_currency_code.as_ref()),
        "language": marketplace.and_then(|it| it.default_language_code.as_ref()),
        "store_name": found.store_name,
        "is_participating": part.and_then(|it| it.is_participating),
        "has_suspended_listings": part.and_then(|it| it.has_suspended_listings),
    })
}

/// Connection test for vendors, who cannot use the Sellers API.
struct TestVendor;

impl Endpoint for TestVendor {
    type Client = AmazonClient;
    type Output = ();
    const NAME: &'static str = "TestVendor";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;

    fn request(&self) -> Result<Request> {
        Ok(Request::get(["vendor", "orders", "v1", "purchaseOrders"])?.query("limit", "1"))
    }

    fn decode(&self, _: &mut Response) -> Result<()> {
        Ok(())
    }
}
