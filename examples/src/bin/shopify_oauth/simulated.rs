//! Actions of a person in a simulated shop.

use axum::extract::{Form, State};
use axum::http::HeaderMap;
use axum::response::Redirect;
use connectors::shopify::ShopDomain;
use connectors::shopify::sim::WebhookHeaders;

use crate::browser;
use crate::pages::Refusal;
use crate::routes::{Shared, ShopForm, session};
use crate::service::{APP_URL, Service, WEBHOOKS};
use crate::{Outcome, say};

/// Opens the app from the first shop's list of apps.
pub(crate) async fn open(State(service): Shared) -> Result<Redirect, Refusal> {
    let target = open_app(&service).map_err(|error| failed(&*error))?;
    Ok(Redirect::to(&target))
}

fn open_app(service: &Service) -> Outcome<String> {
    let simulator = service.simulator.as_ref().ok_or("nothing is simulated")?;
    let shops = simulator.shops();
    let shop = shops.first().ok_or("the simulator has no shop")?;
    let target = simulator.open_app(shop, &service.own(APP_URL)?)?;
    Ok(target.into())
}

/// Uninstalls the app in the shop, and sends the webhook that Shopify sends in this case.
pub(crate) async fn uninstall(
    State(service): Shared,
    headers: HeaderMap,
    Form(form): Form<ShopForm>,
) -> Result<Redirect, Refusal> {
    let session = session(&service, &headers).ok_or_else(Refusal::not_logged_in)?;
    if !session.made(&form.csrf) {
        return Err(Refusal::forged_form());
    }
    let shop = ShopDomain::parse(&form.shop)?;
    let status = deliver_uninstalled(&service, &shop)
        .await
        .map_err(|error| failed(&*error))?;
    say(&format!("webhook: app/uninstalled of {shop}: {status}."));
    Ok(Redirect::to("/"))
}

async fn deliver_uninstalled(service: &Service, shop: &ShopDomain) -> Outcome<http::StatusCode> {
    let simulator = service.simulator.as_ref().ok_or("nothing is simulated")?;
    simulator.uninstall(shop)?;
    let mut delivery =
        simulator.webhook(shop, "app/uninstalled", "{}", WebhookHeaders::default())?;
    *delivery.uri_mut() = http::Uri::from_static(WEBHOOKS);
    Ok(browser::send(service.address, delivery).await?.status())
}

fn failed(error: &(dyn std::error::Error + Send + Sync)) -> Refusal {
    Refusal::new(
        http::StatusCode::INTERNAL_SERVER_ERROR,
        "The simulator failed",
        &error.to_string(),
    )
}
