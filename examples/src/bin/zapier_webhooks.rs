//! Sends events to hooks of Zaps and receives calls from a Zap: adoption without a request, events, a Zap
//! that is off, a rate limit, a hook that is gone, a subscription of a Zap, a call with and without its
//! secret.
//!
//! `cargo run --bin zapier_webhooks` runs offline against a simulated Zapier, to its end; see
//! docs/providers/zapier.md.

#![expect(clippy::print_stdout, reason = "the example explains what it does")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector_examples::{Outcome, run_jobs};
use connector_zapier::sim::{CallSecret, Fault, Simulator, ZapState, call};
use connectors::cipher::Keyring;
use connectors::clock::{Clock, ManualClock, SystemClock};
use connectors::outbound::EventType;
use connectors::zapier::endpoints::SendEvent;
use connectors::zapier::models::ZapEvent;
use connectors::zapier::{Zapier, ZapierClient, ZapierConfig, is_gone};
use connectors::{
    Actor, ConnectionKey, CorrelationId, Delivered, DeliveryHandler, Hub, MemoryStore, Receipt,
    RequestContext, TenantId,
};
use secrecy::{ExposeSecret, SecretString};

/// Prints the calls from Zaps.
#[derive(Debug)]
struct Handler;

#[async_trait]
impl DeliveryHandler for Handler {
    async fn handle(&self, delivery: &Delivered) -> connectors::Result<()> {
        println!("call: handled {}", delivery.event().topic);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let clock = ManualClock::new(SystemClock::new().now());
    let sim = Simulator::start(clock.clone(), "").await?;
    println!("simulator: Zapier at {}", sim.server().address());
    let hub = Hub::builder()
        .store(MemoryStore::new(Arc::new(clock.clone())))
        .cipher(Keyring::parse(&Keyring::generate()?)?)
        .clock(clock.clone())
        .connector(Zapier::new(ZapierConfig::for_simulator(&sim)?))
        .on_delivery(Handler)
        .build()?;
    let (tenant, user) = (TenantId::new("tenant-1")?, Actor::User("user-1".into()));
    let requests = || sim.server().counts().values().sum::<usize>();
    let adopt = async |address: SecretString| -> Outcome<ConnectionKey> {
        let hook = Zapier::hook(address, clock.now())?;
        let adopted = hub.adopt(&tenant, Zapier::ID, hook).actor(user.clone());
        Ok(adopted.await?.connection().key().clone())
    };

    // The user copied the address of a catch hook from a Zap.
    for wrong in [
        "http://hooks.zapier.com/hooks/catch/1/a/",
        "https://zapier.example/hooks/catch/1/a/",
    ] {
        if let Err(error) = Zapier::hook(wrong, clock.now()) {
            println!("adopt: refused: {}", error.message());
        }
    }
    let address = sim.add_catch_hook();
    let key = adopt(address.clone()).await?;
    let connection = hub.tenant(&tenant).get(key.id).await?;
    println!(
        "adopt: a hook ({}), requests to it: {}",
        connection.status,
        requests()
    );

    let client: ZapierClient = hub.client(&key).await?;
    let lines = serde_json::json!([{ "sku": "a" }, { "sku": "b" }]);
    let event = ZapEvent::new("order.created", clock.now(), &lines)?.with_id("order-4711");
    let send = SendEvent::new(&event)?;
    let accepted = client.send(&send).await?;
    println!(
        "send: {}, runs of the Zap: {}",
        accepted.status.as_deref().unwrap_or_default(),
        sim.runs(&address)?.len()
    );
    sim.set_state(&address, ZapState::Off)?;
    client.send(&send).await?;
    println!(
        "send: accepted while the Zap is off, runs of the Zap: {}",
        sim.runs(&address)?.len()
    );
    sim.set_state(&address, ZapState::Silent)?;
    let accepted = client.send(&send).await?;
    println!(
        "send: accepted in silent mode, status: {:?}",
        accepted.status
    );
    let path = address
        .expose_secret()
        .trim_start_matches("https://hooks.zapier.com");
    sim.server().fault(path, Fault::rate_limited(3600));
    if let Err(error) = client.send(&send).await {
        println!("send: {}, retry: {:?}", error.kind(), error.retry());
    }

    // Zapier gave the application an address for a Zap with the application's own trigger.
    let target = sim.add_rest_hook();
    let subscribed = adopt(target.clone()).await?;
    let client: ZapierClient = hub.client(&subscribed).await?;
    client.send(&send).await?;
    sim.set_state(&target, ZapState::Off)?;
    for _ in 0..3 {
        if let Err(error) = client.send(&send).await {
            println!("send: gone: {}, requests: {}", is_gone(&error), requests());
        }
    }
    let connection = hub.tenant(&tenant).get(subscribed.id).await?;
    println!("send: the connection is {}", connection.status);

    subscribe(&hub, &sim, &clock, &tenant, &user).await?;

    // A Zap calls the application, with the secret of the connection's endpoint.
    let secret = "example:password-of-the-endpoint";
    let body = r#"{"type":"lead.created","name":"Example"}"#;
    for (how, shown) in [
        (CallSecret::Header, secret),
        (CallSecret::Basic, secret),
        (CallSecret::Bearer, "wrong"),
    ] {
        let request = call(how, shown, body)?;
        let secrets = vec![SecretString::from(secret)];
        let receipt = hub
            .receive(&Zapier::ID, request)
            .connection(key.clone(), secrets)
            .await;
        let response = match receipt {
            Ok(receipt) => receipt.response(),
            Err(error) => Receipt::refusal(&error),
        };
        println!("call: {how:?}: {}", response.status());
    }
    run_jobs(&hub, &clock).await?;
    hub.shutdown(Duration::from_secs(10)).await?;
    println!("done");
    Ok(())
}

/// A Zap subscribes to events of the application, receives one, and is turned off.
async fn subscribe(
    hub: &Hub,
    sim: &Simulator,
    clock: &ManualClock,
    tenant: &TenantId,
    user: &Actor,
) -> Outcome<()> {
    // The application mounts these calls as its routes.
    let hooks = hub.rest_hooks(tenant, &Zapier::ID);
    let context = || RequestContext::new(user.clone(), CorrelationId::default());
    let created = EventType::new("order.created")?;
    let zap = sim.add_rest_hook();
    let body = serde_json::json!({ "target_url": zap.expose_secret(), "event": "order.created" });
    let response = hooks
        .subscribe(body.to_string().as_bytes(), &[created], context())
        .await;
    println!("subscribe: {}", response.status());
    let lines = serde_json::json!([{ "sku": "a" }, { "sku": "b" }]);
    let event = ZapEvent::new("order.created", clock.now(), &lines)?.with_id("order-4711");
    let message = event.message()?;
    let sample = hooks.samples(std::slice::from_ref(&message));
    let enqueued = hooks.publish(message).await?;
    println!("publish: to {} subscription", enqueued.pending);
    run_jobs(hub, clock).await?;
    let runs = sim.runs(&zap)?;
    let samples: Vec<serde_json::Value> = serde_json::from_slice(sample.body())?;
    println!(
        "publish: runs of the Zap: {}, same form as the sample: {}",
        runs.len(),
        runs == samples
    );
    sim.set_state(&zap, ZapState::Off)?;
    let later = ZapEvent::new("order.created", clock.now(), &lines)?.with_id("order-4712");
    hooks.publish(later.message()?).await?;
    run_jobs(hub, clock).await?;
    for orphan in hooks.orphaned(None, 10).await?.items {
        println!("publish: {} is {}", orphan.label, orphan.state.as_str());
        let response = hooks.unsubscribe(&orphan.id.to_string(), context()).await;
        println!("unsubscribe: {}", response.status());
    }
    Ok(())
}
