//! Airtable's limits, as enforced by the session.

use std::time::Duration;

use connector_airtable::endpoints::{GetBaseSchema, WhoAmI};
use connector_airtable::sim::Fault;
use connector_core::clock::Clock as _;
use connector_core::{ErrorKind, Retry};
use futures_util::future::join_all;

use crate::rig::Rig;

#[tokio::test]
async fn sixty_calls_at_once_stay_within_five_a_second_of_each_base() {
    let rig = Rig::new().await;
    let client = rig.client().await.background();
    let other = rig.sim.add_base("Other").unwrap();
    let began = rig.clock.now();
    let calls = (0..60).map(|at| {
        let base = if at % 2 == 0 { &rig.base } else { &other };
        let (client, call) = (client.clone(), GetBaseSchema::new(base.clone()));
        async move { client.send(&call).await }
    });
    let outcomes = rig.drive(join_all(calls)).await;
    assert!(
        outcomes.iter().all(Result::is_ok),
        "a call was refused: {outcomes:?}"
    );
    let took = rig.clock.now().since(began);
    // 30 calls to each base. The two bases have separate limits.
    assert!(
        (Duration::from_secs(5)..Duration::from_secs(20)).contains(&took),
        "{took:?}"
    );
    println!("calls without a refusal: {} in {took:?}", outcomes.len());
}

#[tokio::test]
async fn after_a_refusal_no_call_goes_to_the_base_for_30_seconds() {
    let rig = Rig::new().await;
    let client = rig.client().await.background();
    let path = format!("/v0/meta/bases/{}/tables", rig.base);
    let throttled = r#"{"errors":[{"error":"RATE_LIMIT_REACHED","message":"m"}]}"#;
    rig.sim
        .server()
        .fault(path.clone(), Fault::answer(429, throttled));
    let began = rig.clock.now();
    let call = GetBaseSchema::new(rig.base.clone());
    let first = rig.drive(client.send(&call)).await;
    let took = rig.clock.now().since(began);
    match first {
        // Retried after the pause.
        Ok(_) => assert!(took >= Duration::from_secs(30), "{took:?}"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::RateLimited);
            assert_eq!(error.retry(), Retry::After(Duration::from_secs(30)));
            rig.drive(client.send(&call)).await.unwrap();
            let took = rig.clock.now().since(began);
            assert!(took >= Duration::from_secs(30), "{took:?}");
        }
    }
    assert_eq!(rig.sim.server().count(&http::Method::GET, &path), 2);
    // Calls to other bases and of the user continue meanwhile.
    rig.sim.server().fault(path, Fault::answer(429, throttled));
    let (client2, rig2) = (client.clone(), &rig);
    let began = rig.clock.now();
    let (_, user) = tokio::join!(rig.drive(async { client2.send(&call).await }), async {
        let user = client.send(&WhoAmI::new()).await;
        (user, rig2.clock.now().since(began))
    });
    assert!(
        user.0.is_ok() && user.1 < Duration::from_secs(5),
        "{user:?}"
    );
    println!(
        "pause after a refusal: {took:?}; another call meanwhile after {:?}",
        user.1
    );
}
