//! One refresh for everybody, whatever happens to those who wait.

mod provider;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use connector_core::cipher::{KeyId, Sealed};
use connector_core::clock::Clock;
use connector_core::oauth::{Grace, RotationClass};
use connector_core::store::*;
use connector_core::{
    AccountKey, AccountRef, AppKey, AuditEntry, ConnectionKey, Error, ErrorKind, Fence, Generation,
    ProviderId, Result, TenantId, Version,
};
use secrecy::ExposeSecret;

use self::provider::{HOUR, MINUTE, Reply, World, drive, settle};

const GRACE: RotationClass = RotationClass::Grace(Grace::UntilSuccessorUsed { max_seconds: 3600 });

async fn crowd(callers: usize, cancelled: usize) -> (u64, usize) {
    let world = World::new(RotationClass::Strict);
    let key = world.connect("alpha").await;
    world.clock.advance(HOUR);
    world.provider.close_gate();
    let mut tasks = Vec::new();
    for _ in 0..callers {
        let (hub, key) = (world.hub.clone(), key.clone());
        tasks.push(tokio::spawn(async move {
            let token = hub.access_token(&key).await?;
            Ok::<_, Error>(token.secret().expose_secret().to_owned())
        }));
    }
    settle(callers / 16 + 64).await;
    for task in tasks.drain(..cancelled) {
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
    world.provider.open_gate();
    let mut served = 0;
    for task in tasks {
        served += usize::from(task.await.unwrap().unwrap() == "a.alpha.2");
    }
    // The flight lands whether or not anybody is left to see it.
    settle(64).await;
    assert_eq!(world.generation(&key).await, 2);
    (world.provider.token_calls(), served)
}

#[tokio::test]
async fn a_crowd_on_an_expired_token_sends_one_request() {
    for (callers, cancelled) in [(100, 0), (10_000, 0), (10_000, 5_000), (10_000, 10_000)] {
        let (calls, served) = crowd(callers, cancelled).await;
        println!("{callers} callers, {cancelled} cancelled: {calls} token call, {served} served");
        assert_eq!((calls, served), (1, callers - cancelled));
    }
}

#[tokio::test]
async fn a_hundred_refusals_lead_to_one_refresh() {
    let world = World::new(RotationClass::Strict);
    let key = world.connect("alpha").await;
    let token = world.drive(world.hub.access_token(&key)).await.unwrap();
    let refused = token.generation();
    world.hub.accepted(&key, refused);
    world.provider.close_gate();
    let mut tasks = Vec::new();
    for _ in 0..100 {
        let (hub, key) = (world.hub.clone(), key.clone());
        tasks.push(tokio::spawn(async move {
            hub.after_rejection(&key, refused)
                .await
                .map(|it| it.generation())
        }));
    }
    settle(64).await;
    world.provider.open_gate();
    let mut newer = 0;
    for task in tasks {
        newer += usize::from(task.await.unwrap().unwrap() == refused.next());
    }
    // Those who come late with the same refused token get what the others got.
    let late = world.hub.after_rejection(&key, refused).await.unwrap();
    assert_eq!(late.generation(), refused.next());
    let calls = world.provider.token_calls();
    println!("100 refusals: {calls} token call, {newer} callers with a newer token");
    assert_eq!((calls, newer), (1, 100));
}

#[tokio::test]
async fn a_limit_is_obeyed_by_every_caller() {
    let world = World::new(RotationClass::Strict);
    let key = world.connect("alpha").await;
    world.clock.advance(HOUR - MINUTE * 5);
    world
        .provider
        .script(|_| Reply::Answer(429, vec![("retry-after", "200".into())], String::new()));
    let mut served = 0;
    for _ in 0..1000 {
        served += usize::from(world.drive(world.hub.access_token(&key)).await.is_ok());
        settle(16).await;
        world.clock.advance(Duration::from_millis(100));
    }
    let calls = world.provider.token_calls();
    println!("limited for 100 s: {served} of 1000 callers served, {calls} token call");
    assert_eq!((served, calls), (1000, 1));
}

/// A store that can be taken away, and given back as it was once.
struct Outage {
    store: MemoryStore,
    gone: Arc<AtomicBool>,
}

impl Outage {
    fn there(&self) -> Result<&MemoryStore> {
        if self.gone.load(Ordering::SeqCst) {
            let message = "the store is away for the test";
            return Err(Error::new(
                ErrorKind::StoreUnavailable,
                "test.store",
                message,
            ));
        }
        Ok(&self.store)
    }
}

macro_rules! pass {
    ($($name:ident($($arg:ident: $kind:ty),*) -> $out:ty;)*) => {
        $(
            fn $name<'life0, 'async_trait>(&'life0 self, $($arg: $kind),*)
                -> futures_util::future::BoxFuture<'async_trait, Result<$out>>
            where 'life0: 'async_trait, Self: 'async_trait;
        )*
    };
}
