//! The program plays the browser, and tells what happens.

use std::sync::Arc;

use connectors::shopify::ShopDomain;
use connectors::shopify::sim::{Simulator, WebhookHeaders};
use http::StatusCode;
use url::Url;

use crate::browser::{self, Browser, Page};
use crate::config::CALLBACK;
use crate::service::{APP_URL, Service, WEBHOOKS};
use crate::{Outcome, ensure, say, step};

/// Who is in the story.
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
        step("Somebody opens the app from within the shop");
        let shop = self.open_app().await?;
        step("They log in at the application");
        let start = self.log_in(&shop).await?;
        step("They connect the shop");
        let callback = self.consent(&start).await?;
        step("Callbacks that are not theirs");
        self.refuse(&callback).await?;
        step("The callback");
        let page = self.connected(&callback).await?;
        step("The shop removes the app");
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
            "Shopify sends the browser to {app_url}, and signs which shop it is: {shop}."
        ));
        let forged = signed
            .as_str()
            .replace(shop.as_str(), "other.myshopify.com");
        let refused = self.ada.get(&Url::parse(&forged)?).await?;
        say(&format!(
            "The same with another shop's name is answered {}.",
            refused.status
        ));
        ensure(refused.status == StatusCode::FORBIDDEN, "a forged App URL")?;
        let page = self.ada.get(answer.location()?).await?;
        say("The query connects nothing: it does not say which customer of ours this is.");
        ensure(
            page.field("shop")? == shop.as_str(),
            "the shop is forgotten",
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
        say("You are Ada. The login is the application's part; this one asks for nothing.");
        say(&format!("Cookie: {}", answer.set.join(", ")));
        let start = self.ada.get(answer.location()?).await?;
        say(&format!("The start page: {}", start.read()));
        Ok(start)
    }

    /// Begins to connect, lets the shop's owner agree, and tells where the browser is sent then.
    async fn consent(&mut self, start: &Page) -> Outcome<Url> {
        let url = self.service.own("/shopify/connect")?;
        let shop = start.field("shop")?;
        let forged = self.ada.post(&url, &[("shop", shop), ("csrf", "")]).await?;
        say(&format!(
            "A form of another site, without this login's CSRF token: {}.",
            forged.status
        ));
        ensure(forged.status == StatusCode::FORBIDDEN, "a forged form")?;
        let form = [("shop", shop), ("csrf", start.field("csrf")?)];
        let answer = self.ada.post(&url, &form).await?;
        let consent = answer.location()?;
        say(&format!("The program's own form: {}.", answer.status));
        say(&format!("Cookie: {}", answer.set.join(", ")));
        say("It ties the connect to this browser. Over https its name begins with __Host-; over");
        say("plain http, as with --serve on this machine, not all browsers take that.");
        say(&format!("The consent page is {}.", consent.path()));
        let agreed = self.ada.get(consent).await?;
        let callback = agreed.location()?.clone();
        let parameters: Vec<String> = callback.query_pairs().map(|(k, _)| k.into()).collect();
        say(&format!(
            "The shop's owner agrees. Shopify sends the browser to {} with {}.",
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
        say("Another browser, in which Ada is logged in as well, is led to this callback:");
        say(&format!("{}: {}", refused.status, refused.read()));
        ensure(refused.status == StatusCode::FORBIDDEN, "another browser")?;
        let mut forged = self.service.own(CALLBACK)?;
        forged.set_query(Some("code=guessed&state=guessed"));
        let refused = self.ada.get(&forged).await?;
        say("Ada's browser is led to a callback that somebody made up:");
        say(&format!("{}: {}", refused.status, refused.read()));
        ensure(refused.status == StatusCode::FORBIDDEN, "a forged callback")
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
        say("Loaded again, the callback leads to the same page; the code is sent once.");
        ensure(again.location()? == &url, "the second load leads elsewhere")?;
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
        say(&format!(
            "{topic} with another body than the signed one is answered {refused}."
        ));
        ensure(refused == StatusCode::UNAUTHORIZED, "a forged delivery")?;
        let accepted = browser::send(self.service.address, delivery)
            .await?
            .status();
        say(&format!("The signed delivery is answered {accepted}."));
        ensure(accepted.is_success(), "the delivery is refused")?;
        say("Who it is about is not signed. So it ends nothing:");
        // This page calls no API: what it shows is what the hub knows.
        let start = self.service.own("/")?;
        let page = self.ada.get(&start).await?;
        say(&format!("The start page: {}", page.read()));
        ensure(page.text.contains(": connected<"), "the webhook ended it")?;
        self.service.hub.worker().tick().await?;
        say("The worker runs, and asks the shop.");
        say(&format!(
            "Deliveries that the application's handler was given: {}.",
            self.service.handled.count()
        ));
        let page = self.ada.get(&start).await?;
        say(&format!("The start page: {}", page.read()));
        ensure(
            page.text.contains(": needs_reauthorization("),
            "the connection still claims to work",
        )
    }
}
