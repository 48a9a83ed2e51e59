//! Only handlers can read the content of a delivery.

use std::sync::Arc;

use connector_core::cipher::{CredentialCipher, KeyId, Keyring};
use connector_core::store::{Maintenance, SealedRow};
use connector_testkit::leak::{self, Probe};
use secrecy::ExposeSecret;

use crate::rig::{Mood, Recorder, Request, Rig, SHOP, Shared, apps, secret};

async fn rows(rig: &Rig) -> Vec<SealedRow> {
    let none = KeyId::from_bytes([0; 8]);
    rig.store
        .sealed_rows(&none, None, 1000)
        .await
        .unwrap()
        .items
}

#[tokio::test]
async fn nothing_of_a_delivery_is_readable_in_the_store_or_shown() {
    let rig = Rig::new();
    // Every secret of the run has the same prefix.
    let sample = leak::canary("sample");
    let probe = Probe::new(sample.split("sample").next().unwrap());
    let own = leak::canary("own-secret");
    let key = rig.connect("t1", SHOP, "a").await;
    let mut shown = Vec::new();
    for number in 0..20 {
        let body = format!("{}-{number}", leak::canary("body"));
        let topic = leak::canary("topic");
        let request = Request::shop(&format!("d-{number}"), &topic, body.clone());
        let receive = rig.hub.receive(&SHOP, request.clone().into());
        shown.push(format!("{receive:?}"));
        receive.await.unwrap();
        let poison = Request::shop_signed(&own, &format!("p-{number}"), "poison", body);
        let receive = rig.hub.receive(&SHOP, poison.clone().into());
        let receive = receive.connection(key.clone(), vec![secret(&own)]);
        shown.push(format!("{receive:?}"));
        shown.push(format!("{:?}", receive.await.unwrap()));
        let mut forged = poison;
        forged.body[0] ^= 1;
        let receive = rig.hub.receive(&SHOP, forged.into());
        let receive = receive.connection(key.clone(), vec![secret(&own)]);
        let error = receive.await.unwrap_err();
        shown.push(format!("{error} {error:?} {}", error.report()));
    }
    rig.recorder.set(Mood::Fails);
    rig.tick().await;
    rig.recorder.set(Mood::Panics);
    rig.clock.advance(std::time::Duration::from_secs(6));
    rig.tick().await;
    assert_eq!(rig.recorder.told().len(), 60);

    shown.push(format!(
        "{:?} {:?}",
        rig.deliveries().await,
        rig.audit().await
    ));
    shown.push(format!("{:?}", rig.hub));
    let mut searched = 0;
    for row in rows(&rig).await {
        searched += 1;
        assert!(probe.scan_bytes(row.sealed.bytes()).is_empty());
        shown.push(format!("{row:?}"));
    }
    assert!(searched >= 40);
    for text in &shown {
        assert!(probe.scan_bytes(text.as_bytes()).is_empty(), "{text}");
    }
    // The probe finds a secret that is present.
    assert!(!probe.scan_bytes(&rig.recorder.told()[0].body).is_empty());
    println!(
        "{searched} sealed rows and {} texts searched, 0 leaks",
        shown.len()
    );
}

#[tokio::test]
async fn deliveries_of_any_size_move_to_a_new_key_and_are_handled_under_it() {
    let rig = Rig::new();
    let sizes = [1, 65_536, 65_537, 1_000_000];
    for size in sizes {
        let body = vec![b'x'; size];
        rig.receive(&SHOP, Request::shop(&format!("d-{size}"), "t", body))
            .await;
    }
    let (hub, recorder, new) = rotated(&rig).await;
    assert_eq!(hub.worker().tick().await.unwrap().deliveries, sizes.len());
    let mut told: Vec<usize> = recorder.told().iter().map(|it| it.body.len()).collect();
    told.sort_unstable();
    assert_eq!(told, sizes);
    assert!(
        rows(&rig)
            .await
            .iter()
            .all(|row| row.sealed.key_id() == new)
    );
}

/// Rotates all records to a new key, and returns a hub that has only this key.
async fn rotated(rig: &Rig) -> (connector_hub::Hub, Recorder, KeyId) {
    let new = Keyring::generate().unwrap();
    let both = format!("{},{}", new.expose_secret(), rig.key.expose_secret());
    let both = Arc::new(Keyring::parse(&secret(&both)).unwrap());
    let hub = rig.another_on(rig.store.clone(), Shared(both)).apps(apps());
    let rotation = hub.build().unwrap().rotate_keys(|_| ()).await.unwrap();
    assert!(rotation.complete, "{rotation:?}");
    assert_eq!(rotation.resealed, 4);
    let alone = Arc::new(Keyring::parse(&new).unwrap());
    let id = CredentialCipher::sealing_key(&*alone);
    let recorder = Recorder::new();
    let hub = rig
        .another_on(rig.store.clone(), Shared(alone))
        .apps(apps());
    (
        hub.on_delivery(recorder.clone()).build().unwrap(),
        recorder,
        id,
    )
}
