//! Connects an Airtable user step by step: authorize, callback, token exchange, API call, webhook,
//! disconnect.
//!
//! `cargo run --bin airtable_oauth` runs offline against a simulated Airtable and ends by itself.
//! If `AIRTABLE_CLIENT_ID` and `AIRTABLE_REDIRECT_URI` are set, it prints the authorization URL of
//! the real Airtable instead; see docs/providers/airtable.md.

#![expect(clippy::print_stdout, reason = "the example prints its steps")]

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use connector_airtable::sim::{Consent, Simulator};
use connectors::airtable::endpoints::{CreateRecords, ListRecords};
use connectors::airtable::models::{Fields, WebhookPayload};
use connectors::airtable::{Airtable, AirtableClient, AirtableConfig, VARIABLES};
use connectors::cipher::Keyring;
use connectors::clock::{Clock, ManualClock, SystemClock};
use connectors::{
    Actor, CorrelationId, Delivered, DeliveryHandler, Hub, MemoryStore, RequestContext, TenantId,
    Watch,
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The application's handler for changes. This example keeps the payloads.
#[derive(Debug, Clone, Default)]
struct Changes(Arc<Mutex<Vec<WebhookPayload>>>);

impl Changes {
    fn all(&self) -> MutexGuard<'_, Vec<WebhookPayload>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl DeliveryHandler for Changes {
    async fn handle(&self, delivery: &Delivered) -> connectors::Result<()> {
        self.all().push(WebhookPayload::of(delivery.event())?);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    if VARIABLES.iter().any(|variable| is_set(variable.name)) {
        return real().await;
    }
    let clock = ManualClock::new(SystemClock::new().now());
    let sim = Simulator::builder(clock.clone()).start().await?;
    let base = sim.add_base("Work")?;
    let table = sim.add_table(&base, "Tasks", &["Name"])?;
    println!("simulator: Airtable at {}", sim.server().address());

    let changes = Changes::default();
    let hub = Hub::builder()
        .store(MemoryStore::new(Arc::new(clock.clone())))
        .cipher(Keyring::parse(&Keyring::generate()?)?)
        .clock(clock.clone())
        .connector(Airtable::new(AirtableConfig::for_simulator(&sim)?))
        .on_delivery(changes.clone())
        .with_webhook_base("https://hooks.example/in/".parse()?)
        .build()?;
    let (tenant, user) = (TenantId::new("tenant-1")?, Actor::User("user-1".into()));
    let context = || RequestContext::new(user.clone(), CorrelationId::default());

    let authorization = hub
        .authorize(&tenant, Airtable::ID)
        .actor(user.clone())
        .begin()
        .await?;
    let url = authorization.url();
    println!(
        "authorize: {}{}",
        url.host_str().unwrap_or_default(),
        url.path()
    );
    let callback = sim.authority().visit(url, &Consent::Grant)?;
    println!(
        "callback: {}{}",
        callback.host_str().unwrap_or_default(),
        callback.path()
    );
    let query = callback.query().unwrap_or_default();
    let connected = hub
        .callback(Airtable::ID, query, authorization.binding().clone())
        .actor(user.clone())
        .tenant(&tenant)
        .await?;
    let exchanges = sim.server().count(&http::Method::POST, "/oauth2/v1/token");
    println!("token exchange: {exchanges} request");
    let connection = connected.connection();
    println!(
        "identity: account {} ({})",
        connection.account.key, connection.status
    );
    let key = connection.key().clone();

    let client: AirtableClient = hub.client(&key).await?;
    let rows = (1..=12).map(|number| {
        let mut fields = Fields::new();
        fields.insert("Name".to_owned(), format!("Task {number}").into());
        fields
    });
    let create = CreateRecords::new(base.clone(), table.clone(), rows);
    let outcome = client.send_in_batches(create).await;
    println!(
        "API call: {} records in {} calls",
        outcome.written,
        outcome.completed.len()
    );
    let list = ListRecords::new(base.clone(), table.clone()).with_max_records(3);
    println!(
        "API call: {} records read",
        client.send(&list).await?.items.len()
    );

    let watch = Watch::new(format!("{base}/{table}"))?;
    hub.subscribe(&key, watch, context()).await?;
    work(&hub, &clock).await?;
    println!(
        "webhook: {} registered at Airtable",
        sim.webhooks(&base).len()
    );
    let mut fields = Fields::new();
    fields.insert("Name".to_owned(), "By a colleague".into());
    sim.add_record(&base, &table, fields)?;
    for ping in sim.pings()? {
        // A webhook route of the service does the same: the last path segment is the channel's id.
        let channel = ping.url.rsplit('/').next().unwrap_or_default().to_owned();
        let receipt = hub
            .receive(&Airtable::ID, ping.request.clone())
            .channel(channel)
            .await?;
        println!(
            "signature: valid, ping answered {}",
            receipt.response().status()
        );
    }
    work(&hub, &clock).await?;
    println!("webhook: {} change handled", changes.all().len());

    hub.disconnect(&key, context()).await?;
    work(&hub, &clock).await?;
    println!(
        "disconnect: {} webhooks left at Airtable",
        sim.webhooks(&base).len()
    );
    if let Err(error) = hub.access_token(&key).await {
        println!("disconnect: the hub refuses further token requests: {error}");
    }
    hub.shutdown(Duration::from_secs(10)).await?;
    println!("done");
    Ok(())
}

/// Runs the jobs that are due. In a service, the worker runs in the background.
async fn work(hub: &Hub, clock: &ManualClock) -> Outcome<()> {
    for _ in 0..10 {
        clock.advance(Duration::from_secs(1));
        while hub.worker().tick().await?.more {}
    }
    Ok(())
}

/// Prints the authorization URL of the real Airtable. A service keeps its hub and its store until
/// the callback.
async fn real() -> Outcome<()> {
    let hub = Hub::builder()
        .store(MemoryStore::new(Arc::new(SystemClock::new())))
        .cipher(Keyring::parse(&Keyring::generate()?)?)
        .connector(Airtable::new(AirtableConfig::from_env()?))
        .build()?;
    let tenant = TenantId::new("tenant-1")?;
    let authorization = hub
        .authorize(&tenant, Airtable::ID)
        .actor(Actor::User("user-1".into()))
        .begin()
        .await?;
    println!("authorize: open {}", authorization.url());
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "only this function reads the environment"
)]
fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}
