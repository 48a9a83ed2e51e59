//! Runs all steps with a simulated browser and prints them.

use std::sync::Arc;

use connectors::shopify::ShopDomain;
use connectors::shopify::sim::{Simulator, WebhookHeaders};
use http::StatusCode;
use url::Url;

use crate::browser::{self, Browser, Page};
use crate::config::CALLBACK;
use crate::service::{APP_URL, Service, WEBHOOKS};
use crate::{Outcome, ensure, say, step};

/// The service and the browser of the user Ada.
pub(crate) struct Story {
    service: Arc<Service>,
    ada: Browser,
}

impl Story {
    pub(crate) fn new(service: Arc<Service>) -> Outcome<Self> {
        let ada = Browser::new(service.own("/")?, service.address);
        Ok(Self { service, ada })
    }

    pub(crate) async fn tell(mut self) -> Outcome {
        step("App URL and signature");
        let shop = self.open_app().await?;
        step("Login");
        let start = self.log_in(&shop).await?;
        step("Authorize");
        let callback = self.consent(&start).await?;
        step("Callback: forged callbacks");
        self.refuse(&callback).await?;
        step("Callback and token exchange");
        let page = self.connected(&callback).await?;
        step("Webhook and signature: the shop uninstalls the app");
        self.uninstalled(&shop).await?;
        let page = self.ada.get(&page).await?;
        say(&format!("The connection's page: {}", page.read()));
        Ok(())
    }

    fn simulator(&self) -> Outcome<&Simulator> {
        let simulator = self.service.simulator.as_ref();
        simulator.ok_or_else(|| "nothing is simulated".into())
    }

    async fn open_app(&mut self) -> Outcome<ShopDomain> {
        let shops = self.simulator()?.shops();
        let shop = shops.first().ok_or("the simulator has no shop")?.clone();
        let app_url = self.service.own(APP_URL)?;
        let signed = self.simulator()?.open_app(&shop, &app_url)?;
        let answer = self.ada.get(&signed).await?;
        ensure(
            answer.status == StatusCode::SEE_OTHER,
            "the App URL is refused",
        )?;
        say(&format!(
            "Shopify redirects the browser to {app_url}. The signed query names the shop {shop}."
        ));
        let forged = signed
            .as_str()
            .replace(shop.as_str(), "other.myshopify.com");
        let refused = self.ada.get(&Url::parse(&forged)?).await?;
        say(&format!(
            "The same query with another shop's name: {}.",
            refused.status
        ));
        ensure(
            refused.status == StatusCode::FORBIDDEN,
            "a forged App URL was accepted",
        )?;
        let page = self.ada.get(answer.location()?).await?;
        say("This query alone connects nothing, because it does not name the customer.");
        ensure(
            page.field("shop")? == shop.as_str(),
            "the page does not contain the shop",
        )?;
        Ok(shop)
    }

    async fn log_in(&mut self, shop: &ShopDomain) -> Outcome<Page> {
        let url = self.service.own("/login")?;
        let forged = self.ada.post(&url, &[("shop", shop.as_str())]).await?;
        say(&format!(
            "A login form of another site, without this browser's token: {}.",
            forged.status
        ));
        ensure(forged.status == StatusCode::FORBIDDEN, "a forged login")?;
        let page = self.ada.get(&self.service.own("/")?).await?;
        let form = [("shop", shop.as_str()), ("csrf", page.field("csrf")?)];
        let answer = self.ada.post(&url, &form).await?;
        say("You are Ada. Your application has its own login; this one is a placeholder.");
        say(&format!("Cookie: {}", answer.set.join(", ")));
        let start = self.ada.get(answer.location()?).await?;
        say(&format!("The start page: {}", start.read()));
        Ok(start)
    }

    /// Starts the authorization, lets the shop owner consent, and returns the callback's URL.
    async fn consent(&mut self, start: &Page) -> Outcome<Url> {
        let url = self.service.own("/shopify/connect")?;
        let shop = start.field("shop")?;
        let forged = self.ada.post(&url, &[("shop", shop), ("csrf", "")]).await?;
        say(&format!(
            "A form without this login's CSRF token: {}.",
            forged.status
        ));
        ensure(
            forged.status == StatusCode::FORBIDDEN,
            "a forged form was accepted",
        )?;
        let fields = [("shop", shop), ("csrf", start.field("csrf")?)];
        let foreign = self.ada.post_from("https://evil.example", &url, &fields);
        let foreign = foreign.await?;
        say(&format!("A form of another origin: {}.", foreign.status));
        ensure(
            foreign.status == StatusCode::FORBIDDEN,
            "a form of another origin was accepted",
        )?;
        let form = [("shop", shop), ("csrf", start.field("csrf")?)];
        let answer = self.ada.post(&url, &form).await?;
        let consent = answer.location()?;
        say(&format!("The form of this program: {}.", answer.status));
        say(&format!("Cookie: {}", answer.set.join(", ")));
        say("The cookie binds the authorization to this browser. Over https its name begins with");
        say("__Host-. Over plain http, some browsers do not accept this prefix.");
        say(&format!(
            "The path of the consent page is {}.",
            consent.path()
        ));
        let agreed = self.ada.get(consent).await?;
        let callback = agreed.location()?.clone();
        let parameters: Vec<String> = callback.query_pairs().map(|(k, _)| k.into()).collect();
        say(&format!(
            "The shop owner consents. Shopify redirects the browser to {} with {}.",
            callback.path(),
            parameters.join(", ")
        ));
        Ok(callback)
    }

    async fn refuse(&mut self, callback: &Url) -> Outcome {
        let mut other = Browser::new(self.service.own("/")?, self.service.address);
        let page = other.get(&self.service.own("/")?).await?;
        let form = [("csrf", page.field("csrf")?)];
        other.post(&self.service.own("/login")?, &form).await?;
        let refused = other.get(callback).await?;
        say("Another browser, in which Ada is also logged in, loads this callback:");
        say(&format!("{}: {}", refused.status, refused.read()));
        ensure(
            refused.status == StatusCode::FORBIDDEN,
            "the callback of another browser was accepted",
        )?;
        let mut forged = self.service.own(CALLBACK)?;
        forged.set_query(Some("code=guessed&state=guessed"));
        let refused = self.ada.get(&forged).await?;
        say("Ada's browser loads a callback with a guessed code and state:");
        say(&format!("{}: {}", refused.status, refused.read()));
        ensure(
            refused.status == StatusCode::FORBIDDEN,
            "a forged callback was accepted",
        )
    }

    async fn connected(&mut self, callback: &Url) -> Outcome<Url> {
        let answer = self.ada.get(callback).await?;
        let url = answer.location()?.clone();
        let page = self.ada.get(&url).await?;
        say(&format!("The connection's page: {}", page.read()));
        ensure(
            page.status.is_success() && page.text.contains("<code>connected</code>"),
            "the shop is not connected",
        )?;
        let again = self.ada.get(callback).await?;
        say("A second load of the callback leads to the same page. The code is sent once.");
        ensure(
            again.location()? == &url,
            "the second load leads to another page",
        )?;
        Ok(url)
    }

    async fn uninstalled(&mut self, shop: &ShopDomain) -> Outcome {
        let simulator = self.simulator()?;
        simulator.uninstall(shop)?;
        let topic = "app/uninstalled";
        let mut delivery = simulator.webhook(shop, topic, "{}", WebhookHeaders::default())?;
        *delivery.uri_mut() = http::Uri::from_static(WEBHOOKS);
        let mut forged = delivery.clone();
        *forged.body_mut() = "{ }".into();
        let refused = browser::send(self.service.address, forged).await?.status();
        say(&format!("{topic} with a changed body: {refused}."));
        ensure(
            refused == StatusCode::UNAUTHORIZED,
            "a forged delivery was accepted",
        )?;
        let accepted = browser::send(self.service.address, delivery)
            .await?
            .status();
        say(&format!("{topic} with a valid signature: {accepted}."));
        ensure(accepted.is_success(), "the delivery was refused")?;
        say("The signature does not cover the shop, so the delivery alone changes no status:");
        // This page calls no API. It shows the status that the hub has stored.
        let start = self.service.own("/")?;
        let page = self.ada.get(&start).await?;
        say(&format!("The start page: {}", page.read()));
        ensure(
            page.text.contains(": connected<"),
            "the webhook changed the status",
        )?;
        self.service.hub.worker().tick().await?;
        say("The worker runs and calls the shop's API.");
        say(&format!(
            "Deliveries passed to the application's handler: {}.",
            self.service.handled.count()
        ));
        let page = self.ada.get(&start).await?;
        say(&format!("The start page: {}", page.read()));
        ensure(
            page.text.contains(": needs_reauthorization("),
            "the connection does not need reauthorization",
        )
    }
}
