//! Handlers of typed events.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector_core::store::DeliveryState;
use connector_core::webhook::{Event, TypedEvent};
use connector_core::{Error, ErrorKind, ProviderId, Result};
use connector_hub::{Delivered, EventHandler, Hub};

use crate::rig::{MAIL, Mood, Recorder, Request, Rig, SHOP, apps, lock, operator, tenant};

#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
struct Order {
    id: u64,
}

impl TypedEvent for Order {
    const PROVIDER: ProviderId = SHOP;
    const TOPICS: &'static [&'static str] = &["orders/create", "poison"];

    fn decode(event: &Event) -> Result<Self> {
        event.json()
    }
}

/// An event with the topic of an order, but another form.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
struct Named {
    name: String,
}

impl TypedEvent for Named {
    const PROVIDER: ProviderId = SHOP;
    const TOPICS: &'static [&'static str] = &["orders/create"];

    fn decode(event: &Event) -> Result<Self> {
        event.json()
    }
}

#[derive(Debug, Clone)]
struct Mail;

impl TypedEvent for Mail {
    const PROVIDER: ProviderId = MAIL;
    const TOPICS: &'static [&'static str] = &[];

    fn decode(_: &Event) -> Result<Self> {
        Ok(Self)
    }
}

/// Handles two types.
#[derive(Debug, Clone, Default)]
struct Both {
    told: Arc<Mutex<Vec<String>>>,
    fails: Arc<Mutex<bool>>,
}

#[async_trait]
impl EventHandler<Order> for Both {
    async fn handle(&self, order: Order, delivery: &Delivered) -> Result<()> {
        let owner = delivery.connection().map(|key| key.tenant.to_string());
        lock(&self.told).push(format!("order {} of {owner:?}", order.id));
        if *lock(&self.fails) {
            return Err(Error::new(ErrorKind::Rejected, "test", "it fails"));
        }
        Ok(())
    }
}

#[async_trait]
impl EventHandler<Mail> for Both {
    async fn handle(&self, _: Mail, delivery: &Delivered) -> Result<()> {
        lock(&self.told).push(format!("mail {}", delivery.event().topic));
        Ok(())
    }
}

fn told(list: &Mutex<Vec<String>>) -> Vec<String> {
    let mut told = std::mem::take(&mut *lock(list));
    told.sort();
    told
}

#[tokio::test]
async fn an_event_goes_to_the_handlers_of_its_type_and_other_topics_to_the_catch_all() {
    let rig = Rig::new();
    rig.connect("t1", SHOP, "a").await;
    let (both, every, other) = (Both::default(), Recorder::new(), Recorder::new());
    let closure: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&closure);
    let hub: Hub = rig
        .another()
        .apps(apps())
        .on_event::<Order>(both.clone())
        .on_event::<Mail>(both.clone())
        .on_event(move |order: Order, delivery: Delivered| {
            let kept = Arc::clone(&kept);
            async move {
                lock(&kept).push(format!("{} {}", order.id, delivery.attempt()));
                Ok(())
            }
        })
        .on_delivery(every.clone())
        .on_other_delivery(other.clone())
        .build()
        .unwrap();
    let shop =
        |id, topic, body: &'static str| Request::shop(id, topic, body).about("a.shop.example");
    for request in [
        shop("d-1", "orders/create", r#"{"id":7,"more":[]}"#),
        shop("d-2", "orders/delete", r#"{"id":8}"#),
    ] {
        hub.receive(&SHOP, request.into()).await.unwrap();
    }
    let request = Request::mail("d-3", "anything", b"not json");
    hub.receive(&MAIL, request.into()).await.unwrap();
    assert_eq!(hub.worker().tick().await.unwrap().deliveries, 3);
    assert_eq!(
        told(&both.told),
        ["mail anything", r#"order 7 of Some("t1")"#]
    );
    assert_eq!(told(&closure), ["7 1"]);
    assert_eq!(every.told().len(), 3);
    let topics: Vec<String> = other.told().into_iter().map(|it| it.topic).collect();
    assert_eq!(topics, ["orders/delete"]);
    println!("typed: 3 deliveries, 7 calls");
}

#[tokio::test]
async fn an_event_that_cannot_be_decoded_is_parked_at_once_and_replayed_later() {
    let rig = Rig::new();
    let (both, every) = (Both::default(), Recorder::new());
    let build = |named: bool| {
        let hub = rig.another().apps(apps()).on_delivery(every.clone());
        let hub = hub.on_event::<Order>(both.clone());
        let hub = if named {
            hub.on_event(|_: Named, _: Delivered| async { Ok(()) })
        } else {
            hub
        };
        hub.build().unwrap()
    };
    let hub = build(true);
    // The body fits one of the two types only.
    let request = Request::shop("d-1", "orders/create", r#"{"id":7}"#);
    hub.receive(&SHOP, request.into()).await.unwrap();
    assert_eq!(hub.worker().tick().await.unwrap().deliveries, 0);
    assert_eq!(told(&both.told), ["order 7 of None"]);
    assert_eq!(every.told().len(), 1, "the other handlers are called");
    let parked = rig.deliveries().await.remove(0);
    let state = (parked.state, parked.attempts, parked.error.as_deref());
    assert_eq!(state, (DeliveryState::Parked, 1, Some("undecodable")));
    rig.clock.advance(Duration::from_secs(86_400));
    assert_eq!(hub.worker().tick().await.unwrap().deliveries, 0);

    // The new version of the application no longer has the wrong type.
    let hub = build(false);
    let owner = tenant("t1");
    let replayed = hub.replay_as_operator(&parked.key, &owner, operator());
    replayed.await.unwrap();
    assert_eq!(hub.worker().tick().await.unwrap().deliveries, 1);
    assert_eq!(told(&both.told), ["order 7 of None"]);
}

#[tokio::test]
async fn a_failure_of_another_handler_is_retried_before_the_delivery_is_parked() {
    let rig = Rig::new();
    let (both, every) = (Both::default(), Recorder::new());
    every.set(Mood::Fails);
    let hub = rig.another().apps(apps());
    let hub = hub
        .on_event::<Order>(both.clone())
        .on_delivery(every.clone());
    let hub = hub.build().unwrap();
    let request = Request::shop("d-1", "poison", "no order");
    hub.receive(&SHOP, request.into()).await.unwrap();
    assert_eq!(hub.worker().tick().await.unwrap().deliveries, 0);
    let waiting = rig.deliveries().await.remove(0);
    let state = (waiting.state, waiting.error.as_deref());
    assert_eq!(state, (DeliveryState::Waiting, Some("rejected")));
    every.set(Mood::Handles);
    rig.clock.advance(Duration::from_secs(6));
    assert_eq!(hub.worker().tick().await.unwrap().deliveries, 0);
    let parked = rig.deliveries().await.remove(0);
    let state = (parked.state, parked.error.as_deref());
    assert_eq!(state, (DeliveryState::Parked, Some("undecodable")));

    // A handler whose event can be decoded is retried like any other.
    *lock(&both.fails) = true;
    let request = Request::shop("d-2", "orders/create", r#"{"id":9}"#);
    hub.receive(&SHOP, request.into()).await.unwrap();
    assert_eq!(hub.worker().tick().await.unwrap().deliveries, 0);
    *lock(&both.fails) = false;
    rig.clock.advance(Duration::from_secs(7));
    assert_eq!(hub.worker().tick().await.unwrap().deliveries, 1);
    assert_eq!(told(&both.told), ["order 9 of None", "order 9 of None"]);
}
