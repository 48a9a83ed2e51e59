//! Connects an Amazon seller with both kinds of flow, lists marketplace participations and orders,
//! and downloads a report with a progress bar.
//!
//! `cargo run --bin amazon_spapi_oauth` runs the complete example offline against a simulated
//! Amazon. If you set `AMAZON_SP_APP_ID` and the other variables of the connector, the example
//! instead prints the authorization URL of the real Amazon and exits. See
//! docs/providers/amazon-spapi.md.

#![expect(clippy::print_stdout, reason = "the example explains what it does")]

use std::future::Future;
use std::io::Write as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use connector_amazon_spapi::sim::{Consent, SELLER, SIMULATED_APPLICATION, Simulator};
use connector_examples::{Outcome, authorization_url, is_set};
use connectors::amazon_spapi::documents::DocumentOptions;
use connectors::amazon_spapi::endpoints::{GetMarketplaceParticipations, SearchOrders};
use connectors::amazon_spapi::flows::{ReportFlow, ReportOutcome};
use connectors::amazon_spapi::models::report::ReportSpecification;
use connectors::amazon_spapi::{AmazonClient, AmazonConfig, AmazonSpApi, Marketplace, VARIABLES};
use connectors::api::OnProgress;
use connectors::cipher::Keyring;
use connectors::clock::{Clock, ManualClock, SystemClock};
use connectors::{Actor, Authorization, ConnectionKey, Hub, MemoryStore, TenantId};
use futures_util::TryStreamExt as _;

const REPORT: &str = "GET_MERCHANT_LISTINGS_ALL_DATA";

#[tokio::main]
async fn main() -> Outcome<()> {
    if VARIABLES.iter().any(|variable| is_set(variable.name)) {
        let hub = Hub::builder().connector(AmazonSpApi::new(AmazonConfig::from_env()?));
        let url = authorization_url(hub, AmazonSpApi::ID).await?;
        println!("authorize: open {url}");
        return Ok(());
    }
    let clock = ManualClock::new(SystemClock::new().now());
    let sim = Simulator::builder(clock.clone()).start().await?;
    println!("simulator: Amazon at {}", sim.server().address());
    let amazon = AmazonSpApi::new(AmazonConfig::for_simulator(&sim)?);
    let hub = Hub::builder()
        .store(MemoryStore::new(Arc::new(clock.clone())))
        .cipher(Keyring::parse(&Keyring::generate()?)?)
        .clock(clock.clone())
        .connector(amazon.clone())
        .build()?;
    let (tenant, user) = (TenantId::new("tenant-1")?, Actor::User("user-1".into()));

    // Flow that starts at the service. The seller selects the marketplace.
    let flow = hub.authorize(&tenant, AmazonSpApi::ID).actor(user.clone());
    let flow = flow.parameter("marketplace", "US").begin().await?;
    let key = connect(&hub, &sim, &flow).await?;
    // Flow that starts in Amazon's app store. Amazon redirects the browser to the service's login
    // URI with this query.
    let page = format!("https://amazon.com/apps/authorize/confirm/{SIMULATED_APPLICATION}");
    let query = format!(
        "amazon_callback_uri={page}&amazon_state=state-of-amazon&selling_partner_id={SELLER}"
    );
    let login = amazon.appstore_login(&query)?;
    let mut flow = hub.authorize(&tenant, AmazonSpApi::ID).actor(user);
    for (name, value) in login.parameters() {
        flow = flow.parameter(name, value);
    }
    let flow = flow.parameter("marketplace", "US").begin().await?;
    let again = connect(&hub, &sim, &flow).await?;
    println!(
        "both flows: {} connection",
        if key == again {
            "the same"
        } else {
            "a different"
        }
    );

    let client: AmazonClient = hub.client(&key).await?;
    for found in client.send(&GetMarketplaceParticipations::new()).await? {
        let marketplace = found.marketplace.unwrap_or_default();
        println!("marketplace: {}", marketplace.name.unwrap_or_default());
    }
    let month = clock.now().before(Duration::from_hours(30 * 24));
    let orders = client
        .pages(SearchOrders::new().with_created_after(month))
        .items();
    let orders: Vec<_> = orders.try_collect().await?;
    for order in &orders {
        println!("order: {}", order.order_id.as_deref().unwrap_or_default());
    }
    run_report(client, &clock).await?;
    hub.shutdown(Duration::from_secs(10)).await?;
    println!("done");
    Ok(())
}

/// Simulates the browser, and handles the callback as a service does.
async fn connect(hub: &Hub, sim: &Simulator, flow: &Authorization) -> Outcome<ConnectionKey> {
    let url = flow.url();
    println!(
        "authorize: {}{}",
        url.host_str().unwrap_or_default(),
        url.path()
    );
    let callback = sim.authority().visit(url, &Consent::Grant)?;
    let query = callback.query().unwrap_or_default();
    let connected = hub
        .callback(AmazonSpApi::ID, query, flow.binding().clone())
        .actor(Actor::User("user-1".into()))
        .tenant(&TenantId::new("tenant-1")?)
        .await?;
    let connection = connected.connection();
    println!(
        "callback and token exchange: account {} ({})",
        connection.account.key, connection.status
    );
    Ok(connection.key().clone())
}

/// Creates a report, waits until the report is ready, and streams its rows.
async fn run_report(client: AmazonClient, clock: &ManualClock) -> Outcome<()> {
    let flow = ReportFlow::new(client);
    let wanted = ReportSpecification::new(REPORT, [Marketplace::Us.id()]);
    let outcome = passing(clock, flow.run(&wanted)).await?;
    let ReportOutcome::Done(report) = outcome else {
        println!("report: no document");
        return Ok(());
    };
    let options = DocumentOptions::new().with_progress(OnProgress::new(|progress| {
        if let Some(total) = progress.total {
            let done = 20 * progress.bytes / total.max(1);
            let bar = "#".repeat(usize::try_from(done).unwrap_or(20));
            print!("\rreport: [{bar:<20}]");
            let _ = std::io::stdout().flush();
        }
    }));
    let read = async {
        let mut rows = flow.open(&report, options).await?.rows().await?;
        let mut count = 0_u64;
        while rows.next().await?.is_some() {
            count += 1;
        }
        Ok::<_, connectors::Error>(count)
    };
    let count = passing(clock, read).await?;
    println!("\nreport: {count} rows");
    Ok(())
}

/// Waits for a future while simulated time advances.
async fn passing<T>(clock: &ManualClock, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        tokio::select! {
            biased;
            done = &mut future => return done,
            () = tokio::time::sleep(Duration::from_millis(2)) => clock.advance(Duration::from_secs(1)),
        }
    }
}
