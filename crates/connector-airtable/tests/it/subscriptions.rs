//! Subscriptions with a hub: webhooks are created, renewed, repaired and deleted, and changes are
//! read once.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use connector_airtable::models::{RecordId, WebhookPayload};
use connector_airtable::sim::{Ping, sign_ping};
use connector_airtable::{Airtable, CHANGES_TOPIC, PAYLOAD_ERROR_TOPIC};
use connector_core::provider::subscription::Watch;
use connector_core::store::{AuditFilter, AuditLog as _};
use connector_core::{ConnectionKey, ErrorKind, Event};

use crate::rig::{Rig, cells, context};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

impl Rig {
    async fn subscribed(&self, watch: &str) -> ConnectionKey {
        let key = self.connect().await;
        let watch = Watch::new(watch).unwrap();
        self.hub.subscribe(&key, watch, context()).await.unwrap();
        self.work().await;
        assert_eq!(self.sim.webhooks(&self.base).len(), 1);
        key
    }

    /// Runs the worker until no work is due.
    async fn work(&self) {
        for _ in 0..40 {
            self.clock.advance(Duration::from_secs(1));
            self.drive(self.hub.worker().tick()).await.unwrap();
        }
    }

    async fn pass(&self, time: Duration, step: Duration) {
        let mut passed = Duration::ZERO;
        while passed < time {
            self.clock.advance(step);
            passed += step;
            self.work().await;
        }
    }

    fn change(&self, number: usize) -> RecordId {
        let cells = cells(&format!("Task {number}"), "open");
        self.sim.add_record(&self.base, &self.table, cells).unwrap()
    }

    /// The application's endpoint.
    async fn receive(&self, ping: &Ping) -> Result<usize, ErrorKind> {
        let channel = ping.url.rsplit('/').next().unwrap().to_owned();
        let received = self
            .hub
            .receive(&Airtable::ID, ping.request.clone())
            .channel(channel);
        match received.await {
            Ok(receipt) => Ok(usize::from(receipt.response().status() == 200)),
            Err(error) => Err(error.kind()),
        }
    }

    async fn ping_all(&self) -> usize {
        let mut count = 0;
        for ping in self.sim.pings().unwrap() {
            assert_eq!(self.receive(&ping).await, Ok(1));
            self.sim.ping_answered(&ping, true);
            count += 1;
        }
        count
    }

    /// Returns the records whose creation was handled, and the number of events.
    fn handled_records(&self) -> (BTreeSet<String>, usize) {
        let events = self.handled.0.lock().unwrap();
        let changes: Vec<_> = events
            .iter()
            .filter(|it| it.topic == CHANGES_TOPIC)
            .collect();
        let mut records = BTreeSet::new();
        for event in &changes {
            let payload = WebhookPayload::of(event).unwrap();
            for table in payload.changed_tables_by_id.values() {
                let created = table["createdRecordsById"].as_object();
                records.extend(created.into_iter().flatten().map(|(id, _)| id.clone()));
            }
        }
        (records, changes.len())
    }

    async fn missed(&self) -> usize {
        let log = self
            .store
            .audit(&AuditFilter::default(), None, u16::MAX)
            .await
            .unwrap();
        let missed = |event: &Event| matches!(event, Event::ChangesMissed { .. });
        log.items
            .iter()
            .filter(|it| missed(&it.entry.event))
            .count()
    }
}

#[tokio::test]
async fn a_ping_leads_to_every_change_once() {
    let rig = Rig::new().await;
    rig.subscribed(&format!("{}/{}", rig.base, rig.table)).await;
    let other = rig.sim.add_table(&rig.base, "Other", &["Name"]).unwrap();
    let mut made = BTreeSet::new();
    for number in 0..120 {
        made.insert(rig.change(number).to_string());
        let mut fields = connector_airtable::models::Fields::new();
        fields.insert("Name".to_owned(), number.into());
        rig.sim.add_record(&rig.base, &other, fields).unwrap();
    }
    let pings = rig.sim.pings().unwrap();
    assert_eq!(pings.len(), 1, "changes are coalesced into one ping");
    // A ping contains no change. A repeated ping changes nothing.
    for _ in 0..3 {
        assert_eq!(rig.receive(&pings[0]).await, Ok(1));
    }
    assert_eq!(rig.handled_records().1, 0);
    rig.work().await;
    assert_eq!(rig.receive(&pings[0]).await, Ok(1));
    rig.work().await;
    let (records, events) = rig.handled_records();
    assert_eq!((&records, events), (&made, made.len()));
    let events = rig.handled.0.lock().unwrap();
    let ids: BTreeSet<_> = events.iter().filter_map(|it| it.event_id.clone()).collect();
    assert_eq!(ids.len(), made.len());
    println!("changes handled once: {}", made.len());
}

#[tokio::test]
async fn a_forged_ping_is_refused_and_triggers_nothing() {
    let rig = Rig::new().await;
    rig.subscribed(rig.base.as_str()).await;
    rig.change(1);
    let ping = rig.sim.pings().unwrap().remove(0);
    let mut forged = Vec::new();
    let mut other_key = ping.clone();
    other_key.request = sign_ping("b3RoZXIta2V5", ping.request.body().clone()).unwrap();
    forged.push((other_key, ErrorKind::WebhookRefused));
    let mut changed = ping.clone();
    *changed.request.body_mut() = Bytes::from_static(b"{}");
    forged.push((changed, ErrorKind::WebhookRefused));
    let mut unsigned = ping.clone();
    unsigned.request.headers_mut().clear();
    forged.push((unsigned, ErrorKind::WebhookRefused));
    let mut elsewhere = ping.clone();
    elsewhere.url = format!("https://hooks.example/in/airtable/{}", "0".repeat(32));
    forged.push((elsewhere, ErrorKind::NotFound));
    for (forged, kind) in &forged {
        assert_eq!(rig.receive(forged).await, Err(*kind));
    }
    rig.work().await;
    assert_eq!(rig.handled_records().1, 0);
    assert_eq!(rig.receive(&ping).await, Ok(1));
    println!("forged pings refused: {}", forged.len());
}

#[tokio::test]
async fn a_webhook_lives_for_three_weeks_without_a_person() {
    let rig = Rig::new().await;
    rig.subscribed(rig.base.as_str()).await;
    let first = rig.sim.webhooks(&rig.base);
    let mut made = BTreeSet::new();
    for day in 0..21 {
        made.insert(rig.change(day).to_string());
        // Every third ping is lost.
        if day % 3 == 0 {
            rig.sim.pings().unwrap();
        } else {
            rig.ping_all().await;
        }
        rig.pass(DAY, 6 * HOUR).await;
    }
    assert_eq!(rig.sim.webhooks(&rig.base), first, "it is the same webhook");
    let (records, events) = rig.handled_records();
    assert_eq!((records, events, rig.missed().await), (made, 21, 0));
    let refresh = format!("/v0/bases/{}/webhooks/{}/refresh", rig.base, first[0]);
    let renewals = rig.sim.server().count(&http::Method::POST, &refresh);
    assert!((3..=8).contains(&renewals), "{renewals}");
    let calls: usize = rig.sim.server().counts().values().sum();
    println!("three weeks: {events} changes once, {renewals} renewals, {calls} requests in all");
    assert!(calls < 600, "of the free plan's 1,000 calls a month");
}

#[tokio::test]
async fn changes_during_an_outage_are_read_afterwards() {
    let rig = Rig::new().await;
    rig.subscribed(rig.base.as_str()).await;
    let before = rig.change(0).to_string();
    rig.ping_all().await;
    rig.work().await;
    assert_eq!(rig.handled_records().1, 1);
    // The application is down for two days: no worker, no endpoint, and Airtable disables pings.
    let mut made = BTreeSet::from([before]);
    for number in 1..=60 {
        made.insert(rig.change(number).to_string());
    }
    for _ in 0..13 {
        for ping in rig.sim.pings().unwrap() {
            rig.sim.ping_answered(&ping, false);
        }
    }
    assert_eq!(rig.sim.pings().unwrap().len(), 0, "Airtable sends no more");
    rig.clock.advance(2 * DAY);
    rig.work().await;
    let (records, events) = rig.handled_records();
    assert_eq!((&records, events), (&made, 61));
    // The comparison found the disabled webhook and enabled it.
    rig.pass(DAY, 6 * HOUR).await;
    rig.change(61);
    assert_eq!(rig.ping_all().await, 1);
    assert_eq!(rig.missed().await, 0);
    println!("changes of an outage read once: {}", events - 1);
}

#[tokio::test]
async fn a_webhook_that_expired_is_replaced_and_its_payloads_are_read() {
    let rig = Rig::new().await;
    rig.subscribed(rig.base.as_str()).await;
    let old = rig.sim.webhooks(&rig.base);
    let mut made = BTreeSet::new();
    rig.clock.advance(3 * DAY);
    for number in 0..70 {
        made.insert(rig.change(number).to_string());
    }
    // The webhook is not renewed and expires. Its payloads of four days ago remain for a while.
    rig.clock.advance(4 * DAY);
    assert_eq!(rig.sim.webhooks(&rig.base).len(), 0);
    rig.pass(DAY, 6 * HOUR).await;
    let new = rig.sim.webhooks(&rig.base);
    assert!(new.len() == 1 && new != old, "{new:?}");
    made.insert(rig.change(70).to_string());
    rig.ping_all().await;
    rig.work().await;
    let (records, events) = rig.handled_records();
    assert_eq!((&records, events), (&made, 71));
    assert!(
        rig.missed().await >= 1,
        "between the two webhooks nothing was recorded"
    );
    println!("changes of two webhooks read once: {events}");
}

#[tokio::test]
async fn a_deleted_webhook_is_created_again_and_an_error_payload_is_reported() {
    let rig = Rig::new().await;
    rig.subscribed(rig.base.as_str()).await;
    let old = rig.sim.webhooks(&rig.base);
    rig.sim.delete_webhook(&rig.base, &old[0]);
    rig.pass(2 * DAY, 6 * HOUR).await;
    let new = rig.sim.webhooks(&rig.base);
    assert!(new.len() == 1 && new != old, "{new:?}");
    let missed = rig.missed().await;
    rig.sim.add_error_payload(&rig.base, "INTERNAL_ERROR");
    rig.ping_all().await;
    rig.work().await;
    let events = rig.handled.0.lock().unwrap().clone();
    let errors: Vec<_> = events
        .iter()
        .filter(|it| it.topic == PAYLOAD_ERROR_TOPIC)
        .collect();
    assert_eq!(errors.len(), 1);
    let payload = WebhookPayload::of(errors[0]).unwrap();
    assert_eq!(payload.code.as_deref(), Some("INTERNAL_ERROR"));
    assert_eq!(rig.missed().await, missed + 1);
}

#[tokio::test]
async fn a_subscription_ends_with_its_webhook_and_a_watch_has_its_form() {
    let rig = Rig::new().await;
    let key = rig.subscribed(rig.base.as_str()).await;
    for wrong in [
        "changes",
        "app1",
        "appAAAAAAAAAAAAAA/",
        "appAAAAAAAAAAAAAA/Tasks",
    ] {
        let outcome = rig
            .hub
            .subscribe(&key, Watch::new(wrong).unwrap(), context())
            .await;
        assert_eq!(
            outcome.unwrap_err().kind(),
            ErrorKind::InvalidInput,
            "{wrong}"
        );
    }
    rig.hub.disconnect(&key, context()).await.unwrap();
    rig.work().await;
    assert_eq!(rig.sim.webhooks(&rig.base).len(), 0);
    assert!(rig.hub.access_token(&key).await.is_err());
}
