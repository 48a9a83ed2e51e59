//! Connects an Airtable user step by step: authorize, callback, token exchange, API call, webhook,
//! disconnect.
//!
//! `cargo run --bin airtable_oauth` runs offline against a simulated Airtable and ends by itself.
//! If `AIRTABLE_CLIENT_ID` and `AIRTABLE_REDIRECT_URI` are set, it prints the authorization URL of
//! the real Airtable instead; see docs/providers/airtable.md.

#![expect(clippy::print_stdout, reason = "the example prints its steps")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use connector_airtable::sim::{Consent, Simulator};
use connector_examples::{Outcome, authorization_url, is_set, run_jobs};
use connectors::airtable::endpoints::{CreateRecords, ListRecords};
use connectors::airtable::models::{BaseId, Fields, TableId, WebhookPayload};
use connectors::airtable::{Airtable, AirtableClient, AirtableConfig, VARIABLES};
use connectors::cipher::Keyring;
use connectors::clock::{Clock, ManualClock, SystemClock};
use connectors::{
    Actor, CorrelationId, Delivered, EventHandler, Hub, MemoryStore, RequestContext, TenantId,
    Watch,
};

/// The application's handler for changes. This example keeps the payloads.
#[derive(Debug, Clone, Default)]
struct Changes(Arc<Mutex<Vec<WebhookPayload>>>);

impl Changes {
    fn all(&self) -> MutexGuard<'_, Vec<WebhookPayload>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl EventHandler<WebhookPayload> for Changes {
    async fn handle(&self, payload: WebhookPayload, _: &Delivered) -> connectors::Result<()> {
        self.all().push(payload);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    if VARIABLES.iter().any(|variable| is_set(variable.name)) {
        let hub = Hub::builder().connector(Airtable::new(AirtableConfig::from_env()?));
        let url = authorization_url(hub, Airtable::ID).await?;
        println!("authorize: open {url}");
        return Ok(());
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
        .on_event::<WebhookPayload>(changes.clone())
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

    records(&hub.client(&key).await?, &base, &table).await?;

    let watch = Watch::new(format!("{base}/{table}"))?;
    hub.subscribe(&key, watch, context()).await?;
    run_jobs(&hub, &clock).await?;
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
    run_jobs(&hub, &clock).await?;
    println!("webhook: {} change handled", changes.all().len());

    hub.disconnect(&key, context()).await?;
    run_jobs(&hub, &clock).await?;
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

/// Writes twelve records and reads three of them.
async fn records(client: &AirtableClient, base: &BaseId, table: &TableId) -> Outcome<()> {
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
    Ok(())
}
