//! Deliveries of one tenant do not delay those of another, and no tenant receives another's
//! deliveries.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector_core::clock::{Clock, ManualClock};
use connector_core::provider::webhook::{AccountHint, SignedField};
use connector_core::store::{
    DeliveryState, Direction, Expect, Expiries, MemoryStore, Patch, PutGrant, SideEffects,
    TokenStore,
};
use connector_core::{
    Account, AccountKey, Error, ErrorKind, Metadata, ReauthorizationReason, Result, Status,
};
use connector_hub::{Delivered, DeliveryHandler, Message, Receipt};

use crate::rig::{ACME, MAIL, Request, Rig, SHOP, Shared, apps, lock, operator, secret, tenant};

/// A handler that takes the number of seconds in the topic, and records its end.
#[derive(Debug, Clone)]
struct Slow {
    clock: ManualClock,
    finished: Arc<Mutex<Vec<(String, i64)>>>,
}

#[async_trait]
impl DeliveryHandler for Slow {
    async fn handle(&self, delivery: &Delivered) -> Result<()> {
        let seconds = delivery.event().topic.parse().unwrap();
        self.clock.sleep(Duration::from_secs(seconds)).await;
        let id = delivery.event().delivery_id.clone().unwrap();
        let at = self.clock.now().as_unix_seconds();
        lock(&self.finished).push((id, at));
        Ok(())
    }
}

/// A handler that always fails.
#[derive(Debug)]
struct Failing;

#[async_trait]
impl DeliveryHandler for Failing {
    async fn handle(&self, _: &Delivered) -> Result<()> {
        Err(Error::new(ErrorKind::Rejected, "test", "it fails"))
    }
}

/// Returns the seconds from the arrival of a tenant's delivery until it is handled, beside `others`
/// slow deliveries of another tenant with this many accounts.
async fn delay_beside(others: usize, accounts: usize) -> i64 {
    let rig = Rig::new();
    let slow = Slow {
        clock: rig.clock.clone(),
        finished: Arc::default(),
    };
    let hub = rig.another().apps(apps()).on_delivery(slow.clone());
    let hub = hub.build().unwrap();
    for account in 0..accounts {
        rig.connect("worst", SHOP, &format!("w{account}")).await;
    }
    rig.connect("other", SHOP, "o").await;
    for number in 0..others {
        let request = Request::shop(&format!("w-{number}"), "200", format!("{number}"));
        let request = request.about(&format!("w{}.shop.example", number % accounts));
        hub.receive(&SHOP, request.into()).await.unwrap();
    }
    let worker = hub.worker();
    let running = tokio::spawn(worker.run(std::future::pending()));
    let step = async || {
        for _ in 0..300 {
            tokio::task::yield_now().await;
        }
    };
    step().await;
    let began = rig.clock.now().as_unix_seconds();
    let request = Request::shop("mine", "10", "mine").about("o.shop.example");
    hub.receive(&SHOP, request.into()).await.unwrap();
    for _ in 0..1000 {
        step().await;
        let finished = lock(&slow.finished);
        let mine = finished.iter().find(|(id, _)| id == "mine");
        if let Some((_, at)) = mine {
            running.abort();
            return at - began;
        }
        drop(finished);
        rig.clock.advance(Duration::from_secs(1));
    }
    panic!("the other tenant's delivery is not handled within 1,000 seconds");
}

#[tokio::test]
async fn slow_deliveries_of_one_tenant_delay_anothers_by_at_most_twice_its_time() {
    let undisturbed = delay_beside(0, 1).await;
    for accounts in [1, 64] {
        let disturbed = delay_beside(64, accounts).await;
        println!(
            "beside 64 slow deliveries of {accounts} accounts: {disturbed} s, undisturbed \
             {undisturbed} s"
        );
        assert!(undisturbed > 0 && disturbed <= 2 * undisturbed);
    }
}

#[tokio::test]
async fn one_body_under_ever_other_ids_does_not_fill_the_queue() {
    let rig = Rig::new();
    let (mut accepted, mut repeated) = (0, 0);
    for number in 0..1000 {
        let request = Request::shop(&format!("d-{number}"), "t", "the same");
        match rig.receive(&SHOP, request).await {
            Receipt::Accepted { .. } => accepted += 1,
            Receipt::Duplicate { .. } => repeated += 1,
            other => panic!("{other:?}"),
        }
    }
    println!("one body under 1,000 ids: {accepted} kept, {repeated} not");
    assert_eq!((accepted, repeated), (64, 936));
    // Another body, and an event with a signed id, are not affected.
    let other = rig.receive(&SHOP, Request::shop("d-1", "t", "other")).await;
    assert!(matches!(other, Receipt::Accepted { .. }));
    for number in 0..100 {
        let request = Request::mail(&format!("d-{number}"), "t", b"the same");
        let receipt = rig.receive(&MAIL, request).await;
        assert!(matches!(receipt, Receipt::Accepted { .. }));
    }
}

#[tokio::test]
async fn a_delivery_schedules_its_probe_once_and_without_any_handler() {
    let rig = Rig::new();
    rig.connect("t1", SHOP, "a").await;
    // No process has a handler.
    let hub = rig.another().apps(apps()).build().unwrap();
    let uninstalled = || Request::shop("d-1", "app/uninstalled", "1").about("a.shop.example");
    hub.receive(&SHOP, uninstalled().into()).await.unwrap();
    // The tick also runs the probe, and the provider of the rig responds.
    let before = rig.provider.requests();
    hub.worker().tick().await.unwrap();
    assert!(
        rig.provider.requests() > before,
        "the provider was not asked"
    );
    // Neither a repetition nor the retries of a failing handler probe again.
    hub.receive(&SHOP, uninstalled().into()).await.unwrap();
    let failing = rig.another().apps(apps()).on_delivery(Failing).build();
    let worker = failing.unwrap().worker();
    let before = rig.provider.requests();
    for _ in 0..4 {
        worker.tick().await.unwrap();
        rig.clock.advance(Duration::from_secs(130));
    }
    assert_eq!(rig.provider.requests(), before, "a retry probed again");
    let inbound = rig.deliveries().await;
    let inbound = inbound
        .iter()
        .find(|it| it.key.direction == Direction::Inbound);
    assert!(inbound.is_some_and(|it| it.attempts > 1));
}

/// Deliveries trigger a probe although no process has a handler.
#[tokio::test]
async fn a_removal_is_noticed_without_a_handler_whatever_names_the_account() {
    let ways = [
        "by its host",
        "by its key",
        "by a described fact",
        "by its own secret",
        "for two tenants",
    ];
    let mut noticed = 0;
    for way in ways {
        let rig = Rig::new();
        let provider = match way {
            "by its key" => MAIL,
            "by a described fact" => ACME,
            _ => SHOP,
        };
        let mut keys = vec![rig.connect("t1", provider.clone(), "a").await];
        if way == "for two tenants" {
            keys.push(rig.connect("t2", provider.clone(), "a").await);
        }
        let hub = rig.another().apps(apps()).build().unwrap();
        for key in &keys {
            assert!(hub.check(key, operator()).await.unwrap().works(), "{way}");
        }
        rig.provider.remove("a");
        let shop = || Request::shop("d-1", "app/uninstalled", "1").about("a.shop.example");
        let receipt = match way {
            "by its key" => {
                let request = Request::mail("d-1", "app/uninstalled", b"1").about("a");
                hub.receive(&MAIL, request.into()).await
            }
            "by a described fact" => {
                let at = rig.clock.now().as_unix_seconds();
                let request = Request::acme("d-1", "app.removed", at, b"{}");
                let request = request.with("x-acme-account", "a");
                hub.receive(&ACME, request.into()).await
            }
            "by its own secret" => {
                let request = Request::shop_signed("own", "d-1", "app/uninstalled", "1");
                let receive = hub.receive(&SHOP, request.about("a.shop.example").into());
                receive
                    .connection(keys[0].clone(), vec![secret("own")])
                    .await
            }
            _ => hub.receive(&SHOP, shop().into()).await,
        };
        assert!(
            matches!(receipt.unwrap(), Receipt::Accepted { .. }),
            "{way}"
        );
        for _ in 0..2 {
            hub.worker().tick().await.unwrap();
        }
        for key in &keys {
            let status = rig.stored(key).await.connection.status;
            let dead = Status::NeedsReauthorization(ReauthorizationReason::GrantRevoked);
            assert_eq!(status, dead, "{way}");
            noticed += 1;
        }
    }
    println!("removals noticed without a handler: {noticed}");
    assert_eq!(noticed, 6);
}

#[tokio::test]
async fn a_changed_host_or_key_beside_a_sealed_credential_receives_nothing() {
    let rig = Rig::new();
    let victim = rig.connect("t1", SHOP, "a").await;
    let writer = rig.connect("t2", SHOP, "evil").await;
    // An attacker with write access to the database changes their own connection to the victim's
    // shop.
    let version = rig.stored(&writer).await.connection.version;
    let patch = Patch {
        host: Some("a.shop.example".to_owned()),
        ..Patch::default()
    };
    let update = rig
        .store
        .update(&writer, version, patch, SideEffects::none());
    update.await.unwrap();
    let request = Request::shop("d-1", "t", "secret").about("a.shop.example");
    rig.receive(&SHOP, request).await;
    assert_eq!(rig.tick().await, 1);
    let told = rig.recorder.told();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].connection.as_ref(), Some(&victim));

    // The same with a key: the sealed bytes remain, and the record beside them is changed to
    // another account.
    let mine = rig.connect("t2", MAIL, "evil").await;
    let stored = rig.stored(&mine).await;
    let current = stored.current.clone().unwrap();
    let copy = MemoryStore::new(Arc::new(rig.clock.clone()));
    let put = PutGrant {
        key: mine.clone(),
        provider: MAIL,
        app: stored.connection.app.clone(),
        account: Account::identified(AccountKey::new("victim").unwrap()),
        expect: Expect::Absent,
        grant: current.grant,
        generation: stored.connection.generation,
        fence: current.fence,
        credential: current.sealed.clone(),
        expiries: Expiries {
            access: Some(Duration::from_secs(86_400)),
            refresh: None,
        },
        status: Status::Connected,
        metadata: Metadata::default(),
        takes: None,
    };
    copy.put_grant(put, SideEffects::none()).await.unwrap();
    let hub = rig.another_on(copy, Shared(Arc::clone(&rig.keyring)));
    let recorder = crate::rig::Recorder::new();
    let hub = hub
        .apps(apps())
        .on_delivery(recorder.clone())
        .build()
        .unwrap();
    for account in ["victim", "evil"] {
        let request = Request::mail(account, "t", b"secret").about(account);
        hub.receive(&MAIL, request.into()).await.unwrap();
    }
    hub.worker().tick().await.unwrap();
    assert_eq!(recorder.told().len(), 2);
    assert!(recorder.told().iter().all(|told| told.connection.is_none()));
    println!("changed records that received nothing: 2");
}

#[tokio::test]
async fn a_tenant_cannot_replay_another_tenants_deliveries() {
    let rig = Rig::new();
    let own = rig.connect("t1", SHOP, "a").await;
    let request = Request::shop_signed("own", "d-1", "t", "1");
    let receive = rig.hub.receive(&SHOP, request.into());
    receive.connection(own, vec![secret("own")]).await.unwrap();
    rig.receive(&SHOP, Request::shop("d-2", "t", "2")).await;
    assert_eq!(rig.tick().await, 2);
    let mut refused = 0;
    for record in rig.deliveries().await {
        assert_eq!(record.state, DeliveryState::Done);
        for name in ["t1", "t2"] {
            if record.tenant == Some(tenant(name)) {
                continue;
            }
            let replay = rig.hub.replay(&record.key, &tenant(name), operator()).await;
            assert_eq!(replay.unwrap_err().kind(), ErrorKind::NotFound);
            refused += 1;
        }
    }
    assert_eq!(rig.tick().await, 0);
    println!("replays of others' deliveries refused: {refused}");
    assert_eq!(refused, 3);
    for record in rig.deliveries().await {
        let staff = tenant("t1");
        let replayed = if let Some(owner) = &record.tenant {
            rig.hub.replay(&record.key, owner, operator()).await
        } else {
            let replay = rig.hub.replay_as_operator(&record.key, &staff, operator());
            replay.await
        };
        replayed.unwrap();
    }
    assert_eq!(rig.tick().await, 2);
}

#[tokio::test]
async fn a_message_of_a_verified_source_is_handled_like_a_delivery() {
    let rig = Rig::new();
    let key = rig.connect("t1", MAIL, "m").await;
    let message = || {
        Message::new("{\"order\":1}")
            .with_topic("ORDER_CHANGE")
            .with_delivery_id("n-1")
            .with_account(AccountHint::Key(AccountKey::new("m").unwrap()))
    };
    let receipt = rig.hub.ingest(&MAIL, message()).await.unwrap();
    let Receipt::Accepted { events, .. } = receipt else {
        panic!("{receipt:?}");
    };
    assert!(events[0].is_signed(SignedField::Topic));
    let again = rig.hub.ingest(&MAIL, message()).await.unwrap();
    assert!(matches!(again, Receipt::Duplicate { .. }));
    // Another source has separate ids.
    let other = rig.hub.ingest(&MAIL, message()).endpoint("second-queue");
    assert!(matches!(other.await.unwrap(), Receipt::Accepted { .. }));
    assert_eq!(rig.tick().await, 2);
    let told = rig.recorder.told();
    assert!(told.iter().all(|it| it.connection.as_ref() == Some(&key)));
    assert_eq!(
        (told[0].topic.as_str(), &told[0].body[..]),
        ("ORDER_CHANGE", &b"{\"order\":1}"[..])
    );
    // Only the connections of the given tenant get the message.
    let restricted = rig.hub.ingest(&MAIL, message()).tenant(tenant("t2"));
    restricted.await.unwrap();
    rig.tick().await;
    assert_eq!(rig.recorder.told()[2].connection, None);
    // With a scheme, the fields are read from the message.
    let acme = connector_core::ProviderId::from_static("acme");
    let message = Message::new("{}")
        .with_attribute("x-acme-topic", "things")
        .with_attribute("x-acme-id", "a-1");
    rig.hub.ingest(&acme, message).await.unwrap();
    rig.tick().await;
    assert_eq!(rig.recorder.told()[3].topic, "things");
    let refused = rig.hub.ingest(&acme, Message::new("no object")).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::WebhookRefused);
}
